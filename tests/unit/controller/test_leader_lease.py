"""Who leads: never two at once, whatever their clocks say and however late answers come."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cni_upgrade.controller.leader_lease import Election, Timing, micro_time

WALL = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
TIMING = Timing()


@dataclass
class Api:
    """The Lease as an API server keeps it: every write has a version, and may be guarded by one."""

    lease: dict[str, Any] | None = None
    version: int = 0

    def read(self) -> dict[str, Any] | None:
        return copy.deepcopy(self.lease)

    def write(self, body: Mapping[str, Any]) -> dict[str, Any] | None:
        """The lease as written; None where the API server refuses."""
        guard = body["metadata"].get("resourceVersion")
        there = self.lease["metadata"]["resourceVersion"] if self.lease else None
        if guard != there:
            return None
        self.version += 1
        meta = {"resourceVersion": str(self.version)}
        self.lease = copy.deepcopy({"metadata": meta, "spec": dict(body["spec"])})
        return self.read()


def take(it: Election, api: Api, now: float) -> bool:
    """Look, and bid where one may; answered at once."""
    it.saw(api.read(), now)
    body = it.bid(now, WALL)
    made = api.write(body) if body is not None else None
    if made is not None:
        it.won(made, now)
    return it.leads(now)


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def one() -> Election:
    return Election("one", TIMING)


@pytest.fixture
def two() -> Election:
    return Election("two", TIMING)


def test_the_first_takes_it_and_the_second_waits(api: Api, one: Election, two: Election) -> None:
    assert take(one, api, 0)
    assert not take(two, api, 1)
    assert api.lease == {
        "metadata": {"resourceVersion": "1"},
        "spec": {
            "holderIdentity": "one",
            "leaseDurationSeconds": 15,
            "acquireTime": "2026-01-02T03:04:05.000000Z",
            "renewTime": "2026-01-02T03:04:05.000000Z",
            "leaseTransitions": 0,
        },
    }
    assert two.holder == "one"


def test_a_renewal_keeps_when_it_was_acquired(api: Api, one: Election) -> None:
    take(one, api, 0)
    body = one.bid(2, WALL + timedelta(seconds=2))
    assert body is not None
    assert body["spec"]["acquireTime"] == micro_time(WALL)
    assert body["spec"]["renewTime"] == "2026-01-02T03:04:07.000000Z"
    assert body["spec"]["leaseTransitions"] == 0


def test_one_that_is_renewed_is_never_taken(api: Api, one: Election, two: Election) -> None:
    for now in range(0, 600, 2):
        assert take(one, api, now)
        # Its wall clock stands still, so that the record says the same each time.
        assert not take(two, api, now + 1)


def test_one_that_runs_out_is_taken_after_its_duration_on_our_own_clock(
    api: Api, one: Election, two: Election
) -> None:
    take(one, api, 0)
    far = 1e6  # another machine: its monotonic clock began at another time
    for now in (0.0, 5.0, 14.9):
        assert not take(two, api, far + now)
    assert take(two, api, far + 15)
    assert api.lease is not None
    assert api.lease["spec"]["leaseTransitions"] == 1
    assert not take(one, api, 20)
    assert one.holder == "two"


@pytest.mark.parametrize("seconds", [1.4, 2.5, 4.4, 15.4])
def test_who_reads_whole_seconds_waits_for_the_last_write_of_a_lease_that_has_none(
    api: Api, seconds: float
) -> None:
    timing = Timing.of(seconds)
    one, two = Election("one", timing), Election("two", timing)
    assert take(one, api, 0)
    two.saw(api.read(), 0)
    begun = timing.renew - 0.01
    over = begun + one.left(begun)
    assert over == pytest.approx(seconds)
    assert two.bid(over - 0.01, WALL) is None
    assert two.bid(over + 1, WALL) is not None


def test_another_one_s_duration_counts_and_not_our_own(api: Api, two: Election) -> None:
    take(Election("slow", Timing.of(60)), api, 0)
    assert not take(two, api, 0)
    assert not take(two, api, 59)
    assert take(two, api, 60)


def test_what_cannot_be_renewed_is_not_written_with(api: Api, one: Election) -> None:
    take(one, api, 100)
    assert one.left(100) == 15
    assert one.left(109.9) == pytest.approx(5.1), "what begins late must end in time"
    assert one.leads(109.9)
    assert not one.leads(110)
    assert one.left(110) == 0
    assert take(one, api, 112), "nobody has taken it meanwhile"


def test_an_answer_that_comes_late_counts_from_the_question(api: Api, one: Election) -> None:
    one.saw(api.read(), 0)
    body = one.bid(0, WALL)
    assert body is not None
    made = api.write(body)
    assert made is not None
    one.won(made, sent=0)
    assert not one.leads(11)


def test_what_is_given_back_is_taken_at_once(api: Api, one: Election, two: Election) -> None:
    take(one, api, 0)
    assert not take(two, api, 1)
    body = one.release(WALL)
    assert body is not None
    assert not one.leads(1), "from here on nothing of its own is written"
    assert api.write(body) is not None
    assert api.lease is not None
    assert api.lease["spec"]["holderIdentity"] == ""
    assert api.lease["spec"]["leaseDurationSeconds"] == 1
    assert take(two, api, 1.1)
    assert api.lease["spec"]["leaseTransitions"] == 1


def test_nothing_is_given_back_that_is_not_ours(api: Api, one: Election, two: Election) -> None:
    take(one, api, 0)
    take(two, api, 0)
    assert two.release(WALL) is None


def test_of_two_bids_on_one_view_one_is_refused(api: Api, one: Election, two: Election) -> None:
    for it in (one, two):
        it.saw(api.read(), 0)
    first, second = one.bid(0, WALL), two.bid(0, WALL)
    assert first is not None
    assert second is not None
    assert api.write(first)
    assert api.write(second) is None
    assert not take(two, api, 0)


def test_a_lease_that_was_deleted_is_not_taken_from_who_has_it(
    api: Api, one: Election, two: Election
) -> None:
    take(one, api, 0)
    take(two, api, 1)
    api.lease = None
    assert not take(two, api, 2)
    assert take(one, api, 3), "who has it makes it anew"
    assert not take(two, api, 4)
    api.lease = None
    assert not take(two, api, 5)
    assert not take(two, api, 19.9)
    assert take(two, api, 20)


def test_a_name_that_is_ours_is_no_lease_that_is_ours(api: Api, one: Election) -> None:
    take(one, api, 0)
    again = Election("one", TIMING)
    again.saw(api.read(), 1)
    assert not again.leads(1), "it has not renewed it"


@dataclass
class Replica:
    """A replica whose requests and answers take their time, and that may be stopped."""

    it: Election
    offset: float
    """Of its monotonic clock."""
    flights: list[float] = field(default_factory=list)
    """Until when, in true time, each of its writes may be under way."""

    def clock(self, now: float) -> float:
        return now + self.offset


STEP = st.tuples(
    st.integers(0, 2),  # which replica
    st.sampled_from(["renew", "renew", "renew", "lost", "unsent", "write", "release", "rest"]),
    st.floats(0, 6),  # seconds until the request arrives
    st.floats(0, 6),  # seconds until the answer does
    st.floats(-1e4, 1e4),  # what its wall clock is off
)


@settings(max_examples=400)
@given(st.lists(STEP, max_size=60), st.lists(st.floats(-1e5, 1e5), min_size=3, max_size=3))
def test_never_two_write_at_once(
    steps: list[tuple[int, str, float, float, float]], offsets: list[float]
) -> None:
    """Requests are answered late, or lost on either way; nobody's clocks agree."""
    api = Api()
    replicas = [Replica(Election(f"r{n}", TIMING), offset) for n, offset in enumerate(offsets)]
    now = 0.0

    def check() -> None:
        able = {r.it.identity for r in replicas if r.it.left(r.clock(now)) > 0}
        able |= {r.it.identity for r in replicas if any(end > now + 1e-6 for end in r.flights)}
        assert len(able) <= 1, f"at {now} s these may write: {able}"

    for which, deed, there, back, skew in steps:
        me = replicas[which]
        if deed == "rest":
            now += there + back
        elif deed == "write":
            left = me.it.left(me.clock(now))
            if left > 0:
                me.flights.append(now + left)
        elif deed == "release":
            body = me.it.release(WALL)
            me.flights.clear()  # they were ended before
            if body is not None:
                api.write(body)
        else:
            me.it.saw(api.read(), me.clock(now))
            sent = now
            body = me.it.bid(me.clock(sent), WALL + timedelta(seconds=skew))
            now += there
            check()
            made = api.write(body) if body is not None and deed != "unsent" else None
            now += back
            check()
            if made is not None and deed != "lost":
                me.it.won(made, me.clock(sent))
        check()
