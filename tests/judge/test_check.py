"""CHECK of a pod that was there before the rewrite, and of one that CRI-O creates, by real plugins.

No runtime here asks for CHECK of a pod with the file as it is now (CRI-O asks with the one cached
at ADD, which test_running.py lives through); what people run of their own may.
"""

import json
from pathlib import Path

import pytest

from cni_upgrade.cni import config, versions
from cni_upgrade.cni.facts import Facts, Sandbox, Target
from cni_upgrade.cni.findings import Code
from cni_upgrade.cni.rewrite import rewrite
from cni_upgrade.cni.verdict import judge
from tests.judge.build import RELEASES
from tests.judge.carriers import CONTAINERD, CRIO
from tests.judge.world import World, can_run

pytestmark = pytest.mark.skipif(not can_run(), reason="needs root, for network namespaces")

ADDED = (None, "0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0")


@pytest.mark.parametrize("release", RELEASES)
def test_check_after_the_rewrite(release: str, tmp_path: Path) -> None:
    for place, added in enumerate(ADDED):
        with World(release, tmp_path / str(place)) as world:
            world.install("1.9.1", "bridge", "host-local", "portmap", "loopback")
            world.write(added, "portmap")
            pod = world.pod("old")
            assert world.run("ADD", pod) == ""
            read = config.read(world.file.name, world.file.read_bytes())
            running = [Sandbox("net", pod, "eth0", added)]
            facts = Facts(CONTAINERD[release], [read], world.plugins(), running)
            said = judge(facts, Target())
            to = said.files[0].to
            assert to is not None
            world.file.write_bytes(rewrite(read.data, "conflist", to).data)
            error = world.run("CHECK", pod)
        # Below 0.4.0 there is no CHECK, before the rewrite or after it.
        warned = any(each.code == Code.CHECK_FAILS for each in said.findings)
        none = versions.order(to) < versions.order("0.4.0")
        assert bool(error) == (warned or none), (added, to, error)
        if warned:
            assert "Interface name missing" in error, (added, to)


WITHOUT_CHECK = """#!/bin/sh
config=$(cat)
version=$(printf %s "$config" | sed -n 's/.*"cniVersion": *"\\([^"]*\\)".*/\\1/p')
case $CNI_COMMAND in
VERSION) echo '{"cniVersion": "1.0.0", "supportedVersions":
    ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0"]}' ;;
ADD) case $version in 1.*) family= ;; *) family='"version": "4", ' ;; esac
    echo '{"cniVersion": "'$version'", "ips": [{'"$family"'"address": "10.99.0.7/24"}]}' ;;
CHECK) echo '{"code": 100, "msg": "CNI CHECK method is not implemented"}'; exit 1 ;;
esac
"""
"""An IPAM that does in these commands what whereabouts does, which wants a cluster."""


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("runtime", [CRIO, CONTAINERD], ids=["CRI-O", "containerd"])
@pytest.mark.parametrize("disabled", [False, True], ids=["asked", "disableCheck"])
@pytest.mark.parametrize("version", ["0.3.1", "0.4.0"])
def test_a_plugin_that_refuses_check(
    version: str, disabled: bool, runtime: dict[str, str], release: str, tmp_path: Path
) -> None:
    """A pod is created and asked as the runtime does it, before the rewrite and after it."""
    with World(release, tmp_path) as world:
        world.install("1.9.1", "bridge", "loopback")
        (world.bin / "whereabouts").write_text(WITHOUT_CHECK)
        (world.bin / "whereabouts").chmod(0o755)
        entry = {"type": "bridge", "bridge": "cni0", "ipam": {"type": "whereabouts"}}
        listed = {
            "cniVersion": version,
            "name": "net",
            "disableCheck": disabled,
            "plugins": [entry],
        }
        world.file.write_text(json.dumps(listed))
        read = config.read(world.file.name, world.file.read_bytes())
        said = judge(Facts(runtime[release], [read], world.plugins()), Target())
        asks = runtime is CRIO
        assert created(world, "before", asks) == said.baseline.add
        to = said.files[0].to
        assert to is not None
        assert (to == "0.3.1") == (asks and not disabled), said.files[0].why
        world.file.write_bytes(rewrite(read.data, "conflist", to).data)
        assert said.after.add is True
        assert created(world, "after", asks)


def created(world: World, name: str, asks: bool) -> bool:
    pod = world.pod(name)
    return not world.run("ADD", pod) and not (asks and world.run("STATUS", pod))
