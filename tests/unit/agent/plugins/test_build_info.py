"""Go build info is read without Go, in both of its layouts, and garbage is no build info."""

import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cni_upgrade.agent.plugins import build_info
from cni_upgrade.agent.plugins.probe import probe
from tests.unit.agent import built
from tests.unit.agent.go_binary import CNI, MAGIC, inline, modules


def pointed(text: bytes, bits: int, order: str) -> bytes:
    """An ELF file of one segment, with build info as Go wrote it before 1.18."""
    base, size = 0x400000, bits // 8
    number = order + ("Q" if bits == 64 else "I")
    headers = 64 if bits == 64 else 52
    program = 56 if bits == 64 else 32
    info = 256
    string = info + 64
    start = string + 64
    blob = MAGIC + bytes([size, 1 if order == ">" else 0])
    blob += struct.pack(number, base + string - 16) + struct.pack(number, base + string)
    data = bytearray(start) + text
    data[info : info + len(blob)] = blob
    struct.pack_into(number + number[1], data, string, base + start, len(text))
    data[:6] = b"\x7fELF" + bytes([bits // 32, 1 if order == "<" else 2])
    if bits == 64:
        struct.pack_into(f"{order}Q", data, 32, headers)
        struct.pack_into(f"{order}HH", data, 54, program, 1)
        struct.pack_into(f"{order}IIQQQQQ", data, headers, 1, 5, 0, base, base, len(data), 0)
    else:
        struct.pack_into(f"{order}I", data, 28, headers)
        struct.pack_into(f"{order}HH", data, 42, program, 1)
        struct.pack_into(f"{order}IIIII", data, headers, 1, 0, base, base, len(data))
    return bytes(data)


def highest(tmp_path: Path, data: bytes) -> str | None:
    path = tmp_path / "binary"
    path.write_bytes(data)
    return build_info.highest_version(str(path))


@pytest.mark.parametrize(
    ("lines", "version"),
    [
        ([f"dep\t{CNI}\tv0.8.1\th1:x"], "0.4.0"),
        ([f"dep\t{CNI}\tv0.6.0\th1:x"], "0.3.1"),
        ([f"dep\t{CNI}\tv1.1.2\th1:x", "dep\tother\tv9.9.9"], "1.0.0"),
        ([f"dep\t{CNI}\tv0.8.1", f"=>\t{CNI}\tv1.3.0\th1:x"], "1.1.0"),
        ([f"dep\t{CNI}\tv1.0.1", "dep\tother\tv1", "=>\tfork\tv1.3.0\th1:x"], "1.0.0"),
        ([f"dep\t{CNI}\tv7.0.0"], None),
        (["dep\tgithub.com/containernetworking/plugins\tv1.9.1"], None),
        ([], None),
    ],
)
def test_the_linked_libcni_is_an_upper_bound(
    tmp_path: Path, lines: list[str], version: str | None
) -> None:
    text = modules(*lines)
    assert highest(tmp_path, bytes(64) + inline(text)) == version
    # Go's own tools hold the magic as data: what does not hold together is passed over.
    assert highest(tmp_path, MAGIC + bytes(50) + inline(text)) == version
    for bits in (32, 64):
        for order in "<>":
            assert highest(tmp_path, pointed(text, bits, order)) == version


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=80), st.integers(0, 400), st.booleans())
def test_damage_is_no_build_info(tmp_path: Path, noise: bytes, place: int, packed: bool) -> None:
    text = modules(f"dep\t{CNI}\tv1.3.0")
    data = bytearray(inline(text) if packed else pointed(text, 64, "<"))
    data[place : place + len(noise)] = noise
    assert highest(tmp_path, bytes(data)) in (
        None,
        "1.1.0",
        "1.0.0",
        "0.4.0",
        "0.3.1",
        "0.3.0",
        "0.2.0",
    )


def test_empty(tmp_path: Path) -> None:
    assert highest(tmp_path, b"") is None


@pytest.mark.parametrize(("release", "version"), [("0.9.1", "0.4.0"), ("1.9.1", "1.1.0")])
def test_real_plugins(release: str, version: str) -> None:
    folder = built.plugins(release)
    assert build_info.highest_version(str(folder / "bridge")) == version
    supports = probe(
        "", [(str(folder), str(folder))], ["bridge", "host-local", "firewall"], "1.0.0"
    )
    assert {support.max for support in supports.values()} == {version}
    assert {support.source for support in supports.values()} == {"VERSION"}
    assert "0.3.1" not in (supports["firewall"].supported or ())


@pytest.mark.parametrize(
    ("binary", "lines", "carried"),
    [
        ("multus", [f"dep\t{CNI}\tv0.8.1\th1:x"], "0.8.1"),
        ("multus", [f"dep\t{CNI}\tv1.2.0-rc1\th1:x"], "1.2.0-rc1"),
        ("multus", [], None),
        ("multus-shim", [f"dep\t{CNI}\tv1.3.0\th1:x"], None),
        ("bridge", [f"dep\t{CNI}\tv1.3.0\th1:x"], None),
    ],
)
def test_what_multus_carries_is_known_beside_what_it_answers(
    tmp_path: Path, binary: str, lines: list[str], carried: str | None
) -> None:
    answer = b'#!/bin/sh\necho \'{"cniVersion":"1.0.0","supportedVersions":["1.0.0"]}\'\nexit 0\n'
    path = tmp_path / binary
    path.write_bytes(answer.ljust(-(-len(answer) // 16) * 16, b"\n") + inline(modules(*lines)))
    path.chmod(0o755)
    found = probe("", [(str(tmp_path), str(tmp_path))], [binary], "1.0.0")[binary]
    assert (found.supported, found.libcni) == (("1.0.0",), carried)


PLUGINS = "github.com/containernetworking/plugins"
OWN = f"path\t{PLUGINS}/plugins/meta/bandwidth"
SAID = f'build\t-ldflags="-extldflags -static -X {PLUGINS}/pkg/utils/buildversion.BuildVersion='


@pytest.mark.parametrize(
    ("lines", "release"),
    [
        ([OWN, f"mod\t{PLUGINS}\tv1.9.1\th1:x"], "1.9.1"),
        ([OWN, f"mod\t{PLUGINS}\t(devel)", f'{SAID}v1.5.1"'], "1.5.1"),
        ([OWN, f"mod\t{PLUGINS}\t(devel)", f'{SAID}v1.5.1-k3s1"'], None),
        ([OWN, f"mod\t{PLUGINS}\t(devel)"], None),
        ([OWN, f"mod\t{PLUGINS}\tv1.6.3-0.20250101000000-0123456789ab"], None),
        ([OWN, "mod\tm\tv1", f"dep\t{PLUGINS}\tv1.4.0", "=>\tfork\tv1.9.1\th1:x"], None),
        (["path\texample.com/own", "mod\tm\tv1", f"dep\t{PLUGINS}\tv1.9.1\th1:x"], None),
        ([], None),
    ],
)
def test_which_release_a_plugin_was_built_from(
    tmp_path: Path, lines: list[str], release: str | None
) -> None:
    path = tmp_path / "bandwidth"
    path.write_bytes(bytes(64) + inline(modules(*lines)))
    assert build_info.plugins(str(path)) == release
