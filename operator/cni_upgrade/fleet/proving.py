"""The steps of a proof: a pod from before goes, a fresh one comes and goes."""

from __future__ import annotations

from cni_upgrade.api import duration
from cni_upgrade.api.node_state import Phase, ProofStatus
from cni_upgrade.fleet import proof
from cni_upgrade.fleet.decisions import CreateProof, DeleteProof
from cni_upgrade.fleet.ending import done, proof_so_far, restore_next, rolls_back, verify
from cni_upgrade.fleet.phases import Step
from cni_upgrade.fleet.view import Move, View, at_step, moved, release, wait, with_operation
from cni_upgrade.fleet.workloads import proof_pod


def prove(view: View, note: str = "") -> Move:
    if not verify(view).proof:
        return done(view, "written; not proved, spec.verify.proof is false", note)
    seconds = duration.seconds(verify(view).deadline)
    old = proof_so_far(view).old_pod
    if old is not None:
        return at_step(
            view, Step.PROVE_OLD, f"the pod from before the change is to go; {note}", seconds
        )
    return prove_add_next(view, proof_so_far(view))


def prove_old(view: View) -> Move:
    name = proof_so_far(view).old_pod
    pod = view.world.proofs.get(name) if name else None
    if pod is None:
        return prove_add_next(view, proof_so_far(view).model_copy(update={"old_delete": True}))
    if view.late():
        known = proof_so_far(view).model_copy(update={"old_delete": False})
        return failed_proof(view, known, proof.trouble(pod, view.world).text)
    acts = () if pod.deleting else (DeleteProof(pod.name, pod.uid),)
    return wait(view, f"pod {pod.key} from before the change is to go", *acts)


def prove_add_next(view: View, known: ProofStatus) -> Move:
    name = proof.pod_name("new", view.operation.id)
    return at_step(
        view,
        Step.PROVE_ADD,
        "a fresh pod is to get its network",
        duration.seconds(verify(view).deadline),
        proof=known.model_copy(update={"new_pod": name}),
    )


def prove_add(view: View) -> Move:
    known = proof_so_far(view)
    name = known.new_pod or proof.pod_name("new", view.operation.id)
    pod = view.world.proofs.get(name)
    if pod is not None and pod.sandbox_ready:
        return at_step(
            view,
            Step.PROVE_DELETE,
            "the fresh pod is to give its network back",
            duration.seconds(verify(view).deadline),
            proof=known.model_copy(update={"add": True}),
        )
    if view.late():
        why = proof.trouble(pod, view.world)
        if why.network:
            return failed_proof(view, known.model_copy(update={"add": False}), why.text)
        return inconclusive(view, known, why.text)
    if pod is None:
        body = proof_pod(name, view.operation.id, view.node.name, view.world.config)
        return wait(view, "a fresh pod is being created", CreateProof(name, view.node.name, body))
    return wait(view, f"pod {pod.key} is to get its network: {proof.trouble(pod, view.world).text}")


def prove_delete(view: View) -> Move:
    known = proof_so_far(view)
    pod = view.world.proofs.get(known.new_pod or "")
    if pod is None:
        shown = known.model_copy(update={"delete": True, "outcome": "Proved"})
        status = with_operation(view.status, proof=shown)
        old = ", one from before the change was deleted" if known.old_delete else ""
        return done(moved(view, status), f"proved: a fresh pod was added and deleted{old}", "")
    if view.late():
        bad = known.model_copy(update={"delete": False})
        return failed_proof(view, bad, proof.trouble(pod, view.world).text)
    acts = () if pod.deleting else (DeleteProof(pod.name, pod.uid),)
    return wait(view, f"pod {pod.key} is to go", *acts)


def inconclusive(view: View, known: ProofStatus, why: str) -> Move:
    """The pod said nothing about the network: never a reason to roll back."""
    status = with_operation(view.status, proof=known.model_copy(update={"outcome": "Inconclusive"}))
    return release(
        moved(view, status),
        Phase.FAILED,
        "ProofInconclusive",
        f"the change is written and was not proved, nothing was rolled back: {why}",
    )


def failed_proof(view: View, known: ProofStatus, why: str) -> Move:
    worse = proof.worse(known, view.status.baseline)
    outcome = "Worse" if worse else "AsBroken"
    status = with_operation(view.status, proof=known.model_copy(update={"outcome": outcome}))
    last = view.status.last_operation
    backup = last.backup if last else None
    if worse and backup and rolls_back(view):
        return restore_next(
            moved(view, status), backup, "WorseThanBefore", f"worse than before: {why}"
        )
    if worse:
        return release(
            moved(view, status), Phase.FAILED, "WorseThanBefore", f"left as it is: {why}"
        )
    return release(
        moved(view, status),
        Phase.FAILED,
        "StillBroken",
        f"as broken as before, nothing was restored for nothing: {why}",
    )
