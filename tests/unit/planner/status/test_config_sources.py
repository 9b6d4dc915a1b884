"""What a policy shows of the ConfigMaps that its nodes' files come from."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import jsonpatch
import pytest

from cni_upgrade.api.config_source import ConfigSource
from cni_upgrade.api.node_state import CNINodeState
from cni_upgrade.api.policy_status import PolicyStatus
from cni_upgrade.cni import source_verdict, versions
from cni_upgrade.planner.status import config_sources
from cni_upgrade.planner.status.config_sources import Pair, pairs, shown, trimmed, wanted
from cni_upgrade.planner.status.policy_status import turns
from cni_upgrade.planner.world.decisions import SetStatus
from cni_upgrade.planner.world.operator_config import OperatorConfig
from cni_upgrade.planner.world.snapshot import ConfigMap, Snapshot
from tests.unit.cni import configmaps
from tests.unit.planner.cluster_model import CONFIG
from tests.unit.planner.samples import NOW, node, policy, state

FLANNEL = "kube-flannel/kube-flannel-cfg"
OLD_FLANNEL = "kube-system/kube-flannel-cfg"
BY_FLANNEL = "flannel: ConfigMap kube-flannel/kube-flannel-cfg"
ALL = "flannel bridge host-local portmap calico calico-ipam multus-shim mynet"
MINE = {"namespace": "net", "name": "mynet", "key": "conf", "files": ["10-mynet.conflist"]}


def file(name: str = "10-flannel.conflist", **more: Any) -> dict[str, Any]:
    return {"name": name, "kind": "conflist", "active": True, "managedBy": BY_FLANNEL, **more}


def seen(name: str, *files: Mapping[str, Any], most: str = "1.0.0", **more: Any) -> CNINodeState:
    """A node's record after an audit."""
    supported = versions.up_to(most)
    plugins = [
        {"type": kind, "supported": supported, "max": most, "source": "VERSION"}
        for kind in ALL.split()
    ]
    return state(name, "cure", files=files or [file()], plugins=plugins, **more)


def world(
    *states: CNINodeState, config: OperatorConfig = CONFIG, **configmaps_: ConfigMap
) -> Snapshot:
    names = [each.metadata.name for each in states]
    return Snapshot(
        now=NOW,
        config=config,
        policies={"cure": policy()},
        nodes={name: node(name) for name in names},
        states=dict(zip(names, states, strict=True)),
        configmaps={
            name.replace("__", "/").replace("_", "-"): c for name, c in configmaps_.items()
        },
    )


def _place(name: str) -> str:
    return name.replace("__", "/").replace("_", "-")


def status(seen_world: Snapshot, **spec: Any) -> tuple[ConfigSource, ...]:
    return shown(policy(**spec), seen_world.states, seen_world)


def text(value: str, key: str = "cni-conf.json") -> ConfigMap:
    return ConfigMap({key: value})


def test_flannel_is_mended_at_its_source() -> None:
    old = text(configmaps.FLANNEL_OLD)
    [found] = status(
        world(seen("node-a"), seen("node-b", most="0.4.0"), kube_flannel__kube_flannel_cfg=old)
    )
    assert (found.namespace, found.name, found.key) == (
        "kube-flannel",
        "kube-flannel-cfg",
        "cni-conf.json",
    )
    assert (found.writer, found.nodes, found.network) == ("flannel", 2, "cbr0")
    assert (found.version, found.to, found.action) == (None, "0.4.0", "Rewrite")
    assert found.message.startswith("missing -> 0.4.0: not 1.0.0: node-b: flannel supports 0.1.0")
    assert found.findings[0].startswith("VersionMissing: node-a: cniVersion is missing")
    assert found.diff is not None
    assert '+  "cniVersion": "0.4.0",' in found.diff
    assert found.takes_effect.endswith("rollout restart daemonset kube-flannel-ds")
    assert found.patch is not None
    there = {"data": {"cni-conf.json": configmaps.FLANNEL_OLD, "net-conf.json": "{}"}}
    mended = jsonpatch.apply_patch(there, json.loads(found.patch))["data"]
    assert json.loads(mended["cni-conf.json"])["cniVersion"] == "0.4.0"
    assert mended["net-conf.json"] == "{}"


