"""Nodes are upgraded by somebody else while everything goes wrong: safe at each step, and ended."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from random import Random

import pytest

from cni_upgrade.planner.node.upgrade_target import differences, judged, readiness_asked
from tests.unit.planner import samples
from tests.unit.planner.played_rollout import Chaos, Rollout
from tests.unit.planner.scenarios import message, of, old, phases
from tests.unit.planner.upgrade_scenarios import NEW, UPGRADE, announced, takes_pods, well

_LONGEST = 12 * 3600


@dataclass
class Upgrader:
    """Another program: it takes each node that is announced, and is done some steps later."""

    rollout: Rollout
    takes: int = 4
    wrong_first: bool = False
    """Each node gets another version at first, and the right one long after."""
    _busy: dict[str, int] = field(default_factory=dict)

    def step(self) -> None:
        """Begin, go on, or end; then the operator's turn."""
        cluster = self.rollout.cluster
        for name in cluster.disks:
            if name not in self._busy and announced(self.rollout, name):
                self._busy[name] = 0
                cluster.set_ready(name, "Unknown")
            elif name in self._busy:
                self._busy[name] += 1
                if self._busy[name] == self.takes:
                    cluster.reboot(name, "boot-2")
                    wrong = {"runtime": "containerd://1.7.9"}
                    cluster.upgrade(name, **(wrong if self.wrong_first else NEW))
                    cluster.set_ready(name, "True")
                elif self.wrong_first and self._busy[name] == 10 * self.takes:
                    cluster.upgrade(name, **NEW)
        self.rollout.step()

    def began(self, node: str) -> bool:
        """Whether it has begun with the node."""
        return node in self._busy

    def until_done(self) -> None:
        """Until each node is Done, and given back."""
        cluster = self.rollout.cluster
        start = cluster.now
        while set(phases(self.rollout).values()) != {"Done"}:
            self.step()
            late = (cluster.now - start).total_seconds() > _LONGEST
            assert not late, "\n".join(self.rollout.lines[-60:])
        for name in cluster.disks:
            assert takes_pods(self.rollout, name)
            assert not announced(self.rollout, name)


def small() -> Rollout:
    r = of(old("node-a"), well("node-b"))
    r.cluster.apply_policy("fleet", UPGRADE)
    return r


def decisions() -> int:
    r = small()
    Upgrader(r).until_done()
    return r.count


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_the_controller_dies_around_every_single_decision(before: bool) -> None:
    for number in range(decisions()):
        r = small()
        r.crash_at, r.crash_before = number, before
        Upgrader(r).until_done()


@pytest.mark.parametrize("seed", range(20))
def test_everything_goes_wrong(seed: int) -> None:
    random = Random(seed)  # noqa: S311
    r = small()
    r.random = random
    r.chaos = Chaos(crash=0.05, refused=0.05, lost=0.05, stale=0.2)
    Upgrader(r, takes=random.randrange(1, 30), wrong_first=random.random() < 0.5).until_done()


def test_everything_is_stopped_at_every_moment() -> None:
    """What nobody has begun is given back; what has begun is brought to its end."""
    whole, passes = small(), 0
    upgrader = Upgrader(whole)
    while set(phases(whole).values()) != {"Done"}:
        upgrader.step()
        passes += 1
    for number in range(1, passes, 2):
        r = small()
        upgrader = Upgrader(r)
        for _ in range(number):
            upgrader.step()
        r.say("== everything is stopped")
        r.cluster.stopped = "a trial"
        for _ in range(200):
            upgrader.step()
        for name in r.cluster.disks:
            # No agent looks at it while everything is stopped, and so it is not given back.
            waits = upgrader.began(name) and "everything is stopped" in message(r, name)
            assert takes_pods(r, name) or waits, r.transcript
        r.cluster.stopped = ""
        upgrader.until_done()


@pytest.mark.parametrize(
    ("runtime", "kubelet", "pattern", "left"),
    [
        ("containerd://1.7.24", "v1.34.4", "1.7.24", []),
        ("containerd://1.7.24~ds1", "v1.34.4", "1.7.24", []),
        ("containerd://1.7.24-k3s1", "v1.34.4+k3s1", "1.7.*", []),
        ("containerd://1.7.241", "v1.34.4", "1.7.24", ["above"]),
        ("containerd://1.7.2", "v1.34.4", "1.7.24", ["below"]),
        ("containerd://1.10.0", "v1.34.4", "1.9.*", ["above"]),
        ("containerd://2.0.0", "v1.34.4", "2.*", []),
        ("containerd://v2.0.0-rc.1", "v1.34.4", "2.*", []),
        ("docker://20.10.7", "v1.34.4", "2.*", ["below"]),
        ("cri-o://2.0.0", "v1.34.4", "2.*", ["below"]),
        ("", "v1.34.4", "2.*", ["below"]),
        ("containerd://2.0.0", "v1.33.4", "2.*", ["below"]),
        ("containerd://2.0.0", "v1.34.4-eks-1-34-4", "2.*", []),
        ("containerd://2.0.0", "v1.35.0", "2.*", ["above"]),
    ],
)
def test_versions_are_compared_as_numbers(
    runtime: str, kubelet: str, pattern: str, left: list[str]
) -> None:
    node = replace(samples.node(), runtime=runtime, kubelet=kubelet)
    target = {"runtime": {"name": "containerd", "version": pattern}}
    spec = samples.policy(target={**target, "kubelet": {"version": "1.34.*"}}).spec
    found = ["above" if each.above else "below" for each in differences(node, spec)]
    assert found == left


def test_without_a_target_nothing_is_due() -> None:
    spec = samples.policy().spec
    assert differences(samples.node(), spec) == ()
    assert readiness_asked(spec) == ()
    assert judged(samples.node(), spec, (), "") is None
