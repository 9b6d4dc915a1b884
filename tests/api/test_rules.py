"""Every rule of both CRDs, asked of the real API server: what keeps it, and what breaks it."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from cni_upgrade.api.crd import NODE_STATE, POLICY, crd
from tests.api.objects import node_state, policy
from tests.api.rule_cases import CASES, DURATIONS, LABEL_KEYS, Case, requirement
from tests.api.rules import BY_HAND, Rule, broken, kept, placed, rules
from tests.api.server import Answer, Collection, Server


def schema_of(kind: str) -> dict[str, Any]:
    resource = {"policy": POLICY, "node state": NODE_STATE}[kind]
    found: dict[str, Any] = crd(resource)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return found


SCHEMAS = {kind: schema_of(kind) for kind in ("policy", "node state")}
RULES = [
    (kind, rule)
    for kind, schema in SCHEMAS.items()
    for part in ("spec", "status")
    for rule in rules(schema["properties"][part], (part,))
]


class Asker:
    """Puts a value at a place of an object, and asks the API server about it."""

    def __init__(self, collections: dict[str, Collection]) -> None:
        self._collections = collections
        self._stored: dict[str, dict[str, Any]] = {}

    def ask(self, kind: str, path: tuple[str, ...], value: Any) -> Answer:
        part, *rest = path
        content = placed(SCHEMAS[kind]["properties"][part], rest, value)
        smallest = {"policy": policy, "node state": node_state}[kind]
        if part == "spec":
            return self._collections[kind].try_out({**smallest("tried"), "spec": content})
        # A status is only looked at on an object that is there.
        if kind not in self._stored:
            self._stored[kind] = self._collections[kind].create(smallest("stored"))
        return self._collections[kind].put(
            "stored",
            {**self._stored[kind], "status": content},
            subresource="/status",
            dry=True,
        )


@pytest.fixture(scope="module")
def asker(server: Server) -> Iterator[Asker]:
    collections = {
        "policy": Collection(server, POLICY.plural),
        "node state": Collection(server, NODE_STATE.plural),
    }
    yield Asker(collections)
    for collection in collections.values():
        collection.delete_all()


def named(message: str, path: tuple[str, ...]) -> bool:
    """Whether a refusal says which field it is about."""
    steps = ""
    for step in path:
        match step:
            case "[]":
                steps += r"\[\d+\]"
            case "{}":
                steps += r"[.\[]key\]?"
            case _:
                steps += rf"\.{step}"
    return re.search(steps.removeprefix(r"\."), message) is not None


@pytest.mark.parametrize(
    ("kind", "rule"),
    [(kind, rule) for kind, rule in RULES if rule.keyword not in BY_HAND],
    ids=lambda p: str(p) if isinstance(p, Rule) else p.replace(" ", "-"),
)
def test_every_plain_rule(asker: Asker, kind: str, rule: Rule) -> None:
    for value in [] if rule.needs_examples else kept(rule):
        answer = asker.ask(kind, rule.path, value)
        assert answer.ok, f"{value!r:.80}: {answer.message}"
    for value in broken(rule):
        answer = asker.ask(kind, rule.path, value)
        assert answer.status == 422, f"{value!r:.80} was taken"
        assert named(answer.message, rule.path), answer.message
        if rule.keyword == "enum":
            for allowed in rule.schema["enum"]:
                assert f'"{allowed}"' in answer.message


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.kind}-{c.path}".replace(" ", "-"))
def test_rules_with_examples_by_hand(asker: Asker, case: Case) -> None:
    for value in case.good:
        answer = asker.ask(case.kind, case.steps(), value)
        assert answer.ok, f"{value!r:.80}: {answer.message}"
    for value in case.bad:
        answer = asker.ask(case.kind, case.steps(), value)
        assert answer.status == 422, f"{value!r:.80} was taken"
        assert case.says in answer.message


def test_a_whole_rollout(asker: Asker) -> None:
    """What only stands together: labels with their order, a schedule with its duration."""
    for key in LABEL_KEYS["good"]:
        for value in ("", "a", "eu-1", "x" * 63):
            order = {"by": "Label", "label": {"key": key, "values": [value]}}
            assert asker.ask("policy", ("spec", "rollout", "order"), order).ok
    selectors = [{"matchExpressions": [requirement("In", "a")]}] * 16
    whole = {"by": "Selectors", "selectors": selectors}
    assert asker.ask("policy", ("spec", "rollout", "order"), whole).ok
    for soak in DURATIONS["good"]:
        canary = {"nodes": 1, "soak": soak}
        assert asker.ask("policy", ("spec", "rollout", "canary"), canary).ok
    schedules = ("0 22 * * 1-5", "*/5 0-6,22-23 1,15 JAN-MAR mon#1", "0 0 L * *", "0 3 LW * 5L")
    zones = ("UTC", "Etc/GMT+5", "Europe/Berlin", "America/Argentina/Buenos_Aires", "CST6CDT")
    for schedule in schedules:
        for zone in zones:
            windows = [{"schedule": schedule, "duration": "1h30m", "timeZone": zone}]
            answer = asker.ask("policy", ("spec", "rollout", "windows"), windows)
            assert answer.ok, answer.message


def test_no_rule_is_without_a_test() -> None:
    asked = {(c.kind, c.steps(), keyword) for c in CASES for keyword in c.keywords}
    there = {(kind, r.path, r.keyword) for kind, r in RULES if r.keyword in BY_HAND}
    assert asked == there
