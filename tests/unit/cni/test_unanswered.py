"""What a move begins to ask of plugins, and nothing shows that they answer: CHECK and STATUS."""

import json
from dataclasses import replace

import pytest

from cni_upgrade.cni import config, moves, versions
from cni_upgrade.cni.facts import Facts, Support, Target
from cni_upgrade.cni.readiness import readiness, together
from cni_upgrade.cni.verdict import judge
from tests.unit.cni import samples


def facts(runtime: str, *plugins: str, **members: object) -> Facts:
    """A node with a list of those plugins, each of which claims every version."""
    ipam = {"ipam": {"type": "host-local"}}
    listed = [{"type": each, **(ipam if each == "bridge" else {})} for each in plugins]
    text = {"name": "n", "plugins": listed, **members}
    read = config.read("10-net.conflist", json.dumps(text).encode())
    claimed = {
        each: samples.told(each, versions.KNOWN[-1])
        for each in (*plugins, "host-local", "loopback")
    }
    return Facts(runtime, [read], claimed)


def at(runtime: str, version: str, *others: str) -> Facts:
    return facts(runtime, "aws-cni", cniVersion=version, cniVersions=[version, *others])


@pytest.mark.parametrize("runtime", ["containerd://1.7.20", "docker://20.10.7"])
def test_a_move_to_crio_begins_to_ask_check(runtime: str) -> None:
    known = facts(runtime, "aws-cni", "portmap", cniVersion="1.0.0")
    found = readiness(known, "cri-o>=1.25")
    assert (found.ready, found.obstacles) == (None, ())
    (why,) = together(found.unanswered)
    assert why.startswith("cri-o 1.25.0 to 1.30, cri-o 1.31.0 to 1.32, cri-o 1.33.0 to 1.36: ")
    assert "CHECK" in why
    assert "whether aws-cni answers" in why
    assert not list(moves.breaks(known, judge(known, Target()))), (
        "not known is no finding of a move"
    )


@pytest.mark.parametrize(
    "known",
    [
        facts("containerd://1.7.20", "bridge", "portmap", cniVersion="1.0.0"),
        facts("containerd://1.7.20", "aws-cni", cniVersion="0.3.1"),
        facts("containerd://1.7.20", "aws-cni", cniVersion="1.0.0", disableCheck=True),
        facts("cri-o://1.24.0", "aws-cni", cniVersion="1.0.0"),
        facts("cri-o://1.24.0", "aws-cni", cniVersion="1.0.0", name=""),
    ],
    ids=[
        "they answer",
        "there is none at that version",
        "the list says no",
        "asked today",
        "asked today, of a network that CRI-O names by its file",
    ],
)
def test_who_is_not_newly_asked_check(known: Facts) -> None:
    assert readiness(known, "cri-o>=1.25").ready is True


def test_a_version_that_only_a_later_release_reads_begins_to_ask_check() -> None:
    """libcni reads cniVersions from 1.2 on."""
    known = at("cri-o://1.24.0", "0.3.1", "1.0.0")
    found = readiness(known, "cri-o>=1.25")
    assert found.ready is None
    assert {each.releases for each in found.unanswered} == {
        "cri-o 1.31.0 to 1.32",
        "cri-o 1.33.0 to 1.36",
    }


