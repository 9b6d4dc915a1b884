"""The shipped manifests, as a real API server takes them: without a warning, again unchanged."""

import json
import re
import shlex
from pathlib import Path

import yaml

from tests import operator_config
from tests.api.conftest import Kubectl
from tests.api.controllers import World
from tests.api.objects import policy
from tests.api.server import Server
from tests.api.shipped import ROOT


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


def test_applying_again_as_people_do_is_told_as_no_change(world: World) -> None:
    """A client-side apply replaces lists whole: a default within one is a change each time."""
    # What other tests of this API server left is mended by the first one.
    world.kubectl("apply", "-k", str(ROOT))
    said = world.kubectl("apply", "-k", str(ROOT)).splitlines()
    # A budget's selector is replaced whole (its patch strategy), which kubectl tells as a change.
    budget = "poddisruptionbudget.policy/cni-upgrade-operator configured"
    assert [line for line in said if not line.endswith(" unchanged")] == [budget]
    path = world.folder / "policy.yaml"
    window = {"schedule": "0 2 * * *", "duration": "3h"}
    path.write_text(json.dumps(policy("cure", rollout={"windows": [window]})))
    assert world.kubectl("apply", "-f", str(path)).endswith("created\n")
    assert world.kubectl("apply", "-f", str(path)).endswith("unchanged\n")


def test_one_image_of_an_overlay_reaches_every_place(kubectl: Kubectl, tmp_path: Path) -> None:
    """As docs/how-to/install.md says: `images`, and the transformer that copies."""
    manual = (ROOT / "docs/how-to/install.md").read_text(encoding="utf-8")
    overlay = next(b for b in re.findall(r"```yaml\n(.*?)```", manual, re.S) if "images:" in b)
    (tmp_path / "cni-upgrade-operator").symlink_to(ROOT)
    (tmp_path / "fleet").mkdir()
    (tmp_path / "fleet/kustomization.yaml").write_text(overlay)
    done = kubectl("kustomize", "--load-restrictor=LoadRestrictionsNone", str(tmp_path / "fleet"))
    assert done.returncode == 0, done.stderr
    assert ":dev" not in done.stdout
    objects = {(o["kind"], o["metadata"]["name"]): o for o in yaml.safe_load_all(done.stdout)}
    [container] = objects["Deployment", "cni-upgrade-operator"]["spec"]["template"]["spec"][
        "containers"
    ]
    assert container["image"] == "registry.example.com/cni-upgrade/operator:1.2.0"
    agent = "registry.example.com/cni-upgrade/agent:1.2.0"
    assert objects["ConfigMap", "cni-upgrade-operator"]["data"]["agentImage"] == agent
    fence = objects["ValidatingAdmissionPolicy", "cni-upgrade-agent-pods"]["spec"]["variables"]
    assert next(v for v in fence if v["name"] == "agentImage")["expression"] == f"'{agent}'"


def test_where_the_agents_image_stands_is_shown_as_the_manual_says(
    shipped: Server, kubectl: Kubectl
) -> None:
    assert shipped
    manual = (ROOT / "docs/how-to/install.md").read_text(encoding="utf-8")
    lines = [line for line in manual.splitlines() if re.match(r"kubectl.*agentImage", line)]
    assert len(lines) == 2
    for line in lines:
        done = kubectl(*shlex.split(line.partition(" | ")[0])[1:])
        assert operator_config.shipped().agent_image in done.stdout, done.stderr
