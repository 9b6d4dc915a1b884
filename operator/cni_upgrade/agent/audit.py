"""Audit: looks at the node and writes nothing there, not even a lock."""

from dataclasses import replace

from cni_upgrade.agent import applied_changes, make_report
from cni_upgrade.agent.protocol.operation import Operation
from cni_upgrade.agent.protocol.result import Outcome, Result
from cni_upgrade.agent.survey import survey


def audit(operation: Operation) -> Result:
    """The node's report. Raises nothing: what cannot be read is a finding."""
    seen = survey(operation)
    made = make_report.make(seen, make_report.judge(seen))
    return Result(
        id=operation.id,
        kind=operation.kind,
        node=operation.node,
        outcome=Outcome.DONE,
        report=replace(made, standing=applied_changes.find(seen)),
    )
