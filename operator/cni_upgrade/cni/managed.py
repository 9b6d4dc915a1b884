"""Knows the programs that write CNI configs themselves: what they put back is not ours to change.

Recognised by what the file holds, and only then helped by its name: a file called 10-flannel
that holds a bridge is nobody's, and a copy of calico's config under another name is still calico's
kind of config. Sources: the install manifests and installers of each project.
"""

from collections.abc import Callable

from cni_upgrade.cni import sources
from cni_upgrade.cni.config import Config
from cni_upgrade.cni.value import dataclass


@dataclass(frozen=True, slots=True)
class Writer:
    """A program that writes a config, and where its text comes from."""

    name: str
    source_of_truth: str

    def __str__(self) -> str:
        return f"{self.name}: {self.source_of_truth}"


@dataclass(frozen=True, slots=True)
class _Mark:
    """How a writer's file is told: the binary it runs, or the name it has with what it holds."""

    writer: Writer
    holds: Callable[[Config], bool]


def _runs(*binaries: str) -> Callable[[Config], bool]:
    return lambda config: any(binary in config.plugins for binary in binaries)


# The first that matches counts: a meta-plugin stands before the plugins it delegates to.
_MARKS: tuple[_Mark, ...] = (
    _Mark(Writer("multus-thick", sources.named("multus-thick")), _runs("multus-shim")),
    _Mark(
        Writer("multus", "the multus DaemonSet (flag --cni-version, or its master's config)"),
        _runs("multus"),
    ),
    _Mark(
        Writer("canal", sources.named("canal")),
        lambda config: "canal" in config.name and "calico" in config.plugins,
    ),
    _Mark(
        Writer("calico", f"{sources.named('calico')}, or the tigera operator's Installation"),
        _runs("calico"),
    ),
    _Mark(
        Writer("cilium", "the cilium agent (ConfigMap cilium-config; cni.exclusive reverts edits)"),
        _runs("cilium-cni"),
    ),
    _Mark(
        Writer("aws-cni", "DaemonSet aws-node, whose init container copies 10-aws.conflist"),
        _runs("aws-cni"),
    ),
    _Mark(Writer("antrea", sources.named("antrea")), _runs("antrea")),
    _Mark(
        Writer("azure", "the installer azure-vnet, which writes 10-azure.conflist"),
        _runs("azure-vnet"),
    ),
    _Mark(
        Writer("ovn-kubernetes", "the ovnkube-node process, which writes the file itself"),
        _runs("ovn-k8s-cni-overlay"),
    ),
    _Mark(
        Writer("weave", "the weave-kube DaemonSet, which writes 10-weave.conflist"),
        _runs("weave-net"),
    ),
    _Mark(
        Writer("kube-router", sources.named("kube-router")),
        lambda config: "kuberouter" in config.name or "kube-router" in config.name,
    ),
    _Mark(
        Writer("kindnet", "the kindnetd process, which writes the file itself"),
        lambda config: config.network == "kindnet" or "kindnet" in config.name,
    ),
    _Mark(
        Writer("flannel", f"{sources.named('flannel')} (on k3s the k3s process itself)"),
        _runs("flannel"),
    ),
)


def writer(config: Config) -> Writer | None:
    """The known program that writes this file; None for a file that is nobody's."""
    return next((mark.writer for mark in _MARKS if mark.holds(config)), None)
