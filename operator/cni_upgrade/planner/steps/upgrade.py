"""A node is made ready for its upgrade, and somebody else upgrades it.

Cordoned and drained, the node says that it is ready by an annotation. Whether its upgrade has begun
is read off the Node alone: other versions, another boot, a Ready that was lost. As long as nothing
of that is seen the node can be given back. From then on it keeps its cordon until it reports the
versions, or a person acts: half upgraded, it is not to take pods.
"""

from __future__ import annotations

from datetime import timedelta

from cni_upgrade.api import duration
from cni_upgrade.api.drain import DrainPolicy
from cni_upgrade.api.history import HistoryEntry
from cni_upgrade.api.node_state import NodeStateStatus
from cni_upgrade.api.operation_status import Awaited
from cni_upgrade.api.phase import Phase
from cni_upgrade.api.policy import Mode, PolicySpec
from cni_upgrade.api.upgrade import Upgrade
from cni_upgrade.planner.node import cordon
from cni_upgrade.planner.node.context import (
    Move,
    NodeContext,
    at_step,
    moved,
    release,
    wait,
    with_operation,
)
from cni_upgrade.planner.node.upgrade_target import differences, told
from cni_upgrade.planner.steps import apply
from cni_upgrade.planner.steps.after_upgrade import audit_next
from cni_upgrade.planner.steps.cancel import unwanted
from cni_upgrade.planner.steps.drain import drain_settings, evict
from cni_upgrade.planner.steps.finish import person_asked
from cni_upgrade.planner.world.decisions import Announce
from cni_upgrade.planner.world.governance import matches
from cni_upgrade.planner.world.phases import (
    CORDON_TAKEN,
    DRAIN_BLOCKED,
    NOBODY_UPGRADED,
    UPGRADE,
    UPGRADE_OVERDUE,
    Step,
)

GRACE = 60
"""Seconds in which whoever has read an announcement begins."""


def cordoned(view: NodeContext) -> Move:
    if not (view.our_cordon and view.node.unschedulable):
        return apply.cordon(view)
    if drain_settings(view).policy == DrainPolicy.NEVER:
        return _ready(view, cordoned=True)
    seconds = duration.seconds(drain_settings(view).deadline)
    return at_step(view, Step.DRAIN, "the node is being drained", seconds, cordoned=True)


def drain(view: NodeContext) -> Move:
    return evict(
        view,
        lambda: _ready(view, drained=True),
        lambda why: release(view, Phase.BLOCKED, DRAIN_BLOCKED, why),
    )


def _ready(view: NodeContext, **changes: bool) -> Move:
    node = view.node
    awaited = Awaited(
        runtime=node.runtime,
        kubelet=node.kubelet,
        boot_id=node.boot_id,
        ready_since=node.ready_since,
    )
    text = "the node is ready for its upgrade"
    return at_step(view, Step.UPGRADE, text, limit(view), awaited=awaited, **changes)


def limit(view: NodeContext) -> int:
    """Seconds that a node is kept ready."""
    return duration.seconds(_settings(view).deadline)


def grace(_view: NodeContext) -> int:
    """Seconds between taking the announcement back and the cordon."""
    return GRACE


def upgrade(view: NodeContext) -> Move:
    """Wait until the Node reports the versions and has held Ready for `spec.upgrade.settle`."""
    if apply.taken_off(view):
        text = "somebody has taken our cordon off the node, which takes pods now"
        return release(view, Phase.BLOCKED, CORDON_TAKEN, text)
    spec, signs = _wanted(view), _signs(view)
    left = told(differences(view.node, spec)) if spec is not None else ""
    if signs and not left and view.node.ready == "True":
        return _settled(view)
    off, late = _unwanted(view), view.late()
    if not signs and (off or late):
        return _withdraw(
            view, f"called off: {off}" if off else "nobody has begun the upgrade in time"
        )
    if not off and cordon.announced(view.node) != view.operation.id and not view.silent:
        act = Announce(view.node.name, view.node.resource_version, view.operation.id)
        return wait(view, "the node is being announced as ready for its upgrade", act)
    known = _awaited(view)
    if known.reached_at is not None:
        lost = known.model_copy(update={"reached_at": None})
        return Move(with_operation(view.status, awaited=lost))
    what = left or "the node to be Ready"
    if signs and late:
        return _overdue(view, what, signs)
    begun = f"it has begun: {', '.join(signs)}"
    if off:
        return wait(view, f"{off}, but {begun}; waits for {what}")
    until = f"{view.operation.deadline:%Y-%m-%dT%H:%M:%SZ}" if view.operation.deadline else "?"
    text = f"ready for its upgrade until {until}; waits for {what}"
    return wait(view, f"{text}; {begun}" if signs else text, blockers=(what,))


def _settled(view: NodeContext) -> Move:
    """The Node is as wanted: audited once it has been so for long enough."""
    known = _awaited(view)
    if known.reached_at is None or known.reached_at > view.now:
        reached = known.model_copy(update={"reached_at": view.now})
        return Move(with_operation(view.status, awaited=reached))
    settle = duration.seconds(_settings(view).settle)
    text = f"the Node reports {_versions(view)}; audited once Ready for {settle} s"
    if cordon.announced(view.node):
        # Nobody else is to begin with it.
        return wait(view, text, Announce(view.node.name, view.node.resource_version, None))
    if view.now - known.reached_at < timedelta(seconds=settle):
        return wait(view, text)
    return audit_next(moved(view, _upgraded(view)))


