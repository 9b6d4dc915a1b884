"""The reasons of a node state: `status.reason`, its conditions and its Events."""

from typing import Final

from cni_upgrade.api.reasons import Actor, Reason

_DESCRIBE = "kubectl describe cns NODE"
_RETRY = "kubectl annotate --overwrite cns NODE cniupgrade.dev/retry=$(date +%s)"
_LOGS = "kubectl logs -n cni-upgrade-agents -l cniupgrade.dev/node=NODE"
_NODE = "kubectl describe node NODE"
_POLICY = "kubectl describe cup POLICY"


def _waits(about: str, command: str = _DESCRIBE) -> Reason:
    return Reason(about, Actor.OPERATOR, command)


def _person(about: str, command: str = _DESCRIBE) -> Reason:
    return Reason(about, Actor.PERSON, command)


def _well(about: str) -> Reason:
    return Reason(about, Actor.NOBODY, _DESCRIBE)


NODE_REASONS: Final[dict[str, Reason]] = {
    # At rest, and well.
    "Compatible": _well("Pods come and go at the version that the file has: nothing to do."),
    "Done": _well("The file was changed, and a pod proved it."),
    "NotCni": _well("Pods of this node get their network without CNI: nothing to do."),
    "Restored": _well("The policy was deleted, and the file is what it was before."),
    "CordonRemoved": _well("The operator took its own cordon off the node."),
    # Phases, as Events and conditions show them.
    "Pending": _waits("The node waits for its audit."),
    "Auditing": _waits("An agent looks at the node."),
    "Waiting": _waits("The node needs a change, and waits; `status.reason` says for what."),
    "Draining": _waits("The node is cordoned, and its pods are evicted."),
    "Applying": _waits("An agent backs up the file and writes it."),
    "Upgrading": _waits("The node is ready for its upgrade by another program or a person.", _NODE),
    "RollingBack": _waits("The agent puts the backup back."),
    "RolledBack": _person("The backup is back; `status.reason` says why.", _RETRY),
    "Failed": _person("The node failed; `status.reason` says how.", _RETRY),
    "Blocked": _person("The node cannot be changed; `status.reason` says why."),
    # Steps of a change, in their order.
    "Job": _waits("The Job of an audit runs.", _LOGS),
    "Cordon": _waits("The node is being cordoned."),
    "Baseline": _waits("A pod is added before the change, to compare with."),
    "BaselineDelete": _waits("The pod from before the change is deleted."),
    "Drain": _waits("Pods are evicted, within their disruption budgets."),
    "Apply": _waits("The agent backs up the file and writes it.", _LOGS),
    "TakeBack": _waits("The agent did not start: its Job goes, and the cordon with it."),
    "Upgrade": _waits("The node waits to report the versions of `spec.target`.", _NODE),
    "Withdraw": _waits("The node is not ready any more; it is uncordoned unless one has begun."),
    "AuditAfter": _waits("An agent looks at the upgraded node.", _LOGS),
    "Hold": _person("The upgraded node is not well, and keeps its cordon.", _RETRY),
    "DrainAfter": _waits("Pods are evicted after the change: only now can they be deleted."),
    "ProveOld": _waits("The pod from before the change is deleted after it."),
    "ProveAdd": _waits("A new pod is to get its network."),
    "ProveDelete": _waits("The new pod is to give its network back."),
    "Soak": _waits("The proof holds; the node is watched for `verify.soak`."),
    "Free": _waits("Pods that hung before the change get time to go."),
    "CordonBack": _waits("The node is cordoned, to put the backup back."),
    "Restore": _waits("The agent puts the backup back.", _LOGS),
    "GiveBack": _waits("The agent puts the file of a deleted policy back.", _LOGS),
    "Release": _waits("The operator takes its cordon off."),
    # What is waited for.
    "WaitingForEnforce": Reason(
        "The node needs a change, and its policy only audits.",
        Actor.PERSON,
        """kubectl patch cup POLICY --type=merge -p '{"spec":{"mode":"Enforce"}}'""",
    ),
    "WaitingForAuditSlot": _waits("As many nodes are audited as `auditParallel` allows."),
    "WaitingForSlot": _waits("As many nodes change as the policy allows.", _POLICY),
    "WaitingForWave": _waits("The waves before the node's own are not finished.", _POLICY),
    "WaitingForCanary": _waits("The canary has not passed yet.", _POLICY),
    "WaitingForProof": _waits(
        "Another node is written and not proved yet: no further one begins.", _POLICY
    ),
    "WaitingForWindow": _waits("No maintenance window is open that is long enough.", _POLICY),
    "Paused": Reason(
        "The policy is paused by `spec.paused` or by annotation.", Actor.PERSON, _POLICY
    ),
    "Stopped": _person(
        "Everything is stopped by the annotation `cniupgrade.dev/stop`.",
        "kubectl get namespace cni-upgrade-agents -o yaml",
    ),
    "RolloutStopped": _person("Failures or the canary stopped the rollout.", _POLICY),
    "RestoreStopped": _person("A node failed to go back: no other one begins.", _POLICY),
    "NoFinalizer": _waits("The policy is about to get the finalizer that restoring needs."),
    "ChangeNeeded": _waits("The audit found a change to make."),
    "ProofDue": _waits("What was written is proved anew."),
    "Proving": _waits("A pod is to show that the network works."),
    "Audit": _waits("The node is audited."),
    "RoutineAudit": _waits("A good node is looked at again: it is its time."),
    "Rotation": _waits("A node that is not good is looked at again: it is its time."),
    "CalledOff": _waits("The change was called off before anything was written."),
    "NodeDeleted": _waits("The Node is gone, and its record goes as well."),
    "Unknown": _waits("The operator has not looked at the node yet."),
    "UnknownPhase": _waits("The record shows a phase that this release does not know."),
    "StepUnknown": _waits("The record shows a step that nobody knows; it is begun anew."),
    "AgentStillRuns": _waits("An agent may still write on the node; it is waited for.", _LOGS),
    # What others are in the way of.
    "NodeSilent": _person("The kubelet does not report, so no Job is sent.", _NODE),
    "CordonedByOther": _person("Somebody else has cordoned the node.", "kubectl uncordon NODE"),
    "LeaseHeld": _person(
        "Somebody else holds the Lease of the node.",
        "kubectl describe lease -n medik8s-leases node-NODE",
    ),
    "HoldsClaim": _person("The node holds a change of another policy that is not ended.", _POLICY),
    "ClaimedByOther": _person("Another policy has the node.", "kubectl get cup"),
    "NoPolicy": _person("No policy selects the node.", "kubectl get cup"),
    "UpgradeDue": _waits("The config is well; the runtime or the kubelet is to be upgraded."),
    "NobodyUpgraded": _waits("Nobody began the upgrade before `spec.upgrade.deadline`.", _NODE),
    "UpgradeOverdue": _person(
        "The upgrade has begun and not ended in time; the node keeps its cordon.", _NODE
    ),
    "NotWellAfterUpgrade": _person(
        "The upgraded node does not work, and keeps its cordon.", _RETRY
    ),
    "NotReadyForRuntime": _person(
        "Pods would not work under the runtime to reach, or that is not known."
    ),
    "AboveTarget": _person(
        "The Node reports a newer release than `spec.target` asks for.", _POLICY
    ),
    "PodsNotDeleted": _person("Pods of the node cannot be deleted, so it cannot be drained."),
    "CordonTaken": _waits("Somebody took the operator's cordon off before the write.", _NODE),
    "ManagedElsewhere": _person("Another program writes the file, and would put it back."),
    "Drift": _waits("The file that was written is not there any more: the node is audited again."),
    "DriftBudgetSpent": _person("The file was written back by somebody too often.", _RETRY),
    # Blocked.
    "NotLinux": _person("No agent is sent to a node that is not Linux.", _NODE),
    "PodsNotListed": _waits("The API server does not list the node's pods.", _NODE),
    "DrainForbidden": _person(
        "Only a drained node is safe, and `drain.policy` is `Never`.", _POLICY
    ),
    "DrainBlocked": _waits("Pods did not leave the node in time; the message names them."),
    "DrainNotEnough": _person(
        "The node was drained, and could not be changed all the same.", _RETRY
    ),
    "NeedsDrain": _waits("Running pods must go before the file may change."),
    "AgentNotStarted": _waits(
        "No agent could start: image, quota, PodSecurity or a folder.", _LOGS
    ),
    "ProofInconclusive": _waits("No pod could show whether the network works."),
    "ChangedSinceAudit": _waits("The file is not what the audit saw: it is audited again."),
    "ChangedMeanwhile": _waits("Another program wrote the file in the same moment."),
    "NotAllowed": _waits("Judged again before the write, the version may not be written."),
    "PathsNotAllowed": _person("`spec.paths` names a folder that agents may not mount.", _POLICY),
    # Looks and records that failed.
    "AuditFailed": _waits("The audit failed, and is tried again after a pause.", _LOGS),
    "AuditLost": _waits("The audit ended without an answer, and is tried again.", _LOGS),
    "ReportUnusable": _waits("The agent's report makes no sense; the message names it.", _LOGS),
    "ResultDamaged": _person("What an earlier run came to cannot be read any more.", _LOGS),
    "Unplannable": _person(
        "The record makes no sense; the message names the field.", "kubectl get cns NODE -o yaml"
    ),
    "Drained": _waits("The node is drained."),
    "Refused": _person("The agent refused to write; the message says why.", _LOGS),
    # Failed.
    "WorseThanBefore": _person(
        "Something that worked before the change does not any more.", _RETRY
    ),
    "ApplyFailed": _person("The write failed on its way, and the backup is back.", _RETRY),
    "StillBroken": _person("The change was made, and pods fail as before: another cause.", _RETRY),
    "ProofFailed": _person("Pods do not work; whether they did before is not known.", _RETRY),
    "RestoreFailed": _person("The backup could not be put back.", _LOGS),
    "NotRestored": _person("The policy was deleted, and the file was not put back."),
    "AgentLost": _person("Agents ended without an answer; each file is whole.", _LOGS),
    "NodeFailed": _person("The node failed or was rolled back.", _RETRY),
}
"""By the word that people see."""
