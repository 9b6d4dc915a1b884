"""Notes what is worth saying of a file that libcni loads: its name, its placeholders, its keys."""

from collections.abc import Iterable, Iterator, Sequence

from cni_upgrade.cni.chain import Called
from cni_upgrade.cni.findings import Code, Finding, Severity, shown

_TEMPLATE_MARKS = ("{{", "{%", "${", "$(", "<%")
_NAME_FIRST = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
_NAME_REST = _NAME_FIRST | frozenset("_.-")


def template_marks(data: bytes) -> tuple[str, ...]:
    """The placeholders of a template that was never rendered, as far as they can be told."""
    text = data.decode("utf-8", "replace")
    marks = [mark for mark in _TEMPLATE_MARKS if mark in text]
    marks += [
        f"__{part}__"
        for part in text.split("__")[1::2]
        if part and part == part.upper() and part.replace("_", "").isalnum()
    ]
    return tuple(marks)


def names_a_network(text: str) -> bool:
    """Whether libcni takes it for a network's name on ADD (`pkg/utils/utils.go`)."""
    return text[:1] in _NAME_FIRST and _NAME_REST.issuperset(text)


def notes(
    name: str, data: bytes, network: str, keys: list[str], deciding: Sequence[str]
) -> tuple[Finding, ...]:
    """Of a file that is loaded; `keys` are those that `version_keys.deciding` names.

    `deciding` are the texts that say who runs and at which version: the names, types and versions.
    A placeholder in one of them is a fault, anywhere else a person is told of it.
    """
    notes = list(_of_name(name, network))
    if marks := template_marks(data):
        open_ = any(template_marks(text.encode()) for text in deciding)
        notes.append(
            Finding(
                Code.TEMPLATE_NOT_RENDERED,
                Severity.FAULT if open_ else Severity.WARNING,
                name,
                f"the file is valid JSON and still holds {shown(', '.join(sorted(set(marks))))}"
                + ("" if open_ else ": it is not known what its plugins make of that"),
                "find out why the program that renders this file did not",
            )
        )
    if "cniVersions" in keys:
        notes.append(
            Finding(
                Code.CNI_VERSIONS,
                Severity.INFO,
                name,
                "cniVersions overrides cniVersion under libcni 1.2 and later",
                "a rewrite removes cniVersions, so that one version holds everywhere",
            )
        )
    if any(key != "cniVersions" for key in keys):
        notes.append(
            Finding(
                Code.HIDDEN_VERSION,
                Severity.WARNING,
                name,
                f"the version is decided by the keys {shown(', '.join(map(ascii, keys)))}",
                "a rewrite leaves one key cniVersion",
            )
        )
    return tuple(notes)


def _of_name(name: str, network: str) -> Iterator[Finding]:
    """Of the name of the network."""
    if not network:
        yield Finding(
            Code.MISSING_NAME,
            Severity.FAULT,
            name,
            "the network has no name: the runtime loads the file and every ADD fails",
            "give the network a name",
        )
    elif not names_a_network(network):
        yield Finding(
            Code.MISSING_NAME,
            Severity.FAULT,
            name,
            f"libcni refuses the network name {shown(network)}: every ADD fails",
            "use letters, digits, '_', '.' and '-', starting with a letter or digit",
        )


def inlined(name: str, calls: Iterable[Called]) -> Iterator[Finding]:
    """Of the files of the network's folder that tell their plugins another version."""
    for file, key in dict.fromkeys((call.file, call.key) for call in calls if call.file):
        yield Finding(
            Code.HIDDEN_VERSION,
            Severity.WARNING,
            name,
            f"{shown(file)} tells its plugin the version by the key {shown(ascii(key))}, whatever "
            "the list's cniVersion is",
            f"remove that key from {shown(file)}: a rewrite of the list leaves it",
        )
