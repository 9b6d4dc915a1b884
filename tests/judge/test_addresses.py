"""Below 0.3.0 a result holds one address of each family: what gives a pod none, or several, fails.

Each network is lived at a version below that, at 0.3.0 and after the engine's rewrite, with the
real bridge and IPAM plugins.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from cni_upgrade.cni import config
from cni_upgrade.cni.facts import Facts, Sandbox, Target
from cni_upgrade.cni.rewrite import rewrite
from cni_upgrade.cni.verdict import Judgement, judge
from tests.judge import build
from tests.judge.build import RELEASES
from tests.judge.carriers import CONTAINERD, CRIO
from tests.judge.world import World, can_run

pytestmark = pytest.mark.skipif(not can_run(), reason="needs root, for network namespaces")

V4, OTHER_V4, V6 = {"subnet": "10.99.0.0/24"}, {"subnet": "10.98.0.0/24"}, {"subnet": "fd00::/64"}


def static(*addresses: str) -> dict[str, object]:
    return {"type": "static", "addresses": [{"address": each} for each in addresses]}


def host_local(*sets: list[dict[str, str]], **members: str) -> dict[str, object]:
    return {"type": "host-local", **members, "ranges": list(sets)}


SEVERAL: Mapping[str, dict[str, object]] = {
    "host-local, two of IPv4": host_local([V4], [OTHER_V4]),
    "host-local, two of IPv6": host_local([V6], [{"subnet": "fd01::/64"}]),
    "host-local, a subnet beside ranges": host_local([OTHER_V4], **V4),
    "static, two of IPv4": static("10.9.0.2/24", "10.9.0.3/24"),
}
ONE_EACH: Mapping[str, dict[str, object]] = {
    "host-local, one of each": host_local([V4], [V6]),
    "host-local, one of a set of two": host_local([V4, OTHER_V4]),
    "host-local, a subnet beside the other family": host_local([V6], **V4),
    "static, one of each": static("10.9.0.2/24", "fd00::3/64"),
}
CARRIED = [(release, "1.9.1") for release in RELEASES] + [("1.1.2", "0.9.1")]
BELOW = (None, "0.1.0", "0.2.0")


class Network(World):
    """A node with a bridge alone, and the IPAM of a case."""

    def __init__(self, release: str, plugins: str, ipam: dict[str, object], folder: Path) -> None:
        super().__init__(release, folder)
        self.install(plugins, "bridge", "host-local", "loopback")
        (self.bin / "static").symlink_to(build.static(plugins))
        self.ipam = ipam

    def at(self, version: str | None) -> None:
        said = {} if version is None else {"cniVersion": version}
        plugin: dict[str, object] = {"type": "bridge", "bridge": "cni0"}
        if self.ipam:
            plugin["ipam"] = {**self.ipam, "dataDir": str(self.folder / "ipam")}
        self.file.write_text(json.dumps({**said, "name": "net", "plugins": [plugin]}))

    def judged(self, runtime: str, *running: Sandbox) -> Judgement:
        read = config.read(self.file.name, self.file.read_bytes())
        wanted = Target("0.3.1", rewrite="OnlyFaulty")
        return judge(Facts(runtime, [read], self.plugins(), running), wanted)

    def mend(self, said: Judgement) -> None:
        assert said.files[0].action == "Rewrite", "the file is faulty"
        assert said.files[0].to == "0.3.1"
        self.file.write_bytes(rewrite(self.file.read_bytes(), "conflist", "0.3.1").data)


@pytest.mark.parametrize("name", [*SEVERAL, *ONE_EACH])
@pytest.mark.parametrize(("release", "plugins"), CARRIED)
def test_several_addresses(release: str, name: str, plugins: str, tmp_path: Path) -> None:
    ipam = {**SEVERAL, **ONE_EACH}[name]
    with Network(release, plugins, ipam, tmp_path / "node") as world:
        for place, version in enumerate((*BELOW, "0.3.0")):
            world.at(version)
            said = world.judged(CONTAINERD[release])
            pod = world.pod(f"p{place}")
            added, deleted = not world.run("ADD", pod), not world.run("DEL", pod)
            assert (said.baseline.add, said.baseline.del_) == (added, deleted), said
            if ipam["type"] == "host-local":  # static keeps no record
                assert said.baseline.leaks == bool(world.addresses(pod))
            assert added is (name in ONE_EACH or version == "0.3.0")
            if not added:
                world.mend(said)
                assert (said.after.add, said.after.del_) == (True, True)
                assert world.comes_and_goes(f"after{place}") == (True, True)
            elif deleted:
                assert said.files[0].action == "None"


@pytest.mark.parametrize("release", ["1.0.1", "1.1.2", "1.3.0"])
def test_a_pod_of_before_the_file_was_lowered(release: str, tmp_path: Path) -> None:
    """host-local refuses DEL as well, and its addresses stay taken."""
    ipam = SEVERAL["host-local, two of IPv4"]
    with Network(release, "1.9.1", ipam, tmp_path / "node") as world:
        old = world.pod("old")
        world.at("0.3.1")
        assert world.run("ADD", old) == ""
        world.at("0.2.0")
        said = world.judged(CONTAINERD[release], Sandbox("net", old, "eth0", "0.3.1"))
        assert said.baseline.del_ is False
        assert said.baseline.leaks
        assert world.run("DEL", old)
        assert world.addresses(old)
        world.mend(said)
        assert said.after.existing_del is True
        assert world.run("DEL", old) == ""
        assert not world.addresses(old)


@pytest.mark.parametrize(("release", "plugins"), CARRIED)
def test_no_address(release: str, plugins: str, tmp_path: Path) -> None:
    """A bridge with no IPAM, for a runtime that takes a pod without an address: CRI-O."""
    with Network(release, plugins, {}, tmp_path / "node") as world:
        for place, version in enumerate((*BELOW, "0.3.0")):
            world.at(version)
            said = world.judged(CRIO[release])
            pod = world.pod(f"p{place}")
            added = not world.run("ADD-LO", pod)
            assert added is (version == "0.3.0")
            if added:
                assert said.baseline.add is True
                continue
            assert said.baseline.add is False
            assert "Addresses" in {each.code for each in said.findings}
            world.mend(said)
            assert said.after.add is True
            assert world.run("ADD-LO", world.pod(f"after{place}")) == ""


@pytest.mark.parametrize(("release", "plugins"), CARRIED)
def test_containerd_takes_no_pod_without_address(
    release: str, plugins: str, tmp_path: Path
) -> None:
    with Network(release, plugins, {}, tmp_path / "node") as world:
        for place, version in enumerate((*BELOW, "0.3.0", "0.4.0")):
            world.at(version)
            said = world.judged(CONTAINERD[release])
            assert world.run("ADD", world.pod(f"p{place}"))
            assert said.baseline.add is False
            assert "NoAddress" in {each.code for each in said.findings}
            assert said.files[0].action == ("None" if said.baseline.del_ else "Rewrite")


@pytest.mark.parametrize("plugins", ["0.9.1", "1.9.1"])
def test_ptp_does_not_run_without_ipam(plugins: str, tmp_path: Path) -> None:
    with Network("1.1.2", plugins, {}, tmp_path / "node") as world:
        world.install(plugins, "ptp")
        for place, version in enumerate(("0.2.0", "0.3.0", "0.4.0")):
            entry = {"type": "ptp"}
            said = {"cniVersion": version, "name": "net", "plugins": [entry]}
            world.file.write_text(json.dumps(said))
            found = world.judged(CRIO["1.1.2"])
            pod = world.pod(f"p{place}")
            assert "no plugin name provided" in world.run("ADD", pod)
            assert "no plugin name provided" in world.run("DEL", pod)
            assert (found.baseline.add, found.baseline.del_) == (False, False)
            assert "NoAddress" in {each.code for each in found.findings}
