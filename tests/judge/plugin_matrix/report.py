"""Writes the table of docs/plugin-matrix.md, and each difference as a line."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from tests.judge.plugin_matrix.compare import Compared
from tests.judge.plugin_matrix.live import Lived


def raw(found: Iterable[Compared]) -> Iterator[str]:
    """Where prediction and outcome differ; like ones together."""
    groups: dict[tuple[str, ...], list[Compared]] = {}
    for each in found:
        if each.kind.startswith("wrong"):
            key = (each.kind, each.cell.chain.title, each.cell.addresses, each.what, each.runtime)
            groups.setdefault(key, []).append(each)
    for key, members in sorted(groups.items()):
        yield f"- {' | '.join(key)}"
        lines: dict[tuple[str, str], set[str]] = {}
        for each in members:
            at = each.cell.version or "missing"
            where = f"{at} -> {each.to}" if each.to else at
            texts = sorted({f"[{kind}] {_short(error)}" for kind, error in each.errors.items()})
            told = "; ".join(texts) or f"works; engine: {each.why[:100]}"
            lines.setdefault((f"{each.cell.release.name} at {where}", told), set()).add(
                each.cell.libcni
            )
        by_text: dict[tuple[str, str], list[str]] = {}
        for (where, told), libcni in lines.items():
            by_text.setdefault((told, ",".join(sorted(libcni))), []).append(where)
        for (told, libcni), places in by_text.items():
            yield f"  - {', '.join(places)} (libcni {libcni}): {told}"


def _short(error: str) -> str:
    return " ".join(error.split())[:160]


def whole(
    lived: Sequence[Lived], found: Sequence[Compared], seconds: tuple[float, float]
) -> Iterator[str]:
    """The page."""
    kinds = Counter((each.what, each.kind) for each in found)
    yield f"{len(lived)} cells, {seconds[0]:.0f} s, {seconds[1]:.0f} s of CPU"
    for (what, kind), count in sorted(kinds.items()):
        yield f"{what}: {kind}: {count}"
