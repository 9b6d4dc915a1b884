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

from cni_upgrade.kubectl import verbs
from cni_upgrade.kubectl.cluster import Cluster
from cni_upgrade.kubectl.errors import PluginError
from cni_upgrade.kubectl.terminal import Terminal, harmless

PROGRAM: Final = "kubectl cni-upgrade"


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
    top = argparse.ArgumentParser(prog=PROGRAM, description=__doc__, allow_abbrev=False)
    known = top.add_subparsers(dest="verb", metavar="VERB", required=True)

    def verb(name: str, run: Callable[..., int], about: str) -> argparse.ArgumentParser:
        more: dict[str, Any] = {"parents": [common], "allow_abbrev": False}
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
    return top


if __name__ == "__main__":
    sys.exit(main())
