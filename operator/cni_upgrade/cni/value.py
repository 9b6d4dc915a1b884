"""Frozen dataclasses for what every agent starts with: their classes are made at each start.

`dataclasses` writes out the methods of a class as text and compiles them: half of an agent's start
with sixty classes, and a quarter of that for the refusal to set a member. mypy refuses it as well,
in every line of this project, so at run time it is left away. All else is as `frozen=True` has it:
equal and hashed by the members.
"""

from typing import TYPE_CHECKING

__all__ = ["dataclass"]

if TYPE_CHECKING:
    from dataclasses import dataclass
else:
    import dataclasses

    def dataclass(*, frozen, slots):
        """`dataclasses.dataclass(frozen=True, slots=True)`; no other kind is made."""
        if not (frozen and slots):
            raise TypeError("values are frozen and have slots; else take dataclasses.dataclass")
        return dataclasses.dataclass(slots=True, unsafe_hash=True)
