"""What a plugin keeps of an ADD, and deletes with: flannel, whose bridge was replaced since.

The file may say another version by then, and be right for the pods to come: the one from before
is deleted at the version that flannel wrote down. Each story is lived as it is, and once more after
the engine's rewrite, as containerd and as CRI-O delete. The pod is read from the real results
cache.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cni_upgrade.agent.discovery import sandboxes
from cni_upgrade.cni import config, runtimes
from cni_upgrade.cni.facts import Facts, Support, Target
from cni_upgrade.cni.rewrite import rewrite
from cni_upgrade.cni.verdict import Judgement, judge
from tests.judge import build
from tests.judge.carriers import CONTAINERD, CRIO
from tests.judge.world import World, can_run

pytestmark = pytest.mark.skipif(not can_run(), reason="needs root, for network namespaces")

OLD = {"bridge": "0.9.1", "host-local": "0.9.1"}
"""They take up to 0.4.0."""

NEW = dict.fromkeys(OLD, "1.9.1")


@dataclass(frozen=True)
class Story:
    """A node of flannel's: at which version the pod was added, and what has changed since."""

    title: str
    added: str | None
    now: str | None
    before: Mapping[str, str] = field(default_factory=dict)
    since: Mapping[str, str | None] = field(default_factory=dict)
    """The release of a binary below flannel, 1.9.1 unless said otherwise; None: not there."""
    own: tuple[str, str] | None = None
    """The delegate's own version, then and now."""
    old_goes: tuple[bool, bool | None] = (True, True)
    """Whether the pod can be deleted, today and after a rewrite; None: there is none."""


STORIES = (
    Story("downgraded below a pod", "1.0.0", "1.0.0", since=OLD, old_goes=(False, False)),
    Story("lowered by hand since", "1.0.0", "0.4.0", since=OLD, old_goes=(False, None)),
    Story("host-local alone", "1.0.0", "1.0.0", since={"host-local": "0.9.1"},
          old_goes=(False, False)),
    Story("raised by hand over old plugins", "0.4.0", "1.0.0", before=OLD, since=OLD),
    Story("bridge gone", "0.4.0", "1.0.0", since={"bridge": None}, old_goes=(False, None)),
    Story("the delegate's own version lowered", None, None, since=OLD, own=("1.0.0", "0.4.0"),
          old_goes=(False, False)),
    Story("raised with all of them", "0.4.0", "1.0.0", before=OLD, since=NEW,
          old_goes=(True, None)),
)  # fmt: skip


class Node:
    """The start of a story, under one release of libcni."""

    def __init__(self, story: Story, runtime: str, release: str, folder: Path) -> None:
        self.story, self.runtime = story, runtime
        self.delete = "DEL-CACHED" if runtime.startswith("cri-o") else "DEL"
        self.world = World(release, folder)
        self.world.install("1.9.1", "bridge", "host-local", "loopback")
        (self.world.bin / "flannel").symlink_to(build.flannel(newer=True))
        (folder / "subnet.env").write_text(
            "FLANNEL_NETWORK=10.99.0.0/16\nFLANNEL_SUBNET=10.99.1.1/24\n"
            "FLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n"
        )
        self.install(story.before)
        self.write(story.added, story.own and story.own[0])
        self.old = self.world.pod("old")
        assert self.world.run("ADD", self.old) == ""
        self.install(story.since)
        self.write(story.now, story.own and story.own[1])

    def install(self, releases: Mapping[str, str | None]) -> None:
        for binary, release in releases.items():
            (self.world.bin / binary).unlink()
            if release is not None:
                self.world.install(release, binary)

    def write(self, version: str | None, own: str | None) -> None:
        plugin = {
            "type": "flannel",
            "subnetFile": str(self.world.folder / "subnet.env"),
            "dataDir": str(self.world.folder / "flannel"),
            "ipam": {"dataDir": str(self.world.folder / "ipam")},
            "delegate": {"bridge": "cni0"} | ({"cniVersion": own} if own else {}),
        }
        stated = {} if version is None else {"cniVersion": version}
        self.world.file.write_text(json.dumps({**stated, "name": "net", "plugins": [plugin]}))

    def judged(self) -> Judgement:
        read = config.read(self.world.file.name, self.world.file.read_bytes())
        runtime = runtimes.lookup(self.runtime)
        again = runtime.libcni if runtime.deletes_with == "cached" else None
        running, _ = sandboxes.read("", str(self.world.folder / "cache"), again)
        assert len(running) == 1
        plugins = self.world.plugins()
        for binary, release in self.story.since.items():
            if release is None:
                plugins[binary] = Support(binary, source="missing")
        return judge(Facts(self.runtime, [read], plugins, running, "Override"), Target())

    def live(self) -> tuple[bool, bool, bool]:
        """A fresh pod comes and goes, then the old one goes; whether that leaves its address."""
        fresh = self.world.pod("fresh")
        added, deleted = not self.world.run("ADD", fresh), not self.world.run(self.delete, fresh)
        gone = not self.world.run(self.delete, self.old)
        assert gone is not bool(self.world.addresses(self.old)), "flannel keeps it until it is gone"
        return added, deleted, gone


CASES = [
    pytest.param(story, release, runtime, id=f"{story.title}-{runtime}")
    for story in STORIES
    for release in ("1.1.2", "1.3.0")
    for runtime in (CONTAINERD[release], CRIO[release])
]


@pytest.mark.parametrize(("story", "release", "runtime"), CASES)
def test_the_prediction_holds(story: Story, release: str, runtime: str, tmp_path: Path) -> None:
    today = Node(story, runtime, release, tmp_path / "today")
    goes_today, goes_then = story.old_goes
    with today.world:
        said = today.judged()
        added, deleted, old = today.live()
    assert (said.baseline.add, said.baseline.del_) == (added, deleted and old), said
    assert old is goes_today
    if said.files[0].action != "Rewrite":
        assert (goes_then, said.after.existing_del) == (None, old), said
        assert said.after.existing_leaks is not old
        return
    assert said.files[0].to is not None
    then = Node(story, runtime, release, tmp_path / "after")
    with then.world:
        done = rewrite(then.world.file.read_bytes(), "conflist", said.files[0].to)
        then.world.file.write_bytes(done.data)
        assert then.live() == (said.after.add, said.after.del_, said.after.existing_del), said
    assert said.after.existing_del is goes_then
    assert said.after.existing_leaks is not goes_then
    assert ("KeptDel" in {each.code for each in said.findings}) is (
        not goes_then and not runtime.startswith("cri-o")
    )
