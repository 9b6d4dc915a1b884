"""Names the binaries that run for a plugin: itself, its IPAM, and whom it delegates to."""

from collections.abc import Iterator

from cni_upgrade.cni import golang
from cni_upgrade.cni.document import Node


def chain(plugins: list[Node]) -> tuple[str, ...]:
    """Each binary of these plugins once, in the order in which they first run."""
    return tuple(dict.fromkeys(binary for plugin in plugins for binary in _binaries(plugin)))


def _binaries(node: Node) -> Iterator[str]:
    """Every binary that runs for one plugin: itself, its IPAM, and whom it delegates to.

    Delegates: multus `delegates[]` (whole configs or lists), flannel and others `delegate`.
    flannel's delegate is bridge with host-local unless it says otherwise (flannel
    cni-plugin `flannel_linux.go`).
    """
    if node.kind != "object":
        return
    kind = last_string(node, "type")
    if kind:
        yield kind
    ipam = ""
    for value in golang.fields(node, "ipam"):
        for named in golang.fields(value, "type"):
            ipam = str(named.scalar) if named.kind == "string" else ipam
    if ipam:
        yield ipam
    if kind == "flannel":
        delegates = [value for value in golang.fields(node, "delegate") if value.kind == "object"]
        if not any(last_string(value, "type") for value in delegates):
            yield "bridge"
        yield from (each for value in delegates for each in _delegate(value))
        yield "host-local"
        return
    for key in ("delegate", "delegates"):
        for value in golang.fields(node, key):
            for item in value.items if value.kind == "array" else (value,):
                yield from _delegate(item)


def _delegate(node: Node) -> Iterator[str]:
    """A delegate is one plugin's config or a whole list."""
    yield from _binaries(node)
    for value in golang.fields(node, "plugins"):
        for item in value.items:
            yield from _binaries(item)


def last_string(node: Node, key: str) -> str:
    """The last string of that (folded) key, empty if there is none."""
    strings = [str(value.scalar) for value in golang.fields(node, key) if value.kind == "string"]
    return strings[-1] if strings else ""
