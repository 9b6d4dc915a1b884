"""What Enforce would do to each node, by the last audit: nodes by runtime, version and work."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cni_upgrade.api.drain import DrainPolicy
from cni_upgrade.api.phase import Phase
from cni_upgrade.kubectl.fleet import NEEDS_PERSON
from cni_upgrade.kubectl.terminal import Terminal, columns
from cni_upgrade.planner.world.phases import GOOD, UNPROVED

REWRITE, DRAIN = "rewrite", "drain, then rewrite"
UPGRADE = "drain, then wait for its upgrade"


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be done to one kind of node."""

    runtime: str
    found: str
    target: str
    what: str


def of_policy(state: Mapping[str, Any], policy: str) -> bool:
    """Whether a policy has the node, or selects it."""
    claimed = ((state.get("spec") or {}).get("policyRef") or {}).get("name")
    return claimed == policy or policy in ((state.get("status") or {}).get("policies") or ())


def work(state: Mapping[str, Any], drains: Mapping[str, str]) -> Work:
    """Of one node; `drains` has the drain policy of each policy by its name."""
    status = state.get("status") or {}
    runtime = (status.get("observed") or {}).get("runtimeVersion") or "not known"
    found, target = status.get("found") or "none", status.get("target") or "none"
    return Work(str(runtime), str(found), str(target), _what(state, status, drains))


def _what(state: Mapping[str, Any], status: Mapping[str, Any], drains: Mapping[str, str]) -> str:
    phase, reason = status.get("phase") or Phase.PENDING, status.get("reason") or ""
    if phase in GOOD:
        return "nothing"
    if phase in NEEDS_PERSON:
        return f"nothing: {phase} ({reason})"
    if phase == Phase.UPGRADING or _upgrade_due(status):
        return UPGRADE
    if status.get("verdict") != "Rewrite":
        return "not audited yet"
    needed = bool((status.get("after") or {}).get("needsDrain"))
    claimed = ((state.get("spec") or {}).get("policyRef") or {}).get("name")
    policies = [claimed] if claimed else list(status.get("policies") or ())
    wanted = {drains.get(name, "") for name in policies[:1]}
    if needed and DrainPolicy.NEVER in wanted:
        return "nothing: needs a drain (drain.policy is Never)"
    return DRAIN if needed or DrainPolicy.ALWAYS in wanted else REWRITE


def _upgrade_due(status: Mapping[str, Any]) -> bool:
    """Whether a node waits whose config is well and proved: its runtime or kubelet is not."""
    unproved = (status.get("lastChange") or {}).get("outcome") == UNPROVED
    well = status.get("verdict") in ("Compatible", "NotCni")
    return status.get("phase") == Phase.WAITING and well and not unproved


def lines(works: Iterable[Work], terminal: Terminal) -> list[str]:
    """The table and the sums."""
    counts = Counter(works)
    total = sum(counts.values())
    if not total:
        return ["No node state is there yet: nothing was audited."]
    rows = [
        (str(count), each.runtime, each.found, each.target, each.what)
        for each, count in sorted(
            counts.items(), key=lambda of: (of[0].what.startswith("nothing"), -of[1], str(of[0]))
        )
    ]
    head = ("NODES", "RUNTIME", "FOUND", "TARGET", "ENFORCE WOULD")
    drained = sum(count for each, count in counts.items() if each.what in (DRAIN, UPGRADE))
    changed = drained + sum(count for each, count in counts.items() if each.what == REWRITE)
    unknown = sum(count for each, count in counts.items() if each.what == "not audited yet")
    told = columns(terminal, head, rows, indent=0)
    told.append("")
    told += terminal.wrap(
        f"{changed} of {total} nodes would be changed, {drained} of them drained first."
        + (f" {unknown} were not audited yet." if unknown else "")
    )
    return told
