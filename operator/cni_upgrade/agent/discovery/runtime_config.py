"""Finds the runtime's own configuration on the host and reads it, within bounds.

Where a runtime's systemd unit names another file than the usual one, that one is read, and what its
arguments say of CNI goes before all files. Where that cannot be followed to its end, or two files
could both be the one in use, it is not known which configs the runtime reads: no usual folder
stands in for them, for what another installation has left there would be taken for the node's.
"""

from collections.abc import Iterator

from cni_upgrade.agent.discovery import containerd_config, crio_config, host_files, toml_file
from cni_upgrade.agent.discovery.containerd_config import CONTAINERD, K0S, MICROK8S, RANCHER
from cni_upgrade.agent.discovery.host_files import HostFileError
from cni_upgrade.agent.discovery.unit_files import UnitError
from cni_upgrade.cni.findings import Code, Finding, Severity, shown
from cni_upgrade.cni.runtime_config import DEFAULT_CONF_DIR, Stated, release
from cni_upgrade.cni.toml_members import RuntimeConfigError
from cni_upgrade.cni.value import dataclass

MICROK8S_UNIT = "/etc/systemd/system/snap.microk8s.daemon-containerd.service"
"""Of snapd, which writes its units there: whoever sees /etc and not /var/snap sees this alone."""

_MOST_FOLDERS = 16


@dataclass(frozen=True, slots=True)
class Found:
    """What the configuration says; None where there is none, or none that can be relied on."""

    stated: Stated | None = None
    findings: tuple[Finding, ...] = ()
    elsewhere: Finding | None = None
    """Why it is not known which folders are the runtime's."""
    default: str | None = None
    """The folder of configs of a runtime that has no configuration."""
    without_cri: str | None = None
    """The file in which containerd's CRI part is off, where that is why nothing is known."""


def read(root: str, runtime: str) -> Found:
    """What the runtime (as Kubernetes names it; "" when not known) reads. Raises nothing."""
    name, _, version = runtime.partition("://")
    try:
        return _found(root, name, version)
    except (RuntimeConfigError, HostFileError, UnitError) as error:
        place = str(error).partition(": ")[0]
        return Found(elsewhere=_unknown(place, str(error), "mend it, or see why it cannot be read"))


def _found(root: str, name: str, version: str) -> Found:
    of_rancher = "-k3s" in version
    usual = (*CONTAINERD, K0S)
    places = (RANCHER if of_rancher else usual) if version else (*usual, *RANCHER)
    if name == "containerd" and not of_rancher and _is_unseen_microk8s(root):
        return Found(elsewhere=_elsewhere())
    stated: list[Stated] = []
    without_cri: list[str] = []
    if name in ("containerd", ""):
        for path in containerd_config.started_with(root, places):
            if toml_file.read(root, path) is None:
                continue
            said = containerd_config.read(root, path, release(version))
            if said is None:
                without_cri.append(path)
            else:
                stated.append(said)
    if name in ("cri-o", "") and (each := crio_config.read(root)) is not None:
        stated.append(each)
    if len(stated) > 1:
        several = " and ".join(", ".join(each.files) for each in stated)
        text = f"{several}: it is not known which of them the runtime reads"
        return Found(elsewhere=_unknown(several, text, "remove the one that nothing uses"))
    if stated:
        return Found(stated[0], tuple(_of_handlers(stated[0])))
    if name == "containerd" and without_cri:
        text = f"{without_cri[0]}: containerd's CRI part is off, so the node has another containerd"
        found = _unknown(without_cri[0], text, "remove it if nothing uses it")
        return Found(elsewhere=found, without_cri=without_cri[0])
    if name == "containerd" and of_rancher:
        text = f"{' and '.join(RANCHER)}: neither is there, and k3s and RKE2 write theirs"
        what = "see which data-dir they are started with"
        return Found(elsewhere=_unknown(RANCHER[0], text, what))
    return Found(default=DEFAULT_CONF_DIR if name in ("containerd", "cri-o") else None)


def _of_handlers(stated: Stated) -> Iterator[Finding]:
    """One for each folder that handlers have for themselves, as far as a report bears them."""
    folders: dict[str, list[str]] = {}
    for name, folder in stated.handlers:
        folders.setdefault(folder, []).append(name)
    for folder, names in list(folders.items())[:_MOST_FOLDERS]:
        named = shown(", ".join(names), 200)
        yield _of_handler(stated, folder, f"the runtime handler {named}", folder)
    if (more := len(folders) - _MOST_FOLDERS) > 0:
        last = list(folders)[-1]
        yield _of_handler(stated, last, "more runtime handlers", f"{more} more folders")


def _of_handler(stated: Stated, folder: str, handler: str, where: str) -> Finding:
    return Finding(
        Code.HANDLER_FOLDER,
        Severity.WARNING,
        folder,
        f"pods of {handler} (their RuntimeClass names it) get their network from {where}, not from "
        f"{stated.conf_dir}: nothing here is said of these pods",
        f"look at it by itself: cni-upgrade audit --config-dir {folder}",
    )


def _unknown(place: str, message: str, action: str) -> Finding:
    return Finding(
        Code.RUNTIME_CONFIG,
        Severity.FAULT,
        shown(place, 200),
        f"{shown(message, 1000)}; so it is not known which configs the runtime reads: none is "
        "looked at",
        f"{action}; or name the folders to cni-upgrade by --config-dir and --bin-dir",
    )


def _is_unseen_microk8s(root: str) -> bool:
    unit, config = (host_files.kind(root, each) for each in (MICROK8S_UNIT, MICROK8S))
    return unit is not None and config is None


def _elsewhere() -> Finding:
    return Finding(
        Code.RUNTIME_CONFIG,
        Severity.FAULT,
        MICROK8S,
        f"{MICROK8S_UNIT} is there, so containerd may be that of microk8s, and what it goes by, "
        f"{MICROK8S}, cannot be seen: none of the usual folders is looked at",
        "use the preset microk8s (spec.paths of the policy), which mounts /var, or name the "
        "folders by --config-dir and --bin-dir; or remove the snap where nothing uses it",
    )
