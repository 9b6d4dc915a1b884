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
from cni_upgrade.cni.verdict import Judgement, judge
from tests.judge.build import RELEASES, plugin
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


ROUTED = {"routes": [{"dst": "192.168.0.0/16"}]}
DUAL = {"ranges": [[{"subnet": "10.99.0.0/24"}], [{"subnet": "fd00:99::/64"}]]}
ANNOTATED = {"type": "bandwidth", "capabilities": {"bandwidth": True}}
RATES = {"type": "bandwidth", "ingressRate": 1000000, "ingressBurst": 1000000}
PORTS = {"type": "portmap", "capabilities": {"portMappings": True}}
SPACES = {"type": "tuning", "sysctl": {"net.ipv4.ip_local_port_range": "1024 65000"}}
PLAIN = {"type": "tuning", "sysctl": {"net.ipv4.ip_forward": "1"}}


@pytest.mark.parametrize(
    ("ipam", "others", "old", "new"),
    [
        ({}, [ANNOTATED], False, True),
        ({}, [RATES], True, True),
        ({}, [{"type": "sbr"}], False, False),
        (None, [], False, False),
        ({}, [SPACES], False, False),
        ({}, [PLAIN], True, True),
        (ROUTED, [], False, True),
        (DUAL, [PORTS], False, True),
        ({}, [PORTS], True, True),
    ],
    ids=[
        "bandwidth, and a pod without the annotation",
        "bandwidth with rates of its own",
        "sbr",
        "no ipam",
        "a sysctl with spaces",
        "a plain sysctl",
        "a route without a gateway",
        "portmap, and a pod of both families",
        "portmap",
    ],
)
@pytest.mark.parametrize("release", ["0.9.1", "1.9.1"])
def test_a_check_passes_as_was_said(
    release: str,
    ipam: dict[str, object] | None,
    others: list[dict[str, object]],
    old: bool,
    new: bool,
    tmp_path: Path,
) -> None:
    """To have a CHECK is not to pass it: each config at 0.3.1 and at 0.4.0, as CRI-O creates."""
    passes = old if release == "0.9.1" else new
    with World("1.3.0", tmp_path) as world:
        world.install(release, "bridge", "host-local", "loopback")
        for each in others:
            kind = str(each["type"])
            if kind in ("sbr", "tuning"):
                (world.bin / kind).symlink_to(plugin(release, f"meta/{kind}"))
            else:
                world.install(release, kind)
        entry = world.bridge()
        stated = entry.pop("ipam")
        assert isinstance(stated, dict)
        main = entry if ipam is None else {**entry, "ipam": {**stated, **ipam}}

        def judged(version: str) -> Judgement:
            listed = {"cniVersion": version, "name": "net", "plugins": [main, *others]}
            world.file.write_text(json.dumps(listed))
            read = config.read(world.file.name, world.file.read_bytes())
            return judge(Facts(CRIO["1.3.0"], [read], world.plugins()), Target("0.4.0"))

        def created_as_crio_does(pod: str) -> bool:
            # Not ADD: it also wants an address, which no pod of a bridge without IPAM has.
            name = world.pod(pod)
            assert world.run("ADD-LO", name) == ""
            return not world.run("STATUS", name)

        said = judged("0.4.0")
        assert created_as_crio_does("asked") is passes
        assert said.baseline.add is passes, said
        assert (said.files[0].to == "0.3.1") is not passes, said
        below = judged("0.3.1")
        assert created_as_crio_does("not-asked") is True
        assert below.baseline.add is True, below
        assert below.files[0].to == ("0.4.0" if passes else "0.3.1"), below
