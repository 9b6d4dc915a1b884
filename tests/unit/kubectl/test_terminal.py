"""Text for a terminal: bars, wrapped lines, and nothing that the terminal would obey."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cni_upgrade.kubectl.terminal import Part, Terminal, bar, columns, harmless

PLAIN = Terminal(80)


def drawn(well: int, stuck: int, total: int, cells: int = 10) -> str:
    return bar(PLAIN, (Part(well, "#", "green"), Part(stuck, "!", "red")), total, cells)


def test_a_bar_is_full_only_where_nothing_is_missing() -> None:
    assert drawn(100, 0, 100) == "[##########]"
    assert drawn(9_999, 0, 10_000) == "[#########.]"
    assert drawn(9_998, 1, 10_000) == "[########!.]"


def test_a_single_node_of_thousands_is_seen() -> None:
    assert drawn(0, 1, 5_000) == "[!.........]"
    assert drawn(4_999, 1, 5_000) == "[#########!]"


def test_a_bar_of_nothing_is_empty() -> None:
    assert drawn(0, 0, 0) == "[..........]"


@given(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9), st.integers(3, 40))
def test_a_bar_has_its_cells_whatever_it_shows(
    well: int, stuck: int, rest: int, cells: int
) -> None:
    shown = drawn(well, stuck, well + stuck + rest, cells)
    assert len(shown) == cells + 2
    assert ("#" in shown, "!" in shown) == (well > 0, stuck > 0)
    if well + stuck + rest:
        assert ("." in shown) == (rest > 0)


def test_colours_only_where_they_are_asked_for() -> None:
    assert PLAIN.paint("Failed", "red") == "Failed"
    assert Terminal(80, colour=True).paint("Failed", "red") == "\x1b[31mFailed\x1b[0m"


def test_what_a_terminal_would_obey_is_shown_and_not_sent() -> None:
    assert harmless("a\x1b[2Jb\u202ec") == "a\\x1b[2Jb\\u202ec"
    assert PLAIN.wrap("a\x1b[2J") == ["a\\x1b[2J"]
    assert PLAIN.clip("a\x07b", 20) == "a\\x07b"


def test_names_and_commands_are_not_broken() -> None:
    name = "a-rather-long-name.of-a-node.in-a-region.example.com"
    assert name in Terminal(50).wrap(f"the node whose name is {name} fails")


def test_the_last_column_is_cut_to_the_width() -> None:
    table = columns(Terminal(40), ("REASON", "MEANING"), [("Drain", "x" * 80)])
    assert table == ["  REASON  MEANING", "  Drain   " + "x" * 27 + "..."]
