"""Examples for the rules of both CRDs that no program can invent any for: patterns and CEL."""

from dataclasses import dataclass
from typing import Any

from tests.api.objects import AT


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
VERSIONS = {
    "good": ("2.*", "1.7.*", "1.7.24", "0.0.0", "9999.9999.9999"),
    "bad": ("", "2", "1.7", "*", "v1.7.24", "1.*.2", "1.7.24.1", ">=2.0", "1.7.24~ds1", "10000.*"),
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
        Case(
            "policy",
            path,
            ("x-kubernetes-validations",),
            good=good(
                {"matchExpressions": [requirement("In", *("x" * 63 for _ in range(64)))] * 4},
                {"matchExpressions": [requirement("NotIn", *"12345678")] * 32},
            ),
            bad=(
                {
                    "matchExpressions": [
                        *[requirement("In", *map(str, range(64)))] * 4,
                        requirement("NotIn", "a"),
                    ]
                },
            ),
            says="at most 256 values",
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
        Case("policy", path, ("pattern",), **DURATIONS, says=path)
        for path in ("spec.upgrade.deadline", "spec.upgrade.settle")
    ),
    *(
        Case("policy", path, ("pattern",), **VERSIONS, says=path)
        for path in ("spec.target.runtime.version", "spec.target.kubelet.version")
    ),
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
