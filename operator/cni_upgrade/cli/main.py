"""cni-upgrade: the node engine on any machine, without a cluster: the same report as the agent's.

Exit codes: 0 nothing to do (or done), 1 something was found, 2 it could not be done.
"""

import argparse
import contextlib
import io
import json
import os
import platform
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace

from cni_upgrade.cli import stories, tables
from cni_upgrade.cni import versions
from cni_upgrade.cni.findings import Severity
from cni_upgrade.cni.rewrite import RewriteError, Rewritten, diff, rewrite
from cni_upgrade.node import backup, report, state, stop
from cni_upgrade.node.agent import run
from cni_upgrade.node.members import MemberError
from cni_upgrade.node.operation import (
    Action,
    FileOrder,
    Kind,
    Known,
    ManagedFiles,
    Operation,
    Outcome,
    Paths,
    Report,
    Result,
    RewriteMode,
    Selection,
    Target,
    Verdict,
    check_backup_id,
    digest,
    operation_id,
)
from cni_upgrade.node.survey import Survey, survey

NOTHING_TO_DO = 0
FOUND = 1
COULD_NOT = 2

_GOOD = (Verdict.COMPATIBLE, Verdict.NOT_CNI)

CONFIG_FOLDERS = (
    "/etc/cni/net.d",
    "/var/lib/rancher/k3s/agent/etc/cni/net.d",
    "/var/lib/rancher/rke2/agent/etc/cni/net.d",
    "/var/snap/microk8s/current/args/cni-network",
    "/etc/kubernetes/cni/net.d",
)
"""Where kubeadm, k3s, RKE2, microk8s and OpenShift have them; the first that exists is taken."""

PLUGIN_FOLDERS = (
    "/opt/cni/bin",
    "/usr/lib/cni",
    "/var/lib/rancher/k3s/data/cni",
    "/var/lib/rancher/k3s/data/current/bin",
    "/var/snap/microk8s/current/opt/cni/bin",
    "/var/lib/cni/bin",
)
"""All that exist are searched, in this order."""


class UsageError(Exception):
    """What was asked for makes no sense; the text says what would."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one verb; returns the exit code."""
    stop.listen()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files are bytes, not text
    options = _parser().parse_args(arguments)
    try:
        verb: int = options.verb(options)
        sys.stdout.flush()
    except (UsageError, stop.StoppedError) as error:
        print(f"cni-upgrade: {error}", file=sys.stderr)
        return COULD_NOT
    except BrokenPipeError:
        # The reader (`| head`) has seen enough; Python would complain once more when it exits.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return COULD_NOT
    return verb


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--root",
        default="",
        metavar="DIR",
        help="where the machine's file system is mounted (default: this machine)",
    )
    common.add_argument(
        "--config-dir",
        metavar="DIR",
        help="the config folder, as under DIR of "
        "--root (default: the first of the usual ones that exists)",
    )
    common.add_argument(
        "--bin-dir",
        action="append",
        metavar="DIR",
        help="a folder of plugins; may be given again (default: the usual ones)",
    )
    common.add_argument(
        "--cache-dir",
        default=Paths().cache_dir,
        metavar="DIR",
        help="where libcni keeps its results cache (default: %(default)s)",
    )
    common.add_argument(
        "--state-dir",
        default=Paths().state_dir,
        metavar="DIR",
        help="where backups and results are kept (default: %(default)s)",
    )
    common.add_argument(
        "--runtime",
        default="",
        metavar="NAME://VERSION",
        help="as `kubectl get node -o wide` shows it, e.g. containerd://1.6.2",
    )
    common.add_argument(
        "--target",
        default=Target().version,
        metavar="VERSION",
        help="the CNI version to reach (default: %(default)s)",
    )
    common.add_argument(
        "--exact",
        action="store_true",
        help="the target or nothing, not the highest version below it that everything takes",
    )
    common.add_argument(
        "--only-faulty", action="store_true", help="leave a healthy older version as it is"
    )
    common.add_argument(
        "--override-managed",
        action="store_true",
        help="write files even if their writer will put its own back",
    )
    common.add_argument(
        "-o",
        "--output",
        choices=("table", "json"),
        default="table",
        help="json: the report that the agent gives (docs/operation.md)",
    )
    parser = argparse.ArgumentParser(
        prog="cni-upgrade",
        description="Finds and cures CNI configs whose cniVersion runtimes "
        "and plugins no longer forgive.",
        epilog="Exit codes: 0 nothing to do, 1 something was found, 2 it could not be done.",
    )
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    for name, verb, text in (
        ("audit", _audit, "look at a machine and say what works, what breaks, and why"),
        ("plan", _plan, "say which file would be written at which version"),
        ("diff", _diff, "show the lines that an apply would change"),
        ("apply", _apply, "back up and write what the plan says"),
        ("backups", _backups, "list the backups"),
    ):
        verbs.add_parser(name, parents=[common], help=text, description=text).set_defaults(
            verb=verb
        )
    text = "put a backup back, unless that would strand pods that run"
    restoring = verbs.add_parser("restore", parents=[common], help=text, description=text)
    restoring.add_argument("backup", metavar="BACKUP", help="its id, as `backups` lists it")
    restoring.set_defaults(verb=_restore)
    text = "tell what the code of a finding means, with its sources"
    explaining = verbs.add_parser("explain", help=text, description=text)
    explaining.add_argument("code", nargs="?", metavar="CODE", help="e.g. F1; none: list them all")
    explaining.set_defaults(verb=_explain)
    return parser


