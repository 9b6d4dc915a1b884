"""Says which file of a config folder a runtime uses, because only that one matters to pods.

Sources: libcni `conf.go` ConfFiles (extensions), go-cni `opts.go` loadFromConfDir (sorted, the
first `max_conf_num`, the first invalid file ends the load), ocicni `ocicni.go` loadNetworks and
getDefaultNetwork (sorted, invalid files are skipped, a default network is pinned by name).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cni_upgrade.cni.config import Config, kind_of
from cni_upgrade.cni.findings import Code, Finding, Severity
from cni_upgrade.cni.runtimes import Runtime


@dataclass(frozen=True, slots=True)
class Loaded:
    """The files that the runtime uses, in its order, and what is worth saying about the choice."""

    files: tuple[Config, ...]
    findings: tuple[Finding, ...] = ()
    failed: Config | None = None
    """The file that makes the whole load fail; then nothing is loaded at all."""


def loadable(names: Iterable[str]) -> list[str]:
    """The names that libcni would load, in its order; hidden files count."""
    names = (name for name in names if kind_of(name) != "other")
    return sorted(names, key=lambda name: name.encode("utf-8", "surrogateescape"))


def active(
    configs: Sequence[Config],
    runtime: Runtime,
    max_conf_num: int = 1,
    default_network: str | None = None,
) -> Loaded:
    """What the runtime loads of a folder, given all its files in any order."""
    by_name = {config.name: config for config in configs}
    ordered = [by_name[name] for name in loadable(by_name)]
    if runtime.name == "cri-o":
        return _crio(ordered, default_network)
    return _containerd(ordered, max_conf_num)


def _containerd(ordered: list[Config], max_conf_num: int) -> Loaded:
    """containerd takes the first files; 0 means all (go-cni counts up and never meets 0)."""
    taken = ordered[:max_conf_num] if max_conf_num > 0 else ordered
    bad = next((config for config in taken if config.error is not None), None)
    if bad is not None and bad.error is not None:
        return Loaded((), (bad.error,), bad)
    return Loaded(tuple(taken), tuple(_dotfiles(taken)))


def _crio(ordered: list[Config], default_network: str | None) -> Loaded:
    """CRI-O takes the first valid file, or the valid one whose network is pinned by name."""
    findings = [
        Finding(
            Code.SKIPPED_FILE,
            Severity.WARNING,
            config.name,
            f"the runtime skips this file: {config.error.message}",
            config.error.action,
        )
        for config in ordered
        if config.error is not None
    ]
    valid = [config for config in ordered if config.error is None]
    if default_network:
        valid = [config for config in valid if config.network == default_network]
    findings += _dotfiles(valid[:1])
    return Loaded(tuple(valid[:1]), tuple(findings))


def _dotfiles(taken: Sequence[Config]) -> Iterable[Finding]:
    for config in taken:
        if config.name.startswith("."):
            yield Finding(
                Code.DOTFILE,
                Severity.WARNING,
                config.name,
                "the runtime loads this hidden file, and before the others",
                "if it is a leftover of an editor or a copy, move it out of the folder",
            )
