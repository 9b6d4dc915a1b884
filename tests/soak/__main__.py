"""`make soak`: the operator on real nodes, whose parts are killed at random for MINUTES (60).

Configs are broken again and again, so that there is always something to cure. At the end faults
cease, and everything must come to rest: exit code 1 and a line for each thing that is wrong, else
0. All deeds follow from SEED; each stands with its time in the log whose path is printed.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter

from tests.cluster import paths
from tests.cluster.cluster import Cluster, all_names
from tests.cluster.errors import ClusterError
from tests.e2e.installing import images, install
from tests.e2e.world import NODES, World
from tests.soak.deeds import POLICY, Deeds
from tests.soak.log import Log
from tests.soak.rest import Rest
from tests.soak.schedule import schedule
from tests.soak.watch import Watch

NAME = "soak"
_PATIENCE = 900.0
"""Seconds that anything may take at the end, on a machine that has much else to do."""


def up(log: Log) -> World:
    """Start a new cluster with the operator in it."""
    others = [name for name in all_names() if name != NAME]
    if others:
        log.note(f"beside the clusters {', '.join(others)}: all will be slower", shown=True)
    Cluster(NAME).down()
    cluster = Cluster.up(NAME, NODES)
    for archive in images():
        cluster.load_image(archive)
    world = World(cluster)
    install(world)
    for name in NODES:
        # Agents take long enough to be killed in the middle.
        world.machine(name).stand_in("bridge", version_takes=1)
    world.policy(
        POLICY,
        mode="Enforce",
        rollout={"maxUnavailable": 2, "maxParallel": 2, "maxFailures": "100%"},
        drain={"policy": "IfRequired", "deadline": "1m", "force": True},
        drift={"maxReverts": 30, "within": "1h"},
        verify={"deadline": "1m"},
    )
    return world


def play(world: World, log: Log, seed: int, seconds: float) -> list[str]:
    """Do what the seed says for so long, then wait for rest; return what is wrong."""
    deeds, left = Deeds(world, log), schedule(seed, seconds, NODES)
    began = told = time.monotonic()
    with Watch(world, log) as watch:
        while (now := time.monotonic() - began) < seconds:
            deeds.start_what_is_due()
            if left and left[0].at <= now:
                deeds.do(left.pop(0))
            else:
                time.sleep(0.5)
            if time.monotonic() - told >= 60:
                told = time.monotonic()
                if fallen := deeds.fallen():
                    log.note(f"-- was not running: {', '.join(fallen)}", shown=True)
                minutes = (told - began) / 60
                log.note(
                    f"{minutes:.0f} min, load {os.getloadavg()[0]:.0f}: {deeds.done.total()} "
                    f"deeds; {watch.summary()}",
                    shown=True,
                )
        wrongs = list(Rest(world, deeds, log).wrongs(_PATIENCE))
        time.sleep(5)
    _tell(log, "done", deeds.done)
    _tell(log, "ended", watch.ended)
    _tell(log, "came into", watch.reasons)
    return watch.wrong + wrongs


def _tell(log: Log, title: str, counted: Counter[str]) -> None:
    for what, number in sorted(counted.items()):
        log.note(f"{title}: {number:4} {what}", shown=True)


def main() -> int:
    """Return the exit code."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    log = Log(paths.state_root().with_name(NAME) / f"seed-{asked.seed}")
    log.note(f"seed {asked.seed}, {asked.minutes:g} min; log: {log.folder}/soak.log", shown=True)
    world: World | None = None
    try:
        world = up(log)
        wrongs = play(world, log, asked.seed, asked.minutes * 60)
    except ClusterError as error:
        wrongs = [str(error)]
    for wrong in wrongs:
        log.note(f"WRONG: {wrong}", shown=True)
    if wrongs:
        if world is not None:
            (log.folder / "cluster.txt").write_text(world.describe(), encoding="utf-8")
        log.note(
            "the cluster is left as it is; end it with "
            f"`python3 -m tests.cluster down --name {NAME}`",
            shown=True,
        )
        return 1
    Cluster(NAME).down()
    log.note("all came to rest", shown=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