def _operation(options: argparse.Namespace, kind: Kind) -> Operation:
    """The operation that the options describe. Raises UsageError."""
    if not versions.known(options.target):
        raise UsageError(f"--target {options.target}: expected one of {', '.join(versions.KNOWN)}")
    root = os.path.abspath(options.root) if options.root else ""  # noqa: PTH100 - links stay
    config_dirs = (_path(root, options.config_dir),) if options.config_dir else CONFIG_FOLDERS
    bin_dirs = tuple(_path(root, each) for each in options.bin_dir or PLUGIN_FOLDERS)
    return Operation(
        id="",
        kind=kind,
        node=platform.node(),
        runtime=options.runtime,
        target=Target(
            options.target,
            Selection.EXACT if options.exact else Selection.HIGHEST_COMPATIBLE,
            RewriteMode.ONLY_FAULTY if options.only_faulty else RewriteMode.TO_TARGET,
        ),
        managed_files=ManagedFiles.OVERRIDE if options.override_managed else ManagedFiles.SKIP,
        root="" if root == "/" else root,
        paths=Paths(
            config_dirs,
            bin_dirs,
            _path(root, options.cache_dir),
            _path(root, options.state_dir),
            Known("--config-dir") if options.config_dir else None,
        ),
    )


def _path(root: str, path: str) -> str:
    """On this machine a relative path is meant from here; under a root it is the root's."""
    return f"/{path.strip('/')}" if root else os.path.abspath(path)  # noqa: PTH100


def _named(operation: Operation) -> Operation:
    """With an id of its own: a person who asks twice wants it done twice."""
    made = operation_id(
        operation.kind, "cni-upgrade", operation.node, digest(operation), time.time_ns()
    )
    return replace(operation, id=made)


def _surveyed(options: argparse.Namespace) -> tuple[Survey, Report]:
    seen = survey(_named(_operation(options, Kind.AUDIT)))
    return seen, report.make(seen, report.judge(seen))


def _found(seen: Report) -> int:
    serious = any(finding.severity is not Severity.INFO for finding in seen.findings)
    return FOUND if serious or seen.verdict not in _GOOD else NOTHING_TO_DO


def _audit(options: argparse.Namespace) -> int:
    seen, made = _surveyed(options)
    operation = seen.operation
    if options.output == "json":
        _json(
            Result(
                operation.id, operation.kind, operation.node, Outcome.DONE, report=made
            ).to_json()
        )
    else:
        _print(tables.of_report(made))
    return _found(made)


