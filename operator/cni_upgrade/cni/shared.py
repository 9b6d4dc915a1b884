"""Knows programs beside the runtime that use a network of the same folder: podman.

podman up to 4 takes its networks from /etc/cni/net.d, which on a node is the kubelet's too, and
adds containers to them with a libcni of its own. podman 3 carries 0.8.1 (`go.mod` of 3.4.4), which
reads results up to 0.4.0; podman 4.0 carries 1.0.1. Its file is `87-podman-bridge.conflist`, the
network `podman`, at 0.4.0 (containers/podman `cni/87-podman-bridge.conflist`); those of `podman
network create` have a bridge cni-podman1 and up. Which podman a node has is not looked at.
"""

from dataclasses import replace

from cni_upgrade.cni import versions
from cni_upgrade.cni.config import Config
from cni_upgrade.cni.facts import Facts, Target
from cni_upgrade.cni.findings import Code, Finding, Severity
from cni_upgrade.cni.judgement import Action
from cni_upgrade.cni.plan import Plan

PODMAN_READS = "0.4.0"
"""The highest version that podman 3 reads in a result."""


def podmans(config: Config) -> bool:
    """Whether podman has containers of its own on that network."""
    named = "podman" in config.name or config.network == "podman"
    return named or b'"cni-podman' in config.data


def wanted(config: Config, target: Target, facts: Facts) -> Target:
    """The target for that file: no higher than podman reads, unless the policy insists.

    A version that is not raised breaks nothing. One that is raised fails every container of podman,
    and nothing of Kubernetes shows that. A policy insists with selection Exact, or with managed
    files that it overrides.
    """
    insists = target.selection == "Exact" or facts.managed_files == "Override"
    higher = versions.order(target.version) > versions.order(PODMAN_READS)
    if not podmans(config) or insists or not higher:
        return target
    return replace(target, version=PODMAN_READS)


def finding(config: Config, target: Target, plan: Plan) -> list[Finding]:
    """That podman uses the file, and what the plan means for it."""
    higher = versions.order(target.version) > versions.order(PODMAN_READS)
    if not podmans(config) or not higher:
        return []
    reads = f"podman uses this file too, and podman 3 (libcni 0.8.1) reads up to {PODMAN_READS}"
    written = plan.action in (Action.REWRITE, Action.MANAGED) and versions.known(plan.to)
    above = written and versions.order(str(plan.to)) > versions.order(PODMAN_READS)
    if above:
        message = (
            f"{reads}: at {plan.to} it can neither start containers on this network nor remove "
            "those of before"
        )
        action = (
            "give podman a network of its own, or move to podman 4 or later, before this is "
            f"written; or set the target to {PODMAN_READS}"
        )
    else:
        message = f"{reads}: it is not raised above that, though the target is {target.version}"
        action = (
            "nothing; where no podman 3 runs, say so with selection Exact, or have the policy "
            "override managed files"
        )
    return [Finding(Code.SHARED, Severity.WARNING, config.name, message, action)]
