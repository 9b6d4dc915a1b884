"""What a plugin answers to VERSION means to us what it means to libcni, in each release.

The question is the same one, with the same environment; the answers of the table are given by real
processes to both, the generated ones (`JUDGE_ANSWERS=n`) to libcni's own decoder.
"""

import base64
import json
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from cni_upgrade.agent.plugins import plugin_run, probe
from cni_upgrade.cni import version_answer
from cni_upgrade.cni.golang import DecodeError
from tests.judge.build import RELEASES
from tests.judge.process import Judge, running

MANY = int(os.environ.get("JUDGE_ANSWERS", "3000"))
GOOD = b'{"cniVersion":"1.0.0","supportedVersions":["0.4.0","1.0.0"]}'
UNKNOWN = b'{"code":4,"msg":"unknown CNI_COMMAND: VERSION"}'

ENDED_WELL = [
    GOOD,
    b" " + GOOD + b"\n\n",
    b"",
    b"null",
    b"[]",
    b'"1.0.0"',
    b"{}",
    GOOD + b"x",
    GOOD + GOOD,
    b"\xef\xbb\xbf" + GOOD,
    GOOD.decode().encode("utf-16"),
    GOOD.decode().encode("utf-16-le"),
    GOOD.decode().encode("utf-32"),
    GOOD[:-1] + b',"x":NaN}',
    GOOD[:-1] + b',"x":Infinity}',
    GOOD[:-1] + b',"x":-Infinity}',
    GOOD[:-1] + b',"x":1e999}',
    GOOD[:-1] + b',"x":01}',
    GOOD[:-1] + b',"x":"\xff"}',
    GOOD[:-1] + b',"x":"\\ud800"}',
    GOOD[:-1] + b',"x":"a\tb"}',
    GOOD[:-1] + b',"CNIVERSION":""}',
    GOOD[:-1] + b',"cniversion":null}',
    GOOD[:-1] + b',"CniVersion":1}',
    GOOD[:-1] + b',"SUPPORTEDVERSIONS":["0.3.1"]}',
    GOOD[:-1] + b',"supportedversions":[]}',
    GOOD[:-1] + b',"supportedversions":null}',
    GOOD[:-1] + b',"supportedversions":[null]}',
    GOOD[:-1] + b',"supportedversions":["9"],"supportedVersions":[null,null,null]}',
    GOOD[:-1] + b',"supportedversions":[],"supportedVersions":[null,null]}',
    GOOD[:-1] + b',"supportedversions":null,"supportedVersions":[null]}',
    GOOD[:-1] + b',"supportedversions":"1.0.0"}',
    GOOD[:-1] + b',"supportedversions":[["1.0.0"]]}',
    GOOD[:-1] + ',"\u017fupportedver\u017fion\u017f":["0.1.0"]}'.encode(),
    b'{"cniVersion":"0.2.0"}',
    b'{"cniVersion":"0.2.0","supportedVersions":null}',
    b'{"cniVersion":"0.2.0","supportedVersions":[]}',
    b'{"cniVersion":"0.2.0","cniVersion":"0.3.0"}',
    b'{"cniVersion":"1.0.0"}',
    b'{"supportedVersions":["1.0.0"]}',
    UNKNOWN,
]
ENDED_BADLY = [
    UNKNOWN,
    GOOD,
    b"",
    b"null",
    b"{}",
    b"no",
    UNKNOWN[:-1] + b',"details":""}',
    UNKNOWN[:-1] + b',"details":null}',
    UNKNOWN[:-1] + b',"details":"see the log"}',
    UNKNOWN[:-1] + b',"details":1}',
    UNKNOWN[:-1] + b',"Details":"x","details":""}',
    UNKNOWN[:-1] + b',"code":"4"}',
    UNKNOWN[:-1] + b',"code":-4}',
    UNKNOWN[:-1] + b',"code":4.0}',
    UNKNOWN[:-1] + b',"code":4e0}',
    UNKNOWN[:-1] + b',"code":18446744073709551615}',
    UNKNOWN[:-1] + b',"code":18446744073709551616}',
    UNKNOWN[:-1] + b',"code":null}',
    UNKNOWN[:-1] + b',"MSG":"another"}',
    UNKNOWN[:-1] + b',"MSG":null}',
    b'{"msg":"another","Msg":"unknown CNI_COMMAND: VERSION"}',
    b"\xef\xbb\xbf" + UNKNOWN,
    UNKNOWN.decode().encode("utf-16"),
    b'{"code":4,"msg":"unknown CNI_COMMAND: VERSION "}',
]


@pytest.fixture(scope="module")
def asked() -> Iterator[list[Judge]]:
    with running(RELEASES, "ask") as judges:
        yield judges


@pytest.fixture(scope="module")
def decoders() -> Iterator[list[Judge]]:
    with running(RELEASES, "decode") as judges:
        yield judges


def plugin(folder: Path, answer: bytes, code: int) -> Path:
    path = folder / "p"
    (folder / "answer").write_bytes(answer)
    path.write_text(f"#!/bin/sh\ncat {folder}/answer\nexit {code}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("answer", "code"),
    [*((each, 0) for each in ENDED_WELL), *((each, 1) for each in ENDED_BADLY)],
)
def test_the_same_process_tells_us_what_it_tells_libcni(
    asked: list[Judge], tmp_path: Path, answer: bytes, code: int
) -> None:
    path = plugin(tmp_path, answer, code)
    ours = probe.probe("", [(str(tmp_path), str(tmp_path))], ["p"], "1.0.0")["p"]
    for judge in asked:
        theirs = judge.versions(str(path))
        told = None if ours.supported is None else list(ours.supported)
        assert told == theirs["versions"], (judge.release, theirs, ours)


