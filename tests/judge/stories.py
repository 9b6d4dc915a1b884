"""Nodes with a past: what stands there, which pod runs, and what the engine is to make of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cni_upgrade.cni import config, versions
from cni_upgrade.cni.facts import Facts, Sandbox, Target
from cni_upgrade.cni.findings import Code
from cni_upgrade.cni.rewrite import rewrite
from cni_upgrade.cni.verdict import Judgement
from tests.judge.build import RELEASES
from tests.judge.world import NULL, World

NOBODY = "nobody"
"""No pod runs when the operator comes."""


@dataclass(frozen=True)
class Story:
    """A node's past and present, and what the operator is to make of it."""

    title: str
    now: str | None
    added: str | None = NOBODY
    """The version at which the pod that runs was added."""
    plugins: str = "1.9.1"
    mixed: Mapping[str, str] = field(default_factory=dict)
    """Binaries of another release, since the pod was added."""
    chain: tuple[str, ...] = ("portmap",)
    target: Target = field(default_factory=Target)
    to: Mapping[str, str | None] = field(default_factory=dict)
    """The version expected by release of libcni, where the story is about it."""


STORIES = (
    Story("safe at 1.0.0", "1.0.0", "1.0.0"),
    Story("safe at 0.4.0", "0.4.0", "0.4.0"),
    Story("safe at 0.3.1", "0.3.1", "0.3.1"),
    Story("F1 with a pod", None, None, to={"0.8.1": "0.3.1", "1.0.1": "1.0.0", "1.3.0": "1.0.0"}),
    Story("F1 without pods", None, to={"0.8.1": "0.4.0", "1.0.1": "1.0.0"}),
    Story("F2 in the main plugin", "1.0.0", plugins="0.9.1", to=dict.fromkeys(RELEASES, "0.4.0")),
    Story("F2 after plugins were downgraded", "1.0.0", "1.0.0",
          mixed=dict.fromkeys(("bridge", "host-local", "portmap"), "0.9.1")),
    Story("F2 in the IPAM plugin", "1.0.0", mixed={"host-local": "0.9.1"}),
    Story("F2 in the second plugin", "1.0.0", mixed={"portmap": "0.9.1"}),
    Story("the firewall's minimum, version missing", None, chain=("firewall",)),
    Story("the firewall's minimum, 0.3.1", "0.3.1", chain=("firewall",)),
    Story("the bandwidth's minimum, version missing", None, chain=("bandwidth",)),
    Story("1.1.0 under an old runtime", "1.1.0"),
    Story("1.1.0 under an old runtime with a pod of 1.0.0", "1.1.0", "1.0.0"),
    Story("1.1.0 wanted", "1.0.0", "1.0.0", target=Target("1.1.0"),
          to={"1.1.2": "1.0.0", "1.2.3": "1.1.0", "1.3.0": "1.1.0"}),
    Story("up under a pod, 0.3.1", "0.3.1", "0.3.1", to={"0.8.1": "0.4.0", "1.1.2": "1.0.0"}),
    Story("up under a pod, 0.4.0", "0.4.0", "0.4.0"),
    Story("down under a pod, exactly", "1.0.0", "1.0.0", target=Target("0.4.0", "Exact")),
    Story("up under a pod, exactly, where it has to go first", "0.3.1", "0.2.0",
          target=Target("0.4.0", "Exact")),
    Story("a versionless file restored under a pod", None, "1.0.0"),
    Story("raised by hand over a versionless pod", "0.4.0", None, to={"0.8.1": "0.3.1"}),
    Story("raised by hand, only faulty", "0.4.0", None, target=Target(rewrite="OnlyFaulty")),
    Story("a spelling that nothing matches", "1.0"),
    Story("a version that libcni cannot compare", "v1.0.0", "0.4.0"),
    Story("null, where nothing is loaded", NULL, to={"0.8.1": "0.4.0", "1.0.1": "1.0.0"}),
    Story("null under a pod", NULL, "0.3.1", to={"0.8.1": "0.4.0", "1.0.1": "1.0.0"}),
    Story("null over plugins that take none", NULL, plugins="0.9.1", chain=("firewall",)),
)  # fmt: skip


