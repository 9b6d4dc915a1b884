"""Tells what a release begins to ask of plugins that may not answer it: CHECK.

What a plugin answers to VERSION says nothing of it (`check`). Where today's runtime asks it
already, the node itself shows what comes of that.
"""

from collections.abc import Collection, Iterator

from cni_upgrade.cni import check, runtimes
from cni_upgrade.cni.config import Config
from cni_upgrade.cni.facts import Facts
from cni_upgrade.cni.node import Node
from cni_upgrade.cni.runtimes import Runtime


def unanswered(facts: Facts, used: Collection[str], name: str, first: str) -> Iterator[str]:
    """Why it is not known what comes of a release that loads the files `used`."""
    today = runtimes.lookup(facts.runtime, facts.libcni)
    then = runtimes.lookup(f"{name}://{first}")
    for each in facts.configs:
        if each.name not in used:
            continue
        old, new = _under(each, today), _under(each, then)
        before, after = (Node.of(*of, facts, ()) for of in ((old, today), (new, then)))
        plugins = check.unproved(after.chain)
        checked = check.asked(before.runtime, old.version)
        if plugins and not checked and check.asked(after.runtime, new.version):
            yield _check(plugins)


def _under(config: Config, runtime: Runtime) -> Config:
    return config.under(runtime.libcni) if runtime.libcni else config


def _check(plugins: list[str]) -> str:
    return (
        "it asks CHECK of every pod that it creates, and today's runtime does not, as far as is "
        f"known: whether {', '.join(plugins)} answers is not known, and if not, no pod can be "
        "created"
    )
