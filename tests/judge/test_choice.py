"""ocicni is the judge of CRI-O's choice: the file that it takes is the one that we name.

containerd's choice is held against go-cni, with each number of configs, in test_reading.py.
"""

import os
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, seed
from hypothesis.strategies import binary, sampled_from

from cni_upgrade.agent.plugins import probe
from cni_upgrade.cni import config, folder, runtimes
from cni_upgrade.cni.config import Config
from cni_upgrade.cni.facts import Support
from tests.judge import build
from tests.judge.build import OCICNI
from tests.judge.drawing import draws
from tests.judge.folders import BYTES, Folder
from tests.judge.folders import folder as generated
from tests.judge.laid import inline, lay, network_of
from tests.judge.process import Judge, running
from tests.unit.agent.host import Host

FOLDERS = int(os.environ.get("JUDGE_CHOICES", "600"))
PLUGINS = {"bridge": "1.1.0", "ptp": "0.4.0", "portmap": "1.1.0", "firewall": "1.0.0"}
"""What each supports; host-local and the others that folders name are not there."""
FLOOR = 0.1
"""Of the folders of which CRI-O must take a file; 14 % were seen."""


@pytest.fixture(scope="module")
def judges() -> Iterator[list[Judge]]:
    with running(OCICNI, "crio") as asked:
        yield asked


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("choice")


@pytest.fixture(scope="module")
def bins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    host = Host(tmp_path_factory.mktemp("plugins"))
    for name, highest in PLUGINS.items():
        host.plugin(name, highest)
    return host.bin


@pytest.fixture(scope="module")
def taken() -> Iterator[Counter[str]]:
    counts: Counter[str] = Counter()
    yield counts
    for release in OCICNI if counts["folders"] else ():
        assert counts[release] / counts["folders"] >= FLOOR, counts


def ours(
    configs: list[Config], release: str, default: str, supports: dict[str, Support]
) -> str | None:
    """The file that we say CRI-O takes; "" for none, None where its process would end."""
    loaded = folder.active(configs, runtimes.lookup(OCICNI[release]), 1, default or None, supports)
    if loaded.failed is not None:
        return None
    # One that every plugin would have to be mended for counts as in use, and is not loaded.
    return next(
        (
            each.name
            for each in loaded.files
            if not any(supports[main].takes(each.version) is False for main in each.mains)
        ),
        "",
    )


def agree(
    judges: list[Judge], made: Folder, place: Path, bins: Path, default: str
) -> dict[str, str]:
    path = lay(place, made)
    inlines = {name: inline(made, network_of(made, name)) for name in folder.loadable(made.files)}
    found = {}
    for judge in judges:
        configs = [
            config.read(name, made.files[name], judge.release, given_inline)
            for name, given_inline in inlines.items()
        ]
        types = dict.fromkeys(binary for each in configs for binary in each.plugins)
        supports = probe.probe("", [(str(bins), str(bins))], types, "1.0.0")
        answer = judge.choice(
            folder=str(path), binDir=str(bins), cache=str(place / "cache"), default=default
        )
        said = None if answer["error"].startswith("panic") else answer["file"]
        mine = ours(configs, judge.release, default, supports)
        assert mine == said, (judge.release, default, answer, made)
        found[judge.release] = said or ""
    return found


@seed(20262)
@draws(FOLDERS)
@given(data=binary(min_size=BYTES, max_size=BYTES), default=sampled_from(("", "", "net", "cbr0")))
def test_the_file_that_crio_takes_of_generated_folders(
    data: bytes,
    default: str,
    judges: list[Judge],
    place: Path,
    bins: Path,
    taken: Counter[str],
) -> None:
    answers = agree(judges, generated(data), place, bins, default)
    taken["folders"] += 1
    taken.update(release for release, file in answers.items() if file)


def listed(network: str, version: str, *types: str) -> bytes:
    plugins = ", ".join(f'{{"type": "{each}"}}' for each in types)
    return (f'{{"cniVersion": "{version}", "name": "{network}", "plugins": [{plugins}]}}').encode()


