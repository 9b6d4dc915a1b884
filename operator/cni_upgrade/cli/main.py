"""cni-upgrade: the node engine on any machine, without a cluster: the same report as the agent's.

Exit codes: 0 nothing to do (or done), 1 something was found, 2 it could not be done. Of the last
standard error tells why, and so does the document of `-o json` and `-o yaml`.
"""

import argparse
import contextlib
import io
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from typing import Any, NoReturn, TypeAlias

from cni_upgrade import __version__
from cni_upgrade.agent import signals
from cni_upgrade.agent.protocol.contract import SCHEMA
from cni_upgrade.cli import colours, jsontext, options, verbs, yamltext
from cni_upgrade.cli.answer import COULD_NOT, Answer, CannotError
from cni_upgrade.cli.schema import Failure

_CODES = "Exit codes: 0 nothing to do (or done), 1 something was found, 2 it could not be done."


_Kinds: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


class _UsageError(SystemExit):
    """Words that are not understood; argparse has said so on standard error."""

    def __init__(self, message: str) -> None:
        self.message = message
        super().__init__(COULD_NOT)


class _Parser(argparse.ArgumentParser):
    """Takes options by their whole names: what is short for one today is another one's tomorrow."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**more, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """As argparse does, and so that the document can tell it too."""
        if sys.stderr is not None:
            self.print_usage(sys.stderr)
            print(f"{self.prog}: error: {message}", file=sys.stderr)
        raise _UsageError(message)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one verb; returns the exit code."""
    output = options.asked_output(arguments)
    try:
        return _run(arguments)
    except _UsageError as error:
        _tell(Failure.USAGE, error.message, output)
        raise
    except (CannotError, signals.StoppedError) as error:
        return _fail(Failure.CANNOT, str(error), output)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _fail(Failure.CANNOT, f"{where}{error.strerror or error}", output)
    except Exception as error:  # noqa: BLE001 - left to Python it would end with 1: "found"
        traceback.print_exc()
        text = f"a fault of cni-upgrade itself: {type(error).__name__}: {error}"
        return _fail(Failure.INTERNAL, text, output)


def _run(arguments: Sequence[str] | None) -> int:
    signals.listen()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names of files are bytes, not text
    parser = _parser()
    asked = parser.parse_args(arguments)
    if asked.verb is None:
        # Not 0: a script whose verb is an empty variable would read "nothing to do".
        parser.print_help()
        return COULD_NOT
    if sys.stdout is None:  # `>&-`; known before anything is written
        return _complain("standard output is closed: there is nowhere to answer")
    answer: Answer = asked.verb(asked)
    signals.finish()
    for number in (signal.SIGINT, signal.SIGTERM):  # what is to be done is done
        signal.signal(number, signal.SIG_DFL)
    try:
        _show(answer, asked.output)
    except BrokenPipeError:
        # The reader (`| head`) has seen enough; Python would complain once more when it exits.
        _drop_output()
    except OSError as error:
        _drop_output()
        done = f"; {answer.done}" if answer.done else ""
        return _complain(f"the answer could not be written: {error.strerror}{done}")
    return _complain(answer.error, answer.code) if answer.error else answer.code


def _fail(code: Failure, text: str, output: str) -> int:
    _tell(code, text, output)
    return _complain(text)


def _tell(code: Failure, text: str, output: str) -> None:
    """The failure as a document, where one was asked for."""
    if output == "table" or sys.stdout is None:
        return
    document = {"schema": SCHEMA, "error": {"code": code, "message": text}}
    try:
        _show(Answer(COULD_NOT, document), output)
    except OSError:
        _drop_output()


def _show(answer: Answer, output: str) -> None:
    if output == "json":
        print(jsontext.dump(answer.document))
    elif output == "yaml":
        print(yamltext.dump(answer.document), end="")
    else:
        paint = colours.paint if colours.wanted(sys.stdout, os.environ) else str
        for line in answer.lines:
            print(paint(_harmless(line)))
        patch = answer.patch
        print(_harmless(patch, "\t\n") if sys.stdout.isatty() else patch, end="")
    sys.stdout.flush()


