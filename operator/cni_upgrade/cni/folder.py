"""Says which file of a config folder a runtime uses, because only that one matters to pods.

Sources: libcni `conf.go` ConfFiles (extensions), go-cni `opts.go` loadFromConfDir (sorted, the
first `max_conf_num`, the first invalid file ends the load), ocicni `ocicni.go` loadNetworks and
getDefaultNetwork (sorted, invalid files are skipped, a default network is pinned by name).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from cni_upgrade.cni.config import Config, kind_of
from cni_upgrade.cni.facts import Facts, Support
from cni_upgrade.cni.findings import Code, Finding, Severity, shown
from cni_upgrade.cni.notes import names_a_network
from cni_upgrade.cni.runtimes import Runtime
from cni_upgrade.cni.value import dataclass


@dataclass(frozen=True, slots=True)
class Loaded:
    """The files that the runtime uses, in its order, and what is worth saying about the choice."""

    files: tuple[Config, ...]
    findings: tuple[Finding, ...] = ()
    failed: Config | None = None
    """The file that makes the whole load fail; then nothing is loaded at all."""
    unjudged: Config | None = None
    """A file that was not read here and that decides what is loaded: then that is not known."""


def loadable(names: Iterable[str]) -> list[str]:
    """The names that libcni would load, in its order; hidden files count."""
    names = (name for name in names if kind_of(name) != "other")
    return sorted(names, key=lambda name: name.encode("utf-8", "surrogateescape"))


def active(
    configs: Sequence[Config],
    runtime: Runtime,
    max_conf_num: int = 1,
    default_network: str | None = None,
    plugins: Mapping[str, Support] | None = None,
) -> Loaded:
    """What the runtime loads of a folder, given all its files in any order.

    `plugins` matters to CRI-O, which asks each plugin about the version before it takes a file.
    """
    by_name = {config.name: config for config in configs}
    ordered = [by_name[name] for name in loadable(by_name)]
    if runtime.name == "cri-o":
        return _crio(ordered, default_network, plugins or {})
    return _containerd(ordered, max_conf_num)


def in_use(configs: Sequence[Config], runtime: Runtime, facts: Facts) -> Loaded:
    """What the runtime of a node loads if its folder holds these files."""
    return active(configs, runtime, facts.max_conf_num, facts.default_network, facts.plugins)


def mended(
    configs: Sequence[Config], runtime: Runtime, facts: Facts
) -> tuple[list[Config], Loaded]:
    """What the runtime would take if each file had a version that libcni loads, and the files as
    they are then. One that would not be taken keeps its error, so that it is told."""
    as_mended = [replace(each, error=None) if each.mendable else each for each in configs]
    loaded = in_use(as_mended, runtime, facts)
    taken = {each.name for each in loaded.files}
    if not taken:
        return as_mended, loaded
    pairs = zip(configs, as_mended, strict=True)
    return [new if new.name in taken else old for old, new in pairs], loaded


def _containerd(ordered: list[Config], max_conf_num: int) -> Loaded:
    """containerd takes the first files; 0 means all (go-cni counts up and never meets 0)."""
    taken = ordered[:max_conf_num] if max_conf_num > 0 else ordered
    bad = next((each for each in taken if each.error is not None and not each.unjudged), None)
    if bad is not None and bad.error is not None:
        return Loaded((), (bad.error,), bad)
    unseen = next((config for config in taken if config.unjudged), None)
    if unseen is not None:
        return Loaded((), unjudged=unseen)
    return Loaded(tuple(taken), tuple(_dotfiles(taken)))


def _crio(
    ordered: list[Config], default_network: str | None, plugins: Mapping[str, Support]
) -> Loaded:
    """CRI-O takes the first valid file, or the valid one whose network is pinned by name.

    It reads all of them, so one that makes libcni panic ends its process wherever it stands. A file
    is not valid to it when a plugin that it names is missing or refuses the version
    (ValidateNetworkList; IPAM plugins are not asked). When every file is refused so, the first
    counts as the one in use: it is the one to mend.
    """
    for config in ordered:
        if config.error is not None and config.error.code == Code.CRASHES:
            return Loaded((), (config.error,), config)
    findings: list[Finding] = []
    refused: list[Config] = []
    taken: Config | None = None
    for config in ordered:
        if config.unjudged:  # valid or not, and of whichever network: CRI-O knows, and we do not
            return Loaded((), tuple(findings), unjudged=config)
        if config.error is not None:
            findings.append(_skipped(config, config.error.message, config.error.action))
            continue
        named = _named(config)
        if default_network and named.network != default_network:
            continue
        if any(
            each in plugins and plugins[each].takes(config.version) is False
            for each in config.mains
        ):
            refused.append(named)
            continue
        taken = named
        break
    if taken is None:
        return Loaded(tuple(refused[:1]), (*findings, *_dotfiles(refused[:1])))
    findings += [
        _skipped(
            config,
            "a plugin of it is missing or refuses its cniVersion "
            f"({shown(config.version or 'missing')}), and {taken.name} is in use instead",
            "remove the file that is not wanted; mending the version would change the network",
        )
        for config in refused
    ]
    return Loaded((taken,), (*findings, *_dotfiles([taken])))


def _named(config: Config) -> Config:
    """CRI-O calls a network without a name by its file."""
    if config.network or not names_a_network(config.name):
        return config
    notes = tuple(note for note in config.notes if note.code != Code.MISSING_NAME)
    return replace(config, network=config.name, notes=notes)


def _skipped(config: Config, why: str, action: str) -> Finding:
    message = f"the runtime skips this file: {why}"
    return Finding(Code.SKIPPED_FILE, Severity.WARNING, config.name, message, action)


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
