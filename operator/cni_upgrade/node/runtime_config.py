"""Finds the runtime's own configuration on the host and reads it, within bounds.

Where a runtime's systemd unit names another file than the usual one, that one is read. A file that
cannot be read, or two that could both be the one in use, are findings: the folders are
then those of the operator's configuration, and the report says so.
"""

import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cni_upgrade.cni.findings import Code, Finding, Severity, shown
from cni_upgrade.cni.runtime_config import (
    Document,
    RuntimeConfigError,
    Stated,
    containerd,
    crio,
    imports,
    release,
)
from cni_upgrade.node import files, units
from cni_upgrade.node.folders import BrokenLinkError, resolve

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
"""What k0s starts a containerd of its own with. It is not read: where it is there, the one of the
usual place may be another installation's, Docker's say."""
CRIO = "/etc/crio/crio.conf"
CRIO_DROP_INS = "/etc/crio/crio.conf.d"

_MOST_FILES = 64
_MOST_FOLDERS = 16
_CRIO_ARGUMENTS = ("/etc/sysconfig/crio", "/etc/default/crio")
"""Where packages of CRI-O have the variables that its unit hands over."""
_CONFIG = re.compile(r"(?<![\w/.-])(?:--config|-c)[= ][\"']?([^\s\"']+)")
_CONFIG_DIR = re.compile(r"(?<![\w/.-])(?:--config-dir|-d)[= ][\"']?([^\s\"']+)")
_CONFIG_VARIABLE = re.compile(r"(?<!\w)CONTAINER_CONFIG=[\"']?([^\s\"']+)")
_CONFIG_DIR_VARIABLE = re.compile(r"(?<!\w)CONTAINER_CONFIG_DIR=[\"']?([^\s\"']+)")
_CNI = re.compile(
    r"--cni-(?:config-dir|plugin-dir|default-network)\b"
    r"|(?<!\w)CONTAINER_CNI_(?:CONFIG_DIR|PLUGIN_DIR|DEFAULT_NETWORK)(?==)"
)
"""Flags of CRI-O, and the variables of the same meaning, that no file of its can override."""


@dataclass(frozen=True, slots=True)
class Found:
    """What the configuration says; None where there is none, or none that can be relied on."""

    stated: Stated | None = None
    findings: tuple[Finding, ...] = ()
    elsewhere: Finding | None = None
    """Why the runtime's folders are others than the usual ones, and not known."""


def read(root: str, runtime: str) -> Found:
    """What the runtime (as Kubernetes names it; "" when not known) reads. Raises nothing."""
    name, _, version = runtime.partition("://")
    places = (RANCHER if "-k3s" in version else CONTAINERD) if version else (*CONTAINERD, *RANCHER)
    if name == "containerd" and "-k3s" not in version and _is_unseen_microk8s(root):
        return Found(elsewhere=_elsewhere())
    stated: list[Stated] = []
    try:
        if name in ("containerd", ""):
            stated += [
                each
                for path in _started_with(root, places)
                if (each := _containerd(root, path, release(version))) is not None
            ]
        if name in ("cri-o", "") and (each := _crio(root)) is not None:
            stated.append(each)
    except RuntimeConfigError as error:
        return Found(None, (_finding(str(error), "mend it, or see why it cannot be read"),))
    several = [", ".join(each.files) for each in stated]
    if stated and name != "cri-o" and CONTAINERD[0] in places and _kind(root, K0S) is not None:
        several.append(K0S)
    if len(several) > 1:
        text = f"{' and '.join(several)}: it is not known which of them the runtime reads"
        return Found(None, (_finding(text, "remove the one that nothing uses"),))
    if not stated:
        return Found()
    return Found(stated[0], tuple(_of_handlers(stated[0])))


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


def _finding(message: str, action: str) -> Finding:
    return Finding(
        Code.RUNTIME_CONFIG,
        Severity.WARNING,
        "runtime config",
        f"{message}; so the folders are the usual ones, be they those of the runtime or not",
        action,
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
    command, unit = units.arguments(root, "containerd.service") or ("", "")
    named = _CONFIG.findall(command)
    if CONTAINERD[0] not in places or not named or named[-1] == CONTAINERD[0]:
        return places
    if not named[-1].startswith("/") or _document(root, named[-1]) is None:
        raise RuntimeConfigError(
            f"{unit}: containerd is started with --config {named[-1]}, which cannot be found"
        )
    return [named[-1] if each == CONTAINERD[0] else each for each in places]


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
            raise RuntimeConfigError(f"{here}: is imported, and is not there")
        loaded[here] = document
        for pattern in imports(here, document):
            waiting += _imported(root, here, pattern, version)
    return containerd(tuple(loaded.items()), version)


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
    loaded: list[tuple[str, Document]] = []
    command, unit = units.arguments(root, "crio.service") or ("", "")
    said = [
        (unit, command),
        *units.variables(root, "crio.service"),
        *((each, units.uncommented(units.text(root, each))) for each in _CRIO_ARGUMENTS),
    ]
    for place, text in said:
        if overriding := _CNI.findall(text):
            raise RuntimeConfigError(f"{place}: CRI-O is started with {overriding[0]}")
    texts = [text for _, text in said]
    main = _last(texts, _CONFIG) or _last(texts, _CONFIG_VARIABLE) or CRIO
    drop_ins = _last(texts, _CONFIG_DIR) or _last(texts, _CONFIG_DIR_VARIABLE) or CRIO_DROP_INS
    if main != CRIO and _document(root, main) is None:
        raise RuntimeConfigError(f"CRI-O is started with the config {main}, which cannot be found")
    for path in (main, *_below(root, drop_ins, 0)):
        document = _document(root, path)
        if document is not None:
            loaded.append((path, document))
        if len(loaded) > _MOST_FILES:
            raise RuntimeConfigError(f"{drop_ins}: holds more than {_MOST_FILES} files")
    return crio(loaded) if loaded else None


def _last(texts: Sequence[str], pattern: re.Pattern[str]) -> str | None:
    found = [each for text in texts for each in pattern.findall(text)]
    return found[-1] if found else None


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
    """What is in a folder, by name; nothing where there is none. Raises RuntimeConfigError."""
    try:
        with files.opened_folder(resolve(root, folder)) as descriptor:
            return files.names(descriptor)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise RuntimeConfigError(f"{folder}: cannot be read: {error.strerror}") from error


def _kind(root: str, path: str) -> int | None:
    """What stands there itself, be it a link: S_IFDIR and so on; None for nothing."""
    parent, _, name = path.rpartition("/")
    try:
        return stat.S_IFMT(os.lstat(f"{resolve(root, parent or '/')}/{name}").st_mode)
    except OSError:
        return None


def _document(root: str, path: str) -> Document | None:
    """A TOML file; None where there is none. Raises RuntimeConfigError."""
    try:
        parent, _, name = resolve(root, path).rpartition("/")
        with files.opened_folder(parent or "/") as descriptor:
            data = files.read_file(descriptor, name)
    except BrokenLinkError as error:
        raise RuntimeConfigError(f"{path}: leads to {error.target}, which is not there") from error
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise RuntimeConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except files.UnreadableError as error:
        raise RuntimeConfigError(f"{path}: cannot be read: {error}") from error
    import tomllib  # 12 ms that only a node with such a file pays

    try:
        return tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise RuntimeConfigError(f"{path}: is not TOML: {error}") from error
