"""How long a change may take by its deadlines, which a maintenance window has to hold."""

from __future__ import annotations

from cni_upgrade.api import duration
from cni_upgrade.api.policy import PolicySpec
from cni_upgrade.api.verify import OnFailure
from cni_upgrade.planner.world.operator_config import GRACE_SECONDS, OperatorConfig


def longest(spec: PolicySpec, config: OperatorConfig, drained: bool) -> int:
    """How many seconds a change may take by its deadlines, the way back included.

    Drain, a pod from before the change, the agent, three steps of the proof, the soak with two of
    them again, time for pods that hung, and the agent once more where a change that makes a node
    worse is undone. An agent that is lost and sent again makes it longer, and so does a silent
    kubelet: docs/explanation/rollout.md says by how much. They are not counted, for windows that
    hold the worst of everything are few.
    """
    verify = spec.verify
    agent = config.apply_deadline_seconds + GRACE_SECONDS
    step = duration.seconds(verify.deadline)
    proof = 4 * step if verify.proof else 0
    soak = duration.seconds(verify.soak) + 2 * step if verify.proof and verify.soak else 0
    drain = duration.seconds(spec.drain.deadline) if drained else 0
    undo = agent if spec.on_failure == OnFailure.ROLLBACK else 0
    return drain + agent + proof + soak + step + undo + _upgrade(spec)


def _upgrade(spec: PolicySpec) -> int:
    """Seconds that somebody else's upgrade of a node may take, where the policy wants one."""
    if spec.target.runtime is None and spec.target.kubelet is None:
        return 0
    return duration.seconds(spec.upgrade.deadline) + duration.seconds(spec.upgrade.settle)


def hours(seconds: int) -> str:
    """Whole minutes, rounded up, as people write them."""
    hours, minutes = divmod(-(-seconds // 60), 60)
    return f"{hours}h{minutes}m" if hours and minutes else f"{hours}h" if hours else f"{minutes}m"
