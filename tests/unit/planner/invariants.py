"""What must hold after every single decision, whatever fails: the rules that are never traded.

Each rule is a function of the decision that was just carried out; its docstring is the rule.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from cni_upgrade.agent.protocol.operation import Operation
from cni_upgrade.api import duration, names
from cni_upgrade.api.drift import Drift
from cni_upgrade.api.node_state import NodeStateStatus
from cni_upgrade.api.parse import parse_node_state, parse_policy
from cni_upgrade.api.phase import Phase
from cni_upgrade.api.policy import CNIUpgradePolicy
from cni_upgrade.planner.node import cordon
from cni_upgrade.planner.node.audit_result import asked_again, audit_key
from cni_upgrade.planner.node.context import Move, NodeContext
from cni_upgrade.planner.node.node_lease import HOLDER
from cni_upgrade.planner.node.restore_request import gives_back
from cni_upgrade.planner.world import decisions as d
from cni_upgrade.planner.world.governance import govern, matches
from cni_upgrade.planner.world.kubernetes_objects import Lease, Node
from cni_upgrade.planner.world.phases import FAILED, MOVES
from cni_upgrade.planner.world.snapshot import Snapshot
from tests.unit.planner.api_model import Raw
from tests.unit.planner.cluster_model import AGENTS, PROOF, Cluster
from tests.unit.planner.controller_model import first_sent

Question = tuple[str, object, dict[str, object]]
"""What an audit's answer depends on and may change while its agent looks: the boot of the node, and
what a person has asked for on it and, by their uids, on all of each policy's."""


_CHANGES = ("apply", "restore", "prove", "upgrade")


@dataclass
class Ledger:
    """What happened so far, as far as a rule needs to know."""

    done: dict[str, tuple[object, ...]] = field(default_factory=dict)
    """By node: what an operation was made of that ended well."""
    ends: list[tuple[str, str, str]] = field(default_factory=list)
    """(uid of the policy, node, phase) of every change that ended, the last one last."""
    failed: dict[tuple[str, str], object] = field(default_factory=dict)
    """By uid of the policy and node: what was asked when it failed, or the policy said so."""
    wanted: dict[tuple[str, str], object] = field(default_factory=dict)
    """By uid of the policy and node: what was asked of every node as a change began there."""
    retries: dict[str, set[str]] = field(default_factory=dict)
    """By node: all values of a person's retry so far."""
    mends: dict[tuple[str, str, int], list[datetime]] = field(default_factory=dict)
    """By name and uid of the record, and how often a person has asked: when what somebody else had
    changed was written again."""
    read: Snapshot | None = None
    """What `retries` was noted of last."""
    limits: dict[str, Drift] = field(default_factory=dict)
    """By node: what `spec.drift` said when its drift was judged last: one that is lowered keeps
    nobody from mending what was found before."""
    idle: dict[str, int] = field(default_factory=dict)
    """By Job: passes that saw it before anything of it had begun, while everything was stopped."""
    looked: dict[str, Question] = field(default_factory=dict)
    """By audit: what was asked as its agent looked."""
    proved: set[tuple[str, str]] = field(default_factory=set)
    """By node: the SHA-256 of what stood there when a change ended well."""
    meddled: set[str] = field(default_factory=set)
    """Nodes whose cordon or record somebody changed by hand."""


@dataclass(frozen=True)
class Carried:
    """One decision, and what it met."""

    decision: d.Decision
    world: Snapshot
    """What the planner saw."""
    before: Raw
    """The object that was written to, as it was; empty where it was not there."""
    cluster: Cluster
    ledger: Ledger

    @property
    def began(self) -> NodeStateStatus | None:
        """The status of a node whose change this decision began."""
        if not (isinstance(self.decision, d.SetStatus) and self.decision.kind == "CNINodeState"):
            return None
        after = self.cluster.state(self.decision.name)
        if after is None or _writing(self.before) or not _writing(after):
            return None
        return parse_node_state(after).status

    @property
    def gives_back(self) -> bool:
        """Whether what began is to undo the change of a deleted policy."""
        operation = self.began.operation if self.began else None
        return operation is not None and operation.kind == "restore"

    @property
    def policy(self) -> CNIUpgradePolicy:
        """The policy of the change that began."""
        if self.began is None or self.began.operation is None or not self.began.operation.policy:
            raise AssertionError("a change began without a policy")
        uid = self.began.operation.policy.uid
        return next(p for p in self.world.policies.values() if p.metadata.uid == uid)


def _operation(state: Raw) -> Raw:
    found: Raw = (state.get("status") or {}).get("operation") or {}
    return found


def _writing(state: Raw) -> bool:
    return _operation(state).get("kind") in _CHANGES


def _marked(node: Raw) -> bool:
    return names.CORDONED_BY in (node["metadata"].get("annotations") or {})


def parallel(event: Carried) -> None:
    """Never more than maxParallel nodes are changed for a policy at once."""
    if event.began is None:
        return
    uid, most = event.policy.metadata.uid, event.policy.spec.rollout.max_parallel
    working = [
        state["metadata"]["name"]
        for state in event.cluster.states()
        if _writing(state)
        and _operation(state)["policy"]["uid"] == uid
        and state["metadata"]["name"] in event.cluster.disks
    ]
    assert len(working) <= most, f"{working} are changed at once, {most} may be"