@pytest.mark.parametrize(
    ("known", "wanted", "first"),
    [
        (at("containerd://1.7.20", "1.0.0", "1.1.0"), "containerd>=2.1", "containerd 2.1.0 to 2.3"),
        (at("containerd://1.7.20", "1.0.0", "1.1.0"), "containerd>=2.0", "containerd 2.0.1 to 2.0"),
        (at("containerd://2.0.0", "1.1.0"), "containerd>=2.1", "containerd 2.1.0 to 2.3"),
        (at("containerd://2.0.0", "1.1.0"), "containerd>=2.0", "containerd 2.0.1 to 2.0"),
        (at("cri-o://1.30.1", "1.0.0", "1.1.0"), "cri-o>=1.34", "cri-o 1.34.0 to 1.36"),
        (at("cri-o://1.32.0", "1.1.0"), "cri-o>=1.34", "cri-o 1.34.0 to 1.36"),
        (at("cri-o://1.32.0", "1.1.0"), "cri-o>=1.33", "cri-o 1.33.0 to 1.36"),
    ],
)
def test_a_move_begins_to_ask_status(known: Facts, wanted: str, first: str) -> None:
    found = readiness(known, wanted)
    assert (found.ready, found.obstacles) == (None, ())
    assert found.unanswered[0].releases == first
    (why,) = {each.why for each in found.unanswered}
    said = "may ask" if first.startswith("cri-o 1.33") else "asks"
    assert f"it {said} STATUS of aws-cni, and" in why


@pytest.mark.parametrize(
    ("known", "wanted"),
    [
        (at("containerd://2.0.1", "1.1.0"), "containerd>=2.0"),
        (at("containerd://1.7.20", "1.0.0"), "containerd>=2.1"),
        (at("cri-o://1.34.0", "1.1.0"), "cri-o>=1.34"),
    ],
)
def test_who_is_not_newly_asked_status(known: Facts, wanted: str) -> None:
    assert readiness(known, wanted).ready is True


def test_only_the_files_in_use_count() -> None:
    known = at("containerd://2.0.0", "1.0.0")
    other = replace(at("", "1.1.0").configs[0], name="20-other.conflist")
    beside = replace(known, configs=[*known.configs, other])
    assert readiness(beside, "containerd>=2.1").ready is True
    assert readiness(replace(beside, max_conf_num=0), "containerd>=2.1").ready is None


def beside(known: Facts, first: Facts) -> Facts:
    """The same node with a file of another network before its own."""
    before = replace(first.configs[0], name="05-first.conflist")
    plugins = {**known.plugins, **first.plugins}
    return replace(known, configs=[before, *known.configs], plugins=plugins)


def test_what_today_asks_of_the_file_in_use_says_nothing_of_another_and_status() -> None:
    """CRI-O runs one file, this containerd all of them."""
    known = beside(at("cri-o://1.34.0", "1.1.0"), at("", "1.0.0"))
    found = readiness(replace(known, max_conf_num=0), "containerd>=2.1")
    assert (found.ready, found.obstacles) == (None, ())
    (why,) = together(found.unanswered)
    assert why.startswith("containerd 2.1.0 to 2.3, containerd 2.4.0 to 2.4: it asks STATUS of ")


def test_what_today_asks_of_the_network_in_use_says_nothing_of_the_one_that_is_named() -> None:
    """The default network is CRI-O's alone: containerd runs the first file."""
    known = beside(
        facts("containerd://2.1.0", "bridge", cniVersion="1.1.0"),
        facts("", "ptp", name="other", cniVersion="1.0.0"),
    )
    found = readiness(replace(known, default_network="n"), "cri-o>=1.34")
    assert (found.ready, found.obstacles) == (None, ())
    (why,) = together(found.unanswered)
    assert why.startswith("cri-o 1.34.0 to 1.36: it asks STATUS of bridge, and")


def once_refused(version: str, later: str) -> Facts:
    """A file whose plugin takes one of its versions; libcni reads the other from 1.2 on."""
    found = facts("", "bridge", cniVersion=version, cniVersions=[version, later])
    return replace(found, plugins={"bridge": Support.told("bridge", [version])})


def test_what_today_asks_of_the_file_in_use_says_nothing_of_another_and_check() -> None:
    """CRI-O from 1.31 on passes over the first file, for its plugin refuses the higher version."""
    known = beside(at("cri-o://1.30.0", "1.0.0"), once_refused("1.0.0", "1.1.0"))
    found = readiness(known, "cri-o>=1.31")
    assert (found.ready, found.obstacles) == (None, ())
    (why,) = together(found.unanswered)
    assert "cri-o 1.31.0 to 1.32, cri-o 1.33.0 to 1.36: it asks CHECK of every pod" in why


