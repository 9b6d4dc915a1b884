"""Tells what plugins delete a pod with that remember its ADD, whatever the file says by then.

Such a plugin writes down the config with which it calls others, under the container's id, and DEL
calls them with that. They are then called at the version of the ADD:
- flannel: `dataDir`, /var/lib/cni/flannel unless the file says otherwise (containernetworking
  plugins v0.9.1 `plugins/meta/flannel/flannel.go` delegateAdd, consumeScratchNetConf);
- multus: `cniDir`, /var/lib/cni/multus (multus-cni 3.9.3 and 4.2.2 `pkg/multus/multus.go`
  saveDelegates, CmdDel); the daemon behind multus-shim runs the same code.
The results cache tells what they kept: it holds the config of the ADD, from which they made theirs.
It does not tell the networks that multus took from elsewhere (`clusterNetwork`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from cni_upgrade.cni import compat, faults, versions
from cni_upgrade.cni.chain import MULTUS
from cni_upgrade.cni.config import Config
from cni_upgrade.cni.facts import UNKNOWN, Sandbox, Support
from cni_upgrade.cni.findings import Finding
from cni_upgrade.cni.node import Node

KEEPS_IN = {"flannel": "dataDir", "multus": "cniDir", "multus-shim": "cniDir"}
"""By plugin: the key of its config that names the folder in which it keeps the config of an ADD."""


def by_file(node: Node) -> Node:
    """The same node with those binaries alone that the file calls for a pod that runs now."""
    chain = [each for each in node.chain if not _keeper(each)]
    return replace(node, chain=chain)


def known(node: Node) -> bool:
    """Whether it is known of every pod that runs now what the kept config does to it."""
    return all(takes is not None for pod in node.sandboxes for _, takes in _answers(node, pod))


def refusals(config: Config, node: Node) -> Iterator[Finding]:
    """Pods whose kept config calls a binary at a version that it does not take."""
    stuck: dict[tuple[str, str], tuple[Support, list[Sandbox]]] = {}
    for pod in node.sandboxes:
        refusing = next((each for each, takes in _answers(node, pod) if takes is False), None)
        if refusing is not None:
            key = (pod.version or "", refusing.label)
            stuck.setdefault(key, (refusing, []))[1].append(pod)
    for _, (refusing, pods) in sorted(stuck.items(), key=lambda item: item[0]):
        keeper = node.plugins.get(_keeper(refusing)) or Support(_keeper(refusing))
        yield faults.kept_refused(config, keeper, KEEPS_IN[keeper.type], pods, refusing)


def _answers(node: Node, pod: Sandbox) -> Sequence[tuple[Support, bool | None]]:
    """Each binary that deletes that pod by a kept config, and whether it takes its version.

    A pod whose entry does not tell the config of its ADD is taken for one of today's.
    """
    now = [each for each in node.chain if _keeper(each)]
    if pod.calls is None:
        return [(each, _takes(node, each, pod.version)) for each in now]
    running = {each.type for each in node.chain}
    told = [node.called(each) for each in pod.calls if each.keeper in running]
    found = [(each, _takes(node, each, pod.version)) for each in told]
    telling = {_keeper(each) for each in told}
    untold = {each.binary for each in pod.calls if each.binary in MULTUS} - telling
    return found + [(each, _any(each)) for each in now if _keeper(each) in untold]


def _takes(node: Node, support: Support, version: str | None) -> bool | None:
    """Whether a binary takes the version at which the kept config has it called."""
    called = support.called
    if called is None or support.source == "missing":
        return support.takes(version)
    if version == UNKNOWN and called.how != "own":
        return _any(support)
    if called.keeper in MULTUS and called.at(version) == ("",):
        multus = node.plugins.get(called.keeper)
        if (deletes := compat.deletes_versionless(multus.libcni if multus else None)) is not True:
            return deletes
    return support.takes(version)


def _any(support: Support) -> bool | None:
    """Whether a binary takes whichever version it may have been: those of today's network."""
    return True if set(versions.KNOWN) <= set(support.supported or ()) else None


def _keeper(support: Support) -> str:
    return support.called.keeper if support.called else ""