def unavailable(event: Carried) -> None:
    """A node that works is taken out only while unavailable nodes stay within maxUnavailable of
    every Enforce policy that selects it, whichever of them it is changed for."""
    if event.began is None or not isinstance(event.decision, d.SetStatus):
        return
    name = event.decision.name
    for policy in event.world.policies.values():
        leaves = policy.metadata.deletion_timestamp is not None
        if policy is not event.policy and (leaves or policy.spec.mode != "Enforce"):
            continue
        matched = selected(event, policy)
        down = {n.name for n in matched.values() if n.ready != "True" or n.unschedulable}
        if name in down or name not in matched:
            continue
        down |= {
            s["metadata"]["name"]
            for s in event.cluster.states()
            if _writing(s) and s["metadata"]["name"] in matched
        }
        most, whose = share(policy.spec.rollout.max_unavailable, len(matched)), policy.metadata.name
        assert len(down) <= most, f"{sorted(down)} would be unavailable, {most} may be of {whose}"


def stopped(event: Carried) -> None:
    """No node begins while as many of the policy's nodes are failed as its budget allows.

    One that is given back does; but none after giving back has failed.
    """
    if event.began is None:
        return
    if event.gives_back:
        for state in event.cluster.states():
            changed = state["status"].get("changed") or {}
            ours = changed.get("policy", {}).get("uid") == event.policy.metadata.uid
            assert not (ours and changed.get("restored") == "Failed"), "it failed elsewhere"
        return
    policy, world = event.policy, event.world
    failed = []
    for state in event.cluster.states():
        name, uid = state["metadata"]["name"], (state["spec"].get("policyRef") or {}).get("uid")
        node, seen = world.nodes.get(name), world.states.get(name)
        if state["status"].get("phase") not in FAILED or uid != policy.metadata.uid:
            continue
        if node is None or not matches(policy.spec.node_selector, node.labels):
            continue
        # One that is claimed in this very pass was another policy's when this was decided.
        ref = seen.spec.policy_ref if seen else None
        if seen is None or ref is None or ref.uid != uid:
            continue
        # Somebody has asked to try that one again.
        if not asked_again(seen, policy):
            failed.append(name)
    for (uid, name), asked in event.ledger.failed.items():
        # Whatever has become of the node, of its labels and of its record since.
        if uid == policy.metadata.uid and name not in failed and _asked(event, policy, name, asked):
            failed.append(name)
    if policy.spec.rollout.count_failures == "Consecutive":
        ends = [(name, phase) for of, name, phase in event.ledger.ends if of == policy.metadata.uid]
        last = max((n for n, (_, phase) in enumerate(ends) if phase == "Done"), default=-1)
        failed = [name for name in failed if name in {name for name, _ in ends[last + 1 :]}]
    most = share(policy.spec.rollout.max_failures, len(matched_by(event)))
    assert len(failed) < most, f"{failed} are failed, {most} stop the rollout"


def matched_by(event: Carried) -> dict[str, Node]:
    """The nodes that the policy of a change selects."""
    return selected(event, event.policy)


def selected(event: Carried, policy: CNIUpgradePolicy) -> dict[str, Node]:
    """The nodes that a policy selects."""
    wanted = policy.spec.node_selector
    return {n.name: n for n in event.world.nodes.values() if matches(wanted, n.labels)}


def share(value: int | str, total: int) -> int:
    """A number, or a percentage of the total, of which at least one is left."""
    return value if isinstance(value, int) else max(1, int(total * int(value[:-1]) / 100))


def note_ends(event: Carried) -> None:
    """(No rule of its own: remembers for `stopped` how changes ended, in their order.

    And what was asked then: a retry of before a failure does not forgive it.)
    """
    decision, ledger = event.decision, event.ledger
    if isinstance(decision, d.SetStatus) and decision.kind == "CNINodeState":
        if event.began is not None and not event.gives_back:
            [wanted, _], _ = _asking(event, event.policy, decision.name)
            ledger.wanted[event.policy.metadata.uid, decision.name] = wanted
        state, operation = event.cluster.state(decision.name), _operation(event.before)
        phase = state["status"].get("phase") if state else None
        uid = (operation.get("policy") or {}).get("uid", "")
        if operation.get("kind") in ("apply", "restore", "upgrade") and phase in ("Done", *FAILED):
            ledger.ends.append((uid, decision.name, str(phase)))
            if phase == "Done":
                ledger.failed.pop((uid, decision.name), None)
        policy = event.world.policy_by(uid)
        if operation.get("kind") in _CHANGES and phase in FAILED and policy is not None:
            wanted = ledger.wanted.get((uid, decision.name))
            (_, of_all), of_node = _asking(event, policy, decision.name)
            if wanted is not None:
                ledger.failed[uid, decision.name] = (wanted, of_all), of_node


def note_retries(event: Carried) -> None:
    """(No rule of its own: remembers for `drift_budget` how often a person has asked.)"""
    if event.ledger.read is event.world:
        return
    event.ledger.read = event.world
    for name, state in event.world.states.items():
        ref = state.spec.policy_ref
        policy = event.world.policy_by(ref.uid) if ref is not None else None
        for each in (state, policy):
            if each is not None and (value := each.metadata.annotations.get(names.RETRY)):
                event.ledger.retries.setdefault(name, set()).add(value)


def note_failed(event: Carried) -> None:
    """(No rule of its own: remembers for `stopped` which nodes a policy says have failed.)"""
    decision = event.decision
    if isinstance(decision, d.SetStatus) and decision.kind == names.POLICY_KIND:
        policy = event.world.policies[decision.name]
        told = (event.cluster.policy(decision.name)["status"].get("rollout") or {}).get("failed")
        for each in told or ():
            asked = _asking(event, policy, each["node"])
            event.ledger.failed.setdefault((policy.metadata.uid, each["node"]), asked)


