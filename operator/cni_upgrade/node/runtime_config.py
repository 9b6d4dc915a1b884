"""Finds the runtime's own configuration on the host and reads it, within bounds.

Where a runtime's systemd unit names another file than the usual one, that one is read, and what its
arguments say of CNI goes before all files. Where that cannot be followed to its end, or two files
could both be the one in use, it is not known which configs the runtime reads: no usual folder
stands in for them, for what another installation has left there would be taken for the node's.
"""

import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import replace

from cni_upgrade.cni.findings import Code, Finding, Severity, shown
from cni_upgrade.cni.runtime_config import (
    DEFAULT_CONF_DIR,
    Document,
    RuntimeConfigError,
    Stated,
    containerd,
    crio,
    imports,
    release,
)
from cni_upgrade.cni.value import dataclass
from cni_upgrade.node import files, host_file, units
from cni_upgrade.node.folders import BrokenLinkError, resolve
from cni_upgrade.node.members import for_the_kernel
from cni_upgrade.node.unit_files import UnitError

MICROK8S = "/var/snap/microk8s/current/args/containerd.toml"
MICROK8S_UNIT = "/etc/systemd/system/snap.microk8s.daemon-containerd.service"
"""Of snapd, which writes its units there: whoever sees /etc and not /var/snap sees this alone."""
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
CRIO = "/etc/crio/crio.conf"
CRIO_DROP_INS = "/etc/crio/crio.conf.d"

_MOST_FILES = 64
_MOST_FOLDERS = 16
_CRIO_ARGUMENTS = ("/etc/sysconfig/crio", "/etc/default/crio")
"""Where packages of CRI-O have the variables that its unit hands over."""
_FLAG = re.compile(r"--?([^-=][^=]*)(?:=(.*))?", re.DOTALL)
"""As Go's flag package has them: one dash is as good as two."""
_CNI = {
    "network_dir": ("cni-config-dir", "CONTAINER_CNI_CONFIG_DIR"),
    "plugin_dirs": ("cni-plugin-dir", "CONTAINER_CNI_PLUGIN_DIR"),
    "cni_default_network": ("cni-default-network", "CONTAINER_CNI_DEFAULT_NETWORK"),
}
"""Members of CRI-O's files, with the flag and the variable that go before them
(CRI-O `internal/criocli/criocli.go` mergeConfig)."""


@dataclass(frozen=True, slots=True)
class Found:
    """What the configuration says; None where there is none, or none that can be relied on."""

    stated: Stated | None = None
    findings: tuple[Finding, ...] = ()
    elsewhere: Finding | None = None
    """Why it is not known which folders are the runtime's."""
    default: str | None = None
    """The folder of configs of a runtime that has no configuration."""


def read(root: str, runtime: str) -> Found:
    """What the runtime (as Kubernetes names it; "" when not known) reads. Raises nothing."""
    name, _, version = runtime.partition("://")
    try:
        return _found(root, name, version)
    except (RuntimeConfigError, UnitError) as error:
        place = str(error).partition(": ")[0]
        return Found(elsewhere=_unknown(place, str(error), "mend it, or see why it cannot be read"))


def _found(root: str, name: str, version: str) -> Found:
    of_rancher = "-k3s" in version
    usual = (*CONTAINERD, K0S)
    places = (RANCHER if of_rancher else usual) if version else (*usual, *RANCHER)
    if name == "containerd" and not of_rancher and _is_unseen_microk8s(root):
        return Found(elsewhere=_elsewhere())
    stated: list[Stated] = []
    without_cri: list[str] = []
    if name in ("containerd", ""):
        for path in _started_with(root, places):
            if _document(root, path) is None:
                continue
            said = _containerd(root, path, release(version))
            if said is None:
                without_cri.append(path)
            else:
                stated.append(said)
    if name in ("cri-o", "") and (each := _crio(root)) is not None:
        stated.append(each)
    if len(stated) > 1:
        several = " and ".join(", ".join(each.files) for each in stated)
        text = f"{several}: it is not known which of them the runtime reads"
        return Found(elsewhere=_unknown(several, text, "remove the one that nothing uses"))
    if stated:
        return Found(stated[0], tuple(_of_handlers(stated[0])))
    if name == "containerd" and without_cri:
        text = f"{without_cri[0]}: containerd's CRI part is off, so the node has another containerd"
        return Found(elsewhere=_unknown(without_cri[0], text, "remove it if nothing uses it"))
    if name == "containerd" and of_rancher:
        text = f"{' and '.join(RANCHER)}: neither is there, and k3s and RKE2 write theirs"
        what = "see which data-dir they are started with"
        return Found(elsewhere=_unknown(RANCHER[0], text, what))
    return Found(default=DEFAULT_CONF_DIR if name in ("containerd", "cri-o") else None)


