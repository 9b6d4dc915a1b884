"""What the catalogue says of one word that a status, a condition or an Event shows as a reason."""

from dataclasses import dataclass
from enum import StrEnum


class Actor(StrEnum):
    """Who makes the next move."""

    OPERATOR = "the operator, by itself"
    PERSON = "a person"
    NOBODY = "nobody: it is as it should be"


@dataclass(frozen=True)
class Reason:
    """One reason.

    `about` says what it means. `actor` makes the next move, and `command` is what a person runs to
    see more or to go on; POLICY, NODE and POD stand for names.
    """

    about: str
    actor: Actor
    command: str
