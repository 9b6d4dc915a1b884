"""`why NODE`: the reason, its meaning, and the next command, for whatever a record holds."""

from __future__ import annotations

import functools
from datetime import UTC, datetime

import pytest

from cni_upgrade.api.meaning import meaning_of
from cni_upgrade.api.node_reasons import NODE_REASONS
from cni_upgrade.api.parse import parse_node_state
from cni_upgrade.kubectl import why
from cni_upgrade.kubectl.terminal import Terminal
from tests.unit.kubectl.fleets import zones

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
played = functools.cache(zones)


def told(node: str, width: int = 80) -> list[str]:
    r = played()
    return why.lines(parse_node_state(r.cluster.state(node) or {}), r.cluster.now, Terminal(width))


def made(**status: object) -> list[str]:
    raw = {"metadata": {"name": "n", "uid": "u"}, "spec": {"nodeUID": "u"}, "status": status}
    return why.lines(parse_node_state(raw), NOW, Terminal(80))


def test_of_a_failed_node() -> None:
    text = "\n".join(told("node-c"))
    assert text.startswith("node-c  Failed  StillBroken  for ")
    assert "StillBroken: The change was made, and pods fail as before: another cause." in text
    assert "Next move: a person." in text
    assert "deleting a pod          fails    works" in text
    assert text.endswith(
        "Next:\n  kubectl annotate --overwrite cns node-c cniupgrade.dev/retry=$(date +%s)"
    )


def test_a_waiting_node_names_the_policy_to_look_at() -> None:
    text = "\n".join(told("node-e"))
    assert "WaitingForWave: The waves before the node's own are not finished." in text
    assert text.endswith("To see more:\n  kubectl describe cup cure")


def test_a_drain_names_the_pod_and_the_budget_that_it_waits_for() -> None:
    text = " ".join(" ".join(told("node-d")).split())
    assert "waits: default/web-node-d-0: The disruption budget web needs 1 healthy pods" in text


def test_a_good_node_has_nothing_to_do() -> None:
    assert told("node-a")[-1] == "Next: nothing to do."


def test_findings_come_by_severity_with_what_to_do() -> None:
    lines = made(
        phase="Waiting",
        reason="WaitingForEnforce",
        findings=[
            {"code": "Loopback", "severity": "Info", "message": "old"},
            {"code": "F1", "severity": "Fault", "component": "10.conf", "action": "give it one"},
        ],
        policies=["fleet"],
    )
    text = "\n".join(lines)
    assert text.index("Fault F1  10.conf") < text.index("Info Loopback")
    assert meaning_of("F1") is not None
    assert "cniVersion is missing: libcni 0.7.1-1.0.1 adds pods" in text
    assert "    -> give it one" in lines
    assert "kubectl patch cup fleet --type=merge" in text


@pytest.mark.parametrize("word", sorted(NODE_REASONS))
def test_every_reason_of_the_catalogue_has_its_meaning_and_a_command(word: str) -> None:
    text = "\n".join(made(phase="Waiting", reason=word, policies=["fleet"]))
    assert " ".join(f"{word}: {NODE_REASONS[word].about}".split()) in " ".join(text.split())
    command = text.splitlines()[-1]
    assert command.startswith("  kubectl ")
    assert "NODE" not in command
    assert "POLICY" not in command


def test_a_word_of_another_release_is_not_guessed() -> None:
    text = "\n".join(made(phase="Waiting", reason="Dreaming"))
    assert "Dreaming is a word of another release than this command's." in text


def test_an_empty_record() -> None:
    text = "\n".join(made())
    assert "The controller has said nothing of it yet." in text
    assert "none selects the node" in text


@pytest.mark.parametrize("width", [80, 120])
def test_it_fits(width: int) -> None:
    longest = "annotate --overwrite"  # a command is never broken
    for node in ("node-a", "node-b", "node-c", "node-d", "node-e"):
        lines = [line for line in told(node, width) if longest not in line]
        assert max(map(len, lines)) <= width


def test_ages_are_as_kubectl_has_them() -> None:
    ages = [why.duration(s) for s in (0, 59, 119, 120, 7_199, 7_200, 172_799, 172_800)]
    assert ages == ["0s", "59s", "119s", "2m", "119m", "2h", "47h", "2d"]
