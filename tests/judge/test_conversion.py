"""A single-plugin config becomes a list: at every moment libcni loads the same network, once.

What the agent does is looked at by each release of libcni before every step of it, and what a
plugin is handed afterwards is held against what it was handed before.
"""

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, seed
from hypothesis.strategies import binary

from cni_upgrade.agent.agent import run
from cni_upgrade.agent.files import transaction
from cni_upgrade.agent.protocol.operation import FileOrder, Form, Kind, Outcome, Target
from cni_upgrade.cni import config, golang, versions
from cni_upgrade.cni.conversion import convert
from cni_upgrade.cni.facts import Facts, Support
from cni_upgrade.cni.facts import Target as EngineTarget
from cni_upgrade.cni.folder import loadable
from cni_upgrade.cni.succession import list_name
from cni_upgrade.cni.verdict import judge
from tests.judge.build import RELEASES
from tests.judge.carriers import CONTAINERD
from tests.judge.drawing import draws
from tests.judge.folders import BYTES, Choices, Folder, content
from tests.judge.laid import lay
from tests.judge.process import Judge
from tests.judge.world import World, can_run
from tests.unit.agent.host import Host

FOLDERS = int(os.environ.get("JUDGE_CONVERSIONS", "400"))
ASKED = EngineTarget(form="List")
FLOOR = 0.2
"""The files that become a list, for each generated folder; 0.27 were seen."""


@dataclass(frozen=True)
class Row:
    """A folder whose file `name` becomes a list."""

    title: str
    name: str
    text: str
    others: Mapping[str, str] = field(default_factory=dict)


CONF = """{
  "cniVersion": "0.3.1",
  "name": "net",
  "type": "bridge",
  "capabilities": {"portMappings": true, "bandwidth": false},
  "args": {"cni": {"labels": [{"key": "a", "value": 1.50E3}]}},
  "dns": {"nameservers": ["10.0.0.10"], "search": []},
  "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.1.0.0/16"}]]}
}
"""
OTHER = CONF.replace('"net"', '"other"')
ROWS = (
    Row("a plain one", "10-a.conf", CONF),
    Row("in .json, which sorts after the list", "10-a.json", CONF),
    Row("a hidden one", ".10-a.conf", CONF),
    Row("nothing but the extension", ".conf", CONF),
    Row("no version", "10-a.conf", CONF.replace('  "cniVersion": "0.3.1",\n', "")),
    Row("null for a version", "10-a.conf", CONF.replace('"0.3.1"', "null")),
    Row("a number for a version", "10-a.conf", CONF.replace('"0.3.1"', "0.3")),
    Row("other spellings of both", "10-a.conf",
        CONF.replace('"cniVersion"', '"CNIVersion"').replace('"name"', '"Name"')),
    Row("on one line", "10-a.conf", '{"name":"net","type":"bridge"}'),
    Row("a result of before", "10-a.conf",
        CONF.replace('"dns"', '"prevResult": {"cniVersion": "0.3.1"}, "dns"')),
    Row("members that mean something in a list", "10-a.conf",
        CONF.replace('"dns"', '"disableCheck": true, "cniVersions": ["1.1.0"], "dns"')),
    Row("another file after it", "10-a.conf", CONF, {"20-b.conflist": OTHER}),
    Row("one that no runtime loads between them", "10-a.conf", CONF, {"10-a.conf.bak": OTHER}),
    Row("a folder of the network's name", "10-a.conf", CONF,
        {"net/00-x.conf": '{"type": "tuning"}'}),
    Row("a folder of the network's name that is not loaded", "10-a.conf", CONF,
        {"net/00-x.conf": "{"}),
    Row("a file of the network's name", "10-a.conf", CONF, {"net": "no folder"}),
)  # fmt: skip


