"""Prints docs/reference/reasons.md, the catalogue as people read it (`make reasons`)."""

from collections.abc import Iterator

from cni_upgrade.agent.protocol.errors import ABOUT
from cni_upgrade.api.alerts import ALERTS, STEPS
from cni_upgrade.api.node_reasons import NODE_REASONS
from cni_upgrade.api.policy_reasons import POLICY_REASONS
from cni_upgrade.api.reasons import Reason
from cni_upgrade.cni.findings import Code

_HEAD = """\
# Reasons, findings and alerts

This page has every word that a status, a condition, an Event, a finding or an alert shows.
`cni-upgrade explain WORD` prints the same in a terminal. `make reasons` writes this page from the
operator's catalogue.

POLICY and NODE stand for names.
"""


def page() -> str:
    """The whole page."""
    parts = [_HEAD]
    parts += _reasons("Reasons of a node", "`kubectl get cns` shows them.", NODE_REASONS)
    parts += _reasons("Reasons of a policy", "`kubectl get cup` shows them.", POLICY_REASONS)
    parts += _runbook()
    findings = {str(code): code.about for code in Code}
    parts += _codes("Findings", "An audit tells them of a file or a node.", findings)
    refusals = {code: about for code, about in ABOUT.items() if code not in findings}
    parts += _codes("Refusals", "An agent that did not write, or failed, tells them.", refusals)
    return "".join(parts)


def _reasons(title: str, shown: str, reasons: dict[str, Reason]) -> Iterator[str]:
    yield f"\n## {title}\n\n{shown}\n\n| reason | what it means | who acts next | look or act |\n"
    yield "|---|---|---|---|\n"
    for word, reason in reasons.items():
        yield f"| {word} | {reason.about} | {reason.actor} | `{reason.command}` |\n"


def _runbook() -> Iterator[str]:
    yield "\n## Alerts\n\n[monitoring.md](../how-to/monitoring.md) has their rules.\n"
    for name, alert in ALERTS.items():
        yield f"\n### {name}\n\n{alert.about} Begin with:\n\n```sh\n{alert.command}\n```\n\n"
        yield from (f"- {step}\n" for step in STEPS[name])


def _codes(title: str, shown: str, codes: dict[str, str]) -> Iterator[str]:
    yield f"\n## {title}\n\n{shown}\n\n| code | what it means |\n|---|---|\n"
    for code, about in codes.items():
        yield f"| {code} | {about} |\n"


if __name__ == "__main__":
    print(page(), end="")
