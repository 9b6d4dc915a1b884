"""What is asked on the command line, and the operation that it describes."""

import argparse
import os
import platform
import time
from collections.abc import Sequence
from dataclasses import replace

from cni_upgrade.agent import file_io
from cni_upgrade.agent.discovery import host_files, runtime_config
from cni_upgrade.agent.discovery.host_paths import resolve, same
from cni_upgrade.agent.protocol.contract import Kind
from cni_upgrade.agent.protocol.operation import ManagedFiles, Operation, digest, operation_id
from cni_upgrade.agent.protocol.paths import BY_HAND_CONFIGS, BY_HAND_PLUGINS, Paths
from cni_upgrade.agent.protocol.target import Form, RewriteMode, Selection, Target
from cni_upgrade.cli.answer import CannotError
from cni_upgrade.cni import runtimes, versions
from cni_upgrade.cni.readiness import UnknownRuntimeError, releases

CONFIG_FOLDERS = (
    "/var/lib/rancher/k3s/agent/etc/cni/net.d",
    "/var/lib/rancher/rke2/agent/etc/cni/net.d",
    "/var/snap/microk8s/current/args/cni-network",
    "/etc/kubernetes/cni/net.d",
    "/etc/cni/net.d",
)
"""Where k3s, RKE2, microk8s, OpenShift and everybody else have them: the one that holds configs is
taken, in the order of manifests/config.yaml."""

PLUGIN_FOLDERS = (
    "/opt/cni/bin",
    "/usr/lib/cni",
    "/var/lib/rancher/k3s/data/cni",
    "/var/lib/rancher/k3s/data/current/bin",
    "/var/snap/microk8s/current/opt/cni/bin",
    "/var/lib/cni/bin",
    "/usr/libexec/cni",
)
"""All that exist are searched, in this order."""

_HOSTNAME_LIMIT = 1 << 10
RUNTIMES = ("containerd", "cri-o", "docker")
"""Names as the kubelet reports them; docker stands for dockershim and cri-dockerd."""


def machine() -> argparse.ArgumentParser:
    """Where a machine has its files."""
    parent = argparse.ArgumentParser(add_help=False)
    group = parent.add_argument_group("where to look")
    group.add_argument(
        "--root",
        default="",
        metavar="DIR",
        help="where the machine's file system is mounted: a disk image, a dump (default: this "
        "machine). All other folders are then meant as that machine names them, its links "
        "stay inside, and its plugins are run from there",
    )
    group.add_argument(
        "--config-dir",
        metavar="DIR",
        help="the folder of CNI configs (default: what the runtime's own configuration names, or "
        "that runtime's default; where none can be read, the one of the usual folders that holds "
        "configs)",
    )
    group.add_argument(
        "--bin-dir",
        action="append",
        metavar="DIR",
        help="a folder of plugins; may be given again (default: as for --config-dir). Plugins "
        "are run, to ask which versions they support",
    )
    group.add_argument(
        "--cache-dir",
        metavar="DIR",
        help=f"where libcni keeps its results cache (default: {Paths().cache_dir})",
    )
    group.add_argument(
        "--state-dir",
        metavar="DIR",
        help=f"where backups and results are kept (default: {Paths().state_dir})",
    )
    return parent


def aim() -> argparse.ArgumentParser:
    """What is to be reached, and under which runtime."""
    parent = argparse.ArgumentParser(add_help=False)
    group = parent.add_argument_group("what to reach")
    group.add_argument(
        "--runtime",
        default="",
        type=_spelled,
        metavar="NAME://VERSION",
        help="the runtime that reads the configs, as `kubectl get node -o wide` shows it, e.g. "
        "containerd://1.6.2 or cri-o://1.23.0; without it nothing can be promised",
    )
    group.add_argument(
        "--libcni",
        metavar="VERSION",
        help="the libcni that this runtime carries (containernetworking/cni in its go.mod), where "
        "you know it and cni-upgrade does not",
    )
    group.add_argument(
        "--target",
        default=Target().version,
        metavar="VERSION",
        help="the CNI version to reach (default: %(default)s)",
    )
    group.add_argument(
        "--exact",
        action="store_true",
        help="the target, not the highest version below it that everything takes; on the way to it "
        "only one with which pods can be deleted, where today none can, so that the node can be "
        "drained",
    )
    group.add_argument(
        "--only-faulty", action="store_true", help="leave a healthy older version as it is"
    )
    group.add_argument(
        "--conflist",
        action="store_true",
        help="make a .conflist of a single-plugin .conf or .json that is brought to the target",
    )
    group.add_argument(
        "--override-managed",
        action="store_true",
        help="write files even if their writer will put its own back",
    )
    return parent


