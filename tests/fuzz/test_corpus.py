"""The kept corpus, and bytes like it: what was promised of any bytes holds without a fuzzer."""

import random
from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).parent / "corpus"
KEPT = [
    pytest.param(path.parent.name, path, id=f"{path.parent.name}-{path.name}")
    for path in sorted(CORPUS.glob("*/*"))
]
VARIANTS = 20


@pytest.mark.parametrize(("target", "path"), KEPT)
def test_kept_input(target: str, path: Path) -> None:
    TARGETS[target](path.read_bytes())


@pytest.mark.parametrize("target", TARGETS)
def test_inputs_like_the_kept_ones(target: str) -> None:
    chance = random.Random(target)  # noqa: S311 - seeded: each run tries the same
    kept = [path.read_bytes() for path in sorted((CORPUS / target).iterdir())]
    assert kept
    for data in kept:
        for _ in range(VARIANTS):
            TARGETS[target](_changed(data, chance))


def _changed(data: bytes, chance: random.Random) -> bytes:
    """A few bytes of it cut, doubled, or replaced by others."""
    for _ in range(chance.randint(1, 4)):
        start = chance.randint(0, len(data))
        end = min(len(data), start + chance.randint(0, 8))
        piece = chance.choice((b"", data[start:end] * 2, chance.randbytes(end - start)))
        data = data[:start] + piece + data[end:]
    return data
