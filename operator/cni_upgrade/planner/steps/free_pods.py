"""The last step of a change: pods that hung before it get the time to be freed by it."""

from __future__ import annotations

from cni_upgrade.agent.protocol.operation import Kind
from cni_upgrade.api import duration
from cni_upgrade.api.history import HungPods
from cni_upgrade.planner.node.context import Move, NodeContext, at_step, moved, wait
from cni_upgrade.planner.node.stuck_pods import hanging
from cni_upgrade.planner.steps.finish import done, verify
from cni_upgrade.planner.steps.second_leg import finished
from cni_upgrade.planner.world.phases import PROVE, Step


def limit(view: NodeContext) -> int:
    """Seconds that pods get; the kubelet tries each again every ten or so."""
    return duration.seconds(verify(view).deadline)


def free_next(view: NodeContext, message: str) -> Move:
    """Wait for the pods that hung before the change, where there are any; then done."""
    hung = view.operation.hung
    if view.operation.kind in (Kind.RESTORE, PROVE):
        return done(view, message)  # It cures nothing, so it frees nobody.
    if not hung:
        return finished(_counted(view, ()), message)
    return at_step(view, Step.FREE, message, limit(view))


def free(view: NodeContext) -> Move:
    """Whether they are free decides nothing: what hangs on may do so for another reason."""
    proved, _, _ = view.status.message.partition(_WAITS)
    before = view.operation.hung or ()
    pods = view.world.pods.get(view.node.name)
    if pods is None and view.late():
        text = f"; whether the {len(before)} pods that hung are free is not known: {view.listing}"
        return finished(_counted(view, before), f"{proved}{text}")
    if pods is None:
        return wait(view, view.status.message)
    still = set(hanging(pods, view.world.config.namespaces, view.now))
    left = tuple(name for name in before if name in still)
    after = view.status.after
    stuck = after is not None and after.existing_delete is False
    leaving = {pod.key for pod in pods if pod.deleting}
    # Pods that the audit says cannot be deleted are counted and not waited for.
    hope = tuple(name for name in left if not (stuck and name in leaving))
    if hope and not view.late():
        return wait(view, f"{proved}{_WAITS}{len(hope)} of {len(before)}: {', '.join(hope[:3])}")
    on = f"; {len(left)} hang on: {', '.join(left[:3])}" if left else ""
    freed = f"; {len(before) - len(left)} of {len(before)} pods that hung were freed{on}"
    return finished(_counted(view, left), f"{proved}{freed}")


_WAITS = "; waits for pods that hung, "


def _counted(view: NodeContext, left: tuple[str, ...]) -> NodeContext:
    before = view.operation.hung or ()
    if not before and view.status.hung is not None:
        return view  # What an earlier change has freed stays freed.
    hung = HungPods(before=before, after=left)
    return moved(view, view.status.model_copy(update={"hung": hung}))
