"""The results cache tells at which version each sandbox was added, and never stops the reading."""

import base64
import json
import shutil

import pytest

from cni_upgrade.agent.agent import run
from cni_upgrade.agent.discovery import sandboxes
from tests.unit.agent.host import VERSIONLESS, Host, report


def read(host: Host) -> tuple[dict[str, int], list[str]]:
    found, findings = sandboxes.read(str(host.root), "/var/lib/cni")
    return sandboxes.count(found), [
        f"{finding.component}: {finding.message}" for finding in findings
    ]


def test_no_cache_is_no_sandbox(host: Host) -> None:
    assert read(host) == ({}, [])
    host.results.rmdir()
    assert read(host) == ({}, [])


def test_a_cache_behind_a_link_is_read_on_the_host_and_never_taken_for_empty(host: Host) -> None:
    """As chroot would have it: an absolute link names the host's path, not one of the agent's."""
    host.config()
    host.plugins()
    host.runtime = "containerd://1.5.8"
    host.sandbox(None)
    (host.root / "run").mkdir()
    moved = host.results.rename(host.root / "run/cni-results")
    host.results.symlink_to("/run/cni-results")
    assert read(host) == ({"missing": 1}, [])
    assert report(run(host.audit())).files[0].to == "0.3.1"
    moved.rename(host.root / "run/elsewhere")  # or: not mounted
    counts, [said] = read(host)
    assert counts == {"unknown": 1}
    assert "a link to /run/cni-results, which is not there or not mounted" in said
    assert report(run(host.audit())).files[0].to == "0.3.1"


def test_versions_are_those_of_the_config_of_the_add(host: Host) -> None:
    host.sandbox(None, "a" * 64)
    host.sandbox(None, "b" * 64)
    host.sandbox("1.0.0", "c" * 64)
    assert read(host) == ({"1.0.0": 1, "missing": 2}, [])
    found, _ = sandboxes.read(str(host.root), "/var/lib/cni")
    assert found[2].network == "pod-net"
    assert found[2].container_id == "c" * 64
    assert found[2].ifname == "eth0"


@pytest.mark.parametrize(
    ("args", "pod"),
    [
        ([["X", "1"], ["K8S_POD_NAMESPACE", "shop"], ["K8S_POD_NAME", "web-0"]], "shop/web-0"),
        ([["K8S_POD_NAME", "web-0"]], ""),
        ([["K8S_POD_NAMESPACE", 1], ["K8S_POD_NAME", "x"], "y", ["z"]], ""),
        ({}, ""),
        (None, ""),
    ],
)
def test_the_pod_is_the_one_of_the_cached_arguments(host: Host, args: object, pod: str) -> None:
    path = host.sandbox("1.0.0")
    path.write_text(json.dumps({**json.loads(path.read_text()), "cniArgs": args}))
    found, findings = sandboxes.read(str(host.root), "/var/lib/cni")
    assert ([each.pod for each in found], findings) == ([pod], [])
    assert [call.binary for call in found[0].calls or ()] == ["bridge"]


UID = ["K8S_POD_UID", "0d9c"]


@pytest.mark.parametrize(
    ("args", "is_one"),
    [
        ([["K8S_POD_NAMESPACE", "shop"], ["K8S_POD_NAME", "web-0"]], True),
        ([["K8S_POD_NAMESPACE", "web"], ["K8S_POD_NAME", "web"], UID], True),
        ([["K8S_POD_NAMESPACE", "web"], ["K8S_POD_NAME", "web"]], None),  # podman up to 3.3
        ([["IgnoreUnknown", "1"], ["K8S_POD_NAME", "web"]], False),  # podman from 3.4 on
        ([["IgnoreUnknown", "1"]], False),
        ([], None),
        (None, None),
    ],
)
def test_a_container_is_a_pod_where_its_plugins_were_told_a_namespace(
    host: Host, args: object, is_one: bool | None
) -> None:
    path = host.sandbox("1.0.0")
    path.write_text(json.dumps({**json.loads(path.read_text()), "cniArgs": args}))
    [found], _ = sandboxes.read(str(host.root), "/var/lib/cni")
    assert found.of_kubernetes is is_one


