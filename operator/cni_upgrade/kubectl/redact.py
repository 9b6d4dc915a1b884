"""Takes what may be a secret out of what leaves the cluster in a support bundle."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

REMOVED: Final = "(removed)"

_SECRET_NAME = re.compile(
    r"(?i)(token|passw(or)?d|passphrase|secret|credential|authorization|api[-_]?key"
    r"|private[-_]?key|access[-_]?key|client[-_]?key|etcd[-_]?key|certificate[-_]?data|key[-_]?data)"
)
_PEM = re.compile(r"-----BEGIN [A-Z0-9 ]+-----.*?(-----END [A-Z0-9 ]+-----|\Z)", re.DOTALL)
_JWT = re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(\.[A-Za-z0-9_-]*)?")
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9+/_.=-]{8,}")
_URL = re.compile(r"([a-z][a-z0-9+.-]*://)[^\s/@:]+:[^\s/@]+@")
_MEMBER = re.compile(
    r"""(\\?["'])(?P<name>[\w.-]*)\1(\s*:\s*)(\\?["'])(?P<value>(?:(?!\4).)*)\4""", re.DOTALL
)
_ASSIGNED = re.compile(r"(?P<name>[\w.-]+)(?P<by>\s*[=:]\s*)(?P<value>[^\s\"',;{}\[\]]+)")

_SHORTEST = 8
"""Shorter text holds no name with its secret."""

_DROPPED = frozenset({"managedFields"})
_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_KEPT = frozenset({"CNI_UPGRADE_OPERATION", "POD_NAME", "POD_NAMESPACE", "NODE_NAME", "POD_IP"})


def text(said: str) -> str:
    """Text of a log, a message or a file, without what looks like a secret."""
    if len(said) < _SHORTEST:
        return said
    if "-----BEGIN" in said:
        said = _PEM.sub(REMOVED, said)
    if "eyJ" in said:
        said = _JWT.sub(REMOVED, said)
    if "://" in said:
        said = _URL.sub(rf"\1{REMOVED}@", said)
    said = _BEARER.sub(rf"\1 {REMOVED}", said)
    if _SECRET_NAME.search(said) is None:
        return said  # most are words of ours, and a fleet has a million of them
    said = _MEMBER.sub(_member, said)
    return _ASSIGNED.sub(_assigned, said)


def value(found: Any, name: str = "") -> Any:
    """The same for JSON, member by member; env values go but for those that are ours."""
    if isinstance(found, Mapping):
        kept = {
            str(key): value(each, str(key))
            for key, each in found.items()
            if key not in _DROPPED and key != _APPLIED
        }
        if isinstance(kept.get("name"), str) and isinstance(found.get("value"), str):
            kept["value"] = text(found["value"]) if kept["name"] in _KEPT else REMOVED
        return kept
    if isinstance(found, Sequence) and not isinstance(found, str):
        return [value(each, name) for each in found]
    if isinstance(found, str):
        return REMOVED if _secret(name) and found else text(found)
    return found


def _secret(name: str) -> bool:
    return _SECRET_NAME.search(name) is not None and name not in _HARMLESS


_HARMLESS = frozenset(
    {"automountServiceAccountToken", "serviceAccountToken", "imagePullSecrets", "secretName"}
)
"""Names of fields of Kubernetes that hold no secret."""


def _member(found: re.Match[str]) -> str:
    if not _secret(found["name"]):
        return found[0]
    return f"{found[1]}{found['name']}{found[1]}{found[3]}{found[4]}{REMOVED}{found[4]}"


def _assigned(found: re.Match[str]) -> str:
    return f"{found['name']}{found['by']}{REMOVED}" if _secret(found["name"]) else found[0]
