#!/usr/bin/env python3
"""Build the images with Debian's tools, without a container engine: `hack/image.py [TARGET ...]`.

debootstrap makes the base, buildah runs the Dockerfile in a chroot, and the results are
docker-archive files in ${XDG_CACHE_HOME:-~/.cache}/cni-upgrade-operator/images/, in a folder named
by the digest of all that went in: a second build finds them there. Progress goes to stderr;
stdout gets one line `TARGET PATH` for each image.

pip inside the build gets this machine's pip settings and CA certificates, read-only; they do not
reach the images.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cni-upgrade-operator"
SUITE = "bookworm"
BASE_PACKAGES = "python3-venv"
# What only an interactive system needs.
BASE_STRIP = (
    "var/lib/apt/lists/*",
    "var/cache/apt/*",
    "var/cache/apt/archives/*",
    "var/log/*",
    "usr/share/doc/*",
    "usr/share/man/*",
    "usr/share/info/*",
    "usr/share/locale/*",
)
TOOLS = {"debootstrap": "debootstrap", "buildah": "buildah", "tar": "tar"}
KEEP = 3  # builds of each target that stay in the cache
STARTED = time.monotonic()


@dataclass(frozen=True)
class Target:
    name: str
    inputs: tuple[str, ...]

    @property
    def tag(self) -> str:
        return f"cniupgrade.dev/{self.name}:dev"


COMMON = ("Dockerfile", "hack/python_runtime.py")
PACKAGE = "operator/cni_upgrade"
TARGETS = {
    t.name: t
    for t in (
        Target("operator", (*COMMON, "requirements/operator.txt", PACKAGE)),
        Target(
            "agent",
            (
                *COMMON,
                "requirements/agent.txt",
                f"{PACKAGE}/__init__.py",
                f"{PACKAGE}/cni",
                f"{PACKAGE}/agent",
            ),
        ),
    )
}


class BuildError(Exception):
    """One line for the person in front of the terminal."""


def say(text: str) -> None:
    print(f"[{time.monotonic() - STARTED:6.1f}s] image: {text}", file=sys.stderr, flush=True)


def version() -> str:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return str(project["version"])


def snapshot(into: Path) -> None:
    """Copy what the Dockerfile reads: what is built is what the key was made of, edited or not."""
    for file in source_files(ROOT, [i for target in TARGETS.values() for i in target.inputs]):
        copy = into / file.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copy)


def source_files(root: Path, inputs: Sequence[str]) -> Iterator[Path]:
    for name in inputs:
        path = root / name
        if path.is_file():
            yield path
            continue
        for file in sorted(path.rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts and file.suffix != ".pyc":
                yield file


def key_of(*texts: str, root: Path = ROOT, inputs: Sequence[str] = ()) -> str:
    digest = hashlib.sha256()
    for text in texts:
        digest.update(text.encode() + b"\0")
    for file in source_files(root, inputs):
        digest.update(str(file.relative_to(root)).encode() + b"\0")
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:16]


def run(log: Path, *command: str, env: dict[str, str] | None = None) -> None:
    with log.open("ab") as out:
        out.write(f"$ {' '.join(command)}\n".encode())
        out.flush()
        done = subprocess.run(
            command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env=env,
            check=False,
        )
    if done.returncode != 0:
        raise BuildError(f"{Path(command[0]).name} ended with {done.returncode}; log: {log}")


def require_tools(log: Path) -> None:
    missing = sorted(package for tool, package in TOOLS.items() if shutil.which(tool) is None)
    if not missing:
        return
    if shutil.which("apt-get") is None:
        raise BuildError(f"missing: {', '.join(missing)}; install them and try again")
    say(f"installing {', '.join(missing)}")
    install = (
        "apt-get",
        "-o",
        "DPkg::Lock::Timeout=300",
        "install",
        "-y",
        "--no-install-recommends",
        *missing,
    )
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        run(log, *install, env=env)
    except BuildError:  # no package lists yet, or old ones
        run(log, "apt-get", "update", env=env)
        run(log, *install, env=env)


def mirror() -> str | None:
    """Where this machine gets its own packages from; None leaves it to debootstrap."""
    if chosen := os.environ.get("DEBIAN_MIRROR"):
        return chosen
    if shutil.which("apt-get") is None:
        return None
    asked = ("apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME) $(COMPONENT)")
    out = subprocess.run(asked, capture_output=True, text=True, check=False).stdout
    for line in out.splitlines():
        uri, _, rest = line.partition(" ")
        if rest == f"{SUITE} main" and uri.startswith(("http://", "https://", "file:")):
            return uri
    return None


def base(log: Path) -> Path:
    """The root file system that both targets are built in, as a tar; about 150 MB."""
    key = key_of(SUITE, BASE_PACKAGES, *BASE_STRIP)
    tar = CACHE / "base" / key / "base.tar"
    if tar.exists():
        return tar
    say(f"debootstrap {SUITE}: about a minute")
    with scratch("base") as tmp:
        rootfs = tmp / "rootfs"
        source = mirror()
        run(
            log,
            "debootstrap",
            "--variant=minbase",
            f"--include={BASE_PACKAGES}",
            SUITE,
            str(rootfs),
            *([source] if source else []),
        )
        for pattern in BASE_STRIP:
            for path in rootfs.glob(pattern):
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink()
        made = tmp / "base.tar"
        run(log, "tar", "--numeric-owner", "-C", str(rootfs), "-cf", str(made), ".")
        publish(made, tar)
    say(f"base ready: {tar.stat().st_size / 1e6:.0f} MB")
    return tar


def publish(made: Path, final: Path) -> None:
    final.parent.mkdir(parents=True, exist_ok=True)
    made.replace(final)


@contextmanager
def scratch(name: str) -> Iterator[Path]:
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        prefix=f"tmp-{name}-", dir=CACHE, ignore_cleanup_errors=True
    ) as tmp:
        yield Path(tmp)


@contextmanager
def locked() -> Iterator[None]:
    """One build at a time on one cache; what a killed one left behind is removed."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "image.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another build is running; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        for pattern in ("tmp-base-*", "tmp-build-*"):
            for left in CACHE.glob(pattern):
                shutil.rmtree(left, ignore_errors=True)
        yield