def test_crio_is_asked_about_the_plugins_of_the_cached_configs(host: Host) -> None:
    host.runtime = "cri-o://1.30.0"
    host.plugins()
    host.config(text=VERSIONLESS.replace("{", '{"cniVersion": "1.0.0",', 1))
    host.sandbox("1.0.0")  # the same pod's, on the file's network
    path = host.sandbox("1.0.0", network="other")
    config = b'{"cniVersion": "1.0.0", "name": "other", "plugins": [{"type": "macvlan"}]}'
    entry = {**json.loads(path.read_text()), "config": base64.b64encode(config).decode()}
    path.write_text(json.dumps(entry))
    assert report(run(host.audit())).after.existing_delete is False, "it is not there"
    host.plugin("macvlan", "0.4.0")
    assert report(run(host.audit())).after.existing_delete is False
    host.plugin("macvlan")
    assert report(run(host.audit())).after.existing_delete is True


def test_the_runtimes_own_loopback_does_not_count(host: Host) -> None:
    host.sandbox("0.3.1", network="cni-loopback")
    assert read(host) == ({}, [])


@pytest.mark.parametrize("network", ["cni-loopback-x", "cni-loopback-0123456789ab"])
def test_a_network_with_a_name_like_the_loopbacks_counts(host: Host, network: str) -> None:
    path = host.sandbox(None, network=network)
    host.sandbox("0.3.1", network="cni-loopback")
    assert read(host) == ({"missing": 1}, [])
    path.write_text("{")
    counts, [said] = read(host)
    assert counts == {"unknown": 1}
    assert said.startswith(network)


def test_a_broken_entry_of_the_loopback_does_not_count(host: Host) -> None:
    host.sandbox("0.3.1", network="cni-loopback").write_text("{")
    assert read(host) == ({}, [])


def test_an_entry_under_another_name_counts_for_every_network(host: Host) -> None:
    """libcni finds an entry by its name, whatever network stands in it; ocicni by the latter."""
    host.config()
    host.plugins()
    host.runtime = "containerd://1.5.8"
    path = host.sandbox(None, network="pod-net")
    path.write_text(json.dumps({**json.loads(path.read_text()), "networkName": "elsewhere"}))
    counts, [said] = read(host)
    assert counts == {"missing": 1}
    assert "has another network, container or interface in it than its name says" in said
    assert report(run(host.audit())).files[0].to == "0.3.1"
    path.write_text(json.dumps({**json.loads(path.read_text()), "networkName": "cni-loopback"}))
    assert read(host)[0] == {"missing": 1}


def test_a_single_plugin(host: Host) -> None:
    path = host.sandbox("1.0.0")
    entry = json.loads(path.read_text())
    config = b'{"name":"x","type":"bridge","CNIVersion":"0.3.1"}'
    entry["config"] = base64.b64encode(config).decode()
    path.write_text(json.dumps(entry))
    assert read(host) == ({"0.3.1": 1}, [])


LISTED = VERSIONLESS.replace("{", '{"cniVersions": ["0.3.1", "0.4.0"],', 1)
"""At 0.4.0 for libcni from 1.2 on, at no version for those before it."""


def cached(host: Host, text: str, told: object, container: str = "a" * 64) -> None:
    """A pod that was added with that config, whose plugins answered at that version."""
    path = host.sandbox(None, container)
    entry = json.loads(path.read_text())
    result = {} if told is None else {"cniVersion": told}
    entry |= {"config": base64.b64encode(text.encode()).decode(), "result": result}
    path.write_text(json.dumps(entry))


@pytest.mark.parametrize(
    ("told", "counts"),
    [
        ("0.4.0", {"0.4.0": 1}),
        ("0.1.0", {"missing": 1}),
        ("", {"unknown": 1}),
        ("0.3.1", {"unknown": 1}),
        (None, {"unknown": 1}),
        (["0.4.0"], {"unknown": 1}),
    ],
)
def test_where_releases_read_a_cached_config_otherwise_its_result_decides(
    host: Host, told: object, counts: dict[str, int]
) -> None:
    """Which libcni added the pod is not on record: the runtime may have been another one then."""
    cached(host, LISTED, told)
    found, said = read(host)
    assert found == counts
    assert [text.partition(": ")[0] for text in said] == ["results"] * ("unknown" in counts)


