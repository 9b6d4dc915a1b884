"""kubectl cni-upgrade: a fleet at a glance, and what people do about it.

Exit codes: 0 done, 1 it could not be done, 2 the words were not understood.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final

from cni_upgrade.api import duration
from cni_upgrade.kubectl import verbs
from cni_upgrade.kubectl.cluster import Cluster
from cni_upgrade.kubectl.errors import PluginError
from cni_upgrade.kubectl.terminal import Terminal, harmless

PROGRAM: Final = "kubectl cni-upgrade"
AGENTS: Final = "cni-upgrade-agents"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one verb; returns the exit code."""
    options = parser().parse_args(arguments)
    try:
        run: Callable[..., int] = options.run
        return run(_ask(options), options)
    except PluginError as error:
        for line in str(error).splitlines():
            print(f"{PROGRAM}: {harmless(line)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _ask(options: argparse.Namespace) -> verbs.Ask:
    return verbs.Ask(lambda: Cluster.connect(options.kubeconfig, options.context), _terminal)


def _terminal() -> Terminal:
    """As the output is now: a window may be made wider while `--watch` runs."""
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    return Terminal(
        shutil.get_terminal_size().columns, colour and os.environ.get("TERM", "") != "dumb"
    )


def parser() -> argparse.ArgumentParser:
    """All verbs with their options."""
    common = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    common.add_argument("--kubeconfig", metavar="FILE", help="the kubeconfig to use")
    common.add_argument("--context", metavar="NAME", help="the context of the kubeconfig to use")
    forced = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    forced.add_argument("--force", action="store_true", help="override another field manager")
    agents = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    agents.add_argument(
        "--agents-namespace", default=AGENTS, metavar="NAME", help=f"where agents run ({AGENTS})"
    )
    top = argparse.ArgumentParser(prog=PROGRAM, description=__doc__, allow_abbrev=False)
    known = top.add_subparsers(dest="verb", metavar="VERB", required=True)

    def verb(
        name: str, run: Callable[..., int], about: str, *parents: argparse.ArgumentParser
    ) -> argparse.ArgumentParser:
        more: dict[str, Any] = {"parents": [common, *parents], "allow_abbrev": False}
        made = known.add_parser(name, help=about, description=about, **more)
        made.set_defaults(run=run)
        return made

    status = verb("status", verbs.status, "show the fleet: phases, versions, waves, who blocks")
    status.add_argument("-w", "--watch", action="store_true", help="show it again and again")
    status.add_argument(
        "--interval", type=float, default=5.0, metavar="SECONDS", help="between two looks (5)"
    )
    why = verb("why", verbs.why, "say why a node is where it is, and what to do next")
    why.add_argument("node", metavar="NODE", help="name of the node")
    plan = verb("plan", verbs.plan, "say what Enforce would do: nodes by runtime and versions")
    plan.add_argument("policy", metavar="POLICY", nargs="?", help="of its nodes alone")
    diff = verb("diff", verbs.diff, "show what was written on a node")
    diff.add_argument("node", metavar="NODE", help="name of the node")
    diff.add_argument("--all", action="store_true", help="every change that is remembered")
    logs = verb("logs", verbs.logs, "show what the newest agent of a node printed", agents)
    logs.add_argument("node", metavar="NODE", help="name of the node")
    logs.add_argument("--all", action="store_true", help="of every agent that is still there")
    wait = verb("wait", verbs.wait, "follow a policy until it is ready, or needs a person")
    wait.add_argument("policy", metavar="POLICY", help="name of the policy")
    wait.add_argument(
        "--timeout", type=_seconds, default=0, metavar="TIME", help="such as 90s or 1h30m (never)"
    )
    wait.add_argument(
        "--interval", type=float, default=2.0, metavar="SECONDS", help="between two looks (2)"
    )
    verb("preflight", verbs.preflight, "say whether this cluster may take the operator")
    collect = verb("collect", verbs.collect, "write a support bundle without secrets", agents)
    collect.add_argument("-o", "--output", metavar="FILE", help="a new .tar.gz (by the time)")
    for which in ("system", "proof"):
        collect.add_argument(
            f"--{which}-namespace",
            default=f"cni-upgrade-{which}",
            metavar="NAME",
            help=f"(cni-upgrade-{which})",
        )
    _switches(verb, forced, agents)
    return top


def _switches(
    verb: Callable[..., argparse.ArgumentParser],
    forced: argparse.ArgumentParser,
    agents: argparse.ArgumentParser,
) -> None:
    """The verbs that change something in the cluster."""
    for name, run, about in (
        ("pause", verbs.pause, "let nothing begin for policies"),
        ("resume", verbs.resume, "end a pause"),
    ):
        verb(name, run, about, forced).add_argument("policy", metavar="POLICY", nargs="+")
    stop = verb("stop", verbs.stop, "let nothing begin for any policy", forced, agents)
    stop.add_argument("reason", metavar="REASON", nargs="+", help="why, for people to read")
    verb("go", verbs.go, "end a stop of everything", forced, agents)
    retry = verb("retry", verbs.retry, "ask for another try of nodes that failed")
    retry.add_argument("name", metavar="NAME", nargs="+", help="of a node, or with --policy")
    retry.add_argument("--policy", action="store_true", help="the names are those of policies")
    let_go = verb("let-go", verbs.let_go, "end the restore of a policy that is being deleted")
    let_go.add_argument("policy", metavar="POLICY", help="name of the policy")


def _seconds(text: str) -> float:
    """Seconds of a duration such as 1h30m."""
    try:
        return float(duration.seconds(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


if __name__ == "__main__":
    sys.exit(main())
