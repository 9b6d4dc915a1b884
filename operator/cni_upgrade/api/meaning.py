"""What a word that a status shows means: one look-up over all the catalogues."""

from __future__ import annotations

from cni_upgrade.agent.protocol.errors import ABOUT
from cni_upgrade.api.node_reasons import NODE_REASONS
from cni_upgrade.api.policy_reasons import POLICY_REASONS
from cni_upgrade.cni.findings import Code

_CODES = {str(code): code.about for code in Code}


def meaning_of(word: str) -> str | None:
    """Of a reason of a node or a policy, a finding or a refusal; None for an unknown word."""
    reason = NODE_REASONS.get(word) or POLICY_REASONS.get(word)
    if reason is not None:
        return reason.about
    return _CODES.get(word) or ABOUT.get(word)