class Node:
    """The start of a story: plugins installed, the pod that was there, the file as it is now."""

    def __init__(self, story: Story, runtime: str, release: str, folder: Path) -> None:
        self.story = story
        self.runtime = runtime
        self.crio = runtime.startswith("cri-o")
        self.world = World(release, folder)
        self.world.install(story.plugins, "bridge", "host-local", "loopback", *story.chain)
        self.old: str | None = None
        self.fresh = ""
        self.checked: dict[str, bool | None] = {}
        """By pod that runs: what CHECK with the file as it is says of it (`World.check`)."""
        self.leaked: dict[str, bool] = {}
        """By pod: whether host-local holds its address once it was to be deleted."""
        if story.added != NOBODY:
            self.old = self.world.pod("old")
            self.world.write(story.added, *story.chain)
            if self.world.run("ADD", self.old):
                self.old = None
        for binary, other in story.mixed.items():
            self.world.install(other, binary)
        self.world.write(story.now, *story.chain)

    def facts(self) -> Facts:
        """What the agent would find."""
        running = [Sandbox("net", self.old, "eth0", self.story.added)] if self.old else []
        read = config.read(self.world.file.name, self.world.file.read_bytes())
        return Facts(self.runtime, [read], self.world.plugins(), running)

    def add(self, pod: str) -> bool:
        """Create a pod as the runtime does; on failure it deletes what it began."""
        worked = not self.world.run("ADD", pod)
        if worked and self.crio:
            worked = not self.world.run("STATUS", pod)
        return worked

    def delete(self, pod: str) -> bool:
        """Delete a pod as the runtime does; what is deleted holds no address any more."""
        worked = not self.world.run("DEL-CACHED" if self.crio else "DEL", pod)
        self.leaked[pod] = bool(self.world.addresses(pod))
        if worked:
            assert not self.leaked[pod]
        return worked


def live(node: Node) -> tuple[bool, bool, bool | None]:
    """A fresh pod comes and goes, then the old one goes: what worked of it. Both are checked."""
    fresh = node.fresh = node.world.pod("fresh")
    added = node.add(fresh)
    for pod in (fresh if added else None, node.old):
        if pod:
            node.checked[pod] = node.world.check(pod)
    deleted = node.delete(fresh)
    return added, deleted, node.delete(node.old) if node.old else None


def with_interfaces(added: str | None) -> bool:
    """Whether the result of an ADD at that version names the interfaces, which CHECK wants."""
    return versions.known(added or "") and versions.order(str(added)) >= versions.order("0.3.0")


def has_check(version: str | None) -> bool:
    """Whether that version of the specification has CHECK."""
    return versions.known(version or "") and versions.order(str(version)) >= versions.order("0.4.0")


def hold_checks(node: Node, now: str | None, old_deleted: bool | None) -> None:
    """CHECK of both pods, with the file at version `now`.

    Where that version has one it works for a pod that was just added, and for one from before if
    the result of its ADD names the interfaces and it can be deleted with the same file; CRI-O's
    DEL, which goes by another, tells nothing of that.
    """
    checks, named = has_check(now), with_interfaces(node.story.added)
    assert bool(node.checked.get(node.fresh)) == (checks and node.fresh in node.checked)
    if node.old and not (node.crio and named and checks):
        assert bool(node.checked[node.old]) == (checks and named and bool(old_deleted))


def rewritten(
    story: Story, said: Judgement, runtime: str, release: str, folder: Path
) -> tuple[bool, bool, bool | None]:
    """Live it once more, with the engine's rewrite before the pods come and go.

    What host-local holds then is held against what was said of it.
    """
    node = Node(story, runtime, release, folder)
    with node.world:
        assert said.files[0].to is not None
        done = rewrite(node.world.file.read_bytes(), "conflist", said.files[0].to)
        node.world.file.write_bytes(done.data)
        outcome = live(node)
        hold_checks(node, said.files[0].to, outcome[2])
        if node.old and has_check(said.files[0].to):
            warned = any(each.code == Code.CHECK_FAILS for each in said.findings)
            assert warned is not with_interfaces(story.added), said
        assert node.leaked[node.fresh] == said.after.leaks, said
        if node.old:
            assert node.leaked[node.old] == said.after.existing_leaks, said
        return outcome
