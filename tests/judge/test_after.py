"""What follows a rewrite, lived through: the way back by the agent's own restore, and what weave
and the loopback of containerd do once the file is another."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from cni_upgrade.agent.agent import run
from cni_upgrade.agent.protocol.operation import FileOrder, Kind, Operation, Outcome, Paths, Result
from cni_upgrade.agent.protocol.operation import Target as Wanted
from cni_upgrade.agent.protocol.paths import Known
from cni_upgrade.cni import config, runtimes
from cni_upgrade.cni.facts import Facts, Target
from cni_upgrade.cni.rewrite import rewrite
from cni_upgrade.cni.verdict import judge
from tests.judge.build import RELEASES
from tests.judge.carriers import CONTAINERD
from tests.judge.weave import lay_weave
from tests.judge.world import World, can_run

pytestmark = pytest.mark.skipif(not can_run(), reason="needs root, for network namespaces")


class Agent:
    """The agent's operations on the folders of a world, as its Job carries them out."""

    def __init__(self, world: World, runtime: str, state: Path) -> None:
        self._file = world.file
        self._count = 0
        self._asked = Operation(
            id="",
            kind=Kind.AUDIT,
            node="node-a",
            runtime=runtime,
            target=Wanted(),
            root="",
            paths=Paths(
                (str(world.file.parent),),
                (str(world.bin),),
                str(world.folder / "cache"),
                str(state),
                Known("the test"),
            ),
        )

    def apply(self, to: str) -> Result:
        digest = hashlib.sha256(self._file.read_bytes()).hexdigest()
        return self._run(Kind.APPLY, files=(FileOrder(self._file.name, digest, to),))

    def audit(self) -> Result:
        return self._run(Kind.AUDIT)

    def restore(self, backup: str | None) -> Result:
        return self._run(Kind.RESTORE, backup=backup)

    def _run(self, kind: Kind, **members: object) -> Result:
        self._count += 1
        named = replace(self._asked, id=f"{kind}-{self._count:020x}", kind=kind)
        return run(replace(named, **members))  # type: ignore[arg-type]


@pytest.mark.parametrize("release", RELEASES)
def test_the_way_back_to_a_file_without_a_version(release: str, tmp_path: Path) -> None:
    """Refused exactly where the pods of since could not be deleted with what comes back."""
    with World(release, tmp_path / "node") as world:
        world.install("1.9.1", "bridge", "host-local", "portmap", "loopback")
        original = world.write(None, "portmap")
        old, fresh = world.pod("old"), world.pod("fresh")
        assert world.run("ADD", old) == ""
        agent = Agent(world, CONTAINERD[release], tmp_path / "state")
        report = agent.audit().report
        assert report is not None
        assert report.files[0].to is not None
        applied = agent.apply(report.files[0].to)
        assert applied.outcome is Outcome.DONE, applied.error
        rewritten = world.file.read_bytes()
        assert world.run("ADD", fresh) == ""

        first = agent.restore(applied.backup)
        refused = first.outcome is Outcome.REFUSED
        if refused:
            assert first.error is not None
            assert first.error.code == "Unsafe"
            assert world.file.read_bytes() == rewritten
            world.file.write_bytes(original)  # by hand, against the advice
        assert world.file.read_bytes() == original
        assert bool(world.run("DEL", fresh)) == refused
        assert bool(world.run("DEL", old)) == refused
        if not refused:
            return
        world.file.write_bytes(rewritten)
        assert (world.run("DEL", fresh), world.run("DEL", old)) == ("", "")
        again = agent.restore(applied.backup)
        assert again.outcome is Outcome.DONE, again.error
        assert world.file.read_bytes() == original


@pytest.mark.parametrize("version", [None, "0.3.1", "0.4.0"])
@pytest.mark.parametrize("release", RELEASES)
def test_weave_after_the_rewrite(release: str, version: str | None, tmp_path: Path) -> None:
    with World(release, tmp_path / "node") as world:
        read = lay_weave(world, version)
        said = judge(Facts(CONTAINERD[release], [read], world.plugins()), Target())
        if said.files[0].action == "Rewrite":
            assert said.files[0].to is not None
            world.file.write_bytes(rewrite(read.data, "conflist", said.files[0].to).data)
        assert world.comes_and_goes() == (said.after.add, said.after.del_), said


@pytest.mark.parametrize("plugins", ["0.9.1", "1.9.1"])
@pytest.mark.parametrize("runtime", ["containerd://1.6.2", "containerd://1.6.3"])
def test_the_loopback_after_the_rewrite(runtime: str, plugins: str, tmp_path: Path) -> None:
    """No rewrite of a file reaches it; the network of the pods is rewritten beside it."""
    known = runtimes.lookup(runtime)
    with World("1.0.1", tmp_path / "node") as world:
        world.install("1.9.1", "bridge", "host-local", "portmap")
        world.install(plugins, "loopback")
        world.write(None, "portmap")
        read = config.read(world.file.name, world.file.read_bytes())
        said = judge(Facts(runtime, [read], world.plugins()), Target())
        to = said.files[0].to or read.version
        if said.files[0].action == "Rewrite":
            world.file.write_bytes(rewrite(read.data, "conflist", str(to)).data)
        own = world.comes_and_goes()
        loopback = world.loopback_comes_and_goes(known.loopback_at)
        both = tuple(one and other for one, other in zip(own, loopback, strict=True))
        assert both == (said.after.add, said.after.del_), said
