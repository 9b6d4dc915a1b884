"""A plugin that runs another one: flannel of plugins 0.9.1, which hands the pod on to bridge.

What the other one supports decides as much as what flannel does, and neither libcni nor the config
names it: flannel's delegate is bridge with host-local unless it says otherwise.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cni_upgrade.cni import config
from cni_upgrade.cni.facts import Facts, Sandbox, Support, Target
from cni_upgrade.cni.rewrite import rewrite
from cni_upgrade.cni.verdict import Judgement, judge
from tests.judge import build
from tests.judge.build import RELEASES
from tests.judge.carriers import CONTAINERD
from tests.judge.world import World, can_run

pytestmark = pytest.mark.skipif(not can_run(), reason="needs root, for network namespaces")


@dataclass(frozen=True)
class Story:
    """A node of flannel's: the version of its config, and the plugins that it is handed on to."""

    title: str
    version: str | None
    pod: bool = False
    """Whether a pod runs, added with that config."""
    plugins: Mapping[str, str | None] = field(default_factory=dict)
    """The release of bridge and of host-local, 1.9.1 unless said otherwise; None: not there."""
    delegate: Mapping[str, object] = field(default_factory=dict)


STORIES = (
    Story("safe at 0.3.1", "0.3.1", pod=True),
    Story("safe at 0.4.0", "0.4.0", pod=True),
    Story("F1", None),
    Story("F1 with a pod", None, pod=True),
    Story("F2 in flannel", "1.0.0"),
    Story("old plugins below it", "0.4.0", plugins={"bridge": "0.9.1", "host-local": "0.9.1"}),
    Story("no bridge below it", "0.4.0", plugins={"bridge": None}),
    Story("no host-local below it", "0.4.0", plugins={"host-local": None}),
    Story("a delegate with a version of its own", "0.3.1", delegate={"cniVersion": "1.0.0"}),
    Story("a delegate with one, and the list without", None, delegate={"cniVersion": "0.4.0"}),
)


class Node:
    """The start of a story, under one release of libcni."""

    def __init__(self, story: Story, release: str, folder: Path) -> None:
        self.story = story
        self.runtime = CONTAINERD[release]
        self.world = World(release, folder)
        self.world.install("1.9.1", "bridge", "host-local", "loopback")
        (self.world.bin / "flannel").symlink_to(build.flannel())
        environment = folder / "subnet.env"
        environment.write_text(
            "FLANNEL_NETWORK=10.99.0.0/16\nFLANNEL_SUBNET=10.99.1.1/24\n"
            "FLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n"
        )
        plugin = {
            "type": "flannel",
            "subnetFile": str(environment),
            "dataDir": str(folder / "flannel"),
            "ipam": {"dataDir": str(folder / "ipam")},
            "delegate": {"bridge": "cni0", **story.delegate},
        }
        stated = {} if story.version is None else {"cniVersion": story.version}
        self.world.file.write_text(json.dumps({**stated, "name": "net", "plugins": [plugin]}))
        self.old: str | None = None
        if story.pod:
            self.old = self.world.pod("old")
            assert self.world.run("ADD", self.old) == ""
        for binary, other in story.plugins.items():
            (self.world.bin / binary).unlink()
            if other is not None:
                self.world.install(other, binary)

    def judged(self) -> Judgement:
        read = config.read(self.world.file.name, self.world.file.read_bytes())
        running = [Sandbox("net", self.old, "eth0", self.story.version)] if self.old else []
        plugins = self.world.plugins()
        for binary, other in self.story.plugins.items():
            if other is None:
                plugins[binary] = Support(binary, source="missing")
        return judge(Facts(self.runtime, [read], plugins, running, "Override"), Target())

    def live(self) -> tuple[bool, bool, bool | None]:
        """A fresh pod comes and goes, then the old one goes."""
        added, deleted = self.world.comes_and_goes()
        return added, deleted, not self.world.run("DEL", self.old) if self.old else None


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.title)
@pytest.mark.parametrize("release", RELEASES)
def test_the_prediction_holds(release: str, story: Story, tmp_path: Path) -> None:
    today = Node(story, release, tmp_path / "today")
    with today.world:
        said = today.judged()
        assert {"flannel", "bridge", "host-local"} <= set(said.files[0].plugins)
        added, deleted, old = today.live()
    foretold, lived = (said.baseline.add, said.baseline.del_), (added, deleted and old is not False)
    assert foretold == lived, said
    if said.files[0].action != "Rewrite":
        return
    assert said.files[0].to is not None
    then = Node(story, release, tmp_path / "after")
    with then.world:
        done = rewrite(then.world.file.read_bytes(), "conflist", said.files[0].to)
        then.world.file.write_bytes(done.data)
        added, deleted, old = then.live()
    assert (added, deleted) == (said.after.add, said.after.del_), said
    if old is not None:
        assert old == said.after.existing_del, said
