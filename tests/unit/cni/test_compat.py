"""Which version may be written: the measured table, and bounds that are never crossed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cni_upgrade.cni import compat, versions
from cni_upgrade.cni.facts import Sandbox, Support
from cni_upgrade.cni.runtimes import TABLE, Runtime, lookup
from tests.unit.cni import samples

OK, FAIL = True, False
MEASURED: list[tuple[str | None, str | None, tuple[bool, bool, bool, bool]]] = [
    # at ADD, now: libcni 0.8.1, 1.0.1, 1.1.2, 1.3.0 (bridge, portmap, host-local of 1.9.1)
    (None, "0.3.1", (OK, OK, OK, OK)),
    (None, "0.4.0", (FAIL, OK, OK, OK)),
    (None, "1.0.0", (FAIL, OK, OK, OK)),
    ("0.3.1", "0.4.0", (OK, OK, OK, OK)),
    ("0.3.1", "1.0.0", (FAIL, OK, OK, OK)),
    ("0.4.0", "1.0.0", (FAIL, OK, OK, OK)),
    ("0.3.1", "1.1.0", (FAIL, FAIL, FAIL, OK)),
    ("1.0.0", "1.1.0", (FAIL, FAIL, FAIL, OK)),
    ("1.0.0", None, (FAIL, FAIL, OK, OK)),
    (None, None, (FAIL, FAIL, OK, OK)),
]
CELLS = [
    (libcni, added, now, works)
    for added, now, cells in MEASURED
    for libcni, works in zip(("0.8.1", "1.0.1", "1.1.2", "1.3.0"), cells, strict=True)
]
RUNTIMES = [lookup(f"{row.name}://{'.'.join(map(str, row.first))}") for row in TABLE]


@pytest.mark.parametrize(("libcni", "added", "now", "works"), CELLS)
def test_the_measured_table(libcni: str, added: str | None, now: str | None, works: bool) -> None:
    assert compat.del_survives(libcni, added, now) is works


def test_who_takes_the_version_and_who_never_meets_it() -> None:
    """CRI-O deletes with what it cached at ADD: its pods take no version of a file."""
    ran = [Sandbox("net", "0" * 64, "eth0", "0.4.0")]
    chain = [Support("bridge", ("0.4.0", "1.0.0"), "1.0.0", "VERSION")]
    taken = compat.reach(lookup("containerd://1.7.0"), chain, ran, "1.0.0")
    assert taken.why.endswith("and 1 cached sandbox take")
    apart = compat.reach(lookup("cri-o://1.24.6"), chain, ran, "1.0.0")
    assert apart.why.endswith(
        "take; 1 cached sandbox will be deleted with the config of the ADD, not this one"
    )


def test_lowering_under_live_pods_as_measured() -> None:
    assert compat.del_survives("1.0.1", "1.0.0", "0.4.0")
    assert compat.del_survives("1.1.2", "1.0.0", "0.4.0")


@pytest.mark.parametrize("now", ["v1.0.0", "1.0.0.0", "x"])
def test_what_libcni_cannot_compare_cannot_be_deleted(now: str) -> None:
    for libcni in ("0.8.1", "1.0.1", "1.1.2", "1.3.0"):
        assert not compat.del_survives(libcni, None, now)


LEVELS = st.sampled_from(versions.KNOWN)


@st.composite
def chains(draw: st.DrawFn) -> list[Support]:
    """Binaries, each with a range of versions; one in ten does not tell."""
    chain = []
    for name in draw(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=4, unique=True)):
        if draw(st.integers(0, 9)) == 9:
            chain.append(Support(name, source=draw(st.sampled_from(("unknown", "missing")))))
            continue
        low, high = sorted((draw(LEVELS), draw(LEVELS)), key=versions.order)
        chain.append(Support.told(name, samples.supports(high, low)))
    return chain


def sandboxes() -> st.SearchStrategy[list[Sandbox]]:
    added = st.none() | LEVELS | st.just("1.0")
    return st.lists(added.map(lambda version: Sandbox("net", "c", "eth0", version)), max_size=4)


@given(st.sampled_from(RUNTIMES), chains(), sandboxes(), LEVELS, st.booleans())
def test_what_is_reached_is_open_to_all(
    runtime: Runtime, chain: list[Support], pods: list[Sandbox], target: str, exact: bool
) -> None:
    reach = compat.reach(runtime, chain, pods, target, exact=exact)
    assert reach.why
    if reach.version is None:
        return
    assert versions.order(reach.version) <= versions.order(target)
    assert runtime.max is not None
    assert versions.order(reach.version) <= versions.order(runtime.max)
    assert all(reach.version in (support.supported or ()) for support in chain)
    assert reach.version == target or not exact
    if runtime.deletes_with == "current" and runtime.libcni is not None:
        for pod in pods:
            assert compat.del_survives(runtime.libcni, pod.version, reach.version)


@given(st.sampled_from(RUNTIMES), chains(), sandboxes(), LEVELS)
def test_nothing_higher_was_open(
    runtime: Runtime, chain: list[Support], pods: list[Sandbox], target: str
) -> None:
    reach = compat.reach(runtime, chain, pods, target)
    place = -1 if reach.version is None else versions.order(reach.version)
    for higher in versions.up_to(target)[place + 1 :]:
        assert compat.objections(runtime, chain, higher) or compat.stuck_at(runtime, pods, higher)


@given(chains(), sandboxes(), LEVELS)
def test_an_unknown_runtime_reaches_nothing(
    chain: list[Support], pods: list[Sandbox], target: str
) -> None:
    assert compat.reach(lookup("containerd://9.9.9"), chain, pods, target).version is None


def chain_of(**levels: str) -> list[Support]:
    return [Support.told(name, samples.supports(high)) for name, high in levels.items()]


def test_the_sentence_names_who_holds_it_back() -> None:
    runtime = lookup("containerd://1.7.2")
    held = compat.reach(runtime, chain_of(bridge="1.1.0", ipam="0.4.0"), [], "1.0.0")
    assert held.version == "0.4.0"
    assert held.why.endswith("not 1.0.0: ipam supports 0.1.0 to 0.4.0")
    above = compat.reach(runtime, chain_of(bridge="1.1.0"), [], "1.1.0")
    assert above.version == "1.0.0"
    assert "containerd 1.7.2 (libcni 1.1.2) reads up to 1.0.0" in above.why


def test_running_pods_hold_the_version_down_on_containerd_1_5() -> None:
    runtime = lookup("containerd://1.5.8")
    pods = [Sandbox("net", "c", "eth0", None)]
    reach = compat.reach(runtime, chain_of(bridge="1.1.0"), pods, "1.0.0")
    assert (reach.version, reach.held_by_sandboxes) == ("0.3.1", True)
    assert "1 cached sandbox added with no version could not be deleted at 0.4.0" in reach.why
    assert compat.reach(runtime, chain_of(bridge="1.1.0"), [], "1.0.0").version == "0.4.0"


def test_a_minimum_is_a_bound_too() -> None:
    firewall = Support.told("firewall", samples.supports("1.0.0", "0.4.0"))
    runtime = lookup("containerd://1.6.20")
    assert compat.reach(runtime, [firewall], [], "0.3.1").why == "firewall supports 0.4.0 to 1.0.0"
    pods = [Sandbox("net", "c", "eth0", None)]
    assert compat.reach(lookup("containerd://1.5.8"), [firewall], pods, "1.0.0").version is None


def test_build_information_is_a_bound_and_no_promise() -> None:
    linked = Support("calico", max="1.1.0", source="buildinfo")
    reach = compat.reach(lookup("containerd://2.0.1"), [linked], [], "1.0.0")
    assert reach.version is None
    assert reach.why == "it is not known what calico supports (at most 1.1.0)"
    assert linked.takes("1.0.0") is None
    old = Support("x", max="0.4.0", source="buildinfo")
    assert old.takes("1.0.0") is False


@pytest.mark.parametrize(
    ("version", "takes"),
    [(None, True), ("", True), ("0.1.0", True), ("1.0", False), ("1.1.0", False)],
)
def test_plugins_compare_strings_and_a_missing_version_is_0_1_0(
    version: str | None, takes: bool
) -> None:
    assert Support.told("bridge", samples.supports("1.0.0")).takes(version) is takes
    assert Support.told("x", ("0.4.0",)).takes(None) is False
