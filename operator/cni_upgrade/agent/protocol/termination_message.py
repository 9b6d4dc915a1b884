"""The termination message: a result in at most 4,096 bytes, and back.

Kubernetes keeps 4,096 bytes of a container's termination message and no more. In order: the
compact JSON as it is; `gz:` and base64 of its gzip; a summary with `"truncated": true`, again
plain or packed. What is cut, in order: pods' names, the diffs, the plugins' supported lists, why a
node is not ready for another runtime, healthy files, Info findings, which backups stood in for one,
reasons, plugins, Warnings, then the number of files and changes; the error and the Fault findings
are the last to lose anything.
"""

import base64
import binascii
import json
import zlib
from collections.abc import Callable, Iterator
from functools import partial

from cni_upgrade.agent.protocol.json_members import MemberError
from cni_upgrade.agent.protocol.result import Result

LIMIT = 4096
"""Bytes of a termination message that Kubernetes keeps."""

UNPACKED_LIMIT = 1 << 20
"""Bytes that a packed message may unpack to: 4,096 bytes of gzip can hold 3 MB of nothing."""

_PACKED = "gz:"
_GZIP = 16 + zlib.MAX_WBITS  # zlib's way to say: with the gzip header
_SHORT = 200
_SHORTEST = 40

Document = dict[str, object]


class MessageError(ValueError):
    """A termination message that is no result; the text says what it is instead."""


class ReportUnusableError(MessageError):
    """A termination message that is JSON and not what docs/reference/agent-protocol.md says.

    The text names the member.
    """


def compact(result: Result) -> str:
    """The whole result as one line of ASCII JSON: the last line of the agent's log."""
    return _compact(result.to_json())


def encode(result: Result) -> bytes:
    """The result in at most LIMIT bytes of ASCII; `decode` reads it. Never raises."""
    document = result.to_json()
    message = _fitting(document)
    if message is not None:
        return message
    document["truncated"] = True
    for cut in _cuts():
        cut(document)
        message = _fitting(document)
        if message is not None:
            return message
    # Not reached for an id, a node's name and codes of the lengths that an Operation allows;
    # a result made by hand with longer ones still gets an answer that says what it was.
    bare = Result(
        id=result.id[:_SHORT],
        kind=result.kind,
        node=result.node[:_SHORT],
        outcome=result.outcome,
        truncated=True,
    )
    return _compact(bare.to_json()).encode("ascii")


def decode(message: str) -> Result:
    """The result in a termination message.

    Every member is checked, and half a surrogate pair becomes `?` as in `encode`: what is refused
    here stops nobody later. Raises MessageError: empty, not JSON, damaged, or larger than
    UNPACKED_LIMIT; ReportUnusableError: not a result.
    """
    text = message.strip()
    if not text:
        raise MessageError("the termination message is empty: the agent was killed before its end")
    if text.startswith(_PACKED):
        text = _unpack(text[len(_PACKED) :])
    elif len(text) > UNPACKED_LIMIT:
        raise MessageError(f"the message is larger than {UNPACKED_LIMIT} bytes")
    try:
        return Result.from_json(_clean(json.loads(text)))
    except MemberError as error:
        raise ReportUnusableError(f"the message is JSON but not a result: {error}") from error
    except (ValueError, RecursionError) as error:
        raise MessageError(f"the message is not JSON ({error}): {text[:_SHORT]!r}") from error


def _unpack(text: str) -> str:
    try:
        packed = base64.b64decode(text, validate=True)
        unpacker = zlib.decompressobj(_GZIP)
        data = unpacker.decompress(packed, UNPACKED_LIMIT + 1)
    except (binascii.Error, ValueError, zlib.error) as error:
        raise MessageError(f"the packed message is damaged: {error}") from error
    if len(data) > UNPACKED_LIMIT:
        raise MessageError(f"the packed message unpacks to more than {UNPACKED_LIMIT} bytes")
    if not unpacker.eof:
        raise MessageError("the packed message is damaged: it ends too early")
    try:
        return data.decode("ascii")
    except UnicodeDecodeError as error:
        raise MessageError(f"the packed message is damaged: {error}") from error


def _compact(document: Document) -> str:
    """A file's name need not be UTF-8; Kubernetes takes nothing else, so such bytes become `?`."""
    return json.dumps(_clean(document), separators=(",", ":"))


def _clean(document: object) -> object:
    """The document with `?` for what is no UTF-8."""
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    clean = text.encode("utf-8", "replace").decode("utf-8")
    return document if clean == text else json.loads(clean)


