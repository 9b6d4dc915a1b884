"""What the controller says itself that it has asked the API server for, by its metrics."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.bench.requests import Request

METRIC = "cni_upgrade_api_requests_total"

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_READS = {"GET": "get", "WATCH": "watch"}
"""A list is a get here; what kopf asks for with a client of its own (policies) is not counted."""
_LINE = re.compile(rf"^{METRIC}\{{([^}}]*)\}} (\S+)$", re.MULTILINE)


@dataclass
class Scrapes:
    """The metric, read on from where the last reading ended; in the place of an audit log."""

    page: Callable[[], str]
    _before: Counter[tuple[str, str, int]] = field(default_factory=Counter)

    def news(self) -> list[Request]:
        """What was answered since the last call; when, is not known."""
        now = Counter[tuple[str, str, int]]()
        for labels, count in _LINE.findall(self.page()):
            said = dict(re.findall(r'(\w+)="([^"]*)"', labels))
            now[said["verb"], said["resource"], int(said["code"])] = int(float(count))
        news, self._before = now - self._before, now
        return [
            Request("controller", {**_VERBS, **_READS}[verb], resource, code, None)
            for verb, resource, code in news.elements()
        ]
