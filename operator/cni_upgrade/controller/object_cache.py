"""The objects of one kind as we know them, each in its newest version: no news is lost or undone.

A watch may have a gap, and kopf never tells of an object that was deleted in one, so every few
minutes a list replaces what is known. An older version of an object never replaces a newer one.

But for one case: a cluster whose etcd was restored from a backup goes on from older versions, and
what we know never happened there. A list is as new as the moment at which it was asked for, so one
that is older than what we knew at that moment, or holds what is, says so, and is believed.
"""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Container, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from cni_upgrade.api.parse import UnreadableResourceError, unforeseen
from cni_upgrade.kube.interface import Listed
from cni_upgrade.planner.world.errors import NONSENSE

log = logging.getLogger(__name__)

Raw = Mapping[str, Any]
T = TypeVar("T")


def version_of(text: str) -> int:
    """resourceVersion as a number. Source: KEP-5504, comparable since Kubernetes 1.35, in etcd
    always; what is no number counts as the oldest."""
    return int(text) if text.isdigit() else 0


@dataclass(frozen=True, slots=True)
class Known:
    """What was known when a list was asked for."""

    versions: Mapping[str, tuple[str, int]]
    """By key: uid and version of what was there."""
    gone: Mapping[str, float]
    """By the uid of what was deleted: the version of that, where it is known."""

    def later_than(self, key: str, raw: Raw) -> bool:
        """Whether an object of such a list is older than what was known of it before."""
        meta = raw["metadata"]
        version = version_of(meta.get("resourceVersion", ""))
        known = self.versions.get(key)
        return (known is not None and version < known[1]) or version <= self.gone.get(
            meta["uid"], -1
        )


