"""The shipped manifests, as a real API server takes them: without a warning, again unchanged."""

import re
import shlex

from tests.api.conftest import Kubectl
from tests.api.server import Server
from tests.api.shipped import ROOT, config


def test_all_is_accepted_without_a_warning(shipped: Server, kubectl: Kubectl) -> None:
    assert shipped
    done = kubectl(
        *("apply", "--server-side", "--dry-run=server", "--validate=strict", "-k", str(ROOT))
    )
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    for example in ("audit", "enforce", "rollout"):
        path = ROOT / "manifests" / "examples" / f"{example}.yaml"
        done = kubectl("apply", "--dry-run=server", "--validate=strict", "-f", str(path))
        assert done.returncode == 0, done.stderr


def test_applying_again_changes_nothing(shipped: Server, kubectl: Kubectl) -> None:
    assert shipped
    done = kubectl("diff", "--server-side", "--force-conflicts", "-k", str(ROOT))
    assert done.returncode == 0, done.stdout + done.stderr


def test_where_the_agents_image_stands_is_shown_as_the_manual_says(
    shipped: Server, kubectl: Kubectl
) -> None:
    assert shipped
    manual = (ROOT / "docs/running.md").read_text(encoding="utf-8")
    lines = [line for line in manual.splitlines() if re.match(r"kubectl.*agentImage", line)]
    assert len(lines) == 2
    for line in lines:
        done = kubectl(*shlex.split(line.partition(" | ")[0])[1:])
        assert config().agent_image in done.stdout, done.stderr
