"""What a process, and the whole machine, have used so far, as the kernel counts it."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Usage:
    """CPU seconds since its start; memory now and at its largest, in MB (10^6 bytes)."""

    cpu: float
    memory: float
    peak: float

    @classmethod
    def of(cls, pid: int) -> Usage:
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        sizes = {name: value.split() for name, _, value in (line.partition(":") for line in lines)}

        def size(name: str) -> float:
            return int(sizes[name][0]) * 1024 / 1e6

        return cls(
            cpu=(int(stat[11]) + int(stat[12])) / _TICKS,
            memory=size("VmRSS"),
            peak=size("VmHWM"),
        )


@dataclass(frozen=True)
class Cores:
    """What cores did since the machine was started, in ticks."""

    idle: int
    all: int

    @classmethod
    def now(cls, which: Collection[int] | None = None) -> Cores:
        """Of these cores; None is all of the machine's."""
        names = {"cpu"} if which is None else {f"cpu{core}" for core in which}
        lines = (line.split() for line in Path("/proc/stat").read_text().splitlines())
        # user nice system idle iowait irq softirq steal; guests are counted in user already.
        ticks = [[int(each) for each in line[1:9]] for line in lines if line[0] in names]
        return cls(idle=sum(each[3] + each[4] for each in ticks), all=sum(map(sum, ticks)))

    def idle_since(self, before: Cores) -> float:
        """The share of their time in which they had nothing to do, since then."""
        return (self.idle - before.idle) / max(self.all - before.all, 1)
