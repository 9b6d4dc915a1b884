"""The plugin's verbs that steer a rollout: whose annotation it is, and what the controller does."""

from __future__ import annotations

from typing import Any

import pytest

from cni_upgrade.api import names
from cni_upgrade.kubectl.annotate import FIELD_MANAGER
from tests.api.conftest import Kubectl
from tests.api.controllers import World
from tests.api.flux import done, flux_applies, get
from tests.api.kubectl_plugin import Plugin
from tests.api.nodes import Fleet
from tests.api.objects import node_state, policy
from tests.api.server import Collection
from tests.api.waiting import eventually


def annotated(policies: Collection, name: str = "cure") -> dict[str, str]:
    found: dict[str, Any] = policies.get(name)["metadata"]
    return dict(found.get("annotations") or {})


class TestGitOps:
    def test_flux_leaves_a_pause_of_ours(
        self, plugin: Plugin, kubectl: Kubectl, policies: Collection
    ) -> None:
        flux_applies(kubectl)
        plugin.did("pause", "cure")
        plugin.did("retry", "--policy", "cure")
        flux_applies(kubectl)
        assert get(kubectl)["metadata"]["annotations"][names.PAUSED] == "true"
        assert names.RETRY in get(kubectl)["metadata"]["annotations"]
        plugin.did("resume", "cure")
        assert names.PAUSED not in get(kubectl)["metadata"]["annotations"]
        assert get(kubectl)["metadata"]["annotations"]["team"] == "platform"

    def test_flux_takes_what_a_manager_named_like_kubectl_owns(
        self, kubectl: Kubectl, policies: Collection
    ) -> None:
        """Why our manager's name does not begin with `kubectl`."""
        flux_applies(kubectl)
        applied = {**policy("cure"), "metadata": {"name": "cure"}}
        applied.pop("spec")
        applied["metadata"]["annotations"] = {names.PAUSED: "true"}
        words = ("apply", "--server-side", "--validate=false", "-f", "-")
        done(kubectl(*words, "--field-manager=kubectl-cni-upgrade", stdin=applied))
        assert names.PAUSED in get(kubectl)["metadata"]["annotations"]
        flux_applies(kubectl)
        assert names.PAUSED not in get(kubectl)["metadata"]["annotations"]
        assert not FIELD_MANAGER.startswith("kubectl")


class TestPause:
    def test_another_verb_keeps_it(self, plugin: Plugin, policies: Collection) -> None:
        policies.create(policy("cure"))
        plugin.did("pause", "cure")
        plugin.did("retry", "--policy", "cure")
        first = annotated(policies)
        plugin.did("retry", "--policy", "cure")
        second = annotated(policies)
        assert first[names.PAUSED] == second[names.PAUSED] == "true"
        assert first[names.RETRY] != second[names.RETRY]

    def test_one_that_somebody_else_owns_is_named_and_not_fought(
        self, plugin: Plugin, kubectl: Kubectl, policies: Collection
    ) -> None:
        policies.create(policy("cure"))
        done(kubectl("annotate", "cup", "cure", f"{names.PAUSED}=true", "--field-manager=by-hand"))
        assert "paused already, by by-hand" in plugin.did("pause", "cure")
        refused = plugin("resume", "cure")
        assert refused.returncode == 1
        assert "by-hand owns the annotation cniupgrade.dev/paused" in refused.stderr
        assert annotated(policies)[names.PAUSED] == "true"
        plugin.did("resume", "cure", "--force")
        assert annotated(policies)[names.PAUSED] == "false"

    def test_a_value_of_another_manager_needs_force(
        self, plugin: Plugin, kubectl: Kubectl, policies: Collection
    ) -> None:
        policies.create(policy("cure"))
        done(kubectl("annotate", "cup", "cure", f"{names.PAUSED}=false", "--field-manager=by-hand"))
        refused = plugin("pause", "cure")
        assert refused.returncode == 1
        assert 'conflict with "by-hand"' in refused.stderr
        assert "Add --force to override it." in refused.stderr
        plugin.did("pause", "cure", "--force")
        assert annotated(policies)[names.PAUSED] == "true"

    def test_one_by_the_spec_is_told(self, plugin: Plugin, policies: Collection) -> None:
        policies.create(policy("cure", paused=True))
        refused = plugin("resume", "cure")
        assert refused.returncode == 1
        assert "still paused by spec.paused" in refused.stderr

    def test_of_several_each_that_is_there(self, plugin: Plugin, policies: Collection) -> None:
        policies.create(policy("cure"))
        ended = plugin("pause", "none", "cure")
        assert ended.returncode == 1
        assert '"none" not found' in ended.stderr
        assert annotated(policies)[names.PAUSED] == "true"

    def test_a_policy_that_is_not_there_is_not_made(
        self, plugin: Plugin, policies: Collection
    ) -> None:
        assert plugin("pause", "none").returncode == 1
        assert policies.server.request("GET", f"{policies.path}/none").status == 404


