"""What there is on one node, looked at and never touched: files, plugins, running sandboxes.

An audit is a survey with a judgement. An apply and a restore make the same survey right before
they write, so that what is judged is what will be written over.
"""

import errno
import hashlib
import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from cni_upgrade.agent import file_io
from cni_upgrade.agent.discovery import folders, host_paths, kubelet, runtime_config, sandboxes
from cni_upgrade.agent.discovery.folders import Folders
from cni_upgrade.agent.discovery.host_paths import resolve
from cni_upgrade.agent.discovery.runtime_config import Found
from cni_upgrade.agent.plugins import copies, delegates, plugin_binary, probe
from cni_upgrade.agent.protocol.operation import Operation
from cni_upgrade.cni import config, folder, runtimes
from cni_upgrade.cni.chain import Called
from cni_upgrade.cni.config import Config
from cni_upgrade.cni.facts import Facts, Sandbox, Support
from cni_upgrade.cni.findings import Code, Finding, Severity
from cni_upgrade.cni.inline import Inline, Unread
from cni_upgrade.cni.judgement import FileReport
from cni_upgrade.cni.node import LOOPBACK
from cni_upgrade.cni.runtime_config import DEFAULT_BIN_DIRS
from cni_upgrade.cni.value import dataclass

if TYPE_CHECKING:
    from cni_upgrade.cni.rewrite import Rewritten


@dataclass(frozen=True, slots=True)
class Survey:
    """One node as it was found; `findings` are those that no judgement of the engine repeats."""

    operation: Operation
    folders: Folders
    configs: tuple[Config, ...]
    supports: Mapping[str, Support]
    sandboxes: tuple[Sandbox, ...]
    findings: tuple[Finding, ...]
    names: frozenset[str] = frozenset()
    """Everything that stands in the config folder."""
    without_cni: str | None = None
    unread: Finding | None = None
    """Why it is not known which configs the runtime reads."""
    delegate_dirs: tuple[str, ...] = ()
    """Where plugins stand that multus runs, before the runtime's folders."""
    own: Found | None = None
    """What the runtime's own configuration says; None where it was not read."""

    def facts(self, configs: Sequence[Config] | None = None) -> Facts:
        """What the engine judges; with `configs` in place of those that were found."""
        known = self.folders.known
        return Facts(
            runtime=self.operation.runtime,
            configs=self.configs if configs is None else configs,
            plugins=self.supports,
            sandboxes=self.sandboxes,
            managed_files=str(self.operation.managed_files),
            max_conf_num=1 if known.max_conf_num is None else known.max_conf_num,
            default_network=known.default_network,
            conf_template=known.conf_template,
            conf_dir=self.folders.conf_dir and self.folders.conf_dir[0],
            names=self.names,
            without_cni=self.without_cni,
            libcni=self.operation.libcni,
            unread=self.unread,
            internal_loopback=known.internal_loopback,
        )

    def rewritten(self, file: FileReport) -> "Rewritten | None":
        """A file as an apply would write it; None where it is not here or nothing is to be reached.

        Raises RewriteError.
        """
        from cni_upgrade.cni.conversion import convert  # jsonpatch, which as a rule no audit needs
        from cni_upgrade.cni.rewrite import rewrite

        config = self.config(file.name)
        if config is None or file.to is None:
            return None
        if file.becomes is not None:
            return convert(config.data, file.to, alone=config.network in self.names)
        return rewrite(config.data, config.kind, file.to, config.inline)

    def config(self, name: str) -> Config | None:
        """The config file of that name."""
        return next((each for each in self.configs if each.name == name), None)


def sha256(config: Config) -> str:
    """Of the file's bytes, in hex."""
    return sha256_of(config.data)


def sha256_of(data: bytes) -> str:
    """Of bytes, in hex."""
    return hashlib.sha256(data).hexdigest()


def survey(operation: Operation) -> Survey:
    """Looks at the node. Raises nothing: what cannot be read is a finding."""
    if operation.paths.known is not None:
        return _look(operation, folders.find(operation.root, operation.paths), None)
    own = runtime_config.read(operation.root, operation.runtime)
    found = folders.find(operation.root, operation.paths, own.stated, own.elsewhere, own.default)
    seen = _look(operation, replace(found, findings=(*own.findings, *found.findings)), None)
    return replace(seen, own=own)


def again(earlier: Survey) -> Survey:
    """Looks at files and sandboxes once more; the plugins have answered already."""
    seen = _look(earlier.operation, earlier.folders, earlier.supports)
    return replace(seen, delegate_dirs=earlier.delegate_dirs, own=earlier.own)


