"""The measure of prose: what counts as a sentence, and what a user page may not have."""

from pathlib import Path

import pytest

from hack import prose


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One two three. Four five.", [3, 2]),
        ("One two\nthree. Is it four? Yes!", [3, 3, 1]),
        ("It takes 0.4.0 or 1.0.0 of these.", [7]),
        ("Set `spec.mode: Enforce. Or not` now.", [3]),
        ("Read [the whole page](how-to/install.md#a-b) now.", [5]),
        ("Some, e.g. flannel, keep it.", [5]),
        ("- one two\n- three four five\n  six", [2, 4]),
        ("1. one two\n2. three", [2, 1]),
        ("# A heading here\n\nOne two.", [2]),
        ("| a | b |\n|---|---|\n| c d e f | g |\n\nOne.", [1]),
        ("One.\n\n```sh\nkubectl get nodes\n```\n\nTwo three.", [1, 2]),
        ("One.\n\n    indented code here\n\nTwo three.", [1, 2]),
        ("Before <!-- not\nshown --> after.", [2]),
        ("```\nnever closed\n", []),
    ],
)
def test_sentences_are_counted(text: str, expected: list[int]) -> None:
    assert list(prose.measure(text).sentences) == expected


def test_a_list_item_is_a_paragraph_of_its_own() -> None:
    page = prose.measure("One two.\nThree.\n- four\n- five six\n\nSeven.")
    assert page.paragraphs == (3, 1, 2, 1)
    assert page.longest_paragraph == 3


def test_the_figures_of_a_page() -> None:
    page = prose.measure(f"{'word ' * 36}. Two words. {'word ' * 35}. One.")
    assert page.mean == (36 + 2 + 35 + 1) / 4
    assert page.share_of_long == 25
    assert prose.measure("").mean == prose.measure("").share_of_long == 0


GOOD = "Short sentences. " * 20


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (f"{'word ' * 19}.", "the mean sentence has 19.0 words"),
        (f"{GOOD}\n\n{'word ' * 36}.\n\n{'word ' * 36}.", "9.1 % of the sentences have over 35"),
        (f"{'Four words are here. ' * 26}", "'Four words are here. Four words ...' has 104 words"),
        ("See `planner/steps/drain.py`.", "planner/steps/drain.py is a module"),
        ("| a | `cni_upgrade.cni` |", "cni_upgrade.cni is a module"),
        ("Seen @ 959d92a on a node.", "959d92a looks like a commit"),
    ],
)
def test_a_problem_is_named(text: str, problem: str) -> None:
    assert [each for each in prose.problems(text) if problem in each]


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        "```sh\npython hack/prose.py 959d92a\n```",
        "In 20261123 and of 1.0.0.",
        "The id `apply-0123456789abcdef0123` is one.",
        "It is faced and decade.",
    ],
)
def test_what_is_no_problem(text: str) -> None:
    assert list(prose.problems(text)) == []


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("README.md", "docs/how-to/a.md", "docs/reference/b/c.md", "docs/dev/d.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("Fine.\n")
    return tmp_path


def test_only_user_pages_are_held_to_it(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "docs/dev/d.md").write_text(f"{'word ' * 40}.")
    assert prose.main(["--check"], root) == 0
    (root / "docs/reference/b/c.md").write_text(f"{'word ' * 40}.")
    assert prose.main(["--check"], root) == 1
    assert capsys.readouterr().out.startswith("docs/reference/b/c.md: the mean sentence has 40.0")


def test_the_table_has_every_page(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "docs/dev/d.md").write_text("One two three. Four.")
    assert prose.main([], root) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[0] for line in lines[1:]] == [
        "README.md",
        "docs/dev/d.md",
        "docs/how-to/a.md",
        "docs/reference/b/c.md",
    ]
    assert lines[2] == ["docs/dev/d.md", "4", "2", "2.0", "0.0", "4"]
