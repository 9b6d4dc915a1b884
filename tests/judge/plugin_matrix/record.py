"""Keeps what was lived as a file of JSON lines: verdicts can be held to it again without living."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

from tests.judge.plugin_matrix.cells import Cell
from tests.judge.plugin_matrix.chains import CHAINS
from tests.judge.plugin_matrix.live import Lived, Pod
from tests.judge.plugin_matrix.releases import OTHERS, PLUGINS


def written(lived: Lived) -> str:
    """One line."""
    cell = lived.cell
    return json.dumps(
        {
            "release": cell.release.name,
            "chain": cell.chain.title,
            "libcni": cell.libcni,
            "version": cell.version,
            "addresses": cell.addresses,
            "data": lived.data.decode(),
            "containerd": [asdict(pod) for pod in lived.containerd],
            "crio": [asdict(pod) for pod in lived.crio],
            "commands": lived.commands,
        }
    )


def read(paths: Iterable[Path]) -> Iterator[Lived]:
    """What was lived of releases and chains that are still there."""
    releases = {each.name: each for each in (*PLUGINS, *OTHERS)}
    chains = {each.title: each for each in CHAINS}
    for path in paths:
        for line in path.read_text().splitlines():
            said = json.loads(line)
            if said["release"] not in releases or said["chain"] not in chains:
                continue
            release, chain = releases[said["release"]], chains[said["chain"]]
            if chain.only and release.name not in chain.only:
                continue
            yield Lived(
                Cell(release, chain, said["libcni"], said["version"], said["addresses"]),
                said["data"].encode(),
                [Pod(**pod) for pod in said["containerd"]],
                [Pod(**pod) for pod in said["crio"]],
                said["commands"],
            )
