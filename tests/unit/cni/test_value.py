"""Values of the agent are what frozen dataclasses are, but for the refusal at run time."""

import dataclasses
from typing import Any

import pytest

from cni_upgrade.cni import value


@value.dataclass(frozen=True, slots=True)
class Cheap:
    name: str
    count: int = 1


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    name: str
    count: int = 1


def test_it_is_equal_and_hashed_by_its_members_as_a_frozen_dataclass() -> None:
    assert Cheap("a") == Cheap("a", 1) != Cheap("a", 2)
    assert hash(Cheap("a")) == hash(Frozen("a")) == hash(("a", 1))
    assert len({Cheap("a"), Cheap("a", 1), Cheap("b")}) == 2
    assert repr(Cheap("a")) == repr(Frozen("a")).replace("Frozen", "Cheap")
    assert dataclasses.replace(Cheap("a"), count=3) == Cheap("a", 3)
    assert dataclasses.asdict(Cheap("a")) == dataclasses.asdict(Frozen("a"))


def test_it_has_no_member_but_its_own() -> None:
    one: Any = Cheap("a")
    with pytest.raises(AttributeError):
        one.other = 1


def test_no_other_kind_is_made() -> None:
    with pytest.raises(TypeError, match=r"dataclasses\.dataclass"):
        value.dataclass(frozen=False, slots=True)
