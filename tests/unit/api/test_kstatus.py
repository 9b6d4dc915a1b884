"""What GitOps tools make of each shape that our statuses can have."""

import itertools
from datetime import UTC, datetime
from typing import Literal

import pytest

from cni_upgrade.api.condition import Condition
from cni_upgrade.api.meta import ObjectMeta
from cni_upgrade.api.node_state import CNINodeState, NodeStateSpec, NodeStateStatus
from tests.unit.api.kstatus import Health, health

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
Said = tuple[str, Literal["True", "False", "Unknown"]]


def judged(*said: Said, observed: int = 2, generation: int = 2) -> Health:
    conditions = tuple(
        Condition(type=kind, status=status, reason="R", message="", last_transition_time=AT)
        for kind, status in said
    )
    state = CNINodeState(
        metadata=ObjectMeta(name="n", generation=generation),
        spec=NodeStateSpec(node_uid="u"),
        status=NodeStateStatus(observed_generation=observed, conditions=conditions),
    )
    return health(state.to_api())


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ([("Ready", "True")], Health.CURRENT),
        ([("Ready", "False"), ("Reconciling", "True")], Health.IN_PROGRESS),
        ([("Ready", "False"), ("Stalled", "True")], Health.FAILED),
        # Without Stalled, a tool waits for ever: a failed node must say so.
        ([("Ready", "False")], Health.IN_PROGRESS),
        ([("Ready", "Unknown")], Health.IN_PROGRESS),
        # A condition of its own, such as Paused or NoNodes, says nothing to a tool.
        ([("Ready", "True"), ("Paused", "True")], Health.CURRENT),
    ],
)
def test_of_each_shape(said: list[Said], expected: Health) -> None:
    assert {judged(*order) for order in itertools.permutations(said)} == {expected}


def test_reconciling_and_stalled_together_depend_on_their_order() -> None:
    """Why only one of the two may be there."""
    both: tuple[Said, Said] = (("Reconciling", "True"), ("Stalled", "True"))
    assert judged(*both) is Health.IN_PROGRESS
    assert judged(*reversed(both)) is Health.FAILED


def test_a_status_of_an_older_spec_is_in_progress() -> None:
    assert judged(("Ready", "True"), observed=1) is Health.IN_PROGRESS


def test_a_status_that_nobody_wrote_is_in_progress() -> None:
    assert judged(observed=-1, generation=1) is Health.IN_PROGRESS


def test_no_status_at_all_passes_for_healthy() -> None:
    """Why the CRDs give every new object one."""
    assert health({"metadata": {"generation": 1}}) is Health.CURRENT


def test_an_object_that_is_being_deleted_is_terminating() -> None:
    metadata = {"generation": 1, "deletionTimestamp": "2026-01-02T03:04:05Z"}
    assert health({"metadata": metadata}) is Health.TERMINATING
