"""`diff NODE`: what was written, or is planned."""

from __future__ import annotations

from cni_upgrade.api.parse import parse_node_state
from cni_upgrade.kubectl import difference
from cni_upgrade.kubectl.terminal import Terminal

OLD = {
    "at": "2026-01-01T12:00:00Z", "kind": "apply", "outcome": "Done", "to": "0.4.0",
    "diff": '@@ -1 +1 @@\n-{}\n+{"cniVersion": "0.4.0"}', "backup": "b1",
}  # fmt: skip
NEW = {**OLD, "at": "2026-01-02T12:00:00Z", "from": "0.4.0", "to": "1.0.0", "diff": "+\x1b[2J"}


PLAIN = Terminal(80)


def told(terminal: Terminal = PLAIN, everything: bool = False, **status: object) -> str:
    raw = {"metadata": {"name": "n", "uid": "u"}, "spec": {"nodeUID": "u"}, "status": status}
    return "\n".join(difference.lines(parse_node_state(raw), terminal, everything=everything))


def test_the_newest_change() -> None:
    text = told(history=[OLD, NEW])
    assert text.startswith("# 2026-01-02 12:00:00 UTC  apply Done  0.4.0 -> 1.0.0  backup b1")
    assert "\\x1b[2J" in text
    assert "2026-01-01" not in text


def test_every_change() -> None:
    text = told(history=[OLD, NEW], everything=True)
    assert text.index("missing -> 0.4.0") < text.index("0.4.0 -> 1.0.0")


def test_colours() -> None:
    text = told(Terminal(80, colour=True), history=[OLD])
    assert '\x1b[32m+{"cniVersion": "0.4.0"}\x1b[0m' in text
    assert "\x1b[31m-{}\x1b[0m" in text


def test_what_is_planned() -> None:
    file = {"name": "20-y.conf", "action": "Rewrite", "to": "1.0.0", "becomes": "20-y.conflist"}
    text = told(files=[file])
    assert "planned: 20-y.conf: missing -> 1.0.0, as 20-y.conflist" in text


def test_nothing() -> None:
    assert told() == "Nothing was written on this node, or is planned."
