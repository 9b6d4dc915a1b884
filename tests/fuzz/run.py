"""Fuzzes one target with atheris: `python -m tests.fuzz.run TARGET [OPTION OF LIBFUZZER ...]`.

New inputs go to a folder in the cache; `merge` keeps of them and of the kept corpus the fewest that
reach everything: `python -m tests.fuzz.run TARGET merge`.
"""

import os
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["cni_upgrade"]):
    from tests.fuzz.targets import CORPUS, TARGETS


def grown(target: str) -> Path:
    """Where inputs that reached something new are collected, outside the tree."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    folder = Path(base) / "cni-upgrade-operator" / "fuzz" / target
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def main() -> None:
    """Ends with the fuzzer's own exit code: not 0 when an input broke a promise."""
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        raise SystemExit(f"usage: python -m tests.fuzz.run {{{','.join(TARGETS)}}} [OPTION ...]")
    target, *options = sys.argv[1:]
    kept = CORPUS / target
    kept.mkdir(parents=True, exist_ok=True)
    folders = [grown(target), kept]
    if options == ["merge"]:
        options, folders = ["-merge=1"], [kept, grown(target)]
    prefix = f"-artifact_prefix={grown(target)}-"
    atheris.Setup([sys.argv[0], prefix, *options, *map(str, folders)], TARGETS[target])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