def test_pods_of_which_that_is_not_known_are_one_finding(host: Host) -> None:
    for container in "abc":
        cached(host, LISTED, None, container * 64)
    counts, [said] = read(host)
    assert counts == {"unknown": 3}
    assert said.startswith("results: 3 cached sandboxes added with a config that tells several")


HIDDEN = VERSIONLESS.replace("{", '{"cniVersion": "1.0.0",', 1).replace(
    '"type": "portmap",', '"type": "portmap", "cniversion": "0.3.1",'
)
"""At 1.0.0, but for the last plugin, whose result is the one that is cached."""


@pytest.mark.parametrize(
    ("runtime", "told", "counts", "works"),
    [
        ("containerd://1.7.2", "0.3.1", {"0.3.1": 1}, True),
        ("containerd://1.7.2", "1.1.0", {"1.1.0": 1}, False),
        ("containerd://1.7.2", "x", {"unknown": 1}, None),
        ("containerd://1.7.2", ["0.3.1"], {"unknown": 1}, None),
        ("containerd://1.7.2", None, {"unknown": 1}, None),
        ("cri-o://1.30.0", "0.3.1", {"unknown": 1}, None),
    ],
)
def test_a_key_of_a_plugins_own_makes_the_result_another_one(
    host: Host, runtime: str, told: object, counts: dict[str, int], works: bool | None
) -> None:
    """libcni converts the result, whatever the config said; CRI-O runs the mixture once more."""
    host.runtime = runtime
    host.plugins()
    host.config(text=VERSIONLESS.replace("{", '{"cniVersion": "1.0.0",', 1))
    cached(host, HIDDEN, told)
    found = report(run(host.audit()))
    assert (found.sandboxes, found.baseline.delete) == (counts, works)


def test_a_cached_config_that_only_older_releases_read_was_added_by_one(host: Host) -> None:
    cached(host, LISTED.replace('["0.3.1", "0.4.0"]', '"0.4.0"'), None)
    assert read(host) == ({"missing": 1}, [])


@pytest.mark.parametrize("told", ["0.1.0", None])
def test_a_pod_that_an_old_libcni_added_with_no_version_bounds_the_rewrite(
    host: Host, told: str | None
) -> None:
    """libcni 0.8.1 passes over cniVersions, and cannot delete at 0.4.0 what has no version."""
    host.runtime = "containerd://1.5.5"
    host.plugins("0.4.0")
    host.config(text=LISTED)
    cached(host, LISTED, told)
    found = report(run(host.audit()))
    assert (found.files[0].action, found.files[0].to) == ("Rewrite", "0.3.1")
    assert "SandboxLimit" in {each.code for each in found.findings}
    assert found.after.existing_delete is True
    done = run(host.apply(to="0.3.1"))
    assert '"cniVersion": "0.3.1"' in (host.conf / "10-pod.conflist").read_text(), done
    assert "cniVersions" not in (host.conf / "10-pod.conflist").read_text()


@pytest.mark.parametrize(
    ("runtime", "works", "counts"),
    [
        ("cri-o://1.23.0", False, {"missing": 1}),
        ("cri-o://1.30.0", True, {"missing": 1}),
        ("cri-o://1.31.0", True, {"0.4.0": 1}),
    ],
)
def test_crio_reads_the_cached_config_with_the_libcni_that_it_has_now(
    host: Host, runtime: str, works: bool, counts: dict[str, int]
) -> None:
    host.runtime = runtime
    host.plugins()
    host.config(text=VERSIONLESS.replace("{", '{"cniVersion": "0.4.0",', 1))
    cached(host, LISTED, "0.4.0")
    found = report(run(host.audit()))
    assert found.sandboxes == counts
    assert (found.baseline.delete, found.after.existing_delete) == (works, works)
    assert ("CachedDel" in {each.code for each in found.findings}) is not works