class TestRetryAndLetGo:
    def test_a_node_takes_over_a_value_that_was_set_by_hand(
        self, plugin: Plugin, kubectl: Kubectl, node_states: Collection
    ) -> None:
        node_states.create(node_state("node-a"))
        done(kubectl("annotate", "cns", "node-a", f"{names.RETRY}=1"))
        plugin.did("retry", "node-a")
        assert node_states.get("node-a")["metadata"]["annotations"][names.RETRY] != "1"

    def test_let_go_is_for_a_policy_that_is_deleted(
        self, plugin: Plugin, policies: Collection
    ) -> None:
        policies.create(policy("cure"))
        refused = plugin("let-go", "cure")
        assert refused.returncode == 1
        assert "is not being deleted" in refused.stderr
        held = {"metadata": {"finalizers": [names.FINALIZER]}}
        assert policies.patch("cure", held).ok
        assert policies.server.request("DELETE", f"{policies.path}/cure").ok
        plugin.did("let-go", "cure")
        assert annotated(policies)[names.LET_GO] == "true"
        assert policies.patch("cure", {"metadata": {"finalizers": None}}).ok


def test_a_rollout_steered_by_the_plugin(world: World, fleet: Fleet, plugin: Plugin) -> None:
    """Stopped, gone on, paused, resumed, waited for: the controller heeds each."""
    at = world.plane.kubeconfig

    def did(*words: str) -> str:
        ended = plugin(*words, kubeconfig=at)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    fleet.add(world.api, "node-a", "node-b")
    did("stop", "the", "new", "plugins", "are", "wrong")
    assert "by cni-upgrade-kubectl: the new plugins are wrong" in did("stop", "again")
    with world.controller():
        world.policy(mode="Audit")
        assert "the new plugins are wrong" in world.await_reason("Stopped", "Stopped")["message"]
        did("go")
        assert "2 nodes" in did("wait", "cure", "--timeout=2m")
        world.await_reason("Audited")
        assert "2 of 2 nodes would be changed, 0 of them drained first." in did("plan", "cure")
        assert "planned: 10-net.conflist: missing -> 1.0.0" in did("diff", "node-a")
        did("pause", "cure")
        world.kubectl("patch", "cup", "cure", "--type=merge", '-p={"spec":{"mode":"Enforce"}}')
        eventually(lambda: world.status("node-a").get("reason") == "Paused", "it is paused")
        assert "Paused: The policy is paused by" in did("why", "node-a")
        late = plugin("wait", "cure", "--timeout=2s", kubeconfig=at)
        assert (late.returncode, "was not ready in time" in late.stderr) == (1, True)
        did("resume", "cure")
        assert "2 Done" in did("wait", "cure", "--timeout=5m")
        assert "# " in did("diff", "node-a")
        assert "+1.0.0" in did("diff", "node-a")
        assert "2/2 well" in did("status")


def test_waiting_ends_with_1_where_a_person_is_needed(
    world: World, fleet: Fleet, plugin: Plugin
) -> None:
    fleet.add(world.api, "node-a", surprise={"1.0.0": (True, False)})
    with world.controller():
        world.policy(verify={"deadline": "5s"})
        ended = plugin("wait", "cure", "--timeout=5m", kubeconfig=world.plane.kubeconfig)
    assert ended.returncode == 1
    assert "NodeFailed" in ended.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("stop", "false"), '"false" means that nothing is stopped'),
        (("wait", "cure", "--timeout=0s"), 'write "90s", "15m" or "1h30m"'),
    ],
)
def test_words_that_make_no_sense(plugin: Plugin, words: tuple[str, ...], said: str) -> None:
    ended = plugin(*words)
    assert ended.returncode != 0
    assert said in ended.stderr
