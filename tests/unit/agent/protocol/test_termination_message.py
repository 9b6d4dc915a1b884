"""The termination message always fits, always decodes, and loses the errors last."""

import base64
import gzip
import hashlib
import json
import random
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cni_upgrade.agent.protocol.operation import (
    Action,
    After,
    Baseline,
    Change,
    FileReport,
    FoundPaths,
    Kind,
    Known,
    OperationError,
    Outcome,
    PluginReport,
    ReadinessReport,
    Report,
    Result,
    RuntimeReport,
    Source,
    Standing,
    StandingFile,
    Verdict,
)
from cni_upgrade.agent.protocol.termination_message import (
    LIMIT,
    UNPACKED_LIMIT,
    MessageError,
    compact,
    decode,
    encode,
)
from cni_upgrade.cni.findings import Finding, Severity
from cni_upgrade.cni.versions import KNOWN

VERSIONS = ("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0")


def noise(length: int, seed: int) -> str:
    """Text that gzip cannot make small."""
    return base64.b64encode(random.Random(seed).randbytes(length)).decode()  # noqa: S311


text = st.text(max_size=20)
long = st.text(max_size=20) | st.builds(noise, st.integers(0, 6000), st.integers(0, 9))
maybe = st.none() | text
sha256 = st.text("0123456789abcdef", min_size=64, max_size=64)
backup = st.from_regex(r"[0-9A-Za-z][0-9A-Za-z._-]{0,62}", fullmatch=True)
code = st.from_regex(r"[A-Za-z][0-9A-Za-z]{0,29}", fullmatch=True)
file_name = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1
).filter(lambda name: name not in (".", ".."))
folder = st.builds("/{}".format, st.text("abc.d-", max_size=20).filter(lambda name: name != ".."))
version = st.sampled_from(KNOWN)
files = st.builds(
    FileReport,
    name=file_name,
    sha256=sha256,
    kind=st.sampled_from(["conf", "conflist", "other"]),
    network=maybe,
    version=maybe,
    active=st.booleans(),
    plugins=st.lists(text, max_size=8).map(tuple),
    to=version,
    action=st.sampled_from(Action),
    why=long,
    managed_by=maybe,
)
plugins = st.builds(
    PluginReport,
    type=text,
    supported=st.lists(text, max_size=8).map(tuple),
    max=st.none() | version,
    source=st.sampled_from(Source),
)
findings = st.builds(
    Finding,
    code=code,
    severity=st.sampled_from(Severity),
    component=text,
    message=long,
    action=long,
)
standing = st.builds(
    Standing,
    policy=st.none() | st.text(max_size=128),
    files=st.lists(
        st.builds(
            StandingFile,
            name=file_name,
            backup=backup,
            from_version=maybe,
            to=maybe,
            sha256=st.just("") | sha256,
            newest=st.just("") | backup,
        ),
        max_size=8,
    ).map(tuple),
)
reports = st.builds(
    Report,
    runtime=st.builds(
        RuntimeReport, name=text, version=text, libcni=maybe, max=st.none() | version
    ),
    paths=st.builds(
        FoundPaths,
        conf_dir=st.none() | folder,
        bin_dirs=st.lists(folder).map(tuple),
        cache_dir=st.none() | folder,
        delegate_dirs=st.lists(folder).map(tuple),
        known=st.builds(
            Known,
            source=st.text(min_size=1, max_size=80),
            max_conf_num=st.none() | st.integers(0, 9),
            default_network=maybe,
            conf_template=maybe,
            internal_loopback=st.booleans(),
        ),
    ),
    files=st.lists(files, max_size=12).map(tuple),
    plugins=st.lists(plugins, max_size=12).map(tuple),
    sandboxes=st.dictionaries(text, st.integers(0, 1 << 40), max_size=20),
    pods=st.dictionaries(text, st.lists(text, max_size=4).map(tuple), max_size=20),
    baseline=st.builds(
        Baseline,
        add=st.none() | st.booleans(),
        delete=st.none() | st.booleans(),
        add_why=maybe,
        delete_why=maybe,
    ),
    after=st.builds(
        After,
        add=st.none() | st.booleans(),
        delete=st.none() | st.booleans(),
        existing_delete=st.none() | st.booleans(),
        needs_drain=st.booleans(),
        why=maybe,
    ),
    verdict=st.sampled_from(Verdict),
    findings=st.lists(findings, max_size=12).map(tuple),
    readiness=st.lists(
        st.builds(
            ReadinessReport,
            runtime=text,
            ready=st.none() | st.booleans(),
            why=long,
            other_folders=long,
        ),
        max_size=8,
    ).map(tuple),
    standing=st.none() | standing,
)
changes = st.builds(
    Change,
    name=file_name,
    from_version=maybe,
    to=maybe,
    before=st.none() | sha256,
    after=st.none() | sha256,
    diff=long,
)
results = st.builds(
    Result,
    id=st.text(max_size=60),
    kind=st.sampled_from(Kind),
    node=st.text(max_size=253),
    outcome=st.sampled_from(Outcome),
    error=st.none() | st.builds(OperationError, code=code, message=long),
    report=st.none() | reports,
    changes=st.lists(changes, max_size=12).map(tuple),
    backup=st.none() | backup,
    replaced_by=st.dictionaries(text, backup, max_size=8),
    truncated=st.just(False),
)


