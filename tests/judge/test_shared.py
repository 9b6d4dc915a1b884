"""podman's network, which CRI-O took as its own: podman goes on with what the engine leaves there.

podman 3 carries libcni 0.8.1. Its containers are added and deleted by that here, with the file
before and after the plan that is made for CRI-O.
"""

import json
from pathlib import Path

import pytest

from cni_upgrade.cni import config
from cni_upgrade.cni.facts import Facts, Target
from cni_upgrade.cni.rewrite import rewrite
from cni_upgrade.cni.verdict import judge
from tests.judge.world import World, can_run

pytestmark = pytest.mark.skipif(not can_run(), reason="needs root, for network namespaces")


@pytest.mark.parametrize("now", [None, "0.3.1", "0.4.0"])
@pytest.mark.parametrize("target", [Target(), Target("1.0.0", "Exact")], ids=lambda t: t.selection)
def test_podman_after_the_plan(target: Target, now: str | None, tmp_path: Path) -> None:
    with World("0.8.1", tmp_path / "node") as world:
        world.install("1.9.1", "bridge", "host-local", "loopback", "portmap")
        world.file = world.folder / "87-podman-bridge.conflist"
        stands = json.loads(world.write(now, "portmap"))
        world.file.write_text(json.dumps({**stands, "name": "podman"}))
        old = world.pod("old")
        assert world.run("ADD", old) == ""
        read = config.read(world.file.name, world.file.read_bytes())
        said = judge(Facts("cri-o://1.34.0", [read], world.plugins()), target)
        if said.files[0].action == "Rewrite":
            done = rewrite(read.data, "conflist", str(said.files[0].to))
            world.file.write_bytes(done.data)
        [told] = [each for each in said.findings if each.code == "Shared"]
        insists = target.selection == "Exact"
        assert said.files[0].to == ("1.0.0" if insists else "0.4.0")
        assert ("it can neither start containers" in told.message) is insists
        assert world.comes_and_goes()[0] is not insists
        if now == "0.4.0":
            assert (world.run("DEL", old) == "") is not insists
