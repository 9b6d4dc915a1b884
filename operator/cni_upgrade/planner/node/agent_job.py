"""Sends agents, and sends another one where the first ended without an answer."""

from __future__ import annotations

from datetime import datetime, timedelta

from cni_upgrade.api.phase import Phase
from cni_upgrade.planner.node import operations
from cni_upgrade.planner.node.context import Move, NodeContext, at_step, release, wait
from cni_upgrade.planner.node.manifests import agent_job
from cni_upgrade.planner.world.decisions import CreateJob
from cni_upgrade.planner.world.operator_config import GRACE_SECONDS
from cni_upgrade.planner.world.phases import Step

_LONGEST_PAUSE = 3600  # seconds


def pause(view: NodeContext, attempts: int) -> timedelta:
    return timedelta(
        seconds=min(view.world.config.retry_seconds * 2 ** min(attempts, 12), _LONGEST_PAUSE)
    )


def pausing(view: NodeContext) -> bool:
    """Whether the pause before the next try lasts. One that would end later than any does is over:
    the clock was set back, or somebody has edited it."""
    due = view.status.next_attempt_at
    return due is not None and view.now < due <= view.now + timedelta(seconds=_LONGEST_PAUSE)


def pause_turns(view: NodeContext) -> tuple[datetime, ...]:
    """When `pausing` may come to say something else. Raises OverflowError where no clock can."""
    due = view.status.next_attempt_at
    return () if due is None else (due - timedelta(seconds=_LONGEST_PAUSE), due)


def send(view: NodeContext) -> Move:
    if view.silent:
        return wait(view, "the node's Ready is Unknown; no Job is sent to it")
    operation = operations.read(view.operation, view.node.name)
    config = view.world.config
    policy = view.settings
    preset = (config.preset(policy.paths) if policy else None) or config.auto
    found = view.status.paths
    body = agent_job(view.job, operation, preset, config, cache=bool(found and found.cache_dir))
    act = CreateJob(view.job, operation.node, body)
    # On record: the next process has heard of no refusal, and would count the Job as lost.
    return wait(view, "the agent is being sent", act, blockers=view.refusals)


def agents_sent(view: NodeContext) -> int:
    """How many agents this operation has had, from the name of its Job: `<id>`, then `<id>-2`."""
    suffix = view.job.removeprefix(view.operation.id).removeprefix("-")
    return int(suffix) if suffix else 1


def write_lost(view: NodeContext, step: Step, why: str) -> Move:
    """An agent that may have written left no answer: another one finishes or undoes its journal."""
    tried = agents_sent(view)
    if tried >= view.world.config.attempts:
        return release(
            view,
            Phase.FAILED,
            "AgentLost",
            f"{tried} agents ended without an answer, each file is the old or the new one, whole; "
            f"last: {why}",
        )
    # The id stays: if the first agent had written before it was lost, the next one finds its
    # journal or its result on the node and gives the same answer.
    seconds = view.world.config.apply_deadline_seconds + GRACE_SECONDS
    message = f"sent again, attempt {tried + 1} of {view.world.config.attempts}: {why}"
    return at_step(view, step, message, seconds, job=f"{view.operation.id}-{tried + 1}")
