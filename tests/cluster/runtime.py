"""Knows how each container runtime is configured, started and given an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from tests.cluster.errors import ClusterError
from tests.cluster.images import PAUSE

_STORAGE = "/var/lib/containers/storage"
_RUN_STORAGE = "/run/containers/storage"


class Runtime(Protocol):
    """What a node asks of its runtime."""

    @property
    def component(self) -> str:
        """The component that holds its binaries."""

    @property
    def program(self) -> str:
        """The daemon's name."""

    @property
    def socket(self) -> str:
        """Where it serves the CRI."""

    def config(self) -> dict[str, str]:
        """Answer its configuration files by absolute path on the node."""

    def argv(self) -> list[str]:
        """Answer how it is started."""

    def import_argv(self, archive: str, reference: str) -> list[str]:
        """Answer the command that imports one image of a docker archive."""


@dataclass(frozen=True)
class Containerd:
    """containerd of any version that was built; the second generation has other section names."""

    version: str

    program = "containerd"
    socket = "/run/containerd/containerd.sock"

    @property
    def component(self) -> str:
        """The component that holds its binaries."""
        return f"containerd-{self.version}"

    def config(self) -> dict[str, str]:
        """Answer its configuration files by absolute path on the node."""
        text = _CONTAINERD_1 if self.version.startswith("1.") else _CONTAINERD_2
        return {"/etc/containerd/config.toml": text}

    def argv(self) -> list[str]:
        """Answer how it is started."""
        return ["containerd", "--config", "/etc/containerd/config.toml"]

    def import_argv(self, archive: str, reference: str) -> list[str]:
        """Answer the command that imports an archive; all its images come at once."""
        return ["ctr", "--namespace", "k8s.io", "images", "import", archive]


@dataclass(frozen=True)
class Crio:
    """CRI-O."""

    version: str

    program = "crio"
    socket = "/run/crio/crio.sock"

    @property
    def component(self) -> str:
        """The component that holds its binaries."""
        return f"crio-{self.version}"

    def config(self) -> dict[str, str]:
        """Answer its configuration files by absolute path on the node."""
        return {
            "/etc/crio/crio.conf": _CRIO,
            "/etc/crio/policy.json": '{"default": [{"type": "insecureAcceptAnything"}]}\n',
        }

    def argv(self) -> list[str]:
        """Answer how it is started."""
        return ["crio", "--config", "/etc/crio/crio.conf", "--config-dir", "/etc/crio/crio.conf.d"]

    def import_argv(self, archive: str, reference: str) -> list[str]:
        """Answer the command that imports one image; it writes into the store beside CRI-O."""
        store = f"containers-storage:[overlay@{_STORAGE}+{_RUN_STORAGE}]{reference}"
        source = f"docker-archive:{archive}:{reference}"
        return ["skopeo", "--insecure-policy", "copy", "--quiet", source, store]


def named(name: str) -> Runtime:
    """Answer the runtime that `containerd-VERSION` or `crio-VERSION` names."""
    program, _, version = name.partition("-")
    if program == "containerd" and version:
        return Containerd(version)
    if program == "crio" and version:
        return Crio(version)
    raise ClusterError(f"{name!r} names no runtime", expected="containerd-VERSION or crio-VERSION")


# Where a process may not lower its own oom score, runc dies with "can't get final child's PID
# from pipe: EOF"; restrict_oom_score_adj keeps containerd from asking for it.
_CONTAINERD_1 = f"""\
version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/opt/cni/bin"
    conf_dir = "/etc/cni/net.d"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
"""

_CONTAINERD_2 = f"""\
version = 3
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "{PAUSE}"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["/opt/cni/bin"]
    conf_dir = "/etc/cni/net.d"
  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
"""

_CRIO = f"""\
[crio]
root = "{_STORAGE}"
runroot = "{_RUN_STORAGE}"
storage_driver = "overlay"
log_dir = "/var/log/crio/pods"
version_file = "/run/crio/version"
version_file_persist = "/var/lib/crio/version"
clean_shutdown_file = "/var/lib/crio/clean.shutdown"

[crio.api]
listen = "/run/crio/crio.sock"

[crio.runtime]
cgroup_manager = "cgroupfs"
conmon = "/usr/bin/conmon"
conmon_cgroup = "pod"
default_runtime = "runc"
[crio.runtime.runtimes.runc]
runtime_path = "/usr/sbin/runc"
runtime_root = "/run/runc"

[crio.image]
pause_image = "{PAUSE}"
pause_command = "/pause"
signature_policy = "/etc/crio/policy.json"

[crio.network]
network_dir = "/etc/cni/net.d"
plugin_dirs = ["/opt/cni/bin"]

[crio.metrics]
enable_metrics = false
"""