def _upgraded(view: NodeContext) -> NodeStateStatus:
    """The status with a line of history on what the Node reported before, and reports now."""
    known, node = _awaited(view), view.node
    entry = HistoryEntry(
        at=view.now,
        kind=UPGRADE,
        operation=view.operation.id,
        outcome="Upgraded",
        from_=f"{known.runtime}, {known.kubelet}",
        to=f"{node.runtime}, {node.kubelet}",
        message=f"the Node reports {_versions(view)}",
    )
    return view.status.model_copy(update={"history": (*view.status.history, entry)})


def _overdue(view: NodeContext, what: str, signs: tuple[str, ...]) -> Move:
    """Nobody but a person knows what becomes of it: it keeps its cordon, and says so."""
    known = _awaited(view)
    if known.retry is None:
        asked = known.model_copy(update={"retry": person_asked(view)})
        return Move(with_operation(view.status, awaited=asked))
    if _asked_again(view):
        return _withdraw(view, "a person has asked for another try")
    retry = f"kubectl annotate --overwrite cns {view.node.name} cniupgrade.dev/retry=$(date +%s)"
    text = (
        f"not upgraded in time, and kept cordoned, for it has begun: {', '.join(signs)}; waits for "
        f"{what}; finish it by hand, or give the node back as it is: {retry}"
    )
    status = with_operation(view.status, blockers=(what,))
    return Move(status.model_copy(update={"reason": UPGRADE_OVERDUE, "message": text}))


def _withdraw(view: NodeContext, why: str) -> Move:
    return at_step(view, Step.WITHDRAW, f"not ready any more: {why}", GRACE)


def withdraw(view: NodeContext) -> Move:
    """Whoever has read the announcement may begin still: that is seen before the cordon goes."""
    if cordon.announced(view.node) and not view.silent:
        return wait(
            view, view.status.message, Announce(view.node.name, view.node.resource_version, None)
        )
    asked = _asked_again(view)
    if (signs := _signs(view)) and not asked:
        text = f"the upgrade has begun all the same: {', '.join(signs)}"
        return at_step(view, Step.UPGRADE, text, limit(view))
    if not view.late():
        return wait(view, view.status.message)
    why = view.status.message.removeprefix("not ready any more: ")
    if _unwanted(view) or asked:
        return release(view, Phase.WAITING, "CalledOff", why)
    return release(view, Phase.BLOCKED, NOBODY_UPGRADED, f"{why}; tried again")


def hold(view: NodeContext) -> Move:
    """Upgraded and not well: a person asks for another look, or wants it no more."""
    if _asked_again(view):
        return audit_next(view)
    if _wanted(view) is None:
        text = f"{view.status.message}; given back as it is: {_unwanted(view)}"
        return release(view, Phase.FAILED, view.status.reason, text)
    return wait(view, view.status.message)


def _signs(view: NodeContext) -> tuple[str, ...]:
    """What tells that the upgrade has begun: the Node is not what it was as it was announced."""
    node, known = view.node, _awaited(view)
    found = [
        (node.runtime != known.runtime, f"it reports {node.runtime}, and not {known.runtime}"),
        (node.kubelet != known.kubelet, f"it reports kubelet {node.kubelet}, not {known.kubelet}"),
        (node.boot_id != known.boot_id, "it was rebooted"),
        (node.ready != "True", f"its Ready is {node.ready}"),
        (
            node.ready == "True" and node.ready_since != known.ready_since,
            f"it was not Ready until {node.ready_since:%H:%M:%SZ}" if node.ready_since else "",
        ),
    ]
    return tuple(text for seen, text in found if seen and text)


def _unwanted(view: NodeContext) -> str:
    """Why no upgrade is to begin any more; also where the policy has no such target now."""
    if why := unwanted(view):
        return why
    asked = _wanted(view) is not None
    return "" if asked else "the policy asks for no runtime and no kubelet any more"


def _wanted(view: NodeContext) -> PolicySpec | None:
    """What says which versions are waited for; None where nothing does any more, so that a node
    whose upgrade has begun only has to become Ready. Of a pause what has begun knows nothing."""
    policy = view.orderer
    if policy is None or policy.metadata.deletion_timestamp or policy.spec.mode != Mode.ENFORCE:
        return None
    if not matches(policy.spec.node_selector, view.node.labels):
        return None
    return policy.spec if policy.spec.target.runtime or policy.spec.target.kubelet else None


def _asked_again(view: NodeContext) -> bool:
    """Whether a person has set another retry annotation since the node waits for one."""
    before = _awaited(view).retry
    return before is not None and before != person_asked(view)


def _awaited(view: NodeContext) -> Awaited:
    return view.operation.awaited or Awaited()


def _settings(view: NodeContext) -> Upgrade:
    return view.orderer.spec.upgrade if view.orderer is not None else Upgrade()


def _versions(view: NodeContext) -> str:
    return f"{view.node.runtime} and kubelet {view.node.kubelet}"
