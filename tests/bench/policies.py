"""What those who may write policies alone can cost: as many and as dear ones as the API takes.

The real controller with the operator's own rights, a real etcd and API server, nodes that are
played. Each policy is at every bound of the CRD at once; half enforce and half audit, and all
select every node. Run it with `make bench-policies`.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from cni_upgrade.planner.world.operator_config import parse
from tests.api.controllers import Controller, World
from tests.api.nodes import Fleet
from tests.bench.planning import plan_times
from tests.bench.usage import Usage
from tests.cluster.control import ControlPlane

YEAR = "8760h"
_EVENTS = "/api/v1/namespaces/default/events"


def dear(number: int) -> dict[str, Any]:
    """One policy that selects every node, at every bound that costs something."""
    values = [f"{'v' * 50}-{value}" for value in range(8)]
    selector = {
        "matchExpressions": [
            {"key": f"x.example/{key}", "operator": "NotIn", "values": values} for key in range(32)
        ]
    }
    windows = [
        # Minute after minute but for one, and each minute twice: never open for a year.
        {"schedule": f"{number % 60}-59 0-22 * * *", "duration": "2m", "timeZone": "Europe/Berlin"}
        for _ in range(16)
    ]
    return {
        "mode": "Enforce" if number % 2 else "Audit",
        "nodeSelector": selector,
        "readinessFor": [f"containerd>={major}.{minor}" for major in (1, 2) for minor in range(4)],
        "rollout": {
            "windows": windows,
            "maxUnavailable": 1000,
            "maxParallel": 100,
            "canary": {"nodeSelector": selector, "soak": YEAR},
            "order": {"by": "Zone"},
        },
        "drain": {"mode": "Always", "deadline": YEAR},
        "verify": {"deadline": YEAR, "soak": YEAR},
    }


def _asked(it: Controller, seconds: float, until: float) -> tuple[list[float], list[float]]:
    """Answer times of the health port and of the metrics, asked once a second until then."""
    health: list[float] = []
    pages: list[float] = []
    while time.monotonic() < until:
        for port, path, found in (
            (it.health, "/healthz", health),
            (it.health, "/readyz", health),
            (it.metrics, "/metrics", pages),
        ):
            began = time.monotonic()
            it.get(port, path)
            found.append(time.monotonic() - began)
        time.sleep(seconds)
    return health, pages


def _passes(page: str) -> str:
    """How the passes of the planner took, from its histogram, as `<=bound: count`."""
    found = re.findall(r'planning_seconds_bucket\{le="([^"]+)"\} (\S+)', page)
    counts = [(bound, float(count)) for bound, count in found]
    before = [0.0, *(count for _, count in counts)]
    return ", ".join(
        f"<={bound} s: {count - less:.0f}"
        for (bound, count), less in zip(counts, before, strict=False)
        if count > less
    )


def run(policies: int, nodes: int, seconds: float) -> None:
    """Print one line a figure."""
    with ControlPlane.temporary() as plane, tempfile.TemporaryDirectory() as folder:
        world = World(plane, Path(folder))
        with Fleet(plane.kubeconfig) as fleet:
            fleet.add(world.api, *(f"node-{number:03}" for number in range(nodes)))
            for number in range(policies):
                spec = dear(number)
                world.policy(f"dear-{number:03}", **spec)
            with world.controller() as it:
                began, phases = time.monotonic(), {}
                for phase in ("at work", "at rest"):
                    since = len(world.writes())
                    health, pages = _asked(it, 1.0, time.monotonic() + seconds)
                    written = Counter(f"{each[0]} {each[1]}" for each in world.writes()[since:])
                    phases[phase] = (health, pages, written)
                usage, page = Usage.of(it.process.pid), it.get(it.metrics, "/metrics")[1]
            took = time.monotonic() - began
        _say(policies, nodes, seconds, phases, usage, page, took)
        events = [e for e in world.api.items(_EVENTS) if e["source"].get("component")]
        print(f"events kept: {len(events)}")
        config = parse(yaml.safe_load(world.config.read_text()))
        times = asyncio.run(plan_times(plane.kubeconfig, config, 5))
        print("pure planner, five passes (the first knows nothing):", *(f"{t:.3f}" for t in times))


def _say(
    policies: int, nodes: int, seconds: float, phases: Any, usage: Usage, page: str, took: float
) -> None:
    print(f"{policies} policies, {nodes} nodes, {took:.0f} s")
    for phase, (health, pages, written) in phases.items():
        print(f"{phase}: health {max(health):.2f} s at most, metrics {max(pages):.2f} s at most")
        print(f"{phase}: writes in {seconds:.0f} s: {dict(written)}")
    print(f"memory: {usage.peak:.0f} MB at most; CPU: {usage.cpu:.0f} s")
    series = [line for line in page.splitlines() if line and not line.startswith("#")]
    print(f"metrics: {len(series)} series, {len(page) / 1000:.0f} kB")
    print(f"passes: {_passes(page)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--policies", type=int, default=200)
    parser.add_argument("--nodes", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=60, help="of each of the two phases")
    given = parser.parse_args()
    run(given.policies, given.nodes, given.seconds)


if __name__ == "__main__":
    main()
