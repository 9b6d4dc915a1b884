"""Every rule of both CRDs, asked of the real API server: what keeps it, and what breaks it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from cni_upgrade.api.crd import NODE_STATE, POLICY, crd
from tests.api.objects import AT, node_state, policy
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


@dataclass(frozen=True)
class Case:
    """Examples for rules that a program cannot invent any for."""

    kind: str
    path: str
    keywords: tuple[str, ...]
    good: tuple[Any, ...]
    bad: tuple[Any, ...]
    says: str

    def steps(self) -> tuple[str, ...]:
        return tuple(self.path.split("."))


def condition(**members: object) -> dict[str, object]:
    return {
        "type": "Ready",
        "status": "True",
        "reason": "Because",
        "message": "",
        "lastTransitionTime": AT,
        **members,
    }


def requirement(operator: str, *values: str) -> dict[str, object]:
    return {"key": "zone", "operator": operator, "values": list(values)}


DURATIONS = {
    "good": ("1s", "90s", "15m", "2h", "1h30m", "9999h99999m999999s"),
    "bad": ("", "5", "0m", "-5m", "15 m", "1.5h", "30m1h", "1d", "10000h", "5m" * 11),
}
INT_OR_PERCENT = {
    "good": (1, 5000, "1%", "10%", "99%", "100%"),
    "bad": (
        *(0, -1, "0%", "00%", "05%", "101%", "200%", "1000%", "5", "", "ten", "10 %", 1.5, True),
    ),
}
LABEL_KEYS = {
    "good": ("zone", "node-role.kubernetes.io/worker", "a_b.c", "x" * 63, "e.io/" + "x" * 63),
    "bad": ("", "a b", "/zone", "a/b/c", "-a", "x" * 64, "E.io/zone", "a." * 200 + "io/zone"),
}


def selector_cases(path: str, *, within: bool) -> tuple["Case", ...]:
    """The rules of a label selector. `within`: alone it is not enough for what it stands in."""

    def good(*values: Any) -> tuple[Any, ...]:
        return () if within else values

    return (
        Case(
            "policy",
            f"{path}.matchLabels.{{}}",
            ("pattern",),
            good=good("", "a", "eu-1", "v1.0_b", "x" * 63),
            bad=("a b", "-a", "a-", "a/b", "x" * 64),
            says="matchLabels.key",
        ),
        Case(
            "policy",
            f"{path}.matchExpressions.[].key",
            ("pattern",),
            good=good(*LABEL_KEYS["good"]),
            bad=LABEL_KEYS["bad"],
            says=".key",
        ),
        Case(
            "policy",
            f"{path}.matchExpressions.[].values.[]",
            ("pattern",),
            # Alone the value is refused for its operator: see the case of the whole requirement.
            good=(),
            bad=("a b", "-a", "x" * 64),
            says=".values[0]",
        ),
        Case(
            "policy",
            f"{path}.matchExpressions.[]",
            ("x-kubernetes-validations",),
            good=good(
                requirement("In", "a"),
                requirement("NotIn", "a", ""),
                requirement("Exists"),
                requirement("DoesNotExist"),
                {"key": "zone", "operator": "Exists"},
                requirement("In", *("x" * 63 for _ in range(64))),
            ),
            bad=(
                requirement("In"),
                requirement("NotIn"),
                {"key": "zone", "operator": "In"},
                requirement("Exists", "a"),
                requirement("DoesNotExist", "a"),
            ),
            says="values: ",
        ),
    )


SELECTOR = {"matchLabels": {"a": "b"}}
LABEL = {"key": "env", "values": ["dev", "prod"]}
CASES = (
    *selector_cases("spec.nodeSelector", within=False),
    *selector_cases("spec.rollout.canary.nodeSelector", within=False),
    # Selectors without by: Selectors are refused: see the case of the whole order.
    *selector_cases("spec.rollout.order.selectors.[]", within=True),
    Case(
        "policy",
        "spec.rollout.canary",
        ("x-kubernetes-validations",),
        good=(
            {"nodes": 1},
            {"nodes": "5%", "soak": "1h"},
            {"nodeSelector": {}},
            {"nodeSelector": SELECTOR, "soak": "24h"},
        ),
        bad=({}, {"soak": "1h"}, {"nodes": 1, "nodeSelector": SELECTOR}),
        says="canary: exactly one of nodes and nodeSelector is needed",
    ),
    Case(
        "policy",
        "spec.rollout.canary.nodes",
        ("pattern", "x-kubernetes-int-or-string"),
        **INT_OR_PERCENT,
        says="spec.rollout.canary.nodes",
    ),
    Case(
        "policy",
        "spec.rollout.order",
        ("x-kubernetes-validations",),
        good=(
            {},
            {"by": "Name"},
            {"by": "Zone"},
            {"by": "Label", "label": LABEL},
            {"by": "Selectors", "selectors": [SELECTOR, {}]},
            {"by": "Zone", "selectors": []},
        ),
        bad=(
            {"by": "Label"},
            {"label": LABEL},
            {"by": "Zone", "label": LABEL},
            {"by": "Selectors"},
            {"by": "Selectors", "selectors": []},
            {"selectors": [SELECTOR]},
            {"by": "Label", "label": LABEL, "selectors": [SELECTOR]},
        ),
        says="needed with by: ",
    ),
    Case(
        "policy",
        "spec.rollout.order.label.key",
        ("pattern",),
        good=(),  # Only with by: Label, see above.
        bad=LABEL_KEYS["bad"],
        says="spec.rollout.order.label.key",
    ),
    Case(
        "policy",
        "spec.rollout.order.label.values.[]",
        ("pattern",),
        good=(),
        bad=("a b", "-a", "a-", "a/b", "x" * 64),
        says="spec.rollout.order.label.values[0]",
    ),
    Case(
        "policy",
        "spec.rollout.maxFailures",
        ("pattern", "x-kubernetes-int-or-string"),
        **INT_OR_PERCENT,
        says="spec.rollout.maxFailures",
    ),
    Case(
        "policy",
        "spec.rollout.windows.[].schedule",
        ("pattern",),
        good=(),  # A window needs a duration too: see test_a_whole_rollout.
        bad=("", "@daily", "* * * *", "* * * * * *", "0  0 * * *", "0 0 * * $", "*\n* * * *"),
        says="spec.rollout.windows[0].schedule",
    ),
    Case(
        "policy",
        "spec.rollout.windows.[].timeZone",
        ("pattern",),
        good=(),
        bad=("", "../etc", "/etc/localtime", "Europe/", "Europe/Ber lin", "a/b/c/d", "x" * 65),
        says="spec.rollout.windows[0].timeZone",
    ),
    Case(
        "policy",
        "spec.rollout.windows.[].duration",
        ("pattern",),
        good=(),
        bad=DURATIONS["bad"],
        says="spec.rollout.windows[0].duration",
    ),
    Case(
        "policy",
        "spec.rollout.canary.soak",
        ("pattern",),
        good=(),
        bad=DURATIONS["bad"],
        says="spec.rollout.canary.soak",
    ),
    Case(
        "policy",
        "spec.paths",
        ("pattern",),
        good=("auto", "k3s", "rke2-custom", "x" * 63),
        bad=("", "/etc/cni/net.d", "Auto", "a_b", "-a", "a-", "x" * 64, "../x"),
        says="spec.paths",
    ),
    Case(
        "policy",
        "spec.rollout.maxUnavailable",
        ("pattern", "x-kubernetes-int-or-string"),
        **INT_OR_PERCENT,
        says="spec.rollout.maxUnavailable",
    ),
    Case(
        "policy",
        "spec.readinessFor.[]",
        ("pattern",),
        good=("containerd>=1.6", "containerd>=2.0", "cri-o>=1.24", "containerd>=1.6.38"),
        bad=(
            *("", "containerd", "containerd>=2", "docker>=20.1", "containerd>1.6", "cri-o>=1.x"),
            *("containerd >= 1.6", "containerd>=1.6.38.1", "containerd>=12345.0"),
        ),
        says="spec.readinessFor[0]",
    ),
    Case("policy", "spec.drain.deadline", ("pattern",), **DURATIONS, says="spec.drain.deadline"),
    Case("policy", "spec.drift.within", ("pattern",), **DURATIONS, says="spec.drift.within"),
    Case("policy", "spec.verify.deadline", ("pattern",), **DURATIONS, says="spec.verify.deadline"),
    Case("policy", "spec.verify.soak", ("pattern",), **DURATIONS, says="spec.verify.soak"),
    *(
        Case("node state", path, ("pattern",), **DURATIONS, says=path)
        for path in (
            "status.operation.ordered.drain.deadline",
            "status.operation.ordered.verify.deadline",
            "status.operation.ordered.verify.soak",
        )
    ),
    *(
        Case(
            kind,
            "status.conditions.[].reason",
            ("pattern",),
            good=("Because", "AsExpected", "A" * 1024),
            bad=("", "not a word", "1st", "A" * 1025),
            says="status.conditions[0].reason",
        )
        for kind in ("policy", "node state")
    ),
    *(
        Case(
            kind,
            "status.conditions",
            ("list-map",),
            good=([condition(), condition(type="Stalled")],),
            bad=([condition(), condition(status="False")],),
            says='status.conditions[1]: Duplicate value: {"type":"Ready"}',
        )
        for kind in ("policy", "node state")
    ),
)


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
