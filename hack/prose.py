"""Measures the prose of markdown pages, and holds user pages to the limits.

    python hack/prose.py [PAGE...]      prints a table; without pages, all of README.md and docs/
    python hack/prose.py --check        fails where a user page exceeds a limit

Code blocks, tables, headings and comments are not measured. An inline code span is one word.
"""

import argparse
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
USER_PAGES = ("README.md", "docs/README.md", "docs/tutorial.md")
USER_FOLDERS = ("docs/how-to", "docs/reference", "docs/explanation")

MEAN, LONG, SHARE, PARAGRAPH = 18.0, 35, 5.0, 100

_FENCE = re.compile(r"^\s*(```|~~~)")
_LIST_ITEM = re.compile(r"^\s*(?:[-*+]|\d+[.)])\s+")
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_CODE = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
# Their full stop ends no sentence.
_ABBREVIATION = re.compile(r"\b(e\.g|i\.e|etc|vs)\.(?=\s+\S)", re.IGNORECASE)
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')*_]*\s+")
_WORD = re.compile(r"\w[\w'./:%-]*")

_MODULE_PATH = re.compile(r"[\w-]+/[\w./-]*\.py\b|\bcni_upgrade\.\w+")
_HEX = re.compile(r"(?<![\w.-])(?=[0-9a-f]*[a-f])(?=[0-9a-f]*\d)[0-9a-f]{7,40}(?![\w.-])")


@dataclass(frozen=True)
class Measure:
    """The prose of one page: its sentences and paragraphs, each by its number of words."""

    sentences: tuple[int, ...]
    paragraphs: tuple[int, ...]

    @property
    def mean(self) -> float:
        """Return the mean number of words of a sentence."""
        return sum(self.sentences) / len(self.sentences) if self.sentences else 0.0

    @property
    def share_of_long(self) -> float:
        """Return how many percent of the sentences have more than LONG words."""
        long = sum(words > LONG for words in self.sentences)
        return 100 * long / len(self.sentences) if self.sentences else 0.0

    @property
    def longest_paragraph(self) -> int:
        """Return the number of words of the longest paragraph or list item."""
        return max(self.paragraphs, default=0)


def paragraphs(text: str) -> list[str]:
    """Return the paragraphs and list items of a page, without their markup."""
    return [each for each in map(_plain, _blocks(_COMMENT.sub("", text))) if _WORD.search(each)]


def sentences(paragraph: str) -> list[str]:
    """Return the sentences of one paragraph."""
    kept = _ABBREVIATION.sub(lambda match: match[0].replace(".", ""), paragraph)
    return [each for each in _SENTENCE_END.split(kept) if _WORD.search(each)]


def measure(text: str) -> Measure:
    """Return the measure of a page."""
    found = paragraphs(text)
    spoken = [each for paragraph in found for each in sentences(paragraph)]
    return Measure(tuple(map(_count, spoken)), tuple(map(_count, found)))


def problems(text: str) -> Iterator[str]:
    """Yield what a user page must not have, one line each."""
    page = measure(text)
    if page.mean > MEAN:
        yield f"the mean sentence has {page.mean:.1f} words, at most {MEAN:.0f} are allowed"
    if page.share_of_long > SHARE:
        yield (
            f"{page.share_of_long:.1f} % of the sentences have over {LONG} words, "
            f"at most {SHARE:.0f} % are allowed"
        )
    for paragraph in paragraphs(text):
        if (words := _count(paragraph)) > PARAGRAPH:
            start = " ".join(paragraph.split()[:6])
            yield f"the paragraph '{start} ...' has {words} words, at most {PARAGRAPH} are allowed"
    shown = "\n".join(line for line, fenced in _lines(text) if not fenced)
    for match in _MODULE_PATH.finditer(shown):
        yield f"{match[0]} is a module: say what it does, or move the sentence to docs/dev"
    for match in _HEX.finditer(shown):
        yield f"{match[0]} looks like a commit: user pages name releases and dates"


def user_pages(root: Path) -> list[Path]:
    """Return the pages that users read."""
    single = [root / name for name in USER_PAGES if (root / name).exists()]
    return single + [
        page for name in USER_FOLDERS for page in sorted((root / name).glob("**/*.md"))
    ]


def all_pages(root: Path) -> list[Path]:
    """Return the pages at the root, and all of docs/."""
    return sorted(root.glob("*.md")) + sorted((root / "docs").glob("**/*.md"))


def table(pages: Iterable[Path], root: Path) -> Iterator[str]:
    """Yield the lines of the table that is printed."""
    head = ("page", "words", "sentences", "mean", f"% > {LONG}", "paragraph")
    yield "{:<42}{:>7}{:>11}{:>7}{:>8}{:>11}".format(*head)
    for path in pages:
        page = measure(path.read_text(encoding="utf-8"))
        name = str(path.relative_to(root) if path.is_relative_to(root) else path)
        yield (
            f"{name:<42}{sum(page.paragraphs):>7}{len(page.sentences):>11}{page.mean:>7.1f}"
            f"{page.share_of_long:>8.1f}{page.longest_paragraph:>11}"
        )


def main(arguments: list[str], root: Path = ROOT) -> int:
    """Print the table, or with --check the problems of user pages; return the exit code."""
    parser = argparse.ArgumentParser(prog="hack/prose.py", description="Measures markdown pages.")
    parser.add_argument("--check", action="store_true", help="fail where a user page has a problem")
    parser.add_argument("pages", nargs="*", type=Path, help="the pages; all, or all user pages")
    options = parser.parse_args(arguments)
    if not options.check:
        print("\n".join(table([page.resolve() for page in options.pages] or all_pages(root), root)))
        return 0
    bad = 0
    for path in options.pages or user_pages(root):
        for problem in problems(path.read_text(encoding="utf-8")):
            print(f"{path.relative_to(root) if path.is_relative_to(root) else path}: {problem}")
            bad += 1
    return min(bad, 1)


def _lines(text: str) -> Iterator[tuple[str, bool]]:
    """Yield each line, and whether it belongs to a fenced code block."""
    fence = ""
    for line in text.splitlines():
        opened = _FENCE.match(line)
        if fence:
            yield line, True
            if opened and opened[1] == fence:
                fence = ""
        else:
            fence = opened[1] if opened else ""
            yield line, bool(opened)


def _blocks(text: str) -> Iterator[str]:
    block: list[str] = []
    indented_code = False
    for line, fenced in _lines(text):
        empty = not line.strip()
        # Four spaces after an empty line are code, unless a list goes on.
        indented_code = line.startswith("    ") and not block and not _LIST_ITEM.match(line)
        apart = fenced or empty or indented_code or line.startswith(("#", "|"))
        if (apart or _LIST_ITEM.match(line)) and block:
            yield " ".join(block)
            block = []
        if not apart:
            block.append(_LIST_ITEM.sub("", line).strip())
    if block:
        yield " ".join(block)


def _plain(block: str) -> str:
    # A link's text stays; a code span becomes one word, without a full stop of its own.
    return _LINK.sub(r"\1", _CODE.sub("code", block))


def _count(text: str) -> int:
    return len(_WORD.findall(text))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
