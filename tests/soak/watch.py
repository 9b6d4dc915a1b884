"""Looks at the cluster while it is broken: what was cured, what failed, whether a file was torn."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import Counter
from pathlib import Path

from cni_upgrade.api import names
from tests.api.spaces import AGENTS, PROOF, SYSTEM
from tests.e2e.api import STATES, Api, Object
from tests.e2e.machine import Machine
from tests.e2e.world import World
from tests.soak.deeds import TROUBLE
from tests.soak.log import Log
from tests.soak.schedule import VERSIONS

_PAUSE_SECONDS = 2.0


def known(machine: Machine) -> set[str]:
    """Return every content that the config of a node may have."""
    lines = [x for x in machine.faulty().splitlines() if '"cniVersion"' not in x]
    bare = "\n".join(lines) + "\n"
    return {bare, machine.faulty(), *(machine.at_version(v) for v in VERSIONS if v)}


class Watch:
    """A thread that looks every two seconds, and one for each node that reads its config."""

    def __init__(self, world: World, log: Log) -> None:
        self._world, self._log = world, log
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []
        self._said: dict[str, tuple[object, ...]] = {}
        self._seen: set[tuple[str, str, str, str]] = set()
        self.ended: Counter[str] = Counter()
        """Changes that ended: by kind and outcome."""
        self.reasons: Counter[str] = Counter()
        """How often a node came into a phase that is not well, by phase and reason."""
        self.wrong: list[str] = []
        """What must never be."""
        self.phases: dict[str, str] = {}

    def __enter__(self) -> Watch:
        self._threads = [threading.Thread(target=self._look, daemon=True)]
        for node in self._world.cluster.nodes():
            machine = self._world.machine(node.name)
            self._threads.append(threading.Thread(target=self._read, args=(machine,), daemon=True))
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _say_wrong(self, text: str) -> None:
        self.wrong.append(text)
        self._log.note(f"!! {text}", shown=True)

    def _read(self, machine: Machine) -> None:
        """A config is at every instant one of the contents that somebody meant."""
        contents, torn = known(machine), set[str]()
        while not self._over.wait(0.02):
            try:
                text = machine.config.read_text(encoding="utf-8")
            except FileNotFoundError:
                text = ""
            if text not in contents and text not in torn:
                torn.add(text)
                self._say_wrong(f"{machine.name}: its config was {text!r:.500}")

    def _look(self) -> None:
        api = Api(self._world.cluster.kubeconfig)  # of this thread
        while not self._over.wait(_PAUSE_SECONDS):
            with contextlib.suppress(*TROUBLE):
                for state in api.items(STATES):
                    self._note(state)
            self._keep_logs()

    def _note(self, state: Object) -> None:
        name, status = state["metadata"]["name"], state.get("status") or {}
        operation = status.get("operation") or {}
        now = (
            status.get("phase", "Pending"),
            status.get("reason", ""),
            operation.get("id", ""),
            operation.get("step", ""),
        )
        before = self._said.get(name)
        if now != before:
            self._said[name] = now
            self.phases[name] = now[0]
            words = " ".join(str(word) for word in now if word)
            self._log.note(f"   {name}: {words}: {status.get('message', ''):.250}")
            poor = now[0] in ("Failed", "RolledBack", "Blocked", "ManagedElsewhere")
            if poor and (before is None or before[:2] != now[:2]):
                self.reasons[f"{now[0]} ({now[1]})"] += 1
            if now[1] == "Unplannable":
                self._say_wrong(f"{name}: {status.get('message')}")
        for entry in status.get("history") or ():
            key = (name, entry["at"], entry["kind"], entry.get("operation", ""))
            if key not in self._seen:
                self._seen.add(key)
                self.ended[f"{entry['kind']} {entry.get('outcome', '')}".strip()] += 1

    def _keep_logs(self) -> None:
        """Keep the log of every life of a pod of ours: a kubelet removes those of the dead."""
        for node in self._world.cluster.nodes():
            pods = node.disk / "var-log/pods"
            for space in (SYSTEM, AGENTS, PROOF):
                for path in pods.glob(f"{space}_*/*/*.log"):
                    pod = path.parts[-3].removeprefix(f"{space}_")
                    self._link(path, f"{node.name}-{pod}-{path.name}")

    def _link(self, path: Path, name: str) -> None:
        kept = self._log.folder / "pods" / name
        if not kept.exists():
            kept.parent.mkdir(exist_ok=True)
            with contextlib.suppress(OSError):
                os.link(path.resolve(), kept)

    def summary(self) -> str:
        """Return what was seen so far, in a line."""
        phases = Counter(self.phases.values())
        told = [f"{number} {phase}" for phase, number in sorted(phases.items())]
        ended = [f"{number} {what}" for what, number in sorted(self.ended.items())]
        return f"nodes: {', '.join(told) or names.GROUP}; ended: {', '.join(ended) or 'nothing'}"
