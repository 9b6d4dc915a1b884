"""Colours are for a person at a terminal, and never say more than the words."""

import io

import pytest

from cni_upgrade.cli import colours


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({"TERM": "xterm"}, True),
        ({"TERM": "xterm", "NO_COLOR": ""}, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False),
        ({"TERM": "dumb"}, False),
        ({}, False),
    ],
)
def test_a_terminal_that_allows_them(environment: dict[str, str], wanted: bool) -> None:
    assert colours.wanted(_Terminal(), environment) is wanted
    assert not colours.wanted(io.StringIO(), environment)


@pytest.mark.parametrize(
    ("line", "painted"),
    [
        ("Fault PluginMissing (4)", "\033[1;31mFault\033[0m PluginMissing (4)"),
        ("Warning VersionMissing", "\033[1;33mWarning\033[0m VersionMissing"),
        ("Verdict  Blocked: why", "Verdict  \033[1;31mBlocked\033[0m: why"),
        (
            "Verdict  Compatible: nothing is to be done",
            "Verdict  \033[1;32mCompatible\033[0m: nothing is to be done",
        ),
    ],
)
def test_the_word_that_decides(line: str, painted: str) -> None:
    assert colours.paint(line) == painted


def test_what_is_not_known_is_not_green() -> None:
    for line in (
        "Verdict  Compatible: nothing is to be written; whether pods come and go is not known",
        "      Fault of somebody",
        "Faulty lines",
    ):
        assert colours.paint(line) == line
