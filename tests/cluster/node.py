"""Runs one node: namespaces of its own around a runtime, a kubelet and a kube-proxy.

A node is a process tree below a first process of its own (PID 1 of its PID namespace). When that
one dies, everything in the node does, shims and pods included; and with the last process its
mounts go too. So an unclean stop leaves nothing behind that needs to be found.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.cluster import build, cgroups, disk, images, paths, process, runtime
from tests.cluster.errors import ClusterError
from tests.cluster.kubeapi import read_json
from tests.cluster.kubelet import Kubelet
from tests.cluster.network import NodeNetwork

# Where a node sees what this machine keeps for it; host paths may lie below what it hides.
_HERE = "/run/cluster/node"
_CACHE = "/run/cluster/cache"
_IMAGES = "/run/cluster/images"

# $1 node folder, $2 cache, $3 images, $4 node name, $5 first process.
# The first line runs while the machine's /proc is still there, so it reads the pid that the
# machine knows us by. A fresh sysfs shows the node's own network; it would hide the cgroups.
_SETUP = f"""\
read -r pid _ </proc/self/stat
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs /mnt
mkdir -p /mnt/cluster/node /mnt/cluster/cache /mnt/cluster/images /mnt/cluster/cgroup /mnt/lock
mount --bind "$1" /mnt/cluster/node
mount --bind "$2" /mnt/cluster/cache
mount --bind "$3" /mnt/cluster/images
mount --rbind /sys/fs/cgroup /mnt/cluster/cgroup
mount -t sysfs sysfs /sys
mount --rbind /mnt/cluster/cgroup /sys/fs/cgroup
umount -R -l /mnt/cluster/cgroup
mount --no-mtab --move /mnt /run
{{ OWN }}
mount -t proc proc /proc
cat /proc/sys/kernel/random/uuid >/run/boot_id
mount --bind /run/boot_id /proc/sys/kernel/random/boot_id
hostname "$4"
mount --make-rshared /
echo "$pid" >{_HERE}/first.new
mv {_HERE}/first.new {_HERE}/first
exec "$5"
"""

# A daemon is left to the node's first process, and known by a pid file that dies with the node.
# Until it bears its own name it would pass for one that has ended: ten seconds are given for that.
DAEMON = """\
log=$1 pidfile=$2; shift 2
setsid "$@" >>"$log" 2>&1 </dev/null &
echo $! >"$pidfile"
for _ in $(seq 200); do
  grep -qxE 'sh|setsid' /proc/$!/comm 2>/dev/null || break
  sleep 0.05
