"""The steps of a proof: a pod from before goes, a fresh one comes and goes."""

from __future__ import annotations

from datetime import datetime, timedelta

from cni_upgrade.agent.protocol.operation import Kind
from cni_upgrade.api import duration
from cni_upgrade.api.operation_status import ProofStatus
from cni_upgrade.api.phase import Phase
from cni_upgrade.api.report import Baseline
from cni_upgrade.planner.node import applied_change, proof_pods
from cni_upgrade.planner.node.applied_change import FAILED
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
from cni_upgrade.planner.node.pending_proof import before
from cni_upgrade.planner.steps.finish import (
    done,
    gave_back,
    hold_next,
    proof_so_far,
    restore_next,
    rolls_back,
    verify,
)
from cni_upgrade.planner.steps.free_pods import free_next
from cni_upgrade.planner.world.decisions import CreateProof, DeleteProof
from cni_upgrade.planner.world.kubernetes_objects import Pod
from cni_upgrade.planner.world.phases import INCONCLUSIVE, PROVE, UPGRADE, Step


def prove(view: NodeContext) -> Move:
    if not verify(view).proof:
        return free_next(view, "written; not proved, spec.verify.proof is false")
    view = moved(view, view.status.model_copy(update={"attempts": 0}))
    known = proof_so_far(view)
    if view.proof(known.old_pod) is None:
        return prove_add_next(view, known.model_copy(update={"old_pod": None}))
    return at_step(view, Step.PROVE_OLD, "the pod from before the change is to go", limit(view))


def limit(view: NodeContext) -> int:
    """Seconds that a step of the proof may take."""
    return duration.seconds(verify(view).deadline)


def overdue(view: NodeContext, since: datetime | None) -> bool:
    """Whether a pod had its time, not only the step: the controller may have been away.

    A time that is as far ahead of now is of a clock that was set back, and the step's has to do.
    """
    return (
        view.late()
        and since is not None
        and abs(view.now - since) >= timedelta(seconds=limit(view))
    )


def may_not_go(view: NodeContext, pod: Pod) -> str:
    """Why the API server does not let a pod be deleted, once the step is over; nothing where it
    does. A webhook's word says nothing of the network, and the node is not kept for it."""
    refused = view.world.errors.get(view.node.name)
    if pod.deleting or not view.late() or refused is None:
        return ""
    return f"pod {pod.key} could not be deleted: {refused}"


def prove_old(view: NodeContext) -> Move:
    pod = view.proof(proof_so_far(view).old_pod)
    if pod is None:
        return prove_add_next(view, proof_so_far(view).model_copy(update={"old_delete": True}))
    if overdue(view, pod.deleted):
        known = proof_so_far(view).model_copy(update={"old_delete": False})
        return failed_proof(view, known, proof_pods.stuck(pod, view.world))
    if kept := may_not_go(view, pod):
        return inconclusive(view, proof_so_far(view), kept)
    acts = () if pod.deleting else (DeleteProof(pod.name, pod.uid),)
    return wait(view, f"pod {pod.key} from before the change is to go", *acts)


def prove_add_next(
    view: NodeContext, known: ProofStatus, message: str = "a fresh pod is to get its network"
) -> Move:
    name = proof_pods.pod_name("new", view.operation.id)
    return at_step(
        view,
        Step.PROVE_ADD,
        message,
        limit(view),
        proof=known.model_copy(update={"new_pod": name}),
    )


def prove_add(view: NodeContext) -> Move:
    known = proof_so_far(view)
    name = known.new_pod or proof_pods.pod_name("new", view.operation.id)
    pod = view.proof(name)
    # A pod that ran to its end, while the controller was away, had its network too.
    if pod is not None and (pod.addressed or pod.phase == "Succeeded"):
        return at_step(
            view,
            Step.PROVE_DELETE,
            "the fresh pod is to give its network back",
            limit(view),
            proof=known.model_copy(update={"add": True}),
        )
    why = proof_pods.trouble(pod, view.world)
    if pod is None and (error := view.world.errors.get(view.node.name)):
        why = proof_pods.Trouble(False, f"the pod could not be created: {error}")
    if view.late() and (pod is None or pod.deleting or overdue(view, pod.created)):
        if why.network:
            return failed_proof(view, known.model_copy(update={"add": False}), why.text)
        return inconclusive(view, known, why.text)
    if pod is None:
        body = proof_pod(name, view.operation.id, view.node.name, view.world.config)
        return wait(view, "a fresh pod is being created", CreateProof(name, view.node.name, body))
    message = f"pod {pod.key} is to get its network: {why.text}"
    if pod.finished and not pod.deleting:
        # The kubelet refused it, which is for good: another one may have more luck.
        return wait(view, message, DeleteProof(pod.name, pod.uid))
    return wait(view, message)


