"""Knows which runtimes ask STATUS of the plugins, which came with 1.1.0 and decides about a node.

While a plugin refuses it the node is NotReady: go-cni `cni.go` Status from 1.1.11 on, which
containerd 2.0.1 carries, and `internal/cri/server/status.go`; ocicni `ocicni.go` StatusWithContext,
in 0.4.3 of CRI-O 1.34 and not yet in 0.4.2 of 1.30. libcni asks each plugin of a list at 1.1.0
(`libcni/api.go` GetStatusNetworkList). To answer VERSION says nothing about STATUS: a plugin
that was built with no function for it ends in a panic (`pkg/skel/skel.go`).
"""

from cni_upgrade.cni import versions
from cni_upgrade.cni.numbers import wholes
from cni_upgrade.cni.runtimes import Runtime

FIRST = "1.1.0"
"""The first version that has STATUS."""

_SINCE = {"containerd": (2, 0, 1), "cri-o": (1, 34, 0)}
_NOT_YET = {"containerd": (2, 0, 0), "cri-o": (1, 30, 1)}
"""The last release that was looked at and does not ask."""


def asked(runtime: Runtime, version: str | None) -> bool | None:
    """Whether the runtime asks STATUS at that version; None where it is not known."""
    new = versions.known(version) and versions.order(str(version)) >= versions.order(FIRST)
    if not new or runtime.max is None or versions.order(runtime.max) < versions.order(FIRST):
        return False
    release = wholes(runtime.version.removeprefix("v").split("."))
    since, not_yet = _SINCE.get(runtime.name), _NOT_YET.get(runtime.name)
    if release is None or since is None or not_yet is None:
        return None
    return True if tuple(release) >= since else False if tuple(release) <= not_yet else None


def begins(name: str, first: str, last: str) -> str | None:
    """The first of a run of releases that asks STATUS, or may; None where none does.

    `last` may be a line such as 2.0: every release of it.
    """
    *line, patch = _NOT_YET[name]
    begun = max(_numbers(first), [*line, patch + 1])
    until = _numbers(last)
    return ".".join(map(str, begun)) if begun[: len(until)] <= until else None


def _numbers(release: str) -> list[int]:
    return [int(part) for part in release.split(".")]
