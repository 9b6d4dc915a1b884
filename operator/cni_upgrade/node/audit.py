"""Audit: looks at the node and writes nothing there, not even a lock."""

from dataclasses import replace

from cni_upgrade.node import report, standing
from cni_upgrade.node.operation import Operation
from cni_upgrade.node.result import Outcome, Result
from cni_upgrade.node.survey import survey


def audit(operation: Operation) -> Result:
    """The node's report. Raises nothing: what cannot be read is a finding."""
    seen = survey(operation)
    made = report.make(seen, report.judge(seen))
    return Result(
        id=operation.id,
        kind=operation.kind,
        node=operation.node,
        outcome=Outcome.DONE,
        report=replace(made, standing=standing.find(seen)),
    )
