"""Decodes a document as Go's encoding/json does, for libcni's answer depends on its quirks.

Two decodings matter (Go `encoding/json/decode.go`, libcni `libcni/conf.go`):
- into a struct (`types.NetConf`): keys match in any case, members act in their order in the text,
  `null` leaves a field as it was, unknown keys are skipped unread;
- into `map[string]interface{}`: keys match exactly, the last duplicate wins, every number must
  fit a float64; written out again the keys are sorted (`encode.go`).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from cni_upgrade.cni.document import Node

_FOLD = {ord("\u017f"): "s", ord("\u212a"): "k"}
_FOLD.update({ord(upper): upper.lower() for upper in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"})


class DecodeError(ValueError):
    """Go's decoder would refuse the document."""


class VersionError(DecodeError):
    """Go's decoder would refuse the document because of its cniVersion."""


@dataclass(slots=True)
class PluginConf:
    """What libcni takes from one plugin's object (`pkg/types/types.go` NetConf)."""

    cni_version: str = ""
    name: str = ""
    type: str = ""


def fold(key: str) -> str:
    """A key as Go compares it with a field's name (`encoding/json/fold.go`).

    Of all Unicode only the long s and the Kelvin sign fold to ASCII letters.
    """
    return key.translate(_FOLD)


def as_map(node: Node) -> dict[str, Node]:
    """An object decoded into map[string]interface{}; `null` gives an empty map."""
    if node.kind == "null":
        return {}
    if node.kind != "object":
        raise DecodeError(f"it is not an object but {named(node)}")
    check_numbers(node)
    return {member.key: member.value for member in node.members}


def check_numbers(node: Node) -> None:
    """Refuse numbers that do not fit a float64, as decoding into interface{} does."""
    for value in node.walk():
        if value.kind == "number" and math.isinf(float(str(value.scalar))):
            raise DecodeError(f"the number {str(value.scalar)[:40]} does not fit 64 bits")


def remarshalled(node: Node) -> Node:
    """The value after a trip through interface{}: no duplicates, keys sorted."""
    if node.kind == "object":
        last = {member.key: member for member in node.members}
        members = tuple(
            replace(last[key], value=remarshalled(last[key].value)) for key in sorted(last)
        )
        return Node("object", node.start, node.end, members=members)
    if node.kind == "array":
        items = tuple(remarshalled(item) for item in node.items)
        return Node("array", node.start, node.end, items=items)
    return node


def fields(node: Node, name: str) -> Iterator[Node]:
    """The values that act on a struct's field of that (folded) name, in order."""
    return (member.value for member in node.members if fold(member.key) == name)


def plugin_conf(node: Node, libcni: tuple[int, int, int]) -> PluginConf:
    """Decode into types.NetConf; DecodeError where json.Unmarshal returns one."""
    conf = PluginConf()
    if node.kind == "null":
        return conf
    if node.kind != "object":
        raise DecodeError(f"a plugin is not an object but {named(node)}")
    conf.cni_version = string(node, "cniversion", "cniVersion")
    conf.name = string(node, "name", "name")
    conf.type = string(node, "type", "type")
    for value in fields(node, "capabilities"):
        if _is_object(value, "capabilities"):
            for capability in value.members:
                if capability.value.kind not in ("bool", "null"):
                    raise DecodeError(f"capability {capability.key[:40]!r} is not true or false")
    for value in fields(node, "ipam"):
        if _is_object(value, "ipam"):
            string(value, "type", "ipam.type")
    for value in fields(node, "dns"):
        if _is_object(value, "dns"):
            string(value, "domain", "dns.domain")
            for key in ("nameservers", "search", "options"):
                for strings in fields(value, key):
                    _strings(strings, f"dns.{key}")
    for value in fields(node, "prevresult"):
        if _is_object(value, "prevResult"):
            check_numbers(value)
    if libcni >= (1, 2, 0):
        for value in fields(node, "cni.dev/valid-attachments"):
            _attachments(value)
    return conf


def named(node: Node) -> str:
    """How a message names a kind of value."""
    return {
        "null": "null",
        "array": "an array",
        "object": "an object",
        "bool": "true or false",
    }.get(node.kind, f"a {node.kind}")


def _is_object(node: Node, what: str) -> bool:
    if node.kind not in ("object", "null"):
        raise DecodeError(f"{what} is not an object but {named(node)}")
    return node.kind == "object"


def string(node: Node, key: str, what: str) -> str:
    """A field of type string, of that folded name: the last one; null leaves what was there."""
    value = ""
    for found in fields(node, key):
        if found.kind == "string":
            value = str(found.scalar)
        elif found.kind != "null":
            error = VersionError if key == "cniversion" else DecodeError
            raise error(f"{what} is not a string but {named(found)}")
    return value


def _strings(node: Node, what: str) -> None:
    if node.kind not in ("array", "null"):
        raise DecodeError(f"{what} is not an array but {named(node)}")
    for item in node.items:
        if item.kind not in ("string", "null"):
            raise DecodeError(f"{what} holds {named(item)}")


def _attachments(node: Node) -> None:
    what = "cni.dev/valid-attachments"
    if node.kind not in ("array", "null"):
        raise DecodeError(f"{what} is not an array but {named(node)}")
    for item in node.items:
        if _is_object(item, what):
            string(item, "containerid", f"{what} containerID")
            string(item, "ifname", f"{what} ifname")
