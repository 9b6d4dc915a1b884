"""Plays whole rollouts: plan, carry out decision by decision, let the cluster go on, again.

With a `Random` everything goes wrong that can: turns are carried out in any order, the controller
dies between two decisions, answers are lost, and its view of the cluster is old.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any

from cni_upgrade.planner.node.node_lease import HOLDER
from cni_upgrade.planner.pass_cache import PassCache
from cni_upgrade.planner.plan import plan
from cni_upgrade.planner.world import decisions as d
from cni_upgrade.planner.world.batch import GARBAGE, Batch
from cni_upgrade.planner.world.operator_config import OperatorConfig
from cni_upgrade.planner.world.snapshot import Snapshot
from tests.unit.planner.api_model import ApiError, Raw
from tests.unit.planner.cluster_model import AGENTS, CONFIG, LEASES, PROOF, START, Cluster
from tests.unit.planner.controller_model import KINDS, Controller
from tests.unit.planner.course_rules import Logbook, check_course, check_order
from tests.unit.planner.invariants import (
    Carried,
    Ledger,
    check,
    check_given_back,
    check_write,
    note_idle,
    question,
)
from tests.unit.planner.reason_rules import check_reasons
from tests.unit.planner.upgrade_rules import Known, check_upgrade

LONGEST = 6 * 3600
"""Seconds of the simulated clock after which a rollout that does not end is called stuck."""

_ACTS = re.compile(r": (Evict|\w+ refused)")
_HEX = re.compile(r"\b([a-z-]+)-([0-9a-f]{20})\b")


class CrashError(Exception):
    """The controller process is gone."""


@dataclass(frozen=True)
class Chaos:
    """How likely each mishap is, per decision or per pass."""

    crash: float = 0.0
    refused: float = 0.0
    lost: float = 0.0
    stale: float = 0.0
    shuffle: bool = True


@dataclass
class Rollout:
    """A cluster with the operator in it."""

    cluster: Cluster = field(default_factory=Cluster)
    random: Random | None = None
    chaos: Chaos = Chaos()
    crash_at: int | None = None
    """Number of the decision after which the controller dies, from 0."""
    crash_before: bool = False
    crash_on: str = ""
    """The controller dies once before the first decision of this kind, then stays dead."""
    own_node: str = ""
    config: OperatorConfig = CONFIG
    ledger: Ledger = field(default_factory=Ledger)
    logbook: Logbook = field(default_factory=Logbook)
    known: Known = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    dead: bool = False
    """No process: the cluster goes on alone."""
    count: int = 0
    """Decisions so far."""
    pace: int = 1
    """Seconds that a pass takes at least."""
    doubt: int = 1
    """Of so many passes that decide something, one is planned without what is remembered too."""

    controller: Controller = field(init=False)

    def __post_init__(self) -> None:
        self.controller = Controller(self.cluster, self.config, own_node=self.own_node)
        self._ids: dict[str, int] = {}
        self._quiet = self._passes = 0
        self._memory = PassCache()
        self._said: dict[str, str] = {}

        def listen(node: str, operation: Any) -> None:
            check_write(self.cluster, self.ledger, node, operation)

        def looks(node: str, operation: Any) -> None:
            self.ledger.looked[operation.id] = question(self.cluster, node)

        # The cluster calls these as an agent is about to write, or to look.
        self.cluster.on_write = listen  # type: ignore[method-assign]
        self.cluster.on_look = looks  # type: ignore[method-assign]

    def restart(self) -> None:
        """Another process takes over: nothing is known but what the cluster says."""
        denied = self.controller.denied
        self.controller = Controller(self.cluster, self.config, own_node=self.own_node)
        self.controller.denied = denied
        self._memory = PassCache()

    def lose_the_lease(self, passes: int) -> None:
        """Another process leads, and what the first had planned reaches the API server so many
        passes later: the last requests of a process whose machine was suspended."""
        late = self.controller
        world = late.snapshot()
        turns = plan(world)
        self.restart()
        for _ in range(passes):
            self.step()
        leads, self.controller = self.controller, late
        try:
            for turn, decision in self._ordered(turns):
                if not self._carry(world, turn, decision):
                    self._ended.add(turn.subject)
        except CrashError:
            self.say("-- the controller that had led dies")
        finally:
            self.controller = leads

    def set_clock(self, hours: int) -> None:
        """The API server's clock is set, and the controller that goes on is another process: one
        that lives on follows slowly (controller/clock.py)."""
        self.cluster.api.now += timedelta(hours=hours)
        well = self.logbook.well
        well |= {node: min(since, self.cluster.now) for node, since in well.items()}
        self.restart()

    def say(self, text: str) -> None:
        """A line of the transcript; ids are numbered so that it says the same every time."""

        def numbered(found: re.Match[str]) -> str:
            number = self._ids.setdefault(found[2], len(self._ids) + 1)
            return f"{found[1]}-#{number}"

        if _ACTS.search(text) and self._said.get(text.split(":")[0]) == text:
            return  # Asked again every few seconds: once is enough to read.
        self._said[text.split(":")[0]] = text
        seconds = int((self.cluster.now - START).total_seconds())
        clock = f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
        self.lines.append(f"{clock}  {_HEX.sub(numbered, text)}")

    def once(self) -> bool:
        """One pass; True where something was decided."""
        if self.dead:
            return False
        chance = self.random
        stale = chance is not None and chance.random() < self.chaos.stale
        if stale and chance is not None:
            # Our own records are always known as we wrote them; anything else may be old.
            kinds = tuple(k for k in KINDS if k == "CNINodeState" or chance.random() < 0.5)
            self.controller.refresh(kinds)
        else:
            self.controller.refresh()
        world = self.controller.snapshot()
        if not stale:
            note_idle(world, self.ledger)
        turns = plan(world, self._memory)
        self._check_memory(world, turns)
        check_order(world, turns)
        asked = {turn.subject for turn in turns}
        for gone in [s for s in self.controller.errors if s.startswith(GARBAGE) and s not in asked]:
            del self.controller.errors[gone]
        try:
            for turn, decision in self._ordered(turns):
                if not self._carry(world, turn, decision):
                    self._ended.add(turn.subject)
        except CrashError:
            self.say("-- the controller dies and starts again")
            self.restart()
        return bool(turns)

    def _check_memory(self, world: Snapshot, turns: tuple[Batch, ...]) -> None:
        """What is remembered of earlier passes spares time and decides nothing.

        A second plan costs as much as all the rest of a pass, and nearly all passes decide nothing.
        Of those one in three is enough, and one in eight where nothing is left to chance: what is
        decided a few passes late is at another time in the transcript.
        """
        self._passes += 1
        if turns and self.doubt > 1:
            checked = self._passes % self.doubt == 0
        else:
            checked = bool(turns) or self._quiet % (8 if self.random is None else 3) == 0
        if checked:
            assert turns == plan(world), "\n".join(self.lines[-40:])

    def _ordered(self, turns: tuple[Batch, ...]) -> Iterator[tuple[Batch, d.Decision]]:
        """Turns side by side, each in its own order, until its first refusal."""
        self._ended: set[str] = set()
        queues = [(turn, list(turn.decisions)) for turn in turns]
        while queues:
            shuffled = self.random is not None and self.chaos.shuffle
            index = self.random.randrange(len(queues)) if self.random and shuffled else 0
            turn, queue = queues[index]
            if not queue or turn.subject in self._ended:
                if turn.subject not in self._ended:
                    self.controller.errors.pop(turn.subject, None)
                del queues[index]
                continue
            yield turn, queue.pop(0)

    def _carry(self, world: Snapshot, turn: Batch, decision: d.Decision) -> bool:
        chance = self.random.random() if self.random else 1.0
        chaos = self.chaos
        number, self.count = self.count, self.count + 1
        if type(decision).__name__ == self.crash_on:
            self.crash_on, self.dead = "", True
            raise CrashError
        if (number == self.crash_at and self.crash_before) or chance < chaos.crash / 2:
            raise CrashError
        if chaos.crash <= chance < chaos.crash + chaos.refused:
            self.controller.errors[turn.subject] = "the server is on fire"
            return False
        before, shown = self._target(decision), self._shown(decision)
        try:
            self.controller.carry(decision)
        except ApiError as error:
            if error.status != 409:
                self.controller.errors[turn.subject] = error.message
                self.say(f"{turn.subject}: {type(decision).__name__} refused: {error}")
            return False
        self._tell(turn, decision, shown)
        event = Carried(decision, world, before, self.cluster, self.ledger)
        check(event)
        check_course(event, self.logbook)
        check_upgrade(event, self.known)
        check_reasons(decision)
        if (number == self.crash_at and not self.crash_before) or chance < chaos.crash:
            raise CrashError
        after = chaos.crash + chaos.refused
        if after <= chance < after + chaos.lost:
            self.controller.errors[turn.subject] = "no answer from the API server"
            return False
        return True

    def _target(self, decision: d.Decision) -> Raw:
        api = self.cluster.api
        match decision:
            case d.SetStatus(kind=kind, name=name):
                found = api.find(kind, name)
            case d.Claim(name=name):
                found = api.find("CNINodeState", name)
            case (
                d.Cordon(node=node)
                | d.Uncordon(node=node)
                | d.Unmark(node=node)
                | d.Announce(node=node)
            ):
                found = api.find("Node", node)
            case d.TakeLease(name=name) | d.DropLease(name=name):
                found = api.find("Lease", name, LEASES)
            case d.DeleteProof(name=name):
                found = api.find("Pod", name, PROOF)
            case d.DeleteJob(name=name):
                found = api.find("Job", name, AGENTS)
            case d.Evict(namespace=namespace, name=name):
                found = api.find("Pod", name, namespace)
            case _:
                found = None
        return found or {}

    def _shown(self, decision: d.Decision) -> Raw:
        """A status as the controller goes on from it, recorded or not."""
        match decision:
            case d.KeepStatus(name=name) | d.SetStatus(kind="CNINodeState", name=name):
                return self.controller.status(name)
            case d.SetStatus(kind=kind, name=name):
                return (self.cluster.api.find(kind, name) or {}).get("status") or {}
        return self._target(decision)

    def _tell(self, turn: Batch, decision: d.Decision, before: Raw) -> None:
        match decision:
            case d.SetStatus(kind=kind, name=name):
                self._tell_status(kind, name, before)
            case d.KeepStatus(name=name):
                self._tell_status("CNINodeState", name, before)
            case d.CreateJob(name=name) | d.CreateProof(name=name) | d.Evict(name=name):
                self.say(f"{decision.node}: {type(decision).__name__} {name}")
            case d.DeleteJob(name=name) | d.DeleteProof(name=name):
                self.say(f"{_subject(turn)}: {type(decision).__name__} {name}")
            case d.Cordon(node=node) | d.Uncordon(node=node) | d.Unmark(node=node):
                self.say(f"{node}: {type(decision).__name__}")
            case d.Announce(node=node, operation=operation):
                self.say(f"{node}: {f'Announce {operation}' if operation else 'Announce nothing'}")
            case d.Claim(policy_ref=ref, label=label):
                text = f"claimed by {ref['name']}" if ref else f"selected by {label or 'nobody'}"
                self.say(f"{decision.name}: {text}")
            case d.TakeLease(name=name):
                again = before and before["spec"]["holderIdentity"] == HOLDER
                self.say(f"{turn.subject}: {'Renew' if again else 'Take'}Lease {name}")
            case d.DropLease(name=name):
                self.say(f"{_subject(turn)}: DropLease {name}")
            case d.SetFinalizers(policy=name, finalizers=kept):
                self.say(f"policy {name}: finalizers {', '.join(kept) or 'none'}")
            case d.CreateState() | d.DeleteState():
                self.say(f"{decision.name}: {type(decision).__name__}")
            case _:
                pass

    def _tell_status(self, kind: str, name: str, before: Raw) -> None:
        raw = self.cluster.api.find(kind, name)
        if raw is None:
            return
        old, new = before, raw["status"]
        if kind == "CNINodeState":
            new = self.controller.status(name)
        subject = name
        was, now = old.get("phase", "Pending"), new.get("phase", "Pending")
        if kind == "CNIUpgradePolicy":
            subject = f"policy {name}"
            was, now = (_shown(s.get("conditions", ())) for s in (old, new))
        told = f"{now} ({new['reason']})" if "reason" in new else now
        if was != now:
            self.say(f"{subject}: {was} -> {told}: {new.get('message', '')}")
        elif old.get("message") != new.get("message") and kind == "CNINodeState":
            self.say(f"{subject}: {told}: {new.get('message', '')}")
        if kind == "CNIUpgradePolicy" and (wave := _wave(new)) not in ("", _wave(old)):
            self.say(f"{subject}: {wave}")

    # Time.

    def step(self) -> bool:
        """A pass, then time goes on: slowly while there is something to see."""
        decided = self.once()
        self._quiet = 0 if decided else self._quiet + 1
        self.cluster.tick(max(self.pace, min(1 + self._quiet // 4, 20)))
        return decided

    def until(self, reached: Callable[[], bool], seconds: int = LONGEST) -> None:
        """Play on; a rollout that does not get there is stuck, and its transcript says where."""
        start = self.cluster.now
        while not reached():
            self.step()
            if (self.cluster.now - start).total_seconds() > seconds:
                raise AssertionError("stuck:\n" + "\n".join(self.lines[-40:]))

    def play(self, seconds: int) -> None:
        """Let so much time pass."""
        start = self.cluster.now
        while (self.cluster.now - start).total_seconds() < seconds:
            self.step()

    def status(self, node: str) -> Raw:
        """How far the controller is with a node; what is recorded of it where none lives."""
        return self.cluster.status(node) if self.dead else self.controller.status(node)

    def phase(self, node: str) -> str:
        """The phase that a node is in; a person sees it some seconds later."""
        return str(self.status(node).get("phase", "Pending"))

    def step_of(self, node: str) -> str:
        """The step of the operation under way, or nothing."""
        return str((self.status(node).get("operation") or {}).get("step", ""))

    def resting(self) -> bool:
        """Every node has a record and none is worked on."""
        states = {s["metadata"]["name"]: s for s in self.cluster.states()}
        return all(
            name in states
            and not states[name]["status"].get("operation")
            and states[name]["status"].get("phase", "Pending") != "Pending"
            for name in self.cluster.disks
        )

    def settle(self, seconds: int = LONGEST, patience: int = 90) -> None:
        """Play until nothing was decided for a while; then the cluster must be left in order."""
        start, quiet_since = self.cluster.now, self.cluster.now
        while (self.cluster.now - quiet_since).total_seconds() < patience or self._due():
            if self.step() or not self.resting():
                quiet_since = self.cluster.now
            if (self.cluster.now - start).total_seconds() > seconds:
                raise AssertionError("never quiet:\n" + "\n".join(self.lines[-60:]))
        check_given_back(self.cluster, self.controller.snapshot().looking_since)

    def _due(self) -> bool:
        """Whether anything is to be decided: time alone may open a window, or end a soak."""
        self.controller.refresh()
        return plan(self.controller.snapshot()) != ()

    @property
    def transcript(self) -> str:
        return "\n".join(self.lines) + "\n"


def _shown(conditions: Any) -> str:
    ready = next((c["reason"] for c in conditions if c["type"] == "Ready"), "new")
    more = [c["type"] for c in conditions if c["type"] in ("Stalled", "Reconciling", "Overlapping")]
    return f"{ready} [{', '.join(more)}]" if more else ready


def _wave(status: Raw) -> str:
    """The present wave of a rollout that has several, and whether its canary soaks."""
    rollout = status.get("rollout") or {}
    canary = rollout.get("canary") or {}
    if rollout.get("of", 0) < 2 and not canary:
        return ""
    number = f" ({rollout['number']} of {rollout['of']})" if rollout.get("number") else ""
    soaks = canary.get("soakSince") and not canary.get("passedAt")
    return f"wave {rollout['wave']}{number}" + (f": {rollout['waitsFor']}" if soaks else "")


def _subject(turn: Batch) -> str:
    """Whose turn it is: what is left over names itself in what is done about it."""
    return "leftovers" if turn.subject.startswith(GARBAGE) else turn.subject
