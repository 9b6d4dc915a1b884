"""The agent: one operation from the environment, one result in the termination message.

The kubelet keeps what stands in /dev/termination-log; the log holds the same for people, with the
whole result as its last line. Exit code 0: Done, 1: Failed, 3: Refused.
"""

import io
import json
import os
import sys
from types import TracebackType

from cni_upgrade.agent import log_lines, signals
from cni_upgrade.agent.protocol import termination_message
from cni_upgrade.agent.protocol.contract import Kind
from cni_upgrade.agent.protocol.json_members import MemberError
from cni_upgrade.agent.protocol.operation import Operation
from cni_upgrade.agent.protocol.result import OperationError, Outcome, Result

OPERATION = "CNI_UPGRADE_OPERATION"
TERMINATION_LOG = "CNI_UPGRADE_TERMINATION_LOG"

_CODES = {Outcome.DONE: 0, Outcome.FAILED: 1, Outcome.REFUSED: 3}


def main() -> int:
    """Runs the operation; returns the process's exit code."""
    sys.excepthook = _unexpected
    signals.listen()
    try:
        result = _run(os.environ.get(OPERATION))
        signals.finish()
    except signals.StoppedError as error:
        signals.finish()
        result = _without(Outcome.REFUSED, "Stopped", str(error))
    _tell(result)
    return _CODES[result.outcome]


def run(operation: Operation) -> Result:
    """Carries the operation out. Raises StoppedError; every other end is a result."""
    from cni_upgrade.cni import versions

    if not versions.known(operation.target.version):
        return Result(
            id=operation.id,
            kind=operation.kind,
            node=operation.node,
            outcome=Outcome.REFUSED,
            error=OperationError(
                "OperationInvalid",
                f"target.version: {operation.target.version!r:.80} is no "
                f"released CNI version; expected one of {', '.join(versions.KNOWN)}",
            ),
        )
    if operation.kind is Kind.APPLY:
        from cni_upgrade.agent.apply import apply

        return apply(operation)
    if operation.kind is Kind.RESTORE:
        from cni_upgrade.agent.restore import restore

        return restore(operation)
    from cni_upgrade.agent.audit import audit

    return audit(operation)


def _run(text: str | None) -> Result:
    if text is None:
        return _without(
            Outcome.REFUSED,
            "OperationInvalid",
            f"the environment has no {OPERATION}: expected the operation as JSON",
        )
    try:
        operation = Operation.from_json(json.loads(text))
    except (MemberError, ValueError, RecursionError) as error:
        return _without(Outcome.REFUSED, "OperationInvalid", f"{OPERATION}: {error}")
    try:
        return run(operation)
    except signals.StoppedError as error:
        return Result(
            id=operation.id,
            kind=operation.kind,
            node=operation.node,
            outcome=Outcome.REFUSED,
            error=OperationError("Stopped", str(error)),
        )


def _without(outcome: Outcome, code: str, text: str) -> Result:
    """A result for when there is no operation that could be named."""
    return Result("", Kind.AUDIT, "", outcome, OperationError(code, text))


def _tell(result: Result) -> None:
    """The message first: the controller decides by it, and a log may have lost its reader."""
    path = os.environ.get(TERMINATION_LOG, "/dev/termination-log")
    problem = ""
    try:
        with open(path, "wb") as log:  # noqa: PTH123 - pathlib costs 8 ms of the start
            log.write(termination_message.encode(result))
    except OSError as error:
        problem = f"{path}: the result could not be written: {error.strerror}; it is in the log"
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files are bytes, not text
    try:
        for line in log_lines.of(result):
            print(line)
        print(termination_message.compact(result), flush=True)
    except OSError as error:
        problem = f"{problem} the log could not be written: {error.strerror}".strip()
        # Python flushes once more when it exits, and would make a failure of that.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if problem:
        print(problem, file=sys.stderr)


def _unexpected(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    """A fault of this program itself: the controller hears of it by name, the log has the trace."""
    sys.__excepthook__(kind, error, traceback)
    _tell(_without(Outcome.FAILED, "Unexpected", f"{kind.__name__}: {error}; see the agent's log"))


if __name__ == "__main__":
    sys.exit(main())
