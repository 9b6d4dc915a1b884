"""Writes our documents as YAML in block style: JSON is YAML too, but no person reads a diff in it.

Only what the documents hold: objects with text as keys, lists, text, whole numbers, numbers as
their files spell them, true, false and null. Text stands without quotes only where YAML 1.1 and 1.2
agree that it is text; several lines stand as a literal block where every character may stand in
one.
"""

import re
from collections.abc import Iterator, Mapping

from cni_upgrade.cni.document import Number

_INDENT = 2
_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9 /_.,()+-]*")
_VERSION = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+")
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
"""Text that YAML 1.1 takes for something else, in any case of its letters."""


def dump(document: object) -> str:
    """The document, with a newline at its end. Raises TypeError for what a document cannot hold."""
    return "".join(f"{line}\n" for line in _lines(document, 0))


def _lines(value: object, indent: int) -> Iterator[str]:
    """The lines of an object, a list, or what needs no line of its own."""
    pad = " " * indent
    if isinstance(value, Mapping) and value:
        for key, member in value.items():
            if not isinstance(key, str):
                raise TypeError(f"expected text as a key, got {key!r}")
            if isinstance(member, Mapping | list | tuple) and member:
                yield f"{pad}{_text(key)}:"
                yield from _lines(member, indent + _INDENT)
            else:
                yield from _leaf(f"{pad}{_text(key)}:", member, indent)
    elif isinstance(value, list | tuple) and value:
        for item in value:
            if isinstance(item, Mapping | list | tuple) and item:
                first, *rest = _lines(item, indent + _INDENT)
                yield f"{pad}- {first[indent + _INDENT :]}"
                yield from rest
            else:
                yield from _leaf(f"{pad}-", item, indent)
    else:
        yield f"{pad}{_flow(value)}"


def _leaf(start: str, value: object, indent: int) -> Iterator[str]:
    if not isinstance(value, str) or not _literal(value):
        yield f"{start} {_flow(value)}"
        return
    hint = str(_INDENT) if value[0] in " \t\n" else ""
    chomp = "+" if value.endswith("\n\n") else "" if value.endswith("\n") else "-"
    yield f"{start} |{hint}{chomp}"
    for line in value.removesuffix("\n").split("\n"):
        yield f"{' ' * (indent + _INDENT)}{line}" if line else ""


def _literal(text: str) -> bool:
    """Whether text may stand as a block: more than a line, and nothing that needs an escape."""
    return (
        "\n" in text
        and bool(text.strip())
        and text.replace("\n", "").replace("\t", "").isprintable()
    )


def _flow(value: object) -> str:
    """A value that fits on the line of its key."""
    if isinstance(value, str):
        return _text(value)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Number):  # YAML 1.1 takes 1e3 for text
        return f"!!float {value.spelling}" if "e" in value.spelling.lower() else value.spelling
    if isinstance(value, Mapping) and not value:
        return "{}"
    if isinstance(value, list | tuple) and not value:
        return "[]"
    raise TypeError(f"no document holds {value!r}")


def _text(text: str) -> str:
    if _VERSION.fullmatch(text):
        return text
    if _PLAIN.fullmatch(text) and not text.endswith(" ") and text.lower() not in _WORDS:
        return text
    if text.isprintable() and "'" not in text:
        return f"'{text}'"
    return f'"{"".join(map(_escaped, text))}"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    if character.isprintable():
        return character
    if character in "\n\t\r":
        return {"\n": "\\n", "\t": "\\t", "\r": "\\r"}[character]
    number = ord(character)
    return f"\\u{number:04x}" if number <= 0xFFFF else f"\\U{number:08x}"
