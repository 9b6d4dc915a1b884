"""Takes into the kept corpus what `make fuzz` found to reach new code, the smallest input first.

    python -m tests.fuzz.keep [TARGET ...]

New is a line that follows another as it never did before. (libFuzzer's own merge starts its program
anew by its path, which a Python module has none of.)
"""

import hashlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from tests.fuzz.targets import CORPUS, TARGETS

Step = tuple[str, int, int]


def grown(target: str) -> Path:
    """Where the fuzzer collects inputs that reached something new, outside the tree."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    folder = Path(base) / "cni-upgrade-operator" / "fuzz" / target
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def steps(target: Callable[[bytes], None], data: bytes) -> set[Step]:
    """From which line to which line of this project's code the input leads."""
    found: set[Step] = set()

    def called(frame: FrameType, _event: str, _argument: Any) -> Any:
        name = frame.f_code.co_filename
        if "cni_upgrade" not in name:
            return None
        before = 0

        def line(frame: FrameType, _event: str, _argument: Any) -> Any:
            nonlocal before
            found.add((name, before, frame.f_lineno))
            before = frame.f_lineno
            return line

        return line

    sys.settrace(called)
    try:
        target(data)
    finally:
        sys.settrace(None)
    return found


def main() -> None:
    """Says how many inputs of each target are kept now."""
    for name in sys.argv[1:] or TARGETS:
        kept = CORPUS / name
        reached = {
            step for path in kept.iterdir() for step in steps(TARGETS[name], path.read_bytes())
        }
        for data in sorted((path.read_bytes() for path in grown(name).iterdir()), key=len):
            new = steps(TARGETS[name], data) - reached
            if new:
                reached |= new
                (kept / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
        print(f"{name}: {len(list(kept.iterdir()))} inputs, {len(reached)} steps")


if __name__ == "__main__":
    main()
