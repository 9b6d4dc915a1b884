"""Named rollouts end as they must, and go there as their golden transcripts say.

`UPDATE_GOLDEN=1 pytest tests/unit/planner/test_scenarios.py` writes the transcripts anew.
"""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.planner.courses import COURSES
from tests.unit.planner.lost_answers import LOST_ANSWERS
from tests.unit.planner.played_rollout import Rollout
from tests.unit.planner.scenarios import SCENARIOS
from tests.unit.planner.upgrade_scenarios import UPGRADES

ALL = (*SCENARIOS, *COURSES, *LOST_ANSWERS, *UPGRADES)
GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("play", ALL, ids=lambda play: play.__name__)
def test_scenario(play: Callable[[], Rollout]) -> None:
    transcript = f"{(play.__doc__ or '').strip()}\n\n{play().transcript}"
    golden = GOLDEN / f"{play.__name__}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(transcript, encoding="utf-8")
    assert transcript.splitlines() == golden.read_text(encoding="utf-8").splitlines()


def test_every_golden_file_has_its_scenario() -> None:
    assert {path.stem for path in GOLDEN.glob("*.txt")} == {play.__name__ for play in ALL}
