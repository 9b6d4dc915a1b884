#!/usr/bin/env python3
"""Run the test tiers in two lanes and end with one line that counts them all.

What waits for real nodes runs beside what computes, and the lane that has ended first takes what
is left. The first lane is shown as it goes, a tier of the second one when it has ended. With
`--lint`, `make lint` runs beside the tiers; where it fails, that is an error.

A test that tries many points says how many with pytest's `record_property("counted", ...)`; that is
printed after its tier.

A tier is a folder of tests/ with tests in it; the quick ones run first. One that fails does not
hide the others. The last line is `N passed` or, with more to say, `N passed, N failed,
N errors, N skipped`; the exit code is 0 only if nothing failed and something ran.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from xml.etree import ElementTree as ET

ROOT = Path(__file__).resolve().parents[1]
WORDS = ("passed", "failed", "errors", "skipped")
QUICK_FIRST = ("unit", "judge", "api", "e2e")
COMPUTES = {"tests/unit", "tests/judge", "tests/api"}
"""The first lane."""
WAITS = {"tests/e2e"}
"""The second one. Every other tier is run by whichever of the two is free."""
LINT = ("make", "lint")

SHARED = ("-n", "auto", "--maxprocesses", "4", "--max-worker-restart", "0")
WORKERS = {
    "unit": SHARED,
    # By the file: what a file shares, such as an API server, is then started once.
    "judge": (*SHARED, "--dist", "loadfile"),
    # Most of these wait for an API server: more of them than there are cores.
    "api": (*SHARED, "-n", "4", "--dist", "loadfile"),
}
"""How a tier is shared out to processes. One that is not here shares a cluster: one process."""


def tiers() -> list[str]:
    """Every folder of tests/ that holds tests: a new one is run without being listed anywhere."""
    found = {p.relative_to(ROOT / "tests").parts[0] for p in (ROOT / "tests").rglob("test_*.py")}
    known = [name for name in QUICK_FIRST if name in found]
    return [f"tests/{name}" for name in (*known, *sorted(found - set(known)))]


def counted(report: Path) -> Counter[str]:
    """What a JUnit report says, by pytest's words."""
    totals: Counter[str] = Counter()
    for suite in ET.parse(report).getroot().iter("testsuite"):  # noqa: S314 - pytest's own file
        number = {k: int(suite.get(k, 0)) for k in ("tests", "failures", "errors", "skipped")}
        totals["failed"] += number["failures"]
        totals["errors"] += number["errors"]
        totals["skipped"] += number["skipped"]
        totals["passed"] += (
            number["tests"] - number["failures"] - number["errors"] - number["skipped"]
        )
    return totals


def told(report: Path) -> list[str]:
    """What tests have counted of their own: their properties of the name `counted`."""
    root = ET.parse(report).getroot()  # noqa: S314 - pytest's own file
    found = root.iterfind(".//testcase/properties/property[@name='counted']")
    return [each.get("value", "") for each in found]


def run(command: Iterable[str], shown: bool) -> int:
    """Its exit code; where it is not `shown` as it goes, its output comes in one piece."""
    pipe = None if shown else subprocess.PIPE
    done = subprocess.run(
        tuple(command), cwd=ROOT, check=False, text=True, stdout=pipe, stderr=subprocess.STDOUT
    )
    if not shown:
        print(f"\n{done.stdout}", end="", flush=True)
    return done.returncode


def lint() -> Counter[str]:
    """Run it; the tests go on where it fails."""
    begun = time.monotonic()
    code = run(LINT, shown=False)
    said, seconds = "failed" if code else "ok", time.monotonic() - begun
    print(f"== lint: {said} in {seconds:.0f} s ==", flush=True)
    return Counter(errors=1) if code else Counter()


def tier(folder: str, report: Path, options: list[str], shown: bool) -> Counter[str]:
    """Run one; where it is not `shown` as it goes, its output comes at its end, in one piece."""
    workers = WORKERS.get(Path(folder).name, ())
    command = (sys.executable, "-m", "pytest", folder, f"--junit-xml={report}", *workers, *options)
    code = run(command, shown)
    if report.exists():
        totals = counted(report)
        for line in told(report):
            print(f"  {line}", flush=True)
        if code not in (0, 1) and not totals["errors"]:  # interrupted, internal error, no tests
            totals["errors"] += 1
        return totals
    return Counter(errors=1)


def taken(own: Iterable[str], left: deque[str]) -> Iterator[str]:
    """What a lane runs: its own tiers, then what nobody else has begun."""
    yield from own
    with suppress(IndexError):  # the other lane took the last one
        while True:
            yield left.popleft()


def lane(folders: Iterable[str], options: list[str], tmp: Path, shown: bool) -> Counter[str]:
    """Run tiers one after the other."""
    totals: Counter[str] = Counter()
    for folder in folders:
        begun = time.monotonic()
        print(f"== {folder} begins ==", flush=True)
        found = tier(folder, tmp / f"{Path(folder).name}.xml", options, shown)
        totals += found
        seconds = time.monotonic() - begun
        print(f"== {folder}: {dict(found)} in {seconds:.0f} s ==", flush=True)
    return totals


def main(arguments: list[str]) -> int:
    folders = [a for a in arguments if not a.startswith("-")] or tiers()
    options = [a for a in arguments if a.startswith("-") and a != "--lint"]
    started = time.monotonic()
    totals: Counter[str] = Counter()
    lanes = [[f for f in folders if f in kind] for kind in (COMPUTES, WAITS)]
    lanes = [each for each in lanes if each]
    left = deque(f for f in folders if f not in COMPUTES | WAITS)
    if left and len(lanes) < 2:
        lanes.append([])
    with tempfile.TemporaryDirectory() as tmp, ThreadPoolExecutor(3) as pool:
        running = [
            pool.submit(lane, taken(each, left), options, Path(tmp), number == 0)
            for number, each in enumerate(lanes)
        ]
        if "--lint" in arguments:
            running.append(pool.submit(lint))
        for each in running:
            totals += each.result()
    print(f"== all tiers: {time.monotonic() - started:.0f} s ==")
    bad = totals["failed"] + totals["errors"]
    print(", ".join(f"{totals[w]} {w}" for w in WORDS if totals[w] or w == "passed"), flush=True)
    return 0 if not bad and totals["passed"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
