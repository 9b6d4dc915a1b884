"""What `kubectl apply -k .` installs, for the tests that ask how narrow it is."""

from pathlib import Path
from typing import Any

from cni_upgrade.agent.protocol.operation import FileOrder, Kind, Operation, Paths
from cni_upgrade.planner.node.manifests import agent_job
from tests import operator_config
from tests.api.server import MERGE_PATCH, Answer, Server
from tests.api.spaces import ACCOUNT, AGENTS, pods

ROOT = Path(__file__).parents[2]
NODE = "/api/v1/nodes/shipped-node"
Object = dict[str, Any]


def try_pod(server: Server, pod: Object) -> Answer:
    path = f"{pods(pod['metadata']['namespace'])}?dryRun=All&fieldValidation=Strict"
    return server.request("POST", path, pod)


def agent_pod(kind: Kind = Kind.APPLY, preset: str = "auto") -> Object:
    """The pod that the controller's own Job makes."""
    config = operator_config.shipped()
    found = config.preset(preset)
    assert found is not None
    first = Paths(
        conf_dirs=found.conf_dirs if kind is Kind.AUDIT else found.conf_dirs[-1:],
        bin_dirs=found.bin_dirs,
        cache_dir=found.cache_dir,
        state_dir=config.state_dir,
    )
    operation = Operation(
        id=f"{kind}-0123456789abcdef0123",
        kind=kind,
        node="node-a",
        runtime="containerd://1.6.2",
        root="/host",
        paths=first,
        files=(FileOrder("10-x.conflist", "0" * 64, "1.0.0"),) if kind is Kind.APPLY else (),
        backup="20261123T225404Z-3f2a9c1b" if kind is Kind.RESTORE else None,
    )
    template = agent_job(operation.id, operation, found, config, cache=True)["spec"]["template"]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "agent", "namespace": AGENTS, **template["metadata"]},
        "spec": template["spec"],
    }


class Controller(Server):
    """The API server, as the controller's service account."""

    def patch_node(self, patch: Object) -> str:
        """What the API server says against it; nothing if it is done."""
        return self.patch(NODE, patch)

    def patch(self, path: str, patch: Object) -> str:
        """The same of any object."""
        ours = {"Impersonate-User": ACCOUNT, "Impersonate-Group": "system:serviceaccounts"}
        return self.request("PATCH", path, patch, content=MERGE_PATCH, headers=ours).message