def prove_delete(view: NodeContext) -> Move:
    known = proof_so_far(view)
    if known.new_pod is None:
        return prove_add_next(view, known)  # An edit: of which pod it is gone nobody knows.
    pod = view.proof(known.new_pod)
    if pod is None:
        seconds = soak_limit(view)
        if seconds and not known.soaked:
            until = f"{view.now + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%SZ}"
            return at_step(view, Step.SOAK, f"proved; soaking until {until}", seconds)
        shown = known.model_copy(update={"delete": True, "outcome": "Proved"})
        status = with_operation(view.status, proof=shown)
        old = ", one from before the change was deleted" if known.old_delete else ""
        again = f", once more after {verify(view).soak}" if known.soaked else ""
        return free_next(
            moved(view, status), f"proved: a fresh pod was added and deleted{again}{old}"
        )
    if overdue(view, pod.deleted):
        bad = known.model_copy(update={"delete": False})
        return failed_proof(view, bad, proof_pods.stuck(pod, view.world))
    if kept := may_not_go(view, pod):
        return inconclusive(view, known, kept)
    acts = () if pod.deleting else (DeleteProof(pod.name, pod.uid),)
    return wait(view, f"pod {pod.key} is to go", *acts)


def soak_limit(view: NodeContext) -> int:
    """Seconds that a proved node is watched."""
    soak = verify(view).soak
    return duration.seconds(soak) if soak else 0


def soak(view: NodeContext) -> Move:
    """Time passes on a proved node; then it is proved once more."""
    if not view.late():
        return wait(view, view.status.message)
    again = {"add": None, "delete": None, "soaked": True}
    return prove_add_next(view, proof_so_far(view).model_copy(update=again))


def inconclusive(view: NodeContext, known: ProofStatus, why: str) -> Move:
    """The pod said nothing about the network: tried again, and never a reason to roll back."""
    tried, most = view.status.attempts + 1, view.world.config.attempts
    if tried < most:
        text = f"not proved yet, attempt {tried + 1} of {most}: {why}"
        again = prove_add_next(view, known, text)
        return Move(again.status.model_copy(update={"attempts": tried}))
    if view.operation.kind == UPGRADE:
        return hold_next(view, f"upgraded, and not proved in {tried} attempts: {why}")
    status = with_operation(view.status, proof=known.model_copy(update={"outcome": "Inconclusive"}))
    if view.operation.kind == Kind.RESTORE:
        return done(moved(view, status), f"not proved in {tried} attempts: {why}")
    return release(
        moved(view, status),
        Phase.BLOCKED,
        INCONCLUSIVE,
        f"the change is written and not proved yet, nothing was rolled back; tried again: {why}",
    )


def failed_proof(view: NodeContext, known: ProofStatus, why: str) -> Move:
    if view.operation.kind == Kind.RESTORE:
        text = f"what stood there before is back, and a pod shows that it does not work: {why}"
        return gave_back(view, FAILED, text)
    if view.operation.kind == UPGRADE:
        return hold_next(view, f"upgraded, and a pod shows that the node does not work: {why}")
    baseline, backup = _before(view)
    worse = proof_pods.worse(known, baseline)
    outcome = "Worse" if worse else "AsBroken" if baseline else "Broken"
    status = with_operation(view.status, proof=known.model_copy(update={"outcome": outcome}))
    status = status.model_copy(update={"baseline": baseline or status.baseline})
    if worse and backup and rolls_back(view):
        return restore_next(
            moved(view, status), backup, "WorseThanBefore", f"worse than before: {why}"
        )
    if worse:
        return release(
            moved(view, status), Phase.FAILED, "WorseThanBefore", f"left as it is: {why}"
        )
    if baseline is None:
        kept = f"; backup {backup} holds what stood there" if backup else ""
        text = f"it is not known what worked before, so it is left as it is{kept}: {why}"
        return release(moved(view, status), Phase.FAILED, "ProofFailed", text)
    return release(
        moved(view, status),
        Phase.FAILED,
        "StillBroken",
        f"as broken as before, nothing was restored for nothing: {why}",
    )


def _before(view: NodeContext) -> tuple[Baseline | None, str | None]:
    """What worked before the change, and the backup of then.

    A look since the change has put other answers in their usual places, about the node of today.
    """
    if view.operation.kind != PROVE:
        return before(view)
    status, kept = view.status, view.status.last_change
    # A record that was made again keeps neither: one backup can only be the one that was made then.
    known = applied_change.backups(status.changed) if status.changed else ()
    only = known[0] if len(known) == 1 else None
    return (kept.baseline, kept.backup or only) if kept else (None, only)
