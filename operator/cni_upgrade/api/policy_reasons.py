"""The reasons of a policy: its conditions Ready, Reconciling and Stalled, and its Events."""

from typing import Final

from cni_upgrade.api.reasons import Actor, Reason

_DESCRIBE = "kubectl describe cup POLICY"
_NODES = "kubectl get cns -o wide"
_LOGS = "kubectl logs -n cni-upgrade-system deployment/cni-upgrade-operator"


def _waits(about: str, command: str = _DESCRIBE) -> Reason:
    return Reason(about, Actor.OPERATOR, command)


def _person(about: str, command: str = _DESCRIBE) -> Reason:
    return Reason(about, Actor.PERSON, command)


POLICY_REASONS: Final[dict[str, Reason]] = {
    "Audited": Reason(
        "Every node was looked at; the message counts those that need a change.",
        Actor.NOBODY,
        _NODES,
    ),
    "Enforced": Reason("Every node is Compatible or Done.", Actor.NOBODY, _NODES),
    "Auditing": _waits("Nodes are being looked at.", _NODES),
    "RollingOut": _waits("Nodes are being changed.", _NODES),
    "WaveStarted": _waits("A wave of the rollout has begun.", _NODES),
    "Ending": _waits("What the policy began before is brought to its end.", _NODES),
    "Restoring": _waits("The policy is deleted, and gives back what it changed.", _NODES),
    "RolloutBlocked": _person(
        "What is not the operator's is in the way: nodes down, silent, cordoned or leased.", _NODES
    ),
    "NodesBlocked": _person("Nodes are blocked, and nothing else is left to do.", _NODES),
    "NodesSilent": _person("Nodes do not report, and nothing else is left to do.", _NODES),
    "AuditsFailing": _person("The audits of all nodes that are left bring no answer.", _NODES),
    "NoNodeMatches": _person(
        "`spec.nodeSelector` matches no node.", "kubectl get nodes --show-labels"
    ),
    "NodesMatch": Reason("`spec.nodeSelector` matches nodes.", Actor.NOBODY, _DESCRIBE),
    "NodesMatched": Reason("`spec.nodeSelector` matches nodes.", Actor.NOBODY, _DESCRIBE),
    "CanaryFailed": _person("A canary failed: the rollout stands.", _NODES),
    "CanaryBlocked": _person("A canary is blocked: the rollout waits.", _NODES),
    "CanaryEmpty": _person("The canary's selector matches no node.", _DESCRIBE),
    "WindowsInvalid": _person("No maintenance window can be read.", _DESCRIBE),
    "WindowTooShort": _person("No window is as long as a change may take.", _DESCRIBE),
    "PermissionDenied": _person("The operator lacks a right; the message names it.", _LOGS),
    "NotUnderstood": _person("The policy holds what this release cannot read.", _DESCRIBE),
    "RecordsNotUnderstood": _person(
        "Node states hold what cannot be read; the message names the fields.", _NODES
    ),
    "PolicyUnplannable": _person("The policy's record makes no sense.", _LOGS),
    "LeftoversRefused": _person("The API server refuses to delete what is left over.", _LOGS),
    "DeletionRefused": _person("The API server refuses to delete what is left over.", _LOGS),
    "NotLookedAt": _waits("The policy was deleted before every node was looked at."),
    "NoAnswer": _waits("The API server does not answer; it is asked again.", _LOGS),
}
"""By the word that people see; words that nodes show as well stand with the nodes' reasons."""
