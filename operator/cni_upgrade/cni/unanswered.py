"""Tells what a release begins to ask of plugins that may not answer it: CHECK and STATUS.

What a plugin answers to VERSION says of neither (`check`, `status`). Where today's runtime asks it
already, the node itself shows what comes of that.
"""

from collections.abc import Collection, Iterator
from dataclasses import replace

from cni_upgrade.cni import check, runtimes, status
from cni_upgrade.cni.config import Config
from cni_upgrade.cni.facts import Facts
from cni_upgrade.cni.node import Node
from cni_upgrade.cni.runtimes import Runtime


def unanswered(
    facts: Facts, used: Collection[str], name: str, first: str, last: str
) -> Iterator[tuple[str, str]]:
    """The first release that asks, of a run with one libcni that loads the files `used`, and why
    it is not known what comes of it."""
    today = runtimes.lookup(facts.runtime, facts.libcni)
    then = runtimes.lookup(f"{name}://{first}")
    asks_status = status.begins(name, first, last)
    for each in facts.configs:
        if each.name not in used:
            continue
        old, new = _under(each, today), _under(each, then)
        before, after = (Node.of(*of, facts, ()) for of in ((old, today), (new, then)))
        plugins = check.unproved(after.chain)
        checked = check.asked(before.runtime, old.version)
        if plugins and not checked and check.asked(after.runtime, new.version):
            yield first, _check(plugins)
        if asks_status is None or status.asked(today, old.version):
            continue
        asks = status.asked(replace(then, version=asks_status), new.version)
        if asks is not False:
            yield asks_status, _status(new, asks)


def _under(config: Config, runtime: Runtime) -> Config:
    return config.under(runtime.libcni) if runtime.libcni else config


def _check(plugins: list[str]) -> str:
    return (
        "it asks CHECK of every pod that it creates, and today's runtime does not, as far as is "
        f"known: whether {', '.join(plugins)} answers is not known, and if not, no pod can be "
        "created"
    )


def _status(config: Config, asks: bool | None) -> str:
    return (
        f"it {'asks' if asks else 'may ask'} STATUS of {', '.join(config.mains)}, and today's "
        "runtime does not, as far as is known: that a plugin supports the version does not say "
        "that it answers, and while one of them refuses the node is NotReady"
    )
