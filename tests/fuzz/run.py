"""Fuzzes one target with atheris: `python -m tests.fuzz.run TARGET [OPTION OF LIBFUZZER ...]`.

It starts from the kept corpus and what earlier runs found, which is outside the tree;
`tests.fuzz.keep` takes from that what is worth replaying with all tests.
"""

import sys

import atheris

with atheris.instrument_imports(include=["cni_upgrade"]):
    from tests.fuzz.targets import CORPUS, TARGETS

from tests.fuzz.keep import grown


def main() -> None:
    """Ends with the fuzzer's own exit code: not 0 when an input broke a promise."""
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        raise SystemExit(f"usage: python -m tests.fuzz.run {{{','.join(TARGETS)}}} [OPTION ...]")
    target, *options = sys.argv[1:]
    folders = (grown(target), CORPUS / target)
    prefix = f"-artifact_prefix={grown(target)}-"
    atheris.Setup([sys.argv[0], prefix, *options, *map(str, folders)], TARGETS[target])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
