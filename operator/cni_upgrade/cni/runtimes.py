"""Knows which libcni each runtime release carries, since libcni decides what a config may be.

Sources, read release by release:
- containerd: `go.mod` of the release (containernetworking/cni, containerd/go-cni) and
  `vendor/github.com/containerd/go-cni/namespace.go` (Remove uses the loaded config).
- CRI-O: `go.mod` of the release and `vendor/github.com/cri-o/ocicni/pkg/ocicni/ocicni.go`
  (`forEachNetwork(fromCache)`: deletion uses the cached config).
- F1: containernetworking/cni#893, fixed in libcni 1.1.0; containerd#4012.
- F3: containerd#6921: libcni 1.0.0 to 1.1.0.
- The loopback of containerd 1.6.3: containerd#6876, reverted in 1.6.4.
"""

from dataclasses import dataclass
from typing import Literal

DeletesWith = Literal["current", "cached"]

MAX_BY_LIBCNI = {"0.8": "0.4.0", "1.0": "1.0.0", "1.1": "1.0.0", "1.2": "1.1.0", "1.3": "1.1.0"}
"""The highest specification that a line of libcni reads (libcni `pkg/types/create`)."""


def _numbers(version: str) -> tuple[int, int, int]:
    major, minor, patch = version.split(".")
    return int(major), int(minor), int(patch)


@dataclass(frozen=True, slots=True)
class Runtime:
    """What is known of one runtime; a member that is None is unknown, never assumed good."""

    name: str
    version: str
    libcni: str | None = None
    max: str | None = None
    deletes_with: DeletesWith | None = None
    loopback_at: str | None = None
    """The version of the runtime's own loopback network; None when it does not run the plugin."""

    @property
    def label(self) -> str:
        """How messages call this runtime."""
        return f"{self.name} {self.version}".strip() or "the runtime"

    @property
    def f1(self) -> bool:
        """DEL fails on a missing version (libcni up to 1.0.1)."""
        return self.libcni is not None and _numbers(self.libcni) < (1, 1, 0)

    @property
    def f3(self) -> bool:
        """ADD fails on a plugin's result that has no cniVersion (libcni 1.0.0 to 1.1.0)."""
        return self.libcni is not None and (1, 0, 0) <= _numbers(self.libcni) <= (1, 1, 0)


@dataclass(frozen=True, slots=True)
class _Row:
    """A run of releases that carry the same libcni."""

    name: str
    first: tuple[int, int, int]
    last: tuple[int, int, int]
    libcni: str
    loopback_at: str | None = None

    @property
    def until(self) -> str:
        """The last release as it is named, or the line whose every release is meant."""
        return ".".join(str(number) for number in self.last if number != _ANY)


_ANY = 1 << 30


def _row(name: str, first: str, last: str, libcni: str, loopback_at: str | None = None) -> _Row:
    """`last` may be a line such as "1.5": every patch release of it, for lines that have ended."""
    upper = [int(part) for part in last.split(".")]
    padded = (upper[0], upper[1], upper[2] if len(upper) > 2 else _ANY)
    return _Row(name, _numbers(first), padded, libcni, loopback_at)


TABLE: tuple[_Row, ...] = (
    _row("containerd", "1.4.0", "1.4", "0.8.0", "0.3.1"),
    _row("containerd", "1.5.0", "1.5", "0.8.1", "0.3.1"),
    _row("containerd", "1.6.0", "1.6.2", "1.0.1", "0.3.1"),
    _row("containerd", "1.6.3", "1.6.3", "1.0.1", "1.0.0"),
    _row("containerd", "1.6.4", "1.6.4", "1.1.0", "0.3.1"),
    _row("containerd", "1.6.5", "1.6", "1.1.1", "0.3.1"),
    _row("containerd", "1.7.0", "1.7", "1.1.2", "0.3.1"),
    _row("containerd", "2.0.0", "2.0", "1.2.3", "0.3.1"),
    _row("containerd", "2.1.0", "2.4", "1.3.0", "0.3.1"),
    _row("cri-o", "1.20.0", "1.20", "0.8.0"),
    _row("cri-o", "1.21.0", "1.22", "0.8.1"),
    _row("cri-o", "1.23.0", "1.23", "1.0.1"),
    _row("cri-o", "1.24.0", "1.24.0", "1.1.0"),
    _row("cri-o", "1.24.2", "1.24", "1.1.1"),
    _row("cri-o", "1.25.0", "1.30", "1.1.2"),
    _row("cri-o", "1.31.0", "1.32", "1.2.3"),
    _row("cri-o", "1.33.0", "1.36", "1.3.0"),
)


def lookup(container_runtime_version: str) -> Runtime:
    """What is known of `node.status.nodeInfo.containerRuntimeVersion`, e.g. containerd://1.6.2.

    A suffix such as `~ds1`, `-k3s1`, `+unknown` or `-rc1` names a build of that release, which
    carries the release's libcni; whatever else does not parse is unknown.
    """
    name, _, version = container_runtime_version.partition("://")
    numbers = _release(version)
    if numbers is None:
        return Runtime(name, version)
    for row in TABLE:
        if row.name == name and row.first <= numbers <= row.last:
            line = ".".join(row.libcni.split(".")[:2])
            deletes_with: DeletesWith = "cached" if name == "cri-o" else "current"
            return Runtime(
                name, version, row.libcni, MAX_BY_LIBCNI[line], deletes_with, row.loopback_at
            )
    return Runtime(name, version)


def _release(version: str) -> tuple[int, int, int] | None:
    """The three numbers of a release; None when the string does not start with them."""
    version = version.removeprefix("v")
    for place, character in enumerate(version):
        if character not in "0123456789.":
            if character not in "~-+":
                return None
            version = version[:place]
            break
    parts = version.split(".")
    if len(parts) != 3 or not all(parts):
        return None
    return int(parts[0]), int(parts[1]), int(parts[2])
