"""Whose cordon a node carries, by who has written it and by our mark."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cni_upgrade.api import names
from cni_upgrade.planner.node import cordon
from cni_upgrade.planner.world.decisions import Uncordon, Unmark
from cni_upgrade.planner.world.kubernetes_objects import Node
from tests.unit.planner import samples

US = names.FIELD_MANAGER


def node(*writers: str, marked: bool, cordoned: bool = True) -> Node:
    notes = {names.CORDONED_BY: "apply-x"} if marked else {}
    plain = samples.node(cordoned=cordoned)
    return replace(plain, cordoned_by=writers, annotations=notes)


@pytest.mark.parametrize(
    ("there", "act"),
    [
        (node(US, marked=True), Uncordon),
        (node(US, marked=False), Uncordon),
        # Nobody has noted who wrote it: the mark tells.
        (node(marked=True), Uncordon),
        (node(marked=False), None),
        (node("kubectl", marked=True), Unmark),
        (node("kubectl", marked=False), None),
        # Somebody else has applied the same: it is theirs as well, and theirs to end.
        (node(US, "maintenance", marked=True), Unmark),
        (node(US, "maintenance", marked=False), None),
        # Uncordoned by hand, with our mark left.
        (node(marked=True, cordoned=False), Uncordon),
        (node(marked=False, cordoned=False), None),
    ],
)
def test_what_is_given_back(there: Node, act: type | None) -> None:
    given = cordon.give_back(there)
    assert given is None if act is None else isinstance(given, act)
