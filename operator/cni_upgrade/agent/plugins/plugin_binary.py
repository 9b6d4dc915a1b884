"""Finds a plugin's binary as the runtime would, and says why one that is there cannot be run."""

import errno
import os
import stat
from collections.abc import Sequence
from typing import NamedTuple

from cni_upgrade.agent.discovery.host_paths import BrokenLinkError, resolve
from cni_upgrade.cni.facts import Support
from cni_upgrade.cni.findings import Code, Finding, Severity


class Place(NamedTuple):
    """A binary that was found: the path by which the runtime calls it, and the file that it is.

    They differ where a link stands in the way, and many plugins may be one file (k3s): which one is
    asked that file tells by the name that it is called by, while the file alone stays in the root.
    """

    called: str
    real: str


def find(
    root: str, bin_dirs: Sequence[tuple[str, str]], binary: str, unseen: str | None
) -> Place | Support:
    """The first plain file of that name in the folders, as libcni's FindInPath looks for it.

    libcni passes over whatever stat fails on (`pkg/invoke/find.go`), so a link that leads nowhere
    is no end of its search. But it looks as the runtime, on the whole host: where we see less, the
    file that comes next is not what it runs. So beneath a root, where the target may only not be
    mounted, and wherever we have not the right to look, nothing is known.
    """
    if _is_no_name(binary):
        return _no_name(binary)
    passed_over = ""
    for host, _ in bin_dirs:
        path = f"{host}/{binary}"
        try:
            real = resolve(root, path)
            if stat.S_ISREG(os.lstat(real).st_mode):
                return Place(path, real)
        except BrokenLinkError as error:
            broken = f"{path} is a link to {error.target}, which is not there"
            if root:
                action = "mend the link, or have the folder of its target mounted as well"
                return _unknown(binary, Code.PLUGIN_BROKEN_LINK, broken, action)
            passed_over = passed_over or broken
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            broken = f"{path} cannot be reached: {error.strerror}"
            if error.errno != errno.ELOOP:
                action = "see what stands there, and who may look at it"
                return _unknown(binary, Code.PLUGIN_BROKEN_LINK, broken, action)
            passed_over = passed_over or broken
    if passed_over:
        return _missing(
            binary, Code.PLUGIN_BROKEN_LINK, f"{passed_over}: ADD and DEL fail", "mend the link"
        )
    searched = ", ".join(host for host, _ in bin_dirs)
    if unseen is not None:
        perhaps = f"may be in {unseen}, which could not be looked at"
        return _unknown(
            binary,
            Code.PLUGIN_UNKNOWN,
            f"the binary {binary} is not in {searched}; it {perhaps}"
            if searched
            else f"{binary} {perhaps}, and there is no other plugin folder",
            f"see the finding about {unseen}",
        )
    lacks = (
        f"the binary {binary} is not in {searched}"
        if searched
        else f"there is no plugin folder, so no {binary}"
    )
    return _missing(
        binary,
        Code.PLUGIN_MISSING,
        f"{lacks}: ADD and DEL fail",
        f"install {binary}, or name the folder where the runtime finds it",
    )


def untold(binary: str, config: str) -> Support:
    """Where the runtime's `config` does not tell in which folders it looks."""
    if _is_no_name(binary):
        return _no_name(binary)
    return _unknown(
        binary,
        Code.PLUGIN_UNKNOWN,
        f"it is not known which plugin folders the runtime uses, so {binary} is not looked for",
        f"see the finding about {config}",
    )


def _is_no_name(binary: str) -> bool:
    return "/" in binary or "\0" in binary or binary in ("", ".", "..")


def _no_name(binary: str) -> Support:
    return _missing(
        binary,
        Code.PLUGIN_MISSING,
        f"{binary!r:.80} cannot be the name of a binary",
        "mend the config's type",
    )


def _missing(binary: str, code: Code, message: str, action: str) -> Support:
    finding = Finding(code, Severity.FAULT, binary, message, action)
    return Support(binary, source="missing", finding=finding)


def _unknown(binary: str, code: Code, message: str, action: str) -> Support:
    finding = Finding(code, Severity.WARNING, binary, message, action)
    return Support(binary, source="unknown", finding=finding)


def not_started(binary: str, path: str, error: OSError) -> Finding:
    if error.errno == errno.ENOEXEC:
        what = _machine(path)
    elif error.errno == errno.ENOENT:
        what = "the interpreter or loader that it names is not there"
    elif error.errno == errno.EACCES:
        what = "it has no permission to execute, or its file system is mounted noexec"
    else:
        what = str(error.strerror)
    return Finding(
        Code.PLUGIN_NOT_EXECUTABLE,
        Severity.WARNING,
        binary,
        f"{binary} cannot be run: {what}",
        f"install a {binary} for this machine; a script's interpreter must also be in "
        "the agent's image",
    )


_FIRST_LINE = 256
"""Bytes of a script in which Linux looks for its interpreter (BINPRM_BUF_SIZE)."""


def interpreter(path: str) -> str:
    """What the first line of a script names after `#!`; empty of anything else. Raises OSError."""
    with open(path, "rb", buffering=0) as binary:  # noqa: PTH123 - see file_io.py
        if binary.read(2) != b"#!":
            return ""
        line = binary.read(_FIRST_LINE - 2).partition(b"\n")[0]
    return line.decode("utf-8", "replace").strip()


_MACHINES = {
    3: "386",
    40: "arm",
    62: "amd64",
    183: "arm64",
    21: "ppc64le",
    22: "s390x",
    243: "riscv64",
}
_MACHINE_FIELD = 18  # e_machine of an ELF header, two bytes


def _machine(path: str) -> str:
    """Why the kernel does not know how to run a file."""
    try:
        with open(path, "rb") as binary:  # noqa: PTH123 - see file_io.py
            header = binary.read(_MACHINE_FIELD + 2)
    except OSError as error:
        return f"it is no program, and cannot be read: {error.strerror}"
    if header[:4] != b"\x7fELF" or len(header) < _MACHINE_FIELD + 2:
        return "it is neither a program nor a script that names its interpreter"
    order = "little" if header[5] == 1 else "big"
    number = int.from_bytes(header[_MACHINE_FIELD:], order)  # type: ignore[arg-type]
    return f"it is for another machine ({_MACHINES.get(number, f'ELF machine {number}')})"
