"""Holds what the engine says of a node against what became of pods there."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from cni_upgrade.cni import config
from cni_upgrade.cni.facts import Facts, Target
from cni_upgrade.cni.findings import Code, Finding
from cni_upgrade.cni.judgement import Action, Judgement
from cni_upgrade.cni.verdict import judge
from tests.judge import carriers
from tests.judge.plugin_matrix.cells import Cell
from tests.judge.plugin_matrix.chains import FLANNEL, HOST_LOCAL
from tests.judge.plugin_matrix.live import Lived, Pod

FILE = "10-net.conflist"
_NEWEST = "1.3.1"
CONTAINERD = {**carriers.CONTAINERD, _NEWEST: "containerd://2.4.2"}
CRIO = {**carriers.CRIO, _NEWEST: "cri-o://1.36.0"}
"""No CRI-O that is on record carries libcni 1.3.1: the engine is told that this one does."""

Kind = Literal["right", "wrong works", "at no version", "wrong fails", "not known"]
"""At no version: said to work, as far as the version goes, and the config never does (`Chain`)."""
What = Literal["create", "delete", "address stays", "create after", "delete after"]
"""Of the file as it is, then of the file as the engine would rewrite it."""


@dataclass(frozen=True)
class Compared:
    """One prediction beside what happened."""

    cell: Cell
    runtime: str
    what: What
    said: bool | None
    """Whether it works; of an address, whether it is given back."""
    errors: Mapping[str, str]
    """By kind of pod, of those with which it failed."""
    why: str = ""
    """What the engine names as its reason, where it does not say that it works."""
    to: str | None = None
    """The version of the rewrite."""

    @property
    def kind(self) -> Kind:
        """A node of which one kind of pod fails is one that does not work."""
        if self.said is None:
            return "not known"
        if self.said and self.errors:
            return "at no version" if all(map(self._never, self.errors.values())) else "wrong works"
        if self.said:
            return "right"
        return "right" if self.errors else "wrong fails"

    def _never(self, error: str) -> bool:
        never = self.cell.chain.never
        return bool(never) and error.startswith("ADD: ") and never in error


def verdict(cell: Cell, data: bytes, runtime: str) -> Judgement:
    """What the engine says of a node with that config and these plugins."""
    by_libcni = CONTAINERD if runtime == "containerd" else CRIO
    told = cell.libcni if (runtime, cell.libcni) == ("cri-o", _NEWEST) else None
    read = config.read(FILE, data)
    facts = Facts(by_libcni[cell.libcni], [read], cell.release.supports(), libcni=told)
    return judge(facts, Target())


def compared(lived: Iterable[Lived]) -> Iterator[Compared]:
    """Every prediction for every config that was lived."""
    by_cell = {each.cell: each for each in lived}
    for each in by_cell.values():
        for runtime in ("containerd", "cri-o"):
            said = verdict(each.cell, each.data, runtime)
            yield from _today(each, runtime, said)
            yield from _after(each, runtime, said, by_cell)


def _today(lived: Lived, runtime: str, said: Judgement) -> Iterator[Compared]:
    cell, baseline = lived.cell, said.baseline
    pods = lived.containerd if runtime == "containerd" else lived.crio
    doubts = reason(said.findings)
    created = _errors(pods, _creating(runtime))
    yield Compared(cell, runtime, "create", baseline.add, created, baseline.add_why or doubts)
    deleted = _errors(pods, _deleting)
    yield Compared(cell, runtime, "delete", baseline.del_, deleted, baseline.del_why or doubts)
    if cell.chain.ipam not in (HOST_LOCAL, FLANNEL):
        return  # nothing keeps a record of addresses
    kept = {pod.kind: "its address stays taken" for pod in pods if pod.leaks}
    gives_back = None if baseline.leaks is None else not baseline.leaks
    yield Compared(cell, runtime, "address stays", gives_back, kept, baseline.del_why or doubts)


def _after(
    lived: Lived, runtime: str, said: Judgement, by_cell: Mapping[Cell, Lived]
) -> Iterator[Compared]:
    """Of the rewrite, where its version was lived as well."""
    [file] = said.files
    cell = lived.cell
    there = by_cell.get(Cell(cell.release, cell.chain, cell.libcni, file.to, cell.addresses))
    if file.action is not Action.REWRITE or there is None:
        return
    pods = there.containerd if runtime == "containerd" else there.crio
    why, after = said.after.why or reason(said.findings), said.after
    created = _errors(pods, _creating(runtime))
    yield Compared(cell, runtime, "create after", after.add, created, why, file.to)
    deleted = _errors(pods, _deleting)
    yield Compared(cell, runtime, "delete after", after.del_, deleted, why, file.to)


def _errors(pods: Iterable[Pod], error: Callable[[Pod], str]) -> dict[str, str]:
    return {pod.kind: said for pod in pods if (said := error(pod))}


def _creating(runtime: str) -> Callable[[Pod], str]:
    def error(pod: Pod) -> str:
        if pod.add:
            return f"ADD: {pod.add}"
        return f"CHECK: {pod.status}" if runtime == "cri-o" and pod.status else ""

    return error


def _deleting(pod: Pod) -> str:
    return pod.delete


_DOUBTS = (
    Code.SYSCTL_IFNAME,
    Code.CHECK_UNPROVED,
    Code.DELEGATE_VERSION,
    Code.PLUGIN_UNKNOWN,
    Code.PLUGIN_GARBLED,
    Code.PLUGIN_SCRIPT,
    Code.RUNTIME_UNKNOWN,
)


def reason(findings: Iterable[Finding]) -> str:
    """Which findings are about something that is not known."""
    codes = {each.code for each in findings}
    return ", ".join(code for code in _DOUBTS if code in codes)
