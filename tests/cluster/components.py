"""The catalogue of what the cluster is made of, so that a version stands in one place."""

from __future__ import annotations

from dataclasses import dataclass, field

KUBERNETES = "v1.34.4"

# Without these, containerd asks for headers and kernel features of drivers that nobody here uses.
_CONTAINERD_TAGS = ("no_btrfs", "no_devmapper", "no_zfs", "no_aufs")
_CRIO_TAGS = (
    "containers_image_openpgp",
    "containers_image_ostree_stub",
    "exclude_graphdriver_btrfs",
    "exclude_graphdriver_devicemapper",
    "seccomp",
)
_PLUGINS = "github.com/containernetworking/plugins"
_VERSION = "k8s.io/component-base/version"


@dataclass(frozen=True)
class CProgram:
    """A program in C that a Go module brings along; only CRI-O has one (pinns)."""

    name: str
    module: str
    folder: str


@dataclass(frozen=True)
class Component:
    """One folder under `components/`, with a go.mod of its own, and what is built from it."""

    name: str
    packages: tuple[str, ...]
    binaries: tuple[str, ...]
    tags: tuple[str, ...] = ()
    ldflags: tuple[str, ...] = ("-s", "-w")
    cgo: bool = False
    # go names a binary after its package's path; here is what we call it.
    rename: tuple[tuple[str, str], ...] = ()
    # Names under which one binary acts as several programs.
    links: tuple[tuple[str, str], ...] = ()
    c_programs: tuple[CProgram, ...] = field(default=())


def _containerd(version: str, module: str = "github.com/containerd/containerd") -> Component:
    return Component(
        name=f"containerd-{version}",
        packages=("tool",),
        binaries=("containerd", "containerd-shim-runc-v2", "ctr"),
        tags=_CONTAINERD_TAGS,
        # The node's status shows this; unset, it reads "1.6.2+unknown".
        ldflags=("-s", "-w", f"-X {module}/version.Version={version}"),
    )


def _plugins(version: str) -> Component:
    return Component(
        name=f"plugins-{version}",
        packages=("tool",),
        binaries=(
            "bandwidth",
            "bridge",
            "firewall",
            "host-local",
            "loopback",
            "portmap",
            "ptp",
        ),
        ldflags=("-s", "-w", f"-X {_PLUGINS}/pkg/utils/buildversion.BuildVersion=v{version}"),
    )


_DAEMONS = ("kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubelet")

# In the order in which they are wanted: a control plane, then node-a, then the others.
CATALOGUE = (
    Component(name="pause", packages=(".",), binaries=("pause",)),
    Component(
        name="etcd",
        packages=("tool",),
        binaries=("etcd",),
        rename=(("server", "etcd"),),
    ),
    Component(
        name="kubernetes",
        packages=(".", "tool"),
        binaries=("kubernetes", "kubectl", *_DAEMONS),
        ldflags=(
            "-s",
            "-w",
            f"-X {_VERSION}.gitVersion={KUBERNETES}",
            f"-X {_VERSION}.gitMajor=1",
            f"-X {_VERSION}.gitMinor={KUBERNETES.split('.')[1]}",
            f"-X {_VERSION}.gitTreeState=clean",
        ),
        links=tuple((name, "kubernetes") for name in _DAEMONS),
    ),
    _containerd("1.6.2"),
    _plugins("1.9.1"),
    _containerd("2.4.2", "github.com/containerd/containerd/v2"),
    _plugins("0.9.1"),
    _containerd("1.6.38"),
    Component(
        name="crio-1.23.0",
        packages=("tool",),
        binaries=("crio", "crio-status", "pinns"),
        tags=_CRIO_TAGS,
        cgo=True,
        c_programs=(CProgram("pinns", "github.com/cri-o/cri-o", "pinns/src"),),
    ),
    Component(
        name="kwok",
        packages=("tool",),
        binaries=("kwok",),
        ldflags=("-s", "-w", "-X sigs.k8s.io/kwok/pkg/consts.Version=v0.7.0"),
    ),
    Component(name="helm", packages=("tool",), binaries=("helm",)),
)

# Built where it is asked for, and not with the cluster.
SYFT = Component(
    name="syft",
    packages=("tool",),
    binaries=("syft",),
    ldflags=("-s", "-w", "-X main.version=1.18.1"),
)

CONTROL_PLANE = ("pause", "etcd", "kubernetes")
BY_NAME = {component.name: component for component in (*CATALOGUE, SYFT)}
