"""Says which configs are lived: each chain with each release, pruned by what can differ."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from cni_upgrade.cni import runtimes, versions
from tests.judge.plugin_matrix.chains import CHAINS, Chain
from tests.judge.plugin_matrix.releases import OTHERS, PLUGINS, Release

LIBCNI = ("0.8.1", "1.0.1", "1.1.2", "1.2.3", "1.3.1")
_FEW_LIBCNI = ("0.8.1", "1.3.1")
_FEW_VERSIONS = (None, "0.2.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0")
"""0.1.0 is read as none is, 0.3.0 as 0.3.1."""


@dataclass(frozen=True)
class Cell:
    """One config under one libcni: the node of which the engine gives a verdict."""

    release: Release
    chain: Chain
    libcni: str
    version: str | None
    addresses: str


@dataclass(frozen=True)
class Group:
    """Cells that are lived on one node, one after the other."""

    release: Release
    chain: Chain
    libcni: str
    cells: tuple[Cell, ...]


def groups(
    releases: Iterable[Release] = (*PLUGINS, *OTHERS), chains: Sequence[Chain] = CHAINS
) -> Iterator[Group]:
    """Every group; a chain is left out where the release lacks one of its plugins."""
    for release in releases:
        there = set(release.binaries())
        for chain in chains:
            named = release.name in chain.only
            wanted = named if release.only_named or chain.only else True
            if not wanted or not chain.binaries() <= there:
                continue
            for libcni in LIBCNI:
                cells = tuple(_cells(release, chain, libcni))
                if cells:
                    yield Group(release, chain, libcni, cells)


def _cells(release: Release, chain: Chain, libcni: str) -> Iterator[Cell]:
    for number, addresses in enumerate(chain.addresses):
        whole = chain.full and number == 0
        if not whole and libcni not in _FEW_LIBCNI:
            continue
        for version in (None, *versions.KNOWN) if whole else _FEW_VERSIONS:
            if whole or _may_work(release, chain, libcni, version):
                yield Cell(release, chain, libcni, version, addresses)


def _may_work(release: Release, chain: Chain, libcni: str, version: str | None) -> bool:
    """Whether no version above what is supported; what fails so is lived by the full chains."""
    if version is None:
        return True
    highest = runtimes.MAX_BY_LIBCNI[libcni.rpartition(".")[0]]
    supports = release.supports()
    tops = [supports[each].max for each in chain.binaries()]
    return all(
        top is not None and versions.order(version) <= versions.order(top)
        for top in (highest, *tops)
    )
