"""The JSON merge patch (RFC 7396) between two documents, so that only what changed is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def merge_patch(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """What makes `new` of `old`; empty when they are equal. A member that is gone becomes null."""
    patch: dict[str, Any] = {key: None for key in old if key not in new}
    for key, value in new.items():
        before = old.get(key)
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            if inner := merge_patch(before, value):
                patch[key] = inner
        elif key not in old or before != value:
            patch[key] = value
    return patch


def holds(patch: Mapping[str, Any], document: Mapping[str, Any]) -> bool:
    """Whether the document is as the patch makes it."""
    for key, value in patch.items():
        found = document.get(key)
        if isinstance(value, Mapping):
            if not (isinstance(found, Mapping) and holds(value, found)):
                return False
        elif found != value:
            return False
    return True
