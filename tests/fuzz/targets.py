"""What must hold of any bytes: no error but the named ones, and nothing lost on the way.

Plain functions, so that the kept corpus is replayed with all tests and without a fuzzer.
"""

import base64
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonpatch

from cni_upgrade.agent import agent
from cni_upgrade.agent.discovery import sandboxes
from cni_upgrade.agent.files import backup
from cni_upgrade.agent.plugins import build_info as buildinfo
from cni_upgrade.agent.protocol import termination_message
from cni_upgrade.agent.protocol.json_members import MemberError
from cni_upgrade.agent.protocol.operation import Kind, Operation, Outcome, Result
from cni_upgrade.agent.protocol.termination_message import MessageError
from cni_upgrade.cli import jsontext
from cni_upgrade.cni import config, document, sources, versions
from cni_upgrade.cni.conversion import convert
from cni_upgrade.cni.document import DocumentError, TooDeepError
from cni_upgrade.cni.facts import UNKNOWN, Support, Target
from cni_upgrade.cni.rewrite import RELEASES, RewriteError, rewrite
from cni_upgrade.cni.source_verdict import User, configmap_patch, judge_source
from tests.judge.folders import Choices, content

NAMES = ("10-a.conflist", "10-b.conf")
CORPUS = Path(__file__).parent / "corpus"
ODD: tuple[Any, ...] = (
    *(None, True, 0, 1, -1, 10**30, 1.5, float("inf"), "", [], {}, [[]], [{}], {"": None}),
    *("x", "..", "/", "/a/../b", "a\0b", "\ud800", "\u20ac" * 900, "x" * 5000, ["x" * 90] * 90),
    *("audit", "apply", "restore", "Done", "Rewrite", "Fault", "Info", "f" * 64),
)
RUNTIMES = (
    ("containerd://1.6.2", ""),
    ("containerd://1.7.30", "etc/containerd/config.toml"),
    ("containerd://2.1.3", "etc/containerd/config.toml"),
    ("cri-o://1.31.0", "etc/crio/crio.conf"),
)
KNOWN_PLUGINS = ("flannel", "bridge", "host-local", "portmap", "calico", "multus", "multus-shim")
BACKUP, CONFIG, JOURNAL = "20261123T225404Z-3f2a9c1b", "10-a.conflist", "journal.json"
CONTAINER = "c0ffee00" * 8
ENTRY = f"net-{CONTAINER}-eth0"


def file_of(data: bytes) -> tuple[str, str, bytes]:
    """A file's name, a version, and content: the bytes themselves or a likely config of them."""
    choices = Choices(data[:3])
    name, to = choices.pick(NAMES), choices.pick(versions.KNOWN)
    rest = data[3:]
    return name, to, content(Choices(rest), name) if choices.once_in(2) else rest


def config_file(data: bytes) -> None:
    """A file is read or refused; the parser takes what JSON is, and keeps every byte."""
    name, _, text = file_of(data)
    for release in RELEASES:
        read = config.read(name, text, release)
        assert read.error is None or read.mendable or not read.plugins
    try:
        parsed = document.parse(text)
    except TooDeepError:
        return
    except DocumentError:
        assert not _python_takes(text)
        return
    assert document.to_bytes(parsed.text) == text
    assert _python_takes(text)
    for node in parsed.root.walk():
        piece = document.to_bytes(parsed.text[node.start : node.end])
        assert document.parse(piece).root.plain() == node.plain()


