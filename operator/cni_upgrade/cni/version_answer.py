"""Reads a plugin's answer to VERSION as libcni does: the versions that it supports, or its error.

libcni decodes into structs (`pkg/version/plugin.go` PluginDecoder.Decode, `pkg/invoke/raw_exec.go`
pluginErr), so the rules are those of Go's encoding/json: keys in any case, the last one counts, a
value of another type is an error wherever it stands, and no byte order mark, NaN or UTF-16.
"""

from cni_upgrade.cni.document import DocumentError, Node, TooDeepError, parse
from cni_upgrade.cni.golang import DecodeError, fields, named, string

_UINT_MAX = (1 << 64) - 1
_UNKNOWN = "unknown CNI_COMMAND: VERSION"
"""What a plugin says that is older than the command; libcni compares the whole message."""


def supported(answer: bytes) -> tuple[str, ...]:
    """The versions of an answer that ended well. Raises DecodeError where libcni takes none."""
    root = _object(answer)
    own = string(root, "cniversion", "cniVersion")
    versions = _strings(root, "supportedversions", "supportedVersions")
    if not own:
        raise DecodeError("it has no cniVersion")
    if versions:
        return versions
    if own == "0.2.0":
        return ("0.1.0", "0.2.0")
    raise DecodeError("it has no supportedVersions")


def error(answer: bytes) -> str:
    """The message of an answer that did not end well. Raises DecodeError where libcni has none."""
    root = _object(answer)
    for value in fields(root, "code"):
        if value.kind != "null" and not _is_uint(value):
            raise DecodeError(f"its code is no whole number but {named(value)}")
    message, details = string(root, "msg", "msg"), string(root, "details", "details")
    return f"{message}; {details}" if details else message


def tells_of_no_command(answer: bytes) -> bool:
    """Whether an error is the one that libcni takes for a plugin of 0.1.0 alone."""
    try:
        return error(answer) == _UNKNOWN
    except DecodeError:
        return False


def _object(answer: bytes) -> Node:
    try:
        root = parse(answer).root
    except TooDeepError as error:
        raise DecodeError(f"it is {error}") from error  # libcni reads on; nothing is lost by not
    except DocumentError as error:
        raise DecodeError(f"it is no JSON: {error}") from error
    if root.kind == "null":  # which leaves the struct as it is: empty
        return Node("object", root.start, root.end)
    if root.kind != "object":
        raise DecodeError(f"it is not an object but {named(root)}")
    return root


def _is_uint(node: Node) -> bool:
    text = str(node.scalar)
    return node.kind == "number" and text.isdigit() and int(text) <= _UINT_MAX


def _strings(node: Node, key: str, what: str) -> tuple[str, ...]:
    """A field of type []string. Go decodes a second array over the first, so that a null in it
    leaves what stood in its place (golang/go#21092)."""
    under: list[str] = []
    length = 0
    for found in fields(node, key):
        if found.kind == "null":
            under, length = [], 0
            continue
        if found.kind != "array":
            raise DecodeError(f"{what} is not an array but {named(found)}")
        for place, item in enumerate(found.items):
            if place == len(under):
                under.append("")
            if item.kind == "string":
                under[place] = str(item.scalar)
            elif item.kind != "null":
                raise DecodeError(f"{what} holds {named(item)}")
        length = len(found.items)
        under = under if length else []
    return tuple(under[:length])
