"""Versions match by spelling and order by number."""

import pytest

from cni_upgrade.cni import versions


@pytest.mark.parametrize("spelling", ["1.0", "v1.0.0", "", "1.0.0 ", "0.5.0", "2.0.0", "01.0.0"])
def test_what_is_not_spelled_as_a_release_is_none(spelling: str) -> None:
    assert not versions.known(spelling)
    with pytest.raises(versions.UnknownVersionError, match="known ones"):
        versions.order(spelling)


def test_releases_are_in_order() -> None:
    assert sorted(versions.KNOWN, key=versions.order) == list(versions.KNOWN)
    assert sorted(versions.KNOWN, key=versions.libcni_order) == list(versions.KNOWN)


def test_up_to_and_highest() -> None:
    assert versions.up_to("0.3.0") == ("0.1.0", "0.2.0", "0.3.0")
    assert versions.highest(["1.0.0", "0.4.0", "v9.9.9"]) == "1.0.0"
    assert versions.highest(["latest"]) is None


@pytest.mark.parametrize(
    ("spelling", "numbers"),
    [("1.0", (1, 0, 0)), ("1", (1, 0, 0)), ("+1.-2.03", (1, -2, 3)), ("0.3.1", (0, 3, 1))],
)
def test_libcni_takes_numbers_loosely(spelling: str, numbers: tuple[int, int, int]) -> None:
    assert versions.libcni_order(spelling) == numbers


@pytest.mark.parametrize("spelling", ["", "v1", "1.0.0.0", "1..0", "1_0", "٣.0", "9" * 20, "1.0 "])
def test_libcni_refuses_the_rest(spelling: str) -> None:
    with pytest.raises(ValueError, match=r"invalid|out of range"):
        versions.libcni_order(spelling)