def test_the_oldest_form_is_the_result_itself(host: Host) -> None:
    name = f"my-net-{'a' * 64}-eth0"
    (host.results / name).write_text('{"cniVersion": "0.3.1", "ips": []}')
    (host.results / f"my-net-{'b' * 64}-eth0").write_text('{"ip4": {"ip": "10.1.1.1/24"}}')
    found, findings = sandboxes.read(str(host.root), "/var/lib/cni")
    assert not findings
    assert [(each.network, each.container_id, each.ifname, each.version) for each in found] == [
        ("my-net", "a" * 64, "eth0", "0.3.1"),
        ("my-net", "b" * 64, "eth0", None),
    ]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("", "not JSON"),
        ("[]", "not a JSON object"),
        ("{}", "neither of kind"),
        ('{"cniVersion": 4}', "not a string"),
        ('{"kind": "cniCacheV1"}', "is not a string"),
        (
            '{"kind": "cniCacheV1", "networkName": "n", "containerId": "c", "ifName": "i", '
            '"config": "%"}',
            "not base64",
        ),
        (
            '{"kind": "cniCacheV1", "networkName": "n", "containerId": "c", "ifName": "i", '
            '"config": "e30="}',
            "none that libcni reads",
        ),
        ("[" * 100_000, "not JSON"),
        (" " * (2 << 20), "larger than"),
    ],
)
def test_a_broken_entry_is_a_finding_and_a_sandbox(host: Host, content: str, text: str) -> None:
    host.sandbox("1.0.0")
    (host.results / f"pod-net-{'d' * 64}-eth0").write_text(content)
    counts, findings = read(host)
    assert counts == {"1.0.0": 1, "unknown": 1}
    assert len(findings) == 1
    assert text in findings[0]


def test_what_is_no_file(host: Host) -> None:
    (host.results / "folder").mkdir()
    (host.results / "link").symlink_to("/etc/passwd")
    counts, findings = read(host)
    assert counts == {"unknown": 2}
    assert len(findings) == 2


def test_a_cache_that_cannot_be_opened(host: Host) -> None:
    host.results.rmdir()
    host.results.write_text("")
    counts, findings = read(host)
    assert counts == {"unknown": 1}
    assert "cannot be read" in findings[0]


UNSEEN = ("no folder", "a link that leads nowhere", "no entry's name", "an empty entry")


def hide(host: Host, how: str) -> None:
    """The cache can no longer be read, all of it or an entry."""
    if how == "an empty entry":
        (host.results / f"pod-net-{'d' * 64}-eth0").write_text("")
    elif how == "no entry's name":
        (host.results / "x").write_text("{")
    else:
        shutil.rmtree(host.results if how == "no folder" else host.results.parent)
    if how == "no folder":
        host.results.write_text("")
    elif how == "a link that leads nowhere":
        host.results.parent.symlink_to("/not/mounted")


@pytest.mark.parametrize("how", UNSEEN)
def test_pods_that_cannot_be_seen_are_not_taken_for_none(host: Host, how: str) -> None:
    """libcni 1.0.1 could not delete a pod of 1.1.0 once the file carries 1.0.0."""
    host.plugins()
    host.config()
    assert report(run(host.audit())).files[0].to == "1.0.0"
    hide(host, how)
    found = report(run(host.audit()))
    assert found.files[0].to == "0.3.1", "what libcni deletes without the cached result"
    assert found.sandboxes == {"unknown": 1}


@pytest.mark.parametrize("how", UNSEEN)
@pytest.mark.parametrize("runtime", ["containerd://1.6.2", "containerd://1.7.2", "cri-o://1.30.0"])
def test_a_healthy_node_is_not_lowered_for_pods_that_cannot_be_seen(
    host: Host, runtime: str, how: str
) -> None:
    host.runtime = runtime
    host.plugins()
    host.config(text=VERSIONLESS.replace("{", '{"cniVersion": "1.0.0",', 1))
    hide(host, how)
    found = report(run(host.audit()))
    assert (found.verdict, found.files[0].action, found.files[0].to) == (
        "Compatible", "None", "1.0.0",
    )  # fmt: skip
    assert (found.baseline.add, found.baseline.delete, found.after.existing_delete) == (
        None if "cri-o" in runtime else True, None, None,
    )  # fmt: skip
    faults = [each.code for each in found.findings if each.severity == "Fault"]
    assert faults == []
    assert found.sandboxes == {"unknown": 1}
