"""A person's `cniupgrade.dev/retry`: another value asks for another try, and only that does.

What was answered is on record, by digest. So a value that was set before a failure does not forgive
it, and one that is taken away asks for nothing: a GitOps tool prunes what it does not know.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache

from cni_upgrade.api import names
from cni_upgrade.api.node_state import CNINodeState
from cni_upgrade.api.policy import CNIUpgradePolicy


@lru_cache(maxsize=4096)
def digest(value: str | None) -> str:
    """A value may be of any length; empty without one."""
    return "" if value is None else hashlib.sha256(value.encode()).hexdigest()[:16]


def standing(annotations: Mapping[str, str], answered: str) -> str:
    """The digest of what is annotated, or else of what was answered."""
    return digest(annotations.get(names.RETRY)) or answered


def of_node(policy: CNIUpgradePolicy, state: CNINodeState, answered: str | None = None) -> str:
    """The same of a policy and of one of its nodes, as `policy/node`.

    `answered`: what was, in that form; of the last look where nothing else is said.
    """
    if answered is None:
        seen = state.status.observed
        answered = seen.retry if seen is not None else ""
    of_policy, _, of_record = answered.partition("/")
    policys = standing(policy.metadata.annotations, of_policy)
    return f"{policys}/{standing(state.metadata.annotations, of_record)}"


def of_all(policy: CNIUpgradePolicy) -> str:
    """The same of a policy alone."""
    rollout = policy.status.rollout
    return standing(policy.metadata.annotations, rollout.retry if rollout is not None else "")
