"""Asks every copy of a plugin where it is not known which of the usual folders the runtime uses.

One of them is what the runtime runs. Where all say the same it does not matter which; else what the
plugin supports is not known, for a folder that another installation has left answers as well.
containerd and CRI-O look into one of them alone where no configuration tells them otherwise, which
we may only not see: a plugin that is not there is none that they are known to find.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from cni_upgrade.agent.plugins import probe
from cni_upgrade.cni.compat import supported_range
from cni_upgrade.cni.facts import Support
from cni_upgrade.cni.findings import Code, Finding, Severity

Folder = tuple[str, str]
"""The host's path of a plugin folder, and the real one."""


def agreed(
    root: str,
    bin_dirs: Sequence[Folder],
    types: Iterable[str],
    version: str,
    unseen: str | None = None,
    default: Sequence[str] = (),
) -> dict[str, Support]:
    """As `probe`, but for what the folders answer differently, or a folder that is not the
    runtime's `default`. Raises nothing."""
    wanted = tuple(dict.fromkeys(types))
    found = probe.probe(root, bin_dirs, wanted, version, unseen)
    places = list({real: (host, real) for host, real in reversed(bin_dirs)}.values())[::-1]
    usual = {real for host, real in bin_dirs if host.rstrip("/") in default}
    if len(places) < 2 and (usual or not default):
        return found
    apart = [(place, probe.probe(root, [place], wanted, version)) for place in places]
    return {
        binary: _elsewhere(binary, apart, usual, default) or _of_all(found[binary], apart)
        for binary in wanted
    }


_Apart = Sequence[tuple[Folder, Mapping[str, Support]]]


def _elsewhere(
    binary: str, apart: _Apart, usual: Collection[str], default: Sequence[str]
) -> Support | None:
    """What is known of a binary that stands in other folders than the default one alone."""
    there = [place for place, said in apart if said[binary].source != "missing"]
    if not default or not there or any(real in usual for _, real in there):
        return None
    finding = Finding(
        Code.PLUGIN_UNKNOWN,
        Severity.WARNING,
        binary,
        f"{binary} stands in {' and '.join(host for host, _ in there)} and not in "
        f"{' or '.join(default)}, where alone the runtime looks unless its configuration says "
        "otherwise, and none of it could be read",
        f"put {binary} into {default[0]}, or name the folder to the runtime, in its configuration",
    )
    return Support(binary, source="unknown", finding=finding)


def _of_all(found: Support, apart: _Apart) -> Support:
    binary = found.type
    there = [(host, said[binary]) for (host, _), said in apart if said[binary].source != "missing"]
    if len({said.supported for _, said in there}) < 2:
        built = {(said.libcni, said.release) for _, said in there}
        return found if len(built) < 2 else replace(found, libcni=None, release=None)
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