def _look(operation: Operation, found: Folders, supports: Mapping[str, Support] | None) -> Survey:
    findings = list(found.findings)
    configs: list[Config] = []
    names: list[str] = []
    unread = found.unread
    if found.conf_dir is not None:
        try:
            configs, names = _configs(operation.root, *found.conf_dir)
        except OSError as error:
            host = found.conf_dir[0]
            unread = Finding(
                Code.FOLDER_MISSING,
                Severity.FAULT,
                host,
                f"{host} cannot be read: {error.strerror}",
                "see why the agent may not read it",
            )
    running: list[Sandbox] = []
    if found.cache_dir is not None:
        runtime = runtimes.lookup(operation.runtime, operation.libcni)
        reads_again = runtime.libcni if runtime.deletes_with == "cached" else None
        running, broken = sandboxes.read(operation.root, found.cache_dir[0], reads_again)
        findings += broken
    elif any(each.component == operation.paths.cache_dir for each in found.findings):
        running = [sandboxes.unknown()]  # it may well be there: a link that leads nowhere here
    dirs: tuple[str, ...] = ()
    if supports is None:
        types = dict.fromkeys(binary for each in configs for binary in each.plugins)
        if operation.runtime.startswith("cri-o://"):  # it deletes with the configs in the cache
            types |= dict.fromkeys(call.binary for each in running for call in each.calls or ())
        if configs and not found.known.internal_loopback:
            types[LOOPBACK] = None
        calls = [call for each in configs for call in (*each.calls, *_of_named(each, configs))]
        calls += [call for each in running for call in each.calls or ()]
        dirs, apart = delegates.asked(operation, found, calls)
        supports = {**_asked(operation, found, types), **apart}
    return Survey(
        operation,
        found,
        tuple(configs),
        supports,
        tuple(running),
        tuple(findings),
        frozenset(names),
        kubelet.network_without_cni(operation.root, operation.runtime),
        unread,
        dirs,
    )


def _of_named(config: Config, configs: Sequence[Config]) -> Iterable[Called]:
    """Whom multus runs for a network that stands in one of the other files, if it names one."""
    if not config.elsewhere:
        return ()
    others = (call for each in configs for call in each.calls)
    return (replace(call, folder=config.delegate_dir) for call in others)


def _asked(operation: Operation, found: Folders, types: Iterable[str]) -> dict[str, Support]:
    root, version = operation.root, operation.target.version
    if found.untold is not None:
        return {each: plugin_binary.untold(each, found.untold) for each in types}
    if not found.known.usual_plugins:
        return probe.probe(root, found.bin_dirs, types, version, found.unseen)
    default: Sequence[str] = ()
    if operation.runtime.partition("://")[0] in ("containerd", "cri-o"):
        # Where it is not among the candidates, whoever named these knows of other ones.
        default = [each for each in operation.paths.bin_dirs if each in DEFAULT_BIN_DIRS]
    return copies.agreed(root, found.bin_dirs, types, version, found.unseen, default)


def _configs(root: str, host: str, real: str) -> tuple[list[Config], list[str]]:
    """The files that libcni would load, and the names of all that stands there. Raises OSError."""
    with file_io.opened_folder(real) as descriptor:
        names = file_io.names(descriptor)
        loaded = folder.loadable(name for name in names if not _is_folder(descriptor, name))
    return [config_file(root, host, name) for name in loaded], names


def _is_folder(descriptor: int, name: str) -> bool:
    """As libcni's ConfFiles asks it: of the entry itself, not of what a link leads to."""
    try:
        entry = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
    except FileNotFoundError:
        return True  # gone between the listing and the question
    return stat.S_ISDIR(entry.st_mode)


def config_file(root: str, host: str, name: str) -> Config:
    """One file of the config folder as the newest libcni reads it; a link is followed, in root.

    One that cannot be read here may well be read by the runtime: what a link leads to need not be
    mounted, and our limit of size is ours.
    """
    try:
        data = _read(root, f"{host}/{name}")
    except (OSError, file_io.UnreadableError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        if isinstance(error, host_paths.BrokenLinkError):
            reason = f"it is a link to {error.target}, which is not there or not mounted"
        finding = Finding(
            Code.FILE_UNREADABLE,
            Severity.FAULT,
            name,
            f"{host}/{name} cannot be read: {reason}",
            "make it a plain file that can be read, or remove it: libcni tries to load it",
        )
        return Config(name, config.kind_of(name), error=finding, unjudged=True)
    inline = _inline(root, host, config.beside(name, data))
    return replace(config.read(name, data, inline=inline), data=data)


def _read(root: str, path: str) -> bytes:
    real = resolve(root, path)
    parent, _, name = real.rpartition("/")
    with file_io.opened_folder(parent or "/") as descriptor:
        return file_io.read_file(descriptor, name)


def _inline(root: str, host: str, network: str | None) -> Inline:
    """The `.conf` files of the folder named as the network, which libcni 1.3 adds to a list.

    It passes over a folder that is not there, and fails on one that it cannot read, be it that a
    file stands in its place (`conf.go` NetworkPluginConfsFromFiles).
    """
    if network is None:
        return {}
    if "\0" in network:  # no system call takes it, which is not the same as nothing being there
        return {"": os.strerror(errno.EINVAL)}
    found: dict[str, bytes | str] = {}
    try:
        with file_io.opened_folder(resolve(root, f"{host}/{network}")) as descriptor:
            for name in file_io.names(descriptor):
                if name.endswith(".conf") and not _is_folder(descriptor, name):
                    found[name] = _inlined(root, f"{host}/{network}/{name}")
    except host_paths.BrokenLinkError as error:
        if not root:  # all of the machine is here: it leads nowhere for libcni, too
            return {}
        return {"": Unread(f"it is a link to {error.target}, which is not there or not mounted")}
    except FileNotFoundError:
        return {}
    except NotADirectoryError as error:
        return {"": error.strerror or str(error)}
    except OSError as error:
        return {"": Unread(error.strerror or str(error))}
    return found


def _inlined(root: str, path: str) -> bytes | str:
    try:
        return _read(root, path)
    except (OSError, file_io.UnreadableError) as error:
        return Unread((error.strerror if isinstance(error, OSError) else None) or str(error))