def _plan(options: argparse.Namespace) -> int:
    seen, made = _surveyed(options)
    if options.output == "json":
        _json(
            {
                "verdict": str(made.verdict),
                "files": [
                    {**file.to_json(), "patch": change.patch if change else []}
                    for file in made.files
                    for change in [_rewritten(seen, file.name, file.action, file.to)]
                ],
            }
        )
    else:
        _print(tables.of_plan(made))
    actions = {file.action for file in made.files}
    return NOTHING_TO_DO if actions <= {Action.NONE} and not _blocked(made) else FOUND


def _blocked(made: Report) -> bool:
    return made.verdict in (Verdict.BLOCKED, Verdict.NO_CONFIG)


def _rewritten(seen: Survey, name: str, action: Action, to: str | None) -> Rewritten | None:
    config = seen.config(name)
    if action is not Action.REWRITE or to is None or config is None:
        return None
    try:
        return rewrite(config.data, config.kind, to, config.inline)
    except RewriteError as error:
        raise UsageError(f"{name} cannot be written at {to}: {error}") from error


def _diff(options: argparse.Namespace) -> int:
    seen, made = _surveyed(options)
    diffs: dict[str, str] = {}
    for file in made.files:
        change = _rewritten(seen, file.name, file.action, file.to)
        config = seen.config(file.name)
        if change is not None and config is not None:
            diffs[file.name] = diff(config.data, change.data, file.name)
    if options.output == "json":
        _json(diffs)
    else:
        print("".join(diffs.values()), end="")
    if diffs:
        return FOUND
    if _blocked(made):
        faults = [each.message for each in made.findings if each.severity is Severity.FAULT]
        refused = [f"{each.name}: {each.why}" for each in made.files if each.to is None]
        raise UsageError(f"{made.verdict}: {'; '.join(refused or faults[:1])}")
    return NOTHING_TO_DO


def _apply(options: argparse.Namespace) -> int:
    _, made = _surveyed(options)
    orders = tuple(
        FileOrder(file.name, file.sha256, file.to)
        for file in made.files
        if file.action is Action.REWRITE and file.to is not None
    )
    if not orders:
        _print(tables.of_plan(made))
        return NOTHING_TO_DO if made.verdict in _GOOD else COULD_NOT
    return _carry_out(replace(_operation(options, Kind.APPLY), files=orders), options.output)


def _restore(options: argparse.Namespace) -> int:
    try:
        check_backup_id(options.backup)
    except MemberError as error:
        raise UsageError(str(error)) from error
    return _carry_out(
        replace(_operation(options, Kind.RESTORE), backup=options.backup), options.output
    )


def _carry_out(operation: Operation, output: str) -> int:
    result = run(_named(operation))
    if output == "json":
        _json(result.to_json())
    else:
        _print(tables.of_changes(result))
        if result.report is not None:
            print(f"verdict {result.report.verdict}")
    if result.outcome is not Outcome.DONE or result.report is None:
        return COULD_NOT
    return _found(result.report) if operation.kind is Kind.APPLY else NOTHING_TO_DO


def _backups(options: argparse.Namespace) -> int:
    operation = _operation(options, Kind.AUDIT)
    host = operation.paths.state_dir
    try:
        place = state.find(operation)
        found = [] if place is None else backup.everything(place)
    except OSError as error:
        raise UsageError(f"{host} cannot be read: {error.strerror}") from error
    if options.output == "json":
        _json([each.to_json() for each in found])
    else:
        _print(tables.of_backups(found, f"{operation.root}{host}/{backup.FOLDER}"))
    return NOTHING_TO_DO


def _explain(options: argparse.Namespace) -> int:
    told = stories.lines(options.code) if options.code else stories.index()
    if told is None:
        raise UsageError(f"there is no code {options.code!r}; `cni-upgrade explain` lists them")
    _print(told)
    return NOTHING_TO_DO


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        print(line)


def _json(document: object) -> None:
    print(json.dumps(document, indent=2))


if __name__ == "__main__":
    sys.exit(main())