def output() -> argparse.ArgumentParser:
    """How the answer is shown."""
    parent = argparse.ArgumentParser(add_help=False)
    parent.add_argument(
        "-o",
        "--output",
        choices=("table", "json", "yaml"),
        default="table",
        help="table: for people (default). json and yaml: one document, for which `cni-upgrade "
        "schema` prints a JSON schema",
    )
    return parent


def asked_output(arguments: Sequence[str] | None) -> str:
    """How the answer is to be shown, also where the other words are not understood."""
    parser = argparse.ArgumentParser(
        add_help=False, allow_abbrev=False, exit_on_error=False, parents=[output()]
    )
    try:
        return str(parser.parse_known_args(arguments)[0].output)
    except argparse.ArgumentError:
        return "table"


def operation(options: argparse.Namespace, kind: Kind, paths: Paths | None = None) -> Operation:
    """The operation that the options describe, with an id of its own: a person who asks twice
    wants it done twice. `paths` in place of the machine's. Raises CannotError."""
    target = _target(options)
    root = _absolute(options.root) if options.root else ""
    root = "" if root == "/" else root
    _check_folder("--root", "", root)
    made = Operation(
        id="",
        kind=kind,
        node=_name_of(root),
        runtime=_runtime(options.runtime),
        target=target,
        managed_files=ManagedFiles.OVERRIDE if options.override_managed else ManagedFiles.SKIP,
        root=root,
        paths=paths or _paths(options, root),
        libcni=_libcni(options.libcni, options.runtime),
        readiness_for=_readiness(getattr(options, "readiness", None) or ()),
    )
    return named(made)


def named(made: Operation) -> Operation:
    """The operation under a new id."""
    number = time.time_ns()
    return replace(made, id=operation_id(made.kind, "cni-upgrade", made.node, digest(made), number))


def _target(options: argparse.Namespace) -> Target:
    if not versions.known(options.target):
        raise CannotError(f"--target {options.target}: expected one of {', '.join(versions.KNOWN)}")
    return Target(
        options.target,
        Selection.EXACT if options.exact else Selection.HIGHEST_COMPATIBLE,
        RewriteMode.ONLY_FAULTY if options.only_faulty else RewriteMode.TO_TARGET,
        Form.LIST if options.conflist else Form.KEEP,
    )


def _spelled(runtime: str) -> str:
    """CRI-O by the name that the kubelet reports, for its own command is called crio."""
    name, sign, version = runtime.partition("://")
    return f"{runtimes.NAMES.get(name, name)}{sign}{version}"


def _runtime(text: str) -> str:
    name, sign, version = text.partition("://")
    if text and not (name in RUNTIMES and sign and version):
        forms = ", ".join(f"{each}://VERSION" for each in RUNTIMES)
        raise CannotError(f"--runtime {text}: expected one of {forms}, e.g. containerd://1.6.2")
    return text


def _libcni(text: str | None, runtime: str) -> str | None:
    name = runtime.partition("://")[0]
    if text is not None and name and name not in runtimes.JUDGED:
        raise CannotError(
            f"--libcni {text}: of {name} it tells nothing, for only of containerd and CRI-O is it "
            "known what else they do for a pod; leave it out"
        )
    if text is not None and not runtimes.reads(text):
        lines = ", ".join(runtimes.MAX_BY_LIBCNI)
        raise CannotError(f"--libcni {text}: expected a release of one of {lines}, e.g. 1.3.1")
    return text


