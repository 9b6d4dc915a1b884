"""CHECK of a pod that was there before the rewrite, by real plugins: as the finding says.

No runtime here asks for CHECK of a pod with the file as it is now (CRI-O asks with the one cached
at ADD, which test_running.py lives through); what people run of their own may.
"""

from pathlib import Path

import pytest

from cni_upgrade.cni import config, versions
from cni_upgrade.cni.facts import Facts, Sandbox, Target
from cni_upgrade.cni.findings import Code
from cni_upgrade.cni.rewrite import rewrite
from cni_upgrade.cni.verdict import judge
from tests.judge.build import RELEASES
from tests.judge.carriers import CONTAINERD
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
