"""Tells what a release begins to ask of plugins that may not answer it: CHECK and STATUS.

What a plugin answers to VERSION says of neither (`check`, `status`). Where today's runtime asks it
already, the node itself shows what comes of that: it asks of the files that it uses itself, of
their plugins as it reads them (libcni from 1.3.0 on appends those of the network's folder), and
CHECK only of a pod whose ADD did not fail.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from cni_upgrade.cni import check, folder, health, runtimes, status
from cni_upgrade.cni.config import Config
from cni_upgrade.cni.facts import Facts
from cni_upgrade.cni.node import Node
from cni_upgrade.cni.runtimes import Runtime


def in_use(facts: Facts) -> dict[str, Config]:
    """By name, the files that the node's runtime uses today, as it reads them."""
    runtime = runtimes.lookup(facts.runtime, facts.libcni)
    configs = [_under(each, runtime) for each in facts.configs]
    return {each.name: each for each in folder.in_use(configs, runtime, facts).files}


def unanswered(
    facts: Facts,
    today: Mapping[str, Config],
    used: Collection[str],
    run: tuple[str, str, str],
) -> Iterator[tuple[str, str]]:
    """The first release that asks, of a run with one libcni that loads the files `used`, and why
    it is not known what comes of it.

    `today` are the files `in_use`; `run` is the runtime's name, its first release and its last.
    """
    name, first, last = run
    now = runtimes.lookup(facts.runtime, facts.libcni)
    then = runtimes.lookup(f"{name}://{first}")
    asks_status = status.begins(name, first, last)
    for each in facts.configs:
        if each.name not in used:
            continue
        old, new = today.get(each.name), _under(each, then)
        after = Node.of(new, then, facts, ())
        checked = _checked(old, now, facts) if old is not None else ()
        unproved = [each for each in check.unproved(after.chain) if each.plugin not in checked]
        if unproved and check.asked(after.runtime, new.version) is not False:
            yield first, _check(unproved)
        if asks_status is None:
            continue
        reporting = old.mains if old is not None and status.asked(now, old.version) else ()
        plugins = [plugin for plugin in new.mains if plugin not in reporting]
        asks = status.asked(replace(then, version=asks_status), new.version)
        if plugins and asks is not False:
            yield asks_status, _status(plugins, asks)


def _checked(config: Config, runtime: Runtime, facts: Facts) -> Collection[str]:
    """The unproved plugins that the runtime asks CHECK of for the pods that it adds with that file,
    if it adds any."""
    node = Node.of(config, runtime, facts, ())
    if not check.asked(node.runtime, config.version):
        return ()
    adds = health.add(config, config.version, node).works is not False
    return [each.plugin for each in check.unproved(node.chain)] if adds else ()


def _under(config: Config, runtime: Runtime) -> Config:
    return config.under(runtime.libcni) if runtime.libcni else config


def _check(unproved: list[check.Answer]) -> str:
    plugins = ", ".join(each.plugin for each in unproved)
    return (
        f"it asks CHECK of every pod that it creates: whether {plugins} answers is not known, for "
        "today's runtime does not ask that, as far as is known; if not, no pod can be created: "
        f"{'; '.join(each.why for each in unproved)}"
    )


def _status(plugins: list[str], asks: bool | None) -> str:
    return (
        f"it {'asks' if asks else 'may ask'} STATUS of {', '.join(plugins)}, and today's "
        "runtime does not, as far as is known: that a plugin supports the version does not say "
        "that it answers, and while one of them refuses the node is NotReady"
    )
