"""Asks and changes the cluster as its administrator: JSON in and out, None where nothing is."""

from __future__ import annotations

import http
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from cni_upgrade.api import names
from tests.api.server import JSON, MERGE_PATCH, Answer, Server

Object = dict[str, Any]
T = TypeVar("T")

CORE = "/api/v1"
POLICIES = f"/apis/{names.API_VERSION}/{names.POLICY_PLURAL}"
STATES = f"/apis/{names.API_VERSION}/{names.NODE_STATE_PLURAL}"

_POLL_SECONDS = 0.15


class Api:
    """The API server of the cluster under test."""

    def __init__(self, kubeconfig: Path) -> None:
        self._server = Server(kubeconfig)

    def request(self, method: str, path: str, body: object = None, content: str = JSON) -> Answer:
        return self._server.request(method, path, body, content=content)

    def get(self, path: str) -> Object | None:
        answer = self.request("GET", path)
        if answer.status == http.HTTPStatus.NOT_FOUND:
            return None
        assert answer.ok, f"GET {path}: {answer.message}"
        return answer.body

    def items(self, path: str) -> list[Object]:
        found = self.get(path)
        items: list[Object] = found["items"] if found else []
        return items

    def create(self, path: str, obj: Object) -> Object:
        answer = self.request("POST", path, obj)
        assert answer.ok, f"POST {path}: {answer.message}"
        return answer.body

    def patch(self, path: str, patch: Object) -> Object:
        answer = self.request("PATCH", path, patch, MERGE_PATCH)
        assert answer.ok, f"PATCH {path}: {answer.message}"
        return answer.body

    def delete(self, path: str, grace: int | None = None) -> None:
        """Delete an object or a collection; what is not there is deleted already."""
        options: Object = {"propagationPolicy": "Background"}
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        answer = self.request("DELETE", path, options)
        gone = answer.status == http.HTTPStatus.NOT_FOUND
        assert answer.ok or gone, f"DELETE {path}: {answer.message}"


def wait(ask: Callable[[], T | None], wanted: str, seconds: float = 60) -> T:
    """The first answer that is not false; AssertionError with what was wanted when none comes."""
    deadline = time.monotonic() + seconds
    while not (answer := ask()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {wanted}"
        time.sleep(_POLL_SECONDS)
    return answer


def condition(obj: Object, kind: str) -> Object:
    """A condition of an object; empty where it has none of that type."""
    found = (obj.get("status") or {}).get("conditions") or []
    return next((c for c in found if c["type"] == kind), {})
