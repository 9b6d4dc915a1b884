"""The files of manifests/components/monitoring, judged by the programs that read them.

Prometheus' promtool, Alertmanager's amtool, and the types that Grafana and the Prometheus operator
publish. Grafana itself has drawn nothing here.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from cni_upgrade.api.alerts import ALERTS
from tests.cluster import debian_tools
from tests.judge import build

HERE = Path(__file__).parent
SHIPPED = HERE.parents[1] / "manifests/components/monitoring"
CASES = sorted((HERE / "alerts").glob("*.yaml"))
Object = dict[str, Any]


def shipped(name: str) -> Object:
    found: Object = yaml.safe_load((SHIPPED / name).read_text())
    return found


def run(program: Path, *words: object, text: str = "") -> tuple[int, str]:
    ran = subprocess.run(
        [program, *map(str, words)], input=text, capture_output=True, text=True, check=False
    )
    return ran.returncode, ran.stdout + ran.stderr


@pytest.fixture(scope="module")
def promtool() -> Path:
    return debian_tools.program(debian_tools.PROMETHEUS, "promtool")


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """The rules as Prometheus itself reads them."""
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump(shipped("prometheusrule.yaml")["spec"]))
    return path


def test_promtool_finds_nothing_wrong_with_the_rules(promtool: Path, rules: Path) -> None:
    code, said = run(promtool, "check", "rules", "--lint=all", "--lint-fatal", rules)
    assert code == 0, said
    assert f"{len(ALERTS)} rules found" in said


def test_every_alert_has_a_case_that_fires_and_one_that_does_not() -> None:
    kinds = ("fires", "quiet")
    assert {case.name for case in CASES} == {f"{a}.{k}.yaml" for a in ALERTS for k in kinds}
    for case in CASES:
        alert, kind, _ = case.name.split(".")
        [test] = yaml.safe_load(case.read_text())["tests"]
        [asked] = test["alert_rule_test"]
        assert asked["alertname"] == alert
        assert bool(asked["exp_alerts"]) == (kind == "fires")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_each_alert_fires_when_it_should(promtool: Path, rules: Path, case: Path) -> None:
    shutil.copy(case, rules.parent)
    code, said = run(promtool, "test", "rules", rules.parent / case.name)
    assert code == 0, said


def test_a_rule_that_is_broken_fails_its_cases(promtool: Path, rules: Path) -> None:
    """What the cases above are worth: with other numbers they do not pass."""
    broken = rules.read_text().replace("> 0", "> 1000").replace("!= 1", "!= 0")
    rules.write_text(broken)
    alerts = ("CNIUpgradeNoLeader", "CNIUpgradeNodeFailed", "CNIUpgradeRightsMissing")
    for alert in alerts:
        shutil.copy(HERE / f"alerts/{alert}.fires.yaml", rules.parent)
        code, said = run(promtool, "test", "rules", rules.parent / f"{alert}.fires.yaml")
        assert code == 1, said


def test_amtool_takes_the_example_for_alertmanager() -> None:
    amtool = debian_tools.program(debian_tools.ALERTMANAGER, "amtool")
    example = SHIPPED / "alertmanager-example.yaml"
    code, said = run(amtool, "check-config", example)
    assert code == 0, said
    [group] = shipped("prometheusrule.yaml")["spec"]["groups"]
    for rule in group["rules"]:
        severity = rule["labels"]["severity"]
        words = (f"alertname={rule['alert']}", f"severity={severity}", "policy=cure")
        _, said = run(amtool, "config", "routes", "test", f"--config.file={example}", *words)
        told = "cni-upgrade-call" if severity == "critical" else "cni-upgrade-tell"
        assert said.splitlines()[0] == told, rule["alert"]


@pytest.fixture(scope="module")
def judge() -> Path:
    module = HERE / "monitoring"
    return build.build(module, module / "main.go", "monitoring")


DASHBOARD = (SHIPPED / "dashboard.json").read_text()


@pytest.mark.parametrize(
    ("kind", "name"), [("PodMonitor", "podmonitor.yaml"), ("PrometheusRule", "prometheusrule.yaml")]
)
def test_the_prometheus_operators_types_know_every_member(
    judge: Path, kind: str, name: str
) -> None:
    made = shipped(name)
    assert made["kind"] == kind
    assert run(judge, kind, text=json.dumps(made)) == (0, "")
    made["spec"]["unheardOf"] = 1
    assert run(judge, kind, text=json.dumps(made)) == (1, '[unknown field "spec.unheardOf"]\n')


def test_grafanas_types_know_every_member_of_the_dashboard(judge: Path) -> None:
    assert run(judge, "Dashboard", text=DASHBOARD) == (0, "")


@pytest.mark.parametrize(
    ("member", "instead"),
    [
        ('"gridPos"', '"gridPoss"'),
        ('"schemaVersion": 39', '"schemaVersion": "39"'),
        ('"colorMode"', '"colourMode"'),
        ('"expr"', '"expression"'),
        ('"refresh": 2', '"refresh": "2"'),
    ],
)
def test_grafanas_types_refuse_what_they_do_not_know(
    judge: Path, member: str, instead: str
) -> None:
    assert member in DASHBOARD
    code, said = run(judge, "Dashboard", text=DASHBOARD.replace(member, instead))
    assert code == 1
    assert said.strip()
