"""containerd's configuration on the host: its own, and that of k3s, RKE2, microk8s and k0s."""

from collections.abc import Sequence

from cni_upgrade.agent.discovery import command_line, host_files, systemd_units, toml_file
from cni_upgrade.cni.runtime_config import Stated, containerd, imports
from cni_upgrade.cni.toml_members import Document, RuntimeConfigError

MICROK8S = "/var/snap/microk8s/current/args/containerd.toml"
CONTAINERD = ("/etc/containerd/config.toml", MICROK8S)
RANCHER = (
    "/var/lib/rancher/k3s/agent/etc/containerd/config.toml",
    "/var/lib/rancher/rke2/agent/etc/containerd/config.toml",
)
"""Of k3s and RKE2, whose containerd calls itself so: 1.7.22-k3s1."""
K0S = "/etc/k0s/containerd.toml"
"""What k0s starts a containerd of its own with (k0s `pkg/component/worker/containerd`). Beside it
the one of the usual place may be another installation's, Docker's say."""
_K0S_MADE = "/run/k0s/containerd-cri.toml"
_K0S_DROP_INS = "/etc/k0s/containerd.d/*.toml"
"""A k0s that carries containerd 1.x imports the former, and makes it of the latter: containerd's
defaults patched with each of them that has a CRI part. No agent sees /run."""


def started_with(root: str, places: Sequence[str]) -> Sequence[str]:
    """The places, the usual one replaced by what containerd.service names in its stead.

    Raises RuntimeConfigError where that one is not there.
    """
    if CONTAINERD[0] not in places:
        return places
    process = command_line.arguments(
        systemd_units.started(root, "containerd.service"), "containerd"
    )
    named = command_line.flags(process, "config", "c")
    if not named or named[-1] == CONTAINERD[0]:
        return places
    if not named[-1].startswith("/") or toml_file.read(root, named[-1]) is None:
        raise RuntimeConfigError(
            f"{process.place}: containerd is started with --config {named[-1]}, which cannot be "
            "found"
        )
    return [named[-1] if each == CONTAINERD[0] else each for each in places]


def read(root: str, path: str, version: tuple[int, int] | None) -> Stated | None:
    """containerd's LoadConfig: file, then its imports, then theirs; each file once."""
    waiting, loaded = [path], dict[str, Document]()
    while waiting:
        here = waiting.pop(0)
        if here in loaded:
            continue
        if len(loaded) == toml_file.MOST_FILES:
            raise RuntimeConfigError(f"{here}: more than {toml_file.MOST_FILES} files are imported")
        document = toml_file.read(root, here)
        if document is None:
            if here == path:
                return None
            if here == _K0S_MADE and path == K0S:
                waiting += _patched_by_k0s(root, version)
                continue
            raise RuntimeConfigError(
                f"{here}: is imported by {path}, and is not there or not mounted"
            )
        loaded[here] = document
        for pattern in imports(here, document, version):
            waiting += _imported(root, here, pattern, version)
    return containerd(tuple(loaded.items()), version)


def _patched_by_k0s(root: str, version: tuple[int, int] | None) -> list[str]:
    """The one file of k0s' own folder that has a CRI part. Raises RuntimeConfigError for several.

    A containerd 1.x takes the last one's, k0s what each of them says.
    """
    found = _imported(root, K0S, _K0S_DROP_INS, version)
    having = [
        each for each in found if "plugins" in map(str.lower, toml_file.read(root, each) or {})
    ]
    if len(having) > 1:
        raise RuntimeConfigError(f"{having[-1]}: is one of several with plugins: keep one")
    return having


def _imported(root: str, parent: str, pattern: str, version: tuple[int, int] | None) -> list[str]:
    if not pattern.startswith("/"):
        if "*" in pattern and (version is None or version < (2, 0)):
            # Read from the process's working folder up to some release of 1.6.
            raise RuntimeConfigError(
                f"{parent}: imports: {pattern!r}: releases of containerd 1.x differ about a "
                "relative pattern: expected an absolute one"
            )
        pattern = f"{parent.rpartition('/')[0]}/{pattern}"
    clean: list[str] = []
    for part in pattern.split("/"):
        if part == "..":
            clean[-1:] = []
        elif part not in ("", "."):
            clean.append(part)
    if "*" not in pattern:
        return [f"/{'/'.join(clean)}"]
    if any(mark in pattern for mark in "[\\"):
        raise RuntimeConfigError(f"{parent}: imports: {pattern!r}: expected only * and ? in it")
    found = [""]
    for part in clean:
        if "*" not in part and "?" not in part:
            found = [f"{folder}/{part}" for folder in found]
            continue
        from fnmatch import fnmatchcase  # costs the start of an agent that needs none

        found = [
            f"{folder}/{name}"
            for folder in found
            for name in host_files.names(root, folder or "/")
            if fnmatchcase(name, part)
        ]
    return [each for each in found if host_files.kind(root, each) is not None]