def test_nothing_to_do_has_no_patch() -> None:
    good = text(configmaps.FLANNEL.replace("0.3.1", "1.0.0"))
    [found] = status(world(seen("node-a"), kube_flannel__kube_flannel_cfg=good))
    assert (found.action, found.version, found.to) == ("None", "1.0.0", "1.0.0")
    assert (found.patch, found.diff, found.takes_effect, found.findings) == (None, None, "", ())


def test_the_policy_decides_the_target() -> None:
    seen_world = world(seen("node-a"), kube_flannel__kube_flannel_cfg=text(configmaps.FLANNEL))
    [found] = status(seen_world, target={"cni": {"version": "0.4.0"}})
    assert found.to == "0.4.0"
    [found] = status(seen_world, target={"cni": {"rewrite": "OnlyFaulty"}})
    assert found.action == "None"


def files(*states: CNINodeState) -> set[Pair]:
    return {pair for state in states for pair in pairs(state)}


def test_only_what_nodes_lead_to_is_read_or_shown() -> None:
    plain = seen("node-a", file("10-net.conflist", managedBy=None))
    assert wanted(files(plain), CONFIG) == ()
    assert wanted(files(), CONFIG) == ()
    assert wanted(files(seen("node-b"), plain), CONFIG) == (FLANNEL, OLD_FLANNEL)
    multus = seen("node-c", file("00-multus.conf", managedBy="multus-thick: ConfigMap"))
    assert wanted(files(multus), CONFIG) == ("kube-system/multus-daemon-config",)
    there = text(configmaps.FLANNEL)
    assert status(world(plain, kube_flannel__kube_flannel_cfg=there)) == ()


def test_what_is_not_there_is_silent_where_it_need_not_be() -> None:
    """On k3s flannel has no ConfigMap; and it has only one of its two places."""
    absent = ConfigMap(None)
    a = seen("node-a")
    assert (
        status(
            world(a, kube_flannel__kube_flannel_cfg=absent, kube_system__kube_flannel_cfg=absent)
        )
        == ()
    )
    [found] = status(
        world(
            a,
            kube_flannel__kube_flannel_cfg=ConfigMap(None, refused=True),
            kube_system__kube_flannel_cfg=text(configmaps.FLANNEL),
        )
    )
    assert found.namespace == "kube-system"
    assert status(world(a, kube_flannel__kube_flannel_cfg=ConfigMap({"net-conf.json": ""}))) == ()


def test_a_missing_right_is_said() -> None:
    refused = ConfigMap(None, refused=True)
    [found] = status(
        world(
            seen("node-a"),
            kube_flannel__kube_flannel_cfg=refused,
            kube_system__kube_flannel_cfg=ConfigMap(None),
        )
    )
    assert (found.action, found.nodes, found.patch) == ("Unknown", 1, None)
    assert f"may not read ConfigMap {FLANNEL}" in found.message
    assert "manifests/sources/kube-flannel.yaml" in found.message


@pytest.mark.parametrize(
    ("there", "says"),
    [
        (ConfigMap(None), "there is no ConfigMap net/mynet"),
        (ConfigMap({"other": ""}), "has no key conf, its keys are: other"),
        (ConfigMap({}), "its keys are: none"),
        (ConfigMap(None, refused=True), "may not read"),
    ],
)
def test_a_source_of_the_configuration_is_told_of_in_any_case(there: ConfigMap, says: str) -> None:
    config = CONFIG.model_validate({**CONFIG.model_dump(), "sources": [MINE]})
    mine = seen("node-a", file("10-mynet.conflist", managedBy=None))
    assert wanted(files(mine), config) == ("net/mynet",)
    [found] = status(world(mine, config=config, net__mynet=there))
    assert found.action == "Unknown"
    assert says in found.message


def test_a_source_of_the_configuration_is_judged_with_its_placeholders() -> None:
    given = {**MINE, "placeholders": ["__MTU__"]}
    config = CONFIG.model_validate({**CONFIG.model_dump(), "sources": [given]})
    mine = seen("node-a", file("10-mynet.conflist", managedBy=None))
    value = '{"name": "mynet", "plugins": [{"type": "mynet", "mtu": __MTU__}]}'
    [found] = status(world(mine, config=config, net__mynet=text(value, "conf")))
    assert (found.action, found.to, found.writer) == ("Rewrite", "1.0.0", "")
    assert found.diff is not None
    assert '"mtu": __MTU__' in found.diff


