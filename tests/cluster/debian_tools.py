"""Programs out of Debian packages that tests run and this machine does not need: not installed.

Each package is pinned by version and sha256, and unpacked into the cache.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.cluster import lock, paths
from tests.cluster.errors import ClusterError
from tests.cluster.progress import say


@dataclass(frozen=True, slots=True)
class Package:
    """One package as Debian 12 has it for amd64."""

    name: str
    version: str
    sha256: str


PROMETHEUS = Package(
    "prometheus",
    "2.42.0+ds-5+deb12u1",
    "81d59a24fce84f7fbe97a45a4f2914b6a5881b5cd1db2a6a0e129e515e1a5f55",
)
ALERTMANAGER = Package(
    "prometheus-alertmanager",
    "0.25.0-1+b4",
    "4fb9aed15cfe8e0c32408e643ab32a1e41ee87d2cc26f18aeba928b1b0b98ae7",
)


def program(package: Package, name: str) -> Path:
    """The path of /usr/bin/`name` of a package, downloaded once."""
    folder = paths.cache_root() / "debian" / f"{package.name}-{package.sha256[:16]}"
    found = folder / "usr/bin" / name
    if not found.exists():
        with lock.held(folder.name):
            if not found.exists():
                _unpack(package, folder)
    return found


def _unpack(package: Package, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    say(f"downloading the Debian package {package.name} {package.version}")
    with TemporaryDirectory(dir=folder.parent) as made:
        here = Path(made)
        # apt downloads as a user of its own, who may not enter a folder of ours.
        here.chmod(0o755)
        words = ["-o", "APT::Sandbox::User=root", "download", f"{package.name}={package.version}"]
        try:
            _run(["apt-get", "-qq", *words], here, package)
        except ClusterError:  # no package lists yet, or old ones
            _run(["apt-get", "-qq", "update"], here, package)
            _run(["apt-get", "-qq", *words], here, package)
        [deb] = here.glob("*.deb")
        check(package, deb.read_bytes())
        root = here / "root"
        _run(["dpkg-deb", "--extract", str(deb), str(root)], here, package)
        root.replace(folder)


def check(package: Package, content: bytes) -> None:
    """Raise ClusterError where a downloaded package is not the pinned one."""
    if (sha256 := hashlib.sha256(content).hexdigest()) != package.sha256:
        raise ClusterError(
            f"the Debian package {package.name} {package.version} has sha256 {sha256}",
            expected=package.sha256,
            todo="if Debian has rebuilt it, pin the new one in tests/cluster/debian_tools.py",
        )


def _run(argv: list[str], folder: Path, package: Package) -> None:
    done = subprocess.run(
        argv,
        cwd=folder,
        env={**os.environ, "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise ClusterError(
            f"`{' '.join(argv[:3])}` failed: {done.stderr.strip()[-400:]}",
            expected=f"{package.name} {package.version} from Debian 12",
            todo="make Debian's package mirror reachable, or pin the version that it has now in "
            "tests/cluster/debian_tools.py",
        )
