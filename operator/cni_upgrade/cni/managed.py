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


def _starts(binary: str) -> Callable[[Config], bool]:
    """Not as the IPAM of another plugin: kube-ovn is that too."""
    return lambda config: binary in config.mains


def _istio(config: Config) -> bool:
    """Alone in its file, or in the list that istio-cni makes of another one. A file of another
    program that istio-cni is chained into is that program's."""
    owned = config.kind == "conflist" and "istio" in config.name
    return config.mains == ("istio-cni",) or (owned and "istio-cni" in config.mains)


def _netd(config: Config) -> bool:
    return config.network == "gke-pod-network" or (
        config.name in _NETD and config.mains[:1] in (("ptp",), ("gke",), ("cilium-cni",))
    )


_NETD = ("10-gke-ptp.conflist", "10-k8s-ptp.conflist")


def _azure(config: Config) -> bool:
    """Also with cilium chained or delegated to, unless the file is one of the cilium agent's."""
    if "azure-ipam" in config.plugins:
        return True
    of_cilium = config.name.startswith("05-cilium") and "cilium-cni" in config.plugins
    return "azure-vnet" in config.plugins and not of_cilium


def _cilium_custom(config: Config) -> bool:
    """A chain that a person wrote down for cilium. The agent's own lists name `enable-debug`."""
    if "cilium-cni" not in config.mains:
        return False
    written = len(config.mains) > 1 and b'"enable-debug"' not in config.data
    return config.network == "generic-veth" or written


def _minikube(config: Config) -> bool:
    return (
        config.name == "1-k8s.conflist"
        and config.network == "bridge"
        and config.mains[:1] == ("bridge",)
    )


# The first that matches counts: a meta-plugin stands before the plugins it delegates to, and who
# writes a whole chain before who writes one of its plugins alone.
_MARKS: tuple[_Mark, ...] = (
    _Mark(Writer("multus-thick", sources.named("multus-thick")), _runs("multus-shim")),
    _Mark(
        Writer("multus", "the multus DaemonSet (flag --cni-version, or its master's config)"),
        _runs("multus"),
    ),
    # istio/istio cni/pkg/install/cniconfig.go writeCNIConfig: YYY-istio-cni.conf, or the name of
    # CNI_CONF_NAME; with istioOwnedCNIConfig 02-istio-cni.conflist.
    _Mark(
        Writer(
            "istio-cni",
            "the istio-cni-node DaemonSet, which writes the file itself (where it holds another "
            "network's plugins: from that network's file)",
        ),
        _istio,
    ),
    # GoogleCloudPlatform/netd netd.yaml, pkg/install-cni/install/install.go Run; with dataplane V2
    # it appends cilium-cni (pkg/install-cni/plugin/cilium.go).
    _Mark(
        Writer(
            "netd",
            "GKE's netd (ConfigMap kube-system/netd-config key cni_spec_template, which GKE keeps)",
        ),
        _netd,
    ),
    # AliyunContainerService/terway cmd/terway-cli/cni.go mergeConfigList
    _Mark(
        Writer(
            "terway-chainer",
            "the init container of terway's DaemonSet, which writes the version itself whatever "
            "ConfigMap kube-system/eni-config says: another release of terway",
        ),
        lambda config: config.network == "terway-chainer" and "terway" in config.mains,
    ),
    _Mark(Writer("terway", sources.named("terway")), _starts("terway")),
    # Azure/azure-container-networking cns/cniconflist/generator_linux.go CiliumGenerator,
    # AzureCNIChainedCiliumGenerator; cni/azure-linux*.conflist
    _Mark(
        Writer(
            "azure",
            "the installer azure-vnet or azure-cns, which writes 10-azure.conflist or the file of "
            "its CNIConflistFilepath",
        ),
        _azure,
    ),
    _Mark(Writer("cilium-custom", sources.named("cilium-custom")), _cilium_custom),
    # cilium/cilium daemon/cmd/cni/config.go mergeExistingCNIConfig: a chain of its own file.
    _Mark(
        Writer("cilium", "the cilium agent (ConfigMap cilium-config; cni.exclusive reverts edits)"),
        _runs("cilium-cni"),
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
        Writer("aws-cni", "DaemonSet aws-node, whose init container copies 10-aws.conflist"),
        _runs("aws-cni"),
    ),
    _Mark(Writer("antrea", sources.named("antrea")), _runs("antrea")),
    # kubeovn/kube-ovn cmd/daemon/cniserver.go (--cni-conf-name), dist/images/install-cni.sh
    _Mark(
        Writer(
            "kube-ovn",
            "DaemonSet kube-ovn-cni, which copies 01-kube-ovn.conflist out of its image",
        ),
        _starts("kube-ovn"),
    ),
    # openshift/sdn pkg/cmd/openshift-sdn-node/sdn.go writeConfigFile
    _Mark(
        Writer(
            "openshift-sdn",
            "DaemonSet openshift-sdn/sdn, whose process writes 80-openshift-network.conf itself",
        ),
        _starts("openshift-sdn"),
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
    # kubernetes/minikube pkg/minikube/cni/bridge.go
    _Mark(Writer("minikube", "`minikube start`, which writes 1-k8s.conflist itself"), _minikube),
)


def writer(config: Config) -> Writer | None:
    """The known program that writes this file; None for a file that is nobody's."""
    return next((mark.writer for mark in _MARKS if mark.holds(config)), None)