def _python_takes(text: bytes) -> bool:
    """Whether Python's own parser reads it, which besides JSON takes only NaN and infinities."""
    try:
        json.loads(document.to_text(text), parse_int=str, parse_float=str, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return False
    return True


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def rewritten(data: bytes) -> None:
    """What some libcni loads, or would at another version, can be rewritten, and each then reads
    the version asked for."""
    name, to, text = file_of(data)
    kind = config.kind_of(name)
    before = {release: config.read(name, text, release) for release in RELEASES}
    loaded = [
        release for release in RELEASES if before[release].error is None or before[release].mendable
    ]
    try:
        done = rewrite(text, kind, to)
    except RewriteError:
        assert not loaded
        return
    assert loaded
    for release in loaded:
        after = config.read(name, done.data, release)
        assert (after.error, after.version) == (None, to)
        assert (after.network, after.plugins) == (before[release].network, before[release].plugins)
    assert rewrite(done.data, kind, to).data == done.data
    json.loads(jsontext.dump(done.patch).encode(), parse_constant=_refuse)
    if kind == "conf":
        _converted(text, to, before)


def _converted(text: bytes, to: str, before: dict[str, config.Config]) -> None:
    """What becomes a list is the same network with the same plugins under every libcni."""
    try:
        made = convert(text, to)
    except RewriteError:
        return
    for release in RELEASES:
        after = config.read("10-a.conflist", made.data, release)
        assert (after.error, after.version) == (None, to)
        assert (after.network, after.plugins) == (before[release].network, before[release].plugins)
    json.loads(jsontext.dump(made.patch).encode(), parse_constant=_refuse)


def document_of(data: bytes, sample: str) -> bytes:
    """The bytes themselves, or a document that is right but for a few members that they name."""
    if data[:1] <= b"\x7f":
        return data
    choices = Choices(data[1:])
    found = json.loads((CORPUS / sample).read_bytes())
    for _ in range(1 + choices.number(4)):
        found = _spoiled(found, choices)
    return json.dumps(found).encode()


def _spoiled(value: Any, choices: Choices) -> Any:
    """One value somewhere within becomes another, goes, or comes twice."""
    if isinstance(value, dict) and value and not choices.once_in(8):
        key = choices.pick(list(value))
        if choices.once_in(8):
            return {name: each for name, each in value.items() if name != key}
        return {**value, key: _spoiled(value[key], choices)}
    if isinstance(value, list) and value and not choices.once_in(8):
        place = choices.number(len(value))
        new = _spoiled(value[place], choices)
        return [*value, new] if choices.once_in(4) else [*value[:place], new, *value[place + 1 :]]
    return choices.pick(ODD)


def report(data: bytes) -> None:
    """A message is a result or a MessageError; a result fits again, and is the same again."""
    text = document_of(data, "report/seed-audit").decode("utf-8", "surrogateescape")
    try:
        result = termination_message.decode(text)
    except MessageError:
        return
    assert Result.from_json(json.loads(termination_message.compact(result))) == _clean(result)
    packed = termination_message.encode(result)
    assert len(packed) <= termination_message.LIMIT
    again = termination_message.decode(packed.decode("ascii"))
    assert again.outcome == result.outcome
    assert again.truncated or again == _clean(result)


def _clean(result: Result) -> Result:
    """The result without lone surrogates, which no message can carry."""
    text = json.dumps(result.to_json(), ensure_ascii=False)
    return Result.from_json(json.loads(text.encode("utf-8", "replace")))


def operation(data: bytes) -> None:
    """An operation is read strictly or refused by name, and comes back as it was."""
    try:
        asked = Operation.from_json(json.loads(document_of(data, "operation/seed-apply")))
    except (MemberError, ValueError, RecursionError):
        return  # as the agent has it
    assert Operation.from_json(json.loads(json.dumps(asked.to_json()))) == asked


def results_cache(data: bytes) -> None:
    """Every entry of libcni's cache counts as one sandbox, whatever stands in it, and it is told
    where its version is not known, and where it is not the one that its name says."""
    entry = data[1:]
    if data[:1] > b"\x7f":
        packed = base64.b64encode(entry).decode()
        names = {"networkName": "net", "containerId": CONTAINER, "ifName": "eth0"}
        entry = json.dumps({"kind": "cniCacheV1", **names, "config": packed}).encode()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "results", ENTRY)
        path.parent.mkdir()
        path.write_bytes(entry)
        running, findings = sandboxes.read(folder, "/")
    assert len(running) == 1
    assert running[0].network in ("net", "")
    assert len(findings) == (running[0].version == UNKNOWN) + (running[0].network == "")


def node(data: bytes) -> None:
    """A whole audit, with a config and a runtime's own configuration of any bytes: it ends well."""
    name, _, text = file_of(data)
    choices = Choices(data[-3:])
    runtime, place = choices.pick(RUNTIMES)
    with tempfile.TemporaryDirectory() as folder:
        conf = Path(folder, "etc/cni/net.d", name)
        conf.parent.mkdir(parents=True)
        conf.write_bytes(text)
        if place:
            settings = Path(folder, place)
            settings.parent.mkdir(parents=True)
            settings.write_bytes(text if choices.once_in(2) else data[3:-3])
        order = Operation(f"audit-{0:020x}", Kind.AUDIT, "node", runtime, root=folder)
        result = agent.run(order)
    assert result.report is not None
    assert (
        termination_message.decode(termination_message.encode(result).decode("ascii")).outcome
        == result.outcome
    )


