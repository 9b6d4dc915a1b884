"""CRI-O's configuration on the host: its files, and what it is started with, which goes first."""

import stat
from collections.abc import Iterator
from dataclasses import replace

from cni_upgrade.agent.discovery import command_line, host_files, systemd_units, toml_file
from cni_upgrade.cni.runtime_config import Stated, crio
from cni_upgrade.cni.toml_members import Document, RuntimeConfigError

CRIO = "/etc/crio/crio.conf"
CRIO_DROP_INS = "/etc/crio/crio.conf.d"

_ARGUMENTS = ("/etc/sysconfig/crio", "/etc/default/crio")
"""Where packages of CRI-O have the variables that its unit hands over."""
_CNI = {
    "network_dir": ("cni-config-dir", "CONTAINER_CNI_CONFIG_DIR"),
    "plugin_dirs": ("cni-plugin-dir", "CONTAINER_CNI_PLUGIN_DIR"),
    "cni_default_network": ("cni-default-network", "CONTAINER_CNI_DEFAULT_NETWORK"),
}
"""Members of CRI-O's files, with the flag and the variable that go before them
(CRI-O `internal/criocli/criocli.go` mergeConfig)."""


def read(root: str) -> Stated | None:
    """CRI-O's UpdateFromFile and UpdateFromPath: every file below the folder counts.

    A flag of its command line goes before the variable of the same meaning.
    """
    process = _started(root)
    loaded: list[tuple[str, Document]] = []
    main = _given(process, "CONTAINER_CONFIG", "config", "c")
    drop_ins = _given(process, "CONTAINER_CONFIG_DIR", "config-dir", "d")
    if main and toml_file.read(root, main[0]) is None:
        raise RuntimeConfigError(
            f"{main[1]}: CRI-O is started with the config {main[0]}, which cannot be found"
        )
    folder = drop_ins[0] if drop_ins else CRIO_DROP_INS
    for path in (main[0] if main else CRIO, *_below(root, folder, 0)):
        document = toml_file.read(root, path)
        if document is not None:
            loaded.append((path, document))
        if len(loaded) > toml_file.MOST_FILES:
            raise RuntimeConfigError(f"{folder}: holds more than {toml_file.MOST_FILES} files")
    for member, (flag, variable) in _CNI.items():
        if (given := _given(process, variable, flag)) is not None:
            value = _listed(given[0]) if member == "plugin_dirs" else given[0]
            loaded.append((given[1], {"crio": {"network": {member: value}}}))
    return crio(loaded) if loaded else None


def _started(root: str) -> systemd_units.Started:
    """CRI-O's process; where no unit is found, what its packages' variables would start it with."""
    process = systemd_units.started(root, "crio.service")
    if process.words:
        return command_line.arguments(process, "crio")
    named = [each for path in _ARGUMENTS for each in systemd_units.set_by(root, path).items()]
    variables = {**process.variables, **dict(named)}
    words = [word for value, _ in variables.values() for word in value.split()]
    place = next((path for _, path in variables.values()), "")
    return replace(process, place=place, words=tuple(words), variables=variables)


def _given(process: systemd_units.Started, variable: str, *flags: str) -> tuple[str, str] | None:
    """What CRI-O is told, and by which file: a flag goes before its variable."""
    if values := command_line.flags(process, *flags):
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
    for name in host_files.names(root, folder):
        path = f"{folder}/{name}"
        if host_files.kind(root, path) == stat.S_IFDIR:
            yield from _below(root, path, depth + 1)
        else:
            yield path
