"""What holds of any node whatever: nothing is written that it does not take, or makes it worse."""

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cni_upgrade.cni import compat, config, versions
from cni_upgrade.cni.facts import Support
from cni_upgrade.cni.findings import Code
from cni_upgrade.cni.runtimes import TABLE, lookup
from cni_upgrade.cni.verdict import Facts, Target, judge
from tests.unit.cni import samples
from tests.unit.cni.judged import NAME, pods

RUNTIMES = [f"{row.name}://{'.'.join(map(str, row.first))}" for row in TABLE]
LEVELS = st.sampled_from(versions.KNOWN)
VERSIONS = st.none() | LEVELS | st.sampled_from(("1.0", "v1.0.0", "0.5.0", "2.0.0"))


@st.composite
def any_node(draw: st.DrawFn) -> tuple[Facts, Target]:
    plugins = {}
    for name in ("bridge", "host-local", "portmap", "loopback"):
        if draw(st.integers(0, 14)) == 14:
            continue
        low, high = sorted((draw(LEVELS), draw(LEVELS)), key=versions.order)
        low = draw(st.sampled_from(("0.1.0", low)))
        plugins[name] = Support.told(name, samples.supports(high, low))
    target = Target(
        draw(LEVELS),
        draw(st.sampled_from(("HighestCompatible", "Exact"))),
        draw(st.sampled_from(("ToTarget", "OnlyFaulty"))),
    )
    running = pods(*draw(st.lists(st.none() | LEVELS, max_size=3)))
    read = config.read(NAME, samples.bridge(draw(VERSIONS)))
    runtime = draw(st.sampled_from([*RUNTIMES, "containerd://9.9.9"]))
    return Facts(runtime, [read], plugins, running), target


@settings(max_examples=500, suppress_health_check=list(HealthCheck))
@given(any_node())
def test_nothing_is_written_that_the_node_does_not_take(case: tuple[Facts, Target]) -> None:
    facts, target = case
    found = judge(facts, target)
    file = found.files[0]
    runtime = lookup(facts.runtime)
    assert file.why
    if file.action != "Rewrite":
        assert file.to == (None if file.action == "Refuse" else file.version)
        assert not found.after.needs_drain
        return
    assert file.to is not None
    assert runtime.max is not None
    assert versions.order(file.to) <= versions.order(target.version)
    assert versions.order(file.to) <= versions.order(runtime.max)
    for name in file.plugins:
        assert file.to in (facts.plugins[name].supported or ())
    works = found.baseline.add and found.baseline.del_
    if works and file.version and target.selection == "HighestCompatible":
        assert versions.order(file.to) > versions.order(file.version)
    if works and target.rewrite == "OnlyFaulty":
        pytest.fail("what works was touched")
    if found.after.needs_drain:
        assert target.selection == "Exact"
        assert found.baseline.del_ is True
    elif runtime.deletes_with == "current" and runtime.libcni is not None:
        for pod in facts.sandboxes:
            assert compat.del_survives(runtime.libcni, pod.version, file.to)


@settings(max_examples=500, suppress_health_check=list(HealthCheck))
@given(any_node())
def test_a_rewrite_never_makes_it_worse(case: tuple[Facts, Target]) -> None:
    facts, target = case
    found = judge(facts, target)
    if found.files[0].action == "Rewrite" and not found.after.needs_drain:
        if found.baseline.add:
            doubted = any(each.code == Code.CHECK_UNPROVED for each in found.findings)
            assert found.after.add is (None if doubted else True)
        if found.baseline.del_:
            assert found.after.del_
            assert found.after.existing_del
    if found.verdict == "Compatible":
        assert found.files[0].action == "None"
        assert found.baseline.add is not False
    for outcome, why in (
        (found.baseline.add, found.baseline.add_why),
        (found.baseline.del_, found.baseline.del_why),
    ):
        assert (outcome is False) == (why is not None)


def loopback_too_new() -> tuple[Facts, Target]:
    """F1, a pod that runs since, and a loopback that the runtime cannot call at its own version."""
    most = samples.supports("0.4.0", "0.1.0")
    plugins = {name: Support.told(name, most) for name in ("bridge", "host-local", "portmap")}
    plugins["loopback"] = Support.told("loopback", samples.supports("0.4.0", "0.4.0"))
    read = config.read(NAME, samples.bridge(None))
    return Facts("containerd://1.4.0", [read], plugins, pods(None)), Target("0.4.0", "Exact")


@settings(max_examples=200, suppress_health_check=list(HealthCheck))
@example(loopback_too_new())
@given(any_node())
def test_after_the_rewrite_there_is_nothing_more_to_do(case: tuple[Facts, Target]) -> None:
    facts, target = case
    found = judge(facts, target)
    file = found.files[0]
    if file.action == "Rewrite":
        again = config.read(NAME, samples.bridge(file.to))
        left = () if found.after.needs_drain else facts.sandboxes
        settled = judge(Facts(facts.runtime, [again], facts.plugins, left), target)
        lowered = target.selection == "Exact" and file.to != target.version
        assert not lowered or found.baseline.del_ is False, "only where a drain would hang"
        if lowered and target.rewrite == "ToTarget":
            if settled.baseline.del_ is False:
                # A drain would hang as before, for what no version cures: until that is mended.
                assert settled.files[0].action == "Refuse"
                assert Code.CANNOT_CURE in {finding.code for finding in settled.findings}
            else:
                assert (settled.files[0].to, settled.after.needs_drain) == (target.version, True)
        else:
            assert settled.files[0].action == "None"