done
"""
_ALIVE = 'pid=$(cat "$1") && test "$(cat /proc/$pid/comm)" = "$2" && echo $pid'

_START_SECONDS = 60


@dataclass(frozen=True)
class NodeSpec:
    """What a node is made of; `config` holds the bytes of its CNI config as it begins."""

    runtime: str
    plugins: str
    config: str
    config_name: str = "10-containerd-net.conflist"


def shipped_config(name: str) -> str:
    """Answer one of the configs that lie beside this module."""
    return (paths.CONFIGS / name).read_text()


def default_specs() -> dict[str, NodeSpec]:
    """Answer the nodes that a cluster has unless told: three with a fault, and a healthy one."""
    versionless = shipped_config("versionless.conflist")
    version_1 = shipped_config("version-1.0.0.conflist")
    return {
        "node-a": NodeSpec("containerd-1.6.2", "1.9.1", versionless),
        "node-b": NodeSpec("containerd-1.6.38", "0.9.1", version_1),
        "node-c": NodeSpec("crio-1.23.0", "1.9.1", versionless, "10-crio-net.conflist"),
        "node-d": NodeSpec("containerd-2.4.2", "1.9.1", version_1),
    }


@dataclass(frozen=True)
class Node:
    """One node on disk and, once started, alive."""

    cluster: str
    name: str
    folder: Path
    images: Path
    network: NodeNetwork
    spec: NodeSpec

    @classmethod
    def load(cls, cluster: str, folder: Path, images_folder: Path, network: NodeNetwork) -> Node:
        """Answer a node that was written down before."""
        spec = NodeSpec(**read_json(folder / "node.json")["spec"])
        return cls(cluster, folder.name, folder, images_folder, network, spec)

    @property
    def runtime(self) -> runtime.Runtime:
        """How to treat its runtime."""
        return runtime.named(self.spec.runtime)

    @property
    def components(self) -> tuple[str, ...]:
        """What must be built before it can start."""
        return ("pause", "kubernetes", self.runtime.component, f"plugins-{self.spec.plugins}")

    @property
    def cgroup(self) -> str:
        """The name of its branch in each cgroup hierarchy, which all of the machine shares."""
        return f"{self.network.namespace}-{self.name}"

    @property
    def disk(self) -> Path:
        """Its own /etc, /opt, /var/lib and /var/log, seen from this machine."""
        return self.folder / "disk"

    @property
    def kubelet(self) -> Kubelet:
        """What makes it a node of the cluster."""
        return Kubelet(
            node=self.name,
            address=self.network.address,
            socket=self.runtime.socket,
            cgroup=self.cgroup,
            folder=self.folder / "identity",
            seen_at=f"{_HERE}/identity",
        )

    @property
    def daemons(self) -> tuple[str, ...]:
        """The programs that make it a node."""
        return (self.runtime.program, "kubelet", "kube-proxy")

    def log(self, program: str) -> Path:
        """Answer where a program of the node writes its log."""
        return self.folder / "logs" / f"{program}.log"

    def config_text(self) -> str:
        """Answer its first CNI config, with its own subnets filled in."""
        text = self.spec.config.replace("@POD_SUBNET@", self.network.pods)
        return text.replace("@POD_SUBNET_V6@", self.network.pods_v6)

    # -- its life --

    def first_pid(self) -> int | None:
        """Answer the pid of its first process, if the node is up."""
        return process.living_pid(self.folder / "first.pid")

    def up(self, issue_from: Path, server: str) -> None:
        """Start whatever of it does not run."""
        if self.first_pid() is None:
            self._boot()
        self.start(self.runtime.program)
        self._await_runtime()
        self.import_missing()
        self.kubelet.write(issue_from, server)
        self.start("kubelet")
        self.start("kube-proxy")

    def down(self) -> None:
        """Pull the plug: every process ends at once. The disk stays."""
        process.stop(self.folder / "first.pid", grace=0)
        (self.folder / "first").unlink(missing_ok=True)
        self.network.down()
        cgroups.remove(self.cgroup)

    def _boot(self) -> None:
        if not self.disk.exists():
            plugins = build.home(f"plugins-{self.spec.plugins}")
            configs = {self.spec.config_name: self.config_text()}
            disk.write(self.disk, self.name, plugins, self.runtime.config(), configs)
        # What a start that was cut short left on this network would get in the way.
        self.network.down()
        self.network.up()
        cgroups.create(self.cgroup)
        (self.folder / "first").unlink(missing_ok=True)
        self.folder.joinpath("logs").mkdir(exist_ok=True)
        own = "\n".join(
            f"mount --bind {_HERE}/disk/{part} {target}"
            for part, target in disk.OWN.items()
            if Path(target).is_dir()
        )
        setup = "set -e\n" + _SETUP.replace("{ OWN }", own)
        argv: list[str | Path] = [f"--net=/run/netns/{self.network.namespace}"]
        argv += ["unshare", "--mount", "--uts", "--ipc", "--pid", "--fork", "sh", "-c", setup]
        argv += ["setup", self.folder, paths.cache_root(), self.images, self.name]
        argv.append(f"{_CACHE}/components/{build.home('pause').name}/pause")
        process.spawn(
            ["nsenter", *argv],
            log=self.log("setup"),
            pidfile=self.folder / "unshare.pid",
        )
        written = self.folder / "first"
        deadline = time.monotonic() + _START_SECONDS
        while not written.exists():
            if time.monotonic() > deadline or not process.living_pid(self.folder / "unshare.pid"):
                raise ClusterError(
                    f"{self.name}'s namespaces could not be set up:\n"
                    f"{process.tail(self.log('setup'))}",
                    expected="the right to unshare, mount and set a host name",
                )
            time.sleep(0.05)
        process.record(int(written.read_text()), self.folder / "first.pid")

    def exec(
        self,
        argv: Sequence[str],
        *,
        stdin: str | None = None,
        check: bool = True,
        timeout: float = 120,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the node; its runtime's own tools are on the path."""
        done = subprocess.run(
            self.entered(argv),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            env=self._environment(),
        )
        if check and done.returncode != 0:
            raise ClusterError(
                f"on {self.name}, `{' '.join(argv)}` ended with {done.returncode}: "
                f"{(done.stderr or done.stdout).strip()}"
            )
        return done

    def entered(self, argv: Sequence[str]) -> list[str]:
        """Answer the command that runs `argv` in the node."""
        pid = self.first_pid()
        if pid is None:
            raise ClusterError(
                f"{self.name} is not up",
                todo=f"python3 -m tests.cluster node start {self.name} --name {self.cluster}",
            )
        spaces = ["--mount", "--uts", "--ipc", "--net", "--pid"]
        path = f"PATH={self._path()}"
        return ["nsenter", f"--target={pid}", *spaces, "--wd=/", "env", path, *argv]

    def _path(self) -> str:
        homes = [build.home(name).name for name in (self.runtime.component, "kubernetes")]
        own = ":".join(f"{_CACHE}/components/{home}" for home in homes)
        return f"{own}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

    def _environment(self) -> dict[str, str]:
        return {"PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin"), "HOME": "/root", "LANG": "C"}

    # -- its daemons --

    def pid_within(self, program: str) -> int | None:
        """Answer a daemon's pid as the node knows it, if it runs."""
        if self.first_pid() is None:
            return None
        asked = ["sh", "-c", _ALIVE, "sh", f"/run/{program}.pid", program]
        said = self.exec(asked, check=False).stdout.strip()
        return int(said) if said else None

    def start(self, program: str) -> None:
        """Start one daemon unless it runs."""
        if self.pid_within(program) is not None:
            return
        argv = {
            self.runtime.program: self.runtime.argv,
            "kubelet": self.kubelet.argv,
            "kube-proxy": self.kubelet.proxy_argv,
        }[program]()
        log = f"{_HERE}/logs/{program}.log"
        self.exec(["sh", "-c", DAEMON, "sh", log, f"/run/{program}.pid", *argv])

    def stop(self, program: str) -> None:
        """Stop one daemon; what it started (pods, shims) goes on, as on any node."""
        pid = self.pid_within(program)
        if pid is None:
            return
        self.exec(["kill", str(pid)])
        deadline = time.monotonic() + 20
        while self.pid_within(program) is not None:
            if time.monotonic() > deadline:
                self.exec(["kill", "-KILL", str(pid)], check=False)
                deadline += 5
            time.sleep(0.2)

    def _await_runtime(self) -> None:
        program = self.runtime.program
        deadline = time.monotonic() + _START_SECONDS
        while self.exec(["test", "-S", self.runtime.socket], check=False).returncode != 0:
            if time.monotonic() > deadline or self.pid_within(program) is None:
                raise ClusterError(
                    f"{program} on {self.name} serves no {self.runtime.socket}; "
                    f"its log ({self.log(program)}) ends:\n{process.tail(self.log(program))}"
                )
            time.sleep(0.2)

    def import_missing(self) -> None:
        """Import the cluster's images that this node has not got since they last changed."""
        for archive in sorted(self.images.glob("*.tar")):
            mark = self.folder / "imported" / archive.name
            if not mark.exists() or mark.stat().st_mtime_ns < archive.stat().st_mtime_ns:
                self.import_image(archive)
                mark.parent.mkdir(exist_ok=True)
                mark.touch()

    def import_image(self, archive: Path) -> None:
        """Import one archive of the cluster's image folder into the runtime."""
        for reference in images.references(archive):
            command = self.runtime.import_argv(f"{_IMAGES}/{archive.name}", reference)
            self.exec(command, timeout=600)


def write_down(folder: Path, ordinal: int, spec: NodeSpec) -> None:
    """Write what a node is before anything of it exists, so that it can always be removed."""
    folder.mkdir(parents=True, exist_ok=True)
    fresh = folder / "node.json.new"
    fresh.write_text(json.dumps({"ordinal": ordinal, "spec": asdict(spec)}, indent=2))
    fresh.rename(folder / "node.json")