def _asking(
    event: Carried, policy: CNIUpgradePolicy, node: str
) -> tuple[tuple[object, object], object]:
    """What is asked of every node, and a person's retry on this one."""
    spec, state = policy.spec, event.world.states.get(node)
    of_all = (spec.target, spec.managed_files, spec.paths, spec.readiness_for)
    retry = policy.metadata.annotations.get(names.RETRY)
    return (of_all, retry), state.metadata.annotations.get(names.RETRY) if state else None


def _asked(event: Carried, policy: CNIUpgradePolicy, node: str, then: Any) -> bool:
    """Whether nobody has asked for anything else since; a record that is gone asks for nothing."""
    (wanted, of_all), of_node = _asking(event, policy, node)
    (then_wanted, then_of_all), then_of_node = then
    # What is taken away asks for nothing.
    same = of_all in (None, then_of_all) and of_node in (None, then_of_node)
    return bool(wanted == then_wanted and same)


def never_to_a_silent_node(event: Carried) -> None:
    """No Job is sent to a node whose Ready is Unknown."""
    if isinstance(event.decision, d.CreateJob):
        ready = event.world.nodes[event.decision.node].ready
        assert ready != "Unknown", f"{event.decision.name} was sent to a silent node"


def only_looking(event: Carried) -> None:
    """Where only Audit policies select a node and no change is under way, nothing is changed."""
    match event.decision:
        case d.Cordon(node=node) | d.Evict(node=node) | d.CreateProof(node=node):
            changes = True
        case d.CreateJob(node=node, name=name):
            changes = not name.startswith("audit-")
        case _:
            return
    state = event.cluster.state(node)
    assert not changes or (state is not None and _writing(state)), f"{node} was changed"
    if changes and state is not None:
        kept = _operation(state)["policy"]["uid"]
        policy = next((p for p in event.world.policies.values() if p.metadata.uid == kept), None)
        begun = (
            policy is None
            or policy.spec.mode == "Enforce"
            or _operation(state)["cordoned"]
            or bool(policy.metadata.deletion_timestamp)
        )
        assert begun, f"{node} was changed for a policy that only audits"


def foreign_cordons(event: Carried) -> None:
    """Nobody else's cordon is undone: what we uncordon carries our mark, or we wrote it last."""
    if isinstance(event.decision, d.Uncordon):
        assert _marked(event.before) or cordon.ours(Node.of(event.before)), "it was not ours"
        assert event.decision.node not in event.cluster.foreign_cordons, "it was somebody else's"


def cordon_signed(event: Carried) -> None:
    """A cordon is set for a recorded operation, with its mark, and on nobody else's cordon."""
    if isinstance(event.decision, d.Cordon):
        assert not event.before["spec"].get("unschedulable"), "it was cordoned already"
        state = event.cluster.state(event.decision.node)
        assert state is not None
        assert _operation(state)["id"] == event.decision.owner, "no operation stands for it"
        assert _marked(event.cluster.node(event.decision.node))


def cordoned_and_claimed(event: Carried) -> None:
    """A Job that writes is sent only to a node that we cordoned and the policy has claimed."""
    decision = event.decision
    if not isinstance(decision, d.CreateJob) or decision.name.startswith("audit-"):
        return
    node = event.cluster.node(decision.node)
    state = event.cluster.state(decision.node)
    assert state is not None, "no record of the node"
    assert state["spec"]["policyRef"]["uid"] == _operation(state)["policy"]["uid"], "no claim"
    assert state["spec"]["nodeUID"] == node["metadata"]["uid"], "another node of that name"
    # Whoever has taken the cordon off: what the controller sees is enough to know better.
    seen = event.world.nodes[decision.node]
    assert seen.unschedulable, "it was sent to a node that is seen to take pods"
    if decision.node not in event.ledger.meddled:
        assert node["spec"].get("unschedulable"), "the node takes pods"
        assert _marked(node), "the cordon is not ours"


def ordered_of_today(event: Carried) -> None:
    """What a first agent is to write was worked out for the runtime and the kubelet of now."""
    decision = event.decision
    if not isinstance(decision, d.CreateJob) or not re.fullmatch("apply-[0-9a-f]+", decision.name):
        return
    node, state = event.world.nodes[decision.node], event.world.states[decision.node]
    seen = state.status.observed
    assert seen is not None, "nobody has looked"
    looked = (seen.boot_id, seen.runtime_version, seen.kubelet_version)
    assert looked == (node.boot_id, node.runtime, node.kubelet), f"{looked} was looked at"


def one_writer(event: Carried) -> None:
    """At most one Job that writes is on a node at a time."""
    decision = event.decision
    if not isinstance(decision, d.CreateJob) or decision.name.startswith("audit-"):
        return
    others = writers(event.cluster, decision.node) - {decision.name}
    assert not others, f"{decision.name} was sent while {others} may still write"


def writers(cluster: Cluster, node: str) -> set[str]:
    """Jobs whose agent may write on a node, now or later."""
    found = set()
    pods = [p for p in cluster.api.all("Pod") if p["metadata"]["namespace"] == AGENTS]
    for job in cluster.api.all("Job"):
        name = job["metadata"]["name"]
        ended = any(
            c["type"] in ("Complete", "Failed") for c in job.get("status", {}).get("conditions", ())
        )
        given_up = bool(job.get("status", {}).get("conditions"))
        mine = job["metadata"]["annotations"][names.LABEL_NODE] == node
        if name.startswith("audit-") or ended or not mine:
            continue
        runs = [p for p in pods if p["metadata"]["ownerReferences"][0]["name"] == name]
        # A Job that is given up (FailureTarget) makes no pod any more.
        if not all(_terminated(p) for p in runs) or not (runs or given_up):
            found.add(name)
    return found


def _terminated(pod: Raw) -> bool:
    statuses = pod["status"].get("containerStatuses") or [{}]
    return "terminated" in statuses[0].get("state", {}) or pod["status"]["phase"] == "Failed"


def done_once(event: Carried) -> None:
    """No node is changed again after Done while nothing about it has changed."""
    if event.began is None or event.gives_back or not isinstance(event.decision, d.SetStatus):
        return
    name = event.decision.name
    if (
        event.began.operation
        and event.began.operation.kind == "prove"
        and (name in event.ledger.meddled)
    ):
        return  # Its record was lost, and with it what the proof had shown.
    state = event.cluster.state(name) or {}
    if not _seen(state, event.cluster.disks[name].sha256):
        return  # Put back by somebody since the last look: the agent will see it, and refuse.
    made_of = (
        event.cluster.node(name)["metadata"]["uid"],
        event.cluster.disks[name].sha256,
        _target(state),
    )
    assert event.ledger.done.get(name) != made_of, f"{name} is done again"


def note_done(event: Carried) -> None:
    """(No rule of its own: remembers for `done_once` which node is done, and with what.)"""
    decision = event.decision
    if isinstance(decision, d.SetStatus) and decision.kind == "CNINodeState":
        state = event.cluster.state(decision.name)
        if state is None or decision.name not in event.cluster.disks:
            return
        if not _writing(event.before):
            return
        if state["status"].get("phase") == Phase.DONE:
            files = state["status"]["files"]
            event.ledger.done[decision.name] = (
                event.cluster.node(decision.name)["metadata"]["uid"],
                files[0]["sha256"] if files else "",
                _target(event.before),
            )


def _seen(state: Raw, sha256: str) -> bool:
    """Whether the last look saw this content: of a later edit nothing is known yet."""
    return [file["sha256"] for file in state["status"].get("files") or ()] == [sha256]


def _target(state: Raw) -> str:
    """What the operation under way was ordered to reach; its policy may want another by now."""
    return str(json.loads(_operation(state).get("input") or "{}").get("target"))


def drain_never_first(event: Carried) -> None:
    """Where deleting pods does not work, no pod is evicted before that is mended."""
    if not isinstance(event.decision, d.Evict):
        return
    state = event.cluster.state(event.decision.node)
    assert state is not None
    if _operation(state)["kind"] == "restore":
        disk = event.cluster.disks[event.decision.node]
        deletes = disk.works(disk.version)[1]
        assert deletes or not _seen(state, disk.sha256), "the eviction would hang"
    elif _operation(state)["step"] == "Drain":
        # A person may have edited the record, and taken out what works.
        works = state["status"].get("baseline") or {}
        assert works.get("del") is not False, "the eviction would hang"


def evicts_only_others(event: Carried) -> None:
    """Pods of ours, of DaemonSets that are there and of the kubelet's own manifests are never
    evicted."""
    if isinstance(event.decision, d.Evict):
        assert event.decision.namespace not in (AGENTS, PROOF, "cni-upgrade-system")
        meta = event.before.get("metadata", {})
        owners = [owner["kind"] for owner in meta.get("ownerReferences", ())]
        back = "DaemonSet" in owners and event.decision.name not in event.cluster.orphans
        ended = event.before.get("status", {}).get("phase") in ("Succeeded", "Failed")
        assert not back or ended, f"{event.decision.name} would come back at once"
        mirrored = "kubernetes.io/config.mirror" in meta.get("annotations", {})
        assert not mirrored, f"{event.decision.name} is the kubelet's own"


def spares_the_others(event: Carried) -> None:
    """While one that held the last drain of a node holds on, no other pod that runs is evicted."""
    if not isinstance(event.decision, d.Evict):
        return
    status = event.world.states[event.decision.node].status
    if status.operation is None or status.operation.step != "Drain":
        return
    pods = event.world.pods[event.decision.node]
    held = [pod for pod in pods if pod.uid in status.drain_held_by]
    if any(not pod.deleting for pod in held):
        idle = event.before.get("status", {}).get("phase") in ("Pending", "Succeeded", "Failed")
        first = event.decision.uid in status.drain_held_by
        assert first or idle, f"{event.decision.name} goes for nothing, as at the last try"


def deletes_only_proofs(event: Carried) -> None:
    """Only proof pods of ours are deleted; a Job that writes only once its record is lost."""
    if isinstance(event.decision, d.DeleteProof) and event.before:
        labels = event.before["metadata"].get("labels") or {}
        assert labels.get(names.LABEL_COMPONENT) == "proof", "it is somebody else's pod"
    if isinstance(event.decision, d.DeleteJob) and event.before:
        node = event.before["metadata"]["annotations"][names.LABEL_NODE]
        seen, state = event.world.nodes.get(node), event.world.states.get(node)
        lost = (
            seen is None
            or state is None
            or state.status.operation is None
            or state.spec.node_uid != seen.uid
        )
        now = event.cluster.state(node)
        idle = (
            now is not None
            and _operation(now).get("step") in ("TakeBack", "GiveBack")
            and not any(pod.began for pod in event.world.agents.get(event.decision.name, ()))
        )
        answered = now is not None and not _operation(now)
        assert event.decision.name.startswith("audit-") or lost or idle or answered, (
            "an agent may be writing"
        )


def says_why(event: Carried) -> None:
    """Every node that does not rest in peace says what is waited for or what to do."""
    decision = event.decision
    if isinstance(decision, d.SetStatus) and decision.kind == "CNINodeState":
        state = event.cluster.state(decision.name)
        if state is not None:
            status = state["status"]
            assert status.get("message"), f"{decision.name}: {status.get('phase')} without a word"
            assert status.get("reason"), f"{decision.name}: {status.get('phase')} without a reason"
            assert status["reason"] != "Unplannable" or decision.name in event.ledger.meddled, (
                status["message"]
            )


def readable(event: Carried) -> None:
    """What is written validates against the models, and comes back as it was written."""
    if isinstance(event.decision, d.SetStatus):
        name = event.decision.name
        raw = event.cluster.api.find(event.decision.kind, name)
        if raw is None:
            return
        parsed: Any = (
            parse_policy(raw) if event.decision.kind == names.POLICY_KIND else parse_node_state(raw)
        )
        back = parsed.status.to_api()
        for key, value in raw["status"].items():
            assert back[key] == value, f"{name}: status.{key} is read back differently"


def claim_guarded(event: Carried) -> None:
    """A claim is never taken from an Enforce policy that still selects the node."""
    if not isinstance(event.decision, d.Claim) or not event.before:
        return
    before = event.before["spec"].get("policyRef")
    after = (event.decision.policy_ref or {}).get("uid")
    if before is None or before["uid"] == after:
        return
    node = event.world.nodes[event.decision.name]
    state = event.world.states[event.decision.name]
    holder = govern(node, state, event.world.policies.values()).policy
    if holder is not None and holder.spec.mode == "Enforce":
        assert holder.metadata.uid != before["uid"], "the claim was taken away"
    assert not _writing(event.before), "the node was handed over in the middle"


def drift_budget(event: Carried) -> None:
    """What somebody else changes back is mended no more often than spec.drift says."""
    decision = event.decision
    if not isinstance(decision, d.SetStatus) or decision.kind != "CNINodeState":
        return
    after = event.cluster.state(decision.name)
    drifted = (event.before.get("status") or {}).get("drift") or {}
    _note_drift(event, decision.name)
    if after is None or not drifted.get("sha256") or not _writing(event.before):
        return
    if (after["status"].get("drift") or {}).get("sha256") or not drifted["found"]:
        return  # Not mended yet, or asked for by a person.
    limit = event.ledger.limits.get(decision.name, Drift())
    asked = len(event.ledger.retries.get(decision.name, ()))
    of_node = decision.name, after["metadata"]["uid"], asked
    mends = event.ledger.mends.setdefault(of_node, [])
    mends.append(event.cluster.now)
    within = timedelta(seconds=duration.seconds(limit.within))
    recent = [at for at in mends if event.cluster.now - at < within]
    assert len(recent) <= limit.max_reverts, f"{decision.name} is mended {len(recent)} times"


def _note_drift(event: Carried, name: str) -> None:
    """Remembers by which limits a drift was judged, and forgets what was fought over with a policy
    that is deleted and has settled the node."""
    before, state = event.before.get("status") or {}, event.cluster.state(name)
    after = state["status"] if state else {}
    if (
        before.get("drift")
        and not after.get("drift")
        and (after.get("changed") or {}).get(
            "restored", (before.get("changed") or {}).get("restored")
        )
    ):
        for key in [key for key in event.ledger.mends if key[0] == name]:
            del event.ledger.mends[key]
    # Another edit before it was mended is no further find, and is judged by no limit.
    drifts = [status.get("drift") or {} for status in (before, after)]
    judged = [(each.get("found"), each.get("spent")) for each in drifts]
    if not drifts[1].get("sha256") or judged[0] == judged[1] or name not in event.world.nodes:
        return
    node, record = event.world.nodes[name], event.world.states.get(name)
    policy = govern(node, record, event.world.policies.values()).policy
    if policy is not None:
        event.ledger.limits[name] = policy.spec.drift


def lease_never_stolen(event: Carried) -> None:
    """The Lease on a node is taken only where it is free, ours, or has expired."""
    if not isinstance(event.decision, d.TakeLease) or not event.before:
        return
    before = Lease.of(event.before)
    until = before.until()
    free = before.holder == HOLDER or until is None or until < event.cluster.now
    assert free, f"{before.name} was {before.holder}'s until {until}"


def cordoned_with_a_lease(event: Carried) -> None:
    """Where Leases are used, a node is cordoned only with the Lease on it in our hands."""
    space = event.world.config.lease_namespace
    if not space or not isinstance(event.decision, d.Cordon):
        return
    raw = event.cluster.api.find("Lease", f"node-{event.decision.node}", space)
    assert raw is not None, "there is no Lease"
    assert raw["spec"]["holderIdentity"] == HOLDER, "it is somebody else's"


def lease_dropped_last(event: Carried) -> None:
    """The Lease is given back after the node."""
    if isinstance(event.decision, d.DropLease) and event.before:
        owner = event.before["metadata"]["ownerReferences"][0]["name"]
        state = event.cluster.state(owner)
        assert state is None or not _writing(state), "the node is still worked on"
        assert event.before["spec"]["holderIdentity"] == HOLDER, "it is somebody else's"
        node = Node.of(event.cluster.node(owner))
        assert not cordon.ours(node), "our cordon is still there"
        busy = writers(event.cluster, owner) & event.world.jobs.keys()
        assert not busy, f"{busy} may still write"


def begins_unpaused(event: Carried) -> None:
    """No change begins for a policy that is paused or only audits, none is taken back for one
    that is not deleted, keeps its changes, or does not hold on for it."""
    if event.began is not None:
        assert event.gives_back == bool(event.policy.metadata.deletion_timestamp)
        restores = event.policy.spec.deletion_policy == "Restore"
        if event.gives_back:
            assert restores
        else:
            assert event.policy.spec.mode == "Enforce"
        if restores:
            assert names.FINALIZER in event.policy.metadata.finalizers
        assert not event.policy.spec.paused
        assert event.policy.metadata.annotations.get(names.PAUSED, "false") == "false"


def begins_nothing_while_stopped(event: Carried) -> None:
    """While everything is stopped no operation begins, an audit as little as a change."""
    decision = event.decision
    if not event.world.stopped:
        return
    if isinstance(decision, d.CreateJob):
        assert not first_sent(decision.name), f"{decision.name} was sent"
    if isinstance(decision, d.SetStatus) and decision.kind == "CNINodeState":
        after = event.cluster.state(decision.name)
        begun = _operation(after or {}).get("id", "")
        # Of a node that is at work the way back may begin; and an audit that was sent before the
        # stop is recorded after it (planner/status/deferred_writes.py).
        sent = begun in event.world.jobs
        assert not begun or _operation(event.before) or sent, f"{begun} has begun"


def stops_what_is_not_written(event: Carried) -> None:
    """While everything is stopped nothing goes on on a node on which nothing is written yet: it is
    not cordoned, nor drained, and gets no pod to be proved with. What is written ends."""
    match event.decision:
        case d.Cordon(node=node) | d.Evict(node=node) | d.CreateProof(node=node):
            state = event.world.states.get(node)
        case _:
            return
    if event.world.stopped:
        operation = state.status.operation if state else None
        step = operation.step if operation else "no operation"
        before = ("Cordon", "Baseline", "BaselineDelete", "Drain")
        untouched = step in (*before, "no operation")
        assert not untouched, f"{node}: {type(event.decision).__name__} at {step}"


def proved_first(event: Carried) -> None:
    """No node begins while another one of its policy is written and not proved, for whichever; but
    for one that is to be written anew, and may have to wait for this one."""
    if event.began is None or event.gives_back or not isinstance(event.decision, d.SetStatus):
        return
    policy, world, begins = event.policy, event.world, event.decision.name
    if not policy.spec.verify.proof:
        return

    def unproved(name: str) -> bool:
        state, node = world.states.get(name), world.nodes.get(name)
        if state is None or node is None or node.deleting or node.uid != state.spec.node_uid:
            return False
        last, ref = state.status.last_change, state.spec.policy_ref
        mine = ref is not None and ref.uid == policy.metadata.uid
        written = mine and last is not None and last.outcome == "Unproved"
        anew = any(file.action == "Rewrite" for file in state.status.files)
        if name != begins and state.status.phase == "Waiting" and anew:
            return False
        return written

    others = [name for name in matched_by(event) if unproved(name)]
    assert not others or unproved(begins), f"{others} are not proved yet"


def shown_before(event: Carried) -> None:
    """A file is written only where a pod has shown what works before, or where that is known not
    to, or nobody wants to know."""
    decision = event.decision
    if (
        not isinstance(decision, d.CreateJob)
        or re.fullmatch("apply-[0-9a-f]+", decision.name) is None
    ):
        return
    state = event.cluster.state(decision.node)
    assert state is not None, "no record of the node"
    status, operation = state["status"], _operation(state)
    uid = operation["policy"]["uid"]
    policy = next((p for p in event.world.policies.values() if p.metadata.uid == uid), None)
    if policy is None or not policy.spec.verify.proof:
        return
    works = {"add": True, "del": True, **(status.get("baseline") or {})}
    # In the way after the change: not added where no pod of that kind goes first.
    stays = (status.get("after") or {}).get("existingDel") is False and not operation["drained"]
    shown = bool((operation.get("proof") or {}).get("oldPod"))
    assert shown or stays or False in (works["add"], works["del"]), "no pod has shown what works"


def nothing_forgotten(event: Carried) -> None:
    """A policy that gives back goes only with every node that it changed given back or named."""
    decision = event.decision
    if not isinstance(decision, d.SetFinalizers) or names.FINALIZER in decision.finalizers:
        return
    policy = event.world.policies[decision.policy]
    if not gives_back(policy):
        return
    uid, told = policy.metadata.uid, {each.node for each in policy.status.failures}
    for name, node in event.world.nodes.items():
        disk = event.cluster.disks.get(name)
        standing = disk.standing() if disk is not None else None
        if standing is None or standing.policy != uid or name in told:
            continue
        holder = govern(node, event.world.states.get(name), event.world.policies.values()).policy
        if holder is not None and holder.spec.mode == "Enforce":
            continue
        if not matches(policy.spec.node_selector, node.labels):
            continue
        state = event.cluster.state(name) or {}
        changed = (state.get("status") or {}).get("changed") or {}
        settled = changed.get("restored") and changed["policy"]["uid"] == uid
        assert settled or _writing(state), f"{name} keeps what {decision.policy} wrote, untold"


def evicts_from_a_cordoned_node(event: Carried) -> None:
    """No pod is evicted from a node that takes pods: it would be back at once, or another one."""
    if isinstance(event.decision, d.Evict):
        node = event.world.nodes[event.decision.node]
        assert node.unschedulable, f"{node.name} takes pods while it is drained"


def given_up_with_patience(event: Carried) -> None:
    """A node is given up for good only after a controller has looked for as long as it is waited:
    while none did, nothing could go on."""
    decision, since = event.decision, event.world.looking_since
    if not (isinstance(decision, d.SetStatus) and decision.kind == "CNINodeState") or since is None:
        return
    state = event.cluster.state(decision.name) or {}
    changes = [((s.get("status") or {}).get("changed") or {}) for s in (event.before, state)]
    before, after = (change.get("restored") for change in changes)
    if after == "GivenUp" and before != after:
        patience = timedelta(seconds=event.world.config.restore_patience_seconds)
        assert event.world.now - since >= patience, f"{decision.name} is given up unseen"


_JUDGED = ("WorseThanBefore", "StillBroken", "ProofFailed")


def judged_while_looked_at(event: Carried) -> None:
    """No proof has failed within a minute after the controller was away: the kubelets may be back
    later than it, and their nodes are taken for Ready until then."""
    decision, since = event.decision, event.world.looking_since
    if not (isinstance(decision, d.SetStatus) and decision.kind == "CNINodeState") or since is None:
        return
    before, after = (
        _ending(event.before),
        _ending(event.cluster.state(decision.name) or {}),
    )
    if after in _JUDGED and before != after:
        looked = event.world.now - since
        assert looked >= timedelta(seconds=60), f"{decision.name} is judged after {looked}"


def _ending(state: Raw) -> str:
    """The reason for which a change ends, or is taken back."""
    return str((_operation(state).get("ending") or {}).get("reason", ""))


def question(cluster: Cluster, node: str) -> Question:
    """The boot of a node, and what people ask for on it, as it is now."""
    policies = cluster.api.all(names.POLICY_KIND)
    return (
        cluster.node(node)["status"]["nodeInfo"]["bootID"],
        _retry(cluster.state(node) or {"metadata": {}}),
        {policy["metadata"]["uid"]: _retry(policy) for policy in policies},
    )


def _retry(raw: Raw) -> object:
    return (raw["metadata"].get("annotations") or {}).get(names.RETRY)


def answers_its_own_question(event: Carried) -> None:
    """What an agent saw before a reboot, or before a person asked again, is no answer to that."""
    decision, world = event.decision, event.world
    if not (isinstance(decision, d.SetStatus) and decision.kind == "CNINodeState"):
        return
    after = parse_node_state(event.cluster.state(decision.name) or event.before).status
    last, seen = after.last_operation, after.observed
    before = (event.before.get("status") or {}).get("lastOperation") or {}
    if last is None or last.id == before.get("id") or seen is None or not seen.audit_key:
        return
    looked = event.ledger.looked.get(last.id)
    if looked is None or decision.name not in world.nodes:
        return
    node, state = world.nodes[decision.name], world.states[decision.name]
    now = question(event.cluster, decision.name)
    if (node.boot_id, state.metadata.annotations.get(names.RETRY)) == now[:2]:  # No old view.
        # What is taken away asks for nothing.
        same = looked[0] == now[0] and now[1] in (None, looked[1])
        assert same, f"{decision.name}: {looked[:2]} was asked, {now[:2]} is"
    operation = state.status.operation
    uid = operation.policy.uid if operation and operation.policy else ""
    policy = next((p for p in world.policies.values() if p.metadata.uid == uid), None)
    if policy is not None and policy.metadata.annotations.get(names.RETRY) == now[2].get(uid):
        same = now[2].get(uid) in (None, looked[2].get(uid))
        assert same, f"{decision.name}: the policy asks again"


def never_the_same_order(event: Carried) -> None:
    """What is to be written is ordered under an id that the node has not answered to before."""
    decision = event.decision
    if not (isinstance(decision, d.SetStatus) and decision.kind == "CNINodeState"):
        return
    after = _operation(event.cluster.state(decision.name) or {}).get("id", "")
    disk = event.cluster.disks.get(decision.name)
    if disk is not None and after != _operation(event.before).get("id"):
        assert after not in disk.results, f"{decision.name} has answered {after} already"


def written_as_asked_today(event: Carried) -> None:
    """An agent is first sent to write only under a cordon of ours, and only what follows from a
    look that answers what is asked today."""
    decision, world = event.decision, event.world
    if not isinstance(decision, d.CreateJob) or not re.fullmatch("apply-[0-9a-f]+", decision.name):
        return
    node, state = world.nodes[decision.node], world.states[decision.node]
    assert not node.unschedulable or cordon.ours(node), f"{node.name} is cordoned by somebody else"
    raw = event.cluster.state(decision.node)
    assert raw is not None, "no record of the node"
    status = parse_node_state(raw).status
    uid = _operation(raw)["policy"]["uid"]
    policy = next((p for p in world.policies.values() if p.metadata.uid == uid), None)
    if policy is not None and status.observed is not None:
        asked = audit_key(node, state, policy, world.config)
        assert status.observed.audit_key == asked, f"{node.name}: something else is asked by now"


def note_proved(event: Carried) -> None:
    """(No rule of its own: remembers for `never_well_unproved` what changes have ended well.)"""
    decision = event.decision
    if isinstance(decision, d.SetStatus) and decision.kind == "CNINodeState":
        status = (event.cluster.state(decision.name) or {}).get("status") or {}
        disk = event.cluster.disks.get(decision.name)
        ended = (status.get("lastChange") or {}).get("outcome") in ("Done", "Lowered")
        if disk is not None and ended and _writing(event.before):
            event.ledger.proved.add((decision.name, disk.sha256))


def never_well_unproved(event: Carried) -> None:
    """What an agent has written is called well only once a change that wrote it has ended so."""
    decision, world = event.decision, event.world
    if not (isinstance(decision, d.SetStatus) and decision.kind == "CNINodeState"):
        return
    name = decision.name
    state, disk = event.cluster.state(name), event.cluster.disks.get(name)
    if state is None or disk is None or name in event.ledger.meddled or name not in world.nodes:
        return
    if state["status"].get("phase") != "Compatible" or not disk.made:
        return
    policy = govern(world.nodes[name], world.states.get(name), world.policies.values()).policy
    if policy is None or policy.spec.mode != "Enforce" or not policy.spec.verify.proof:
        return
    ours = disk.made[-1].after == disk.sha256
    assert not ours or (name, disk.sha256) in event.ledger.proved, f"{name} is not proved"


RULES: tuple[Callable[[Carried], None], ...] = (
    parallel,
    unavailable,
    stopped,
    note_ends,
    note_failed,
    note_retries,
    never_to_a_silent_node,
    only_looking,
    foreign_cordons,
    cordon_signed,
    cordoned_and_claimed,
    ordered_of_today,
    one_writer,
    done_once,
    note_done,
    drain_never_first,
    evicts_only_others,
    spares_the_others,
    deletes_only_proofs,
    says_why,
    readable,
    claim_guarded,
    begins_unpaused,
    begins_nothing_while_stopped,
    stops_what_is_not_written,
    proved_first,
    shown_before,
    drift_budget,
    lease_never_stolen,
    cordoned_with_a_lease,
    lease_dropped_last,
    nothing_forgotten,
    evicts_from_a_cordoned_node,
    given_up_with_patience,
    judged_while_looked_at,
    answers_its_own_question,
    never_the_same_order,
    written_as_asked_today,
    note_proved,
    never_well_unproved,
)


def check(event: Carried) -> None:
    """Every rule, after one decision."""
    for rule in RULES:
        rule(event)


def check_write(cluster: Cluster, ledger: Ledger, node: str, operation: Operation) -> None:
    """No file is written on a node that takes pods, unless somebody uncordoned it by hand.

    And none for the first time while everything is stopped, by an agent that could be taken back.
    """
    assert ledger.idle.get(operation.id, 0) < 20, f"{operation.id} writes first while stopped"
    if operation.id in cluster.disks[node].results or node in ledger.meddled:
        return
    raw = cluster.node(node)
    assert raw["spec"].get("unschedulable"), f"{node} is written while it takes pods"
    assert _marked(raw), f"{node} is written under somebody else's cordon"


def note_idle(world: Snapshot, ledger: Ledger) -> None:
    """The Jobs that would write first and have not begun, in a pass while everything is stopped.

    Not those that are sent again, or roll a change back: they end what was begun; nor one on a
    silent node, which may have begun.
    """
    if not world.stopped:
        ledger.idle.clear()
        return
    for name, job in world.jobs.items():
        state = world.states.get(job.for_node)
        operation = state.status.operation if state else None
        if operation is None or not operation.id == operation.job == name:
            continue
        if operation.step not in ("Apply", "TakeBack", "GiveBack"):
            continue
        if job.for_node not in world.nodes or world.nodes[job.for_node].ready == "Unknown":
            continue
        if not any(pod.began for pod in world.agents.get(name, ())):
            ledger.idle[name] = ledger.idle.get(name, 0) + 1


EDITED = "mishap/edited"
"""The annotation of a record that a person has edited."""


def check_move(view: NodeContext, move: Move) -> None:
    """Every move between phases stands in phases.MOVES, but from one that a person wrote."""
    before, after = view.status.phase, move.status.phase
    if EDITED in view.state.metadata.annotations:
        return
    if before != after and isinstance(before, Phase):
        assert after in MOVES[before], f"{view.node.name}: {before} -> {after} is not in MOVES"


def check_given_back(cluster: Cluster, looking_since: datetime | None = None) -> None:
    """In the end no node carries a cordon of ours, and no proof pod is left that could go.

    One that cannot go is named in the record of its node, once a controller has looked for so long.
    """
    for node in cluster.api.all("Node"):
        name = node["metadata"]["name"]
        assert not _marked(node), f"{name} still carries our mark"
        if name not in cluster.foreign_cordons:
            assert not node["spec"].get("unschedulable"), f"{name} is still cordoned"
    for lease in cluster.api.all("Lease"):
        assert lease["spec"]["holderIdentity"] != HOLDER, "a Lease of ours is left"
    for pod in cluster.api.all("Pod"):
        if pod["metadata"]["namespace"] == PROOF:
            leaving = pod["metadata"].get("deletionTimestamp")
            assert leaving, f"proof pod {pod['metadata']['name']} was left behind"
            state = cluster.state(pod["spec"].get("nodeName", ""))
            since = datetime.fromisoformat(leaving)
            noticed = max(since, looking_since or since)
            hangs = cluster.now - noticed >= timedelta(seconds=60)
            if hangs and state is not None:
                told = " ".join(state["status"].get("leftovers", ()))
                assert pod["metadata"]["name"] in told, "a pod that hangs is not told of"
