"""What became of the agent that was sent: its answer, the loss of it, or what it is waiting for.

The pod's terminated state is read, not the Job's: it is there seconds earlier and holds the
message. A Job whose kubelet is silent shows FailureTarget and nothing more until the kubelet is
back; that ends the waiting for an audit, but an agent that writes may still run.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from cni_upgrade.agent.protocol.operation import Kind, Report, Result
from cni_upgrade.agent.protocol.termination_message import MessageError, ReportUnusableError, decode
from cni_upgrade.planner.node import operations
from cni_upgrade.planner.node.context import NodeContext
from cni_upgrade.planner.world.phases import Step

REPORT_UNUSABLE = "ReportUnusable"
"""The reason of a node whose agent's report is not what docs/reference/agent-protocol.md says."""

RUNS = "it runs"
"""What an agent waits for that has begun: its own end."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The agent ended and said this."""

    result: Result


@dataclass(frozen=True, slots=True)
class Lost:
    """No answer will come, and nothing of this operation runs on the node any more."""

    why: str
    ran: bool = True
    """False where it is certain that no container of it ever was."""
    unusable: bool = False
    """It ended with a report that cannot be used."""


@dataclass(frozen=True, slots=True)
class Absent:
    """The Job is not there: it is to be sent."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The Job is not there and the step is late: this is why the API server does not take it.

    One that was there may have been deleted before that, and its agent may have written.
    """

    why: str


@dataclass(frozen=True, slots=True)
class Pending:
    """It was sent; this is what it waits for."""

    message: str
    idle: bool = False
    """No container of it was created yet, so nothing was done."""


def agent(view: NodeContext) -> Answer | Lost | Absent | Refused | Pending:
    """Where the agent of the present operation stands."""
    operation = view.operation
    for pod in view.agents():
        if pod.ended is None:
            continue
        try:
            result = decode(pod.ended.message)
        except ReportUnusableError as error:
            return _unusable(str(error))
        except MessageError as error:
            why = f"exit code {pod.ended.exit_code}"
            why += f" ({pod.ended.reason})" if pod.ended.reason else ""
            return Lost(f"the agent ended without an answer, {why}: {error}", ran=pod.began)
        if result.id != operation.id or result.node != view.node.name:
            return Lost(f"the agent answered for {result.id} on {result.node}, not for this")
        if result.kind != _kind(view):
            return _unusable(f"kind: expected {_kind(view)}, got {result.kind}")
        if result.report is not None and (wrong := _elsewhere(view, result.report)):
            return _unusable(wrong)
        return Answer(result)

    job = view.world.jobs.get(view.job)
    running = [pod for pod in view.agents() if not pod.finished]
    if running and (job is None or job.failed):
        if _kind(view) == Kind.AUDIT:
            return Lost(job.failed if job else "its Job was deleted")
        # An agent that writes must have ended before anything else is done to its files.
        return Pending(f"pod {running[0].key} of a Job that has ended may still run")
    if job is None:
        return _without_job(view)
    if job.failed:
        return Lost(job.failed)
    if job.complete:
        return Lost("the Job is complete but its pod, and with it the answer, is gone")
    if view.late() and _kind(view) == Kind.AUDIT:
        return Lost("no answer in time")
    if not view.agents():
        return Pending(view.world.warnings.get(job.uid) or "its pod is not there yet", idle=True)
    pod = view.agents()[0]
    if not pod.node:
        why = view.world.warnings.get(pod.uid) or "its pod is not scheduled yet"
        return Pending(why, idle=True)
    if view.silent:
        return Pending("the node is silent; the agent may still run")
    if pod.waiting:
        why = view.world.warnings.get(pod.uid) or pod.waiting
        return Pending(_of_folders(why), idle=not pod.began)
    return Pending(RUNS, idle=not pod.began)


def _kind(view: NodeContext) -> str:
    """What the agent is sent for: an upgrade is somebody else's work, and ends with a look."""
    looks = view.operation.step == Step.AUDIT_AFTER
    return Kind.AUDIT if looks else view.operation.kind


def _unusable(why: str) -> Lost:
    text = f"the agent's report cannot be used: {why}; agent and controller must be of one release"
    return Lost(text, unusable=True)


def _elsewhere(view: NodeContext, report: Report) -> str:
    """Which folder of a report is none that the agent was to look at: an order would name it."""
    asked, found = operations.read(view.operation, view.node.name).paths, report.paths
    plugins = (*asked.bin_dirs, *asked.delegate_dirs)
    parts = (
        ("confDir", (found.conf_dir,), asked.conf_dirs),
        ("binDirs", found.bin_dirs, asked.bin_dirs),
        ("delegateDirs", found.delegate_dirs, plugins),
        ("cacheDir", (found.cache_dir,), (asked.cache_dir,)),
    )
    for member, folders, allowed in parts:
        for folder in folders:
            if folder is not None and folder not in allowed:
                expected = ", ".join(allowed) or "none"
                return f"report.paths.{member}: expected one of {expected}, got {folder!r:.200}"
    return ""


def _without_job(view: NodeContext) -> Lost | Absent | Refused:
    if not view.late():
        return Absent()
    if not view.refusals:
        return Lost("no answer in time")
    return Refused(f"its Job could not be created: {view.refusals[0]}")


def _of_folders(why: str) -> str:
    """The kubelet's words for a folder that is gone by their meaning, and as they are.

    They name a volume of ours, and call a folder that is not there "not a directory" (kubelet
    `pkg/volume/hostpath/host_path.go`).
    """
    gone = re.search(r"hostPath type check failed: (/\S*) is not a directory", why)
    if gone is None:
        return why
    return f"the node's folder {gone[1]} is not there, or not a folder, any more ({why})"
