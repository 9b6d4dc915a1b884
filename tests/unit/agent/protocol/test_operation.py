"""The operation's documents: strict on types, lenient on the unknown, equal after a round trip."""

import json

import pytest

from cni_upgrade.agent.protocol import operation
from cni_upgrade.agent.protocol.json_members import MemberError
from cni_upgrade.agent.protocol.operation import FileOrder, Kind, Operation, Paths, Result

SHA = "ab" * 32
AUDIT = Operation(id="audit-" + "0" * 20, kind=Kind.AUDIT, node="node-a", runtime="cri-o://1.23.0")


def document(**members: object) -> dict[str, object]:
    return {**AUDIT.to_json(), **members}


def test_round_trip() -> None:
    apply = Operation(
        id="apply-0123456789abcdef0123",
        kind=Kind.APPLY,
        node="node-a",
        runtime="containerd://1.6.2",
        root="/host",
        paths=Paths(bin_dirs=("/a", "/b"), delegate_dirs=("/c",)),
        files=(FileOrder("10-x.conflist", SHA, "1.0.0"),),
        keep=3,
        readiness_for=("containerd>=2.0",),
    )
    assert Operation.from_json(json.loads(json.dumps(apply.to_json()))) == apply


def test_unknown_members_are_passed_over() -> None:
    assert Operation.from_json(document(later="x")) == AUDIT


@pytest.mark.parametrize(
    ("members", "text"),
    [
        ({"schema": 2}, "schema: expected 1, got 2"),
        ({"schema": True}, "schema: expected a whole number, got a boolean"),
        ({"kind": "delete"}, "kind: expected one of audit, apply, restore"),
        ({"kind": "apply"}, "id: expected apply-"),
        ({"id": "audit-../../etc"}, "id: expected audit-"),
        ({"node": 5}, "node: expected a string, got a number"),
        ({"target": None}, "target: expected an object, got null"),
        ({"target": {"version": 1.0}}, "target.version: expected a string, got a number"),
        ({"paths": {**Paths().to_json(), "confDirs": ["etc"]}}, "paths.confDirs: expected an abs"),
        (
            {"paths": {**Paths().to_json(), "binDirs": ["/opt/../x"]}},
            "paths.binDirs: expected an ab",
        ),
        ({"paths": {**Paths().to_json(), "cacheDir": "a\0"}}, "paths.cacheDir: expected an abso"),
        ({"paths": {**Paths().to_json(), "stateDir": "x"}}, "paths.stateDir: expected an absolut"),
        ({"paths": {**Paths().to_json(), "confDirs": []}}, "paths.confDirs: expected at least one"),
        ({"paths": {**Paths().to_json(), "binDirs": "/x"}}, "paths.binDirs: expected a list"),
        ({"paths": {**Paths().to_json(), "delegateDirs": ["x"]}}, "paths.delegateDirs: expected"),
        ({"files": [{"name": "../x", "sha256": SHA, "to": "1.0.0"}]}, "files[0].name"),
        ({"files": [{"name": "x", "sha256": "AB", "to": "1.0.0"}]}, "files[0].sha256"),
        ({"files": [{"name": "x", "sha256": SHA, "to": "1"}] * 2}, "each name once"),
        ({"readinessFor": "containerd>=2.0"}, "readinessFor: expected a list of strings"),
        ({"readinessFor": ["containerd>=2.0"] * 10}, "readinessFor: expected at most 9"),
        ({"keep": 0}, "keep: expected at least 1"),
        ({"root": "host"}, "root: expected an absolute path"),
        ({"backup": "../../etc"}, "backup: expected the id of a backup"),
        ({"id": "apply-" + "0" * 20, "kind": "apply"}, "files: expected at least one"),
        ({"id": "restore-" + "0" * 20, "kind": "restore"}, "backup: expected the id"),
    ],
)
def test_bad_input_names_its_member(members: dict[str, object], text: str) -> None:
    with pytest.raises(MemberError) as caught:
        Operation.from_json(document(**members))
    assert text in str(caught.value)


@pytest.mark.parametrize("value", [None, [], "x", 3])
def test_not_an_object(value: object) -> None:
    with pytest.raises(MemberError, match="expected an object"):
        Operation.from_json(value)
    with pytest.raises(MemberError, match="expected an object"):
        Result.from_json(value)


def test_digest_is_of_the_work_not_of_its_name() -> None:
    other = Operation.from_json(document(id="audit-" + "1" * 20))
    assert operation.digest(AUDIT) == operation.digest(other)
    assert operation.digest(AUDIT) != operation.digest(Operation.from_json(document(keep=6)))


def test_operation_id_is_as_documented() -> None:
    # sha256("policy|node|audit|abc|1"), by sha256sum.
    assert operation.operation_id(Kind.AUDIT, "policy", "node", "abc", 1) == (
        "audit-0fcc17e461986275d922"
    )
