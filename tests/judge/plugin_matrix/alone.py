"""Asks plugins CHECK and STATUS that create no pod here, for want of a cluster or a daemon.

One that refuses CHECK whatever the pod is like fails each pod of CRI-O from 0.4.0 on, whoever
answers its ADD; one that fails for want of its daemon tells nothing.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cni_upgrade.cni import check
from cni_upgrade.cni.facts import Support
from tests.judge.plugin_matrix.releases import ALONE

_VERSION = "1.0.0"


@dataclass(frozen=True)
class Answered:
    """What a plugin said; empty where it went well."""

    plugin: str
    release: str
    supported: str
    check: str
    status: str
    engine: str
    """What the engine expects of its CHECK."""


def ask() -> Iterator[Answered]:
    """Each of them. Needs no namespace: without its daemon none comes so far as to use one."""
    for name, release in ALONE.items():
        path, support = release.binaries()[name], release.supports()[name]
        yield Answered(
            name,
            release.name,
            ", ".join(support.supported or ("not said",)),
            _run(path, "CHECK", _VERSION),
            _run(path, "STATUS", "1.1.0") if "1.1.0" in (support.supported or ()) else "no 1.1.0",
            _expected(support),
        )


def _expected(support: Support) -> str:
    if check.refusing([support]):
        return "refuses"
    return "not known" if check.unproved([support]) else "answers"


def _run(path: Path, command: str, version: str) -> str:
    config = {
        "cniVersion": version,
        "name": "net",
        "type": path.name,
        "kubernetes": {"kubeconfig": "/nowhere"},
        "ipam": {"type": path.name, "range": "10.9.0.0/24"},
        "prevResult": {"cniVersion": version, "ips": [{"address": "10.9.0.2/24"}]},
    }
    environment = {
        "PATH": os.environ["PATH"],
        "CNI_COMMAND": command,
        "CNI_CONTAINERID": "pod",
        "CNI_NETNS": "/proc/self/ns/net",
        "CNI_IFNAME": "eth0",
        "CNI_PATH": str(path.parent),
    }
    done = subprocess.run(
        [str(path)],
        input=json.dumps(config),
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode == 0:
        return ""
    try:
        said = json.loads(done.stdout)
    except ValueError:
        return (done.stderr.strip().splitlines() or ["it ended without a word"])[0]
    return " ".join(str(said[key]) for key in ("msg", "details") if said.get(key))
