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
