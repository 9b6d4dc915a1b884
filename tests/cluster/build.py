"""Builds components once and keeps them, because a cold build costs minutes on two cores."""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from tests.cluster import lock, paths, process
from tests.cluster.components import BY_NAME, Component
from tests.cluster.errors import ClusterError
from tests.cluster.progress import say

_HEARTBEAT_SECONDS = 20


def _go_env(component: Component) -> dict[str, str]:
    """Answer an environment in which a person's Go settings cannot change what is built."""
    return {
        **os.environ,
        "CGO_ENABLED": "1" if component.cgo else "0",
        "GOFLAGS": "-buildvcs=false",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }


@functools.cache
def _go_version() -> str:
    return process.run(["go", "env", "GOVERSION", "GOARCH"]).strip()


def key(component: Component) -> str:
    """Answer a digest of all that decides what a build of the component yields."""
    digest = hashlib.sha256()
    digest.update(f"{component!r}\n{_go_version()}\n".encode())
    for path in sorted((paths.COMPONENTS / component.name).rglob("*")):
        if path.is_file():
            digest.update(f"{path.name}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def home(name: str) -> Path:
    """Answer the folder in which the component's binaries are, or will be."""
    component = BY_NAME[name]
    return paths.cache_root() / "components" / f"{name}-{key(component)}"


def is_built(name: str) -> bool:
    """Say whether the component is in the cache."""
    return home(name).is_dir()


def ensure(names: Sequence[str]) -> None:
    """Build those of the components that the cache lacks, in the order given."""
    missing = [name for name in names if not is_built(name)]
    if not missing:
        return
    # While one component keeps both cores busy, the next one's modules can come over the network.
    fetcher = threading.Thread(target=_fetch, args=(missing[1:],), daemon=True)
    fetcher.start()
    for name in missing:
        with lock.held(f"build-{name}"):
            if not is_built(name):
                _build(BY_NAME[name])


def _fetch(names: Sequence[str]) -> None:
    """Download the modules of components to come; a failure is left to the build to report."""
    for name in names:
        component = BY_NAME[name]
        subprocess.run(
            ["go", "list", "-deps", "-tags", ",".join(component.tags), *component.packages],
            cwd=paths.COMPONENTS / name,
            env=_go_env(component),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )


def _build(component: Component) -> None:
    target = home(component.name)
    log = paths.cache_root() / "logs" / f"{component.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.unlink(missing_ok=True)
    scratch = target.with_name(f".{target.name}.partial")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    say(f"building {component.name} (log: {log})")
    began = time.monotonic()
    _go_build(component, scratch, log)
    for program in component.c_programs:
        source = Path(_module_folder(component, program.module)) / program.folder
        sources = [str(path) for path in sorted(source.glob("*.c"))]
        compiler = ["gcc", "-std=c99", "-Os", "-static", "-o", str(scratch / program.name)]
        _logged(component, [*compiler, *sources], log)
    for built, wanted in component.rename:
        (scratch / built).rename(scratch / wanted)
    for link, binary in component.links:
        (scratch / link).symlink_to(binary)
    absent = [name for name in component.binaries if not (scratch / name).exists()]
    if absent:
        raise ClusterError(f"{component.name} was built without {', '.join(absent)}; log: {log}")
    scratch.rename(target)
    _forget_older(component, target)
    say(f"built {component.name} in {time.monotonic() - began:.0f} s")


def _go_build(component: Component, out: Path, log: Path) -> None:
    argv = ["go", "build", "-v", "-mod=readonly", "-trimpath"]
    argv += ["-tags", ",".join(component.tags), "-ldflags", " ".join(component.ldflags)]
    argv += ["-o", f"{out}/", *component.packages]
    _logged(component, argv, log)


def _module_folder(component: Component, module: str) -> str:
    done = subprocess.run(
        ["go", "list", "-m", "-f", "{{.Dir}}", module],
        cwd=paths.COMPONENTS / component.name,
        env=_go_env(component),
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def _logged(component: Component, argv: Sequence[str], log: Path) -> None:
    """Run one step of a build, telling now and then how far it is."""
    with log.open("a") as out:
        step = subprocess.Popen(
            argv,
            cwd=paths.COMPONENTS / component.name,
            env=_go_env(component),
            stdout=out,
            stderr=subprocess.STDOUT,
        )
        while True:
            try:
                code = step.wait(_HEARTBEAT_SECONDS)
                break
            except subprocess.TimeoutExpired:
                lines = log.read_text(errors="replace").splitlines()
                packages = sum(not line.startswith("go: ") for line in lines)
                say(f"  {component.name}: {packages} packages compiled")
    if code != 0:
        raise ClusterError(
            f"{component.name} could not be built:\n{process.tail(log)}",
            expected=f"`{' '.join(argv[:2])}` to end well in {paths.COMPONENTS / component.name}",
            todo=f"see {log}",
        )


def _forget_older(component: Component, target: Path) -> None:
    """Drop builds of earlier inputs, unless a cluster that is up still runs from them."""
    for path in target.parent.glob(f"{component.name}-*"):
        same_component = len(path.name) == len(target.name) and path != target
        if same_component and not _in_use(path):
            shutil.rmtree(path)


def _in_use(folder: Path) -> bool:
    """Say whether a process runs from the folder, whose name nodes see below another path."""
    for exe in Path("/proc").glob("[0-9]*/exe"):
        try:
            if folder.name in exe.readlink().parts:
                return True
        except OSError:
            continue
    return False
