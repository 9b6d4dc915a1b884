"""The pod from before a change, which shows what works today; nothing is written without it.

It is added before a drain, for whatever keeps it away (a quota, an admission policy, an image)
keeps it away at each retry, and the pods of the node would have to go each time for nothing. Not
asked for with `dryRun`: a webhook with side effects refuses that, and no image is pulled for it.
"""

from __future__ import annotations

from cni_upgrade.api import duration
from cni_upgrade.api.phase import Phase
from cni_upgrade.planner.node import proof_pods
from cni_upgrade.planner.node.context import (
    Move,
    NodeContext,
    at_step,
    moved,
    release,
    wait,
    with_operation,
)
from cni_upgrade.planner.node.manifests import proof_pod
from cni_upgrade.planner.steps.apply import drain_or_apply
from cni_upgrade.planner.steps.drain import drain_due, drain_first
from cni_upgrade.planner.steps.finish import proof_so_far, verify
from cni_upgrade.planner.steps.prove import may_not_go, overdue
from cni_upgrade.planner.steps.wasted_drain import in_vain
from cni_upgrade.planner.world.decisions import CreateProof, DeleteProof
from cni_upgrade.planner.world.kubernetes_objects import Pod
from cni_upgrade.planner.world.phases import DRAIN_BLOCKED, INCONCLUSIVE, Step


def baseline(view: NodeContext) -> Move:
    """A pod that is added before the change, to be deleted after it, where adding works today."""
    baseline = view.status.baseline
    unknown = baseline is None or baseline.add is not False
    if not (verify(view).proof and unknown) or (_in_the_way(view) and not drain_first(view)):
        return drain_or_apply(view)
    name = proof_so_far(view).old_pod
    if name is None:
        name = proof_pods.pod_name("old", view.operation.id)
        known = proof_so_far(view).model_copy(update={"old_pod": name})
        return Move(with_operation(view.status, proof=known))
    pod = view.proof(name)
    if pod is not None and pod.addressed:
        return _shown(view)
    if pod is not None and drain_due(view) and proof_pods.no_room(pod, view.world):
        return drain_or_apply(view)
    if view.late():
        return _late(view, pod)
    if pod is None:
        if (stuck := _hanging(view)) is not None:
            return _does_not_go(view, stuck)
        body = proof_pod(name, view.operation.id, view.node.name, view.world.config)
        act = CreateProof(name, view.node.name, body)
        return wait(view, "a pod is added before the change", act)
    return wait(view, f"pod {pod.key} is to get its network before the change")


def _in_the_way(view: NodeContext) -> bool:
    """Whether a pod from before could not be deleted afterwards: it would hang, and show nothing.

    Where others of that kind have to go first, this one comes and goes before them.
    """
    after = view.status.after
    return after is not None and after.existing_delete is False


def _shown(view: NodeContext) -> Move:
    if not _in_the_way(view):
        return drain_or_apply(view)
    seconds = duration.seconds(verify(view).deadline)
    return at_step(view, Step.BASELINE_DELETE, "the pod from before is to go first", seconds)


def goes(view: NodeContext) -> Move:
    """It would be in the way of the change; and where it does not go, others would not either."""
    pod = view.proof(proof_so_far(view).old_pod)
    if pod is None:
        return drain_or_apply(view)
    if overdue(view, pod.deleted):
        return _does_not_go(view, pod)
    if kept := may_not_go(view, pod):
        return _not_shown(view, kept)
    acts = () if pod.deleting else (DeleteProof(pod.name, pod.uid),)
    return wait(view, f"pod {pod.key} has shown that adding works, and is to go", *acts)


def _hanging(view: NodeContext) -> Pod | None:
    """A pod of an earlier try that does not go: another one would show the same, and hang too."""
    if not _in_the_way(view):
        return None
    return next(
        (
            pod
            for pod in view.world.proofs.values()
            if pod.for_node == view.node.name and proof_pods.seen_to_hang(pod, view.world)
        ),
        None,
    )


def _does_not_go(view: NodeContext, pod: Pod) -> Move:
    why = proof_pods.stuck(pod, view.world)
    text = f"proof pod {pod.key}, which was deleted before the change, does not go: {why}"
    if view.operation.drained:
        return in_vain(view, text)
    text = f"not drained, nothing was evicted, for pods cannot be deleted: {text}"
    return release(view, Phase.BLOCKED, DRAIN_BLOCKED, text)


def _late(view: NodeContext, pod: Pod | None) -> Move:
    baseline, why = view.status.baseline, proof_pods.trouble(pod, view.world)
    # Where deleting pods does not work, those that hang may be what leaves no room for this
    # one, and only the change frees them; no pod of such a node has anything to lose.
    hangs = baseline is not None and baseline.delete is False
    if not why.network and (pod is None or not hangs):
        error = view.world.errors.get(view.node.name)
        text = f"the pod could not be created: {error}" if error else why.text
        return _not_shown(view, text)
    # It was said to work and does not: that is the baseline then, and no reason to stop. A
    # pod without a network shows nothing by going, so it is not the old pod of this proof.
    none = proof_so_far(view).model_copy(update={"old_pod": None})
    view = moved(view, with_operation(view.status, proof=none))
    if why.network and baseline is not None:
        measured = baseline.model_copy(update={"add": False, "add_why": why.text})
        view = moved(view, view.status.model_copy(update={"baseline": measured}))
    return drain_or_apply(view)


def _not_shown(view: NodeContext, text: str) -> Move:
    """What keeps this pod from showing anything would keep those of the proof from it: nothing is
    written unproved."""
    if view.operation.drained:
        return in_vain(view, f"no pod could show what works before; {text}")
    return release(
        view,
        Phase.BLOCKED,
        INCONCLUSIVE,
        f"nothing was written, for no pod could show what works before; tried again: {text}",
    )
