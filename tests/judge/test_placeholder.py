"""A value that was never rendered: what a plugin makes of it hangs on the value, so neither answer
may be promised. Here are one of each."""

from pathlib import Path

import pytest

from cni_upgrade.cni import config
from cni_upgrade.cni.facts import Facts, Target
from cni_upgrade.cni.verdict import judge
from tests.judge.world import World, can_run

pytestmark = pytest.mark.skipif(not can_run(), reason="needs root, for network namespaces")


@pytest.mark.parametrize(
    ("value", "mark", "works"),
    [(b"10.99.0.0/24", b"{{.PodCIDR}}", False), (b"cni0", b"__BRIDGE__", True)],
)
def test_what_a_placeholder_in_a_value_does(
    value: bytes, mark: bytes, works: bool, tmp_path: Path
) -> None:
    with World("1.1.2", tmp_path / "node") as world:
        world.install("1.9.1", "bridge", "host-local", "loopback")
        rendered = world.write("1.0.0")
        facts = Facts("containerd://1.7.29", [], world.plugins())
        for data in (rendered, rendered.replace(value, mark)):
            world.file.write_bytes(data)
            read = config.read(world.file.name, data)
            said = judge(Facts(facts.runtime, [read], facts.plugins), Target()).baseline
            known = data == rendered
            assert (said.add, said.del_) == ((True, True) if known else (None, None))
            came_and_went = world.comes_and_goes("rendered" if known else "marked")
            assert came_and_went == ((True, True) if known or works else (False, False))
