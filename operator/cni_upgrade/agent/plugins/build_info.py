"""Go build info of a binary, read without Go: the libcni that it links is an upper bound.

The layout is that of Go's debug/buildinfo: a magic at a multiple of 16, then either pointers to
string headers (before Go 1.18) or two strings with a varint length. Only an upper bound: calico
links libcni 1.3.0 and says that it supports 1.0.0; Debian's packages carry none.
"""

import mmap
import re
import struct

from cni_upgrade.cni.runtimes import MAX_BY_LIBCNI

_MAGIC = b"\xff Go buildinf:"
_ALIGNMENT = 16
_HEADER = 32
_POINTER_FORMAT_BIG_ENDIAN = 1
_INLINE_FORMAT = 2
_SENTINEL = 16  # bytes of marker around the module list (runtime/debug/mod.go)
_LONGEST = 1 << 20
_LIBCNI = "github.com/containernetworking/cni"
_PLUGINS = "github.com/containernetworking/plugins"
_BUILD_VERSION = re.compile(
    re.escape(f"-X {_PLUGINS}/pkg/utils/buildversion.BuildVersion=")
    + r"v?([0-9]+\.[0-9]+\.[0-9]+)(?=[\s\"']|$)"
)
_RELEASE = re.compile(r"v([0-9]+\.[0-9]+\.[0-9]+)")
_OLDER = {"0.3": "0.2.0", "0.4": "0.3.0", "0.5": "0.3.1", "0.6": "0.3.1", "0.7": "0.4.0"}
_PT_LOAD = 1


def highest_version(path: str) -> str | None:
    """The highest CNI version that the libcni linked into the Go binary at `path` can speak.

    None when the file has no build info, links no libcni, or links one that is not known.
    Raises OSError when the file cannot be read.
    """
    release = libcni(path)
    if release is None:
        return None
    line = ".".join(release.split(".")[:2])
    return MAX_BY_LIBCNI.get(line) or _OLDER.get(line)


def libcni(path: str) -> str | None:
    """The release of libcni that is linked into the Go binary at `path`, e.g. 1.1.2.

    None when the file has no build info, or links none. Raises OSError when it cannot be read.
    """
    release, _ = _linked(_build_info(path), _LIBCNI)
    return release.removeprefix("v") if release else None


def plugins(path: str) -> str | None:
    """The release of containernetworking/plugins that the plugin at `path` was built from.

    None for a binary that is none of that module's own plugins, for a fork, and for what lies
    between two releases. Raises OSError when the file cannot be read.
    """
    text = _build_info(path)
    own = f"path\t{_PLUGINS}/plugins/"
    if not any(line.startswith(own) for line in text.splitlines()):
        return None
    release, by = _linked(text, _PLUGINS)
    if by != _PLUGINS:
        return None
    if release == "(devel)":  # built in a checkout: the project's build script names the release
        said = _BUILD_VERSION.search(text)
        return said[1] if said else None
    found = _RELEASE.fullmatch(release or "")
    return found[1] if found else None


def _build_info(path: str) -> str:
    """The build info of the file, "" when there is none. Raises OSError."""
    with open(path, "rb") as binary:  # noqa: PTH123 - see file_io.py
        try:
            data = mmap.mmap(binary.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError:  # an empty file cannot be mapped
            return ""
    with data:
        return _modules(data)


def _linked(text: str, module: str) -> tuple[str | None, str | None]:
    """The release of a module in the build info, and the name of its replacement, or its own."""
    release: str | None = None
    by: str | None = None
    replaceable = False
    for line in text.splitlines():
        fields = line.split("\t")
        if len(fields) < 3:
            replaceable = False
        elif fields[0] in ("mod", "dep"):
            replaceable = fields[1] == module
            release, by = (fields[2], module) if replaceable else (release, by)
        elif fields[0] == "=>" and replaceable:
            release, by = fields[2], fields[1]
    return release, by


def _modules(data: mmap.mmap) -> str:
    """The module list of the first build info that holds together; "" when there is none."""
    place = data.find(_MAGIC)
    while place >= 0:
        if place % _ALIGNMENT == 0:
            try:
                text = _read(data, place)
            except (ValueError, IndexError, OverflowError, struct.error):
                text = b""  # the magic also stands in Go's own tools, as data
            if text:
                return text[_SENTINEL:-_SENTINEL].decode("utf-8", "replace")
        place = data.find(_MAGIC, place + 1)
    return ""


def _read(data: mmap.mmap, place: int) -> bytes:
    size, flags = data[place + 14], data[place + 15]
    if flags & _INLINE_FORMAT:
        start, length = _varint(data, place + _HEADER)
        start, length = _varint(data, start + length)
        return _text(data, start, length)
    if size not in (4, 8):
        raise ValueError("neither 4 nor 8 bytes a pointer")
    order = ">" if flags & _POINTER_FORMAT_BIG_ENDIAN else "<"
    number = order + ("Q" if size == 8 else "I")
    header = _offset(data, struct.unpack_from(number, data, place + 16 + size)[0])
    address, length = struct.unpack_from(number + number[1], data, header)
    return _text(data, _offset(data, address), length)


def _text(data: mmap.mmap, start: int, length: int) -> bytes:
    if not 2 * _SENTINEL <= length <= _LONGEST or start + length > len(data):
        raise ValueError("no module list")
    return data[start : start + length]


def _varint(data: mmap.mmap, place: int) -> tuple[int, int]:
    """Where the bytes after a varint begin, and its value."""
    value = 0
    for index in range(5):
        if place + index >= len(data):
            break
        byte = data[place + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return place + index + 1, value
    raise ValueError("no length")


def _offset(data: mmap.mmap, address: int) -> int:
    """Where in the file the ELF loader takes an address from."""
    if data[:4] != b"\x7fELF":
        raise ValueError("pointers are followed in ELF files only")
    order = "<" if data[5] == 1 else ">"
    if data[4] == 2:
        table, entry, entries, layout = 32, 54, 56, f"{order}IIQQQQQ"
        start = struct.unpack_from(f"{order}Q", data, table)[0]
    else:
        table, entry, entries, layout = 28, 42, 44, f"{order}IIIII"
        start = struct.unpack_from(f"{order}I", data, table)[0]
    size = struct.unpack_from(f"{order}H", data, entry)[0]
    for index in range(struct.unpack_from(f"{order}H", data, entries)[0]):
        header = struct.unpack_from(layout, data, start + index * size)
        if data[4] == 2:
            kind, _flags, offset, virtual, _physical, in_file, _in_memory = header
        else:
            kind, offset, virtual, _physical, in_file = header
        if kind == _PT_LOAD and virtual <= address < virtual + in_file:
            return int(offset + address - virtual)
    raise ValueError("an address outside the file")