def state(data: bytes) -> None:
    """A backup's manifest or a journal of any bytes, as a disk image may hold it: a restore ends
    well, leaves whole files and nothing else, and touches nothing beside its folders."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "host")
        conf, own = root / "etc/cni/net.d", root / "var/lib/cni-upgrade"
        manifest = (CORPUS / "state/seed-manifest").read_bytes()
        if data[:1] <= b"\x7f":
            manifest = document_of(data[1:], "state/seed-manifest")
        called, manifest = _saved_as(manifest)
        copy = own / "backups" / called / "files" / CONFIG
        for each in (conf, copy.parent):
            each.mkdir(parents=True)
        old, new = (json.dumps({**at, "name": "net", "plugins": [{"type": "bridge"}]}).encode()
                    for at in ({}, {"cniVersion": "1.0.0"}))  # fmt: skip
        copy.write_bytes(old)
        (conf / CONFIG).write_bytes(new)
        aside = [Path(folder, "x.cnitmp"), root / "etc/x.cnitmp", root / "etc/cni/x.cnitmp"]
        for each in aside:
            each.touch()
        if data[:1] > b"\x7f":
            (own / "journal.json").write_bytes(document_of(data[1:], "state/seed-journal"))
        (own / "backups" / called / "manifest.json").write_bytes(manifest)
        order = Operation(f"restore-{0:020x}", Kind.RESTORE, "node", "containerd://1.7.30",
                          root=str(root), backup=called)  # fmt: skip
        result = agent.run(order)
        assert [each.name for each in conf.iterdir()] == [CONFIG]
        assert (conf / CONFIG).read_bytes() == (old if result.outcome is Outcome.DONE else new)
        assert all(each.exists() for each in aside)
        assert {each.name for each in own.iterdir()} <= {"backups", "results", "lock", JOURNAL}


def _saved_as(manifest: bytes) -> tuple[str, bytes]:
    """Its id as it would have been saved, where it can be read: else nothing behind that is met."""
    try:
        found = json.loads(manifest)
        found["id"] = backup.address(backup.Backup.read(found), found)
    except (ValueError, RecursionError):
        return BACKUP, manifest
    return found["id"], json.dumps(found).encode()


def build_info(data: bytes) -> None:
    """Any file can pretend to be a Go program; what it links is known or not, and no error."""
    with tempfile.NamedTemporaryFile() as binary:
        binary.write(data)
        binary.flush()
        bound = buildinfo.highest_version(binary.name)
    assert bound is None or versions.known(bound)


def source(data: bytes) -> None:
    """Any text in a ConfigMap: it is judged or refused, and what is proposed is what was meant."""
    choices = Choices(data[:4])
    row = choices.pick(sources.KNOWN)
    target = Target(choices.pick(versions.KNOWN), choices.pick(("HighestCompatible", "Exact")))
    runtime, most = choices.pick(RUNTIMES)[0], choices.pick(versions.KNOWN)
    text = data[4:].decode("utf-8", "surrogateescape")
    supported = versions.up_to(most)
    plugins = tuple(Support.told(each, supported) for each in KNOWN_PLUGINS)
    users = (User("node-a", runtime, plugins, ((None, 1),), most),)
    found = judge_source(row, text, users, target)
    assert (found.text is not None) == (found.action == "Rewrite") == bool(found.diff)
    if found.text is None:
        return
    again = judge_source(row, found.text, users, target)
    assert (again.version, again.network) == (found.to, found.network)
    assert versions.order(str(found.to)) <= versions.order(target.version)
    for mark in row.placeholders:
        assert found.text.count(mark) == text.count(mark)
    patch = json.loads(json.dumps(configmap_patch(row.key, text, found.text)))
    mended = jsonpatch.apply_patch({"data": {row.key: text, "other": "x"}}, patch)
    assert mended == {"data": {row.key: found.text, "other": "x"}}


TARGETS: dict[str, Callable[[bytes], None]] = {
    "config": config_file,
    "rewrite": rewritten,
    "report": report,
    "operation": operation,
    "results_cache": results_cache,
    "node": node,
    "state": state,
    "build_info": build_info,
    "source": source,
}
