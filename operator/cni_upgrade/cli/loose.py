"""Config files that are on no node: in a repository, in a ConfigMap, on standard input.

Nothing is known of a node then but what was named: without --runtime and --bin-dir nothing is
promised. Each file is judged by itself, as the one that the runtime reads; in a folder each that
libcni would load counts. The writer that puts a file back on a node is no obstacle, for what is
looked at may be its source.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from cni_upgrade.agent import file_io, make_report
from cni_upgrade.agent.discovery.folders import Folders
from cni_upgrade.agent.discovery.host_paths import resolve
from cni_upgrade.agent.plugins import probe
from cni_upgrade.agent.protocol.contract import Kind
from cni_upgrade.agent.protocol.operation import ManagedFiles
from cni_upgrade.agent.protocol.paths import Known, Paths
from cni_upgrade.agent.survey import Survey, config_file
from cni_upgrade.cli.answer import CannotError
from cni_upgrade.cli.look import STDIN, Look, without_pods
from cni_upgrade.cli.options import named_bin_dirs, operation, reason
from cni_upgrade.cni import config, folder
from cni_upgrade.cni.config import Config
from cni_upgrade.cni.facts import Support
from cni_upgrade.cni.findings import Code, Finding, Severity
from cni_upgrade.cni.node import LOOPBACK

KNOWN = Known("nothing but what was named: the file is on no node")

_OF_A_MACHINE = ("root", "config_dir", "cache_dir", "state_dir")


def looks(options: argparse.Namespace) -> list[Look]:
    """What is made of each file that was named. Raises CannotError."""
    for option in _OF_A_MACHINE:
        if getattr(options, option):
            raise CannotError(
                f"--{option.replace('_', '-')} is about a machine and FILE is on none: give one "
                "of them"
            )
    paths = Paths(bin_dirs=named_bin_dirs(options, ""), known=KNOWN)
    asked = replace(operation(options, Kind.AUDIT, paths), managed_files=ManagedFiles.OVERRIDE)
    bin_dirs = tuple((each, resolve("", each)) for each in paths.bin_dirs)
    found = list(_configs(options.files))
    answers = _asked(bin_dirs, [each for _, each in found], asked.target.version)
    seen = Folders(None, bin_dirs, None, (), KNOWN)
    made = []
    for path, each in found:
        survey = Survey(asked, seen, (each,), answers if bin_dirs else _unasked(each), (), ())
        made.append(
            Look(survey, without_pods(make_report.make(survey, make_report.judge(survey))), path)
        )
    return made


def _configs(paths: list[str]) -> Iterator[tuple[str, Config]]:
    for path in paths:
        if path == STDIN:
            yield STDIN, _of_stdin()
        else:
            yield from ((each, _of_file(each)) for each in _files(path))


def _files(path: str) -> list[str]:
    """The file, or those in the folder that libcni would load. Raises CannotError."""
    try:
        if not Path(path).is_dir():
            Path(path).stat()
            names = None
        else:
            names = [each.name for each in Path(path).iterdir() if not each.is_dir()]
    except OSError as error:
        raise CannotError(f"{path}: {reason(error)}") from error
    if names is None and config.kind_of(path) != "other":
        return [path]
    if names is None:
        raise CannotError(
            f"{path}: libcni reads *.conflist, *.conf and *.json; to judge a config that stands "
            f"in something else, give it alone on standard input (FILE {STDIN})"
        )
    if not folder.loadable(names):
        raise CannotError(
            f"{path}: it holds no *.conflist, *.conf or *.json; folders in it are not searched"
        )
    return [str(Path(path) / name) for name in folder.loadable(names)]


def _of_file(path: str) -> Config:
    whole = Path(path).absolute()
    read = config_file("", str(whole.parent), whole.name)
    if read.error is not None and read.error.code == Code.FILE_UNREADABLE:
        raise CannotError(read.error.message)
    return read


def _of_stdin() -> Config:
    """A list if it holds plugins, for there is no name to tell it by."""
    if sys.stdin is None:
        raise CannotError("standard input is closed: expected a CNI config")
    data = sys.stdin.buffer.read(file_io.CONFIG_LIMIT + 1)
    if not data.strip():
        raise CannotError("standard input is empty: expected a CNI config")
    if len(data) > file_io.CONFIG_LIMIT:
        raise CannotError(f"standard input is larger than {file_io.CONFIG_LIMIT} bytes")
    named = "stdin.conflist" if _holds_plugins(data) else "stdin.conf"
    return replace(config.read(named, data), data=data)


def _holds_plugins(data: bytes) -> bool:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return False
    if not isinstance(found, dict) or "plugins" not in found:
        return False
    plugins = found["plugins"]  # those of a list are none of a single plugin, whatever its `type`
    return "type" not in found or (isinstance(plugins, list) and bool(plugins))


def _asked(
    bin_dirs: tuple[tuple[str, str], ...], configs: list[Config], version: str
) -> dict[str, Support]:
    """What the plugins support that are in the folders named."""
    types = dict.fromkeys((*(each for one in configs for each in one.plugins), LOOPBACK))
    return probe.probe("", bin_dirs, types, version)


def _unasked(file: Config) -> dict[str, Support]:
    """No folder was named, so nothing is known, not even what is missing."""
    finding = Finding(
        Code.PLUGIN_UNKNOWN,
        Severity.WARNING,
        "plugins",
        f"none was asked which versions it supports: {', '.join(dict.fromkeys(file.plugins))}",
        "name the folder that holds the plugins of the nodes: --bin-dir",
    )
    return {each: Support(each, finding=finding) for each in (*file.plugins, LOOPBACK)}
