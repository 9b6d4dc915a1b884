"""What a config gives a pod, no address or several of a family, decides below 0.3.0."""

import json

import pytest

from cni_upgrade.cni import config, versions
from cni_upgrade.cni.facts import Facts, Support
from cni_upgrade.cni.verdict import Judgement, Target, judge
from tests.unit.cni.judged import NEW, codes, node

TWO = [[{"subnet": "10.1.0.0/24"}], [{"subnet": "10.2.0.0/24"}]]


def listed(version: str | None, ipam: object, kind: str = "bridge") -> bytes:
    said = {"cniVersion": version} if version else {}
    plugin = {"type": kind} | ({"ipam": ipam} if ipam is not None else {})
    return json.dumps({**said, "name": "net", "plugins": [plugin]}).encode()


def judged(data: bytes, **target: str) -> Judgement:
    more = (
        "static",
        "whereabouts",
        "macvlan",
        "multus",
        "flannel",
        "ptp",
        "ipvlan",
        "portmap",
        "my-own",
    )
    plugins = {**NEW, **{each: Support.told(each, versions.KNOWN) for each in more}}
    plugins["multus"] = Support("multus", versions.KNOWN, "1.1.0", "VERSION", libcni="1.1.2")
    return node("containerd://1.7.30", None, plugins, (), Target(**target), data,
                managed_files="Override")  # fmt: skip


@pytest.mark.parametrize("version", [None, "0.1.0", "0.2.0"])
@pytest.mark.parametrize(
    ("ipam", "add", "delete"),
    [
        ({"type": "host-local", "ranges": TWO}, False, False),
        ({"type": "host-local", "Ranges": TWO}, False, False),
        ({"type": "host-local", "ranges": [[*TWO[0], *TWO[1]]]}, True, True),
        ({"type": "host-local", "subnet": "10.1.0.0/24", "ranges": [TWO[1]]}, False, False),
        ({"type": "host-local", "ranges": [TWO[0], [{"subnet": "fd00::/64"}]]}, True, True),
        ({"type": "host-local", "ranges": 1}, True, True),
        ({"type": "static", "addresses": [{"address": "1.1.1.1/8"}] * 2}, False, True),
        ({"type": "static", "addresses": [{"address": "1.1.1.1/8"}, None, 1]}, True, True),
        ({"type": "whereabouts", "addresses": [{"address": "fd00::1/8"}] * 2}, False, False),
    ],
)
def test_what_fails_below(version: str | None, ipam: object, add: bool, delete: bool) -> None:
    found = judged(listed(version, ipam), rewrite="OnlyFaulty")
    assert (found.baseline.add, found.baseline.del_) == (add, delete)
    assert ("Addresses" in codes(found)) is not add
    assert found.files[0].action == ("None" if add and delete else "Rewrite")
    if not add:
        assert (found.files[0].to, found.after.add, found.after.del_) == ("1.0.0", True, True)
    low = judged(listed(version, ipam), version="0.2.0")
    assert low.files[0].action != "Rewrite" or add, "no version up to 0.2.0 cures it"


@pytest.mark.parametrize("version", [None, "0.2.0", "0.4.0", "1.0.0"])
@pytest.mark.parametrize("ipam", [None, {}])
def test_no_version_gives_an_address(version: str | None, ipam: object) -> None:
    """containerd refuses a pod without an address at every version, so no rewrite is for that."""
    found = judged(listed(version, ipam), rewrite="OnlyFaulty")
    assert (found.baseline.add, found.baseline.del_) == (False, True)
    assert [each for each in codes(found) if each in ("NoAddress", "Addresses")] == ["NoAddress"]
    assert found.files[0].action == "None"


@pytest.mark.parametrize(
    ("chained", "named"), [({"type": "portmap"}, True), ({"type": "my-own"}, False)]
)
def test_a_plugin_not_known_may_give_an_address(chained: dict[str, str], named: bool) -> None:
    data = {"cniVersion": "1.0.0", "name": "net", "plugins": [{"type": "bridge"}, chained]}
    found = judged(json.dumps(data).encode())
    assert ("NoAddress" in codes(found)) is named


@pytest.mark.parametrize(("kind", "deleted"), [("ptp", False), ("ipvlan", True)])
def test_some_plugins_refuse_to_run_without_ipam(kind: str, deleted: bool) -> None:
    found = judged(listed("1.0.0", None, kind))
    assert (found.baseline.add, found.baseline.del_) == (False, deleted)
    assert "NoAddress" in codes(found)


def test_nothing_that_has_room_is_lowered() -> None:
    """Plugins of which one takes no more than 0.2.0: nothing is written that takes ADD away."""
    old = {**NEW, "bridge": Support.told("bridge", ("0.1.0", "0.2.0"))}
    read = config.read("10-net.conflist", listed("0.3.1", {"type": "host-local", "ranges": TWO}))
    found = judge(Facts("containerd://1.7.30", [read], old), Target())
    assert found.files[0].action == "Refuse"


def test_ptp_has_no_network_without_ipam() -> None:
    """It refuses that at every version: nothing that another version would cure."""
    assert "Addresses" not in codes(judged(listed("0.2.0", None, "ptp")))


def test_flannel_puts_the_ipam_in() -> None:
    assert "Addresses" not in codes(judged(listed("0.2.0", None, "flannel")))


@pytest.mark.parametrize(("own", "add"), [(None, False), ("0.2.0", False), ("0.3.0", True)])
def test_a_delegate_of_multus_goes_by_its_own_version(own: str | None, add: bool) -> None:
    delegate = {"type": "macvlan"} | ({"cniVersion": own} if own else {})
    plugin = {"type": "multus", "delegates": [delegate]}
    data = {"cniVersion": "0.4.0", "name": "net", "plugins": [plugin]}
    found = judged(json.dumps(data).encode())
    assert found.baseline.add is add
    assert ("Addresses" in codes(found)) is not add
