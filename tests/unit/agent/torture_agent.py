"""The agent as the torture runs it: the same at every run, call by call, between two marks.

Plugins answer from a table (their processes take a different number of polls each time; they are
asked before anything is written), and as many files of the folder count as active as the test
says, so that one apply writes several. All else is the agent.
"""

import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace

from cni_upgrade.agent import agent
from cni_upgrade.agent.apply import apply  # noqa: F401 - imported before the mark
from cni_upgrade.agent.plugins import probe
from cni_upgrade.agent.restore import restore  # noqa: F401
from cni_upgrade.agent.survey import Survey
from cni_upgrade.cni.facts import Facts, Support
from tests.unit.agent.host import VERSIONS

FILES = "CNI_UPGRADE_TORTURE_FILES"
BEGIN = "/cni-upgrade-torture-begins"
END = "/cni-upgrade-torture-ends"

_facts = Survey.facts


def _so_many_active(survey: Survey, *configs: object) -> Facts:
    number = int(os.environ[FILES])
    return replace(_facts(survey, *configs), max_conf_num=number)  # type: ignore[arg-type]


def _told(
    _root: str,
    _dirs: Sequence[tuple[str, str]],
    types: Iterable[str],
    _version: str,
    _unseen: str | None = None,
) -> dict[str, Support]:
    return {each: Support.told(each, VERSIONS) for each in types}


def main() -> int:
    """Runs the agent between the marks."""
    Survey.facts = _so_many_active  # type: ignore[assignment, method-assign]
    probe.probe = _told  # type: ignore[assignment]
    import ctypes  # noqa: F401

    import cni_upgrade.cni.rewrite  # noqa: F401 - an import is a hundred calls that write nothing

    os.access(BEGIN, os.F_OK)
    code = agent.main()
    os.access(END, os.F_OK)
    return code


if __name__ == "__main__":
    sys.exit(main())
