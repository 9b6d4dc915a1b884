"""The command line of the cluster: python3 -m tests.cluster VERB."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.cluster import build, debian, preflight, process
from tests.cluster.cluster import DEFAULT_NAME, Cluster, all_names
from tests.cluster.components import BY_NAME, CATALOGUE
from tests.cluster.errors import ClusterError
from tests.cluster.node import NodeSpec, shipped_config

_UNFIT = 2
_INTERRUPTED = 130
_DAEMONS = ("runtime", "kubelet", "kube-proxy")


def main() -> int:
    """Do what the command line asks; the exit code is 2 when the machine is not fit for it."""
    arguments = _parser().parse_args()
    try:
        action: Callable[[argparse.Namespace], int] = arguments.action
        return action(arguments)
    except ClusterError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: `up` goes on from here, `down` removes what there is", file=sys.stderr)
        return _INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m tests.cluster", description=__doc__)
    verbs = parser.add_subparsers(metavar="VERB", required=True)

    def verb(
        name: str, action: Callable[[argparse.Namespace], int], text: str, *, named: bool = True
    ) -> argparse.ArgumentParser:
        added = verbs.add_parser(name, help=text, description=text)
        added.set_defaults(action=action)
        if named:
            added.add_argument("--name", default=DEFAULT_NAME, help="the cluster (%(default)s)")
        return added

    verb("preflight", _preflight, "say what this machine lacks", named=False)
    asked = verb("build", _build, "build components that the cache lacks", named=False)
    asked.add_argument("component", nargs="*", help=f"of {', '.join(BY_NAME)} (all)")
    asked = verb("up", _up, "bring a cluster up; what runs is left alone")
    asked.add_argument("--nodes", help="which of node-a,node-b,node-c,node-d (all)")
    asked.add_argument("--control-plane-only", action="store_true", help="no nodes")
    verb("down", _down, "end a cluster and remove all of it")
    verb("status", _status, "show what runs and what it holds in memory")
    verb("kubeconfig", _kubeconfig, "print the path of the administrator's kubeconfig")
    verb("env", _env, "print shell lines that put kubectl and the kubeconfig into use")
    asked = verb("exec", _exec, "run a command in a node")
    asked.add_argument("node")
    asked.add_argument("command", nargs=argparse.REMAINDER)
    asked = verb("load-image", _load_image, "import a docker archive into every node")
    asked.add_argument("archive", type=Path)
    asked = verb("logs", _logs, "print the end of a log: a node's or the control plane's")
    asked.add_argument("node", nargs="?", help="a node; without one, the control plane")
    asked.add_argument("--program", help="one program (all)")
    asked.add_argument("--lines", type=int, default=20)
    _node_verbs(verbs.add_parser("node", help="add, stop, break and mend nodes"))
    return parser


def _node_verbs(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(metavar="VERB", required=True)

    def verb(
        name: str, action: Callable[[Cluster, argparse.Namespace], None], text: str
    ) -> argparse.ArgumentParser:
        def act(arguments: argparse.Namespace) -> int:
            action(Cluster(arguments.name), arguments)
            return 0

        added = verbs.add_parser(name, help=text, description=text)
        added.set_defaults(action=act)
        added.add_argument("node")
        added.add_argument("--name", default=DEFAULT_NAME, help="the cluster (%(default)s)")
        added.add_argument("--no-wait", dest="wait", action="store_false", help="for Ready")
        return added

    asked = verb("add", _node_add, "add a node of any kind")
    asked.add_argument("--runtime", default="containerd-2.4.2", help="(%(default)s)")
    asked.add_argument("--plugins", default="1.9.1", help="(%(default)s)")
    asked.add_argument("--config", type=Path, help="its CNI config (a healthy one)")
    asked.add_argument("--config-name", help="the config's name on the node")
    verb("remove", lambda c, a: c.remove_node(a.node), "end a node and forget it")
    verb("start", lambda c, a: c.start_node(a.node, wait=a.wait), "start a stopped node")
    verb("stop", lambda c, a: c.stop_node(a.node), "stop a node as a power cut does")
    verb("restart", lambda c, a: c.restart_node(a.node, wait=a.wait), "reboot a node")
    verb(
        "reset", lambda c, a: c.reset_node(a.node, wait=a.wait), "install a node anew, as it began"
    )
    for daemon in _DAEMONS:
        for change in ("stop", "start", "restart"):
            verb(f"{change}-{daemon}", _daemon(change, daemon), f"{change} only the {daemon}")


def _daemon(change: str, daemon: str) -> Callable[[Cluster, argparse.Namespace], None]:
    def act(cluster: Cluster, arguments: argparse.Namespace) -> None:
        node = cluster.node(arguments.node)
        program = node.runtime.program if daemon == "runtime" else daemon
        if change != "start":
            node.stop(program)
        if change != "stop":
            node.start(program)

    return act


def _fit() -> bool:
    found = preflight.problems()
    for problem in found:
        print(f"missing: {problem}", file=sys.stderr)
    return not found


def _preflight(_: argparse.Namespace) -> int:
    if not _fit():
        return _UNFIT
    print("this machine can run a cluster")
    return 0


def _build(arguments: argparse.Namespace) -> int:
    unknown = [name for name in arguments.component if name not in BY_NAME]
    if unknown:
        raise ClusterError(f"no component {unknown[0]}", expected=f"one of {', '.join(BY_NAME)}")
    if not _fit():
        return _UNFIT
    debian.ensure()
    build.ensure(arguments.component or [component.name for component in CATALOGUE])
    return 0


def _up(arguments: argparse.Namespace) -> int:
    if not _fit():
        return _UNFIT
    nodes = arguments.nodes.split(",") if arguments.nodes else None
    only = arguments.control_plane_only
    cluster = Cluster.up(arguments.name, nodes, control_plane_only=only)
    print(f"export KUBECONFIG={cluster.kubeconfig}")
    return 0


def _down(arguments: argparse.Namespace) -> int:
    Cluster(arguments.name).down()
    return 0


def _status(arguments: argparse.Namespace) -> int:
    cluster = Cluster(arguments.name)
    if not cluster.exists:
        others = ", ".join(all_names()) or "none"
        print(f"there is no cluster {cluster.name}; there is: {others}")
        return 1
    print(f"cluster {cluster.name}: {cluster.control.url}, kubeconfig {cluster.kubeconfig}")
    whole = True
    for program, pid in cluster.control.programs().items():
        whole &= pid is not None
        print(f"  {program:26} {f'{process.resident_mib(pid):5} MiB' if pid else 'down'}")
    api = cluster.control.api()
    reachable = api.is_ready()
    for node in cluster.nodes():
        why = api.node_not_ready(node.name) if reachable else "the API server is down"
        whole &= not why
        made_of = f"{node.spec.runtime}, plugins {node.spec.plugins}, {node.network.address}"
        print(f"  {node.name:26} {why or 'Ready'} ({made_of})")
        down = [program for program in node.daemons if node.pid_within(program) is None]
        whole &= not down
        if down:
            print(f"  {'':26} down: {', '.join(down)}")
    return 0 if whole else 1


def _kubeconfig(arguments: argparse.Namespace) -> int:
    print(Cluster(arguments.name).kubeconfig)
    return 0


def _env(arguments: argparse.Namespace) -> int:
    cluster = Cluster(arguments.name)
    print(f"export KUBECONFIG={cluster.kubeconfig}\nexport PATH={cluster.kubectl.parent}:$PATH")
    return 0


def _exec(arguments: argparse.Namespace) -> int:
    command = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
    entered = Cluster(arguments.name).node(arguments.node).entered(command or ["sh"])
    return subprocess.run(entered, check=False).returncode


def _load_image(arguments: argparse.Namespace) -> int:
    for tag in Cluster(arguments.name).load_image(arguments.archive):
        print(tag)
    return 0


def _logs(arguments: argparse.Namespace) -> int:
    cluster = Cluster(arguments.name)
    logs = cluster.node(arguments.node).folder if arguments.node else cluster.control.folder
    for log in sorted(logs.glob(f"logs/{arguments.program or '*'}.log")):
        print(f"== {log}\n{process.tail(log, arguments.lines, width=10_000)}")
    return 0


def _node_add(cluster: Cluster, arguments: argparse.Namespace) -> None:
    path: Path | None = arguments.config
    text = path.read_text() if path else shipped_config("version-1.0.0.conflist")
    name = arguments.config_name or (path.name if path else "10-containerd-net.conflist")
    spec = NodeSpec(arguments.runtime, arguments.plugins, text, name)
    cluster.add_node(arguments.node, spec, wait=arguments.wait)


if __name__ == "__main__":
    sys.exit(main())