def _readiness(asked: Sequence[str]) -> tuple[str, ...]:
    for each in asked:
        try:
            releases(each)
        except UnknownRuntimeError as error:
            quotes = "" if ">=" in each else "; put it in quotes, for a shell takes > for itself"
            raise CannotError(f"--readiness {each}: {error}{quotes}") from error
    return tuple(asked)


def _paths(options: argparse.Namespace, root: str) -> Paths:
    """What was named, else the candidates that an agent has too, of which folders.find chooses.

    Nothing stands between a person and a folder: unlike an agent's, the candidates are no limit.
    """
    config_dir = _named(BY_HAND_CONFIGS, root, options.config_dir)
    bin_dirs = named_bin_dirs(options, root)
    stated = runtime_config.read(root, options.runtime).stated
    stated_dirs = _unusual(root, f"/{stated.conf_dir.strip('/')}") if stated else ()
    stated_bins = tuple(f"/{each.strip('/')}" for each in stated.bin_dirs) if stated else ()
    cache_dir = _named("--cache-dir", root, options.cache_dir)
    by_hand = ((BY_HAND_CONFIGS, config_dir), (BY_HAND_PLUGINS, bin_dirs))
    return Paths(
        conf_dirs=(config_dir,) if config_dir else (*stated_dirs, *CONFIG_FOLDERS),
        bin_dirs=bin_dirs or (*stated_bins, *PLUGIN_FOLDERS),
        cache_dir=cache_dir or _path(root, Paths().cache_dir),
        state_dir=_path(root, options.state_dir or Paths().state_dir),
        by_hand=tuple(option for option, value in by_hand if value),
    )


def _unusual(root: str, folder: str) -> tuple[str, ...]:
    """The folder of configs, unless it is a usual one, by whatever name.

    A usual name stays: microk8s names the folder by the revision of its snap, and under that name
    no backup would be found after the next refresh.
    """
    return () if any(same(root, folder, each) for each in CONFIG_FOLDERS) else (folder,)


def named_bin_dirs(options: argparse.Namespace, root: str) -> tuple[str, ...]:
    """The plugin folders that were named. Raises CannotError for one that is not there."""
    return tuple(_named(BY_HAND_PLUGINS, root, each) for each in options.bin_dir or ())


def _named(option: str, root: str, path: str | None) -> str:
    """A folder that was named must be there: a typing error is not a machine without configs."""
    if not path:
        return ""
    path = _path(root, path)
    _check_folder(option, root, path)
    return path


def _path(root: str, path: str) -> str:
    """On this machine a relative path is meant from here; under a root it is the root's.

    Raises CannotError for one under a root that climbs.
    """
    if not root:
        return _absolute(path)
    if ".." in path.split("/"):
        raise CannotError(f"{path}: expected a path without `..` beneath --root")
    return f"/{path.strip('/')}"


def _absolute(path: str) -> str:
    """The path from here, its links left in it. Raises CannotError where "here" is gone."""
    try:
        return os.path.abspath(path)  # noqa: PTH100
    except FileNotFoundError as error:
        raise CannotError(f"{path}: the folder that this runs in is gone") from error


def _check_folder(option: str, root: str, path: str) -> None:
    if not path:
        return
    try:
        with file_io.opened_folder(resolve(root, path)) as folder:
            file_io.names(folder)
    except OSError as error:
        where = f"{option} {path}" + (f" beneath {root}" if root else "")
        raise CannotError(f"{where}: {reason(error)}") from error


def reason(error: OSError) -> str:
    """What the kernel says, and what a person can do about it."""
    said = error.strerror or str(error)
    return f"{said}; run it as root" if isinstance(error, PermissionError) else said


def _name_of(root: str) -> str:
    """The machine's name: under a root what its own /etc/hostname says, else nothing."""
    if not root:
        return platform.node()
    try:
        text = host_files.read(root, "/etc/hostname", _HOSTNAME_LIMIT) or b""
    except host_files.HostFileError:
        return ""
    return text.decode("ascii", "replace").strip()
