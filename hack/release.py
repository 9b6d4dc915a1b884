#!/usr/bin/env python3
"""Make all that a release consists of: `hack/release.py --registry REGISTRY [--out FOLDER]`.

Into `FOLDER/VERSION` go both images as OCI archives (amd64), an install.yaml and a chart that name
them in REGISTRY, the command line as a wheel, an SBOM of each image, and checksums of it all.
Beside it lies one bundle of it for places without a network. The version is that of
pyproject.toml. Nothing is pushed.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.cluster import build  # noqa: E402 - the folder that holds it is known only now

NAME = "cni-upgrade-operator"
IMAGES = ("operator", "agent")
CHART = ROOT / "charts" / NAME
_REGISTRY = re.compile(r"[a-z0-9.-]+(:[0-9]+)?(/[a-z0-9._-]+)+")
_EPOCH = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))


class ReleaseError(Exception):
    """One line for the person in front of the terminal."""


def say(text: str) -> None:
    print(f"release: {text}", file=sys.stderr, flush=True)


def run(*command: object, cwd: Path = ROOT, **more: str) -> str:
    """What a command prints. Raises ReleaseError with its own words where it fails."""
    words = [str(word) for word in command]
    done = subprocess.run(
        words, cwd=cwd, env={**os.environ, **more}, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise ReleaseError(f"{Path(words[0]).name} ended with {done.returncode}: {' '.join(last)}")
    return done.stdout


def version() -> str:
    """That of the project. Raises ReleaseError where the chart has another one."""
    found = str(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"])
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    for member in ("version", "appVersion"):
        if str(chart[member]) != found:
            raise ReleaseError(
                f"{CHART.relative_to(ROOT)}/Chart.yaml: {member}: expected {found}, as "
                f"pyproject.toml has it, got {chart[member]}"
            )
    return found


def images(out: Path, registry: str, release: str) -> None:
    """Both images as OCI archives, under the names that the manifests have."""
    built = run(sys.executable, ROOT / "hack/image.py")
    archives = dict(line.split(" ", 1) for line in built.splitlines())
    for name in IMAGES:
        say(f"image {name}")
        target = f"oci-archive:{out / f'{name}.tar'}:{registry}/{name}:{release}"
        run("skopeo", "--insecure-policy", "copy", f"docker-archive:{archives[name]}", target)


def install_yaml(out: Path, registry: str, release: str) -> None:
    """What `kubectl apply -k .` installs, with the images of this release."""
    say("install.yaml")
    build.ensure(["kubernetes"])
    kubectl = build.home("kubernetes") / "kubectl"
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "source"
        for part in ("kustomization.yaml", "crds", "manifests"):
            source = ROOT / part
            if source.is_dir():
                shutil.copytree(source, copy / part)
            else:
                copy.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, copy / part)
        overlay = Path(folder) / "overlay"
        overlay.mkdir()
        wanted = {
            "resources": ["../source"],
            "images": [
                {
                    "name": f"cniupgrade.dev/{name}",
                    "newName": f"{registry}/{name}",
                    "newTag": release,
                }
                for name in IMAGES
            ],
            "transformers": ["../source/manifests/agent-image"],
        }
        (overlay / "kustomization.yaml").write_text(yaml.safe_dump(wanted))
        (out / "install.yaml").write_text(run(kubectl, "kustomize", overlay))


def chart(out: Path, registry: str, release: str) -> None:
    """The chart as a package whose values name the images of this release."""
    say("chart")
    build.ensure(["helm"])
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / NAME
        shutil.copytree(CHART, copy)
        values = copy / "values.yaml"
        text = values.read_text()
        for name in IMAGES:
            before = f"cniupgrade.dev/{name}:dev"
            if text.count(before) != 1:
                raise ReleaseError(f"values.yaml: expected {before} once")
            text = text.replace(before, f"{registry}/{name}:{release}")
        values.write_text(text)
        helm = build.home("helm") / "helm"
        run(helm, "package", copy, "--destination", out, HOME=folder)


def wheel(out: Path) -> None:
    """The command `cni-upgrade`, and `kubectl cni-upgrade` as an extra of it."""
    say("wheel")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet")
    run(*pip, "--no-deps", f"--wheel-dir={out}", ROOT)


def sboms(out: Path, registry: str, release: str) -> None:
    """What each image is made of, in SPDX, as syft sees it."""
    build.ensure(["syft"])
    for name in IMAGES:
        say(f"SBOM of {name}")
        source, made = f"oci-archive:{out / f'{name}.tar'}", out / f"{name}.spdx.json"
        # Else the SBOM would name the folder of this machine.
        named = ("--source-name", f"{registry}/{name}", "--source-version", release)
        syft = build.home("syft") / "syft"
        made.write_text(run(syft, "scan", source, *named, "--quiet", "-o", "spdx-json"))


def checksums(out: Path) -> None:
    """SHA256SUMS, as `sha256sum --check` reads it."""
    lines = [f"{_sha256(path)}  {path.name}\n" for path in _files(out)]
    (out / "SHA256SUMS").write_text("".join(lines))


def bundle(out: Path, release: str) -> Path:
    """All of it in one file, for places without a network."""
    made = out.parent / f"{NAME}-{release}.tar"
    say(made.name)

    def plain(info: tarfile.TarInfo) -> tarfile.TarInfo:
        info.uid = info.gid = 0
        info.uname = info.gname = ""
        info.mtime = _EPOCH
        return info

    with tarfile.open(made, "w") as tar:
        for path in _files(out):
            tar.add(path, f"{NAME}-{release}/{path.name}", filter=plain)
    return made


def _files(out: Path) -> Iterator[Path]:
    return iter(sorted(path for path in out.iterdir() if path.is_file()))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main() -> int:
    parser = argparse.ArgumentParser(description="Make a release.")
    parser.add_argument("--registry", required=True, help="e.g. registry.example.com/cni-upgrade")
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="default: dist")
    parser.add_argument("--version", help="refused unless pyproject.toml has the same")
    parser.add_argument("--without-sbom", action="store_true", help="spares building syft")
    given = parser.parse_args()
    try:
        if not _REGISTRY.fullmatch(given.registry):
            raise ReleaseError(f"--registry {given.registry}: expected HOST[:PORT]/PATH")
        release = version()
        if given.version not in (None, release):
            raise ReleaseError(
                f"--version {given.version}: pyproject.toml has {release}; write the new one there "
                f"and in {CHART.relative_to(ROOT)}/Chart.yaml"
            )
        out = given.out.resolve() / release
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        images(out, given.registry, release)
        install_yaml(out, given.registry, release)
        chart(out, given.registry, release)
        wheel(out)
        if not given.without_sbom:
            sboms(out, given.registry, release)
        checksums(out)
        made = bundle(out, release)
    except ReleaseError as error:
        print(f"release: {error}", file=sys.stderr)
        return 1
    for path in (*_files(out), made):
        print(f"{path.stat().st_size / 1e6:8.1f} MB  {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
