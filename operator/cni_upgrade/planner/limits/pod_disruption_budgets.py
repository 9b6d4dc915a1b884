"""Which disruption budgets select a pod.

The eviction API evicts no pod that several of them select, and does not say which these are.
Source: k8s.io/kubernetes v1.34.4 pkg/registry/core/pod/storage/eviction.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cni_upgrade.api.label_selector import LabelSelector, LabelSelectorRequirement
from cni_upgrade.planner.world.governance import matches
from cni_upgrade.planner.world.kubernetes_objects import Raw

SEVERAL = "more than one PodDisruptionBudget"
"""What the API server says of such a pod, with HTTP status 500."""


def describe_budgets(labels: Mapping[str, str], budgets: Iterable[Raw]) -> str:
    """Why such a pod stays, with the budgets of its namespace that select it by name."""
    names = sorted(b["metadata"]["name"] for b in budgets if _selects(b["spec"], labels))
    return (
        f"more than one disruption budget selects it ({', '.join(names)}), and the API server "
        "evicts no such pod: leave it one of them"
    )


def _selects(spec: Raw, labels: Mapping[str, str]) -> bool:
    """As policy/v1 has it: the empty selector takes every pod, a missing one takes none."""
    selector = spec.get("selector")
    if selector is None:
        return False
    # The API server has validated it, by rules that are not those of our own resources.
    wanted = LabelSelector.model_construct(
        match_labels=selector.get("matchLabels") or {},
        match_expressions=tuple(
            LabelSelectorRequirement.model_construct(
                key=each["key"], operator=each["operator"], values=tuple(each.get("values") or ())
            )
            for each in selector.get("matchExpressions") or ()
        ),
    )
    return matches(wanted, labels)
