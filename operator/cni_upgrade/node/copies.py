"""Asks every copy of a plugin where it is not known which of the usual folders the runtime uses.

One of them is what the runtime runs. Where all say the same it does not matter which; else what the
plugin supports is not known, for a folder that another installation has left answers as well.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from cni_upgrade.cni.compat import supported_range
from cni_upgrade.cni.facts import Support
from cni_upgrade.cni.findings import Code, Finding, Severity
from cni_upgrade.node import probe

Folder = tuple[str, str]
"""The host's path of a plugin folder, and the real one."""


def agreed(
    root: str,
    bin_dirs: Sequence[Folder],
    types: Iterable[str],
    version: str,
    unseen: str | None = None,
) -> dict[str, Support]:
    """As `probe`, but for what the folders answer differently. Raises nothing."""
    wanted = tuple(dict.fromkeys(types))
    found = probe.probe(root, bin_dirs, wanted, version, unseen)
    places = list({real: (host, real) for host, real in reversed(bin_dirs)}.values())[::-1]
    if len(places) < 2:
        return found
    apart = [(host, probe.probe(root, [(host, real)], wanted, version)) for host, real in places]
    return {binary: _of_all(found[binary], apart) for binary in wanted}


def _of_all(found: Support, apart: Sequence[tuple[str, Mapping[str, Support]]]) -> Support:
    binary = found.type
    there = [(host, said[binary]) for host, said in apart if said[binary].source != "missing"]
    if len({said.supported for _, said in there}) < 2:
        carried = {said.libcni for _, said in there}
        return found if len(carried) < 2 else replace(found, libcni=None)
    answers = "; ".join(
        f"{host}: {supported_range(said.supported) if said.supported else 'not known'}"
        for host, said in there
    )
    finding = Finding(
        Code.FOLDER_AMBIGUOUS,
        Severity.WARNING,
        binary,
        f"{binary} stands in several of the usual folders and does not support the same versions "
        f"in each ({answers}), and no configuration of the runtime could be read that says which "
        "of these it uses",
        "remove the copy that the runtime does not use, or name its folder: spec.paths of the "
        "policy, or --bin-dir",
    )
    return Support(binary, source="unknown", finding=finding)
