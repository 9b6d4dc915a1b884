#!/usr/bin/env python3
"""Complete a root file system that holds Python code in /app: interpreter, libraries, /etc.

Runs in the build stage of the Dockerfile, with the interpreter that is to be copied. What an image
holds is then what this file names, not what a distribution's base happens to bring.
"""

from __future__ import annotations

import compileall
import py_compile
import shutil
import site
import subprocess
import sys
import sysconfig
from pathlib import Path

# Modules of the standard library that neither program uses.
LEFT_OUT = (
    "__pycache__",
    "config-*",
    "dist-packages",
    "distutils",
    "ensurepip",
    "idlelib",
    "lib2to3",
    "pydoc_data",
    "site-packages",
    "test",
    "tests",
    "tkinter",
    "turtledemo",
    "venv",
)
# glibc's small libraries: a CNI plugin that is linked dynamically is started by the agent, too.
GLIBC = ("libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2", "librt.so.1", "libresolv.so.2")
FILES = {
    "etc/passwd": "root:x:0:0::/:/nologin\nnonroot:x:65532:65532::/:/nologin\n",
    "etc/group": "root:x:0:\nnonroot:x:65532:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}


def linked(paths: list[Path]) -> set[Path]:
    """The shared libraries that these programs and libraries load, as ldd says."""
    out = subprocess.run(["ldd", *map(str, paths)], capture_output=True, text=True, check=False)
    words = (word for line in out.stdout.splitlines() for word in line.split())
    return {Path(word) for word in words if word.startswith("/") and not word.endswith(":")}


def main(rootfs: Path) -> None:
    app = rootfs / "app"
    for link in ("bin", "sbin", "lib", "lib64"):  # a merged /usr stays one
        if (source := Path("/", link)).is_symlink():
            (rootfs / "usr" / link).mkdir(parents=True, exist_ok=True)
            (rootfs / link).symlink_to(source.readlink())

    interpreter = Path(sys.executable).resolve()
    bin_dir = rootfs / interpreter.parent.relative_to("/")
    bin_dir.mkdir(parents=True, exist_ok=True)
    shutil.copy2(interpreter, bin_dir)
    (bin_dir / "python3").symlink_to(interpreter.name)

    stdlib = Path(sysconfig.get_path("stdlib"))
    shutil.copytree(
        stdlib,
        rootfs / stdlib.relative_to("/"),
        ignore=shutil.ignore_patterns(*LEFT_OUT, "sitecustomize.py"),
        dirs_exist_ok=True,
    )
    # Found without PYTHONPATH, so that the interpreter can run isolated (-I).
    site_dir = Path(site.getsitepackages()[0])
    (rootfs / site_dir.relative_to("/")).mkdir(parents=True, exist_ok=True)
    (rootfs / site_dir.relative_to("/") / "cni_upgrade.pth").write_text("/app\n")

    extensions = [
        p for tree in (stdlib / "lib-dynload", app) for p in tree.rglob("*.so*") if p.is_file()
    ]
    libraries = linked([interpreter, *extensions])
    libc = next(p for p in libraries if p.name == "libc.so.6")
    libraries |= {p for name in GLIBC if (p := libc.parent / name).exists()}
    for library in libraries:
        if library.is_relative_to(app):  # a wheel's own
            continue
        to = rootfs / library.parent.resolve().relative_to("/") / library.name
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(library, to)

    for name, text in FILES.items():
        (rootfs / name).parent.mkdir(parents=True, exist_ok=True)
        (rootfs / name).write_text(text)
    (rootfs / "tmp").mkdir(mode=0o1777, exist_ok=True)
    for name in ("ld.so.conf", "ld.so.conf.d"):
        source = Path("/etc", name)
        if source.is_dir():
            shutil.copytree(source, rootfs / "etc" / name, dirs_exist_ok=True)
        elif source.exists():
            shutil.copy2(source, rootfs / "etc")
    subprocess.run(["ldconfig", "-r", str(rootfs)], check=True)

    for tree in [*app.rglob("tests"), app / "bin"]:
        shutil.rmtree(tree, ignore_errors=True)
    for tree in (rootfs / stdlib.relative_to("/"), app):
        # By content, not by time: an image layer keeps no sub-second times.
        done = compileall.compile_dir(
            tree,
            quiet=1,
            force=True,
            stripdir=str(rootfs),
            prependdir="/",
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )
        if not done:
            raise SystemExit(f"python_runtime: cannot compile {tree}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
