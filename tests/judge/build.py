"""Builds the judge once for each release of libcni, into the cache, keyed by what it is made of."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.cluster.lock import held

HERE = Path(__file__).resolve().parent
RELEASES = ("0.8.1", "1.0.1", "1.1.2", "1.2.3", "1.3.0")
OCICNI = {"1.0.1": "cri-o://1.23.0", "1.3.0": "cri-o://1.34.0"}
"""The releases of CRI-O whose ocicni is asked, by the libcni that they carry."""


def cache() -> Path:
    """Where built programs are kept, outside the tree."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "cni-upgrade-operator" / "judge"


def build(module: Path, source: Path, name: str) -> Path:
    """Build one program from a go.mod, its go.sum and (optionally) a shared source."""
    inputs = [module / "go.mod", module / "go.sum", source]
    digest = hashlib.sha256()
    for path in inputs:
        digest.update(path.read_bytes())
    program = cache() / digest.hexdigest()[:20] / name
    if program.exists():
        return program
    with TemporaryDirectory() as folder:
        for path in inputs:
            shutil.copy(path, folder)
        _compile(Path(folder), ".", program)
    return program


def judge(release: str) -> Path:
    """The judge that is built against that release of libcni."""
    return build(HERE / f"libcni-{release}", HERE / "main.go", f"judge-{release}")


def crio(release: str) -> Path:
    """ocicni as CRI-O carries it together with that release of libcni."""
    return build(HERE / f"ocicni-{release}", HERE / "crio.go", f"crio-{release}")


def multicall() -> Path:
    """Many plugins in one binary, as k3s has them."""
    return build(HERE / "libcni-1.3.0", HERE / "multicall.go", "cni")


def flannel(*, newer: bool = False) -> Path:
    """flannel, which runs another plugin, of plugins 0.9.1: the last release that holds it.

    It supports up to 0.4.0; `newer`: the same source with libcni 1.1.2, up to 1.0.0, as flannel's
    own later releases do.
    """
    module = HERE / "flannel" if newer else _plugins("0.9.1")
    return _plugin(module, "meta/flannel")


def static(release: str) -> Path:
    """The IPAM plugin static of a release of containernetworking/plugins."""
    return plugin(release, "ipam/static")


def plugin(release: str, name: str) -> Path:
    """One plugin of a release of containernetworking/plugins that no cluster needs."""
    return _plugin(_plugins(release), name)


def _plugins(release: str) -> Path:
    return HERE.parent / f"cluster/components/plugins-{release}"


def _plugin(module: Path, package: str) -> Path:
    digest = hashlib.sha256((module / "go.sum").read_bytes()).hexdigest()
    program = cache() / digest[:20] / Path(package).name
    if not program.exists():
        _compile(module, f"github.com/containernetworking/plugins/plugins/{package}", program)
    return program


def _compile(module: Path, package: str, program: Path) -> None:
    """Stories that run side by side, in threads and in processes, all ask for it at once."""
    program.parent.mkdir(parents=True, exist_ok=True)
    with held(f"judge-{program.parent.name}"), TemporaryDirectory(dir=program.parent) as folder:
        if program.exists():
            return
        out = Path(folder) / program.name
        command = ["go", "build", "-trimpath", "-mod=readonly", "-o", str(out), package]
        subprocess.run(command, cwd=module, check=True, env=_environment())
        out.replace(program)


def _environment() -> dict[str, str]:
    return {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false", "GOWORK": "off"}


if __name__ == "__main__":
    for each in sys.argv[1:] or RELEASES:
        print(judge(each), flush=True)
        if each in OCICNI:
            print(crio(each), flush=True)
