"""What a program is told on its command line, where a unit starts it."""

import re
from dataclasses import replace

from cni_upgrade.agent.discovery.systemd_units import Started
from cni_upgrade.agent.discovery.unit_files import UnitError

_FLAG = re.compile(r"--?([^-=][^=]*)(?:=(.*))?", re.DOTALL)
"""As Go's flag package has them: one dash is as good as two."""


def arguments(process: Started, program: str) -> Started:
    """The process with the program's own words alone, behind its name and before the next command.

    What another program has before it may be called the same: `ionice -c 2`. Raises UnitError where
    a script stands between, which may do what it likes.
    """
    if not process.words:
        return process
    names = [each.rpartition("/")[2] for each in process.words]
    if program not in names:
        raise UnitError(
            f"{process.place}: it starts {process.words[0]:.200}, and not {program} itself"
        )
    own = process.words[names.index(program) + 1 :]
    return replace(process, words=own[: own.index(";")] if ";" in own else own)


def flags(process: Started, *names: str) -> list[str]:
    """What a flag is given, each time. Raises UnitError where the value cannot be told."""
    values: list[str] = []
    for place, word in enumerate(process.words):
        found = _FLAG.fullmatch(word)
        if found is None or found[1] not in names:
            continue
        rest = process.words[place + 1 : place + 2]
        values.append(found[2] if found[2] is not None else rest[0] if rest else "")
        if "$" in values[-1] or "%" in values[-1]:
            raise UnitError(
                f"{process.place}: what {word:.200} {values[-1]:.200} is given cannot be told"
            )
    return values
