"""Says what works on a node today and would fail once its runtime is a newer one.

Asked of every node, for these are the releases at which configs that had worked for years broke:
containerd 1.6 and CRI-O 1.24 for libcni 1.0 and 1.1, containerd 2.0 for libcni 1.2. What the node's
own release breaks is today's verdict; what is not known stays so and is no finding of a move. That
a release will look for configs or plugins in another folder is one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from cni_upgrade.cni import folder, runtimes
from cni_upgrade.cni.config import Config
from cni_upgrade.cni.facts import Facts
from cni_upgrade.cni.findings import Code, Finding, Severity
from cni_upgrade.cni.judgement import Judgement
from cni_upgrade.cni.readiness import Elsewhere, Obstacle, readiness, together

_WANTED = {"containerd": ("containerd>=1.6",), "cri-o": ("cri-o>=1.24",)}
"""By the runtime of today; one without a CRI of its own (docker) may go to either."""

MEND_FOLDERS = (
    "name today's folders in the runtime's configuration as that release reads it, or put configs "
    "and plugins where it will look, before this node gets such a release"
)
"""What to do about a release that looks in other folders: no change of a config cures that."""

_BESIDE = 16
"""Files after the last one in use that are looked at: a folder may hold a thousand."""


def no_other(_runtime: str) -> None:
    """Each release reads today's folders."""


def breaks(facts: Facts, today: Judgement, elsewhere: Elsewhere = no_other) -> Iterator[Finding]:
    """One finding for each cause that is none today, and for each change of the folders.

    `elsewhere` is asked of the node's own runtime alone: that of a node of docker's says nothing of
    the one to come, and what is told of its files is told of these.
    """
    runtime = runtimes.lookup(facts.runtime)
    wanted: tuple[str, ...] = _WANTED.get(runtime.name, ())
    if runtime.name == "docker":
        wanted = tuple(each for several in _WANTED.values() for each in several)
        elsewhere = no_other
    known = {each.code for each in today.findings if each.severity == Severity.FAULT}
    few = replace(facts, configs=_few(facts, today))
    by_code: dict[str, list[Obstacle]] = {}
    others: list[Obstacle] = []
    for each in wanted:
        found = readiness(few, each, facts.runtime, elsewhere)
        others += found.elsewhere
        for obstacle in found.obstacles:
            code = obstacle.why.partition(":")[0]
            if code not in known:
                by_code.setdefault(code, []).append(obstacle)
    for obstacles in by_code.values():
        yield Finding(
            Code.RUNTIME_MOVE,
            Severity.INFO,
            runtime.label,
            f"under {', '.join(each.releases for each in obstacles)}: {obstacles[0].why}",
            "mend it before this node gets such a release, or pass those releases over",
        )
    for line in together(others):
        yield Finding(
            Code.RUNTIME_MOVE,
            Severity.INFO,
            runtime.label,
            f"under {line}",
            MEND_FOLDERS,
        )


def _few(facts: Facts, today: Judgement) -> Sequence[Config]:
    """The files that can matter: those in use, those before them, and some after."""
    if facts.max_conf_num == 0:
        return facts.configs
    names = folder.loadable(each.name for each in facts.configs)
    used = {each.name for each in today.files if each.active}
    last = max((place for place, name in enumerate(names) if name in used), default=0)
    kept = set(names[: max(last + 1, facts.max_conf_num) + _BESIDE])
    return [each for each in facts.configs if each.name in kept]
