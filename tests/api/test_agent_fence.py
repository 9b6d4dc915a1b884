"""The fence around agents: the controller's own come in, and nobody comes in their name."""

import time
from collections.abc import Iterator

import pytest

from cni_upgrade.agent.protocol.operation import Kind
from cni_upgrade.planner.node.manifests import proof_pod
from tests import operator_config
from tests.api.break_outs import BREAK_OUTS, first
from tests.api.server import MERGE_PATCH, Answer, Server
from tests.api.shipped import agent_pod, try_pod
from tests.api.spaces import AGENTS, pods
from tests.api.waiting import eventually

BINDINGS = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings"


@pytest.mark.parametrize("preset", ["auto", *operator_config.shipped().presets])
@pytest.mark.parametrize("kind", list(Kind))
def test_the_controllers_own_agents_are_let_in(shipped: Server, kind: Kind, preset: str) -> None:
    answer = try_pod(shipped, agent_pod(kind, preset))
    assert answer.ok, answer.message
    assert answer.warnings == ()


def test_the_controllers_own_proof_pods_are_let_in(shipped: Server) -> None:
    answer = try_pod(shipped, proof_pod("proof", "apply-0", "node-a", operator_config.shipped()))
    assert answer.ok, answer.message


@pytest.mark.parametrize("name", BREAK_OUTS)
def test_a_break_out_is_refused(shipped: Server, name: str) -> None:
    spoil, why = BREAK_OUTS[name]
    pod = agent_pod()
    spoil(pod)
    answer = try_pod(shipped, pod)
    assert not answer.ok
    assert why in answer.message
    # Refused for what was done to it, not for a policy that cannot be evaluated.
    assert "expression" not in answer.message


def test_an_agent_may_be_given_room(shipped: Server) -> None:
    """As a LimitRange or an autoscaler of the cluster does."""
    pod = agent_pod()
    given = {"cpu": "100m", "memory": "64Mi", "ephemeral-storage": "10Mi"}
    first(pod)["resources"] = {"requests": given, "limits": given}
    answer = try_pod(shipped, pod)
    assert answer.ok, answer.message


def test_an_agent_may_come_from_a_private_registry(shipped: Server) -> None:
    """As the API server puts the pull secrets of a ServiceAccount into its pods."""
    for pod in (agent_pod(), proof_pod("proof", "apply-0", "node-a", operator_config.shipped())):
        pod["spec"]["imagePullSecrets"] = [{"name": "registry"}]
        answer = try_pod(shipped, pod)
        assert answer.ok, answer.message


@pytest.fixture
def admitted(shipped: Server) -> Iterator[Server]:
    """An agent's pod that was let in, with the Job controller's finalizer on it."""
    pod = agent_pod()
    pod["metadata"]["name"] = "admitted"
    pod["metadata"]["finalizers"] = ["batch.kubernetes.io/job-tracking"]
    answer = shipped.request("POST", pods(AGENTS), pod)
    assert answer.ok, answer.message
    yield shipped
    unhook(shipped)
    shipped.request("DELETE", f"{pods(AGENTS)}/admitted?gracePeriodSeconds=0")


def unhook(server: Server) -> Answer:
    return server.request(
        "PATCH",
        f"{pods(AGENTS)}/admitted",
        {"metadata": {"finalizers": None}},
        content=MERGE_PATCH,
    )


def test_a_pod_that_was_let_in_stays_what_it_was(admitted: Server) -> None:
    patch = {"spec": {"containers": [{"name": "agent", "image": "elsewhere.example/agent:1"}]}}
    content = "application/strategic-merge-patch+json"
    path = f"{pods(AGENTS)}/admitted"
    answer = admitted.request("PATCH", path, patch, content=content)
    assert "keeps its image" in answer.message
    debug = {"spec": {"ephemeralContainers": [{"name": "debug", "image": "x"}]}}
    answer = admitted.request("PATCH", f"{path}/ephemeralcontainers", debug, content=content)
    assert "no other container" in answer.message


@pytest.mark.parametrize("sub", ["", "/status"])
def test_a_pod_that_was_let_in_gets_no_annotation_that_a_runtime_heeds(
    admitted: Server, sub: str
) -> None:
    def annotated(name: str) -> Answer:
        patch = {"metadata": {"annotations": {name: "x"}}}
        path = f"{pods(AGENTS)}/admitted{sub}"
        return admitted.request("PATCH", path, patch, content=MERGE_PATCH)

    assert "gets no annotation" in annotated("io.kubernetes.cri-o.Devices").message
    assert annotated("kubernetes.io/limit-ranger").ok


