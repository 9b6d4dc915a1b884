"""What is done to the cluster, and when: all of it follows from the seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

WEIGHTS = {
    "break a config": 10,
    "kill the controller that leads": 4,
    "kill the controller that follows": 1,
    "delete a controller's pod": 1,
    "kill an agent": 5,
    "delete the Job of an agent": 1,
    "kill a kubelet": 3,
    "kill a runtime": 3,
    "reboot a node": 1,
    "change the policy": 2,
    "run a pod": 3,
    "delete a pod": 2,
}
"""How often each deed is chosen."""

VERSIONS = ("", "0.3.1", "0.4.0", "1.0.0")
"""What a broken config says; empty: no version at all."""


@dataclass(frozen=True)
class Deed:
    """One deed: seconds after the start, on which node, and what else was chosen for it."""

    at: float
    kind: str
    node: str
    version: str
    """Of a config that is broken, or that a policy asks for."""
    seconds: float
    """How long what was stopped stays away, or an agent may work before it is killed."""


def schedule(seed: int, seconds: float, nodes: Sequence[str]) -> list[Deed]:
    """Return the deeds of so many seconds."""
    random = Random(seed)  # noqa: S311
    kinds, weights = list(WEIGHTS), list(WEIGHTS.values())
    deeds: list[Deed] = []
    at = 5.0
    while at < seconds:
        [kind] = random.choices(kinds, weights)
        away = random.choice((0.0, 2.0, 10.0, 30.0, 70.0))
        deeds.append(Deed(at, kind, random.choice(nodes), random.choice(VERSIONS), away))
        at += random.uniform(4.0, 20.0)
    return deeds
