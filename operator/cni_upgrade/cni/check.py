"""Works out whether a pod passes the CHECK that CRI-O asks of every pod that it creates.

From 0.4.0 on the status of a new pod is a CHECK (ocicni `ocicni.go` checkNetwork), and a pod whose
status fails is not created (CRI-O `server/sandbox_network.go` networkStart). libcni asks the
plugins of the list, unless that says `disableCheck` (libcni `libcni/api.go` CheckNetworkList); whom
else is asked a plugin decides. containerd asks it of no pod: go-cni has a Check, which containerd
1.5 to 2.4 does not call. What each plugin answers is in `check_table`.
"""

from collections.abc import Iterator, Sequence

from cni_upgrade.cni import check_table, versions
from cni_upgrade.cni.check_table import ROWS, Release, Result, Row, spelled
from cni_upgrade.cni.check_traits import Trait
from cni_upgrade.cni.facts import Support
from cni_upgrade.cni.runtimes import Runtime
from cni_upgrade.cni.value import dataclass

FIRST = "0.4.0"
"""The first version that has CHECK."""

ASKS_ITS_IPAM = (
    "bridge", "dummy", "host-device", "ipvlan", "macvlan", "ptp", "tap", "vlan",
)  # fmt: skip
"""Plugins whose cmdCheck calls ipam.ExecCheck. Others ask no one else."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What CHECK of one plugin answers."""

    plugin: str
    result: Result
    why: str = ""
    """A sentence about that plugin; empty where it passes."""


def asked(runtime: Runtime, version: str | None) -> bool | None:
    """Whether the runtime asks CHECK of a pod that it creates at that version; None: not known."""
    new = versions.known(version) and versions.order(str(version)) >= versions.order(FIRST)
    return runtime.asks_check if new else False


def refusing(chain: Sequence[Support]) -> list[Answer]:
    """The answers of those that are asked and are known not to pass."""
    return [each for each in answers(chain) if each.result is Result.FAILS]


def unproved(chain: Sequence[Support]) -> list[Answer]:
    """The answers of those of which it is not known; whom such a one asks is not known either."""
    return [each for each in answers(chain) if each.result is Result.NOT_KNOWN]


def answers(chain: Sequence[Support]) -> list[Answer]:
    """What each plugin that is asked answers, each answer once."""
    return list(dict.fromkeys(_answer(each) for each in _asked(chain)))


def _asked(chain: Sequence[Support]) -> Iterator[Support]:
    """The plugins of the list, and the IPAM of those that ask it."""
    heads: dict[int, str] = {}
    for each in chain:
        place = each.called.place if each.called else 0
        if place not in heads:
            heads[place] = each.type
            yield each
        elif each.called and each.called.ipam and heads[place] in ASKS_ITS_IPAM:
            yield each


def _answer(support: Support) -> Answer:
    """What holds for every release that the binary may be of; not known where they differ."""
    name, rows = support.type, [row for row in ROWS if row.plugin == support.type]
    if not rows:
        return Answer(name, Result.NOT_KNOWN, f"of CHECK of {name} nothing is known")
    first, last = _possible(support)
    traits = support.called.traits if support.called else ()
    rows = [row for row in rows if {*row.when} <= {*traits}]
    found = [_at(rows, each) for each in _points(rows, first, last)]
    results = {row.result if row else Result.NOT_KNOWN for row in found}
    known = next((row for row in found if row and row.result is not Result.PASSES), None)
    if len(results) == 1 and found[0] is not None:
        row = known or found[0]
        why = f"CHECK of {_label(support, first, last)} {row.why}" if row.why else ""
        return Answer(name, row.result, why)
    return Answer(name, Result.NOT_KNOWN, _undecided(support, first, last, known))


def _possible(support: Support) -> tuple[Release, Release | None]:
    """The first and the last release of containernetworking/plugins that the binary may be of."""
    exact = check_table.release(support.release or "")
    if exact is not None:
        return exact, exact
    spoken = (
        (a, b) for top, a, b in check_table.SPOKEN if support.supported and top == support.max
    )
    return next(spoken, ((0, 0, 0), None))


def replaces_ifname(support: Support) -> bool | None:
    """Whether a tuning whose config has IFNAME in a sysctl's name puts the interface there.

    It does from 1.1.0 on. Before, ADD fails: there is no such sysctl (lived: 0.8.7 to 1.0.1).
    None where the release is not known well enough.
    """
    if support.called is None or Trait.IFNAME not in support.called.traits:
        return True
    first, last = _possible(support)
    if first >= check_table.REPLACES_IFNAME:
        return True
    return False if last is not None and last < check_table.REPLACES_IFNAME else None


def _points(rows: Sequence[Row], first: Release, last: Release | None) -> list[Release]:
    """Releases between the two, one at least for each stretch in which the same row fits."""
    begins = {first}
    for row in rows:
        begins |= {row.first} if row.first else set()
        begins |= {(row.last[0], row.last[1], row.last[2] + 1)} if row.last else set()
    return sorted(each for each in begins if first <= each and (last is None or each <= last))


def _at(rows: Sequence[Row], release: Release) -> Row | None:
    """The row that counts at that release."""
    return next(
        (
            row
            for row in rows
            if (row.first is None or row.first <= release)
            and (row.last is None or release <= row.last)
        ),
        None,
    )


def _label(support: Support, first: Release, last: Release | None) -> str:
    """How a reason calls the plugin: with its release where that is known and matters."""
    numbered = any(row.first or row.last for row in ROWS if row.plugin == support.type)
    return f"{support.type} {spelled(first)}" if numbered and first == last else support.type


def _undecided(support: Support, first: Release, last: Release | None, known: Row | None) -> str:
    name = support.type
    if first == last:
        return (
            f"no CHECK of {name} {spelled(first)} was tested, only of "
            f"{spelled(check_table.TESTED_FIRST)} to {spelled(check_table.TESTED_LAST)}"
        )
    at = f"{spelled(first)} or later" if last is None else f"{spelled(first)} to {spelled(last)}"
    which = f"which release {name} is of is not known"
    which += f" ({at} by what it supports)" if first > (0, 0, 0) else ""
    if known is None or known.result is Result.NOT_KNOWN:
        return f"{which}, so neither is whether its CHECK passes"
    until = f" up to {spelled(known.last)}" if known.last else ""
    return f"{which}, and{until} its CHECK {known.why}"
