"""Lives the whole matrix and writes its tables as Markdown (`make matrix`).

    python -m tests.judge.plugin_matrix [--release 1.9.1 ...] [--chain TITLE ...] [--out FILE]
        [--keep lived.jsonl] [--lived lived.jsonl ...]

`--keep` writes down what was lived; `--lived` holds the verdicts to that and lives nothing.
"""

import argparse
import resource
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from tests.judge.plugin_matrix import alone, record, report
from tests.judge.plugin_matrix.cells import Group, groups
from tests.judge.plugin_matrix.chains import CHAINS
from tests.judge.plugin_matrix.compare import compared
from tests.judge.plugin_matrix.live import Lived, live
from tests.judge.plugin_matrix.releases import OTHERS, PLUGINS

_AT_ONCE = 2


def all_lived(chosen: Sequence[Group], keep: Path | None) -> Iterator[Lived]:
    """Two nodes at a time; each group is written down as soon as it ends."""
    lock = threading.Lock()

    def group(each: Group) -> list[Lived]:
        lived = list(live(each))
        if keep is not None:
            lines = "".join(f"{record.written(one)}\n" for one in lived)
            with lock, keep.open("a") as out:
                out.write(lines)
        return lived

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for number, lived in enumerate(pool.map(group, chosen), 1):
            yield from lived
            if number % 50 == 0:
                print(f"{number} of {len(chosen)} groups", file=sys.stderr, flush=True)


def main() -> int:
    """Live it, or read what was; the exit code is 1 where a "works" is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--release", action="append", default=[])
    parser.add_argument("--chain", action="append", default=[])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--keep", type=Path)
    parser.add_argument(
        "--took",
        type=float,
        nargs=2,
        metavar=("WALL", "CPU"),
        help="seconds, of what --lived holds",
    )
    parser.add_argument("--lived", type=Path, action="append", default=[])
    chosen = parser.parse_args()
    began, cpu = time.monotonic(), _cpu()
    if chosen.lived:
        lived = list(record.read(chosen.lived))
    else:
        releases = [
            each
            for each in (*PLUGINS, *OTHERS)
            if not chosen.release or each.name in chosen.release
        ]
        chains = [each for each in CHAINS if not chosen.chain or each.title in chosen.chain]
        lived = list(all_lived(list(groups(releases, chains)), chosen.keep))
    cost: report.Cost | None = report.Cost(time.monotonic() - began, _cpu() - cpu)
    if chosen.lived:
        cost = report.Cost(chosen.took[0], chosen.took[1], in_parts=True) if chosen.took else None
    found = list(compared(lived))
    partly = chosen.release or chosen.chain
    answered = [] if partly else list(alone.ask())
    day = datetime.now(UTC).date().isoformat()
    page = "\n".join(report.whole(lived, found, answered, cost, day)) + "\n"
    if chosen.out is None:
        print(page, end="")
    else:
        chosen.out.write_text(page)
    return 1 if any(each.kind == "wrong works" for each in found) else 0


def _cpu() -> float:
    """CPU seconds of this process and of all that it started."""
    return sum(
        used.ru_utime + used.ru_stime
        for used in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


if __name__ == "__main__":
    sys.exit(main())
