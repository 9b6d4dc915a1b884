"""What Flux and Argo CD make of every policy and node state that the planner brings about.

Judged by kstatus' own library and by the Lua of docs/how-to/gitops.md; the objects are those of the
simulated rollouts, each version of each of them, and one for each reason that no rollout meets.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml

from cni_upgrade.api import names
from cni_upgrade.api.parse import parse_policy
from cni_upgrade.planner.status import unreadable_policy
from cni_upgrade.planner.world.decisions import SetStatus
from cni_upgrade.planner.world.errors import unplannable
from cni_upgrade.planner.world.governance import matches
from cni_upgrade.planner.world.kubernetes_objects import Node
from cni_upgrade.planner.world.snapshot import Snapshot, Unjudged, Unread
from tests.judge import build
from tests.unit.api.kstatus import health
from tests.unit.planner import played_rollout
from tests.unit.planner.api_model import Api, Raw, merged
from tests.unit.planner.cluster_model import CONFIG
from tests.unit.planner.courses import COURSES
from tests.unit.planner.lost_answers import LOST_ANSWERS
from tests.unit.planner.mishaps import Mishaps, some_node, some_policy
from tests.unit.planner.played_rollout import Chaos, Rollout
from tests.unit.planner.samples import NOW, node, policy
from tests.unit.planner.scenarios import SCENARIOS
from tests.unit.planner.status.test_policy_status import status, world

ROOT = Path(__file__).resolve().parents[2]
SEEDS = range(12)

PHASES = {
    "Pending": "InProgress",
    "Auditing": "InProgress",
    "Waiting": "InProgress",
    "Draining": "InProgress",
    "Applying": "InProgress",
    "Proving": "InProgress",
    "RollingBack": "InProgress",
    "Compatible": "Current",
    "Done": "Current",
    "Failed": "Failed",
    "RolledBack": "Failed",
    "Blocked": "Failed",
    "ManagedElsewhere": "Failed",
}
ARGO = {"InProgress": "Progressing", "Current": "Healthy", "Failed": "Degraded"}
REASONS = {
    "Audited": "Current",
    "Enforced": "Current",
    "Auditing": "InProgress",
    "RollingOut": "InProgress",
    "Ending": "InProgress",
    "Paused": "InProgress",
    "Stopped": "InProgress",
    "WaitingForWindow": "InProgress",
    "RolloutBlocked": "InProgress",  # until it has been so for ten minutes
    "WaitingForProof": "InProgress",  # the same
    "NoNodeMatches": "InProgress",
    "NodeFailed": "Failed",
    "AuditsFailing": "Failed",
    "NodesBlocked": "Failed",
    "ClaimedByOther": "Failed",
    "PathsNotAllowed": "Failed",
    "PermissionDenied": "Failed",
    "NotUnderstood": "Failed",
    "CanaryFailed": "Failed",
    "CanaryBlocked": "Failed",
    "CanaryEmpty": "Failed",
    "WindowsInvalid": "Failed",
    "WindowTooShort": "Failed",
    "RecordsNotUnderstood": "Failed",
    "Unplannable": "Failed",
}
"""By the reason of Ready, as docs/reference/status.md lists them."""


@dataclass(frozen=True)
class Seen:
    """One version of an object; of a policy with the phases of its nodes, as recorded then."""

    story: str
    object: Raw
    phases: Mapping[str, str]

    @property
    def status(self) -> Raw:
        return self.object.get("status") or {}

    @property
    def observed(self) -> bool:
        return bool(self.status.get("observedGeneration") == self.object["metadata"]["generation"])

    def condition(self, kind: str) -> Raw:
        found = (c for c in self.status.get("conditions") or () if c["type"] == kind)
        return next(found, {})

    def __str__(self) -> str:
        return f"{self.story}: {json.dumps(self.object)}, nodes {dict(self.phases)}"


@dataclass
class Album:
    """Every version of our own objects, each once."""

    taken: dict[str, Seen] = field(default_factory=dict)

    def take(self, story: str, api: Api, raw: Raw) -> None:
        kind = "CNINodeState" if "nodeUID" in raw["spec"] else "CNIUpgradePolicy"
        object_ = {"apiVersion": names.API_VERSION, "kind": kind, **raw}
        phases: dict[str, str] = {}
        if kind == "CNIUpgradePolicy":
            selector = parse_policy(object_).spec.node_selector
            for node in map(Node.of, api.all("Node")):
                # One that is being deleted before its look or its change is nobody's work.
                if matches(selector, node.labels) and not node.deleting:
                    status = (api.find("CNINodeState", node.name) or {}).get("status") or {}
                    phase = status.get("phase", "Pending")
                    phases[node.name] = "looked at again" if _routine(status) else phase
        seen = Seen(story, object_, phases)
        self.taken.setdefault(json.dumps([seen.object, phases], sort_keys=True), seen)


def _routine(status: Raw) -> bool:
    """A good node that is looked at again, though nothing that is known has changed."""
    return bool(status.get("phase") == "Auditing" and status["reason"] == "RoutineAudit")


def chaotic(seed: int) -> Rollout:
    """Everything goes wrong."""
    random = Random(seed)  # noqa: S311
    r = Rollout(random=random)
    r.chaos = Chaos(crash=0.03, refused=0.02, lost=0.02, stale=0.2)
    for number in range(3):
        r.cluster.add_node(some_node(random, f"node-{number}"))
    r.cluster.apply_policy("cure", some_policy(random))
    mishaps = Mishaps(r, random)
    for _ in range(8):
        for _ in range(random.randint(5, 25)):
            r.step()
        mishaps.one()
    return r


@pytest.fixture(scope="module")
def album() -> dict[str, Seen]:
    """All that came about in the named scenarios and in some that go wrong at random."""
    made = Album()
    story = ""
    with pytest.MonkeyPatch.context() as patch:
        real = Api._store

        def store(api: Api, key: tuple[str, str, str], raw: Raw) -> Raw:
            stored = real(api, key, raw)
            if key[0] in (names.POLICY_KIND, names.NODE_STATE_KIND):
                made.take(story, api, stored)
            return stored

        patch.setattr(Api, "_store", store)
        # The unit tests hold the same rollouts against their rules, at the price of a second plan.
        patch.setattr(Rollout, "_check_memory", lambda *_: None)
        for rule in ("check", "check_course", "check_order"):
            patch.setattr(played_rollout, rule, lambda *_: None)
        plays: list[tuple[str, Callable[[], Rollout]]] = [
            (play.__name__, play) for play in (*SCENARIOS, *COURSES, *LOST_ANSWERS)
        ]
        plays += [(f"seed {seed}", lambda seed=seed: chaotic(seed)) for seed in SEEDS]  # type: ignore[misc]
        for story, play in plays:  # noqa: B007 - the closure above reads it
            play()
    for name, raw in rare():
        made.take(name, Api(NOW), raw)
    return made.taken


def rare() -> Iterator[tuple[str, Raw]]:
    """What needs a newer operator's objects, or an edit: the planner's words on worlds made up."""
    front = {"canary": {"nodeSelector": {"matchLabels": {"tier": "front"}}}}
    blocked, none = policy(rollout=front), policy(rollout=front)
    seen = world(blocked, "Blocked", "Waiting")
    at_front = {**seen.nodes, "node-0": node("node-0", tier="front")}
    yield "a canary that is blocked", status(replace(seen, nodes=at_front))
    yield "a canary that no node is", status(world(none, "Waiting"))
    newer = {"node-9": Unjudged(node("node-9"), False)}
    yield "records of a newer operator", status(world(policy(), "Done", unjudged=newer))
    broken = policy()
    said = unplannable(broken, world(broken, "Done"), OverflowError("date value out of range"))
    yield "a policy that cannot be planned for", merged(broken.to_api(), {"status": said.to_api()})
    unknown = Unread("cure-uid", "1", 1, -1, "spec.mode: Input should be 'Audit' or 'Enforce'")
    [turn] = unreadable_policy.turns(Snapshot(now=NOW, config=CONFIG, unread={"cure": unknown}))
    [word] = [act for act in turn.decisions if isinstance(act, SetStatus)]
    yield "a policy of a newer operator", merged(policy().to_api(), {"status": dict(word.status)})


def scripts() -> dict[str, str]:
    """The Lua of docs/how-to/gitops.md by kind."""
    text = (ROOT / "docs/how-to/gitops.md").read_text(encoding="utf-8")
    for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL):
        document = yaml.safe_load(block)
        if document["metadata"]["name"] == "argocd-cm":
            prefix = f"resource.customizations.health.{names.GROUP}_"
            return {key.removeprefix(prefix): lua for key, lua in document["data"].items()}
    raise AssertionError("docs/how-to/gitops.md has no argocd-cm")


class Health:
    """kstatus and the script of one kind."""

    def __init__(self, kind: str, folder: Path) -> None:
        self._script = folder / f"{kind}.lua"
        self._script.write_text(scripts()[kind], encoding="utf-8")
        self._program = build.build(build.HERE / "health", build.HERE / "health/main.go", "health")

    def of(self, objects: list[Raw]) -> list[Any]:
        done = subprocess.run(
            [str(self._program), str(self._script)],
            input="".join(f"{json.dumps(each)}\n" for each in objects),
            capture_output=True,
            text=True,
            check=True,
        )
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        assert len(answers) == len(objects)
        assert [a["error"] for a in answers if a["error"]] == []
        return answers


@pytest.fixture(scope="module")
def judges(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Health]:
    folder = tmp_path_factory.mktemp("lua")
    return {kind: Health(kind, folder) for kind in (names.POLICY_KIND, names.NODE_STATE_KIND)}


@pytest.fixture(scope="module")
def told(album: dict[str, Seen], judges: dict[str, Health]) -> dict[str, list[tuple[Seen, Any]]]:
    """What each judge says of each object, by kind."""
    answers = {}
    for kind, judge in judges.items():
        seen = [each for each in album.values() if each.object["kind"] == kind]
        answers[kind] = list(zip(seen, judge.of([each.object for each in seen]), strict=True))
    return answers


Told = dict[str, list[tuple[Seen, Any]]]


def test_node_states(told: Told) -> None:
    met: Counter[str] = Counter()
    for seen, answer in told[names.NODE_STATE_KIND]:
        phase = seen.status.get("phase", "Pending")
        expected = PHASES[phase] if seen.observed else "InProgress"
        if seen.observed and seen.status.get("reason") == "Unplannable":
            expected = "Failed"
        elif expected == "Current" and "to be audited again" in seen.status["message"]:
            # Where something else is asked for by now; a routine look may wait.
            expected = "InProgress" if seen.condition("Reconciling") else "Current"
        assert answer["kstatus"]["status"] == expected, str(seen)
        assert answer["argo"]["status"] == ARGO[expected], str(seen)
        met[phase] += seen.observed
    assert {phase for phase in PHASES if not met[phase]} == set(), "phases that never came about"


def test_policies_by_their_reason(told: Told) -> None:
    met: Counter[str] = Counter()
    for seen, answer in told[names.POLICY_KIND]:
        reason = seen.condition("Ready").get("reason", "")
        if "deletionTimestamp" in seen.object["metadata"]:
            assert answer["kstatus"]["status"] == "Terminating", str(seen)
            assert answer["argo"]["status"] == "Progressing", str(seen)
            continue
        hint = f"say here and in docs/reference/status.md how {reason} is to be read"
        assert not seen.observed or reason in REASONS, f"{hint}: {seen}"
        expected = REASONS[reason] if seen.observed else "InProgress"
        if reason in ("RolloutBlocked", "WaitingForProof") and seen.condition("Stalled"):
            expected = "Failed"
        assert answer["kstatus"]["status"] == expected, str(seen)
        held = expected == "InProgress" and seen.observed and reason in ("Paused", "Stopped")
        if held and not seen.condition("Reconciling"):
            assert answer["argo"]["status"] == "Suspended", str(seen)
        else:
            assert answer["argo"]["status"] == ARGO[expected], str(seen)
        if answer["kstatus"]["status"] == "Failed":
            assert answer["argo"]["message"] == seen.condition("Stalled")["message"]
        met[reason] += 1
    assert {reason for reason in REASONS if not met[reason]} == set(), "that never came about"


def test_every_reason_that_the_docs_have_is_judged() -> None:
    text = (ROOT / "docs/reference/status.md").read_text(encoding="utf-8")
    table = text.partition("| Ready | reason | meaning |")[2].partition("\n\n")[0]
    cells = [row.split("|")[2] for row in table.splitlines()[2:]]
    # The last ones are said of a policy that is being deleted: Terminating, whatever it says.
    leaving = {"Restoring", "Restored", "NotRestored"}
    assert set(re.findall(r"\w+", " ".join(cells))) == REASONS.keys() | leaving


def test_the_model_of_kstatus_in_the_unit_tests_is_right(told: Told) -> None:
    for pairs in told.values():
        for seen, answer in pairs:
            assert health(seen.object).value == answer["kstatus"]["status"], str(seen)


WORK = {"Draining", "Applying", "Proving", "RollingBack"}
"""Phases in which a node is being changed."""
PERSON = {"Failed", "RolledBack", "Blocked", "ManagedElsewhere"}


def named(told: Told) -> Iterator[tuple[Seen, Any]]:
    """Policies of scenarios in which every write lands: what was recorded is what was meant."""
    for seen, answer in told[names.POLICY_KIND]:
        if not seen.story.startswith("seed") and seen.observed:
            yield seen, answer


def test_a_policy_is_current_only_when_its_nodes_are(told: Told) -> None:
    """Judged by the nodes' phases, and not by what the policy's conditions say of them."""
    current = 0
    for seen, answer in named(told):
        spec, phases = seen.object["spec"], set(seen.phases.values())
        if answer["kstatus"]["status"] != "Current":
            continue
        current += 1
        assert seen.status["summary"]["matched"] > 0, str(seen)
        enforces = spec.get("mode") == "Enforce"
        if enforces and seen.story != "two_enforce_policies":
            assert phases <= {"Compatible", "Done", "looked at again"}, str(seen)
        # Of a node that was looked at the change is the work of the policy that enforces.
        assert not phases & {"Pending", *(WORK if enforces else ())}, str(seen)
    assert current > 10


def test_a_policy_is_failed_only_when_a_person_is_needed(told: Told) -> None:
    failed = 0
    for seen, answer in named(told):
        if answer["kstatus"]["status"] != "Failed":
            continue
        failed += 1
        reason = seen.condition("Stalled")["reason"]
        # What has failed counts also when its node or its record is gone.
        gone = reason == "NodeFailed" and seen.status["rollout"].get("failed")
        # Nobody may look there: the policy that has the nodes is for a person to mend.
        kept_out = "is not allowed here" in seen.condition("Stalled")["message"]
        if reason in ("NodeFailed", "NodesBlocked") and not (gone or kept_out):
            assert set(seen.phases.values()) & PERSON, str(seen)
        assert seen.condition("Stalled")["message"], str(seen)
    assert failed > 5


def test_never_seen_by_the_controller(told: Told, judges: dict[str, Health]) -> None:
    """What the API server makes of a new object, and what it would be without the default."""
    fresh = [seen for seen, _ in told[names.POLICY_KIND] if "conditions" not in seen.status]
    assert fresh
    assert all(seen.status == {"observedGeneration": -1} for seen in fresh)
    for kind, judge in judges.items():
        bare = {
            "apiVersion": names.API_VERSION,
            "kind": kind,
            "metadata": {"name": "x", "generation": 1},
            "spec": {},
        }
        born = {**bare, "status": {"observedGeneration": -1}}
        without, with_default = judge.of([bare, born])
        assert without["kstatus"]["status"] == "Current", "the trap that the default is for"
        assert with_default["kstatus"]["status"] == "InProgress"
        assert [a["argo"]["status"] for a in (without, with_default)] == ["Progressing"] * 2


def test_deleted(told: Told, judges: dict[str, Health]) -> None:
    for kind, judge in judges.items():
        objects = []
        for seen, _ in told[kind][:: max(1, len(told[kind]) // 50)]:
            meta = {**seen.object["metadata"], "deletionTimestamp": "2026-01-01T12:00:00Z"}
            objects.append({**seen.object, "metadata": meta})
        answers = judge.of(objects)
        assert {a["kstatus"]["status"] for a in answers} == {"Terminating"}
        assert {a["argo"]["status"] for a in answers} == {"Progressing"}


def test_an_old_status_is_not_taken_for_the_new_spec(told: Told, judges: dict[str, Health]) -> None:
    for kind, judge in judges.items():
        objects = []
        for seen, answer in told[kind]:
            if answer["kstatus"]["status"] in ("Current", "Failed"):
                meta = {**seen.object["metadata"]}
                meta["generation"] += 1
                objects.append({**seen.object, "metadata": meta})
        answers = judge.of(objects)
        assert {a["kstatus"]["status"] for a in answers} == {"InProgress"}
        assert {a["argo"]["status"] for a in answers} == {"Progressing"}