def _fitting(document: Document) -> bytes | None:
    plain = _compact(document).encode("ascii")
    if len(plain) <= LIMIT:
        return plain
    if len(plain) > UNPACKED_LIMIT:
        return None
    packer = zlib.compressobj(9, zlib.DEFLATED, _GZIP)
    packed = _PACKED.encode() + base64.b64encode(packer.compress(plain) + packer.flush())
    return packed if len(packed) <= LIMIT else None


def _cuts() -> Iterator[Callable[[Document], None]]:
    """Each takes more from the document than the one before it."""
    yield _drop_pods
    yield lambda document: _shorten(_list(document, "changes"), ("diff",), 3 * _SHORT)
    yield lambda document: _shorten(_list(document, "changes"), ("diff",), 0)
    yield _drop_supported
    yield lambda document: _shorten(
        _list(document, "report", "readiness"), ("why", "otherFolders"), _SHORT
    )
    yield _drop_healthy
    yield lambda document: _drop_findings(document, "Info")
    yield _drop_replaced
    yield lambda document: _shorten(_list(document, "report", "files"), ("why",), _SHORT)
    yield lambda document: _shorten(_list(document, "report", "files"), ("why",), _SHORTEST)
    yield lambda document: _clear(document, "report", "plugins")
    yield lambda document: _shorten(
        _findings(document, "Warning"), ("component", "message", "action"), _SHORT
    )
    yield lambda document: _drop_findings(document, "Warning")
    for most in (32, 16, 8, 4):
        yield partial(_keep_changes, most=most)
        yield partial(_keep_files, most=most)
    for most in (16, 4, 1):
        yield partial(_cap, longest=4 * _SHORT, most=most)
        yield partial(_cap, longest=_SHORT, most=most)
    yield partial(_cap, longest=_SHORTEST, most=1)


def _list(document: Document, *path: str) -> list[Document]:
    """The list of objects at `path`; empty when the report is not there."""
    value: object = document
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, list) else []


def _findings(document: Document, severity: str) -> list[Document]:
    findings = _list(document, "report", "findings")
    return [finding for finding in findings if finding["severity"] == severity]


def _clear(document: Document, *path: str) -> None:
    _list(document, *path).clear()


def _keep_changes(document: Document, most: int) -> None:
    del _list(document, "changes")[most:]


def _keep_files(document: Document, most: int) -> None:
    """What is to be written is kept before what is not: an apply is ordered from it."""
    files = _list(document, "report", "files")
    files.sort(key=lambda file: file["action"] != "Rewrite")
    del files[most:]


def _drop_pods(document: Document) -> None:
    report = document["report"]
    if isinstance(report, dict):
        report.pop("pods", None)


def _drop_replaced(document: Document) -> None:
    document.pop("replacedBy", None)


def _drop_supported(document: Document) -> None:
    for plugin in _list(document, "report", "plugins"):
        plugin["supported"] = []


def _drop_healthy(document: Document) -> None:
    files = _list(document, "report", "files")
    files[:] = [file for file in files if file["action"] != "None" or file["active"]]


def _drop_findings(document: Document, severity: str) -> None:
    findings = _list(document, "report", "findings")
    findings[:] = [finding for finding in findings if finding["severity"] != severity]


def _shorten(objects: list[Document], names: tuple[str, ...], most: int) -> None:
    for item in objects:
        for name in names:
            if name in item:
                item[name] = _short(str(item[name]), most)


def _short(text: str, most: int) -> str:
    if len(text) <= most:
        return text
    return text[: most - 3] + "..." if most > len("...") else ""


def _cap(document: Document, longest: int, most: int) -> None:
    """Caps every string and every list beneath the members by which a result is found again."""
    report = document["report"]
    if isinstance(report, dict):  # `sandboxes` alone has as many members as the node pleases
        counts = sorted(report["sandboxes"].items(), key=lambda item: (-item[1], item[0]))
        report["sandboxes"] = dict(counts[:most])
    for files in (_list(document, "report", "files"), _list(document, "changes")):
        # Half a name is another file's.
        files[:] = [file for file in files if len(str(file["name"])) <= longest]
    for name in ("error", "report", "changes"):
        document[name] = _capped(document[name], longest, most)


_WHOLE = frozenset(
    {"sha256", "before", "after", "becomes", "confDir", "binDirs", "delegateDirs", "cacheDir"}
)
"""Members of which half says something else: an order is made of them, and checked against them."""


def _capped(value: object, longest: int, most: int) -> object:
    if isinstance(value, str):
        return _short(value, longest)
    if isinstance(value, list):
        return [_capped(item, longest, most) for item in value[:most]]
    if isinstance(value, dict):
        return {
            _short(name, longest): item
            if name in _WHOLE and not isinstance(item, dict)
            else _capped(item, longest, most)
            for name, item in value.items()
        }
    return value
