"""What flannel and multus keep of an ADD decides whether that pod can be deleted, not the file."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from cni_upgrade.cni import config, versions
from cni_upgrade.cni.facts import UNKNOWN, Facts, Sandbox, Support
from cni_upgrade.cni.kept import KEEPS_IN
from cni_upgrade.cni.verdict import Judgement, Target, judge
from tests.unit.cni import samples
from tests.unit.cni.judged import codes

NAME = "10-net.conflist"
RUNTIME = "containerd://1.7.30"
NEW, UP_TO_1, OLD = "1.1.0", "1.0.0", "0.4.0"


def plugins(below: str, libcni: str | None = "1.3.0") -> dict[str, Support]:
    found = {**samples.plugins(below), "loopback": Support.told("loopback", versions.KNOWN)}
    for keeper in KEEPS_IN:
        found[keeper] = replace(Support.told(keeper, versions.KNOWN), libcni=libcni)
    return found


def flannel(version: str | None) -> bytes:
    said = {"cniVersion": version} if version else {}
    return json.dumps({**said, "name": "net", "plugins": [{"type": "flannel"}]}).encode()


def multus(version: str, members: Mapping[str, object]) -> bytes:
    plugin = {"type": "multus", **members}
    return json.dumps({"cniVersion": version, "name": "net", "plugins": [plugin]}).encode()


def delegating(delegate: str | None) -> dict[str, object]:
    said = {"cniVersion": delegate} if delegate else {}
    return {"delegates": [{**said, "type": "bridge", "ipam": {"type": "host-local"}}]}


def pod(added: bytes) -> Sandbox:
    read = config.read(NAME, added)
    return Sandbox("net", "c", "eth0", read.version, "shop/cart", read.calls)


def judged(
    data: bytes,
    running: Sequence[Sandbox],
    below: Mapping[str, Support],
    runtime: str = RUNTIME,
    beside: Sequence[config.Config] = (),
) -> Judgement:
    read = config.read(NAME, data)
    facts = Facts(runtime, [read, *beside], below, running, "Override", conf_dir="/etc/cni/net.d")
    return judge(facts, Target())


@pytest.mark.parametrize("runtime", [RUNTIME, "containerd://2.1.3"])
def test_flannel_deletes_at_the_version_of_the_add(runtime: str) -> None:
    then = [pod(flannel("1.0.0"))]
    found = judged(flannel("1.0.0"), then, plugins(OLD), runtime)
    assert (found.files[0].action, found.files[0].to) == ("Rewrite", "0.4.0")
    assert (found.after.add, found.after.del_, found.after.existing_del) == (True, True, False)
    assert found.after.existing_leaks
    assert found.after.why
    assert "flannel deletes with the config that it kept of the ADD" in found.after.why
    assert "bridge is called at 1.0.0 and supports 0.1.0 to 0.4.0" in found.after.why

    lowered = judged(flannel("0.4.0"), then, plugins(OLD), runtime)
    assert (lowered.verdict, lowered.baseline.add, lowered.baseline.del_) == (
        "Compatible",
        True,
        False,
    )
    assert codes(lowered) == ["KeptDel"], "no version cures it, and nothing calls it incurable"
    kept = judged(flannel("0.4.0"), then, plugins(NEW), runtime)
    assert kept.after.existing_del is True


def test_a_pod_of_before_goes_though_none_comes() -> None:
    """The file was raised over plugins that do not take it: what flannel kept is older."""
    found = judged(flannel("1.0.0"), [pod(flannel("0.4.0"))], plugins(OLD))
    assert (found.baseline.add, found.baseline.del_) == (False, False)
    assert "KeptDel" not in codes(found)
    unable = {**plugins(OLD), "flannel": Support.told("flannel", samples.supports("0.4.0"))}
    same = judged(flannel("0.4.0"), [pod(flannel("0.4.0"))], unable)
    assert (same.baseline.del_, same.after.existing_del) == (True, True)


def test_whose_config_is_not_known() -> None:
    """An entry that tells nothing: known only where the binaries take whatever it was."""
    for nothing in (Sandbox("net", "c", "eth0", UNKNOWN), Sandbox("", "c", "", UNKNOWN)):
        assert judged(flannel("0.4.0"), [nothing], plugins(UP_TO_1)).after.existing_del is None
        assert judged(flannel("0.4.0"), [nothing], plugins(NEW), "containerd://2.1.3").after.del_
    told = Sandbox("net", "c", "eth0", "1.0.0")  # libcni 0.7 kept the result alone
    assert judged(flannel("0.4.0"), [told], plugins(OLD)).after.existing_del is False
    other = pod(samples.bridge("1.0.0"))
    assert judged(flannel("0.4.0"), [other], plugins(OLD)).after.existing_del is True


def test_multus_deletes_at_the_delegates_version_of_the_add() -> None:
    now = multus("0.4.0", delegating("0.4.0"))
    then = [pod(multus("0.4.0", delegating("1.0.0")))]
    found = judged(now, then, plugins(OLD))
    assert (found.baseline.add, found.baseline.del_, found.after.existing_del) == (
        True,
        False,
        False,
    )
    assert "KeptDel" in codes(found)
    assert judged(now, then, plugins(UP_TO_1)).after.existing_del is True
    unread = Sandbox("net", "c", "eth0", UNKNOWN)
    assert judged(now, [replace(unread, calls=then[0].calls)], plugins(OLD)).baseline.del_ is False


def test_multus_of_an_old_libcni_keeps_a_delegate_with_no_version() -> None:
    """It was mended in the file since, which does not help the pods of before."""
    now = multus("0.4.0", delegating("0.4.0"))
    then = [pod(multus("0.4.0", delegating(None)))]
    found = judged(now, then, plugins(NEW, "0.8.1"))
    assert (found.baseline.del_, found.after.existing_del) == (False, False)
    assert found.after.why
    assert "libcni 0.8.1, which multus carries, deletes nothing with no version" in found.after.why
    assert judged(now, then, plugins(NEW, "1.1.2")).after.existing_del is True
    assert judged(now, then, plugins(NEW, None)).after.existing_del is None


def test_a_cluster_network_is_not_told_by_the_results_cache() -> None:
    path = {"clusterNetwork": "/host/etc/cni/net.d/20-b.conflist"}
    beside = config.read("20-b.conflist", samples.bridge("0.4.0"))
    now = multus("0.4.0", path)
    for below, deleted in ((plugins(NEW), True), (plugins(UP_TO_1), None), (plugins(OLD), None)):
        found = judged(now, [pod(now)], below, beside=[beside])
        assert (found.baseline.add, found.after.existing_del) == (True, deleted)
        assert judged(now, [], below, beside=[beside]).after.existing_del is True
