"""Every class of verdict, run with real plugins and the real libcni: the prediction must hold.

Each story is lived twice from the same start: once as the node is (the baseline), once after the
engine's rewrite. ADD, the status check, CHECK and DEL of a fresh pod and of one that was there
before are each held against what the verdict said, and so are the addresses that are left behind.
"""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from cni_upgrade.agent.discovery import sandboxes
from cni_upgrade.cni import config, runtimes
from cni_upgrade.cni.facts import UNKNOWN, Facts, Target
from cni_upgrade.cni.rewrite import rewrite
from cni_upgrade.cni.verdict import Judgement, judge
from tests.judge.ahead import Ahead, ahead
from tests.judge.build import RELEASES
from tests.judge.carriers import CONTAINERD, CRIO
from tests.judge.stories import STORIES, Node, Story, hold_checks, live, rewritten
from tests.judge.weave import lay_weave
from tests.judge.world import World, can_run

pytestmark = pytest.mark.skipif(not can_run(), reason="needs root, for network namespaces")


CASES = [
    pytest.param(story, release, runtime, id=f"{story.title}-{runtime}")
    for story in STORIES
    for release in RELEASES
    for runtime in (CONTAINERD[release], CRIO[release])
]


@pytest.fixture(scope="module")
def stories(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ahead]:
    with ahead(request, tmp_path_factory, "test_the_prediction_holds", told) as running:
        yield running


@pytest.mark.parametrize(("story", "release", "runtime"), CASES)
def test_the_prediction_holds(
    story: Story, release: str, runtime: str, stories: Ahead, request: pytest.FixtureRequest
) -> None:
    """`told` has done it by now, or is about to."""
    stories.end(request)


def told(story: Story, release: str, runtime: str, folder: Path) -> None:
    """Live one story, without and with the rewrite, and hold it against what was said."""
    assert runtimes.lookup(runtime).libcni == release
    today = Node(story, runtime, release, folder / "today")
    with today.world:
        said = judge(today.facts(), story.target)
        added, deleted, old_deleted = live(today)
    hold_checks(today, story.now, old_deleted)
    outcome = (added, deleted and old_deleted is not False)
    assert outcome == (said.baseline.add, said.baseline.del_), said
    assert any(today.leaked.values()) == said.baseline.leaks, (today.leaked, said)
    shutil.rmtree(folder / "today")
    if release in story.to and runtime.startswith("containerd"):
        assert said.files[0].to == story.to[release]
    if said.files[0].action == "Rewrite":
        after_the_rewrite(story, said, runtime, release, folder / "after")


def after_the_rewrite(
    story: Story, said: Judgement, runtime: str, release: str, folder: Path
) -> None:
    added, deleted, old_deleted = rewritten(story, said, runtime, release, folder)
    assert (added, deleted) == (said.after.add, said.after.del_), said
    if old_deleted is not None:
        assert old_deleted == said.after.existing_del, said


@pytest.mark.parametrize("version", [None, "0.3.1", "0.4.0"])
@pytest.mark.parametrize("release", RELEASES)
def test_a_result_without_version(release: str, version: str | None, tmp_path: Path) -> None:
    with World(release, tmp_path / "node") as world:
        read = lay_weave(world, version)
        said = judge(Facts(CONTAINERD[release], [read], world.plugins()), Target())
        assert world.comes_and_goes() == (said.baseline.add, said.baseline.del_), said


@pytest.mark.parametrize("plugins", ["0.9.1", "1.9.1"])
@pytest.mark.parametrize("runtime", ["containerd://1.6.2", "containerd://1.6.3"])
def test_the_loopback_that_containerd_runs(runtime: str, plugins: str, tmp_path: Path) -> None:
    known = runtimes.lookup(runtime)
    with World("1.0.1", tmp_path / "node") as world:
        world.install("1.9.1", "bridge", "host-local", "portmap")
        world.install(plugins, "loopback")
        world.write("1.0.0", "portmap")
        read = config.read(world.file.name, world.file.read_bytes())
        said = judge(Facts(runtime, [read], world.plugins()), Target())
        outcome = world.loopback_comes_and_goes(known.loopback_at)
        assert outcome == (said.baseline.add, said.baseline.del_), said


@pytest.mark.parametrize("form", ["list", "conf", "folder"])
@pytest.mark.parametrize("release", RELEASES)
def test_a_key_of_a_plugins_own_tells_it_another_version(
    release: str, form: str, tmp_path: Path
) -> None:
    """Plugins that take up to 0.4.0, a config at that, and a key that tells one of them 1.0.0.

    A rewrite removes the key, but not from a file of the folder that libcni 1.3 adds to a list.
    """
    with World(release, tmp_path / "node") as world:
        world.install("0.9.1", "bridge", "host-local", "loopback", "portmap")
        whole = json.loads(world.write("0.4.0"))
        [bridge] = whole["plugins"]
        inline = {}
        if form == "conf":
            world.file = world.file.with_suffix(".conf")
            whole = {"cniversion": "1.0.0", "name": "net", "cniVersion": "0.4.0", **bridge}
        elif form == "list":
            bridge["cniversion"] = "1.0.0"
        else:
            inline = {"x.conf": b'{"type": "portmap", "cniversion": "1.0.0"}'}
            (world.folder / "net").mkdir()
            (world.folder / "net/x.conf").write_bytes(inline["x.conf"])
        world.file.write_text(json.dumps(whole))

        def judged() -> Judgement:
            read = config.read(world.file.name, world.file.read_bytes(), inline=inline)
            return judge(Facts(CONTAINERD[release], [read], world.plugins()), Target("0.4.0"))

        said = judged()
        works = form == "folder" and release != "1.3.0"
        assert (said.baseline.add, said.baseline.del_) == (works, works), said
        assert world.comes_and_goes() == (works, works)
        assert said.files[0].action == ("None" if form == "folder" else "Rewrite"), said
        if form == "folder":
            return
        assert said.files[0].to == "0.4.0"
        done = rewrite(world.file.read_bytes(), said.files[0].kind, "0.4.0")
        world.file.write_bytes(done.data)
        assert world.comes_and_goes("after") == (said.after.add, said.after.del_) == (True, True)
        assert judged().verdict == "Compatible"


@pytest.mark.parametrize("plugins", ["0.9.1", "1.9.1"])
@pytest.mark.parametrize("release", RELEASES)
def test_the_cached_result_tells_at_which_version_a_pod_was_added(
    release: str, plugins: str, tmp_path: Path
) -> None:
    """Where the config of the ADD tells several, and nobody says which libcni read it then."""
    with World(release, tmp_path / "node") as world:
        world.install(plugins, "bridge", "host-local", "loopback", "portmap")
        cache = str(world.folder / "cache")

        def added(pod: str, config: object) -> str | None:
            world.file.write_text(json.dumps(config))
            name = world.pod(pod)
            assert world.run("ADD", name) == ""
            found, _ = sandboxes.read("", cache)
            return next(each.version for each in found if each.container_id == name)

        listed = {"cniVersions": ["0.3.1", "0.4.0"], **json.loads(world.write(None, "portmap"))}
        if release in ("1.2.3", "1.3.0"):
            assert added("listed", listed) == "0.4.0"
        else:
            silent = (release, plugins) == ("0.8.1", "0.9.1")
            assert added("listed", listed) == (UNKNOWN if silent else None)
        hidden = json.loads(world.write("0.4.0", "portmap"))
        hidden["plugins"][-1]["cniversion"] = "0.3.1"
        assert added("hidden", hidden) == "0.3.1"
