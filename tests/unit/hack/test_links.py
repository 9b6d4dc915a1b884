"""The check of links: what leads nowhere is named, and nothing else is."""

import subprocess
from pathlib import Path

import pytest

from hack import links


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "docs/how-to").mkdir(parents=True)
    (tmp_path / "docs/how-to/a.md").write_text("# What is `this`, say?\n\n## Twice\n\n## Twice\n")
    return tmp_path


@pytest.mark.parametrize(
    "text",
    [
        "[a](how-to/a.md)",
        "[a](how-to/a.md#what-is-this-say)",
        "[a](how-to/a.md#twice-1)",
        "[folder](how-to)",
        "[here](#top)\n\n# Top",
        "[out](https://example.org/none.md)",
        "`[code](none.md)`",
        "```\n[fenced](none.md)\n```",
        "docs/how-to/a.md",
    ],
)
def test_a_link_that_leads_somewhere(root: Path, text: str) -> None:
    (root / "docs/b.md").write_text(text)
    assert list(links.problems(root, ["docs/b.md"])) == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[a](none.md)", "none.md: there is no such file"),
        ("[a\nb](none.md)", "none.md: there is no such file"),
        ("[a](../../out.md)", "../../out.md: there is no such file"),
        ("[a](how-to/a.md#none)", "how-to/a.md#none: that page has no such heading"),
        ("[a](how-to/a.md#twice-2)", "how-to/a.md#twice-2: that page has no such heading"),
        ("# Top\n\n[a](#none)", "#none: that page has no such heading"),
        ("`docs/none.md`", "docs/none.md: there is no such file"),
        ("docs/how-to/a.md#none", "docs/how-to/a.md#none: that page has no such heading"),
    ],
)
def test_a_link_that_leads_nowhere(root: Path, text: str, problem: str) -> None:
    (root / "docs/b.md").write_text(text)
    assert list(links.problems(root, ["docs/b.md"])) == [f"docs/b.md: {problem}"]


def test_a_mention_in_code_must_be_a_file(root: Path) -> None:
    (root / "a.py").write_text('"""See docs/none.md and docs/how-to/a.md."""\n')
    assert list(links.problems(root, ["a.py"])) == ["a.py: docs/none.md: there is no such file"]


def test_what_git_knows_is_read(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    (root / "docs/b.md").write_text("[a](how-to/a.md)")
    assert links.main(root) == 0
    (root / "docs/b.md").write_text("[a](none.md)")
    assert links.main(root) == 1
    assert capsys.readouterr().out.splitlines()[-1].startswith("docs/b.md: none.md")
