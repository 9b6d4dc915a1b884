"""A real Prometheus scrapes a real controller: every panel has data, every alert fires.

The rules are those of manifests/components/monitoring with shorter times. Alertmanager has its
example, and tells a local webhook.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from cni_upgrade.agent.protocol.operation import Kind, Operation, OperationError, Outcome, Result
from cni_upgrade.api import names
from cni_upgrade.api.alerts import ALERTS
from tests.api import prometheus
from tests.api.controllers import LEASE_SECONDS, ROLE, ROOT, Controller, World
from tests.api.nodes import Fleet, add_node
from tests.api.prometheus import Prometheus, Webhook
from tests.api.spaces import AGENTS
from tests.api.waiting import eventually
from tests.unit.planner.node_model import SimNode

SHIPPED = ROOT / "manifests/components/monitoring"
GUIDE = ROOT / "docs/how-to/monitoring.md"
Object = dict[str, Any]

SHORTER = {
    # Longer than Prometheus takes to find out whom to scrape and whom to tell: five seconds.
    "for: 2m": "for: 15s",
    "for: 5m": "for: 1s",
    "for: 10m": "for: 1s",
    "> 86400": "> 1",
    "> 604800": "> 1",
    "[1h])) > 10": "[1h])) > 0",
}
"""What a test cannot wait for. Everything else of the rules is as it ships."""

CALL, TELL = "/call/cni-upgrade", "/tell/cni-upgrade"
CRITICAL = {
    "CNIUpgradeNoLeader",
    "CNIUpgradeFails",
    "CNIUpgradeRightsMissing",
    "CNIUpgradeFenceMissing",
}
HALTED = ("CNIUpgradeStoppedLong", "CNIUpgradePausedLong")

BROKEN = """
import cni_upgrade.controller.reconcile_loop as loop
from cni_upgrade.controller.__main__ import start

def plan(*_):
    raise RuntimeError("planted by a test")

