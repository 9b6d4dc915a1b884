"""What runs beside the runtime and the plugins' binaries: podman, and antrea's agent."""

import json

import pytest

from cni_upgrade.cni import versions
from cni_upgrade.cni.facts import Support
from cni_upgrade.cni.findings import Severity
from cni_upgrade.cni.verdict import Judgement, Target
from tests.unit.cni.judged import NEW, codes, node

PODMANS = "87-podman-bridge.conflist"
ANTREA = {**NEW, "antrea": Support.told("antrea", versions.KNOWN)}


def podman(version: str | None, target: Target, managed: str = "Skip", name: str = PODMANS,
           network: str = "podman", bridge: str = "cni-podman0") -> Judgement:  # fmt: skip
    said = {} if version is None else {"cniVersion": version}
    plugin = {"type": "bridge", "bridge": bridge, "ipam": {"type": "host-local"}}
    data = json.dumps({**said, "name": network, "plugins": [plugin]}).encode()
    return node("cri-o://1.34.0", None, NEW, (), target, data, name, managed)


def test_podmans_file_is_not_raised_above_what_podman_reads() -> None:
    found = podman("0.4.0", Target("1.0.0"))
    assert (found.verdict, found.files[0].action, found.files[0].to) == (
        "Compatible",
        "None",
        "0.4.0",
    )
    [told] = [each for each in found.findings if each.code == "Shared"]
    assert told.severity == Severity.WARNING
    assert told.component == PODMANS
    assert "podman 3 (libcni 0.8.1) reads up to 0.4.0" in told.message
    missing = podman(None, Target("1.0.0"))
    assert (missing.files[0].action, missing.files[0].to) == ("Rewrite", "0.4.0")
    raised = podman("1.0.0", Target("1.0.0"))
    assert (raised.files[0].action, raised.files[0].to) == ("None", "1.0.0")


@pytest.mark.parametrize(
    ("target", "managed"), [(Target("1.0.0", "Exact"), "Skip"), (Target("1.0.0"), "Override")]
)
def test_a_policy_that_insists_is_told_what_becomes_of_podman(target: Target, managed: str) -> None:
    found = podman("0.4.0", target, managed)
    assert (found.files[0].action, found.files[0].to) == ("Rewrite", "1.0.0")
    [told] = [each for each in found.findings if each.code == "Shared"]
    assert "at 1.0.0 it can neither start containers on this network" in told.message


@pytest.mark.parametrize(
    ("name", "network", "bridge", "theirs"),
    [
        (PODMANS, "net", "cni0", True),
        ("10-net.conflist", "podman", "cni0", True),
        ("web.conflist", "web", "cni-podman3", True),
        ("10-net.conflist", "net", "cni0", False),
    ],
)
def test_how_a_file_of_podmans_is_known(name: str, network: str, bridge: str, theirs: bool) -> None:
    found = podman("0.4.0", Target("1.0.0"), "Skip", name, network, bridge)
    assert found.files[0].to == ("0.4.0" if theirs else "1.0.0")
    assert ("Shared" in codes(found)) is theirs
    low = podman("0.3.1", Target("0.4.0"), "Skip", name, network, bridge)
    assert "Shared" not in codes(low)


def antrea(version: str | None, **members: str) -> Judgement:
    said = {} if version is None else {"cniVersion": version}
    plugin = {"type": "antrea", "ipam": {"type": "host-local"}}
    data = json.dumps({**said, "name": "antrea", "plugins": [plugin]}).encode()
    return node("containerd://1.7.30", None, ANTREA, (), Target(**members), data,
                managed_files="Override")  # fmt: skip


def test_antreas_agent_most_likely_refuses_a_missing_version() -> None:
    found = antrea(None)
    assert (found.baseline.add, found.baseline.del_) == (None, None), "read, and not run"
    [told] = [each for each in found.findings if each.code == "DaemonRefuses"]
    assert "read in its source" in told.message
    assert (found.files[0].action, found.files[0].to) == ("Rewrite", "1.0.0")
    assert (found.after.add, found.after.del_) == (True, True)
    faulty = antrea(None, rewrite="OnlyFaulty")
    assert (faulty.files[0].action, faulty.files[0].to) == ("Rewrite", "1.0.0")
    assert "DelegateVersion" not in codes(found)


@pytest.mark.parametrize("version", ["0.3.0", "1.0.0"])
def test_antreas_agent_takes_a_version_that_it_knows(version: str) -> None:
    found = antrea(version)
    assert (found.baseline.add, found.baseline.del_) == (True, True)
    assert "DaemonRefuses" not in codes(found)
