"""What the agents of a played fleet answer: the real agent's own words, once for all nodes.

Every node of the benchmark has the same faulty config, so one audit and one apply are run by the
agent's code on a folder with that config; kwok then gives their termination messages to each pod,
with the pod's own operation and node in them.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from cni_upgrade.agent import agent
from cni_upgrade.agent.protocol import termination_message
from cni_upgrade.agent.protocol.operation import (
    FileOrder,
    Kind,
    Operation,
    Outcome,
    Paths,
    Result,
    Target,
)
from cni_upgrade.planner.world.operator_config import OperatorConfig
from tests.cluster import build

RUNTIME = "containerd://1.6.2"
FILE = "10-containerd-net.conflist"
FAULTY = {
    "name": "containerd-net",
    "plugins": [
        {"type": "bridge", "bridge": "cni0", "isGateway": True, "ipam": {"type": "host-local"}},
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ],
}
PLUGINS = "plugins-1.9.1"

_NODE = "node-of-the-benchmark"


@dataclass(frozen=True)
class Answers:
    """Termination messages with `@ID@` and `@NODE@` where a pod's own are to stand."""

    audit: str
    apply: str


def recorded(folder: Path, config: OperatorConfig) -> Answers:
    """Run an audit and the apply that it asks for on a host in the folder."""
    conf = folder / "etc/cni/net.d"
    plugins = folder / "opt/cni/bin"
    for made in (conf, plugins, folder / "var/lib/cni/results"):
        made.mkdir(parents=True)
    (conf / FILE).write_text(json.dumps(FAULTY, indent=2))
    build.ensure((PLUGINS,))
    for name in ("bridge", "host-local", "portmap", "loopback"):
        shutil.copy2(build.home(PLUGINS) / name, plugins)
    auto = config.auto
    look = Operation(
        id=f"{Kind.AUDIT}-{0:020x}",
        kind=Kind.AUDIT,
        node=_NODE,
        runtime=RUNTIME,
        target=Target(),
        root=str(folder),
        paths=Paths(auto.conf_dirs, auto.bin_dirs, auto.cache_dir, config.state_dir),
    )
    audit = agent.run(look)
    if audit.report is None or audit.report.verdict != "Rewrite":
        raise RuntimeError(f"the audit was to ask for a rewrite: {audit.to_json()}")
    orders = tuple(
        FileOrder(file.name, file.sha256, file.to)
        for file in audit.report.files
        if file.sha256 and file.to
    )
    paths = replace(look.paths, conf_dirs=("/etc/cni/net.d",), bin_dirs=("/opt/cni/bin",))
    order = replace(look, id=f"{Kind.APPLY}-{0:020x}", kind=Kind.APPLY, files=orders, paths=paths)
    apply = agent.run(order)
    if apply.outcome is not Outcome.DONE:
        raise RuntimeError(f"the apply was to be done: {apply.to_json()}")
    return Answers(_marked(audit), _marked(apply))


def _marked(result: Result) -> str:
    text = termination_message.encode(result).decode()
    marked = text.replace(result.id, "@ID@").replace(_NODE, "@NODE@")
    if "@ID@" not in marked or "@NODE@" not in marked:
        raise RuntimeError(f"the message is packed, nothing can be put into it: {text[:80]}")
    return marked
