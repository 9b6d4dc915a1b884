"""Who asked the API server for what, counted from its audit log."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tests.api.audit_log import AuditLog

OURS = "system:serviceaccount:cni-upgrade-system:cni-upgrade-operator"
_CLIENTS = {
    OURS: "controller",
    "system:serviceaccount:kube-system:job-controller": "job controller",
    "system:kube-scheduler": "scheduler",
    "system:apiserver": "API server",
    "system:kube-controller-manager": "controller-manager",
}
_READS = ("get", "list", "watch")


def _client(user: str, agent: str) -> str:
    """A short name: each controller has an account of its own, kwok and we are both admin."""
    if user in _CLIENTS:
        return _CLIENTS[user]
    if user.startswith("system:serviceaccount:kube-system:"):
        return user.rpartition(":")[2]
    return "kwok" if agent.startswith("kwok") else "bench"


@dataclass(frozen=True)
class Request:
    """One request that was answered."""

    client: str
    verb: str
    resource: str
    code: int
    at: float | None
    """None where only their number is known."""

    @property
    def reads(self) -> bool:
        return self.verb in _READS

    @property
    def apart(self) -> bool:
        """Counted apart: Events, Leases, and questions about rights."""
        return self.resource in ("events", "leases", "selfsubjectaccessreviews")


class Log:
    """The audit log, read on from where the last reading ended."""

    def __init__(self, path: Path) -> None:
        self._log = AuditLog(path)

    def news(self) -> list[Request]:
        """What was answered since the last call."""
        return [request for line in self._log.lines() for request in _parsed(line)]


def _parsed(line: bytes) -> Iterator[Request]:
    event = json.loads(line)
    ref = event.get("objectRef") or {}
    if not ref.get("resource") or event["stage"] != "ResponseComplete":
        # A watch is told of twice: when it begins to answer, which is what counts, and at its end.
        if event["verb"] != "watch" or event["stage"] != "ResponseStarted":
            return
    elif event["verb"] == "watch":
        return
    yield Request(
        client=_client(event["user"]["username"], event.get("userAgent", "")),
        verb=event["verb"],
        resource="/".join(filter(None, (ref.get("resource"), ref.get("subresource")))),
        code=(event.get("responseStatus") or {}).get("code", 0),
        at=datetime.fromisoformat(event["requestReceivedTimestamp"]).timestamp(),
    )