def test_multus_looks_at_what_it_delegates_to() -> None:
    """The first file that is not its own; mending that one comes first."""
    own = file("00-multus.conf", managedBy="multus-thick: ConfigMap", kind="conf")
    master = file("10-flannel.conflist", version="0.3.1", active=False)
    other = file("20-z.conflist", version="1.0.0", managedBy=None, active=False)
    there = text(configmaps.MULTUS_DAEMON, "daemon-config.json")
    found = status(
        world(seen("node-a", own, other, master), kube_system__multus_daemon_config=there)
    )
    assert [(each.name, each.to) for each in found] == [("multus-daemon-config", "0.3.1")]
    assert "its master is at 0.3.1" in found[0].message


def test_pods_that_run_count() -> None:
    running = seen("node-a", sandboxes={"missing": 2, "0.3.1": 1})
    on_old = world(running, kube_flannel__kube_flannel_cfg=text(configmaps.FLANNEL_OLD))
    nodes = {"node-a": replace(node(), runtime="containerd://1.5.18")}
    [found] = shown(
        policy(),
        on_old.states,
        Snapshot(
            now=NOW,
            config=CONFIG,
            nodes=nodes,
            states=on_old.states,
            configmaps=on_old.configmaps,
        ),
    )
    assert found.to == "0.3.1"
    assert "2 cached sandboxes added with no version could not be deleted" in found.message


def test_alike_nodes_are_judged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    real = source_verdict.judge_source

    def judge(*args: Any) -> Any:
        asked.append(len(args[2]))
        return real(*args)

    monkeypatch.setattr(source_verdict, "judge_source", judge)
    config_sources._judged.cache_clear()
    many = world(
        *(seen(f"node-{n}") for n in range(50)),
        seen("other", most="0.4.0"),
        kube_flannel__kube_flannel_cfg=text(configmaps.FLANNEL_OLD),
    )
    for _ in range(3):
        [found] = status(many)
    assert found.nodes == 51
    assert asked == [2], "two kinds of nodes, and the second pass asks nothing"


def test_a_node_with_a_runtime_of_any_name_stops_nobody() -> None:
    old = text(configmaps.FLANNEL_OLD)
    there = world(seen("node-a"), seen("node-b"), kube_flannel__kube_flannel_cfg=old)
    odd = replace(there.nodes["node-b"], runtime=f"containerd://{'9' * 5000}.1.1")
    told = list(turns(replace(there, nodes={**there.nodes, "node-b": odd})))
    assert told
    assert "Unplannable" not in str(told)


def test_a_huge_text_does_not_make_a_huge_status() -> None:
    filler = "x" * 20000
    value = configmaps.FLANNEL_OLD.replace('"cbr0"', f'"cbr0", "note": "{filler}"')
    [found] = status(world(seen("node-a"), kube_flannel__kube_flannel_cfg=text(value)))
    assert (found.action, found.to, found.patch) == ("Rewrite", "1.0.0", None)
    assert len(json.dumps(found.to_api())) < 20000
    assert PolicyStatus(sources=(found,) * 20).sources == (found,) * 8


def test_it_is_written_once() -> None:
    seen_world = world(seen("node-a"), kube_flannel__kube_flannel_cfg=text(configmaps.FLANNEL_OLD))
    [turn] = turns(seen_world)
    first = turn.decisions[0]
    assert isinstance(first, SetStatus)
    written = first.status
    assert [each["to"] for each in written["sources"]] == ["1.0.0"]
    made = policy()
    known = made.model_copy(update={"status": PolicyStatus.model_validate(written)})
    again = Snapshot(
        now=NOW,
        config=CONFIG,
        policies={"cure": known},
        nodes=seen_world.nodes,
        states=seen_world.states,
        configmaps=seen_world.configmaps,
    )
    assert list(turns(again)) == []


def test_of_a_configmap_only_what_is_looked_at_is_kept() -> None:
    data = {"cni-conf.json": "{}", "net-conf.json": "secret"}
    assert trimmed(data, FLANNEL, CONFIG) == ConfigMap({"cni-conf.json": "{}", "net-conf.json": ""})
    assert trimmed(None, FLANNEL, CONFIG) == ConfigMap(None)