def test_agreement_is_not_on_refusing_everything(asked: list[Judge], tmp_path: Path) -> None:
    for answer, code, versions in (
        (GOOD, 0, ["0.4.0", "1.0.0"]),
        (UNKNOWN, 1, ["0.1.0"]),
        (b'{"cniVersion":"0.2.0"}', 0, ["0.1.0", "0.2.0"]),
    ):
        path = plugin(tmp_path, answer, code)
        assert [judge.versions(str(path))["versions"] for judge in asked] == [versions] * 5


@pytest.mark.parametrize("release", RELEASES)
def test_the_question_is_libcnis(
    release: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside the runtime's own environment, which libcni hands on as it is."""
    path = tmp_path / "p"
    path.write_text(
        f"#!/bin/sh\ntr '\\0' '\\n' < /proc/self/environ > {tmp_path}/seen\n"
        f"cat > {tmp_path}/question\necho '{GOOD.decode()}'\n"
    )
    path.chmod(0o755)
    runtime = {name: plugin_run.ENVIRONMENT[name] for name in ("PATH", "HOME")}
    bare = ["env", "-i", *(f"{name}={value}" for name, value in runtime.items())]
    with Judge(release, "ask", bare) as judge:
        current = judge.versions(str(path))["current"]
    theirs = given(tmp_path)
    probe.probe("", [(str(tmp_path), str(tmp_path))], ["p"], current)
    assert given(tmp_path) == theirs
    assert set(theirs[0]) - {"PWD", "_"} == set(plugin_run.ENVIRONMENT)


def given(folder: Path) -> tuple[dict[str, str], str]:
    lines = (folder / "seen").read_text().splitlines()
    seen = dict(line.split("=", 1) for line in lines)
    seen.pop("PWD", None)  # sh's own
    return seen, (folder / "question").read_text()


KEYS = (
    *("cniVersion", "CNIVERSION", "cniversion", "cniVer\u017fion", "supportedVersions"),
    *("SUPPORTEDVERSIONS", "\u017fupportedVersions", "supported_versions", "x", ""),
)
WORDS = ("", "0.2.0", "1.0.0", "0.4.0", "\ud800", "é", 'a"b', "\u2028", "\x7f")
VALID = ("null", "true", "1", "-0", "1e999", "1.50E3")
SCALARS = (*VALID, "01", "NaN", "-Infinity", "+1", ".5", "'a'")


def value(draw: random.Random, depth: int = 0) -> str:
    kind = draw.random()
    if kind < 0.4 or depth > 2:
        return json.dumps(draw.choice(WORDS), ensure_ascii=draw.random() < 0.6)
    if kind < 0.55:
        return draw.choice(VALID if draw.random() < 0.8 else SCALARS)
    if kind < 0.9:
        items = [value(draw, depth + 1) for _ in range(draw.randrange(4))]
        if draw.random() < 0.7:
            words = [json.dumps(word) for word in WORDS[:4]] + ["null"]
            items = [draw.choice(words) for _ in items]
        return f"[{', '.join(items)}]"
    return generated(draw, depth + 1)


def generated(draw: random.Random, depth: int = 0) -> str:
    members = []
    for _ in range(draw.randrange(5)):
        key = draw.choice(KEYS)
        kind = draw.random()
        if kind < 0.35 and "upported" in key.casefold():
            words = [json.dumps(word) for word in WORDS[:4]] + ["null"]
            text = f"[{','.join(draw.choice(words) for _ in range(draw.randrange(4)))}]"
        elif kind < 0.6 and "upported" not in key.casefold():
            text = json.dumps(draw.choice(WORDS[:4]))
        else:
            text = value(draw, depth)
        members.append(f"{json.dumps(key, ensure_ascii=draw.random() < 0.5)}: {text}")
    return "{" + ", ".join(members) + "}"


def torn(draw: random.Random, text: str) -> bytes:
    data = text.encode("utf-8", "surrogatepass")
    kind = draw.random()
    if kind < 0.85:
        return data
    place = draw.randrange(len(data) + 1)
    if kind < 0.9:
        return data[:place]
    if kind < 0.96:
        return data[:place] + bytes([draw.randrange(256)]) + data[place:]
    codec = draw.choice(("utf-8-sig", "utf-16", "utf-16-be", "utf-32"))
    return data.decode("utf-8", "replace").encode(codec, "replace")


def read(answer: bytes) -> list[str] | None:
    try:
        return list(version_answer.supported(answer))
    except DecodeError:
        return None


def test_generated_answers_are_read_as_libcni_reads_them(decoders: list[Judge]) -> None:
    draw = random.Random(20160927)  # noqa: S311
    taken = 0
    for number in range(MANY):
        answer = torn(draw, generated(draw))
        ours = read(answer)
        taken += ours is not None
        line = base64.b64encode(answer).decode()
        for judge in decoders:
            theirs = judge.versions(line)
            assert ours == theirs["versions"], (number, judge.release, answer, theirs["error"])
    assert taken > MANY // 20
