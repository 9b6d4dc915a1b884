"""What it costs a replica that only watches to know NODES node states, and to hear of changes.

    python -m tests.bench.watch [NODES]

A real etcd and API server hold the records that an audit leaves behind; another replica holds the
lease, so the one that is measured lists, watches and waits. CPU is the process's own.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from cni_upgrade.controller import config_file
from cni_upgrade.controller.leader_lease import micro_time
from cni_upgrade.kube.client import Client
from cni_upgrade.kube.resources import LEASES, NODE_STATES
from cni_upgrade.kube.rights import LEASE
from tests import operator_config
from tests.bench import records
from tests.bench.answers import recorded
from tests.bench.cluster import Cluster, Object
from tests.bench.controller import Controller
from tests.cluster.control import ControlPlane

ROOT = Path(__file__).parents[2]
QUIET = 15.0
"""Seconds in which less than a tenth of them is CPU: what was to be done is done."""


def at_rest(controller: Controller) -> float:
    """Wait until the process does next to nothing; return its CPU seconds so far."""
    while True:
        before = controller.usage().cpu
        time.sleep(QUIET)
        after = controller.usage().cpu
        if after - before < QUIET / 10:
            return after


def fill(cluster: Cluster, space: str, status: Object, number: int) -> None:
    """Put the records there, and the lease of a replica that is not."""
    now = micro_time(datetime.now(UTC))
    spec = {"holderIdentity": "another", "leaseDurationSeconds": 36000, "renewTime": now}
    lease: Object = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "spec": spec}
    lease["metadata"] = {"name": LEASE, "namespace": space}
    cluster.ask(lambda client: client.create(LEASES, space, lease))

    async def make(client: Client, body: Object) -> None:
        name = body["metadata"]["name"]
        await client.create(NODE_STATES, None, body)
        await client.patch(NODE_STATES, None, name, {"status": status}, "status")

    cluster.each(make, [records.record(each) for each in range(number)])


def change(cluster: Cluster, number: int) -> None:
    async def touch(client: Client, body: Object) -> None:
        patch = {"status": {"message": f"{time.time()}"}}
        await client.patch(NODE_STATES, None, body["metadata"]["name"], patch, "status")

    cluster.each(touch, [records.record(each) for each in range(number)])


def main(number: int) -> None:
    with tempfile.TemporaryDirectory() as tmp, ControlPlane.temporary() as plane:
        folder = Path(tmp)
        cluster = Cluster(plane.kubeconfig, folder)
        cluster.kubectl("apply", "-k", str(ROOT))
        (folder / "config.yaml").write_text(operator_config.text())
        shutil.copy2(plane.kubeconfig, folder / "kubeconfig")
        config = config_file.read(folder / "config.yaml")
        (folder / "host").mkdir()
        status = records.status(recorded(folder / "host", config))
        print(f"{number} records of {len(str(status))} characters", flush=True)
        fill(cluster, config.namespaces.system, status, number)
        controller = Controller(folder)
        try:
            started = at_rest(controller)
            before = controller.usage()
            print(f"at rest: {started:.1f} s of CPU, {before}", flush=True)
            change(cluster, number)
            changed = at_rest(controller)
            print(
                f"{number} changes: {changed - started:.1f} s of CPU, {controller.usage()}",
                flush=True,
            )
        finally:
            controller.end()
            cluster.close()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5000)
