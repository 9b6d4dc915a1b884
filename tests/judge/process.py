"""Talks to a judge that keeps running, so that ten thousand questions cost one start."""

import json
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.judge import build


class Judge:
    """One release of libcni, answering one JSON line for each line that it is given."""

    def __init__(
        self, release: str, mode: str, within: Sequence[str] = (), *, quiet: bool = False
    ) -> None:
        self.release = release
        program = build.crio(release) if mode == "crio" else build.judge(release)
        self._process = subprocess.Popen(
            [*within, str(program), mode],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if quiet else None,
            text=True,
        )

    def __enter__(self) -> "Judge":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the program by ending its input."""
        self._process.communicate()

    def folder(self, path: Path) -> Any:
        """What libcni makes of a folder (mode read)."""
        return self._ask(str(path))

    @staticmethod
    def folders(judges: Sequence["Judge"], path: Path) -> list[Any]:
        """What each of them makes of it, all of them at work at once."""
        for judge in judges:
            judge._tell(str(path))
        return [judge._answer() for judge in judges]

    def command(self, **request: object) -> str:
        """Run one command of libcni (mode run); the error, empty when it went well."""
        return str(self._ask(json.dumps(request))["error"])

    def versions(self, line: str) -> Any:
        """What libcni learns of a plugin's versions (modes ask and decode)."""
        return self._ask(line)

    def choice(self, **request: str) -> Any:
        """The file that CRI-O takes of a folder (mode crio)."""
        return self._ask(json.dumps(request))

    def _ask(self, line: str) -> Any:
        self._tell(line)
        return self._answer()

    def _tell(self, line: str) -> None:
        if self._process.stdin is None:
            raise RuntimeError("the judge has no pipes")
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def _answer(self) -> Any:
        if self._process.stdout is None:
            raise RuntimeError("the judge has no pipes")
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the judge of libcni {self.release} ended")
        return json.loads(answer)


@contextmanager
def running(releases: Iterable[str], mode: str) -> Iterator[list[Judge]]:
    """A judge of each release; they have ended afterwards."""
    with ExitStack() as stack:
        yield [stack.enter_context(Judge(release, mode)) for release in releases]
