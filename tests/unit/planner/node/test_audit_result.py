"""From a report to a phase: every verdict, with the words that a person needs."""

from dataclasses import replace
from typing import Any

import pytest

from cni_upgrade.agent.protocol.operation import After, Baseline, Report, Verdict
from cni_upgrade.api import names
from cni_upgrade.api.node_state import CNINodeState, NodeStateStatus
from cni_upgrade.api.policy import CNIUpgradePolicy
from cni_upgrade.api.rollout_status import RolloutStatus
from cni_upgrade.cni.findings import Finding, Severity
from cni_upgrade.planner.node.audit_result import (
    asked_again,
    asked_key,
    asked_of_all,
    audit_key,
    observed,
    planned,
    seen,
    verdict_phase,
)
from cni_upgrade.planner.world import retry_annotation
from cni_upgrade.planner.world.operator_config import CarriedLibcni, OperatorConfig
from tests.unit.planner.cluster_model import CONFIG
from tests.unit.planner.node_model import FILE
from tests.unit.planner.samples import node, policy, report, state
from tests.unit.planner.scenarios import crio, f1, f2, healthy, old

FAULT = Finding("Loopback", Severity.FAULT, "loopback", "the plugin is missing", "install it")


MANAGED = Finding(
    "Managed",
    Severity.WARNING,
    "10-flannel.conflist",
    "flannel writes this file and would put it back",
    "set cniVersion 1.0.0 at its source: ConfigMap kube-flannel/kube-flannel-cfg",
)


def no_config() -> Report:
    disk = healthy()
    disk.no_config = True
    return report(disk)


@pytest.mark.parametrize(
    ("found", "expected", "words"),
    [
        (report(healthy()), ("Compatible", "Compatible"), "10-net.conflist is at 1.0.0"),
        (report(f1()), ("Waiting", "ChangeNeeded"), "missing -> 1.0.0"),
        (report(f2()), ("Waiting", "ChangeNeeded"), "1.0.0 -> 0.4.0"),
        (report(crio()), ("Waiting", "ChangeNeeded"), "missing -> 1.0.0"),
        (
            report(old("n", managed_by="flannel")),
            ("ManagedElsewhere", "ManagedElsewhere"),
            "written by flannel",
        ),
        (
            replace(report(f1()), verdict=Verdict.MANAGED, findings=(FAULT, MANAGED)),
            ("ManagedElsewhere", "ManagedElsewhere"),
            "the plugin is missing; set cniVersion 1.0.0 at its source: "
            "ConfigMap kube-flannel/kube-flannel-cfg",
        ),
        (
            replace(report(old("n")), verdict=Verdict.MANAGED, findings=(MANAGED,)),
            ("ManagedElsewhere", "ManagedElsewhere"),
            "flannel writes this file and would put it back; set cniVersion 1.0.0 at its source",
        ),
        (
            replace(report(healthy()), baseline=Baseline(True, False, None, "CachedDel: two stay")),
            ("Compatible", "Compatible"),
            "is at 1.0.0; nothing to write, but CachedDel: two stay",
        ),
        (no_config(), ("Blocked", "NoConfig"), "no CNI config was found"),
        (
            replace(no_config(), verdict=Verdict.NOT_CNI, after=After(None, None, None, why="w")),
            ("Compatible", "NotCni"),
            "w",
        ),
        (
            replace(report(f1()), verdict=Verdict.BLOCKED, findings=(FAULT,)),
            ("Blocked", "Loopback"),
            "the plugin is missing; install it",
        ),
        (replace(report(f1()), verdict=Verdict.BLOCKED, findings=()), ("Blocked", "Refused"), ""),
    ],
)
def test_verdict(found: Report, expected: tuple[str, str], words: str) -> None:
    phase, reason, message = verdict_phase(found)
    assert (phase, reason) == expected
    assert words in message
    assert message


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("Unparsable", "invalid"),
        ("TemplateNotRendered", "invalid"),
        ("FileUnreadable", "unreadable"),
        ("TooDeep", "unreadable"),
        ("F1", "missing"),
    ],
)
def test_a_file_that_is_no_config_is_not_called_one_without_a_version(
    code: str, found: str
) -> None:
    wrong = Finding(code, Severity.FAULT, FILE, "it is wrong", "mend it")
    assert seen(NodeStateStatus(), replace(report(f1()), findings=(wrong,))).found == found
    elsewhere = replace(wrong, component="20-other.conflist")
    assert seen(NodeStateStatus(), replace(report(f1()), findings=(elsewhere,))).found == "missing"


def test_the_active_file_says_what_was_found_and_what_is_to_be_reached() -> None:
    status = seen(NodeStateStatus(), report(f1()))
    assert (status.found, status.target) == ("missing", "1.0.0")
    assert status.files[0].action == "Rewrite"
    assert seen(status, no_config()).found is None


def test_what_is_planned_names_each_file() -> None:
    assert planned(report(f2())) == "10-net.conflist: 1.0.0 -> 0.4.0"
    assert planned(report(healthy())) == ""


def key(**more: Any) -> str:
    annotated = more.pop("annotated", None)
    record = state()
    if annotated:
        meta = record.metadata.model_copy(update={"annotations": {names.RETRY: annotated}})
        record = record.model_copy(update={"metadata": meta})
    return audit_key(more.pop("of", node()), record, policy(**more), CONFIG)


