"""The operator in a cluster, as `kubectl apply -k .` installs it, but for its Deployment.

The controller that is measured is a process beside the cluster; a second one would act as well.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import yaml

from cni_upgrade.kube.client import Client
from cni_upgrade.kube.resources import NAMESPACES, Resource
from cni_upgrade.planner.world.operator_config import OperatorConfig, parse
from tests import operator_config
from tests.api.spaces import AGENTS, OPERATOR, PROOF, SYSTEM
from tests.api.waiting import eventually
from tests.bench.cluster import Cluster, kubectl

ROOT = Path(__file__).parents[2]

_ACCOUNTS = Resource("", "v1", "serviceaccounts")
_RIGHTS = ("manifests/leases/medik8s.yaml", "manifests/sources/kube-flannel.yaml")
"""What an operator may have been given beside: uninstall.sh takes it away."""
_PATIENCE = 600
"""Seconds for what goes by the thousand, as uninstall.sh waits for each kind."""

Object = dict[str, Any]


class Installation:
    """CRDs, namespaces, rights, admission policies and configuration."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def there(self) -> list[str]:
        """What of it is in the cluster, as kubectl names it. Raises RuntimeError."""
        rights = [
            each
            for path in _RIGHTS
            for each in yaml.safe_load_all((ROOT / path).read_text())
            if each["kind"] != "Namespace"  # which is others' too
        ]
        known = self._shipped() + rights
        return self._kubectl(known, "get", "--ignore-not-found", "-o", "name").split()

    def claim(self) -> None:
        """Make its first namespace: a second one that begins at the same time is refused.

        Raises KubeError, a conflict where somebody was faster.
        """
        space = next(
            each
            for each in self._shipped()
            if (each["kind"], each["metadata"]["name"]) == ("Namespace", SYSTEM)
        )

        async def make(client: Client) -> Object:
            return await client.create(NAMESPACES, None, space)

        self._cluster.ask(make)

    def complete(self) -> None:
        """Install it. Raises RuntimeError."""
        wanted = [each for each in self._shipped() if each["kind"] != "Deployment"]
        self._kubectl(wanted, "apply")
        spaces = (AGENTS, PROOF)
        eventually(lambda: all(map(self._has_account, spaces)), "pods may be created", 60)

    def configure(self, folder: Path, parallel: int) -> OperatorConfig:
        """Leave in a folder what the controller is started with: its configuration and account."""
        config = operator_config.document()
        config["auditParallel"] = parallel
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
        words = ("create", "token", "-n", SYSTEM, OPERATOR, "--duration=10h")
        ours = yaml.safe_load(self._cluster.kubeconfig.read_text())
        ours["users"][0]["user"] = {"token": self._cluster.kubectl(*words).strip()}
        (folder / "kubeconfig").write_text(yaml.safe_dump(ours))
        return parse(config)

    def uninstall(self) -> None:
        """Take it out, with all policies, records and Jobs. Raises RuntimeError."""
        done = subprocess.run(
            ["sh", str(ROOT / "manifests/uninstall.sh")],
            env={
                **os.environ,
                "KUBECTL": str(kubectl()),
                "KUBECONFIG": str(self._cluster.kubeconfig),
                "HOME": str(self._cluster.home),
                # Nobody is left that would end what is begun, and it is of nodes that go as well.
                "WAIT": "0",
                "PATIENCE": str(_PATIENCE),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            said = "\n".join((done.stdout + done.stderr).splitlines()[-10:])
            raise RuntimeError(f"manifests/uninstall.sh ended with {done.returncode}:\n{said}")

    def _shipped(self) -> list[Object]:
        return list(yaml.safe_load_all(self._cluster.kubectl("kustomize", str(ROOT))))

    def _kubectl(self, objects: list[Object], *words: str) -> str:
        listed = {"apiVersion": "v1", "kind": "List", "items": objects}
        return self._cluster.kubectl(*words, "-f", "-", stdin=listed)

    def _has_account(self, space: str) -> bool:
        async def listed(client: Client) -> bool:
            accounts = (await client.list(_ACCOUNTS, space)).items
            return any(each["metadata"]["name"] == "default" for each in accounts)

        return self._cluster.ask(listed)