@pytest.mark.parametrize("way", ["pods/admitted/binding", "bindings"])
def test_a_pod_is_bound_with_no_annotation_that_a_runtime_heeds(admitted: Server, way: str) -> None:
    """What a Binding carries is copied into the pod, which no policy is asked about."""

    def bound(**annotations: str) -> Answer:
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": "admitted", "namespace": AGENTS, "annotations": annotations},
            "target": {"apiVersion": "v1", "kind": "Node", "name": "node-a"},
        }
        return admitted.request("POST", f"/api/v1/namespaces/{AGENTS}/{way}", binding)

    answer = bound(**{"io.kubernetes.cri-o.Devices": "/dev/sda"})
    assert "is bound with no annotation" in answer.message
    # As kube-scheduler sends it.
    answer = bound()
    assert answer.ok, answer.message
    pod = admitted.request("GET", f"{pods(AGENTS)}/admitted").body
    assert pod["spec"]["nodeName"] == "node-a"
    assert "io.kubernetes.cri-o.Devices" not in pod["metadata"]["annotations"]


def test_what_a_pod_of_before_carries_it_may_keep(shipped: Server) -> None:
    """The fence of a new release comes around agents that run."""
    binding = f"{BINDINGS}/cni-upgrade-agent-pods"
    saved = shipped.request("GET", binding).body
    old = agent_pod()
    old["metadata"] |= {"name": "old", "finalizers": ["batch.kubernetes.io/job-tracking"]}
    old["metadata"]["annotations"]["x.example/webhook"] = "was here"
    assert shipped.request("DELETE", binding).ok
    try:
        eventually(lambda: shipped.request("POST", pods(AGENTS), old).ok, "it was let in")
    finally:
        del saved["metadata"]["resourceVersion"], saved["metadata"]["uid"]
        assert shipped.request("POST", BINDINGS, saved).ok
    eventually(lambda: not try_pod(shipped, old).ok, "the fence stands again")
    free = {"metadata": {"finalizers": None}}
    path = f"{pods(AGENTS)}/old"
    answer = shipped.request("PATCH", path, free, content=MERGE_PATCH)
    assert answer.ok, answer.message
    assert shipped.request("DELETE", f"{path}?gracePeriodSeconds=0").ok


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "way",
    [
        "exec?command=python3&stdout=true",
        "attach?stdout=true",
        "portforward?ports=8080",
        # An agent is on the node's network: what listens there for the node alone would answer.
        "proxy",
        "proxy/healthz",
    ],
)
def test_nobody_enters_an_agent(admitted: Server, way: str, method: str) -> None:
    answer = admitted.request(method, f"{pods(AGENTS)}/admitted/{way}")
    assert "agents are not entered" in answer.message


def test_agents_come_in_after_the_fence_was_taken_down_and_put_up_again(
    admitted: Server,
) -> None:
    """With ConfigMap parameters they do not, for good (kubernetes#130887)."""
    binding = f"{BINDINGS}/cni-upgrade-agent-pods"
    saved = admitted.request("GET", binding).body
    assert admitted.request("DELETE", binding).ok
    bad = agent_pod()
    first(bad)["image"] = "elsewhere.example/agent:1"
    try:
        eventually(lambda: try_pod(admitted, bad).ok, "the fence is down")
        time.sleep(2)  # a refresh of the API server's policies: 1 s by default
    finally:
        del saved["metadata"]["resourceVersion"], saved["metadata"]["uid"]
        restored = admitted.request("POST", BINDINGS, saved)
    assert restored.ok, restored.message
    eventually(lambda: not try_pod(admitted, bad).ok, "the fence stands again")
    answer = try_pod(admitted, agent_pod())
    assert answer.ok, answer.message


def test_the_fence_stands_around_agents_alone(shipped: Server) -> None:
    pod = agent_pod()
    pod["metadata"]["namespace"] = "default"
    first(pod)["image"] = "elsewhere.example/agent:1"
    pod["spec"].pop("priorityClassName")
    pod["spec"].pop("preemptionPolicy")
    answer = try_pod(shipped, pod)
    assert answer.ok, answer.message


def test_a_proof_pod_on_the_host_network_is_refused(shipped: Server) -> None:
    pod = proof_pod("proof", "apply-0", "node-a", operator_config.shipped())
    pod["spec"]["hostNetwork"] = True
    assert "violates PodSecurity" in try_pod(shipped, pod).message
