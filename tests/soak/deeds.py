"""Carries out the deeds of a schedule, and starts again what they have stopped."""

from __future__ import annotations

import http.client
import subprocess
import time
from collections import Counter
from collections.abc import Callable

from tests.api.spaces import AGENTS, SYSTEM
from tests.cluster.errors import ClusterError
from tests.e2e.api import CORE, POLICIES, STATES, Object, wait
from tests.e2e.world import AGENT, CONTROLLER, JOBS, PODS, World
from tests.soak.log import Log
from tests.soak.schedule import Deed

POLICY = "soak"

TROUBLE = (
    AssertionError,
    ClusterError,
    OSError,
    http.client.HTTPException,
    subprocess.TimeoutExpired,
)
"""What a deed may meet in a cluster that is being broken: an API server that says no or nothing."""

_HUNT_SECONDS = 20


class Deeds:
    """What is done to the cluster."""

    def __init__(self, world: World, log: Log) -> None:
        self._world, self._log = world, log
        self.done: Counter[str] = Counter()
        self._asked = 0
        self._pods = 0
        self._away: list[tuple[float, str, str]] = []
        """(when, node, program) of what is to be started again."""
        self._kinds: dict[str, Callable[[Deed], str]] = {
            "break a config": self._break,
            "kill the controller that leads": self._kill_leader,
            "kill the controller that follows": self._kill_follower,
            "delete a controller's pod": self._delete_controller,
            "kill an agent": self._kill_agent,
            "delete the Job of an agent": self._delete_job,
            "kill a kubelet": lambda deed: self._kill_daemon(deed, "kubelet"),
            "kill a runtime": lambda deed: self._kill_daemon(
                deed, world.machine(deed.node).node.runtime.program
            ),
            "reboot a node": self._reboot,
            "change the policy": self._change,
            "run a pod": self._run_pod,
            "delete a pod": self._delete_pod,
        }

    def do(self, deed: Deed) -> None:
        """Do it; what the cluster does not let happen is noted."""
        try:
            what = self._kinds[deed.kind](deed)
        except TROUBLE as error:
            self._log.note(f"-- {deed.kind} ({deed.node}): {type(error).__name__}: {error:.300}")
            return
        if what:
            self.done[deed.kind] += 1
        self._log.note(f"== {deed.kind} ({deed.node}): {what or 'nothing is there'}")

    def start_what_is_due(self, *, everything: bool = False) -> None:
        """Start the daemons whose time away is over, or all of them."""
        now = time.monotonic()
        due = [each for each in self._away if everything or each[0] <= now]
        self._away = [each for each in self._away if each not in due]
        for _, node, program in due:
            self._start(node, program)

    def everything_runs(self) -> None:
        """Start whatever does not run, and give the nodes their own plugins back."""
        self.start_what_is_due(everything=True)
        for node in self._world.cluster.nodes():
            machine = self._world.machine(node.name)
            if node.first_pid() is None:
                self._world.cluster.start_node(node.name, wait=False)
            for program in node.daemons:
                self._start(node.name, program)
            machine.mend_plugins()

    def ask_again(self, nodes: list[str] | None = None) -> None:
        """Ask for another look, at all nodes or at some."""
        self._asked += 1
        if nodes is None:
            self._world.annotate(f"{POLICIES}/{POLICY}", retry=f"soak-{self._asked}")
        for node in nodes or ():
            if self._world.api.get(f"{STATES}/{node}"):
                self._world.annotate(f"{STATES}/{node}", retry=f"soak-{self._asked}")

    def fallen(self) -> list[str]:
        """Start what does not run though nothing was done to it, and return it."""
        awaited = {(node, program) for _, node, program in self._away}
        found = []
        for node in self._world.cluster.nodes():
            if node.first_pid() is None:
                continue
            for program in node.daemons:
                if (node.name, program) not in awaited and node.pid_within(program) is None:
                    found.append(f"{program} of {node.name}")
                    self._start(node.name, program)
        return found

    def _start(self, node: str, program: str) -> None:
        try:
            machine = self._world.machine(node)
            if machine.node.first_pid() is not None:
                machine.node.start(program)
                self._log.note(f"   {program} of {node} runs")
        except TROUBLE as error:
            self._log.note(f"-- {program} of {node} does not start: {error:.300}")
            self._away.append((time.monotonic() + 5, node, program))

    # -- the deeds: each says what was done, or nothing where nothing was there --

    def _break(self, deed: Deed) -> str:
        machine = self._world.machine(deed.node)
        text = machine.at_version(deed.version) if deed.version else machine.faulty()
        if deed.version == "" and '"cniVersion"' in text:
            lines = [line for line in text.splitlines() if '"cniVersion"' not in line]
            text = "\n".join(lines) + "\n"
        machine.write(text)
        self.ask_again([deed.node])
        return f"its cniVersion is {deed.version or 'gone'}"

    def _leads(self) -> Object | None:
        return self._world.controller()

    def _kill_leader(self, _: Deed) -> str:
        pod = self._leads()
        return self._kill_controller(pod) if pod else ""

    def _kill_follower(self, _: Deed) -> str:
        leader = self._leads()
        pods = self._world.api.items(f"{CORE}/namespaces/{SYSTEM}/pods")
        names = [leader["metadata"]["name"]] if leader else []
        others = [pod for pod in pods if pod["metadata"]["name"] not in names]
        return self._kill_controller(others[0]) if others else ""

    def _kill_controller(self, pod: Object) -> str:
        node = pod["spec"].get("nodeName", "")
        if not node or not self._world.machine(node).kill(CONTROLLER):
            return ""
        return f"{pod['metadata']['name']} on {node}"

    def _delete_controller(self, _: Deed) -> str:
        pod = self._leads()
        if pod is None:
            return ""
        name = pod["metadata"]["name"]
        self._world.api.delete(f"{CORE}/namespaces/{SYSTEM}/pods/{name}")
        return str(name)

    def _kill_agent(self, deed: Deed) -> str:
        """Break a config so that agents come, wait for one on any node, and kill the one that runs
        some moments later: the first one looks, the second one writes."""
        self._break(deed)
        nodes = [node.name for node in self._world.cluster.nodes()]
        nodes.sort(key=lambda name: name != deed.node)
        until, seen = time.monotonic() + _HUNT_SECONDS, 0.0
        while time.monotonic() < until:
            for name in nodes:
                machine = self._world.machine(name)
                if machine.node.first_pid() is not None and machine.pids(AGENT):
                    seen = seen or time.monotonic()
                    if time.monotonic() - seen >= deed.seconds / 10 and machine.kill(AGENT):
                        return f"on {name}"
            time.sleep(0.2)
        return ""

    def _delete_job(self, deed: Deed) -> str:
        for job in self._world.api.items(JOBS):
            ended = {c["type"] for c in job.get("status", {}).get("conditions") or ()}
            if not ended & {"Complete", "Failed"}:
                name = str(job["metadata"]["name"])
                self._world.api.delete(f"{JOBS}/{name}")
                return name
        return ""

    def _kill_daemon(self, deed: Deed, program: str) -> str:
        node = self._world.machine(deed.node).node
        pid = node.pid_within(program)
        if pid is None:
            return ""
        node.exec(["kill", "-KILL", str(pid)])
        # One that is not gone yet would pass for one that runs, and would not be started again.
        wait(lambda: node.pid_within(program) != pid, f"{program} of {deed.node} is gone")
        self._away.append((time.monotonic() + deed.seconds, deed.node, program))
        return f"{program}, for {deed.seconds:.0f} s"

    def _reboot(self, deed: Deed) -> str:
        self._world.cluster.restart_node(deed.node, wait=False)
        return "another boot id"

    def _change(self, deed: Deed) -> str:
        version = "0.4.0" if deed.version == "0.4.0" else "1.0.0"
        drain = "Always" if deed.seconds == 10 else "IfRequired"
        target = {"cni": {"version": version}}
        self._world.change(
            POLICY, target=target, drain={"policy": drain, "deadline": "1m", "force": True}
        )
        return f"target {version}, drain {drain}"

    def _run_pod(self, deed: Deed) -> str:
        self._pods += 1
        self._world.run_pod(f"soak-{self._pods}", deed.node)
        return f"soak-{self._pods}"

    def _delete_pod(self, deed: Deed) -> str:
        pods = sorted(pod["metadata"]["name"] for pod in self._world.api.items(PODS))
        if not pods:
            return ""
        self._world.delete_pod(pods[0])
        return str(pods[0])

    def delete_pods(self) -> None:
        """Delete every pod that the soak has run."""
        self._world.api.delete(PODS)

    def agents(self) -> list[Object]:
        """Return the pods of agents that have not ended."""
        pods = self._world.api.items(f"{CORE}/namespaces/{AGENTS}/pods")
        return [p for p in pods if p["status"].get("phase") not in ("Succeeded", "Failed")]
