"""What `kubectl cni-upgrade status` prints of a fleet: values in, lines out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from cni_upgrade.api.meaning import meaning_of
from cni_upgrade.api.phase import Phase
from cni_upgrade.kubectl.fleet import Fleet, NodeRow, PolicyRow, WaveRow
from cni_upgrade.kubectl.terminal import Part, Terminal, bar, columns
from cni_upgrade.planner.world.phases import AT_WORK, FAILED, GOOD

_MOST_NAMED = 10
_EMPTY = (
    "No node state is there yet. The operator writes one for each node that a policy selects.",
    "Next: kubectl apply -f manifests/examples/audit.yaml",
)


def lines(fleet: Fleet, terminal: Terminal) -> list[str]:
    """The whole answer."""
    told: list[str] = []
    for policy in fleet.policies:
        told += [*_policy(policy, terminal), ""]
    if not fleet.nodes:
        return told + [line for text in _EMPTY for line in terminal.wrap(text)]
    told += _counts(fleet, terminal, "phase", "PHASE")
    told += ["", *_counts(fleet, terminal, "found", "FOUND")]
    told += _blocking(fleet, terminal)
    told += _under_way(fleet, terminal)
    told += _waiting(fleet, terminal)
    return told


def colour_of(phase: str) -> str:
    """Green is well, red failed, yellow stands still, cyan is at work."""
    if phase in GOOD:
        return "green"
    if phase in FAILED:
        return "red"
    if phase in (Phase.BLOCKED, Phase.MANAGED_ELSEWHERE):
        return "yellow"
    return "cyan" if phase in AT_WORK else ""


def _policy(policy: PolicyRow, terminal: Terminal) -> Iterator[str]:
    counted = f"{policy.matched} node{'' if policy.matched == 1 else 's'}"
    flags = [
        terminal.paint(flag, "red" if flag == "Stalled" else "yellow") for flag in policy.flags
    ]
    head = (terminal.paint(policy.name, "bold"), policy.mode, counted, policy.state, *flags)
    yield "  ".join(("POLICY", *head))
    yield from terminal.wrap(policy.message, 2)
    if policy.waves:
        yield from _waves(policy.waves, terminal)
    if policy.waits_for and policy.waits_for not in policy.message:
        yield from terminal.wrap(f"Waits for: {policy.waits_for}", 2, 13)


def _waves(waves: tuple[WaveRow, ...], terminal: Terminal) -> Iterator[str]:
    """A bar for each; `>` marks the present one."""
    names = max(len(terminal.clip(wave.name, 30)) for wave in waves)
    digits = max(len(str(wave.nodes)) for wave in waves)
    cells = max(terminal.width - names - 2 * digits - 28, 10)
    for wave in waves:
        parts = (Part(wave.well, "#", "green"), Part(wave.stuck, "!", "red"))
        drawn = bar(terminal, parts, wave.nodes, cells)
        counted = f"{wave.well:>{digits}}/{wave.nodes:<{digits}} well"
        stuck = f", {wave.stuck} stuck" if wave.stuck else ""
        mark = ">" if wave.present else " "
        yield f"  {mark} {terminal.clip(wave.name, 30):<{names}} {drawn} {counted}{stuck}"


def _counts(fleet: Fleet, terminal: Terminal, column: str, title: str) -> list[str]:
    counts, total = fleet.counts(column), len(fleet.nodes)
    wide = max(len(title), *(len(terminal.clip(word, 30)) for word, _ in counts))
    cells = min(max(terminal.width - wide - 16, 10), 60)
    told = [f"{title:<{wide}}  NODES"]
    for word, count in counts:
        colour = colour_of(word) if column == "phase" else "cyan"
        drawn = bar(terminal, [Part(count, "#", colour)], total, cells)
        told.append(f"{terminal.clip(word, 30):<{wide}}  {count:>5}  {drawn}")
    return told


def _blocking(fleet: Fleet, terminal: Terminal) -> Iterator[str]:
    """Nodes that do not go on as they are: those that failed first."""
    stuck = sorted(
        (node for node in fleet.nodes if node.stuck),
        key=lambda node: (node.phase not in FAILED, node.name),
    )
    if stuck:
        yield from _list("WHO BLOCKS", stuck, terminal)
        yield f"  Next: kubectl cni-upgrade why {stuck[0].name}"


def _under_way(fleet: Fleet, terminal: Terminal) -> Iterator[str]:
    """Nodes that are changed now; each message names what its step waits for, a budget say."""
    changing = [node for node in fleet.nodes if node.changing]
    if changing:
        yield from _list("UNDER WAY", changing, terminal)


def _list(title: str, nodes: Sequence[NodeRow], terminal: Terminal) -> Iterator[str]:
    yield from ("", terminal.paint(title, "bold"))
    for node in nodes[:_MOST_NAMED]:
        yield from _named(node, terminal)
    more = len(nodes) - _MOST_NAMED
    if more > 0:
        phase = nodes[_MOST_NAMED].phase
        yield f"  and {more} more: kubectl get cns --field-selector=status.phase={phase}"


def _named(node: NodeRow, terminal: Terminal) -> Iterator[str]:
    phase = terminal.paint(node.phase, colour_of(node.phase))
    since = f" for {node.since}" if node.since and node.since != "<unknown>" else ""
    yield f"  {node.name}  {phase} {node.reason}{since}"
    yield from (terminal.wrap(terminal.clip(node.message, 2 * (terminal.width - 6)), 4))[:2]


def _waiting(fleet: Fleet, terminal: Terminal) -> Iterator[str]:
    """What is waited for, by reason, with its meaning."""
    waiting = [n for n in fleet.nodes if not n.well and not n.stuck and not n.changing]
    if not waiting:
        return
    yield from ("", terminal.paint("WAITED FOR", "bold"))
    reasons = Counter(node.reason or node.phase for node in waiting)
    rows = [
        (reason, str(count), meaning_of(reason) or "") for reason, count in reasons.most_common()
    ]
    yield from columns(terminal, ("REASON", "NODES", "MEANING"), rows)
