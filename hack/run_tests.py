#!/usr/bin/env python3
"""Run the test tiers one after the other and end with one line that counts them all.

A test that tries many points says how many with pytest's `record_property("counted", ...)`; that is
printed after its tier.

A tier is a folder of tests/ with tests in it; the quick ones run first. One that fails does not
hide the ones after it. The last line is `N passed` or, with more to say, `N passed, N failed,
N errors, N skipped`; the exit code is 0 only if nothing failed and something ran.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree as ET

ROOT = Path(__file__).resolve().parents[1]
WORDS = ("passed", "failed", "errors", "skipped")
QUICK_FIRST = ("unit", "judge", "api", "e2e")

SHARED = ("-n", "auto", "--maxprocesses", "4", "--max-worker-restart", "0")
WORKERS = {
    "unit": SHARED,
    # By the file: what a file shares, such as an API server, is then started once.
    "judge": (*SHARED, "--dist", "loadfile"),
    "api": (*SHARED, "--dist", "loadfile"),
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


def tier(folder: str, report: Path, options: list[str]) -> Counter[str]:
    workers = WORKERS.get(Path(folder).name, ())
    command = (sys.executable, "-m", "pytest", folder, f"--junit-xml={report}", *workers, *options)
    code = subprocess.run(command, cwd=ROOT, check=False).returncode
    if report.exists():
        totals = counted(report)
        for line in told(report):
            print(f"  {line}")
        if code not in (0, 1) and not totals["errors"]:  # interrupted, internal error, no tests
            totals["errors"] += 1
        return totals
    return Counter(errors=1)


def main(arguments: list[str]) -> int:
    folders = [a for a in arguments if not a.startswith("-")] or tiers()
    options = [a for a in arguments if a.startswith("-")]
    started = time.monotonic()
    totals: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as tmp:
        for number, folder in enumerate(folders, 1):
            begun = time.monotonic()
            print(f"== tier {number}/{len(folders)}: {folder} ==", flush=True)
            found = tier(folder, Path(tmp, f"{number}.xml"), options)
            totals += found
            seconds = time.monotonic() - begun
            print(f"== {folder}: {dict(found)} in {seconds:.0f} s ==", flush=True)
    print(f"== all tiers: {time.monotonic() - started:.0f} s ==")
    bad = totals["failed"] + totals["errors"]
    print(", ".join(f"{totals[w]} {w}" for w in WORDS if totals[w] or w == "passed"), flush=True)
    return 0 if not bad and totals["passed"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