A, B = "10-a.conflist", "20-b.conflist"
ROWS: dict[str, tuple[dict[str, bytes], str, str]] = {
    "the first": ({A: listed("a", "0.3.1", "bridge"), B: listed("b", "0.3.1", "bridge")}, "", A),
    "the one that is named": (
        {A: listed("a", "0.3.1", "bridge"), B: listed("b", "0.3.1", "bridge")}, "b", B,
    ),
    "one that is named and not there": ({A: listed("a", "0.3.1", "bridge")}, "b", ""),
    "a bad file before it": ({A: b"{", B: listed("b", "0.3.1", "bridge")}, "", B),
    "a version that a plugin refuses": (
        {A: listed("a", "1.0.0", "bridge", "ptp"), B: listed("b", "0.3.1", "bridge")}, "", B,
    ),
    "a plugin that is not there": (
        {A: listed("a", "0.3.1", "host-local"), B: listed("b", "0.3.1", "bridge")}, "", B,
    ),
    "the named one is refused": (
        {A: listed("a", "0.3.1", "bridge"), B: listed("b", "1.0.0", "ptp")}, "b", "",
    ),
    "two of one name": (
        {A: listed("n", "0.3.1", "bridge"), B: listed("n", "0.4.0", "bridge")}, "n", A,
    ),
    "two of one name, the first refused": (
        {A: listed("n", "1.0.0", "ptp"), B: listed("n", "0.3.1", "bridge")}, "n", B,
    ),
    "no name": ({"10-a.conf": b'{"cniVersion": "0.3.1", "type": "bridge"}'}, "", "10-a.conf"),
    "no name, and its file is named": (
        {"10-a.conf": b'{"cniVersion": "0.3.1", "type": "bridge"}'}, "10-a.conf", "10-a.conf",
    ),
    "no version": ({A: b'{"name": "a", "plugins": [{"type": "bridge"}]}'}, "", A),
    "an IPAM that is not there": (
        {A: b'{"name": "a", "plugins": [{"type": "bridge", "ipam": {"type": "none"}}]}'}, "", A,
    ),
    "a list without plugins": ({A: b'{"name": "a", "plugins": []}'}, "", ""),
}  # fmt: skip


@pytest.mark.parametrize("title", ROWS)
def test_the_file_that_crio_takes(title: str, judges: list[Judge], place: Path, bins: Path) -> None:
    files, default, file = ROWS[title]
    found = agree(judges, Folder(files, {}), place, bins, default)
    assert set(found.values()) == {file}


def test_a_null_in_place_of_a_plugin_ends_the_process(
    judges: list[Judge], place: Path, bins: Path
) -> None:
    """Up to libcni 1.0.1; whatever other file there is. Later ones skip the file."""
    files = {A: b'{"name": "a", "plugins": [null]}', B: listed("b", "0.3.1", "bridge")}
    found = agree(judges, Folder(files, {}), place, bins, "")
    assert found == {"1.0.1": "", "1.3.0": B}


MANY = {"bridge": "1.1.0", "ptp": "0.4.0", "loopback": "1.0.0"}
"""The plugins of `multicall.go`, and the highest version of each."""


@pytest.fixture(scope="module")
def links(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plugin folder as k3s lays it: links to one binary that is each of the plugins."""
    folder = tmp_path_factory.mktemp("links")
    for name in ("cni", *MANY):
        (folder / name).symlink_to(build.multicall())
    return folder


@pytest.mark.parametrize("title", ["the first", "a version that a plugin refuses"])
def test_plugins_that_are_one_binary_are_told_apart_as_crio_does(
    title: str, judges: list[Judge], place: Path, links: Path
) -> None:
    files, default, file = ROWS[title]
    found = agree(judges, Folder(files, {}), place, links, default)
    assert set(found.values()) == {file}


def test_what_plugins_that_are_one_binary_support(links: Path) -> None:
    found = probe.probe("", [(str(links), str(links))], ["cni", *MANY], "1.0.0")
    assert {name: found[name].max for name in MANY} == MANY
    assert "exit code 0 and printed ''" in str(found["cni"].finding), "it is no plugin itself"


def test_they_are_called_by_name_in_an_image_too(tmp_path: Path) -> None:
    """Where the links name the machine's own paths, and what is run stays in the image."""
    host = Host(tmp_path / "host")
    data = host.root / "var/lib/rancher/k3s/data/12ab/bin"
    data.mkdir(parents=True)
    shutil.copy(build.multicall(), data / "cni")
    for name in MANY:
        (host.bin / name).symlink_to("/var/lib/rancher/k3s/data/12ab/bin/cni")
    found = probe.probe(str(host.root), [("/opt/cni/bin", str(host.bin))], MANY, "1.0.0")
    assert {name: found[name].max for name in MANY} == MANY
