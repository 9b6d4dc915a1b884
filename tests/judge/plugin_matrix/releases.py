"""Builds all plugins of a release by one Go build, into the cache, keyed by their inputs."""

import functools
import hashlib
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from cni_upgrade.agent.plugins.probe import probe
from cni_upgrade.cni.facts import Support
from tests.cluster.lock import held
from tests.judge import build

MODULES = Path(__file__).resolve().parent / "modules"
_VERSION = "github.com/containernetworking/plugins/pkg/utils/buildversion.BuildVersion"


@dataclass(frozen=True)
class Release:
    """A plugin folder: one built module, and the modules whose plugins stand beside it."""

    name: str
    """As in the table, e.g. 1.9.1 of containernetworking/plugins, or multus-4.2.2."""
    modules: tuple[str, ...]
    only_named: bool = False
    """Whether only those chains are lived with it that name it."""

    def binaries(self) -> dict[str, Path]:
        """By name, where each plugin is. Builds what the cache lacks."""
        found: dict[str, Path] = {}
        for module in self.modules:
            found |= {path.name: path for path in sorted(_built(module).iterdir())}
        return found

    def supports(self) -> dict[str, Support]:
        """What the audit would know of each of them."""
        return _supports(self)


def _plugins(version: str) -> Release:
    return Release(version, (f"plugins-{version}",))


PLUGINS = tuple(
    map(
        _plugins,
        (
            *("0.8.7", "0.9.1", "1.0.1", "1.1.1", "1.2.0"),
            *("1.3.0", "1.5.1", "1.6.2", "1.9.1", "1.10.0"),
        ),
    )
)
"""The releases of containernetworking/plugins."""

OTHERS = (Release("multus 4.2.2", ("plugins-1.9.1", "multus-4.2.2"), only_named=True),)
"""Plugins of others that create a pod here, beside those of containernetworking."""

ALONE = {
    "whereabouts": Release("whereabouts 0.9.2", ("whereabouts-0.9.2",)),
    "aws-cni": Release("amazon-vpc-cni-k8s 1.23.2", ("aws-1.23.2",)),
    "egress-cni": Release("amazon-vpc-cni-k8s 1.23.2", ("aws-1.23.2",)),
    "cilium-cni": Release("cilium 1.20.2", ("cilium-1.20.2",)),
    "multus": Release("multus-cni 4.2.2", ("multus-4.2.2",)),
}
"""Plugins of others that want a cluster or a daemon: what they answer without one (`alone`)."""

NOT_HAD = {
    "flannel-io/cni-plugin": "the module proxy refuses it (1.7.1-flannel1); the flannel of "
    "containernetworking/plugins 0.9.1 is in the table",
    "projectcalico/calico": "the module proxy lists no version",
    "antrea, kube-ovn, weave, meshnet, sriov": "the module proxy lists no version of them",
    "cloudnativelabs/kube-router": "it brings no plugin of its own: it runs bridge with host-local",
    "k8snetworkplumbingwg/multus-cni 3.9.3": "its go.mod names k8s.io/kubelet v0.0.0, which the "
    "module proxy refuses",
}
"""What could not be built, and why; one honest try each."""


NOT_LIVED = {
    "macvlan, ipvlan, vlan, dummy, vrf": "the kernel of the machine has no such devices",
    "dhcp": "it asks a daemon of its own, which asks a DHCP server",
    "whereabouts, aws-cni, egress-cni, cilium-cni": "ADD wants a cluster or a daemon",
    "flannel of 0.8.7": "it has host-local keep its addresses in the machine's own folder",
}
"""What is built and creates no pod here."""


@functools.cache
def _supports(release: Release) -> dict[str, Support]:
    """The plugins of a module lie in one folder each, so that is how they are looked for."""
    folders = dict.fromkeys(str(path.parent) for path in release.binaries().values())
    return probe("", [(each, each) for each in reversed(folders)], release.binaries(), "1.0.0")


def _built(module: str) -> Path:
    source = MODULES / module
    digest = hashlib.sha256(f"{_go()}".encode())
    for name in ("go.mod", "go.sum"):
        digest.update((source / name).read_bytes())
    folder = build.cache() / "plugins" / f"{module}-{digest.hexdigest()[:16]}"
    with held(f"judge-{folder.name}"):
        if not folder.exists():
            _compile(source, module, folder)
    return folder


def _compile(source: Path, module: str, target: Path) -> None:
    """Without -trimpath, which would drop the -ldflags from the build info: real ones have both."""
    target.parent.mkdir(parents=True, exist_ok=True)
    release = module.rpartition("-")[2]
    with TemporaryDirectory(dir=target.parent) as scratch:
        out = Path(scratch) / module
        out.mkdir()
        command = ["nice", "go", "build", "-mod=readonly"]
        command += ["-ldflags", f"-s -w -X {_VERSION}=v{release}", "-o", f"{out}/", "tool"]
        subprocess.run(command, cwd=source, check=True, env=_environment())
        for built, wanted in _RENAMED.get(module, {}).items():
            (out / built).rename(out / wanted)
        out.rename(target)


_RENAMED = {
    "whereabouts-0.9.2": {"cmd": "whereabouts"},
    "aws-1.23.2": {"routed-eni-cni-plugin": "aws-cni", "egress-cni-plugin": "egress-cni"},
}
"""Go names a program after its package's path."""


@functools.cache
def _go() -> str:
    done = subprocess.run(["go", "version"], check=True, capture_output=True, text=True)
    return done.stdout


def _environment() -> dict[str, str]:
    return {
        **os.environ,
        "CGO_ENABLED": "0",
        "GOFLAGS": "-buildvcs=false",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }
