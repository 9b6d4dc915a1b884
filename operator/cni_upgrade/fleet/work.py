"""A node at work: every step of an operation and the function that carries it on."""

from __future__ import annotations

from collections.abc import Callable

from cni_upgrade.api.node_state import Phase
from cni_upgrade.api.policy import Mode
from cni_upgrade.fleet import ending, looking, proving, writing
from cni_upgrade.fleet.phases import UNTOUCHED, Step
from cni_upgrade.fleet.selection import matches, paused
from cni_upgrade.fleet.settle import audit_key
from cni_upgrade.fleet.view import Move, View, release


def next_move(view: View) -> Move:
    """The move of a node that has an operation under way."""
    step = Step(view.operation.step)
    if step in UNTOUCHED and (stop := _called_off(view)) is not None:
        return stop
    return _STEPS[step](view)


def _called_off(view: View) -> Move | None:
    """Before anything was written, a pause or a change of mind gives the node back at once."""
    ref = view.operation.policy
    policy = next(
        (p for p in view.world.policies.values() if ref and p.metadata.uid == ref.uid), None
    )
    name = ref.name if ref else "?"
    if policy is None or policy.metadata.deletion_timestamp:
        why = f"policy {name} is gone"
    elif policy.spec.mode != Mode.ENFORCE:
        why = f"policy {name} does not enforce any more"
    elif not matches(policy.spec.node_selector, view.node.labels):
        why = f"policy {name} does not select the node any more"
    elif paused(policy):
        why = f"policy {name} is paused"
    elif view.status.observed is None or view.status.observed.audit_key != audit_key(
        view.node, view.state, policy, view.world.config
    ):
        why = "what the audit saw has changed"
    else:
        return None
    return release(
        view, Phase.WAITING, "CalledOff", f"called off before anything was written: {why}"
    )


_STEPS: dict[Step, Callable[[View], Move]] = {
    Step.JOB: looking.audit,
    Step.CORDON: writing.cordon,
    Step.DRAIN: writing.drain,
    Step.BASELINE: writing.baseline,
    Step.APPLY: writing.apply,
    Step.DRAIN_AFTER: writing.drain_later,
    Step.PROVE_OLD: proving.prove_old,
    Step.PROVE_ADD: proving.prove_add,
    Step.PROVE_DELETE: proving.prove_delete,
    Step.RESTORE: writing.restore,
    Step.RELEASE: ending.release_step,
}
"""Each looks at the cluster before it acts, and is safe to repeat."""