@pytest.mark.parametrize(
    "change",
    [
        {"of": replace(node(), boot_id="another")},
        {"of": replace(node(), runtime="containerd://2.0.0")},
        {"of": replace(node(), kubelet="v1.36.0")},
        {"of": replace(node(), uid="another")},
        {"target": {"cni": {"version": "0.4.0"}}},
        {"target": {"cni": {"selection": "Exact"}}},
        {"managedFiles": "Override"},
        {"paths": "k3s"},
        {"readinessFor": ["containerd>=2.0"]},
        {"annotated": "1"},
    ],
)
def test_what_an_answer_depends_on_asks_again(change: dict[str, Any]) -> None:
    assert key(**change) != key()


@pytest.mark.parametrize(
    "change",
    [
        {"mode": "Audit"},
        {"paused": True},
        {"rollout": {"maxParallel": 3}},
        {"drain": {"policy": "Never"}},
        {"of": node(ready="False", cordoned=True, zone="b")},
    ],
)
def test_what_it_does_not_depend_on_asks_nothing(change: dict[str, Any]) -> None:
    assert key(**change) == key()


def test_what_is_said_of_a_runtime_asks_its_nodes_again() -> None:
    said = CarriedLibcni(runtime=node().runtime, libcni="1.3.1")
    config = CONFIG.model_copy(update={"runtimes": (said,)})
    assert audit_key(node(), state(), policy(), config) != key()
    other = replace(node(), runtime="containerd://2.0.0")
    assert audit_key(other, state(), policy(), config) == key(of=other)


def test_the_keys_are_what_every_release_makes_of_the_same() -> None:
    """Another digest of the same facts would send an agent to every node after an upgrade.

    One of what people ask would try every failed node again. Where a member was added to what they
    are made of, leave it out while it has its default; nothing else may change these.
    """
    wanted = policy(readinessFor=["containerd>=2.0"])
    assert audit_key(node(), state(), wanted, CONFIG) == "42cfe88897163156b9bd"
    assert asked_key(wanted) == "a6afd78ae5dc419771ac"


def later(**preset: Any) -> OperatorConfig:
    """The operator's configuration of a release that looks elsewhere."""
    return CONFIG.model_copy(update={"auto": CONFIG.auto.model_copy(update=preset)})


def test_another_release_does_not_try_failed_nodes_again() -> None:
    """It looks at other folders by now, or a person wants to hear of another runtime."""
    failed = state(phase="Failed")
    key = audit_key(node(), failed, policy(), CONFIG)
    seen = observed(node(), key, asked_key(policy()), "/", None, False)
    status = failed.status.model_copy(update={"observed": seen})
    failed = failed.model_copy(update={"status": status})
    config = later(bin_dirs=("/opt/cni/bin", "/usr/libexec/cni"))
    assert audit_key(node(), failed, policy(), config) != key
    assert not asked_again(failed, policy(readinessFor=["containerd>=2.0"]))
    assert asked_again(failed, policy(target={"cni": {"version": "0.4.0"}}))
    assert asked_again(failed, policy(paths="k3s"))
    meta = failed.metadata.model_copy(update={"annotations": {names.RETRY: "1"}})
    assert asked_again(failed.model_copy(update={"metadata": meta}), policy())


def annotated(of_policy: str | None, of_node: str | None) -> tuple[CNINodeState, CNIUpgradePolicy]:
    """A failed node and its policy with those retries."""
    record, wanted = state(phase="Failed"), policy()
    metas = [
        each.metadata.model_copy(
            update={"annotations": {} if value is None else {names.RETRY: value}}
        )
        for each, value in ((record, of_node), (wanted, of_policy))
    ]
    return (
        record.model_copy(update={"metadata": metas[0]}),
        wanted.model_copy(update={"metadata": metas[1]}),
    )


@pytest.mark.parametrize(
    ("of_policy", "of_node", "asks"),
    [
        ("1", "1", False),
        (None, "1", False),
        ("1", None, False),
        (None, None, False),
        ("2", "1", True),
        ("1", "2", True),
        (None, "2", True),
    ],
)
def test_a_retry_asks_by_another_value_and_not_by_being_taken_away(
    of_policy: str | None, of_node: str | None, asks: bool
) -> None:
    before, by = annotated("1", "1")
    key = audit_key(node(), before, by, CONFIG)
    looked = observed(node(), key, asked_key(by), retry_annotation.of_node(by, before), None, False)
    record, wanted = annotated(of_policy, of_node)
    status = record.status.model_copy(update={"observed": looked})
    record = record.model_copy(update={"status": status})
    assert asked_again(record, wanted) is asks
    assert (audit_key(node(), record, wanted, CONFIG) != key) is asks


def test_a_policys_retry_that_is_taken_away_forgets_no_failure() -> None:
    _, wanted = annotated("1", None)
    asked = asked_of_all(wanted)
    rollout = RolloutStatus(asked=asked, retry=retry_annotation.of_all(wanted))
    known = wanted.status.model_copy(update={"rollout": rollout})
    for value, same in (("1", True), (None, True), ("2", False)):
        _, now = annotated(value, None)
        assert (asked_of_all(now.model_copy(update={"status": known})) == asked) is same
