"""Says whether another release of a runtime would read what the runtime of today reads.

Releases differ in how they read one and the same configuration, and another runtime has its own or
none. An apply is given the folders and sees no configuration: what the audit found holds for it.
"""

from collections.abc import Iterator, Sequence

from cni_upgrade.agent.discovery import host_paths, runtime_config
from cni_upgrade.agent.discovery.runtime_config import Found
from cni_upgrade.agent.plugins import plugin_binary
from cni_upgrade.agent.protocol.paths import BY_HAND_CONFIGS, BY_HAND_PLUGINS
from cni_upgrade.agent.survey import Survey
from cni_upgrade.cni import readiness
from cni_upgrade.cni.findings import Code, Finding, Severity, shown
from cni_upgrade.cni.runtime_config import (
    DEFAULT_BIN_DIRS,
    DEFAULT_CONF_DIR,
    SINCE,
    Stated,
    release,
)

_OF_RANCHER = "/var/lib/rancher/"
_ANY_CONTAINERD = "containerd://2.0.0"
"""Every release is told in the same way to do without its CRI part."""
_MOST = 200
"""Characters of a folder's name, or of several, in a line."""


def of(survey: Survey) -> readiness.Elsewhere:
    """Asks it of one release after the other; the configuration is read where it is asked.

    Raises nothing.
    """
    root, today = survey.operation.root, survey.operation.runtime
    own, by_hand = survey.own or Found(), (BY_HAND_CONFIGS, BY_HAND_PLUGINS)
    named = all(each in survey.operation.paths.by_hand for each in by_hand)
    # Folders that are named stand in for a configuration that cannot be relied on today either.
    stand_in = named and own.elsewhere is not None
    if survey.operation.paths.known is not None or survey.unread is not None or stand_in:
        return _the_same
    told: dict[tuple[str, int] | None, str | None] = {_way(today): None}

    def asked(runtime: str) -> str | None:
        name, way = runtime.partition("://")[0], _way(runtime)
        if way not in told:
            build = "-k3s1" if name == "containerd" and _of_rancher(today, own) else ""
            told[way] = _describe_changes(
                survey, own, runtime_config.read(root, runtime + build), name
            )
        return told[way]

    return asked


def _way(runtime: str) -> tuple[str, int] | None:
    """The way in which that release reads its files; None where that is not known.

    All releases of CRI-O read alike.
    """
    name, _, version = runtime.partition("://")
    if name == "cri-o":
        return name, 0
    numbers = release(version) if name == "containerd" else None
    return (name, sum(numbers >= each for each in SINCE)) if numbers else None


def _the_same(_runtime: str) -> None:
    """Nothing is known that would be read elsewhere."""


def _of_rancher(today: str, own: Found) -> bool:
    """Whether it is the containerd of k3s or RKE2, which the next release will be as well."""
    files = own.stated.files if own.stated else ()
    return "-k3s" in today or any(each.startswith(_OF_RANCHER) for each in files)


def cri_off(survey: Survey) -> Iterator[Finding]:
    """Of a node of another runtime: that its containerd, which is there for docker say, is not one
    of Kubernetes' yet. Asked where containerd is meant; raises nothing."""
    operation = survey.operation
    name = operation.runtime.partition("://")[0]
    meant = any(each.startswith("containerd") for each in operation.readiness_for)
    if name in ("", "containerd") or not (meant or name == "docker"):
        return
    path = runtime_config.read(operation.root, _ANY_CONTAINERD).without_cri
    if path is not None:
        yield Finding(
            Code.RUNTIME_MOVE,
            Severity.INFO,
            path,
            f"under containerd: its CRI part is off in {shown(path, _MOST)}, without which it "
            "runs no pods",
            "switch it on there (take cri out of disabled_plugins) before this node moves to "
            "containerd",
        )


def _describe_changes(survey: Survey, own: Found, then: Found, name: str) -> str | None:
    if then.without_cri and not survey.operation.runtime.startswith(name):
        then = Found()  # what says nothing of pods says nothing of their folders
    if then.elsewhere is not None:
        return f"its configuration: {shown(then.elsewhere.message, 2 * _MOST)}"
    if then.stated is None and own.stated is None and survey.operation.runtime.startswith(name):
        return None
    stated = then.stated or Stated(name, DEFAULT_CONF_DIR, DEFAULT_BIN_DIRS)
    changes = ", ".join(_changes(survey, own.stated, stated))
    return f"it reads {changes}; what pods get there is not looked at" if changes else None


def _changes(survey: Survey, own: Stated | None, then: Stated) -> Iterator[str]:
    root, found, known = survey.operation.root, survey.folders, survey.folders.known
    by_hand = survey.operation.paths.by_hand
    conf_dirs = [own.conf_dir] if own else [found.conf_dir[0]] if found.conf_dir else []
    bin_dirs = own.bin_dirs if own else _in_use(survey)
    if BY_HAND_CONFIGS not in by_hand:
        yield from _moved(root, "configs", conf_dirs, [then.conf_dir])
    if BY_HAND_PLUGINS not in by_hand:
        yield from _moved(root, "plugins", bin_dirs, then.bin_dirs)
    asks = then.runtime == "containerd"  # CRI-O wants no loopback plugin in any case
    for before, after in (
        (_files(known.max_conf_num), _files(then.max_conf_num)),
        (_network(known.default_network), _network(then.default_network)),
        (_template(known.conf_template), _template(then.conf_template)),
        (_loopback(asks and known.internal_loopback), _loopback(then.internal_loopback)),
    ):
        if before != after:
            yield f"{after} in place of {before}"


def _in_use(survey: Survey) -> Sequence[str]:
    """The folders that hold the plugins, of a runtime whose configuration tells none: the usual
    ones that are there may be nobody's. Its default where no plugin is there at all."""
    found = survey.folders
    # Where several folders have a plugin, a runtime without a configuration runs its default's.
    looked = sorted(found.bin_dirs, key=lambda each: each[0] not in DEFAULT_BIN_DIRS)
    binaries = dict.fromkeys(binary for each in survey.configs for binary in each.plugins)
    holding = {
        place.called.rpartition("/")[0]
        for binary in binaries
        if isinstance(
            place := plugin_binary.find(survey.operation.root, looked, binary, found.unseen),
            plugin_binary.Place,
        )
    }
    return [host for host, _ in looked if host in holding] or DEFAULT_BIN_DIRS


def _moved(root: str, what: str, before: Sequence[str], after: Sequence[str]) -> Iterator[str]:
    pairs = zip(before, after, strict=False)
    if len(before) != len(after) or not all(host_paths.same(root, *each) for each in pairs):
        now, then = (shown(", ".join(each), _MOST) for each in (before, after))
        yield f"{what} from {then} in place of {now or 'no folder that is there'}"


def _files(most: int | None) -> str:
    most = 1 if most is None else most
    return f"{most or 'all'} file{'' if most == 1 else 's'} of them"


def _network(name: str | None) -> str:
    return shown(name) if name else "the first network"


def _template(path: str | None) -> str:
    return f"the template {shown(path, _MOST)}" if path else "no template"


def _loopback(internal: bool) -> str:
    return "no loopback plugin" if internal else "a loopback plugin"
