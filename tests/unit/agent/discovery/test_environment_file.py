"""A file of variables is read as systemd reads it, for a shell would read another value."""

import pytest

from cni_upgrade.agent.discovery.environment_file import assignments


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("A=b", {"A": "b"}),
        (" A = b c \t\nB=\n", {"A": "b c", "B": ""}),
        ("HTTP_PROXY=http://u:pa'ss@proxy\nNAME=O'Brien\nC=d\"e", None),
        ("A='b\nB=c'\nD=e\n", {"A": "b\nB=c", "D": "e"}),
        ('A="b\nB=c"\r\nD=e\r\n', {"A": "b\nB=c", "D": "e"}),
        ("A='b' \"c\" d'e' \n", {"A": "bcd'e'"}),
        ("A='b '\n", {"A": "b "}),
        ('A="\\"\\$\\a\\\nb"\n', {"A": '"$\\ab'}),
        ("A=\\'b\\ \nC=d\\n\\\ne  \n", {"A": "'b ", "C": "dne"}),
        ("A=b\\\r\nC=d\n", {"A": "b", "C": "d"}),
        ("A='\\'\nB=c\n", {"A": "\\", "B": "c"}),
        ("# A='\n;B=\"\n#C=d \\\nD=e#f\n", {"D": "e#f"}),
        ("export A=b\nC\nD=e\n", {"export A": "b", "D": "e"}),
        ("A=b\nC='d\nE=f\n", {"A": "b", "C": None}),
        ('A=b\nC="d\\"\nE=f\\', {"A": "b", "C": None}),
        ("A=b\\", {"A": "b"}),
        ("=a\n = b\nC=d\n", {"C": "d"}),
        ("\u2028A=b\u2028C=d\n", {"\u2028A": "b\u2028C=d"}),
    ],
)
def test_as_systemd_reads_it(text: str, read: dict[str, str | None] | None) -> None:
    plain = dict(line.split("=", 1) for line in text.split("\n")) if read is None else read
    assert dict(assignments(text)) == plain


def test_no_file_takes_long() -> None:
    for text in (
        " " * 65_536 + "x",
        "A=" + " " * 65_536 + "x",
        "A=" + "''" * 32_768,
        "\\" * 65_536,
    ):
        assert len(dict(assignments(text))) <= 1
