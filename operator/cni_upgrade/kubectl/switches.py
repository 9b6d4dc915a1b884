"""Pause, resume, stop, go, retry and let go: the annotations by which people steer a rollout."""

from __future__ import annotations

from datetime import datetime

from cni_upgrade.api import names
from cni_upgrade.kube.resources import NAMESPACES, NODE_STATES, POLICIES
from cni_upgrade.kubectl.annotate import annotate, owner_of
from cni_upgrade.kubectl.cluster import Cluster, Object
from cni_upgrade.kubectl.errors import PluginError


def pause(cluster: Cluster, policy: str, *, force: bool) -> list[str]:
    """Nothing begins for a policy; what is under way comes to a safe end."""
    found = cluster.get(POLICIES, policy)
    said = _annotation(found, names.PAUSED)
    if _holds(said):
        by = owner_of(found, names.PAUSED)
        return [f"policy {policy} is paused already, by {by}"]
    annotate(cluster, POLICIES, policy, {names.PAUSED: "true"}, force=force)
    return [
        f"policy {policy} is paused: nothing begins, what is under way comes to a safe end",
        f"Go on: kubectl cni-upgrade resume {policy}",
    ]


def resume(cluster: Cluster, policy: str, *, force: bool) -> list[str]:
    """Ends a pause by annotation; one by `spec.paused` is named, for it may come from Git."""
    found = annotate(cluster, POLICIES, policy, {names.PAUSED: None})
    if _holds(_annotation(found, names.PAUSED)):
        if not force:
            raise PluginError(
                f"policy {policy} is still paused: {owner_of(found, names.PAUSED)} owns the "
                f"annotation {names.PAUSED}. Add --force to override it."
            )
        found = annotate(cluster, POLICIES, policy, {names.PAUSED: "false"}, force=True)
    if (found.get("spec") or {}).get("paused"):
        raise PluginError(
            f"policy {policy} is still paused by spec.paused. Set it to false where the policy "
            f"comes from, or: kubectl patch cup {policy} --type=merge "
            """-p '{"spec":{"paused":false}}'"""
        )
    return [f"policy {policy} goes on", f"Follow it: kubectl cni-upgrade wait {policy}"]


def stop(cluster: Cluster, namespace: str, reason: str, *, force: bool) -> list[str]:
    """Nothing begins for any policy, and the API server refuses the Jobs that would."""
    if reason.lower() == "false":
        raise PluginError('"false" means that nothing is stopped: give another reason')
    found = cluster.get(NAMESPACES, namespace)
    said = _annotation(found, names.STOP)
    if _holds(said) and not force:
        by = owner_of(found, names.STOP)
        return [f"everything is stopped already, by {by}: {said or 'no reason was given'}"]
    annotate(cluster, NAMESPACES, namespace, {names.STOP: reason}, force=force)
    return [
        f"everything is stopped: {reason}",
        "No change and no audit begins; what is under way comes to a safe end.",
        "Go on: kubectl cni-upgrade go",
    ]


def go(cluster: Cluster, namespace: str, *, force: bool) -> list[str]:
    """Ends a stop of everything."""
    found = annotate(cluster, NAMESPACES, namespace, {names.STOP: None})
    if _holds(_annotation(found, names.STOP)):
        if not force:
            raise PluginError(
                f"everything is still stopped: {owner_of(found, names.STOP)} owns the annotation "
                f"{names.STOP} of namespace {namespace}. Add --force to override it."
            )
        annotate(cluster, NAMESPACES, namespace, {names.STOP: "false"}, force=True)
    return ["nothing is stopped any more", "See: kubectl cni-upgrade status"]


def retry(cluster: Cluster, name: str, now: datetime, *, policy: bool) -> list[str]:
    """Asks for another try: of one node, or of all nodes of a policy."""
    resource, kind = (POLICIES, "policy") if policy else (NODE_STATES, "node")
    # Another manager's old value is no claim: whoever asks again means a new one.
    value = now.strftime("%Y%m%dT%H%M%S.%fZ")
    annotate(cluster, resource, name, {names.RETRY: value}, force=True)
    told = "status" if policy else f"why {name}"
    return [f"{kind} {name} is asked to try again", f"See: kubectl cni-upgrade {told}"]


def let_go(cluster: Cluster, policy: str) -> list[str]:
    """Ends the giving back of a policy that is being deleted."""
    found = cluster.get(POLICIES, policy)
    if not found["metadata"].get("deletionTimestamp"):
        raise PluginError(
            f"policy {policy} is not being deleted: let-go ends the restore of a deleted policy. "
            f"To begin that: kubectl delete cup {policy} --wait=false"
        )
    annotate(cluster, POLICIES, policy, {names.LET_GO: "true"}, force=True)
    return [f"policy {policy} is let go: nodes that are not restored yet keep what was written"]


def _annotation(found: Object, key: str) -> str | None:
    value = (found["metadata"].get("annotations") or {}).get(key)
    return None if value is None else str(value)


def _holds(said: str | None) -> bool:
    """As the planner reads a switch: `false` is as good as none."""
    return said is not None and said.lower() != "false"