def _of_handlers(stated: Stated) -> Iterator[Finding]:
    """One for each folder that handlers have for themselves, as far as a report bears them."""
    folders: dict[str, list[str]] = {}
    for name, folder in stated.handlers:
        folders.setdefault(folder, []).append(name)
    for folder, names in list(folders.items())[:_MOST_FOLDERS]:
        named = shown(", ".join(names), 200)
        yield _of_handler(stated, folder, f"the runtime handler {named}", folder)
    if (more := len(folders) - _MOST_FOLDERS) > 0:
        last = list(folders)[-1]
        yield _of_handler(stated, last, "more runtime handlers", f"{more} more folders")


def _of_handler(stated: Stated, folder: str, handler: str, where: str) -> Finding:
    return Finding(
        Code.HANDLER_FOLDER,
        Severity.WARNING,
        folder,
        f"pods of {handler} (their RuntimeClass names it) get their network from {where}, not from "
        f"{stated.conf_dir}: nothing here is said of these pods",
        f"look at it by itself: cni-upgrade audit --config-dir {folder}",
    )


def _unknown(place: str, message: str, action: str) -> Finding:
    return Finding(
        Code.RUNTIME_CONFIG,
        Severity.FAULT,
        shown(place, 200),
        f"{shown(message, 1000)}; so it is not known which configs the runtime reads: none is "
        "looked at",
        f"{action}; or name the folders to cni-upgrade by --config-dir and --bin-dir",
    )


def _is_unseen_microk8s(root: str) -> bool:
    return _kind(root, MICROK8S_UNIT) is not None and _kind(root, MICROK8S) is None


def _elsewhere() -> Finding:
    return Finding(
        Code.RUNTIME_CONFIG,
        Severity.FAULT,
        MICROK8S,
        f"{MICROK8S_UNIT} is there, so containerd may be that of microk8s, and what it goes by, "
        f"{MICROK8S}, cannot be seen: none of the usual folders is looked at",
        "use the preset microk8s (spec.paths of the policy), which mounts /var, or name the "
        "folders by --config-dir and --bin-dir; or remove the snap where nothing uses it",
    )


def _started_with(root: str, places: Sequence[str]) -> Sequence[str]:
    """The places, the usual one replaced by what containerd.service names in its stead.

    Raises RuntimeConfigError where that one is not there.
    """
    if CONTAINERD[0] not in places:
        return places
    process = _arguments(units.started(root, "containerd.service"), "containerd")
    named = _flags(process, "config", "c")
    if not named or named[-1] == CONTAINERD[0]:
        return places
    if not named[-1].startswith("/") or _document(root, named[-1]) is None:
        raise RuntimeConfigError(
            f"{process.place}: containerd is started with --config {named[-1]}, which cannot be "
            "found"
        )
    return [named[-1] if each == CONTAINERD[0] else each for each in places]


def _arguments(process: units.Started, program: str) -> units.Started:
    """The process with the program's own words alone, behind its name and before the next command.

    What another program has before it may be called the same: `ionice -c 2`. Raises
    RuntimeConfigError where a script stands between, which may do what it likes.
    """
    if not process.words:
        return process
    names = [each.rpartition("/")[2] for each in process.words]
    if program not in names:
        raise RuntimeConfigError(
            f"{process.place}: it starts {process.words[0]:.200}, and not {program} itself"
        )
    own = process.words[names.index(program) + 1 :]
    return replace(process, words=own[: own.index(";")] if ";" in own else own)


def _flags(process: units.Started, *names: str) -> list[str]:
    """What a flag is given, each time. Raises RuntimeConfigError where the value cannot be told."""
    values: list[str] = []
    for place, word in enumerate(process.words):
        found = _FLAG.fullmatch(word)
        if found is None or found[1] not in names:
            continue
        rest = process.words[place + 1 : place + 2]
        values.append(found[2] if found[2] is not None else rest[0] if rest else "")
        if "$" in values[-1] or "%" in values[-1]:
            raise RuntimeConfigError(
                f"{process.place}: what {word:.200} {values[-1]:.200} is given cannot be told"
            )
    return values


