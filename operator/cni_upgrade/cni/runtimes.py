"""Knows which libcni each runtime release carries, since libcni decides what a config may be.

Each row of TABLE names the releases that were looked at for it; their `go.mod` says which libcni
is linked into them. Sources of the rest:
- containerd: `vendor/github.com/containerd/go-cni/namespace.go` (Remove uses the loaded config).
- CRI-O: `vendor/github.com/cri-o/ocicni/pkg/ocicni/ocicni.go` (`forEachNetwork(fromCache)`:
  deletion uses the cached config).
- F1: containernetworking/cni#893, fixed in libcni 1.1.0; containerd#4012.
- F3: containerd#6921: libcni 1.0.0 to 1.1.0.
- The loopback of containerd 1.6.3: containerd#6876, reverted in 1.6.4.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from cni_upgrade.cni.numbers import wholes
from cni_upgrade.cni.value import dataclass

JUDGED = ("containerd", "cri-o")
"""Those whose way with CNI is known here: what they run for a pod, and with what they delete it."""

DeletesWith = Literal["current", "cached"]

Release = tuple[int, int, int]

ANY = 1 << 30
"""In place of a number of a release: each one that there may ever be."""

MAX_BY_LIBCNI = {"0.8": "0.4.0", "1.0": "1.0.0", "1.1": "1.0.0", "1.2": "1.1.0", "1.3": "1.1.0"}
"""The highest specification that a line of libcni reads (libcni `pkg/version/version.go` All)."""


def _numbers(version: str) -> tuple[int, int, int]:
    major, minor, patch = version.split(".")
    return int(major), int(minor), int(patch)


def named(release: Release) -> str:
    """A release, or the line whose every release is meant."""
    return ".".join(str(number) for number in release if number != ANY)


NAMES = {"containerd": "containerd", "cri-o": "cri-o", "crio": "cri-o"}
"""How people spell the judged runtimes, and the name that the kubelet reports."""


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
    assumed: str | None = None
    """What was taken for granted to know the above."""
    unseen: bool = False
    """No release of its line was looked at for it: `assumed` rests on nothing that is on record."""
    asks_check: bool | None = None
    """Whether it asks CHECK of a pod that it creates, where the version has one (`check`)."""

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
    read: tuple[tuple[int, int, int], ...]
    """The releases that were looked at, one by one (tests/unit/cni/runtime_modules.txt)."""
    loopback_at: str | None = None

    @property
    def until(self) -> str:
        """The last release as it is named, or the line whose every release is meant."""
        return named(self.last)

    def of_the_line(self, release: tuple[int, int, int]) -> list[tuple[int, int, int]]:
        """The releases of the same line that were read, the first one first."""
        return sorted(each for each in self.read if each[:2] == release[:2])


def _containerd(first: str, last: str, libcni: str, *read: str, loopback_at: str = "0.3.1") -> _Row:
    return _row("containerd", first, last, libcni, read, loopback_at)


def _crio(first: str, last: str, libcni: str, *read: str) -> _Row:
    return _row("cri-o", first, last, libcni, read)


def _row(
    name: str,
    first: str,
    last: str,
    libcni: str,
    read: Sequence[str],
    loopback_at: str | None = None,
) -> _Row:
    """`last` may be a line such as "1.5": every patch release of it."""
    upper = [int(part) for part in last.split(".")]
    padded = (upper[0], upper[1], upper[2] if len(upper) > 2 else ANY)
    return _Row(name, _numbers(first), padded, libcni, tuple(map(_numbers, read)), loopback_at)


TABLE: tuple[_Row, ...] = (
    _containerd("1.4.0", "1.4", "0.8.0", "1.4.1", "1.4.13"),
    _containerd("1.5.0", "1.5", "0.8.1", "1.5.0", "1.5.18"),
    _containerd("1.6.0", "1.6.2", "1.0.1", "1.6.0", "1.6.2"),
    _containerd("1.6.3", "1.6.3", "1.0.1", "1.6.3", loopback_at="1.0.0"),
    _containerd("1.6.4", "1.6.4", "1.1.0", "1.6.4"),
    _containerd("1.6.5", "1.6", "1.1.1", "1.6.5", "1.6.38"),
    _containerd("1.7.0", "1.7", "1.1.2", "1.7.0", "1.7.35"),
    _containerd("2.0.0", "2.0", "1.2.3", "2.0.0", "2.0.14"),
    _containerd("2.1.0", "2.3", "1.3.0", "2.1.0", "2.1.9", "2.2.0", "2.2.9", "2.3.0", "2.3.7"),
    _containerd("2.4.0", "2.4", "1.3.1", "2.4.0", "2.4.2"),
    _crio("1.20.0", "1.20", "0.8.0", "1.20.0", "1.20.9"),
    _crio("1.21.0", "1.22", "0.8.1", "1.21.0", "1.21.7", "1.22.0", "1.22.5"),
    _crio("1.23.0", "1.23", "1.0.1", "1.23.0", "1.23.2"),
    _crio("1.24.0", "1.24.1", "1.1.0", "1.24.0", "1.24.1"),
    _crio("1.24.2", "1.24", "1.1.1"),
    _crio(
        *("1.25.0", "1.30", "1.1.2", "1.25.0", "1.26.0", "1.27.1"),
        *("1.28.0", "1.29.0", "1.29.1", "1.30.0", "1.30.1"),
    ),
    _crio("1.31.0", "1.32", "1.2.3"),
    _crio("1.33.0", "1.36", "1.3.0", "1.34.0", "1.35.2", "1.36.1", "1.36.2"),
)
"""A line of which no release is named was put down without a record. `lookup` says so of it, and of
a release before the first or after the last of its line that is named."""


def reads(libcni: str) -> bool:
    """Whether it is a release of libcni, e.g. 1.3.1, of a line that is known here."""
    parts = libcni.split(".")
    plain = len(parts) == 3 and wholes(parts) is not None
    return plain and ".".join(parts[:2]) in MAX_BY_LIBCNI


def lookup(container_runtime_version: str, libcni: str | None = None) -> Runtime:
    """What is known of `node.status.nodeInfo.containerRuntimeVersion`, e.g. containerd://1.6.2.

    A suffix as distributions give it (`~ds1`, `-k3s1`, `-0ubuntu3`, `+azure`) names a build of that
    release, which is taken to carry the release's libcni (`assumed` says so). A pre-release does
    not (containerd 2.0.0-beta.0 has libcni 1.1.2, 2.0.0 has 1.2.3): it and whatever else does not
    parse is unknown. `libcni` is the one that it carries, as somebody says who knows it: the table
    is not asked then (but for the loopback). Raises KeyError for one that `reads` does not take.
    """
    name, _, version = container_runtime_version.partition("://")
    if libcni is not None:
        return _said(lookup(container_runtime_version), libcni)
    numbers, suffix = _release(version)
    if numbers is None or not _of_a_build(suffix):
        return Runtime(name, version)
    for row in TABLE:
        if row.name == name and row.first <= numbers <= row.last:
            line = ".".join(row.libcni.split(".")[:2])
            deletes_with: DeletesWith = "cached" if name == "cri-o" else "current"
            return Runtime(
                name,
                version,
                row.libcni,
                MAX_BY_LIBCNI[line],
                deletes_with,
                row.loopback_at,
                _assumed(name, version, row, numbers, suffix),
                unseen=not row.of_the_line(numbers),
                asks_check=name == "cri-o",
            )
    return Runtime(name, version)


def _said(known: Runtime, libcni: str) -> Runtime:
    """The runtime with another libcni than is known of it, where its way with CNI is known."""
    if known.name not in JUDGED:
        return known
    return replace(
        known,
        libcni=libcni,
        max=MAX_BY_LIBCNI[".".join(libcni.split(".")[:2])],
        deletes_with="cached" if known.name == "cri-o" else "current",
        loopback_at=known.loopback_at or ("0.3.1" if known.name == "containerd" else None),
        assumed=f"{known.label} carries libcni {libcni}, as whoever runs this tool says",
        unseen=False,
    )


def _assumed(
    name: str, version: str, row: _Row, numbers: tuple[int, int, int], suffix: str
) -> str | None:
    said = []
    if suffix:
        said.append(f"{version} is a build of {name} {_text(numbers)} and carries its libcni")
    read = row.of_the_line(numbers)
    if not read:
        line = f"{numbers[0]}.{numbers[1]}"
        since = (
            f" from {_text(row.first)} on" if row.first[:2] == numbers[:2] and row.first[2] else ""
        )
        said.append(
            f"{name} {_text(numbers)} carries libcni {row.libcni}; no release of {line}{since} was "
            "looked at"
        )
    elif numbers > read[-1]:
        said.append(
            f"{name} {_text(numbers)} still carries the libcni of {_text(read[-1])}, the last of "
            "its line that was looked at"
        )
    elif numbers < read[0]:
        said.append(
            f"{name} {_text(numbers)} carries the libcni of {_text(read[0])} already, the first of "
            "its line that was looked at"
        )
    return "; ".join(said) or None


def _text(numbers: tuple[int, int, int]) -> str:
    return ".".join(map(str, numbers))


def later(name: str, first: tuple[int, int, int], than: str) -> bool:
    """Whether a run of releases begins after that one (as in `lookup`), or is another runtime's.

    False where the release is not known.
    """
    own, _, version = than.partition("://")
    numbers, _ = _release(version)
    return own != name or (numbers is not None and first > numbers)


def _release(version: str) -> tuple[tuple[int, int, int] | None, str]:
    """The three numbers of a release and what follows; None when it does not start with them."""
    version, suffix = version.removeprefix("v"), ""
    for place, character in enumerate(version):
        if character not in "0123456789.":
            version, suffix = version[:place], version[place:]
            break
    numbers = wholes(version.split("."))
    if numbers is None or len(numbers) != 3:
        return None, suffix
    return (numbers[0], numbers[1], numbers[2]), suffix


_BEFORE_A_RELEASE = re.compile(
    r"(?<![a-z])(alpha|beta|rc|dev|pre|preview|snapshot|nightly)(?![a-z])"  # as a word of its own
    r"|-\d+-g[0-9a-f]{4,}"  # git describe: so many commits after the release before
)
_BUILD = re.compile(r"[~+]|-k3s\d|-\d")


def _of_a_build(suffix: str) -> bool:
    """Whether it is how a distribution names its builds of a release; an unknown form is not."""
    if not suffix:
        return True
    return bool(_BUILD.match(suffix)) and not _BEFORE_A_RELEASE.search(suffix.lower())
