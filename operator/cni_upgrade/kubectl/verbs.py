"""What each verb reads of the cluster, and which rendering it hands that to."""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cni_upgrade.api.node_state import CNINodeState
from cni_upgrade.api.parse import UnreadableResourceError, parse_node_state
from cni_upgrade.kube.resources import NODE_STATES, NODES, POLICIES
from cni_upgrade.kubectl import bundle, difference, forecast, switches
from cni_upgrade.kubectl import preflight as preflight_checks
from cni_upgrade.kubectl import status as status_lines
from cni_upgrade.kubectl import why as why_lines
from cni_upgrade.kubectl.agent_logs import agent_pods
from cni_upgrade.kubectl.cluster import Cluster
from cni_upgrade.kubectl.errors import NotFoundError, PluginError
from cni_upgrade.kubectl.fleet import Fleet, by_labels, fleet
from cni_upgrade.kubectl.preflight_facts import facts
from cni_upgrade.kubectl.terminal import Terminal, harmless
from cni_upgrade.kubectl.waiting import progress
from cni_upgrade.kubectl.watch import watch


@dataclass(frozen=True, slots=True)
class Ask:
    """What a verb is given: a way to the cluster, and what the output is like now."""

    cluster: Callable[[], Cluster]
    terminal: Callable[[], Terminal]


def show(lines: Iterable[str]) -> int:
    """Print lines; the exit code of a verb that has done what it was asked."""
    for line in lines:
        print(line)
    sys.stdout.flush()
    return 0


def status(ask: Ask, options: argparse.Namespace) -> int:
    """The fleet at a glance, once or again and again."""
    cluster = ask.cluster()

    def answer() -> list[str]:
        return status_lines.lines(read_fleet(cluster), ask.terminal())

    if not options.watch:
        return show(answer())
    watch(answer, sys.stdout, max(options.interval, 1.0))
    return 0


def why(ask: Ask, options: argparse.Namespace) -> int:
    """One node: why it is where it is."""
    state = read_state(ask.cluster(), options.node)
    return show(why_lines.lines(state, datetime.now(UTC), ask.terminal()))


def pause(ask: Ask, options: argparse.Namespace) -> int:
    """Pauses policies."""
    cluster = ask.cluster()
    return _each(options.policy, lambda name: switches.pause(cluster, name, force=options.force))


def resume(ask: Ask, options: argparse.Namespace) -> int:
    """Ends the pause of policies."""
    cluster = ask.cluster()
    return _each(options.policy, lambda name: switches.resume(cluster, name, force=options.force))


def stop(ask: Ask, options: argparse.Namespace) -> int:
    """Stops everything."""
    reason = " ".join(options.reason)
    namespace, force = options.agents_namespace, options.force
    return show(switches.stop(ask.cluster(), namespace, reason, force=force))


def go(ask: Ask, options: argparse.Namespace) -> int:
    """Ends a stop of everything."""
    return show(switches.go(ask.cluster(), options.agents_namespace, force=options.force))


def retry(ask: Ask, options: argparse.Namespace) -> int:
    """Asks nodes, or the nodes of policies, to be tried again."""
    cluster, now = ask.cluster(), datetime.now(UTC)
    return _each(
        options.name, lambda name: switches.retry(cluster, name, now, policy=options.policy)
    )


def let_go(ask: Ask, options: argparse.Namespace) -> int:
    """Ends the restore of a deleted policy."""
    return show(switches.let_go(ask.cluster(), options.policy))


def wait(ask: Ask, options: argparse.Namespace) -> int:
    """Follows a policy to its end: 0 where it is ready, 1 where it needs a person or time is up."""
    cluster, policy = ask.cluster(), options.policy
    until = time.monotonic() + options.timeout if options.timeout else math.inf
    last = ""
    while True:
        now = progress(cluster.get(POLICIES, policy))
        if now.ended is not None:
            show([f"policy {policy}: {harmless(now.text)}"])
            return now.ended
        if now.text != last:
            show([harmless(now.text)])
            last = now.text
        if time.monotonic() >= until:
            raise PluginError(
                f"policy {policy} was not ready in time. What it waits for: kubectl cni-upgrade "
                "status"
            )
        time.sleep(min(options.interval, max(until - time.monotonic(), 0)))