@settings(max_examples=80, suppress_health_check=list(HealthCheck))
@given(results)
def test_every_result_fits_and_decodes(result: Result) -> None:
    message = encode(result)
    assert len(message) <= LIMIT
    back = decode(message.decode("ascii"))
    if not back.truncated:
        assert back == result
        return
    assert (back.id, back.kind, back.node) == (result.id, result.kind, result.node)
    assert (back.outcome, back.backup) == (result.outcome, result.backup)
    assert (back.error is None) == (result.error is None)
    if result.error is not None and back.error is not None:
        assert back.error.code == result.error.code
        assert back.error.message[:30] == result.error.message[:30]
    assert (back.report is None) == (result.report is None)
    if result.report is not None and back.report is not None:
        assert back.report.verdict == result.report.verdict
        faults = [f for f in result.report.findings if f.severity is Severity.FAULT]
        kept = [f for f in back.report.findings if f.severity is Severity.FAULT]
        assert [f.code for f in kept] == [f.code for f in faults][: len(kept)]
        assert bool(kept) == bool(faults)


@settings(max_examples=20)
@given(results)
def test_the_log_line_is_the_whole_result(result: Result) -> None:
    line = compact(result)
    assert "\n" not in line
    assert Result.from_json(json.loads(line)) == result


def sample(files: int = 1, **members: object) -> Result:
    report = Report(
        runtime=RuntimeReport("containerd", "1.6.2", "1.0.1", "1.0.0"),
        paths=FoundPaths("/etc/cni/net.d", ("/opt/cni/bin",), "/var/lib/cni"),
        files=tuple(
            FileReport(
                f"{n}.conflist",
                hashlib.sha256(str(n).encode()).hexdigest()[:8] * 8,
                "conflist",
                "net",
                None,
                n == 0,
                ("bridge",),
                "1.0.0",
                Action.REWRITE if n % 2 == 0 else Action.NONE,
                noise(30, n),
            )
            for n in range(files)
        ),
        plugins=(PluginReport("bridge", VERSIONS, "1.1.0", Source.VERSION),),
        sandboxes={"missing": 2},
        baseline=Baseline(True, False, None, "F1"),
        after=After(True, True, True),
        verdict=Verdict.REWRITE,
        findings=(Finding("F1", Severity.FAULT, "0.conflist", "broken", "rewrite"),),
    )
    result = Result("audit-" + "0" * 20, Kind.AUDIT, "node-a", Outcome.DONE, report=report)
    return replace(result, **members)  # type: ignore[arg-type]


def test_a_small_result_is_plain_json() -> None:
    message = encode(sample()).decode()
    assert json.loads(message)["report"]["verdict"] == "Rewrite"


def test_a_larger_one_is_packed_whole() -> None:
    result = sample(files=20)
    message = encode(result).decode()
    assert message.startswith("gz:")
    assert decode(message) == result


def test_names_of_pods_go_first() -> None:
    """The whole report in the log has them, and nothing that is decided needs them."""
    report = sample().report
    assert report is not None
    few = sample(report=replace(report, pods={"missing": ("shop/cart-0",)}))
    assert decode(encode(few).decode()) == few
    many = {"missing": tuple(noise(300, n) for n in range(20))}
    back = decode(encode(sample(report=replace(report, pods=many))).decode())
    assert back == sample(truncated=True)


def test_diffs_go_before_anything_that_is_kept() -> None:
    change = Change("0.conflist", None, "1.0.0", "a" * 64, "b" * 64, noise(6000, 1))
    back = decode(encode(sample(changes=(change,))).decode())
    assert back.truncated
    assert back.changes[0].diff.endswith("...")
    assert back.report == sample().report


def test_what_an_apply_is_ordered_from_outlives_what_is_healthy() -> None:
    back = decode(encode(sample(files=70)).decode())
    assert back.truncated
    assert back.report is not None
    assert [file.name for file in back.report.files] == [f"{n}.conflist" for n in range(0, 70, 2)]
    assert all(len(file.sha256) == 64 for file in back.report.files)


def test_an_endless_error_is_cut_not_lost() -> None:
    error = OperationError("Unreadable", "x" + noise(9000, 3))
    back = decode(encode(sample(files=300, error=error)).decode())
    assert back.error is not None
    assert back.error.message[:100] == error.message[:100]
    assert back.report is not None
    assert back.report.findings == sample().report.findings  # type: ignore[union-attr]


def packed(data: bytes, cut: int = 0) -> str:
    whole = gzip.compress(data, mtime=0)
    return "gz:" + base64.b64encode(whole[: len(whole) - cut]).decode()


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ("", "empty"),
        ("  \n", "empty"),
        ("Killed", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "not a result"),
        ('{"schema": 7}', "schema: expected 1, got 7"),
        ('{"schema": 1, "id": 4}', "id: expected a string"),
        ("gz:%%%", "damaged"),
        ("gz:AAAA", "damaged"),
        (packed(b"{}" * 9, cut=9), "damaged"),
        (packed(b"\xff"), "damaged"),
        (packed(b" " * (UNPACKED_LIMIT + 1)), "more than"),
        (" {" + " " * UNPACKED_LIMIT + "}", "larger than"),
    ],
)
def test_what_is_no_result_is_named(message: str, text: str) -> None:
    with pytest.raises(MessageError, match=text):
        decode(message)


@settings(max_examples=60)
@given(st.text(max_size=200) | st.binary(max_size=200).map(packed))
def test_decode_raises_nothing_else(message: str) -> None:
    with pytest.raises(MessageError):
        decode(message)
