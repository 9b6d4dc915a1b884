"""Says of a deletion that fails whether the pod's address stays taken.

libcni adds by the plugins of a list in their order and deletes in the reverse one, and stops at the
first that fails (`libcni/api.go` AddNetworkList, DelNetworkList). The address is taken and given
back while the plugin runs whose IPAM holds it, and a plugin that refuses the version does neither
(`pkg/skel/skel.go`). Held against real plugins by the tests, pod by pod.
"""

from cni_upgrade.cni import compat
from cni_upgrade.cni.config import Config
from cni_upgrade.cni.findings import Code
from cni_upgrade.cni.health import Outcome
from cni_upgrade.cni.node import Node

_KEEPS_NOTHING = "static"
"""An IPAM plugin that keeps no record of what it gave."""

_BEFORE_ANY_PLUGIN = (
    Code.F1,
    Code.SANDBOX_LIMIT,
    Code.VERSIONLESS_RESULT,
    Code.BAD_VERSION,
    Code.MISSING_NAME,
    Code.CACHED_DEL,
    Code.KEPT_DEL,
)
"""Where DEL fails before a plugin that gives an address back has run."""


def leaks(
    config: Config, version: str | None, node: Node, added: Outcome | None, deleted: Outcome
) -> bool | None:
    """Whether an address stays taken once the deletion has failed; None when it is not known.

    `added` is what became of the pod's creation with the same file; None for a pod that runs.
    """
    holding = {call.place for call in config.calls if call.ipam and call.binary != _KEEPS_NOTHING}
    if deleted.works is True:
        return False
    if deleted.works is None or not holding or deleted.has(Code.LOOPBACK):
        return None
    refusing = [
        each.called.place
        for each in node.chain
        if each.called is not None
        and (each.takes(version) is False or compat.no_room(each, version))
    ]
    if added is not None:
        if added.works is None:
            return None
        if added.has(Code.BAD_VERSION) or added.has(Code.MISSING_NAME):
            return False  # no plugin has run
        holding = {place for place in holding if all(place < each for each in refusing)}
    if any(deleted.has(code) for code in _BEFORE_ANY_PLUGIN):
        return bool(holding)
    return any(place <= each for place in holding for each in refusing)
