"""`status`: the fleet at a glance, of rollouts as the planner really leaves them."""

from __future__ import annotations

import functools
import re

import pytest

from cni_upgrade.kubectl import status
from cni_upgrade.kubectl.fleet import Fleet, by_labels, fleet
from cni_upgrade.kubectl.terminal import Terminal
from tests.unit.kubectl.fleets import row, rows, shown, zones

COLOURS = re.compile(r"\x1b\[\d*m")
played = functools.cache(zones)


def lines(width: int = 80, colour: bool = False) -> list[str]:
    return status.lines(shown(played()), Terminal(width, colour))


def test_a_bar_for_each_wave_and_the_present_one_is_marked() -> None:
    waves = [line for line in lines() if "zone eu-" in line and "[" in line]
    assert [" ".join(re.sub(r"\[.*\]", "", line).split()) for line in waves] == [
        "zone eu-1a 2/2 well",
        "> zone eu-1b 0/2 well, 1 stuck",
        "zone eu-1c 0/1 well",
    ]
    assert "[####" in waves[0]
    assert "[!!!!" in waves[1]
    assert "[....]" in re.sub(r"\.+", "....", waves[2])
    assert any(line.split()[:1] == ["canary"] and "1/1 well" in line for line in lines())


def test_phases_and_versions_are_counted() -> None:
    told = [line.split()[:2] for line in lines()]
    for word, count in (("Failed", "1"), ("Draining", "1"), ("1.0.0", "3"), ("0.4.0", "2")):
        assert [word, count] in told


def test_who_blocks_is_named_with_the_next_command() -> None:
    text = "\n".join(lines())
    blocks = text[text.index("WHO BLOCKS") : text.index("UNDER WAY")]
    assert "node-c  Failed StillBroken" in blocks
    assert "FailedKillPod: plugin" in blocks
    assert "Next: kubectl cni-upgrade why node-c" in blocks


def test_a_drain_says_what_it_waits_for() -> None:
    text = "\n".join(lines())
    way = text[text.index("UNDER WAY") : text.index("WAITED FOR")]
    assert "default/web-node-d-0: The disruption budget web needs" in way


def test_what_is_waited_for_has_its_meaning_from_the_catalogue() -> None:
    text = "\n".join(lines())
    told = text[text.index("WAITED FOR") :]
    assert "WaitingForWave  1      The waves before the node's own are not finished." in told


@pytest.mark.parametrize("width", [80, 120])
def test_it_fits_and_colours_change_nothing_but_the_colour(width: int) -> None:
    plain, painted = lines(width), lines(width, colour=True)
    assert max(map(len, plain)) <= width
    assert not any("\x1b" in line for line in plain)
    assert [COLOURS.sub("", line) for line in painted] == plain
    assert any("\x1b[31m" in line for line in painted)


def test_of_ten_blocked_nodes_ten_are_named_and_the_others_counted() -> None:
    table = [row(f"node-{n:02}", "Blocked", "DrainBlocked") for n in range(13)]
    told = status.lines(Fleet(fleet(table, (), ()).nodes, ()), Terminal(80))
    assert sum("Blocked DrainBlocked" in line for line in told) == 10
    assert "  and 3 more: kubectl get cns --field-selector=status.phase=Blocked" in told


def test_nothing_there_says_what_to_do() -> None:
    told = "\n".join(status.lines(fleet((), (), ()), Terminal(80)))
    assert "kubectl apply -f manifests/examples/audit.yaml" in told


def test_a_policy_of_another_release_is_shown_with_its_problem() -> None:
    raw = {"metadata": {"name": "odd", "uid": "u"}, "spec": {"nodeSelector": 7}}
    told = "\n".join(status.lines(fleet((), (raw,), ()), Terminal(80)))
    assert "NotUnderstood" in told
    assert "spec.nodeSelector" in told


def test_messages_from_the_cluster_cannot_steer_the_terminal() -> None:
    table = [row("node-a", "Failed", "StillBroken", message="\x1b[2Jgone")]
    told = "\n".join(status.lines(fleet(table, (), ()), Terminal(80)))
    assert "\\x1b[2Jgone" in told


def test_nodes_are_asked_for_only_where_waves_go_by_labels() -> None:
    assert by_labels(list(played().cluster.api.all("CNIUpgradePolicy")))
    assert not by_labels([{"spec": {"nodeSelector": {}}}, {"spec": {"rollout": {"order": {}}}}])


def test_rows_are_what_the_table_of_the_api_server_has() -> None:
    [found] = [each for each in rows(played()) if each["Name"] == "node-c"]
    assert (found["Phase"], found["Policy"], found["Found"]) == ("Failed", "cure", "1.0.0")
