"""Whether a Node reports the runtime and the kubelet that its policy wants."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from cni_upgrade.agent.protocol.operation import Verdict
from cni_upgrade.api.node_state import NodeStateStatus
from cni_upgrade.api.phase import Phase
from cni_upgrade.api.policy import PolicySpec
from cni_upgrade.planner.world.kubernetes_objects import Node

UPGRADE_DUE = "UpgradeDue"
"""Why a node waits whose config is well: its runtime or its kubelet is not the one to reach."""

ABOVE_TARGET = "AboveTarget"
NOT_READY = "NotReadyForRuntime"
PODS_STAY = "PodsNotDeleted"

_NUMBERS = re.compile(r"v?([0-9]{1,9})\.([0-9]{1,9})\.([0-9]{1,9})(?![0-9])")

Outcome = tuple[Phase, str, str]


class Answer(Protocol):
    """Whether a node could move to a runtime, in an agent's report or in the node's record."""

    @property
    def runtime(self) -> str: ...
    @property
    def ready(self) -> bool | None: ...
    @property
    def why(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Difference:
    """A version that a Node reports and that is not the one to reach."""

    member: str
    """The member of the policy that asks for it."""
    reported: str
    wanted: str
    above: bool
    """It is newer than each release that is meant."""

    def __str__(self) -> str:
        return f"{self.reported or 'nothing'} -> {self.wanted}"


def readiness_asked(spec: PolicySpec) -> tuple[str, ...]:
    """The runtimes about which an audit is asked: those of readinessFor, and the target."""
    runtime = spec.target.runtime
    target = (f"{runtime.name}={runtime.version}",) if runtime else ()
    return tuple(dict.fromkeys((*target, *spec.readiness_for)))


def differences(node: Node, spec: PolicySpec) -> tuple[Difference, ...]:
    """What the Node is to report otherwise; nothing where it is as wanted, or nothing is wanted."""
    return tuple(_differences(node, spec)) if spec.target.runtime or spec.target.kubelet else ()


def _differences(node: Node, spec: PolicySpec) -> Iterator[Difference]:
    runtime, kubelet = spec.target.runtime, spec.target.kubelet
    if runtime is not None:
        name, _, version = node.runtime.partition("://")
        wanted = f"{runtime.name}://{runtime.version}"
        place = _compare(version, runtime.version)
        if name != runtime.name:
            yield Difference("spec.target.runtime", node.runtime, wanted, above=False)
        elif place != 0:
            yield Difference("spec.target.runtime", node.runtime, wanted, above=place > 0)
    if kubelet is not None and (place := _compare(node.kubelet, kubelet.version)) != 0:
        wanted = f"kubelet v{kubelet.version}"
        yield Difference("spec.target.kubelet", node.kubelet, wanted, above=place > 0)


@lru_cache(maxsize=4096)
def _compare(reported: str, pattern: str) -> int:
    """-1, 0 or 1: below what is meant, within it, above it. What is no release is below."""
    found = _NUMBERS.match(reported)
    if found is None:
        return -1
    wanted = [int(part) for part in pattern.split(".") if part != "*"]
    numbers = [int(part) for part in found.groups()][: len(wanted)]
    return (numbers > wanted) - (numbers < wanted)


def told(found: tuple[Difference, ...]) -> str:
    """The differences in words, as what is reported and what is wanted."""
    return ", ".join(map(str, found))


def judged(node: Node, spec: PolicySpec, readiness: Iterable[Answer], stuck: str) -> Outcome | None:
    """Where a node rests whose config is well, by what an agent found; None where nothing is due.

    A node whose pods cannot be deleted, for which `stuck` says why, is not drained. One that is
    not known to work under the runtime to reach is not made ready for it.
    """
    found = differences(node, spec)
    if not found:
        return None
    if above := [each for each in found if each.above]:
        text = f"the Node reports a newer release than is wanted: {told(tuple(above))}"
        return Phase.BLOCKED, ABOVE_TARGET, f"{text}; raise {above[0].member}, nothing goes back"
    answers = {each.runtime: each for each in readiness}
    runtime = spec.target.runtime
    ready = answers.get(f"{runtime.name}={runtime.version}") if runtime is not None else None
    moves = any(each.member == "spec.target.runtime" for each in found)
    if moves and (ready is None or ready.ready is not True):
        why = (ready.why if ready is not None else "") or "the audit does not say why"
        known = "pods would not work" if ready is not None and ready.ready is False else "unknown"
        text = f"not made ready for {told(found)}: {known} there: {why}"
        return Phase.BLOCKED, NOT_READY, text
    if stuck:
        return Phase.BLOCKED, PODS_STAY, f"pods of the node cannot be deleted, so no drain: {stuck}"
    return Phase.WAITING, UPGRADE_DUE, f"the config is well; to be upgraded: {told(found)}"


def upgrade_due(node: Node, status: NodeStateStatus, spec: PolicySpec) -> bool:
    """Whether the next change of a node that waits is its upgrade, and not a file or a proof."""
    if status.verdict not in (Verdict.COMPATIBLE.value, Verdict.NOT_CNI.value):
        return False
    return bool(differences(node, spec))
