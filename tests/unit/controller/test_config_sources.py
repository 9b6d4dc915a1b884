"""ConfigMaps of network add-ons are read by name, seldom, and only where nodes lead to them."""

from __future__ import annotations

from cni_upgrade.controller.config_sources import AGAIN, DENIED, Sources
from cni_upgrade.kube.interface import KubeError
from cni_upgrade.planner.world.snapshot import ConfigMap
from tests.unit.cni import configmaps
from tests.unit.controller.kube_model import Made, silence
from tests.unit.planner.node_model import SimNode

FLANNEL = "kube-flannel/kube-flannel-cfg"
OLD = "kube-system/kube-flannel-cfg"
LIST = ("list", "configmaps")


def flannel(made: Made, text: str = configmaps.FLANNEL_OLD) -> None:
    body = {
        "metadata": {"name": "kube-flannel-cfg", "namespace": "kube-flannel"},
        "data": {"cni-conf.json": text, "net-conf.json": "{}"},
    }
    made.kube.cluster.api.create("ConfigMap", body)


async def audited(made: Made) -> None:
    """A node whose file flannel writes."""
    cluster = made.kube.cluster
    cluster.add_node(SimNode("node-a", "0.4.0", managed_by="flannel: ConfigMap"))
    cluster.apply_policy("cure", {"mode": "Enforce"})
    for _ in range(60):
        await made.pass_()
        if cluster.status("node-a").get("phase") == "ManagedElsewhere":
            return
    raise AssertionError(cluster.status("node-a"))


def reads(made: Made) -> list[str]:
    return [
        name for verb, plural, name in made.kube.asked if (verb, plural) == ("list", "configmaps")
    ]


async def test_nothing_is_read_where_no_node_leads_to_it(made: Made) -> None:
    cluster = made.kube.cluster
    cluster.add_node(SimNode("node-a", "1.0.0", "containerd://2.0.0"))
    cluster.apply_policy("cure", {"mode": "Audit"})
    for _ in range(20):
        await made.pass_()
    assert cluster.status("node-a")["phase"] == "Compatible"
    assert not [asked for asked in made.kube.asked if asked[1] == "configmaps"]


async def test_a_pass_reads_what_a_node_leads_to_and_the_policy_shows_it(made: Made) -> None:
    flannel(made)
    await audited(made)
    await made.pass_()
    assert made.store.configmaps == {
        FLANNEL: ConfigMap({"cni-conf.json": configmaps.FLANNEL_OLD, "net-conf.json": ""}),
        OLD: ConfigMap(None),
    }
    [shown] = made.kube.cluster.policy("cure")["status"]["sources"]
    assert (shown["name"], shown["nodes"], shown["action"]) == ("kube-flannel-cfg", 1, "Refuse")
    assert "it is not known what flannel supports" in shown["message"]


async def test_each_is_read_once_in_a_while(made: Made) -> None:
    flannel(made)
    await audited(made)
    made.kube.asked.clear()
    looks = Sources(made.kube, made.store)
    for second in range(int(AGAIN)):
        await looks.look(float(second))
    assert made.kube.writes() == []
    assert len(reads(made)) == 2, "one read of each of its two places"
    await looks.look(AGAIN + 1)
    assert len(reads(made)) == 4


async def test_what_changes_is_seen_and_what_nobody_uses_is_forgotten(made: Made) -> None:
    flannel(made)
    await audited(made)
    looks = Sources(made.kube, made.store)
    await looks.look(0.0)
    patch = {"data": {"cni-conf.json": configmaps.FLANNEL}}
    made.kube.cluster.api.patch("ConfigMap", "kube-flannel-cfg", patch, namespace="kube-flannel")
    await looks.look(AGAIN)
    data = made.store.configmaps[FLANNEL].data
    assert data is not None
    assert data["cni-conf.json"] == configmaps.FLANNEL
    for state in list(made.store.states.items.values()):
        meta = {"name": state.metadata.name, "uid": state.metadata.uid}
        made.store.states.drop({"metadata": meta})
    await looks.look(AGAIN + 1)
    assert made.store.configmaps == {}


async def test_a_missing_right_is_asked_for_and_not_bumped_into(made: Made) -> None:
    flannel(made)
    await audited(made)
    no = KubeError(403, "Forbidden", "no")
    made.kube.refuse = lambda verb, plural, name: (
        no if verb.endswith("list") and plural == "configmaps" else None
    )
    made.kube.asked.clear()
    looks = Sources(made.kube, made.store)
    await looks.look(0.0)
    await looks.look(DENIED)
    assert reads(made) == []
    refused = ConfigMap(None, refused=True)
    assert made.store.configmaps == {FLANNEL: refused, OLD: refused}
    made.kube.refuse = lambda verb, plural, name: None
    await looks.look(2 * DENIED)
    assert made.store.configmaps[FLANNEL].data is not None


async def test_an_answer_that_does_not_come_stops_nothing(made: Made) -> None:
    flannel(made)
    await audited(made)
    looks = Sources(made.kube, made.store)
    await looks.look(0.0)
    before = dict(made.store.configmaps)
    made.kube.refuse = lambda verb, plural, name: silence() if plural == "configmaps" else None
    await looks.look(AGAIN)
    assert made.store.configmaps == before
    made.kube.refuse = lambda verb, plural, name: None
    await made.pass_()
