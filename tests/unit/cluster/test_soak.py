"""The deeds of `make soak` follow from the seed alone, and an hour has all of them."""

from tests.soak.schedule import WEIGHTS, schedule

NODES = ("node-a", "node-b")


def test_a_seed_gives_the_same_deeds_every_time() -> None:
    assert schedule(7, 600, NODES) == schedule(7, 600, NODES)
    assert schedule(7, 600, NODES) != schedule(8, 600, NODES)


def test_a_shorter_soak_is_the_beginning_of_a_longer_one() -> None:
    short = schedule(7, 600, NODES)
    assert schedule(7, 3600, NODES)[: len(short)] == short


def test_an_hour_has_every_kind_of_deed_within_its_time() -> None:
    deeds = schedule(1, 3600, NODES)
    assert {deed.kind for deed in deeds} == set(WEIGHTS)
    assert all(0 < deed.at < 3600 for deed in deeds)
    assert {deed.node for deed in deeds} == set(NODES)