def test_a_pod_that_cannot_be_added_today_is_not_asked_check() -> None:
    """No file can be used today: the plugin takes the version alone that a later libcni reads."""
    known = at("cri-o://1.30.0", "0.4.0", "1.0.0")
    known = replace(known, plugins={"aws-cni": Support.told("aws-cni", ["1.0.0"])})
    found = readiness(known, "cri-o>=1.31")
    assert (found.ready, found.obstacles) == (None, ())
    assert {each.releases for each in found.unanswered} == {
        "cri-o 1.31.0 to 1.32",
        "cri-o 1.33.0 to 1.36",
    }


def appended(known: Facts, plugin: str) -> Facts:
    """The same node with a plugin in the network's folder, which libcni reads from 1.3 on."""
    (own,) = known.configs
    inline = {"50-more.conf": json.dumps({"type": plugin}).encode()}
    read = config.read(own.name, own.data, inline=inline)
    claimed = samples.told(plugin, versions.KNOWN[-1])
    return replace(known, configs=[read], plugins={**known.plugins, plugin: claimed})


@pytest.mark.parametrize("own", ["bridge", "cilium-cni"])
def test_what_today_asks_of_a_file_says_nothing_of_the_plugins_added_to_it_and_check(
    own: str,
) -> None:
    known = appended(facts("cri-o://1.30.0", own, cniVersion="1.0.0"), "aws-cni")
    found = readiness(known, "cri-o>=1.30")
    assert (found.ready, found.obstacles) == (None, ())
    (why,) = together(found.unanswered)
    assert why.startswith("cri-o 1.33.0 to 1.36: it asks CHECK of every pod")
    assert "whether aws-cni answers" in why


@pytest.mark.parametrize(
    ("runtime", "wanted", "first"),
    [
        ("containerd://2.0.1", "containerd>=2.0", "containerd 2.1.0 to 2.3"),
        ("containerd://2.0.1", "cri-o>=1.33", "cri-o 1.33.0 to 1.36"),
    ],
)
def test_what_today_asks_of_a_file_says_nothing_of_the_plugins_added_to_it_and_status(
    runtime: str, wanted: str, first: str
) -> None:
    known = appended(facts(runtime, "bridge", "portmap", cniVersion="1.1.0"), "tuning")
    found = readiness(known, wanted)
    assert (found.ready, found.obstacles) == (None, ())
    assert found.unanswered[0].releases == first
    assert all(" STATUS of tuning, and" in each.why for each in found.unanswered)


@pytest.mark.parametrize(
    ("known", "wanted"),
    [
        (
            appended(facts("cri-o://1.30.0", "aws-cni", cniVersion="1.0.0"), "aws-cni"),
            "cri-o>=1.33",
        ),
        (
            appended(facts("cri-o://1.30.0", "bridge", cniVersion="1.0.0"), "portmap"),
            "cri-o>=1.33",
        ),
        (
            appended(
                facts("cri-o://1.30.0", "bridge", cniVersion="1.0.0", loadOnlyInlinedPlugins=True),
                "aws-cni",
            ),
            "cri-o>=1.33",
        ),
        (appended(at("containerd://2.0.1", "1.1.0"), "aws-cni"), "containerd>=2.1"),
        (appended(at("containerd://2.1.0", "1.1.0"), "tuning"), "containerd>=2.4"),
    ],
    ids=[
        "check, one that is asked today",
        "check, one that answers",
        "check, the folder is not read",
        "status, one that is asked today",
        "status, today's libcni adds it",
    ],
)
def test_an_added_plugin_that_is_not_newly_asked(known: Facts, wanted: str) -> None:
    assert readiness(known, wanted).ready is True
