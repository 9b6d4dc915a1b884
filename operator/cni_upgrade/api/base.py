"""What every model shares, so that each resource reads, bounds and writes its fields alike."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from cni_upgrade.api.instant import whole_seconds

_FIELDS: dict[frozenset[str], set[str]] = {}


class Model(BaseModel):
    """Frozen; camelCase outside, snake_case inside; members of a newer writer are ignored."""

    model_config = ConfigDict(
        frozen=True,
        alias_generator=to_camel,
        populate_by_name=True,
        serialize_by_alias=True,
        extra="ignore",
    )

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy whose changes are checked and clipped as at birth, which pydantic's are not.

        `deep` makes no difference between values that cannot change.
        """
        changes = update or {}
        known = self.__dict__
        if unknown := changes.keys() - known.keys():
            raise TypeError(f"{type(self).__name__} has no {', '.join(sorted(unknown))}")
        # A fleet at rest is copied to what it is already: nothing is to be checked again then.
        if all(_same(known[name], value) for name, value in changes.items()):
            return self
        return self.model_validate({**known, **changes})

    def model_post_init(self, _: Any) -> None:
        """Which fields were set is one set for all objects that are alike: it never changes.

        pydantic gives each object one of its own, which was 13 KB of the 30 of a node's record.
        """
        fields = self.__pydantic_fields_set__
        object.__setattr__(
            self, "__pydantic_fields_set__", _FIELDS.setdefault(frozenset(fields), fields)
        )

    def to_api(self) -> dict[str, Any]:
        """The JSON that the API server gets: camelCase, without what is not known."""
        return self.model_dump(mode="json", exclude_none=True)


def _same(one: object, other: object) -> bool:
    """Equal and of one type: a word that is not checked yet is not the member of an enum."""
    return one is other or (type(one) is type(other) and one == other)


Time = Annotated[AwareDatetime, AfterValidator(whole_seconds)]


def clip(limit: int) -> Callable[[object], object]:
    """Shorten a string: one that is too long would make the API refuse the whole status."""

    def shorten(value: object) -> object:
        if isinstance(value, str) and len(value) > limit:
            return value[: limit - 1] + "…"
        return value

    return shorten


def first(limit: int) -> Callable[[object], object]:
    """Keep the first items of a list or map, for the same reason."""

    def cut(value: object) -> object:
        if isinstance(value, list | tuple):
            return value[:limit]
        if isinstance(value, Mapping):
            return dict(list(value.items())[:limit])
        return value

    return cut


def last(limit: int) -> Callable[[object], object]:
    """Keep the last items of a list, for the same reason."""

    def cut(value: object) -> object:
        return value[-limit:] if isinstance(value, list | tuple) else value

    return cut


def at_most(limit: int) -> Callable[[object], object]:
    """Take a larger number for that: it is somebody's edit, and may be beyond all sums."""

    def lower(value: object) -> object:
        return min(value, limit) if isinstance(value, int) else value

    return lower


# Strings of a status: clipped on writing, because others decide how long they are.
Word = Annotated[str, Field(max_length=256), BeforeValidator(clip(256))]
Line = Annotated[str, Field(max_length=1024), BeforeValidator(clip(1024))]
Text = Annotated[str, Field(max_length=8192), BeforeValidator(clip(8192))]

# Strings that name something: refused when too long, because half a name is another name.
Name = Annotated[str, Field(max_length=253)]
Uid = Annotated[str, Field(max_length=128)]

Count = Annotated[int, Field(ge=0)]
Counts = Annotated[Mapping[str, Count], Field(max_length=64), BeforeValidator(first(64))]
Uids = Annotated[tuple[Uid, ...], Field(max_length=64), BeforeValidator(first(64))]
Words = Annotated[tuple[Word, ...], Field(max_length=64), BeforeValidator(first(64))]
