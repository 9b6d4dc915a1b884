"""Debian's Prometheus and Alertmanager as processes, and a webhook that is told of alerts."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

from tests.api.waiting import eventually
from tests.cluster import debian_tools

Object = dict[str, Any]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _running(url: str, log: Path, *words: object) -> Iterator[None]:
    """A server until the end of the block, from when on it says that it is ready."""
    with log.open("w") as out:
        process = subprocess.Popen(list(map(str, words)), stdout=out, stderr=subprocess.STDOUT)

    def ready() -> bool:
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(f"{url}/-/ready", timeout=5) as answer:  # noqa: S310 - ours
                return bool(answer.status == 200)
        except OSError:
            return False

    try:
        eventually(ready, f"{words[0]} is ready")
        yield
    finally:
        process.terminate()
        process.wait(20)


class Prometheus:
    """What it has scraped, and what its rules say."""

    def __init__(self, folder: Path, url: str) -> None:
        self._folder, self._url = folder, url

    def scrape(self, *ports: int) -> None:
        """From now on scrape these ports of this machine, and no others."""
        targets = [{"targets": [f"127.0.0.1:{port}" for port in ports]}]
        made = self._folder / "targets.part"
        made.write_text(json.dumps(targets))
        made.rename(self._folder / "targets.json")

    def query(self, expression: str) -> list[Object]:
        """The series of an instant query, now; none where there is no data."""
        words = urllib.parse.urlencode({"query": expression})
        answer = self._get(f"query?{words}")
        assert answer["status"] == "success", answer
        found: list[Object] = answer["data"]["result"]
        return found

    def fired(self) -> set[str]:
        """The alerts that have fired since it was started."""
        past = 'max_over_time(ALERTS{alertstate="firing"}[1h])'
        return {series["metric"]["alertname"] for series in self.query(past)}

    def rules(self) -> list[Object]:
        """Each rule with its health, and the error of its last evaluation."""
        return [r for group in self._get("rules")["data"]["groups"] for r in group["rules"]]

    def _get(self, path: str) -> Object:
        url = f"{self._url}/api/v1/{path}"
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - ours
            found: Object = json.loads(answer.read())
            return found


@contextmanager
def prometheus(folder: Path, rules: Object, alertmanager: int) -> Iterator[Prometheus]:
    """One that scrapes and evaluates every second, with rules of a PrometheusRule."""
    program = debian_tools.program(debian_tools.PROMETHEUS, "prometheus")
    (folder / "targets.json").write_text("[]")
    (folder / "rules.yaml").write_text(yaml.safe_dump(rules))
    alerting = {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{alertmanager}"]}]}]}
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yaml"],
        "scrape_configs": [
            {"job_name": "operator", "file_sd_configs": [{"files": ["targets.json"]}]}
        ],
        "alerting": alerting,
    }
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
    port = _free_port()
    words = [f"--config.file={folder}/prometheus.yaml", f"--storage.tsdb.path={folder}/data"]
    words += [f"--web.listen-address=127.0.0.1:{port}"]
    url = f"http://127.0.0.1:{port}"
    with _running(url, folder / "prometheus.log", program, *words):
        yield Prometheus(folder, url)


_SHARED = 'mount --bind "$1" /usr/share && shift && exec "$@"'


@contextmanager
def alertmanager(folder: Path, config: str) -> Iterator[int]:
    """One with that configuration; its port."""
    program = debian_tools.program(debian_tools.ALERTMANAGER, "prometheus-alertmanager")
    (folder / "alertmanager.yaml").write_text(config)
    port = _free_port()
    # Debian's looks for its templates below /usr/share, wherever it is itself.
    share = program.parents[1] / "share"
    private = ["unshare", "--map-root-user", "--mount", "sh", "-c", _SHARED, "sh", share]
    words = [f"--config.file={folder}/alertmanager.yaml", f"--storage.path={folder}/alerts"]
    words += [f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="]
    with _running(
        f"http://127.0.0.1:{port}", folder / "alertmanager.log", *private, program, *words
    ):
        yield port


class Webhook:
    """What Alertmanager has told, by the path that it told it to."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._told: list[tuple[str, Object]] = []

    def hear(self, path: str, body: bytes) -> None:
        self._told.append((path, json.loads(body)))

    def alerts(self, path: str) -> dict[str, Object]:
        """The alerts that were told there while they fired, by their names."""
        return {
            alert["labels"]["alertname"]: alert
            for where, message in list(self._told)
            for alert in message["alerts"]
            if where == path and alert["status"] == "firing"
        }


@contextmanager
def webhook() -> Iterator[Webhook]:
    """One that listens until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            heard.hear(self.path, self.rfile.read(length))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    heard = Webhook(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield heard
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
