"""The agent's image as a node gets it: the size of its layers, and its files in a folder."""

import json
import subprocess
import sys
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Layer:
    """One layer: the folders in it, and its bytes as a tar and packed as a registry keeps it."""

    holds: str
    plain: int
    packed: int


def built() -> Path:
    """The docker-archive of the agent, made if it is not there yet."""
    command = (sys.executable, str(ROOT / "hack/image.py"), "agent")
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return Path(out.split()[1])


def unpack(archive: Path, rootfs: Path) -> list[Layer]:
    """Lay the layers over each other, as a runtime does; nothing here deletes in a lower layer."""
    with tarfile.open(archive) as image:
        layers = []
        for name in _manifest(image)["Layers"]:
            plain, packed = _sizes(image, name)
            with tarfile.open(fileobj=image.extractfile(name)) as layer:
                tops = {
                    member.name.strip("./").split("/")[0] for member in layer if member.isfile()
                }
                layers.append(Layer(" ".join(sorted(tops)), plain, packed))
                layer.extractall(rootfs, filter="fully_trusted")  # noqa: S202 - our own build
    return layers


def _manifest(image: tarfile.TarFile) -> dict[str, list[str]]:
    member = image.extractfile("manifest.json")
    if member is None:
        raise ValueError("no docker-archive: manifest.json is no file")
    found: dict[str, list[str]] = json.load(member)[0]
    return found


def _sizes(image: tarfile.TarFile, name: str) -> tuple[int, int]:
    member = image.extractfile(name)
    if member is None:
        raise ValueError(f"{name} is no file of the archive")
    packer = zlib.compressobj(6, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    plain = packed = 0
    while chunk := member.read(1 << 20):
        plain += len(chunk)
        packed += len(packer.compress(chunk))
    return plain, packed + len(packer.flush())


def uncompiled(rootfs: Path) -> list[str]:
    """Modules without a .pyc beside them: each would be compiled anew at every start."""
    return [
        str(path.relative_to(rootfs))
        for path in sorted(rootfs.rglob("*.py"))
        if not list((path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"))
    ]
