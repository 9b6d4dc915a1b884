"""The node state shows the whole report of an operation, under the same names.

All but `standing`, of which `status.changed` is made where no record is left.
"""

import json
import re
from pathlib import Path

from cni_upgrade.agent.protocol import operation
from cni_upgrade.api.node_state import NodeStateStatus
from cni_upgrade.api.report import Report
from cni_upgrade.cni.findings import Finding, Severity

CONTRACT = Path(__file__).parents[3] / "docs" / "reference" / "agent-protocol.md"


def documented() -> dict[str, object]:
    """The example under "### Report", without its comments."""
    text = CONTRACT.read_text(encoding="utf-8").split("### Report", 1)[1]
    match = re.search(r"```json\n(.*?)```", text, re.DOTALL)
    assert match is not None
    report = json.loads(re.sub(r"\s//[^\n]*", "", match[1]))
    assert isinstance(report, dict)
    del report["standing"], report["pods"]  # acted on, or for a person who reads the log
    return report


def without_nulls(value: object) -> object:
    if isinstance(value, dict):
        return {key: without_nulls(v) for key, v in value.items() if v is not None}
    if isinstance(value, list):
        return [without_nulls(v) for v in value]
    return value


def test_nothing_of_the_documented_report_is_lost() -> None:
    assert Report.model_validate(documented()).to_api() == without_nulls(documented())


def test_nothing_of_what_the_agent_sends_is_lost() -> None:
    """The agent's own types and these models do not drift apart."""
    sent = operation.Report(
        runtime=operation.RuntimeReport("containerd", "1.6.2", "1.0.1", "1.0.0"),
        paths=operation.FoundPaths(
            "/etc/cni/net.d",
            ("/opt/cni/bin",),
            "/var/lib/cni",
            operation.Known("runtime config /a", 3, "pod-net", "/etc/cni/template"),
            ("/opt/multus/bin",),
        ),
        files=(
            operation.FileReport(
                name="10-x.conflist",
                sha256="ab" * 32,
                kind="conflist",
                network="x",
                version="0.4.0",
                active=True,
                plugins=("bridge",),
                to="1.0.0",
                action=operation.Action.REWRITE,
                why="because",
                managed_by="flannel",
            ),
        ),
        plugins=(operation.PluginReport("bridge", ("1.0.0",), "1.0.0", operation.Source.VERSION),),
        sandboxes={"missing": 1},
        baseline=operation.Baseline(True, False, "why not", "why not", True),
        after=operation.After(True, True, True, True, "why", False),
        verdict=operation.Verdict.REWRITE,
        findings=(
            Finding(
                code="F1",
                severity=Severity("Fault"),
                component="c",
                message="m",
                action="a",
            ),
        ),
        readiness=(operation.ReadinessReport("containerd>=2.0", False, "F1"),),
    ).to_json()
    assert Report.model_validate(sent).to_api() == sent
    assert NodeStateStatus.model_validate(sent).findings[0].code == "F1"
