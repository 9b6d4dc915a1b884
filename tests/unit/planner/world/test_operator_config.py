"""The operator's configuration is refused with the names of what is wrong, never guessed at."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from cni_upgrade.planner.world.operator_config import (
    CarriedLibcni,
    ConfigError,
    ConfigSource,
    Namespaces,
    OperatorConfig,
    Preset,
    parse,
)

MANUAL = Path(__file__).parents[4] / "docs" / "reference" / "configuration.md"

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
        ({"sources": [{**SOURCE, "namespace": "Net"}]}, "sources.0.namespace: "),
        ({"imagePullPolicy": "ifnotpresent"}, "imagePullPolicy: "),
        ({"stateDir": "var/lib/cni-upgrade"}, "stateDir: "),
        ({"stateDir": "/var/lib/../cni-upgrade"}, "stateDir: "),
        ({"pluginMounts": {"data/cni": "/data"}}, "pluginMounts.data/cni"),
        ({"pluginMounts": {"/data/cni": "data"}}, "pluginMounts./data/cni: "),
        ({"pluginMounts": {"/data/cni": "/data/other"}}, "'/data/cni' is not in '/data/other'"),
        ({"namespaces": {"agents": "Not A Name"}}, "namespaces.agents: "),
        ({"namespaces": {"proof": ""}}, "namespaces.proof: "),
        ({"namespaces": {"system": "a" * 64}}, "namespaces.system: "),
        ({"leaseNamespace": "medik8s.leases"}, "leaseNamespace: "),
        ({"proofImage": "has space"}, "proofImage: "),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse({**GOOD, **change})
    assert named in str(error.value)


@pytest.mark.parametrize(
    "image",
    [
        "agent",
        "agent:1",
        "cniupgrade.dev/agent:dev",
        "localhost/agent",
        "registry:5000/a-b/c__d/agent.x:v1.2_3-rc.4",
        "Registry.Example:443/agent",
        "[2001:db8::1]:5000/agent:1",
        f"ghcr.io/some/agent@sha256:{'0a' * 32}",
        f"ghcr.io/some/agent:1@sha256:{'0a' * 32}",
    ],
)
def test_an_image_may_have_a_registry_with_a_port_a_tag_and_a_digest(image: str) -> None:
    assert parse({**GOOD, "agentImage": image}).agent_image == image


@pytest.mark.parametrize(
    "image",
    [
        " agent:1",
        "agent:1\n",
        "an agent",
        "Agent:1",
        "ghcr.io/Some/agent",
        "https://ghcr.io/agent",
        "ghcr.io//agent",
        "ghcr.io/agent/",
        "agent:",
        "agent:-1",
        f"agent:{'1' * 129}",
        "agent@sha256:0a",
        "registry:port/agent",
    ],
)
def test_what_no_runtime_could_pull_is_no_image(image: str) -> None:
    with pytest.raises(ConfigError, match=r"agentImage: .*is no image"):
        parse({**GOOD, "agentImage": image})


def test_a_configuration_may_say_what_is_usual() -> None:
    usual = {
        "imagePullPolicy": "Always",
        "stateDir": "/var/lib/cni-upgrade",
        "pluginMounts": {"/data/cni": "/data", "/data/current/bin": "/data/current/bin"},
        "namespaces": {"system": "a", "agents": "a-1", "proof": "a" * 63},
        "leaseNamespace": "",
    }
    assert parse({**GOOD, **usual}).image_pull_policy == "Always"


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


SECTIONS: dict[str, type[BaseModel]] = {
    "": OperatorConfig,
    "namespaces.": Namespaces,
    "auto.": Preset,
    "presets.*.": Preset,
    "runtimes.*.": CarriedLibcni,
    "sources.*.": ConfigSource,
}


def fields() -> Iterator[tuple[str, str]]:
    """Each field as it is written, and its default as JSON; empty where it has none."""
    for under, section in SECTIONS.items():
        for name, field in section.model_fields.items():
            default = field.get_default(call_default_factory=True)
            if isinstance(default, BaseModel):
                continue  # its own fields have theirs
            text = "" if field.is_required() else json.dumps(default)
            yield f"{under}{field.alias or name}", text


def test_the_manual_has_every_field_with_its_default() -> None:
    text = MANUAL.read_text(encoding="utf-8")
    table = text.partition("| field | default | what |\n|---|---|---|\n")[2].partition("\n\n")[0]
    told = [
        (name, default.strip().strip("`"))
        for _, names, default, *_ in (row.split("|") for row in table.splitlines())
        for name in re.findall("`([^`]+)`", names)
    ]
    assert sorted(told) == sorted(fields())