loop.plan = plan
start()
"""


class FailingNode(SimNode):
    """A node whose disk takes no write."""

    def run(self, operation: Operation, pods: Any) -> Result:
        result = super().run(operation, pods)
        if operation.kind is not Kind.APPLY:
            return result
        error = OperationError("WriteFailed", "no space left on device")
        return replace(result, outcome=Outcome.FAILED, error=error, changes=(), backup=None)


def rules() -> Object:
    text = (SHIPPED / "prometheusrule.yaml").read_text()
    for long, short in SHORTER.items():
        assert long in text
        text = text.replace(long, short)
    found: Object = yaml.safe_load(text)["spec"]
    return found


def panels() -> dict[str, str]:
    """The query of each panel of the dashboard by its title, as Grafana would send it."""
    shown = json.loads((SHIPPED / "dashboard.json").read_text())["panels"]
    return {
        panel["title"]: target["expr"].replace("$policy", ".*").replace("$__rate_interval", "30s")
        for panel in shown
        for target in panel.get("targets", [])
    }


def figures() -> dict[str, str]:
    """What each rule looks at, without the bound that it is held against."""
    found = {rule["alert"]: rule["expr"] for rule in rules()["groups"][0]["rules"]}
    return {alert: re.sub(r" (>|!=) \d+$", "", text) for alert, text in found.items()}


def lacking(asked: Prometheus, queries: dict[str, str]) -> list[str]:
    return [title for title, query in queries.items() if not asked.query(query)]


@contextmanager
def watched(folder: Path) -> Iterator[tuple[Prometheus, Webhook]]:
    with ExitStack() as stack:
        heard = stack.enter_context(prometheus.webhook())
        example = (SHIPPED / "alertmanager-example.yaml").read_text()
        told = re.sub(r"http://(\w+)\.example\.com", rf"{heard.url}/\1", example)
        told = told.replace("group_wait: 30s", "group_wait: 1s")
        port = stack.enter_context(prometheus.alertmanager(folder, told))
        yield stack.enter_context(prometheus.prometheus(folder, rules(), port)), heard


def on(*nodes: str) -> Object:
    return {
        "matchExpressions": [
            {"key": "kubernetes.io/hostname", "operator": "In", "values": list(nodes)}
        ]
    }


def play(world: World, fleet: Fleet) -> None:
    """One node is cured, two refuse their change one after the other, one fails."""
    fleet.add(world.api, "node-a")
    fleet.add(world.api, "node-b", "node-c", refuses="ForeignOwner")
    fleet.disks["node-d"] = FailingNode("node-d", None)
    add_node(world.api, "node-d")
    first = on("node-a", "node-b", "node-c")
    world.policy("cure", nodeSelector=first, readinessFor=["containerd>=2.0"])
    world.policy("fails", nodeSelector=on("node-d"))
    phases = {"node-a": "Done", "node-b": "Blocked", "node-c": "Blocked", "node-d": "Failed"}

    def reached() -> bool:
        return {node: world.status(node).get("phase") for node in phases} == phases

    eventually(reached, lambda: str({node: world.status(node) for node in phases}))


def halt(world: World) -> None:
    """A user pauses one policy, and then stops everything."""
    world.kubectl("annotate", "cup", "cure", f"{names.PAUSED}=true")
    eventually(lambda: world.condition("Paused"), "it is paused")
    world.kubectl("annotate", "namespace", AGENTS, f"{names.STOP}=why")


def fires(asked: Prometheus, *alerts: str) -> None:
    eventually(lambda: asked.fired() >= {*alerts}, lambda: f"{alerts}, not {asked.fired()}")


def test_every_panel_has_data_and_every_alert_fires(
    world: World, fleet: Fleet, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        it = stack.enter_context(world.controller())
        eventually(lambda: world.leader() == it.name, "it leads")
        asked, heard = stack.enter_context(watched(tmp_path))
        asked.scrape(it.metrics)
        play(world, fleet)
        eventually(lambda: not lacking(asked, panels()), lambda: str(lacking(asked, panels())))
        fires(asked, "CNIUpgradeNodeFailed", "CNIUpgradePolicyStalled", "CNIUpgradeManyFailures")
        # Nothing is stalled once everything is stopped: what is measured of both is asked apart.
        halted = {name: figures()[name] for name in HALTED}
        shown = {name: query for name, query in figures().items() if name not in HALTED}
        assert lacking(asked, shown) == []
        halt(world)
        eventually(lambda: not lacking(asked, halted), lambda: str(lacking(asked, halted)))
        fires(asked, *HALTED)
        eventually(lambda: "CNIUpgradeStoppedLong" in heard.alerts(TELL), "a stop is told")
        assert not asked.fired() & CRITICAL
        assert not heard.alerts(CALL)
        unfence(world, asked, it)
        assert it.end() == 0
        fires(asked, "CNIUpgradeNoLeader")
        eventually(lambda: "CNIUpgradeNoLeader" in heard.alerts(CALL), "somebody is called")
        called = heard.alerts(CALL)["CNIUpgradeNoLeader"]
        assert called["annotations"]["runbook_url"].endswith("#cniupgradenoleader")
        errs(world, asked, tmp_path)
        assert asked.fired() == {*ALERTS}
        eventually(lambda: heard.alerts(CALL).keys() == CRITICAL, "all that is critical is told")
        assert heard.alerts(TELL).keys() == ALERTS.keys() - CRITICAL
        assert {(rule["health"], rule.get("lastError")) for rule in asked.rules()} == {("ok", None)}


def unfence(world: World, asked: Prometheus, it: Controller) -> None:
    """A right and an admission policy are taken for a while."""
    rights = world.api.request("GET", ROLE).body["rules"]
    some = [rule for rule in rights if rule["resources"] != ["pods/eviction"]]
    assert len(some) < len(rights)
    world.api.patch(ROLE, {"rules": some})
    world.kubectl("delete", "validatingadmissionpolicybinding", "cni-upgrade-agent-pods-closed")
    try:
        # It asks at its start; the one that runs would ask again in five minutes.
        with world.controller() as other:
            asked.scrape(it.metrics, other.metrics)
            fires(asked, "CNIUpgradeRightsMissing", "CNIUpgradeFenceMissing")
    finally:
        world.api.patch(ROLE, {"rules": rights})
        world.kubectl("apply", "-k", str(ROOT))
    asked.scrape(it.metrics)


def errs(world: World, asked: Prometheus, folder: Path) -> None:
    """A controller with a planted error of its own leads, and every pass of it fails."""
    program = folder / "broken.py"
    program.write_text(BROKEN)
    it = Controller(
        world.config,
        world.kubeconfig,
        folder / "broken.log",
        "broken",
        LEASE_SECONDS,
        program=(str(program),),
    )
    try:
        asked.scrape(it.metrics)
        fires(asked, "CNIUpgradeFails")
    finally:
        it.process.kill()
        it.process.wait()
    assert "planted by a test" in it.log


def test_the_kustomization_of_the_guide_has_what_is_shipped_and_the_component(
    world: World, tmp_path: Path
) -> None:
    """kustomize keeps links: the guide's clone is a copy here."""
    clone = tmp_path / "cni-upgrade-operator"
    for part in ("kustomization.yaml", "crds", "manifests"):
        source = ROOT / part
        copy = shutil.copytree if source.is_dir() else shutil.copy
        clone.mkdir(exist_ok=True)
        copy(source, clone / part)
    mine = tmp_path / "mine"
    mine.mkdir()
    blocks = re.findall(r"```yaml\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    (mine / "kustomization.yaml").write_text(blocks[0] + blocks[1])
    made = list(yaml.safe_load_all(world.kubectl("kustomize", str(mine))))
    base = list(yaml.safe_load_all(world.kubectl("kustomize", str(ROOT))))
    more = {(o["kind"], o["metadata"]["name"]) for o in made} - {
        (o["kind"], o["metadata"]["name"]) for o in base
    }
    assert more == {
        ("PodMonitor", "cni-upgrade-operator"),
        ("PrometheusRule", "cni-upgrade-operator"),
        ("ConfigMap", "cni-upgrade-dashboard"),
    }
    for each in made:
        assert each["metadata"]["labels"]["release"] == "kube-prometheus-stack"
    [board] = [o for o in made if o["metadata"]["name"] == "cni-upgrade-dashboard"]
    assert board["metadata"]["labels"]["grafana_dashboard"] == "1"
    [text] = board["data"].values()
    assert json.loads(text) == json.loads((SHIPPED / "dashboard.json").read_text())
    sent = world.api.request(
        "POST",
        "/api/v1/namespaces/default/configmaps?dryRun=All",
        {**board, "metadata": {"name": "x"}},
    )
    assert sent.ok, sent.message
