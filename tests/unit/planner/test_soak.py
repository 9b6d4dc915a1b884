"""A fleet in which everything goes wrong at once, for a while: all of it with `make soak-sim`.

`FLEET_SOAK=NODES:HOURS:PACE` and `FLEET_SOAK_SEED` say how large, how long and which, and how many
seconds a pass takes at least. A failing one leaves its transcript in the file that is named.
"""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.planner.soak import Soak

_ASKED = os.environ.get("FLEET_SOAK", "")
_SEEDS = [int(seed) for seed in os.environ.get("FLEET_SOAK_SEED", "1").split(",")]


@pytest.mark.timeout(12 * 3600 if _ASKED else 300)
@pytest.mark.parametrize("seed", _SEEDS)
def test_a_fleet_in_which_everything_goes_wrong_at_once(
    seed: int,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    nodes, hours, pace = (_ASKED or "12:0.5:3").split(":")

    def tell(line: str) -> None:
        with capsys.disabled():
            print(f"soak {seed}: {line}", flush=True)

    soak = Soak(seed, int(nodes), pace=int(pace), tell=tell)
    try:
        soak.day(float(hours))
        record_property("counted", f"soak {seed}: {soak.summary()}")
        soak.end()
    except BaseException:
        transcript = tmp_path / "transcript.txt"
        transcript.write_text(soak.rollout.transcript)
        tell(f"its transcript: {transcript}")
        raise
    tell(f"ended well: {soak.summary()}")
