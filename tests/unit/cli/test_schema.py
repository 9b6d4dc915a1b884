"""The published schema and the documents: each describes the other."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from cni_upgrade.cli import schema
from cni_upgrade.cli.main import main
from tests.unit.agent.host import VERSIONLESS, Host
from tests.unit.cli.jsonschema import problems

Captured = pytest.CaptureFixture[str]
PUBLISHED = Path(__file__).parents[3] / "schemas/cni-upgrade.schema.json"
SCHEMA = schema.document()


@pytest.fixture
def documents(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> dict[str, dict[str, Any]]:
    """A real one of every verb, of a node with something of everything."""
    host = Host(tmp_path / "host")
    host.plugins()
    host.config()
    host.config("20-broken.conf", "{")
    host.sandbox(None)
    own = host.root / "etc/containerd/config.toml"
    own.parent.mkdir()
    own.write_text('version = 2\n[plugins."io.containerd.grpc.v1.cri".cni]\nmax_conf_num = 1\n')
    monkeypatch.chdir(host.root)
    machine = ("--root", str(host.root), "--runtime", "containerd://1.6.2", "-o", "json")
    alone = ("etc/cni/net.d/10-pod.conflist", *machine[2:])
    found = {}
    for name, arguments in {
        "audit": ("audit", *machine, "--readiness", "containerd>=1.6"),
        "audit of a file": ("audit", *alone),
        "plan": ("plan", *machine),
        "plan of a file": ("plan", *alone),
        "diff": ("diff", *machine),
        "apply": ("apply", *machine),
        "nothing to apply": ("apply", *machine),
        "backups": ("backups", *machine),
        "no such backup": ("restore", "none", *machine),
    }.items():
        main(arguments)
        found[name] = json.loads(capsys.readouterr().out)
    return found


def test_every_document_is_as_published(documents: dict[str, dict[str, Any]]) -> None:
    assert documents["audit"]["report"]["readiness"]
    assert documents["apply"]["changes"]
    assert documents["no such backup"]["error"]
    assert documents["plan"]["files"][0]["patch"]
    assert documents["backups"]["backups"]
    for name, document in documents.items():
        assert problems(SCHEMA, document) == [], name


def test_a_member_more_is_borne_and_one_less_is_not(documents: dict[str, dict[str, Any]]) -> None:
    newer = copy.deepcopy(documents["audit"])
    newer["report"]["members"] = newer["report"]["files"][0]["may be added"] = 1
    assert problems(SCHEMA, newer, strict=False) == []
    assert problems(SCHEMA, newer)
    for path in (("report", "after", "needsDrain"), ("report", "verdict"), ("schema",)):
        older = copy.deepcopy(documents["audit"])
        parent = older
        for name in path[:-1]:
            parent = parent[name]
        del parent[path[-1]]
        assert problems(SCHEMA, older), path


@pytest.mark.parametrize(
    ("member", "value"), [("verdict", "Fine"), ("sandboxes", []), ("after", 1)]
)
def test_a_wrong_value_is_noticed(
    member: str, value: object, documents: dict[str, dict[str, Any]]
) -> None:
    documents["audit"]["report"][member] = value
    assert problems(SCHEMA, documents["audit"])


def test_the_published_file_is_what_the_command_prints(capsys: Captured) -> None:
    """To bring it up to date: cni-upgrade schema > schemas/cni-upgrade.schema.json."""
    assert main(["schema"]) == 0
    assert capsys.readouterr().out == PUBLISHED.read_text()


@pytest.mark.parametrize("output", ["json", "yaml"])
@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["audit", "--nothing"], "UsageError", "unrecognized arguments: --nothing"),
        (["restore"], "UsageError", "the following arguments are required: BACKUP"),
        (["audit", "--target", "9"], "CannotAnswer", "--target 9: expected one of"),
        (["plan", "/none"], "CannotAnswer", "/none: No such file"),
        (["backups", "--root", "/none"], "CannotAnswer", "--root /none: No such file"),
    ],
)
def test_an_error_is_a_document_too(
    arguments: list[str], code: str, message: str, output: str, capsys: Captured
) -> None:
    try:
        ended: object = main([*arguments, "-o", output])
    except SystemExit as error:
        ended = error.code
    printed = capsys.readouterr()
    assert ended == 2
    assert message in printed.err
    document = yaml.safe_load(printed.out)
    assert problems(SCHEMA, document) == []
    assert document["error"]["code"] == code
    assert message in document["error"]["message"]


def test_a_fault_of_our_own_is_a_document_too(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cni_upgrade.cli.verbs.loose.looks", lambda _: 1 // 0)
    assert main(["audit", "x", "-o", "json"]) == 2
    document = json.loads(capsys.readouterr().out)
    assert problems(SCHEMA, document) == []
    assert document["error"]["code"] == "InternalError"


def test_an_error_for_people_leaves_standard_output_empty(capsys: Captured) -> None:
    assert main(["audit", "--target", "9"]) == 2
    assert capsys.readouterr().out == ""


def test_every_part_is_used() -> None:
    text = json.dumps(SCHEMA)
    for part in SCHEMA["$defs"]:
        assert f'"#/$defs/{part}"' in text, part


def test_a_restored_file_too(tmp_path: Path, capsys: Captured) -> None:
    host = Host(tmp_path / "host")
    host.plugins()
    host.config(text=VERSIONLESS)
    machine = ("--root", str(host.root), "--runtime", "containerd://1.6.2", "-o", "json")
    main(["apply", *machine])
    made = json.loads(capsys.readouterr().out)["backup"]
    main(["restore", made, *machine])
    document = json.loads(capsys.readouterr().out)
    assert document["changes"][0]["to"] is None
    assert problems(SCHEMA, document) == []
