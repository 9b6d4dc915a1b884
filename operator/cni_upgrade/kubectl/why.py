"""What `kubectl cni-upgrade why NODE` prints of one node: values in, lines out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

from cni_upgrade.api.meaning import meaning_of
from cni_upgrade.api.node_reasons import NODE_REASONS
from cni_upgrade.api.node_state import CNINodeState, NodeStateStatus
from cni_upgrade.api.reasons import Actor
from cni_upgrade.kubectl.status import colour_of
from cni_upgrade.kubectl.terminal import Terminal
from cni_upgrade.planner.world.phases import GOOD

_SEVERITIES = {"Fault": "red", "Warning": "yellow"}
_DESCRIBE = "kubectl describe cns NODE"


def lines(state: CNINodeState, now: datetime, terminal: Terminal) -> list[str]:
    """The whole answer."""
    return [
        *_head(state, now, terminal),
        *_meaning(state.status, terminal),
        *_found(state, terminal),
        *_findings(state.status, terminal),
        *_blockers(state.status, terminal),
        *_next(state, terminal),
    ]


def next_command(state: CNINodeState) -> str:
    """What a person runs now; empty where there is nothing to do."""
    status = state.status
    if status.phase in GOOD:
        return ""
    known = NODE_REASONS.get(status.reason) or NODE_REASONS.get(str(status.phase))
    command = known.command if known else _DESCRIBE
    return filled(command, state)


def filled(command: str, state: CNINodeState) -> str:
    """A command of the catalogue with the node's and the policy's own names."""
    policy = policy_of(state)
    command = re.sub(r"\bNODE\b", state.metadata.name, command)
    return re.sub(r"\bPOLICY\b", policy, command) if policy else command


def policy_of(state: CNINodeState) -> str:
    """The policy that has the node, or else the first that selects it."""
    if state.spec.policy_ref is not None:
        return state.spec.policy_ref.name
    return state.status.policies[0] if state.status.policies else ""


def duration(seconds: float) -> str:
    """As kubectl shows an age: 45s, 12m, 7h, 3d."""
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * length:
            return f"{int(seconds // length)}{unit}"
    return f"{max(int(seconds), 0)}s"


def _head(state: CNINodeState, now: datetime, terminal: Terminal) -> Iterator[str]:
    status = state.status
    phase = terminal.paint(str(status.phase), colour_of(str(status.phase)))
    since = status.phase_since
    spent = f"for {duration((now - since).total_seconds())}" if since else ""
    reason = "" if status.reason == status.phase else status.reason
    words = (terminal.paint(state.metadata.name, "bold"), phase, reason, spent)
    yield "  ".join(filter(None, words))
    yield from terminal.wrap(status.message or "The controller has said nothing of it yet.", 2)


def _meaning(status: NodeStateStatus, terminal: Terminal) -> Iterator[str]:
    word = status.reason or str(status.phase)
    meaning = meaning_of(word)
    yield ""
    if meaning is None:
        yield from terminal.wrap(f"{word} is a word of another release than this command's.")
        return
    yield from terminal.wrap(f"{word}: {meaning}", 0, 2)
    known = NODE_REASONS.get(word)
    if known is not None:
        yield from terminal.wrap(f"Next move: {known.actor}.", 2)


def _found(state: CNINodeState, terminal: Terminal) -> Iterator[str]:
    """Runtime, versions, verdict, and what works."""
    status = state.status
    runtime = status.observed.runtime_version if status.observed else ""
    rows = [
        ("Policy", policy_of(state) or "none selects the node"),
        ("Runtime", _runtime(status, runtime)),
        ("Found", f"{status.found or 'no active config'}, target {status.target or 'none'}"),
    ]
    if status.verdict:
        rows.append(("Verdict", _verdict(status)))
    rows += [(f"File {each.name}", each.why) for each in status.files if each.active and each.why]
    yield ""
    wide = min(max(len(title) for title, _ in rows), 30) + 2
    for title, text in rows:
        yield from (
            terminal.wrap(f"{title:<{wide}}", 0) if not text else _row(title, text, wide, terminal)
        )
    yield from _works(status, terminal)


def _row(title: str, text: str, wide: int, terminal: Terminal) -> list[str]:
    wrapped = terminal.wrap(text, wide)
    if len(title) + 2 > wide:
        return [*terminal.wrap(title), *wrapped]
    return [f"{title:<{wide}}{wrapped[0][wide:]}", *wrapped[1:]]


def _runtime(status: NodeStateStatus, runtime: str) -> str:
    if status.runtime is None:
        return runtime or "not known yet"
    takes = f", takes CNI up to {status.runtime.max}" if status.runtime.max else ""
    return f"{runtime or f'{status.runtime.name}://{status.runtime.version}'}{takes}"


def _verdict(status: NodeStateStatus) -> str:
    drain = status.after is not None and status.after.needs_drain
    why = f" ({status.after.why})" if drain and status.after and status.after.why else ""
    return f"{status.verdict}{f'; the node must be drained first{why}' if drain else ''}"


def _works(status: NodeStateStatus, terminal: Terminal) -> Iterator[str]:
    today, after = status.baseline, status.after
    if today is None:
        return
    yield ""
    changed = status.changed is not None or status.last_change is not None
    yield f"{'':<24}{'BEFORE' if changed else 'TODAY':<9}AFTER THE CHANGE"
    rows = (
        ("creating a pod", today.add, after.add if after else None, today.add_why),
        ("deleting a pod", today.delete, after.delete if after else None, today.delete_why),
        ("deleting one of before", today.delete, after.existing_delete if after else None, None),
    )
    for title, now, then, why in rows:
        yield f"{title:<24}{_judged(now, terminal)}{_judged(then, terminal).rstrip()}"
        yield from terminal.wrap(why, 4) if why else ()


def _judged(works: bool | None, terminal: Terminal) -> str:
    word, colour = {True: ("works", "green"), False: ("fails", "red"), None: ("?", "")}[works]
    return terminal.paint(word, colour) + " " * (9 - len(word))


def _findings(status: NodeStateStatus, terminal: Terminal) -> Iterator[str]:
    order = ("Fault", "Warning", "Info")
    found = sorted(
        status.findings,
        key=lambda each: order.index(each.severity) if each.severity in order else len(order),
    )
    if not found:
        return
    yield from ("", terminal.paint("Findings", "bold"))
    for each in found:
        severity = terminal.paint(each.severity, _SEVERITIES.get(each.severity, "dim"))
        yield f"  {severity} {each.code}{f'  {each.component}' if each.component else ''}"
        yield from terminal.wrap(each.message or meaning_of(each.code) or "", 4)
        if each.action:
            yield from terminal.wrap(f"-> {each.action}", 4, 7)


def _blockers(status: NodeStateStatus, terminal: Terminal) -> Iterator[str]:
    """What the step that is under way waits for, and what is left over."""
    operation = status.operation
    if operation is not None:
        yield ""
        meaning = meaning_of(str(operation.step)) or ""
        yield from terminal.wrap(f"Step {operation.step}: {meaning}", 0, 2)
        if operation.deadline is not None:
            yield f"  given up at {operation.deadline:%Y-%m-%d %H:%M:%S} UTC"
        for blocker in operation.blockers:
            yield from terminal.wrap(f"waits: {blocker}", 2, 4)
    for left in status.leftovers:
        yield from terminal.wrap(f"left over: {left}", 2, 4)
    if status.next_attempt_at is not None:
        yield f"  next try at {status.next_attempt_at:%Y-%m-%d %H:%M:%S} UTC"


def _next(state: CNINodeState, terminal: Terminal) -> Iterator[str]:
    command = next_command(state)
    yield ""
    if not command:
        yield "Next: nothing to do."
        return
    known = NODE_REASONS.get(state.status.reason)
    title = "Next" if known is not None and known.actor is Actor.PERSON else "To see more"
    yield f"{title}:"
    yield f"  {terminal.paint(command, 'cyan')}"