def _containerd(root: str, path: str, version: tuple[int, int] | None) -> Stated | None:
    """containerd's LoadConfig: file, then its imports, then theirs; each file once."""
    waiting, loaded = [path], dict[str, Document]()
    while waiting:
        here = waiting.pop(0)
        if here in loaded:
            continue
        if len(loaded) == _MOST_FILES:
            raise RuntimeConfigError(f"{here}: more than {_MOST_FILES} files are imported")
        document = _document(root, here)
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
    having = [each for each in found if "plugins" in map(str.lower, _document(root, each) or {})]
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
            for name in _names(root, folder or "/")
            if fnmatchcase(name, part)
        ]
    return [each for each in found if _kind(root, each) is not None]


def _crio(root: str) -> Stated | None:
    """CRI-O's UpdateFromFile and UpdateFromPath: every file below the folder counts.

    A flag of its command line goes before the variable of the same meaning.
    """
    process = _crio_started(root)
    loaded: list[tuple[str, Document]] = []
    main = _given(process, "CONTAINER_CONFIG", "config", "c")
    drop_ins = _given(process, "CONTAINER_CONFIG_DIR", "config-dir", "d")
    if main and _document(root, main[0]) is None:
        raise RuntimeConfigError(
            f"{main[1]}: CRI-O is started with the config {main[0]}, which cannot be found"
        )
    folder = drop_ins[0] if drop_ins else CRIO_DROP_INS
    for path in (main[0] if main else CRIO, *_below(root, folder, 0)):
        document = _document(root, path)
        if document is not None:
            loaded.append((path, document))
        if len(loaded) > _MOST_FILES:
            raise RuntimeConfigError(f"{folder}: holds more than {_MOST_FILES} files")
    for member, (flag, variable) in _CNI.items():
        if (given := _given(process, variable, flag)) is not None:
            value = _listed(given[0]) if member == "plugin_dirs" else given[0]
            loaded.append((given[1], {"crio": {"network": {member: value}}}))
    return crio(loaded) if loaded else None


def _crio_started(root: str) -> units.Started:
    """CRI-O's process; where no unit is found, what its packages' variables would start it with."""
    process = units.started(root, "crio.service")
    if process.words:
        return _arguments(process, "crio")
    named = [each for path in _CRIO_ARGUMENTS for each in units.set_by(root, path).items()]
    variables = {**process.variables, **dict(named)}
    words = [word for value, _ in variables.values() for word in value.split()]
    place = next((path for _, path in variables.values()), "")
    return replace(process, place=place, words=tuple(words), variables=variables)


def _given(process: units.Started, variable: str, *flags: str) -> tuple[str, str] | None:
    """What CRI-O is told, and by which file: a flag goes before its variable."""
    if values := _flags(process, *flags):
        several = ",".join(values) if "cni-plugin-dir" in flags else values[-1]
        return several, process.place
    return process.variable(variable)


def _listed(value: str) -> list[str]:
    """As StringSliceTrySplit takes it apart."""
    return [each.strip() for each in value.split(",")]


def _below(root: str, folder: str, depth: int) -> Iterator[str]:
    """As filepath.Walk goes: by name, into folders, not through links to folders."""
    if depth > 8:
        raise RuntimeConfigError(f"{folder}: is nested too deep")
    for name in _names(root, folder):
        path = f"{folder}/{name}"
        if _kind(root, path) == stat.S_IFDIR:
            yield from _below(root, path, depth + 1)
        else:
            yield path


def _names(root: str, folder: str) -> list[str]:
    """What is in a folder, by name; nothing where there is none. Raises RuntimeConfigError.

    A link that leads nowhere may do so beneath a root alone, where its target is not mounted.
    """
    try:
        with files.opened_folder(resolve(root, folder)) as descriptor:
            return files.names(descriptor)
    except BrokenLinkError as error:
        if not root:
            return []
        text = f"{folder}: leads to {error.target}, which is not there or not mounted"
        raise RuntimeConfigError(text) from error
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise RuntimeConfigError(f"{folder}: cannot be read: {error.strerror}") from error


def _kind(root: str, path: str) -> int | None:
    """What stands there itself, be it a link: S_IFDIR and so on; None for nothing."""
    if not for_the_kernel(path):
        return None
    parent, _, name = path.rpartition("/")
    try:
        return stat.S_IFMT(os.lstat(f"{resolve(root, parent or '/')}/{name}").st_mode)
    except OSError:
        return None


def _document(root: str, path: str) -> Document | None:
    """A TOML file; None where there is none. Raises RuntimeConfigError."""
    try:
        data = host_file.read(root, path)
    except host_file.HostFileError as error:
        raise RuntimeConfigError(str(error)) from error
    if data is None:
        return None
    import tomllib  # 12 ms that only a node with such a file pays

    try:
        return tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise RuntimeConfigError(f"{path}: is not TOML: {error}") from error