def machine_settings(tmp: Path) -> list[str]:
    """buildah options that show pip this machine's settings and CA certificates."""
    pip = subprocess.run(
        (sys.executable, "-m", "pip", "config", "list"), capture_output=True, text=True, check=False
    )
    settings: dict[str, str] = {}
    for line in pip.stdout.splitlines():  # e.g. global.cert='/x' or :env:.cert='/x'
        name, separator, value = line.partition("=")
        if separator:
            settings[name.rpartition(".")[2]] = value.strip("'\"")
    options: list[str] = []
    cert = settings.get("cert") or os.environ.get("SSL_CERT_FILE", "")
    inside = "/run/machine/ca.crt"
    if Path(cert).is_file():
        settings["cert"] = inside
        options += ["--volume", f"{cert}:{inside}:ro"]
    links = [p for p in settings.pop("find-links", "").split() if Path(p).is_dir()]
    if links:
        settings["find-links"] = " ".join(links)
        options += [o for p in links for o in ("--volume", f"{p}:{p}:ro")]
    wanted = (
        "cert",
        "index-url",
        "extra-index-url",
        "trusted-host",
        "proxy",
        "timeout",
        "default-timeout",
        "find-links",
    )
    lines = [f"{name} = {settings[name]}" for name in wanted if settings.get(name)]
    config = tmp / "pip.conf"
    config.write_text("[global]\n" + "\n".join(lines) + "\n")
    return [*options, "--volume", f"{config}:/etc/pip.conf:ro"]


def build(targets: Sequence[Target], tars: dict[str, Path], context: Path, log: Path) -> None:
    base_tar = base(log)
    with scratch("build") as tmp:
        store = (
            "buildah",
            "--root",
            str(tmp / "root"),
            "--runroot",
            str(tmp / "run"),
            "--storage-driver",
            "vfs",
        )
        base_image = "localhost/cni-upgrade-base"
        recipe = tmp / "Base"
        recipe.write_text("FROM scratch\nADD base.tar /\n")
        run(
            log,
            *store,
            "bud",
            "--isolation",
            "chroot",
            "-t",
            base_image,
            "-f",
            str(recipe),
            str(base_tar.parent),
        )
        options = machine_settings(tmp)
        for target in targets:
            say(f"building {target.name}")
            run(
                log,
                *store,
                "bud",
                "--layers",
                "--isolation",
                "chroot",
                "--network",
                "host",
                "--timestamp",
                os.environ.get("SOURCE_DATE_EPOCH", "0"),
                "--build-arg",
                f"BASE={base_image}",
                "--build-arg",
                f"VERSION={version()}",
                "--target",
                target.name,
                "--tag",
                target.tag,
                *options,
                str(context),
            )
            made = tmp / f"{target.name}.tar"
            run(log, *store, "push", target.tag, f"docker-archive:{made}:{target.tag}")
            publish(made, tars[target.name])
            prune(target)
            say(f"{target.name} ready: {tars[target.name].stat().st_size / 1e6:.0f} MB")


def prune(target: Target) -> None:
    builds = sorted(
        (CACHE / "images").glob(f"{target.name}-*"), key=lambda p: p.stat().st_mtime, reverse=True
    )
    for old in builds[KEEP:]:
        shutil.rmtree(old, ignore_errors=True)


def place(target: Target, context: Path) -> Path:
    """Where the image of these sources is, or will be."""
    base_key = key_of(SUITE, BASE_PACKAGES, *BASE_STRIP)
    key = key_of(base_key, version(), target.tag, root=context, inputs=target.inputs)
    return CACHE / "images" / f"{target.name}-{key}" / f"{target.name}.tar"


def main() -> int:
    parser = argparse.ArgumentParser(description="Build the images.")
    parser.add_argument(
        "targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; default: all"
    )
    names = parser.parse_args().targets or list(TARGETS)
    if unknown := sorted(set(names) - set(TARGETS)):
        parser.error(f"no such target: {', '.join(unknown)}")
    log = CACHE / "log" / "image.log"
    try:
        with tempfile.TemporaryDirectory(prefix="cni-upgrade-context-") as folder:
            context = Path(folder)
            snapshot(context)
            tars = {name: place(TARGETS[name], context) for name in names}
            if not all(tar.exists() for tar in tars.values()):
                if os.geteuid() != 0:
                    raise BuildError("needs root (debootstrap and buildah in a chroot)")
                with locked():
                    log.parent.mkdir(parents=True, exist_ok=True)
                    log.write_bytes(b"")
                    require_tools(log)
                    missing = [TARGETS[name] for name in names if not tars[name].exists()]
                    if missing:
                        build(missing, tars, context, log)
    except BuildError as error:
        print(f"image: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("image: interrupted", file=sys.stderr)
        return 130
    for name in names:
        print(name, tars[name])
    return 0


if __name__ == "__main__":
    sys.exit(main())
