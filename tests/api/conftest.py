"""A real etcd and kube-apiserver with our CRDs, for every test that asks what the API does."""

import itertools
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import yaml

from cni_upgrade.api import names
from cni_upgrade.api.crd import RESOURCES
from tests.api.controllers import World
from tests.api.kubectl import run as kubectl_of
from tests.api.kubectl_plugin import Plugin
from tests.api.nodes import Fleet
from tests.api.proxy import Proxy
from tests.api.server import Answer, Collection, Server
from tests.api.shipped import ROOT, Controller, agent_pod, try_pod
from tests.api.uninstalling import Cluster
from tests.api.waiting import eventually
from tests.cluster.control import ControlPlane

CRDS = ROOT / "crds"
_CRD_PATH = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

Kubectl = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def plane() -> Iterator[ControlPlane]:
    """The control plane; what it is made of is built if the cache lacks it."""
    with ControlPlane.temporary() as running:
        yield running


@pytest.fixture(scope="session")
def bare_server(plane: ControlPlane) -> Server:
    """The API server as Kubernetes ships it."""
    return Server(plane.kubeconfig)


@pytest.fixture(scope="session")
def installed(bare_server: Server) -> dict[str, Answer]:
    """What the API server said to each CRD, once it serves them."""
    answers: dict[str, Answer] = {}
    for path in sorted(CRDS.glob("*.yaml")):
        definition = yaml.safe_load(path.read_text(encoding="utf-8"))
        name = definition["metadata"]["name"]
        answer = bare_server.request("POST", f"{_CRD_PATH}?fieldValidation=Strict", definition)
        assert answer.ok, f"{path.name}: {answer.message}"
        answers[name] = answer
    paths = [f"/apis/{names.API_VERSION}/{r.plural}" for r in RESOURCES]
    eventually(lambda: all(bare_server.request("GET", p).ok for p in paths), "both are served")
    return answers


@pytest.fixture(scope="session")
def server(bare_server: Server, installed: dict[str, Answer]) -> Server:
    """The API server with both custom resources."""
    assert installed
    return bare_server


@pytest.fixture
def policies(server: Server) -> Iterator[Collection]:
    """The policies; gone after the test."""
    collection = Collection(server, names.POLICY_PLURAL)
    yield collection
    collection.delete_all()


@pytest.fixture
def node_states(server: Server) -> Iterator[Collection]:
    """The node states; gone after the test."""
    collection = Collection(server, names.NODE_STATE_PLURAL)
    yield collection
    collection.delete_all()


@pytest.fixture(scope="session")
def kubectl(
    plane: ControlPlane, server: Server, tmp_path_factory: pytest.TempPathFactory
) -> Kubectl:
    """Runs kubectl as a person would; its discovery cache is the session's own."""
    assert server
    home = tmp_path_factory.mktemp("kubectl")

    return partial(kubectl_of, plane, home)


@pytest.fixture(scope="session")
def plugin(plane: ControlPlane, server: Server, tmp_path_factory: pytest.TempPathFactory) -> Plugin:
    """Runs `kubectl cni-upgrade` as a person would."""
    assert server
    return Plugin(plane, tmp_path_factory.mktemp("plugin"))


@pytest.fixture(scope="session")
def controller(plane: ControlPlane) -> Controller:
    """The API server, as the controller's service account."""
    return Controller(plane.kubeconfig)


@pytest.fixture(scope="session")
def shipped(server: Server, kubectl: Kubectl, controller: Controller) -> Server:
    """The API server with all that `kubectl apply -k .` installs, its fence in force."""
    done = kubectl("apply", "--server-side", "--force-conflicts", "-k", str(ROOT))
    assert done.returncode == 0, done.stderr
    spoiled = agent_pod()
    spoiled["spec"]["containers"][0]["image"] = "elsewhere.example/agent:1"
    eventually(
        lambda: "the image must be" in try_pod(server, spoiled).message, "admission is in force"
    )
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "shipped-node"}}
    assert server.request("POST", "/api/v1/nodes", node).ok
    # Another one each time: what was let in before changes nothing when it is asked for again.
    tries = itertools.count()
    eventually(
        lambda: (
            "cniupgrade.dev alone"
            in controller.patch_node(
                {"metadata": {"annotations": {"x.example/tried": f"{next(tries)}"}}}
            )
        ),
        "admission of nodes is in force",
    )
    return server


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A control plane of its own with the operator's manifests."""
    with ControlPlane.temporary() as plane:
        yield World(plane, tmp_path_factory.mktemp("controller"))


@pytest.fixture
def world(shared: World) -> Iterator[World]:
    """The operator's world; emptied after the test."""
    yield shared
    shared.clean()


@pytest.fixture
def fleet(world: World) -> Iterator[Fleet]:
    """Nodes that are played while the test runs."""
    with Fleet(world.plane.kubeconfig) as playing:
        yield playing


@pytest.fixture
def proxy(world: World) -> Iterator[Proxy]:
    """A network that fails as it is told."""
    with Proxy(world.kubeconfig) as serving:
        yield serving


@pytest.fixture
def through(world: World, proxy: Proxy) -> Path:
    """The operator's kubeconfig, by way of the proxy."""
    return world.as_operator(proxy.url)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """For everything is taken out of it: one for the tests of each file."""
    with Cluster.temporary(tmp_path_factory.mktemp("uninstall")) as made:
        yield made
