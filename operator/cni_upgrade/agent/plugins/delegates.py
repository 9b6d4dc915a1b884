"""Asks the plugins that multus runs, which it looks for in a folder of its own first.

multus-cni `pkg/multus/multus.go` confAdd: its `binDir`, then CNI_PATH, which holds the runtime's
folders. Where the first of these is that folder, or a plugin does not stand in it, the runtime's
copy is the one that runs.
"""

from collections.abc import Iterable

from cni_upgrade.agent.discovery import folders
from cni_upgrade.agent.discovery.folders import Folders
from cni_upgrade.agent.plugins import probe
from cni_upgrade.agent.protocol.operation import Operation
from cni_upgrade.agent.protocol.paths import BY_HAND_PLUGINS
from cni_upgrade.cni.chain import Called
from cni_upgrade.cni.facts import Support
from cni_upgrade.cni.findings import Code, Finding, Severity, shown


def asked(
    operation: Operation, found: Folders, calls: Iterable[Called]
) -> tuple[tuple[str, ...], dict[str, Support]]:
    """The folders in which such plugins stand, and what each supports, by its whole path.

    Raises nothing. None where a person has named the folders: these are all that there is.
    """
    wanted: dict[str, dict[str, Called]] = {}
    for call in calls:
        if call.folder:
            wanted.setdefault(call.folder, {})[call.binary] = call
    dirs: list[str] = []
    supports: dict[str, Support] = {}
    for host, named in wanted.items() if BY_HAND_PLUGINS not in found.known.source else ():
        place = _place(operation, found, host)
        if isinstance(place, Finding):
            unknown = {call.path: Support(each, finding=place) for each, call in named.items()}
            supports.update(unknown)
        elif place is not None:
            said = probe.probe(operation.root, [(host, place)], named, operation.target.version)
            there = {named[e].path: s for e, s in said.items() if s.source != "missing"}
            supports.update(there)
            dirs += [host] if there else []
    return tuple(dirs), supports


def _place(operation: Operation, found: Folders, host: str) -> str | Finding | None:
    """Where that folder is; None where the runtime's own come first, or nothing is there."""
    paths = operation.paths
    place = folders.look(operation.root, host)
    if found.bin_dirs and place == found.bin_dirs[0][1]:
        return None
    candidates = (*paths.bin_dirs, *paths.delegate_dirs)
    if host in candidates or not operation.root:
        return place
    if paths.known is not None:
        return None  # the look that these are from has found nothing there, or nothing is written
    if place is None and folders.seen(operation.root, host):
        return None
    return Finding(
        Code.FOLDER_NOT_ALLOWED,
        Severity.FAULT if place else Severity.WARNING,  # it may not be there
        shown(host, 200),
        f"multus looks for plugins in {shown(host, 200)} first, which is not among the folders "
        f"that may be looked at: {', '.join(paths.bin_dirs) or '(none)'}",
        "name the runtime's folder as binDir in multus' config, or add this one to binDirs in the "
        "operator's configuration (and to what the admission policy lets an agent mount)",
    )
