"""A version of a kind that libcni does not load: a rewrite mends it, and nothing else."""

from dataclasses import replace

import pytest

from cni_upgrade.cni import config, versions
from cni_upgrade.cni.facts import Support
from cni_upgrade.cni.findings import Severity
from cni_upgrade.cni.verdict import Facts, Target, judge
from tests.unit.cni import samples
from tests.unit.cni.judged import NEW, codes, node, pods

BAD_VERSIONS = (
    b'{"cniVersion": null, "name": "n", "plugins": [{"type": "portmap"}]}',
    b'{"cniVersion": 0.4, "name": "n", "plugins": [{"type": "portmap"}]}',
    b'{"cniVersion": "0.4.0", "name": "n", "plugins": [{"type": "portmap", "cniVersion": 1}]}',
)


@pytest.mark.parametrize("runtime", ["containerd://1.6.2", "cri-o://1.23.0", "containerd://2.1.3"])
@pytest.mark.parametrize("data", BAD_VERSIONS)
def test_a_version_that_is_no_string_is_cured(data: bytes, runtime: str) -> None:
    found = node(runtime, None, NEW, pods("0.4.0"), data=data)
    file = found.files[0]
    assert (found.verdict, file.action, file.to) == ("Rewrite", "Rewrite", "1.0.0")
    assert file.active
    assert file.why.startswith("not loaded; the target, which ")
    assert (found.baseline.add, found.baseline.del_) == (False, False)
    assert found.baseline.add_why is not None
    assert found.baseline.add_why.startswith("BadVersion: ")
    assert (found.after.add, found.after.del_) == (True, True)
    assert codes(found, Severity.FAULT) == ["BadVersion"]


def test_a_bad_cniversions_is_one_only_where_libcni_reads_it() -> None:
    data = (
        b'{"cniVersion": "1.0.0", "cniVersions": [1], "name": "n", "plugins": [{"type": "bridge", '
        b'"ipam": {"type": "host-local"}}]}'
    )
    assert node("containerd://1.7.30", None, NEW, data=data).verdict == "Compatible"
    found = node("containerd://2.0.14", None, NEW, data=data)
    assert (found.verdict, found.files[0].to) == ("Rewrite", "1.0.0")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b'{"cniVersion": null, "name": "n"}', "no 'plugins' key"),
        (
            b'{"cniVersion": 1, "name": "n", "disableCheck": 1, "plugins": [{"type": "bridge"}]}',
            "invalid disableCheck",
        ),
        (b'{"cniVersion": 1, "name": "n", "plugins": [{"cniVersion": 2}]}', "missing 'type'"),
    ],
)
def test_a_version_that_is_no_string_beside_another_fault(data: bytes, said: str) -> None:
    found = node("containerd://1.6.2", None, NEW, data=data)
    assert (found.verdict, found.files[0].action) == ("Blocked", "Refuse")
    assert codes(found, Severity.FAULT) == ["Invalid"]
    assert "and with another cniVersion: " in found.findings[0].message
    assert said in found.findings[0].message


def test_a_bad_version_that_no_version_can_replace_is_still_broken_afterwards() -> None:
    found = node("containerd://1.6.2", None, {}, data=BAD_VERSIONS[0])
    assert (found.verdict, found.files[0].action) == ("Blocked", "Refuse")
    assert (found.after.add, found.after.del_, found.after.existing_del) == (False, False, False)


def test_a_bad_version_in_the_file_of_another_writer() -> None:
    data = b'{"cniVersion": null, "name": "cbr0", "plugins": [{"type": "flannel"}]}'
    plugins = {**NEW, "flannel": Support.told("flannel", versions.KNOWN)}
    found = node("containerd://1.6.2", None, plugins, data=data)
    assert (found.verdict, found.after.add) == ("Managed", False)
    assert found.files[0].managed_by is not None
    over = node("containerd://1.6.2", None, plugins, data=data, managed_files="Override")
    assert (over.verdict, over.after.add) == ("Rewrite", True)


def test_two_files_of_which_one_cannot_be_mended() -> None:
    """containerd is told to load all: one file that is not loaded keeps the others out."""
    configs = [
        config.read("10-a.conflist", BAD_VERSIONS[0]),
        config.read("20-b.conflist", b'{"name": "m"}'),
    ]
    facts = Facts("containerd://1.6.2", configs, NEW, max_conf_num=0)
    found = judge(facts, Target())
    assert found.verdict == "Blocked"
    assert codes(found, Severity.FAULT) == ["MissingPlugins", "BadVersion"]
    alone = judge(replace(facts, max_conf_num=1), Target())
    assert (alone.verdict, alone.files[0].action) == ("Rewrite", "Rewrite")


def test_crio_takes_the_next_file_and_is_not_switched_back() -> None:
    configs = [
        config.read("10-a.conflist", BAD_VERSIONS[0]),
        config.read("20-b.conflist", samples.bridge("1.0.0")),
    ]
    found = judge(Facts("cri-o://1.25.0", configs, NEW), Target())
    assert found.verdict == "Compatible"
    assert [file.active for file in found.files] == [False, True]
    assert "SkippedFile" in codes(found)


@pytest.mark.parametrize("runtime", ["containerd://1.6.2", "cri-o://1.23.0"])
def test_each_of_two_files_with_a_bad_version_is_told_of(runtime: str) -> None:
    first, second = (
        config.read(f"{number}0-{number}.conflist", BAD_VERSIONS[1]) for number in (1, 2)
    )
    found = judge(Facts(runtime, (first, second), NEW), Target())
    assert (found.verdict, [file.action for file in found.files]) == (
        "Rewrite",
        ["Rewrite", "None"],
    )
    told = {(each.code, each.component): each.message for each in found.findings}
    assert ("BadVersion", first.name) in told
    assert "BadVersion: " in told["UnusedFile", second.name]
