"""Go build info, as it stands in a binary that Go has built since 1.18."""

MAGIC = b"\xff Go buildinf:"
CNI = "github.com/containernetworking/cni"


def modules(*lines: str) -> bytes:
    return b"S" * 16 + "\n".join(("path\tx", "mod\tx\tv1", *lines, "")).encode() + b"E" * 16


def varint(number: int) -> bytes:
    found = b""
    while number >= 0x80:
        found += bytes([number & 0x7F | 0x80])
        number >>= 7
    return found + bytes([number])


def inline(text: bytes) -> bytes:
    version = b"go1.26"
    return (
        MAGIC
        + bytes([8, 2])
        + bytes(16)
        + varint(len(version))
        + version
        + varint(len(text))
        + text
    )
