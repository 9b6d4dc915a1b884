"""What a verb answers: an exit code, text for people, a document for machines."""

from collections.abc import Sequence
from dataclasses import dataclass

NOTHING_TO_DO = 0
FOUND = 1
COULD_NOT = 2


class CannotError(Exception):
    """What was asked for makes no sense or cannot be done; the text says what would help."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One verb's answer; `document` is what `-o json` and `-o yaml` show."""

    code: int
    document: object
    lines: Sequence[str] = ()
    """For people; what a terminal would obey is escaped before it is shown."""
    patch: str = ""
    """Shown after the lines and as it is: another program may read it."""
    done: str = ""
    """What was written, in a line: told where the document itself cannot be shown."""
    error: str = ""
    """Why nothing, or not all, could be done; shown on standard error."""
