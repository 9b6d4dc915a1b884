"""What each node adds to its policy's counts. Nearly all nodes of a fleet add the same."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from cni_upgrade.api.node_state import CNINodeState
from cni_upgrade.api.phase import Phase
from cni_upgrade.api.policy import CNIUpgradePolicy, Mode
from cni_upgrade.planner.index.incremental import Incremental
from cni_upgrade.planner.node.audit_result import answered
from cni_upgrade.planner.node.pending_proof import unproved
from cni_upgrade.planner.node.unanswered_audits import lost, unanswered
from cni_upgrade.planner.world.governance import Governance
from cni_upgrade.planner.world.kubernetes_objects import Node
from cni_upgrade.planner.world.operator_config import OperatorConfig
from cni_upgrade.planner.world.phases import FAILED, GOOD, HELD_FOR_A_PERSON, ROUTINE

_TROUBLE = (Phase.FAILED, Phase.ROLLED_BACK, Phase.BLOCKED, Phase.MANAGED_ELSEWHERE)
_STUCK, _LOST, _NONE = range(len(_TROUBLE), len(_TROUBLE) + 3)
_UNDECIDED = frozenset(map(str, (Phase.PENDING, Phase.AUDITING, Phase.WAITING)))


class Share(NamedTuple):
    """All that a policy counts of a node that it selects; equal for nodes that are counted alike.

    A node without a record counts as one that is to be looked at, as which its record begins.
    """

    phase: str = str(Phase.PENDING)
    stuck: str = ""
    """The reason for which it stands still, whatever its phase says, until a person acts."""
    found: str = ""
    """The version that its config is at; empty where it is not known."""
    freed: int = 0
    """Pods that hung before the change and do not any more."""
    readiness: tuple[tuple[str, bool | None], ...] = ()
    """By runtime, in the order of the record; the first answer for a runtime is the one."""
    gravity: int = _NONE
    """Its place among those that need a person, the gravest first; beyond them it needs none."""
    unseen: bool = False
    """It looks good, but for what was wanted before, or is not proved: to be audited again."""
    again: bool = False
    """It is good, and looked at again though nothing that we know of has changed."""
    silent: bool = False
    """It is to be looked at, and nothing can be sent to it."""
    lost: bool = False
    """It is to be looked at, and answers no audit, though something can be sent to it."""
    unanswered: bool = False
    """The same of its last audit alone; so is each that is lost."""
    elsewhere: bool = False
    """Another policy has it, where this one would enforce too."""
    wanted_by: tuple[str, ...] = ()
    """Other Enforce policies that select it, where this one has it."""
    barred: bool = False
    """It is to be looked at, and another policy has it whose folders are not allowed."""
    deleted: bool = False
    """It is being deleted, and is not what is wanted: nobody waits for it, whoever holds it."""

    @property
    def needs_a_person(self) -> bool:
        return self.gravity < _NONE

    @property
    def failed(self) -> bool:
        """A change has failed there, or was rolled back."""
        return self.phase in FAILED

    @classmethod
    def of(
        cls,
        node: Node,
        state: CNINodeState | None,
        who: Governance,
        policy: CNIUpgradePolicy,
        config: OperatorConfig,
    ) -> Share:
        """The share of one node in the counts of a policy that selects it."""
        share = cls() if state is None else cls._of_record(state)
        acting = who.policy
        if acting is None:
            return share
        mine = acting.metadata.uid == policy.metadata.uid
        unseen = again = False
        unheard = (
            state is not None
            and not share.stuck
            and node.ready != "Unknown"
            and unanswered(state.status)
            and answered(node, state, acting, config)
        )
        given_up = unheard and state is not None and lost(state.status, config)
        due = share.phase == Phase.PENDING and not share.stuck
        barred = due and not mine and config.preset(acting.spec.paths) is None
        if state is not None and share.phase == Phase.AUDITING:
            routine = state.status.reason == ROUTINE
            again = routine and answered(node, state, acting, config)
        elif state is not None and share.phase in GOOD and mine:
            seen = answered(node, state, acting, config)
            unseen = due = not seen or unproved(state.status, acting)
        enforced = acting.spec.mode == Mode.ENFORCE
        whole = share._replace(
            unseen=unseen,
            again=again,
            silent=due and not barred and node.ready == "Unknown",
            lost=given_up,
            unanswered=unheard,
            gravity=_LOST if given_up else share.gravity,
            elsewhere=enforced and not mine and policy.metadata.name in who.rivals,
            wanted_by=who.rivals if enforced and mine else (),
            barred=barred,
        )
        return whole._left_alone() if node.deleting else whole

    def _left_alone(self) -> Share:
        """The share of a node on which nothing is begun any more."""
        if self.stuck or not (self.unseen or self.phase in _UNDECIDED):
            return self
        return self._replace(
            deleted=True,
            unseen=False,
            again=False,
            silent=False,
            lost=False,
            unanswered=False,
            barred=False,
            gravity=_NONE,
            elsewhere=False,
            wanted_by=(),
        )

    @classmethod
    def _of_record(cls, state: CNINodeState) -> Share:
        status = state.status
        held = status.reason in HELD_FOR_A_PERSON and status.phase not in FAILED
        stuck = status.reason if held else ""
        gravity = _STUCK if stuck else _NONE
        if status.phase in _TROUBLE:
            gravity = _TROUBLE.index(Phase(status.phase))
        return cls(
            phase=str(status.phase),
            stuck=stuck,
            found=status.found or "",
            freed=len(status.hung.before) - len(status.hung.after) if status.hung else 0,
            readiness=tuple((each.runtime, each.ready) for each in status.readiness),
            gravity=gravity,
        )


class Counts(Incremental[Share]):
    """The shares of a policy's nodes, and how many there are of each."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[Share] = Counter()

    def _replaced(self, before: Share | None, entry: Share | None) -> None:
        if before is not None:
            self.counts[before] -= 1
            if not self.counts[before]:
                del self.counts[before]
        if entry is not None:
            self.counts[entry] += 1
