"""The alerts of manifests/components/monitoring: what each says, and the first command."""

from typing import Final

from cni_upgrade.api.reasons import Actor, Reason

RUNBOOKS: Final = "https://cniupgrade.dev/latest/reference/reasons/"
"""Where docs/reference/reasons.md is on the site of the docs; each alert has an anchor there."""

_LOGS = "kubectl logs -n cni-upgrade-system deployment/cni-upgrade-operator"


def _woken(about: str, command: str) -> Reason:
    return Reason(about, Actor.PERSON, command)


ALERTS: Final[dict[str, Reason]] = {
    "CNIUpgradeNoLeader": _woken(
        "No replica leads, or more than one says so: nothing is done.",
        "kubectl get pods,lease -n cni-upgrade-system",
    ),
    "CNIUpgradeNodeFailed": _woken(
        "Nodes failed or were rolled back; each counts against `maxFailures`.",
        "kubectl get cns -o wide",
    ),
    "CNIUpgradePolicyStalled": _woken(
        "A policy needs a person; the label `reason` says why.", "kubectl describe cup POLICY"
    ),
    "CNIUpgradeManyFailures": _woken(
        "Looks or changes fail again and again, and are tried again.", "kubectl get cns -o wide"
    ),
    "CNIUpgradeStoppedLong": _woken(
        "Everything has been stopped for a day.", "kubectl get namespace cni-upgrade-agents -o yaml"
    ),
    "CNIUpgradePausedLong": _woken(
        "A policy has been paused for a week.", "kubectl describe cup POLICY"
    ),
    "CNIUpgradeFails": _woken("The operator meets an error of its own: report its log.", _LOGS),
    "CNIUpgradeRightsMissing": _woken(
        "The operator lacks rights; the condition Stalled names them.", "kubectl describe cup"
    ),
    "CNIUpgradeFenceMissing": _woken(
        "Admission policies that hold agents in are missing.",
        "kubectl get validatingadmissionpolicies",
    ),
}
"""By the name of the alert."""

STEPS: Final[dict[str, tuple[str, ...]]] = {
    "CNIUpgradeNoLeader": (
        "No pod runs, or none is Ready: `/readyz` on port 8080 of its node says why.",
        "Pods are Ready and the Lease has a holder: Prometheus does not reach port 8080 of the "
        "nodes, or scrapes nothing.",
        "More than one leads: Prometheus scrapes the operators of two clusters. Add the label of "
        "the cluster to the rule.",
    ),
    "CNIUpgradeNodeFailed": (
        "`kubectl describe cns NODE` has the findings, the diff and the backup.",
        "`cni-upgrade explain REASON` says what the label `reason` means.",
        "Mend the cause, then annotate the node state with `cniupgrade.dev/retry`.",
    ),
    "CNIUpgradePolicyStalled": (
        "The condition `Stalled` of the policy names the object and the next command.",
        "`cni-upgrade explain REASON` says what the label `reason` means.",
    ),
    "CNIUpgradeManyFailures": (
        "`DrainBlocked`: a disruption budget allows no eviction; the node state names the pod.",
        "`AgentNotStarted`, `AuditLost`: nodes do not get the agent's image, or have no room.",
        "`ProofInconclusive`: proof pods do not start for a reason that is not the network.",
    ),
    "CNIUpgradeStoppedLong": (
        "The value of the annotation `cniupgrade.dev/stop` says why it was set.",
        "`kubectl annotate namespace cni-upgrade-agents cniupgrade.dev/stop-` goes on.",
    ),
    "CNIUpgradePausedLong": (
        "`spec.paused` or the annotation `cniupgrade.dev/paused` holds it.",
        "Take it away to go on, or delete the policy if nobody wants the rollout any more.",
    ),
    "CNIUpgradeFails": (
        "The log has a traceback. The controller tries again; `/readyz` is 503 until a pass is "
        "well.",
        "If it began with an upgrade of the operator, go back to the release before.",
    ),
    "CNIUpgradeRightsMissing": (
        "The log and the condition name each right, for example `patch nodes`.",
        "Apply `manifests/rbac.yaml` of the release that runs.",
    ),
    "CNIUpgradeFenceMissing": (
        "The log names each policy that is missing, is not bound, or does not deny.",
        "Apply `manifests/admission.yaml` of the release that runs.",
        "Find out who took it away: agents run as root on the host's network.",
    ),
}
"""What then: the cases that there are, and what to do in each."""
