"""Runs commands in turn and prints what the kernel says that each run took, as JSON.

It is started as a process of its own that imports next to nothing: the peak memory that the kernel
reports for a child begins with that of the process that started it.
"""

import json
import os
import sys
import time

Command = tuple[str, ...]


def measured(command: Command) -> dict[str, float]:
    """One run: seconds of wall and CPU (its children's too), and the largest process in MB."""
    quiet = [(os.POSIX_SPAWN_OPEN, end, os.devnull, os.O_RDWR, 0) for end in (0, 1)]
    begun = time.perf_counter()
    child = os.posix_spawn(command[0], command, dict(os.environ), file_actions=quiet)
    _, status, usage = os.wait4(child, 0)
    wall = time.perf_counter() - begun
    if status:
        raise SystemExit(f"{command}: ended with {os.waitstatus_to_exitcode(status)}")
    return {
        "wall": wall,
        "cpu": usage.ru_utime + usage.ru_stime,
        "memory": usage.ru_maxrss / 1024,
    }


def main() -> None:
    """Commands and the number of runs on stdin; the runs of each command on stdout."""
    asked = json.load(sys.stdin)
    commands = [tuple(command) for command in asked["commands"]]
    for command in commands:
        measured(command)
    rounds = [[measured(command) for command in commands] for _ in range(asked["runs"])]
    json.dump([list(runs) for runs in zip(*rounds, strict=True)], sys.stdout)


if __name__ == "__main__":
    main()