class ObjectCache(Generic[T]):
    """The objects of one kind by a key, each in its newest known version."""

    def __init__(
        self,
        read: Callable[[Raw], T],
        key: Callable[[Raw], str],
        stirs: Callable[[T], bool] = lambda _: False,
    ) -> None:
        """`stirs` picks those that are looked at often, where the others are thousands."""
        self._read = read
        self._key = key
        self._stirs = stirs
        self._versions: dict[str, tuple[str, int]] = {}
        self._gone: dict[str, float] = {}
        """By the uid of what was deleted: the version of that, where it is known."""
        self.as_of = ""
        """The resourceVersion of the newest list, and of what was heard after it."""
        self.items: dict[str, T] = {}
        self.stirring: dict[str, T] = {}
        self._followers: list[set[str]] = []
        self.unreadable: dict[str, UnreadableResourceError] = {}
        """Objects that are there and make no sense to us: written by a newer controller, or past an
        API server that does not know all our rules."""

    def put(self, raw: Raw) -> bool:
        """Take an object in; False where that is no news to the planner.

        It is news where it is newer than what is known, and differs in what is kept of it.
        """
        meta = raw["metadata"]
        key, uid = self._key(raw), meta["uid"]
        version = version_of(meta.get("resourceVersion", ""))
        known = self._versions.get(key)
        # Of another uid too: the last words about an object whose name has a new owner come late.
        if version <= self._gone.get(uid, -1) or (known is not None and known[1] >= version):
            return False
        self._gone.pop(uid, None)
        self._versions[key] = (uid, version)
        before = self.items.get(key)
        try:
            item = self._read(raw)
        except (UnreadableResourceError, *NONSENSE) as error:
            # One that got out would end the watch, and with it the process.
            named = error if isinstance(error, UnreadableResourceError) else unforeseen(raw, error)
            log.error("%s", named)
            self._lose(key)
            self.unreadable[key] = named
            return True
        self.unreadable.pop(key, None)
        self.take(key, item)
        return before is None or before != item

    def take(self, key: str, item: T) -> None:
        """Go on from this one, until another version comes in."""
        self.items[key] = item
        if self._stirs(item):
            self.stirring[key] = item
        else:
            self.stirring.pop(key, None)
        self._tell(key)

    def follow(self) -> set[str]:
        """Keys of what has changed or gone since the caller has last emptied the set."""
        self._followers.append(made := set(self.items))
        return made

    def drop(self, raw: Raw) -> bool:
        """Forget an object that was deleted, unless its name already belongs to another one."""
        key, uid = self._key(raw), raw["metadata"]["uid"]
        # A list that was made before the deletion may still be on its way. It is no deletion where
        # an object only lost the label that we look for: that may be put back.
        at = version_of(raw["metadata"].get("resourceVersion", ""))
        known = self._versions.get(key)
        if known is not None and known[0] == uid and 0 < at < known[1]:
            return False
        self._gone[uid] = at or math.inf
        if known is None or known[0] != uid:
            return False
        self._forget(key)
        return True

    @property
    def newest(self) -> int:
        """The newest version that is known: no list that is asked for from now on is older."""
        return max([version_of(self.as_of), *(version for _, version in self._versions.values())])

    async def replace_by(self, pages: AsyncIterator[Listed]) -> None:
        """Heal from a whole list: what is not in it is gone, unless it is newer than the list.

        Page by page: what one brings is trimmed before the next one comes. The list is not to be
        asked for before it is read here.
        """
        healing = _Healing(self)
        async for page in pages:
            healing.take(page)
        healing.end()

    async def replace(self, listed: Awaitable[Listed]) -> None:
        """The same for a list that comes in one."""
        healing = _Healing(self)
        healing.take(await listed)
        healing.end()

    async def replace_one(self, key: str, listed: Awaitable[Listed]) -> None:
        """The same for a list that is asked for one object alone."""
        known_before = self.known()
        found = await listed
        as_of = version_of(found.resource_version)
        if (key in known_before.versions and as_of < known_before.versions[key][1]) or any(
            known_before.later_than(key, raw) for raw in found.items
        ):
            self.restored(known_before)
        known = self._versions.get(key)
        if known is not None and not found.items and known[1] <= as_of:
            self._forget(key)
        for raw in found.items:
            self.put(raw)

    def known(self) -> Known:
        """What is known at this moment."""
        return Known(dict(self._versions), dict(self._gone))

    def restored(self, known: Known) -> None:
        """What was known is of another past: whatever the API server holds of it now is news."""
        log.warning("the API server has gone back in time: what it holds is taken as new")
        self._gone = {k: at for k, at in self._gone.items() if known.gone.get(k) != at}
        for key, (uid, version) in known.versions.items():
            if self._versions.get(key) == (uid, version):
                self._versions[key] = (uid, -1)

    def knows(self, key: str) -> bool:
        """Whether an object stands under that key, be it one that cannot be read."""
        return key in self._versions

    def key_of(self, raw: Raw) -> str:
        """The key under which an object stands."""
        return self._key(raw)

    def keep_only(self, keys: Container[str], uids: Container[str], version: str) -> None:
        """Forget what is in no list of that version, unless it is newer."""
        as_of = version_of(version)
        for key in [k for k, (_, v) in self._versions.items() if k not in keys and v <= as_of]:
            self._forget(key)
        self._gone = {uid: at for uid, at in self._gone.items() if uid in uids}
        self.as_of = version

    def _forget(self, key: str) -> None:
        del self._versions[key]
        self._lose(key)
        self.unreadable.pop(key, None)

    def _lose(self, key: str) -> None:
        self.items.pop(key, None)
        self.stirring.pop(key, None)
        self._tell(key)

    def _tell(self, key: str) -> None:
        for each in self._followers:
            each.add(key)


class _Healing:
    """A whole list that is being read."""

    def __init__(self, shelf: ObjectCache[Any]) -> None:
        self._shelf = shelf
        self._keys: set[str] = set()
        self._uids: set[str] = set()
        self._version = ""
        self._before = shelf.known()
        self._newest = shelf.newest
        self._restored = False

    def take(self, page: Listed) -> None:
        if not self._version and version_of(page.resource_version) < self._newest:
            self._restore()
        for raw in page.items:
            key = self._shelf.key_of(raw)
            if self._before.later_than(key, raw):
                self._restore()
            self._keys.add(key)
            self._uids.add(raw["metadata"]["uid"])
            self._shelf.put(raw)
        self._version = page.resource_version

    def _restore(self) -> None:
        if not self._restored:
            self._restored = True
            self._shelf.restored(self._before)

    def end(self) -> None:
        self._shelf.keep_only(self._keys, self._uids, self._version)
