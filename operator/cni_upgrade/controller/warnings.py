"""The newest Warning about each pod and Job of ours, from each host that has spoken of it.

Any kubelet may write an Event about any pod. `manifests/admission.yaml` makes it name itself as the
host, so only the kubelet of a pod's own node, or what runs on no node, is believed about it. Apart
by host, for else a kubelet elsewhere could push aside what that of the node has said.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from typing import Any, NamedTuple

from cni_upgrade.controller.object_cache import version_of

Raw = Mapping[str, Any]


_MOST = 20_000
"""Pods and Jobs of which something is kept until the next whole list: 5,000 nodes have 10,000 at a
time, and one kubelet can name as many as it likes."""


class _Said(NamedTuple):
    version: int
    text: str


class Warnings:
    """By uid and name of a pod or Job, and by host; the control plane has none."""

    def __init__(self) -> None:
        self._said: dict[tuple[str, str], dict[str, _Said]] = {}

    def hear(self, event: Raw) -> bool:
        """Take in a Kubernetes Event; True for a Warning that is news."""
        about = event.get("involvedObject") or {}
        if event.get("type") != "Warning" or about.get("kind") not in ("Pod", "Job"):
            return False
        key = about.get("uid", ""), about.get("name", "")
        version = version_of(event["metadata"]["resourceVersion"])
        host = (event.get("source") or {}).get("host") or ""
        known = self._said.get(key, {}).get(host)
        # After a gap of the watch they come in no order.
        if known is not None and known.version >= version:
            return False
        text = f"{event.get('reason', '')}: {event.get('message', '')}"
        said = _Said(version, " ".join(text.split())[:1000])
        self._said.setdefault(key, {})[host] = said
        if len(self._said) > _MOST:
            del self._said[next(iter(self._said))]
        return True

    def doubt(self) -> None:
        """What was heard may be of another past, as after an etcd restored from a backup: whatever
        comes now is newer."""
        self._said = {
            key: {host: said._replace(version=-1) for host, said in hosts.items()}
            for key, hosts in self._said.items()
        }

    def forget(self, known: Container[str]) -> None:
        """Drop what was said of all but these uids."""
        self._said = {key: hosts for key, hosts in self._said.items() if key[0] in known}

    def believed(self, node_of: Callable[[str, str], str]) -> dict[str, str]:
        """By uid, what is believed; `node_of` has the node of the pod of that uid and name."""
        found: dict[str, str] = {}
        for (uid, name), hosts in self._said.items():
            trusted = {"", node_of(uid, name)}
            if told := [said for host, said in hosts.items() if host in trusted]:
                found[uid] = max(told).text
        return found
