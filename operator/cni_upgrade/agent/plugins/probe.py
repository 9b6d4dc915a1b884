"""Asks plugin binaries which CNI versions they support, as libcni asks them, and trusts none.

Each that is found (`plugin_binary`) is run with CNI_COMMAND=VERSION (`plugin_run`; libcni
`pkg/invoke/exec.go` GetVersionInfo), and its answer is weighed (`plugin_answer`).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from cni_upgrade.agent import signals
from cni_upgrade.agent.plugins import build_info, plugin_answer, plugin_binary, stray_processes
from cni_upgrade.agent.plugins.plugin_binary import Place
from cni_upgrade.agent.plugins.plugin_run import Run, attend
from cni_upgrade.cni.facts import Support
from cni_upgrade.cni.findings import Finding

_AT_ONCE = 16

CARRIES_LIBCNI = "multus"
"""Runs others with a libcni of its own. Not multus-shim: its daemon's is on no node's disk."""


def probe(
    root: str,
    bin_dirs: Sequence[tuple[str, str]],
    types: Iterable[str],
    version: str,
    unseen: str | None = None,
) -> dict[str, Support]:
    """What each binary supports. `bin_dirs` are pairs of the host's path and the real one.

    `version` is what the question carries as cniVersion; `unseen` is the folder that comes after
    `bin_dirs` and cannot be looked at. Raises nothing of the plugins' making: whatever is wrong
    with one is the finding of its Support.
    """
    supports: dict[str, Support] = {}
    found: dict[str, Place] = {}
    for binary in types:
        place = plugin_binary.find(root, bin_dirs, binary, unseen)
        if isinstance(place, Support):
            supports[binary] = place
        else:
            found[binary] = place
    waiting = list(found.items())
    while waiting:
        batch, waiting = waiting[:_AT_ONCE], waiting[_AT_ONCE:]
        with stray_processes.ended():
            supports.update(_ask(batch, version))
    return supports


def _ask(batch: Sequence[tuple[str, Place]], version: str) -> dict[str, Support]:
    supports: dict[str, Support] = {}
    runs: dict[str, Run] = {}
    try:
        for binary, place in batch:
            try:
                with signals.later():  # a process that is started is one that is ended again
                    runs[binary] = Run(place, version)
            except OSError as error:
                finding = plugin_binary.not_started(binary, place.real, error)
                supports[binary] = _bounded(place.real, finding)
        attend(runs.values())
    finally:
        with signals.later():
            for run in runs.values():
                run.close()
    places = dict(batch)
    for binary, run in runs.items():
        answer = plugin_answer.judge(binary, run)
        real = places[binary].real
        if isinstance(answer, Finding):
            supports[binary] = _bounded(real, answer)
            continue
        carried = _known(build_info.libcni, real) if binary == CARRIES_LIBCNI else None
        release = _known(build_info.plugins, real)
        supports[binary] = replace(
            answer, libcni=carried, interpreter=_interpreter(real), release=release
        )
    return supports


def _interpreter(path: str) -> str:
    """Whose answer a script's is; one that is compiled answers by itself."""
    try:
        return plugin_binary.interpreter(path)
    except OSError:
        return ""  # it was there when it answered


def _known(of: Callable[[str], str | None], path: str) -> str | None:
    """What the build info tells, or nothing where it cannot be read."""
    try:
        return of(path)
    except OSError:
        return None


def _bounded(path: str, finding: Finding) -> Support:
    """A binary that gave no answer: its build info bounds what it may support, or nothing does."""
    try:
        bound = build_info.highest_version(path)
    except OSError:
        bound = None  # the finding already says that it cannot be run
    if bound is None:
        return Support(finding.component, source="unknown", finding=finding)
    return Support(finding.component, max=bound, source="buildinfo", finding=finding)
