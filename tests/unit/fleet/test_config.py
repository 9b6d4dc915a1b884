"""The operator's configuration is refused with the names of what is wrong, never guessed at."""

from typing import Any

import pytest

from cni_upgrade.fleet.config import ConfigError, parse

GOOD = {
    "agentImage": "agent:1",
    "proofImage": "agent:1",
    "auto": {"confDirs": ["/etc/cni/net.d"], "binDirs": ["/opt/cni/bin"]},
}

SOURCE = {"namespace": "net", "name": "mynet", "key": "conf", "files": ["10-mynet.conflist"]}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"agentImag": "x"}, "agentImag"),
        ({"auto": {**GOOD["auto"], "confDir": ["/etc"]}}, "auto.confDir"),  # type: ignore[dict-item]
        ({"presets": {"k3s": {"confDirs": ["/a"]}}}, "presets.k3s.binDirs"),
        ({"auditParallel": 0}, "auditParallel"),
        ({"jobTtlSeconds": 60}, "jobTtlSeconds"),
        ({"agentImage": ""}, "agentImage"),
        ({"auto": {"confDirs": ["etc"], "binDirs": ["/b"]}}, "'etc' is not an absolute path"),
        ({"auto": {"confDirs": ["/a/../b"], "binDirs": ["/b"]}}, "'/a/../b'"),
        ({"auto": {"confDirs": [], "binDirs": ["/b"]}}, "auto.confDirs"),
        ({"sources": [{"namespace": "n", "name": "c", "key": "k"}]}, "sources.0.files"),
        ({"runtimes": [{"runtime": "containerd", "libcni": "1.3.1"}]}, "runtimes.0.runtime"),
        ({"runtimes": [{"runtime": "containerd://2.5", "libcni": "1.3"}]}, "libcni '1.3'"),
        ({"runtimes": [{"runtime": "containerd://2.5", "libcni": "9.0.0"}]}, "libcni '9.0.0'"),
        ({"sources": [{**SOURCE, "name": ""}]}, "sources.0.name"),
        ({"sources": [{**SOURCE, "placeholders": ["__A"]}]}, "'__A' is shorter"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse({**GOOD, **change})
    assert named in str(error.value)


@pytest.mark.parametrize("document", [None, [], "text", 3])
def test_what_is_no_document_at_all_is_said(document: Any) -> None:
    with pytest.raises(ConfigError, match="operator configuration"):
        parse(document)


def test_every_wrong_field_is_named_at_once() -> None:
    with pytest.raises(ConfigError) as error:
        parse({**GOOD, "attempts": 0, "typo": 1})
    assert "attempts" in str(error.value)
    assert "typo" in str(error.value)


def test_a_preset_is_auto_or_allowed_by_name() -> None:
    config = parse({**GOOD, "presets": {"k3s": GOOD["auto"]}})
    assert config.preset("auto") == config.auto
    assert config.preset("k3s") == config.presets["k3s"]
    assert config.preset("k3z") is None


def test_what_is_said_of_a_runtime_is_of_a_release_or_of_its_line() -> None:
    said = [("containerd://2.5", "1.3.1"), ("containerd://2.5.7", "1.2.3")]
    config = parse({**GOOD, "runtimes": [{"runtime": r, "libcni": c} for r, c in said]})
    assert config.libcni("containerd://2.5.0~ds1") == "1.3.1"
    assert config.libcni("containerd://2.5.7") == "1.2.3"
    assert config.libcni("containerd://2.50.0") is None
    assert config.libcni("cri-o://2.5.0") is None
