"""Checks that links between the files of this repository lead somewhere.

    python hack/links.py

Links to files and to headings are read in the markdown files that git knows. In all text files a
mention such as `docs/dev/architecture.md` must be a file. Links to other hosts are not followed.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

_FENCED = re.compile(r"^\s*(```|~~~).*?^\s*\1\s*$", re.DOTALL | re.MULTILINE)
_CODE = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)
_LINK = re.compile(r"\[(?:[^\[\]]|\[[^\]]*\])*\]\(\s*<?([^)\s>]+)>?[^)]*\)")
_MENTION = re.compile(r"(?<![\w./-])docs/[\w./-]+\.md(?:#[\w-]+)?")
_HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*\s*$", re.MULTILINE)
# Its pages are made up.
_MADE_UP = "tests/unit/hack/"
_ELSEWHERE = re.compile(r"[a-z][a-z+.-]*:", re.IGNORECASE)


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    found: set[str] = set()
    for heading in _HEADING.findall(_FENCED.sub("", text)):
        shown = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
        count = 0
        while (name := f"{slug}-{count}" if count else slug) in found:
            count += 1
        found.add(name)
    return found


def problems(root: Path, files: list[str]) -> Iterator[str]:
    """Yield a line for each link that leads nowhere."""
    for name in files:
        path = root / name
        try:
            text = path.read_text(encoding="utf-8")
        except (UnicodeDecodeError, FileNotFoundError, IsADirectoryError):
            continue
        if name.endswith(".md"):
            for target in _LINK.findall(_CODE.sub("", _FENCED.sub("", text))):
                yield from _problem(root, name, path.parent, target)
        for target in sorted(set(_MENTION.findall(text))):
            yield from _problem(root, name, root, target)


def main(root: Path = ROOT) -> int:
    """Print the problems; return the exit code."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout
    files = [name for name in listed.split("\0") if name and not name.startswith(_MADE_UP)]
    found = list(problems(root, sorted(files)))
    print("\n".join(found) or "all links lead somewhere")
    return 1 if found else 0


def _problem(root: Path, name: str, folder: Path, target: str) -> Iterator[str]:
    if _ELSEWHERE.match(target):
        return
    path, _, anchor = target.partition("#")
    page = (folder / path).resolve() if path else root / name
    if not page.is_relative_to(root.resolve()) or not page.exists():
        yield f"{name}: {target}: there is no such file"
    elif anchor and page.suffix == ".md" and anchor not in anchors(page.read_text("utf-8")):
        yield f"{name}: {target}: that page has no such heading"


if __name__ == "__main__":
    sys.exit(main())