def logs(ask: Ask, options: argparse.Namespace) -> int:
    """What the newest agent of a node has printed, or all that are still there."""
    cluster, namespace = ask.cluster(), options.agents_namespace
    pods = agent_pods(cluster, namespace, options.node)
    for pod in pods if options.all else pods[-1:]:
        show([f"==> {pod} <=="] if options.all else [])
        show(map(harmless, cluster.log(namespace, pod).splitlines()))
    return 0


def diff(ask: Ask, options: argparse.Namespace) -> int:
    """What was written on a node."""
    state = read_state(ask.cluster(), options.node)
    return show(difference.lines(state, ask.terminal(), everything=options.all))


def plan(ask: Ask, options: argparse.Namespace) -> int:
    """What Enforce would do, by the last audits."""
    cluster = ask.cluster()
    policies = {each["metadata"]["name"]: each for each in cluster.all(POLICIES)}
    if options.policy and options.policy not in policies:
        raise NotFoundError(f"policy {options.policy}: there is none. List them: kubectl get cup")
    drains = {
        name: ((each.get("spec") or {}).get("drain") or {}).get("policy", "")
        for name, each in policies.items()
    }
    works = [
        forecast.work(state, drains)
        for state in cluster.all(NODE_STATES)
        if not options.policy or forecast.of_policy(state, options.policy)
    ]
    return show(forecast.lines(works, ask.terminal()))


def preflight(ask: Ask, _: argparse.Namespace) -> int:
    """Whether the cluster may take the operator; 1 where it may not."""
    found = preflight_checks.checks(facts(ask.cluster()))
    show(preflight_checks.lines(found, ask.terminal()))
    return int(any(check.grade is preflight_checks.Grade.FAIL for check in found))


def collect(ask: Ask, options: argparse.Namespace) -> int:
    """Writes a support bundle."""
    cluster, now = ask.cluster(), datetime.now(UTC)
    path = Path(options.output or f"cni-upgrade-{now:%Y%m%dT%H%M%SZ}.tar.gz")
    found = bundle.collect(
        cluster, options.system_namespace, options.agents_namespace, options.proof_namespace
    )
    bundle.write(found, path, now)
    told = [f"{path}: {len(found.files)} files, without Secrets and without what looks like one"]
    if found.missing:
        told.append(f"{len(found.missing)} things could not be had: missing.txt names them")
    return show([*told, "Look through it before you hand it on."])


def _each(names: Iterable[str], act: Callable[[str], list[str]]) -> int:
    """Each name by itself: one that cannot be done keeps none of the others."""
    failed = []
    for name in names:
        try:
            show(act(name))
        except PluginError as error:
            failed.append(str(error))
    if failed:
        raise PluginError("\n".join(failed))
    return 0


def read_fleet(cluster: Cluster) -> Fleet:
    """All policies and node states; Nodes only where the waves go by their labels."""
    policies = cluster.all(POLICIES)
    labelled = cluster.metadata(NODES) if by_labels(policies) else []
    return fleet(cluster.table(NODE_STATES), policies, labelled)


def read_state(cluster: Cluster, node: str) -> CNINodeState:
    """The record of one node."""
    try:
        return parse_node_state(cluster.get(NODE_STATES, node))
    except UnreadableResourceError as error:
        raise PluginError(f"{error}. This command and the operator differ in release.") from error
    except NotFoundError as error:
        raise NotFoundError(_no_state(cluster, node, error)) from error


def _no_state(cluster: Cluster, node: str, error: NotFoundError) -> str:
    """Whether it is the node that is not there, or only its record."""
    if "not serve" in str(error):
        return str(error)
    try:
        cluster.get(NODES, node)
    except PluginError:
        return f"node {node}: there is none of that name. List them: kubectl get nodes"
    return (
        f"node {node} has no record: no policy selects it, or the controller has not seen it yet. "
        "Compare: kubectl get cup -o wide; kubectl get node --show-labels " + node
    )
