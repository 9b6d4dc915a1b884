"""The models: defaults are safe, a status is always small enough, and newer writers are read."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from pydantic import ValidationError

from cni_upgrade.api.crd import RESOURCES, crd
from cni_upgrade.api.drain import DrainPolicy
from cni_upgrade.api.history import HistoryEntry
from cni_upgrade.api.label_selector import LabelSelector
from cni_upgrade.api.meta import ObjectMeta
from cni_upgrade.api.node_state import CNINodeState, NodeStateSpec, NodeStateStatus
from cni_upgrade.api.operation_status import OperationStatus
from cni_upgrade.api.parse import (
    FieldProblem,
    UnreadableResourceError,
    parse_node_state,
    parse_policy,
)
from cni_upgrade.api.phase import Phase
from cni_upgrade.api.policy import CNIUpgradePolicy, Mode, PolicySpec
from cni_upgrade.api.policy_ref import PolicyRef
from cni_upgrade.api.policy_status import NodeFailure, PolicyStatus
from cni_upgrade.api.report import FileReport, Finding, Report
from cni_upgrade.api.verify import OnFailure

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def policy(**spec: object) -> dict[str, object]:
    return {"metadata": {"name": "p"}, "spec": {"nodeSelector": {}, **spec}}


def node_state(**status: object) -> dict[str, object]:
    return {"metadata": {"name": "n"}, "spec": {"nodeUID": "u"}, "status": status}


def test_a_policy_that_says_nothing_changes_nothing() -> None:
    spec = parse_policy(policy()).spec
    assert spec.mode is Mode.AUDIT
    assert spec.target.cni.version == "1.0.0"
    assert spec.drain.policy is DrainPolicy.IF_REQUIRED
    assert not spec.drain.force
    assert not spec.drain.delete_empty_dir_data
    assert spec.on_failure is OnFailure.ROLLBACK
    assert spec.verify.proof
    assert (spec.rollout.max_unavailable, spec.rollout.max_parallel) == (1, 10)


def test_resources_are_values() -> None:
    state = parse_node_state(node_state())
    with pytest.raises(ValidationError, match="frozen"):
        state.status.phase = Phase.DONE  # type: ignore[misc]


def test_written_and_read_back_is_the_same() -> None:
    written = CNINodeState(
        metadata=ObjectMeta(name="n"),
        spec=NodeStateSpec(node_uid="u", policy_ref=PolicyRef(name="p", uid="v", since=AT)),
        status=NodeStateStatus(
            phase=Phase.APPLYING,
            operation=OperationStatus(id="apply-0", kind="apply", deadline=AT, input="{}"),
            history=(HistoryEntry(at=AT, kind="apply", from_="missing", to="1.0.0"),),
            sandboxes={"missing": 2},
        ),
    )
    sent = written.to_api()
    assert sent["spec"] == {
        "nodeUID": "u",
        "policyRef": {"name": "p", "uid": "v", "since": "2026-01-02T03:04:05Z"},
    }
    assert sent["status"]["history"][0]["from"] == "missing"
    assert parse_node_state(sent) == written


def test_what_is_not_known_is_left_out() -> None:
    status = parse_node_state(node_state(files=[{"name": "f", "version": None}])).status
    assert "version" not in status.to_api()["files"][0]
    assert "operation" not in status.to_api()


@pytest.mark.parametrize(
    "moment",
    [
        AT.replace(microsecond=999999),
        AT.astimezone(timezone(timedelta(hours=2))),
        "2026-01-02T03:04:05.25Z",
    ],
)
def test_times_are_whole_seconds_of_utc(moment: Any) -> None:
    entry = HistoryEntry(at=moment, kind="audit")
    assert entry.at == AT
    assert entry.to_api()["at"] == "2026-01-02T03:04:05Z"


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(ValidationError, match="timezone"):
        HistoryEntry(at=datetime(2026, 1, 2), kind="audit")


class TestNewerWriter:
    def test_unknown_members_are_ignored(self) -> None:
        assert parse_policy(policy(laterField={"a": 1})) == parse_policy(policy())

    def test_an_unknown_phase_is_shown(self) -> None:
        assert parse_node_state(node_state(phase="Levitating")).status.phase == "Levitating"
        assert parse_node_state(node_state(phase="Done")).status.phase is Phase.DONE

    def test_unknown_words_of_a_report_are_shown(self) -> None:
        report = Report.model_validate(
            {
                "verdict": "Perhaps",
                "files": [{"name": "f", "action": "Ponder"}],
                "findings": [{"code": "F99", "severity": "Catastrophe"}],
            }
        )
        assert report.verdict == "Perhaps"
        assert report.files[0].action == "Ponder"
        assert report.findings[0].severity == "Catastrophe"


class TestCopies:
    def test_are_clipped(self) -> None:
        copy = OperationStatus(id="apply-0", kind="apply").model_copy(
            update={"blockers": tuple(f"pod-{i}" for i in range(200)), "step": "x" * 300}
        )
        assert len(copy.blockers) == 64
        assert len(copy.step) == 256

    def test_keep_whole_seconds(self) -> None:
        status = NodeStateStatus().model_copy(update={"next_attempt_at": AT.replace(microsecond=5)})
        assert status.next_attempt_at == AT

    def test_keep_the_rest(self) -> None:
        entry = HistoryEntry(at=AT, kind="apply", from_="missing")
        assert entry.model_copy() == entry
        assert entry.model_copy(update={"to": "1.0.0"}).from_ == "missing"

    def test_of_what_it_is_already_is_itself(self) -> None:
        status = NodeStateStatus(phase=Phase.DONE, message="done", policies=("a",))
        same = {"phase": Phase.DONE, "message": "done", "policies": ("a",)}
        assert status.model_copy(update=same) is status

    def test_turn_a_word_into_the_member_that_it_is(self) -> None:
        status = NodeStateStatus(phase=Phase.DONE).model_copy(update={"phase": "Done"})
        assert status.phase is Phase.DONE

    def test_refuse_what_is_not_a_field(self) -> None:
        with pytest.raises(TypeError, match="NodeStateStatus has no mesage"):
            NodeStateStatus().model_copy(update={"mesage": "x"})

    def test_refuse_what_does_not_fit(self) -> None:
        with pytest.raises(ValidationError):
            NodeStateStatus().model_copy(update={"attempts": -1})


class TestNothingIsTooLongForTheApi:
    def test_strings_of_a_status_are_clipped(self) -> None:
        message = PolicyStatus(message="x" * 9000).message
        assert len(message) == 8192
        assert message.endswith("x…")

    def test_a_string_that_fits_is_left_alone(self) -> None:
        assert PolicyStatus(message="x" * 8192).message == "x" * 8192

    def test_the_first_failures_are_kept(self) -> None:
        failures = tuple(NodeFailure(node=f"n{i}", phase="Failed") for i in range(12))
        kept = PolicyStatus(failures=failures).failures
        assert [f.node for f in kept] == [f"n{i}" for i in range(10)]

    def test_the_last_entries_of_the_history_are_kept(self) -> None:
        entries = tuple(HistoryEntry(at=AT, kind="apply", operation=f"{i}") for i in range(12))
        kept = NodeStateStatus(history=entries).history
        assert [e.operation for e in kept] == [f"{i}" for i in range(2, 12)]

    def test_maps_are_cut(self) -> None:
        assert len(Report(sandboxes={f"{i}": 1 for i in range(100)}).sandboxes) == 64

    def test_lists_of_a_report_are_cut(self) -> None:
        report = Report(
            files=tuple(FileReport(name=f"{i}") for i in range(200)),
            findings=tuple(Finding(code=f"{i}") for i in range(200)),
        )
        assert len(report.files) == len(report.findings) == 128

    def test_what_the_agent_is_told_is_never_cut(self) -> None:
        with pytest.raises(ValidationError, match="at most 32768"):
            OperationStatus(id="apply-0", kind="apply", input="x" * 40000)

    def test_half_a_name_is_another_name(self) -> None:
        with pytest.raises(ValidationError, match="at most 253"):
            NodeFailure(node="n" * 300, phase="Failed")


class TestUnreadable:
    def test_every_field_that_is_wrong_is_named(self) -> None:
        wrong = policy(
            mode="Enfroce",
            nodeSelector={"matchExpressions": [{"key": "a", "operator": "Is"}]},
            rollout={"maxUnavailable": "0%"},
        )
        with pytest.raises(UnreadableResourceError) as caught:
            parse_policy(wrong)
        error = caught.value
        assert (error.kind, error.name) == ("CNIUpgradePolicy", "p")
        assert [p.path for p in error.problems] == [
            "spec.mode",
            "spec.nodeSelector.matchExpressions[0].operator",
            "spec.rollout.maxUnavailable",
        ]
        assert str(error).startswith(
            "CNIUpgradePolicy p: spec.mode: Input should be 'Audit' or 'Enforce'; "
        )

    def test_a_missing_selector_is_named(self) -> None:
        with pytest.raises(UnreadableResourceError) as caught:
            parse_policy({"metadata": {"name": "p"}, "spec": {}})
        assert caught.value.problems == (FieldProblem("spec.nodeSelector", "Field required"),)

    @pytest.mark.parametrize("obj", [{}, {"metadata": None}, {"metadata": {"name": 5}}])
    def test_an_object_without_name_is_still_an_error_of_ours(self, obj: dict[str, object]) -> None:
        with pytest.raises(UnreadableResourceError, match=r"CNINodeState \(no name\)"):
            parse_node_state(obj)


def cel_messages(schema: object) -> set[str]:
    """The message of every CEL rule in a schema."""
    found: set[str] = set()
    if isinstance(schema, dict):
        found = {rule["message"] for rule in schema.get("x-kubernetes-validations", ())}
        schema = list(schema.values())
    if isinstance(schema, list):
        found = found.union(*map(cel_messages, schema))
    return found


def requirement(operator: str, *values: str) -> dict[str, object]:
    expression = {"key": "zone", "operator": operator, "values": values}
    return policy(nodeSelector={"matchExpressions": [expression]})


FEW = [{"key": "zone", "operator": "In", "values": ["v"] * 64}]

REFUSED_BY_CEL = (
    requirement("In"),
    requirement("NotIn"),
    requirement("Exists", "a"),
    requirement("DoesNotExist", "a"),
    policy(nodeSelector={"matchExpressions": FEW * 4 + FEW[:1]}),
    {**policy(), "metadata": {"name": "x" * 64}},
    policy(rollout={"canary": {"soak": "1h"}}),
    policy(rollout={"canary": {"nodes": 1, "nodeSelector": {}}}),
    policy(rollout={"order": {"by": "Label"}}),
    policy(rollout={"order": {"label": {"key": "env", "values": ["dev"]}}}),
    policy(rollout={"order": {"by": "Selectors", "selectors": []}}),
    policy(rollout={"order": {"by": "Zone", "selectors": [{}]}}),
)


def test_what_cel_refuses_is_not_understood_either() -> None:
    """API servers before 1.25 drop the CEL rules of a CRD without a word."""
    said: set[str] = set()
    for obj in REFUSED_BY_CEL:
        with pytest.raises(UnreadableResourceError) as caught:
            parse_policy(obj)
        [problem] = caught.value.problems
        said.add(problem.message)
    assert said == cel_messages([crd(resource) for resource in RESOURCES])
    most = policy(nodeSelector={"matchExpressions": FEW * 4})
    for obj in (most, requirement("In", "a"), requirement("Exists"), policy()):
        parse_policy(obj)


@pytest.mark.parametrize("value", [1, 5000, "1%", "10%", "100%"])
def test_max_unavailable_accepts(value: int | str) -> None:
    read = parse_policy(policy(rollout={"maxUnavailable": value}))
    assert read.spec.rollout.max_unavailable == value


@pytest.mark.parametrize("value", [0, -1, True, 1.5, None, "0%", "101%", "5", "%", "010%", "10 %"])
def test_max_unavailable_refuses(value: object) -> None:
    with pytest.raises(UnreadableResourceError, match=r"from \"1%\" to \"100%\""):
        parse_policy(policy(rollout={"maxUnavailable": value}))


def test_python_names_build_the_same_as_the_api() -> None:
    built = CNIUpgradePolicy(
        metadata=ObjectMeta(name="p"),
        spec=PolicySpec(node_selector=LabelSelector(match_labels={"a": "b"})),
    )
    assert built == parse_policy(policy(nodeSelector={"matchLabels": {"a": "b"}}))
