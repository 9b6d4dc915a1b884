"""A made folder where libcni can read it, and what stands in the folder named as a network."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from cni_upgrade.cni import config
from tests.judge.folders import Folder


def lay(place: Path, made: Folder) -> Path:
    """Write a folder where libcni can read it."""
    path = place / "net.d"
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    for name, data in made.files.items():
        (path / name).write_bytes(data)
    for sub, files in made.inlined.items():
        (path / sub).mkdir()
        for name, data in files.items():
            (path / sub / name).write_bytes(data)
    return path


def inline(made: Folder, network: str) -> Mapping[str, bytes]:
    """What libcni 1.3 finds in the folder named as the network; no name is the folder itself."""
    return made.files if network == "" else made.inlined.get(network, {})


def network_of(made: Folder, name: str) -> str:
    """The folder beside a file that libcni 1.3 looks into, as the agent finds it out."""
    return config.beside(name, made.files[name]) or ""
