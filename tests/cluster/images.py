"""Packs the small images that nodes need, because no registry can be reached from here."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster import build, process
from tests.cluster.errors import ClusterError

PAUSE = "lab.local/pause:1"
BUSYBOX = "lab.local/busybox:1"


@dataclass(frozen=True)
class Layer:
    """What an image holds: programs by path, folders, and links to other paths."""

    programs: Mapping[str, bytes]
    folders: Sequence[str] = ()
    links: Mapping[str, str] | None = None

    def tar(self) -> bytes:
        """Answer the layer as a tar file that is the same whenever it is made."""
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as archive:
            for folder in self.folders:
                entry = tarfile.TarInfo(folder)
                entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755
                archive.addfile(entry)
            for path, content in self.programs.items():
                entry = tarfile.TarInfo(path)
                entry.mode, entry.size = 0o755, len(content)
                archive.addfile(entry, io.BytesIO(content))
            for path, target in (self.links or {}).items():
                entry = tarfile.TarInfo(path)
                entry.type, entry.linkname = tarfile.SYMTYPE, target
                archive.addfile(entry)
        return out.getvalue()


def ensure(folder: Path) -> None:
    """Put the pause and the busybox image into a folder, as docker archives."""
    pause = folder / archive_name([PAUSE])
    if not pause.exists():
        program = (build.home("pause") / "pause").read_bytes()
        layer = Layer({"pause": program})
        _write(pause, PAUSE, layer, {"Entrypoint": ["/pause"]})
    busybox = folder / archive_name([BUSYBOX])
    if not busybox.exists():
        applets = process.run(["/usr/bin/busybox", "--list"]).split()
        links = {f"bin/{applet}": "busybox" for applet in applets if applet != "busybox"}
        program = Path("/usr/bin/busybox").read_bytes()
        layer = Layer({"bin/busybox": program}, ("bin", "tmp"), links)
        environment = {"Env": ["PATH=/bin"], "Cmd": ["sh"]}
        _write(busybox, BUSYBOX, layer, environment)


def _write(path: Path, reference: str, layer: Layer, settings: dict[str, Any]) -> None:
    """Write an image of one layer in the form that `docker save` has."""
    content = layer.tar()
    digest = hashlib.sha256(content).hexdigest()
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": settings,
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        }
    ).encode()
    config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    layer_name = f"{digest}/layer.tar"
    manifest = [{"Config": config_name, "RepoTags": [reference], "Layers": [layer_name]}]
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    with tarfile.open(fresh, mode="w") as archive:
        for name, body in (
            (config_name, config),
            (layer_name, content),
            ("manifest.json", json.dumps(manifest).encode()),
        ):
            entry = tarfile.TarInfo(name)
            entry.size = len(body)
            archive.addfile(entry, io.BytesIO(body))
    fresh.rename(path)


def references(archive: Path) -> list[str]:
    """Answer the tags that a docker archive carries."""
    try:
        with tarfile.open(archive) as opened:
            member = opened.extractfile("manifest.json")
            manifest = json.loads(member.read()) if member else []
    except (tarfile.TarError, KeyError, OSError, json.JSONDecodeError) as error:
        raise ClusterError(
            f"{archive} is not a docker archive: {error}",
            expected="a tar file with a manifest.json, as `docker save` and buildah write it",
            todo="buildah push IMAGE docker-archive:FILE:NAME:TAG",
        ) from error
    tags = [tag for image in manifest for tag in image.get("RepoTags") or []]
    if not tags:
        raise ClusterError(f"{archive} carries no tag", expected="a name to know the image by")
    return tags


def archive_name(tags: Sequence[str]) -> str:
    """Answer one file name for a set of tags, so that a new image takes its older self's place."""
    return hashlib.sha256(" ".join(sorted(tags)).encode()).hexdigest()[:16] + ".tar"


def keep(archive: Path, folder: Path) -> Path:
    """Copy an archive to where nodes, those to come included, find it."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / archive_name(references(archive))
    fresh = kept.with_suffix(".new")
    shutil.copyfile(archive, fresh)
    return fresh.rename(kept)