def host_of(row: Row, folder: Path, runtime: str) -> Host:
    host = Host(folder / "host", runtime)
    for plugin in ("bridge", "host-local", "loopback"):
        host.plugin(plugin)
    host.config(row.name, row.text)
    for name, text in row.others.items():
        (host.conf / name).parent.mkdir(exist_ok=True)
        (host.conf / name).write_text(text)
    return host


def plain(document: Any) -> Any:
    """What a plugin is handed, but for the version, and spellings of the name that come before it.

    A plugin takes the last key that folds to `name`, and libcni hands the keys over sorted.
    """
    assert [key for key in document if golang.fold(key) == "name"][-1] == "name"
    return {
        key: value
        for key, value in document.items()
        if key == "name" or golang.fold(key) not in ("name", "cniversion")
    }


def ours(answer: Any, *names: str) -> dict[str, Any]:
    return {file["name"]: file for file in answer["files"] if file["name"] in names}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.title)
@pytest.mark.parametrize("release", RELEASES)
def test_at_every_moment(
    row: Row, release: str, judges: list[Judge], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There by the agent, and back by a restore; looked at before each step and after the last."""
    judge = judges[RELEASES.index(release)]
    host = host_of(row, tmp_path, CONTAINERD[release])
    new = list_name(row.name)
    loaded = "for a version" not in row.title or (
        "null" in row.title  # which a single plugin may have
    )
    moments: list[Any] = []
    still = transaction._still

    def looked(folder: int, name: str, expected: str | None) -> None:
        moments.append(judge.folder(host.conf))
        still(folder, name, expected)

    monkeypatch.setattr(transaction, "_still", looked)
    target = Target(form=Form.LIST, version="1.0.0" if release > "1" else "0.4.0")
    report = run(replace(host.audit(), target=target)).report
    assert report is not None
    file = next(each for each in report.files if each.name == row.name)
    assert (file.becomes, file.to) == (new, target.version), report.findings
    order = FileOrder(file.name, file.sha256, target.version, new)
    done = run(replace(host.operation(Kind.APPLY), files=(order,), target=target))
    assert done.outcome is Outcome.DONE, done.error
    moments.append(judge.folder(host.conf))
    back = run(replace(host.restore(done.backup), target=target))
    assert back.outcome is Outcome.DONE, back.error
    moments.append(judge.folder(host.conf))

    # The file, both, (both, before the file goes), the list; then the same way back.
    files = [sorted(ours(moment, row.name, new)) for moment in moments]
    both = sorted((row.name, new))
    assert files == [[row.name], both, both, [new], [new], both, both, [row.name]]
    for moment, names in zip(moments, files, strict=True):
        taken = moment["containerd"]
        if loaded or names == [new]:
            assert (taken["error"], taken["network"]) == ("", "net"), (names, taken)
        for name, found in ours(moment, row.name, new).items():
            if loaded or name == new:
                assert (found["error"], found["network"]) == ("", "net"), found
                assert len(found["given"]) == 1
    assert moments[3]["containerd"]["version"] == target.version
    if loaded:
        before, after = ours(moments[0], row.name)[row.name], ours(moments[3], new)[new]
        assert plain(after["given"][0]) == plain(before["given"][0])
        assert after["chain"] == before["chain"]
        assert after["told"] == [target.version]
    assert moments[-1] == moments[0]


PLUGINS = {
    each: Support.told(each, versions.KNOWN)
    for each in ("bridge", "ptp", "portmap", "host-local", "firewall", "cal\u017fico", "loopback",
                 "x", "true", "TRUE", "False", "a\ufffdb", "\U0001f600", "\ufffd", "</>&")
}  # fmt: skip
NAMES = ("10-a.conf", "10-a.json", ".conf", "10-a.conf0.conf", "10-a.conf.json", "10-a.conflist",
         "10-a.c.conf", "20-b.conf", "10-a.confl.conf", "10-a.conf.bak")  # fmt: skip


def generated(data: bytes) -> Folder:
    choices = Choices(data)
    names = choices.several(lambda each: each.pick(NAMES), 4, 1)
    return Folder({name: content(choices, name) for name in dict.fromkeys(names)}, {})


@pytest.fixture(scope="module")
def seen() -> Iterator[Counter[str]]:
    """What never becomes a list would prove nothing."""
    counts: Counter[str] = Counter()
    yield counts
    for release in RELEASES if counts["folders"] else ():
        assert counts[release] / counts["folders"] >= FLOOR, counts


@seed(20261)
@draws(FOLDERS)
@given(data=binary(min_size=2 * BYTES, max_size=2 * BYTES))
def test_whatever_may_become_a_list_is_the_same_network(
    data: bytes,
    judges: list[Judge],
    tmp_path_factory: pytest.TempPathFactory,
    seen: Counter[str],
) -> None:
    made = generated(data)
    place = tmp_path_factory.getbasetemp()
    seen["folders"] += 1
    for release, judge_of in zip(RELEASES, judges, strict=True):
        for name, becomes, to in converted(made, CONTAINERD[release]):
            seen[release] += 1
            new = {becomes: convert(made.files[name], to, alone=False).data}
            without = {each: text for each, text in made.files.items() if each != name}
            before, between, after = (
                judge_of.folder(lay(place, Folder(files, {})))
                for files in (made.files, made.files | new, without | new)
            )
            check(before, between, after, name, becomes, to)


def converted(made: Folder, runtime: str) -> Sequence[tuple[str, str, str]]:
    """(file, list, version) of what the engine would have made a list."""
    configs = [config.read(name, made.files[name]) for name in loadable(made.files)]
    target = replace(ASKED, version="1.0.0" if "1.5" not in runtime else "0.4.0")
    facts = Facts(runtime, configs, PLUGINS, managed_files="Override", names=made.files)
    return [
        (file.name, file.becomes, str(file.to))
        for file in judge(facts, target).files
        if file.becomes is not None
    ]


def check(before: Any, between: Any, after: Any, name: str, becomes: str, to: str) -> None:
    """What containerd takes, and what the plugin is handed."""
    old, new = ours(before, name)[name], ours(after, becomes)[becomes]
    assert (new["error"], new["version"]) == ("", to)
    assert (after["containerd"]["error"], after["containerd"]["version"]) == ("", to)
    if old["error"] == "":
        assert before["containerd"]["network"] == old["network"]
        assert (between["containerd"]["error"], between["containerd"]["network"]) == (
            "",
            old["network"],
        )
        assert after["containerd"]["network"] == old["network"]
        assert (new["network"], new["chain"]) == (old["network"], old["chain"])
        assert plain(new["given"][0]) == plain(old["given"][0])


@pytest.mark.skipif(not can_run(), reason="needs root, for network namespaces")
@pytest.mark.parametrize("command", ["DEL", "DEL-CACHED"])
@pytest.mark.parametrize("release", RELEASES)
def test_pods_of_the_file_are_deleted_by_the_list_and_back(
    release: str, command: str, tmp_path: Path
) -> None:
    """The network keeps its name, so libcni finds what it cached; no address is left behind."""
    with World(release, tmp_path / "node") as world:
        world.install("1.9.1", "bridge", "host-local")
        version = "0.4.0" if release == "0.8.1" else "1.0.0"
        text = {"cniVersion": version, "name": "net", **world.bridge()}
        conf, as_list = world.folder / "10-net.conf", world.folder / "10-net.conflist"
        conf.write_text(json.dumps(text))
        as_list.write_bytes(convert(conf.read_bytes(), version).data)
        for added, deleted in ((conf, as_list), (as_list, conf), (as_list, as_list)):
            pod = world.pod(f"{added.suffix[1:]}-{deleted.suffix[1:]}")
            world.file = added
            assert world.run("ADD", pod) == ""
            assert len(world.addresses(pod)) == 1
            world.file = deleted
            assert world.run("CHECK", pod) == ""
            assert world.run(command, pod) == ""
            assert world.addresses(pod) == []
