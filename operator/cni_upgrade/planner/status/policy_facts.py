"""What the phases of a policy's nodes do not say: other policies, silence, looks due, leftovers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter

from cni_upgrade.api.node_state import CNINodeState
from cni_upgrade.api.phase import Phase
from cni_upgrade.api.policy import CNIUpgradePolicy, Mode
from cni_upgrade.planner.index.counts import Counts
from cni_upgrade.planner.index.node_index import NodeIndex
from cni_upgrade.planner.limits.max_unavailable import changing
from cni_upgrade.planner.node import node_lease
from cni_upgrade.planner.node.stalled import SILENT, describe_nodes, named, stuck
from cni_upgrade.planner.world.batch import GARBAGE
from cni_upgrade.planner.world.kubernetes_objects import Node
from cni_upgrade.planner.world.phases import HELD_FOR_A_PERSON
from cni_upgrade.planner.world.snapshot import Snapshot

_NAMED = ("elsewhere", "silent", "lost", "deleted", "barred")
_FAILED = attrgetter("failed")


@dataclass(frozen=True, slots=True)
class PolicyFacts:
    """Who stands in whose way on the nodes of one policy."""

    elsewhere: tuple[str, ...] = ()
    """Nodes that another policy has, where this one would enforce too."""
    claimant: str = ""
    """Who has the first of them, and since when."""
    wanted_by: tuple[str, ...] = ()
    """Other Enforce policies that select nodes which this one has."""
    unseen: int = 0
    """Nodes that look good, but for what was wanted before: they are to be audited again."""
    again: int = 0
    """Good nodes that are looked at again, though nothing that we know of has changed."""
    silent: tuple[str, ...] = ()
    """Nodes that are to be looked at, and that nothing can be sent to."""
    lost: tuple[str, ...] = ()
    """Nodes whose audits bring no answer, again and again."""
    unanswered: int = 0
    """Nodes whose last audit brought no answer, these among them."""
    deleted: tuple[str, ...] = ()
    """Nodes that are being deleted, and are not what the policy wants: nobody waits for them."""
    barred: tuple[str, ...] = ()
    """Nodes that are to be looked at, and that another policy has whose folders are not allowed."""
    barrier: str = ""
    """That, of the policy that has the first of them; empty where there is none."""
    ending: tuple[str, ...] = ()
    """Nodes that are changed on the policy's behalf, whatever it wants today."""
    stuck: tuple[Node, ...] = ()
    """Others of these, on which only somebody else can do something now."""
    failed: tuple[str, ...] = ()
    """Nodes that failed or were rolled back, where the policy only audits."""
    leftovers: tuple[tuple[str, str], ...] = ()
    """(what is to go from one of the nodes, why it was not deleted)."""

    def looking(self, phases: Counter[str]) -> int:
        """How many nodes are being looked at, or are to be, of those that may answer.

        What keeps the agents of some out mostly keeps out the next as well: while any is lost, one
        that did not answer either is no reason to take back that a person is needed.
        """
        due = phases[str(Phase.PENDING)] + phases[str(Phase.AUDITING)] + self.unseen
        return due - len(self.barred) - (self.unanswered if self.lost else 0)

    @property
    def in_the_way(self) -> str:
        """The nodes on which nothing of ours can go on, and why; empty where there is none."""
        silent = f"{named(self.silent)} {SILENT}" if self.silent else ""
        return " and ".join(filter(None, (describe_nodes(self.stuck), silent)))


def found(
    policy: CNIUpgradePolicy,
    matched: Mapping[str, Node],
    tally: Counts,
    world: Snapshot,
    roster: NodeIndex,
) -> PolicyFacts:
    """`matched` are the nodes that the policy selects, `tally` what they add to its counts."""
    counts, shares = tally.counts, tally.entries
    # Hardly any node is one of these, so it is asked first whether any is.
    audits = policy.spec.mode == Mode.AUDIT
    elsewhere, silent, lost, deleted, barred, failed = (
        tuple(name for name, share in shares.items() if wanted(share))
        if any(map(wanted, counts)) and (audits or wanted is not _FAILED)
        else ()
        for wanted in (*map(attrgetter, _NAMED), _FAILED)
    )
    begun = list(_begun(policy, world, roster))
    held = {n for n in begun if stuck(world.nodes[n], world.states[n], _leased(n, world))}
    first = elsewhere[0] if elsewhere else ""
    acting = roster.governance(first).policy if first else None
    return PolicyFacts(
        elsewhere=elsewhere,
        claimant=_claimant(acting, world.states.get(first)) if acting else "",
        wanted_by=tuple(sorted({name for share in counts for name in share.wanted_by})),
        unseen=sum(number for share, number in counts.items() if share.unseen),
        again=sum(number for share, number in counts.items() if share.again),
        silent=silent,
        lost=lost,
        unanswered=sum(number for share, number in counts.items() if share.unanswered),
        deleted=deleted,
        barred=barred,
        barrier=_barrier(barred, roster),
        ending=tuple(name for name in begun if name not in held),
        stuck=tuple(world.nodes[name] for name in begun if name in held),
        failed=failed,
        leftovers=tuple(_leftovers(matched, world)),
    )


def _begun(policy: CNIUpgradePolicy, world: Snapshot, roster: NodeIndex) -> Iterator[str]:
    """Nodes that are changed on the policy's behalf by now, by name."""
    for name in sorted(roster.working_for(policy)):
        state = world.states.get(name)
        if changing(state) and state is not None and state.status.reason not in HELD_FOR_A_PERSON:
            yield name


def _barrier(nodes: Sequence[str], roster: NodeIndex) -> str:
    acting = roster.governance(nodes[0]).policy if nodes else None
    if acting is None:
        return ""
    paths, name = acting.spec.paths, acting.metadata.name
    return f"no look at {named(nodes)}: spec.paths {paths!r} of policy {name} is not allowed here"


def _leased(node: str, world: Snapshot) -> bool:
    return node_lease.foreign(node, world) is not None


def _leftovers(matched: Mapping[str, Node], world: Snapshot) -> Iterator[tuple[str, str]]:
    for subject, error in sorted(world.errors.items()):
        if not subject.startswith(GARBAGE):
            continue
        name = subject.removeprefix(GARBAGE)
        left = world.proofs.get(name) or world.jobs.get(name)
        if left is not None:
            ours = left.for_node in matched
        else:
            ours = name in world.leases and any(node_lease.name(node) == name for node in matched)
        if ours:
            yield name, error


def _claimant(policy: CNIUpgradePolicy, state: CNINodeState | None) -> str:
    """The name of a policy that has a node, and since when it is claimed, as far as it is known."""
    claim = state.spec.policy_ref if state else None
    if claim is None or claim.uid != policy.metadata.uid or claim.since is None:
        return policy.metadata.name
    return f"{policy.metadata.name} (since {claim.since:%Y-%m-%dT%H:%M:%SZ})"
