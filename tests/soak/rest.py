"""Waits for the rest that must come once faults cease, and says what is not as it must be."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator

from cni_upgrade.agent.files import backup
from cni_upgrade.agent.files.state import State
from cni_upgrade.api import names
from tests.api.spaces import PROOF
from tests.e2e.api import CORE, POLICIES, STATES, condition
from tests.e2e.machine import STATE_FOLDER
from tests.e2e.world import JOBS, World
from tests.soak.deeds import POLICY, TROUBLE, Deeds
from tests.soak.log import Log
from tests.soak.watch import known

WELL = ("Done", "Compatible")


def _until(ask: Callable[[], bool], seconds: float) -> bool:
    """Wait for it on a machine that has much else to do; False where it does not come."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if ask():
                return True
        except TROUBLE:
            pass
        time.sleep(2)
    return False


class Rest:
    """The end of a soak."""

    def __init__(self, world: World, deeds: Deeds, log: Log) -> None:
        self._world, self._deeds, self._log = world, deeds, log
        self._nodes = [node.name for node in world.cluster.nodes()]

    def wrongs(self, patience: float) -> Iterator[str]:
        """Wait until everything rests, and yield what is wrong then."""
        self._log.note("faults cease", shown=True)
        self._deeds.everything_runs()
        target = {"cni": {"version": "1.0.0"}}
        drain = {"policy": "IfRequired", "deadline": "5m", "force": True}
        self._world.change(POLICY, target=target, drain=drain, verify={"deadline": "2m"})
        if not _until(self._controllers, patience):
            yield "the controllers are not ready"
        if not self._settle(patience):
            for name in self._nodes:
                status = self._world.status(name)
                yield (
                    f"{name} does not come to rest: {status.get('phase')} "
                    f"({status.get('reason')}): {status.get('message')}"
                )
        self._log.note("looking at what is left", shown=True)
        yield from self._cluster(patience)
        for name in self._nodes:
            yield from self._node(name)
            yield from self._disk(name)
        for name in self._nodes:
            yield from self._pod(name, patience)

    def _controllers(self) -> bool:
        self._deeds.start_what_is_due(everything=True)
        return bool(self._world.await_controller(5))

    def _settle(self, patience: float) -> bool:
        """Ask again until each node is well; each time is given a third of the patience."""
        for _ in range(3):
            self._deeds.ask_again()
            if _until(self._well, patience / 3):
                return True
        return False

    def _well(self) -> bool:
        self._deeds.start_what_is_due(everything=True)
        policy = self._world.api.get(f"{POLICIES}/{POLICY}") or {}
        ready = condition(policy, "Ready")
        seen = ready.get("observedGeneration") == policy["metadata"]["generation"]
        states = [self._world.status(name) for name in self._nodes]
        return (
            seen
            and ready.get("status") == "True"
            and all(s.get("phase") in WELL and not s.get("operation") for s in states)
        )

    def _cluster(self, patience: float) -> Iterator[str]:
        """No agent at work, no proof pod, no pod of the soak that hangs."""
        self._deeds.delete_pods()
        if not _until(lambda: not self._world.api.items(f"{CORE}/namespaces/default/pods"), 300):
            pods = self._world.api.items(f"{CORE}/namespaces/default/pods")
            yield f"pods hang: {[pod['metadata']['name'] for pod in pods]}"
        if not _until(lambda: not self._deeds.agents() and not self._jobs(), patience):
            pods = [pod["metadata"]["name"] for pod in self._deeds.agents()]
            yield f"agents are left: Jobs {self._jobs()}, pods {pods}"
        proofs = f"{CORE}/namespaces/{PROOF}/pods"
        if not _until(lambda: not self._world.api.items(proofs), patience):
            left = [pod["metadata"]["name"] for pod in self._world.api.items(proofs)]
            yield f"proof pods are left: {left}"
        states = {state["metadata"]["name"] for state in self._world.api.items(STATES)}
        if states != set(self._nodes):
            yield f"records are of {sorted(states)}, nodes are {self._nodes}"

    def _jobs(self) -> list[str]:
        """Jobs that have not ended; those that have stay for an hour (jobTtlSeconds)."""
        return [
            job["metadata"]["name"]
            for job in self._world.api.items(JOBS)
            if not {"Complete", "Failed"}
            & {c["type"] for c in job.get("status", {}).get("conditions") or ()}
        ]

    def _node(self, name: str) -> Iterator[str]:
        cordoned, mark = self._world.cordon(name)
        if cordoned or mark:
            yield f"{name} is not given back: cordoned {cordoned}, mark {mark}"
        node = self._world.node(name)
        if condition(node, "Ready").get("status") != "True":
            yield f"{name} is not Ready: {condition(node, 'Ready').get('message')}"
        state = self._world.api.get(f"{STATES}/{name}") or {}
        if (state.get("spec") or {}).get("nodeUID") != node["metadata"]["uid"]:
            yield f"{name}: its record is of another node"
        mine = [key for key in node["metadata"].get("annotations") or () if names.GROUP in key]
        if mine:
            yield f"{name} bears annotations of ours: {mine}"
        leftovers = (state.get("status") or {}).get("leftovers")
        if leftovers:
            yield f"{name}: {leftovers}"

    def _disk(self, name: str) -> Iterator[str]:
        machine = self._world.machine(name)
        text = machine.config.read_text(encoding="utf-8")
        if text not in known(machine):
            yield f"{name}: its config is {text!r}"
        told = {file["name"]: file for file in self._world.status(name).get("files") or ()}
        version = json.loads(text).get("cniVersion")
        if told.get(machine.config.name, {}).get("version") != version:
            yield f"{name}: {version} stands there, its record says {told}"
        others = sorted(p.name for p in machine.configs.iterdir() if p != machine.config)
        if others:
            yield f"{name}: beside its config there is {others}"
        if (machine.state / "journal.json").exists():
            yield f"{name}: a journal is left"
        state = State(str(machine.state), f"/var/lib/{STATE_FOLDER}")
        yield from (f"{name}: {text}" for text in backup.damaged(state).values())
        hidden = [left for left in backup.names(state) if left.startswith(backup.HIDDEN)]
        if hidden:
            yield f"{name}: backups that are not whole are left: {hidden}"
        self._log.note(f"{name}: {len(backup.names(state))} backups, all whole", shown=True)

    def _pod(self, name: str, patience: float) -> Iterator[str]:
        """A fresh pod comes, and goes."""
        pod = f"last-{name}"
        try:
            self._world.run_pod(pod, name)
            self._world.await_running(pod, patience / 3)
            self._world.delete_pod(pod)
            self._world.await_gone(pod, patience / 3)
        except TROUBLE as error:
            yield f"{name}: a fresh pod does not come and go: {error}"