def _harmless(text: str, kept: str = "") -> str:
    """Text without what a terminal would obey: names and messages are the files' own."""
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() or each in kept else each.encode("unicode_escape").decode()
        for each in text
    )


def _complain(text: str, code: int = COULD_NOT) -> int:
    # Where standard error is closed, print would write to standard output, into a document.
    for line in text.splitlines() if sys.stderr is not None else ():
        print(f"cni-upgrade: {_harmless(line)}", file=sys.stderr)
    return code


def _drop_output() -> None:
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(f"cni-upgrade {__version__}")
        parser.exit()


def _add_looking(kinds: _Kinds, parents: Sequence[argparse.ArgumentParser]) -> None:
    """The verbs that write nothing."""
    for name, verb, text in (
        ("audit", verbs.audit, "say what works, what breaks, and why; writes nothing"),
        ("plan", verbs.plan, "say which file would be written at which version; writes nothing"),
        ("diff", verbs.diff, "show the lines that an apply would change; writes nothing"),
    ):
        example = f"Example: cni-upgrade {name} --runtime containerd://1.6.2. {_CODES}"
        kind = kinds.add_parser(name, parents=parents, help=text, description=text, epilog=example)
        kind.add_argument(
            "files",
            nargs="*",
            metavar="FILE",
            help="config files that are on no machine, each judged by itself: a file, a folder "
            "of files, or - for one on standard input; nothing is promised then but for a "
            "--runtime and the plugins of a --bin-dir (default: look at a machine)",
        )
        if name == "audit":
            kind.add_argument(
                "--readiness",
                action="append",
                metavar="'NAME>=VERSION'",
                help="say whether pods would come and go under that runtime as the files are "
                "today, e.g. 'containerd>=2.0' or 'cri-o>=1.24'; may be given again",
            )
        kind.set_defaults(verb=verb)


def _add_changing(kinds: _Kinds, parents: Sequence[argparse.ArgumentParser]) -> None:
    """The verbs that write, and the one that lists what they have kept."""
    for name, verb, text in (
        ("apply", verbs.apply, "back up and write what the plan says"),
        ("restore", verbs.restore, "put a backup back, unless that would strand pods that run"),
        ("backups", verbs.backups, "list the backups"),
    ):
        kind = kinds.add_parser(name, parents=parents, help=text, description=text, epilog=_CODES)
        if name == "restore":
            kind.add_argument("backup", metavar="BACKUP", help="its id, as `backups` lists it")
            kind.add_argument(
                "--rollback",
                action="store_true",
                help="also where pods that were added before the change will hang again when they "
                "are deleted; then the exit code is 1. Pods that came since are never stranded",
            )
        kind.set_defaults(verb=verb)


def _parser() -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = _Parser(
        prog="cni-upgrade",
        description="Finds and cures CNI configs whose cniVersion runtimes and plugins no longer "
        "forgive. audit, plan and diff write nothing.",
        epilog=f"Example: cni-upgrade audit --runtime containerd://1.6.2. {_CODES}",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    kinds = parser.add_subparsers(metavar="VERB", title="verbs")
    parser.set_defaults(verb=None)
    parents = [options.machine(), options.aim(), options.output()]
    _add_looking(kinds, parents)
    _add_changing(kinds, parents)
    text = "tell what a finding, a reason of a status or an alert means, and what to do"
    explaining = kinds.add_parser("explain", help=text, description=text)
    explaining.add_argument("code", nargs="?", metavar="WORD", help="e.g. F1; none: list them all")
    explaining.set_defaults(verb=verbs.explain, output="table")
    text = "print the JSON schema of what -o json and -o yaml show"
    kinds.add_parser("schema", help=text, description=text).set_defaults(
        verb=verbs.print_schema, output="json"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
