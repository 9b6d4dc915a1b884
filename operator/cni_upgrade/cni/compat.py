"""Works out which version a config may carry without anything that works today breaking.

A version is open when the runtime's libcni reads it, every binary of the chain says that it
supports it, and the pods that run now can still be deleted with it. Not knowing counts as no.
"""

from collections.abc import Sequence
from typing import Literal

from cni_upgrade.cni import check, versions
from cni_upgrade.cni.addresses import NONE, SEVERAL
from cni_upgrade.cni.facts import UNKNOWN, Sandbox, Support
from cni_upgrade.cni.findings import shown
from cni_upgrade.cni.numbers import wholes
from cni_upgrade.cni.runtimes import Runtime
from cni_upgrade.cni.value import dataclass

_OLD_RESULT = (None, "", "0.1.0", "0.2.0")
"""Versions whose result has the shape of 0.2.0 (libcni `pkg/types/020`)."""

HAS_ROOM = "0.3.0"
"""The first version whose result has room for any number of addresses (`addresses`)."""

RESULT_WITHOUT_VERSION = ("weave-net",)
"""Binaries whose result carries no cniVersion (containerd#6921)."""

_NAMED = 3
"""Pods that a message names."""


@dataclass(frozen=True, slots=True)
class Reach:
    """The version to write, None when there is none, and a sentence why it is not higher."""

    version: str | None
    why: str
    held_by_sandboxes: bool = False


def del_survives(libcni: str, added: str | None, now: str | None) -> bool:
    """Whether libcni can delete with a config at `now` what was added with one at `added`.

    Read in libcni `libcni/api.go` DelNetworkList and measured with plugins 1.9.1 (the table "Is
    a rewrite safe while pods run", which the tests repeat cell by cell):
    - a missing version fails outright up to 1.0.1 (F1);
    - below 0.4.0 the cached result is not read, so nothing has to be converted;
    - from 1.2.0 on a cached result that does not convert is dropped, and DEL goes on;
    - in between it must be readable and convertible, or DEL fails and leaks the address.
    """
    release = _release(libcni)
    if not now:
        return release >= (1, 1, 0)
    try:
        order = versions.libcni_order(now)
    except ValueError:
        return False
    if order < (0, 4, 0) or release >= (1, 2, 0):
        return True
    if not versions.known(now) or not (added in _OLD_RESULT or versions.known(added)):
        return False
    if release < (1, 0, 0):
        return now == "0.4.0" and added in ("0.3.0", "0.3.1", "0.4.0")
    return now in ("0.4.0", "1.0.0") and added != "1.1.0"


def deletes_versionless(libcni: str | None) -> bool | None:
    """Whether that release deletes where no version is given (cni#893); None if not known.

    `libcni` is what a binary's build info says of itself, which may be a pre-release.
    """
    numbers = wholes((libcni or "").partition("-")[0].split("."))
    if libcni is None or numbers is None or len(numbers) != 3:
        return None
    first = [1, 1, 0]
    return None if numbers == first and "-" in libcni else numbers >= first


def reach(
    runtime: Runtime,
    chain: Sequence[Support],
    sandboxes: Sequence[Sandbox],
    target: str,
    *,
    exact: bool = False,
) -> Reach:
    """The highest open version not above the target; with `exact` the target or nothing."""
    candidates = (target,) if exact else tuple(reversed(versions.up_to(target)))
    not_target = objections(runtime, chain, target)
    stuck = stuck_at(runtime, sandboxes, target)
    held = bool(stuck) and not not_target
    for candidate in candidates:
        if objections(runtime, chain, candidate):
            continue
        if stuck_at(runtime, sandboxes, candidate):
            held = True
            continue
        return Reach(candidate, _praise(runtime, chain, sandboxes, candidate, target), held)
    reasons = not_target or _sandbox_objections(stuck, target)
    return Reach(None, "; ".join(reasons) or f"no version up to {target} fits", held)


def objections(runtime: Runtime, chain: Sequence[Support], version: str) -> list[str]:
    """What speaks against a version, pods that run now aside; empty when nothing does."""
    reasons: list[str] = []
    if runtime.max is None:
        reasons.append(f"it is not known what {runtime.label} supports")
    elif versions.order(version) > versions.order(runtime.max):
        reasons.append(f"{runtime.label} (libcni {runtime.libcni}) reads up to {runtime.max}")
    for support in chain:
        if support.source == "missing":
            reasons.append(f"{support.type} is not there")
        elif support.supported is None:
            bound = f" (at most {support.max})" if support.max else ""
            reasons.append(f"it is not known what {support.type} supports{bound}")
        elif not support.takes(version):
            reasons.append(f"{_asked(support, version)} {supported_range(support.supported)}")
        elif support.called and support.called.key and support.called.at(version) != (version,):
            reasons.append(f"{support.type} is told {told_at(support)}, whatever the config says")
        elif no_room(support, version):
            reasons.append(f"{support.label} gives {gives(support)}, not below {HAS_ROOM}")
        elif command := loses_result(runtime, support.type, version):
            reasons.append(
                f"{support.type} answers without a cniVersion, so that {command} fails at {version}"
            )
    asks = check.asked(runtime, version)
    if asks is not False:
        does = "asks" if asks else "may ask"
        reasons += [
            f"{runtime.label} {does} CHECK of new pods from {check.FIRST} on, "
            f"which {each.plugin} refuses: {each.why}"
            for each in check.refusing(chain)
        ]
    return list(dict.fromkeys(reasons))


def _asked(support: Support, version: str) -> str:
    """Whom a version is not for, as a reason begins; a delegate may be called at another one."""
    at = support.called.at(version) if support.called else (version,)
    if at == (version,):
        return f"{support.label} supports"
    if support.called and support.called.key:
        return f"{support.type} is told {told_at(support)} and supports"
    return f"{support.label} is delegated to at {either(at)} and supports"


def told_at(support: Support) -> str:
    """The version that a key of its own tells a binary, and where that key stands."""
    called = support.called
    if called is None:
        return ""
    place = shown(called.file) if called.file else f"a key {shown(ascii(called.key))} of its own"
    return f"{either(called.own)} by {place}"


def either(versions_: Sequence[str]) -> str:
    """Several versions of which one counts, as a sentence wants them."""
    return " or ".join(shown(each) if each else "no version" for each in versions_)


def gives(support: Support) -> str:
    """What a binary gives a pod that a result below HAS_ROOM has no room for; empty if nothing."""
    return support.called.gives if support.called else ""


def no_room(support: Support, version: str | None) -> bool:
    """Whether a binary gives a pod what the result at its version has no room for."""
    called = support.called
    if called is None or called.gives not in (NONE, SEVERAL):
        return False
    return set(called.at(version)) <= set(_OLD_RESULT)


def loses_result(
    runtime: Runtime, binary: str, version: str | None
) -> Literal["ADD", "DEL"] | None:
    """The command that stumbles over a result without a version, at that version of the config.

    Below 0.3.0 a result has no `ips`, so ADD loses the addresses. libcni below 1.0.0 caches the
    result as it came; from 0.4.0 on DEL takes that for 0.1.0 and cannot convert it
    (`libcni/api.go` getCachedResult). Where libcni loses it at every version, see Runtime.f3.
    """
    if binary not in RESULT_WITHOUT_VERSION or runtime.libcni is None or runtime.f3:
        return None
    if version and not versions.known(version):
        return None
    order = versions.order(version or versions.IMPLIED)
    if order < versions.order("0.3.0"):
        return "ADD"
    old = _release(runtime.libcni) < (1, 0, 0)
    return "DEL" if old and order >= versions.order("0.4.0") else None


def misread_result(runtime: Runtime, support: Support, version: str | None) -> str | None:
    """The version of a delegate's result that libcni takes for one of 0.1.0; None if it does not.

    libcni below 1.0.0 reads a result as the config's version says, whatever the result says of
    itself (`pkg/invoke/exec.go` ExecPluginWithResult). flannel hands on what its delegate answers,
    which has a version of its own only where the config has none.
    """
    called = support.called
    if runtime.libcni is None or _release(runtime.libcni) >= (1, 0, 0) or version:
        return None
    if called is None or called.how != "list or own" or called.ipam:
        return None
    return next((each for each in called.at(version) if each not in _OLD_RESULT), None)


def hands_on_another(libcni: str | None, delegate: Support, version: str | None) -> bool:
    """Whether libcni may misread a delegate's result that multus hands on at its own version.

    Lived with multus 4.2.2 under libcni 0.8.1, which reads a result as the config's version says:
    ADD loses the address where one of the two is below 0.3.0. With a delegate at 1.0.0 CHECK or DEL
    fails. From libcni 1.0.0 on the result's own version counts.
    """
    if libcni is None or _release(libcni) >= (1, 0, 0) or delegate.called is None:
        return False
    return {_shape(each) for each in delegate.called.at(version)} != {_shape(version)}


def _shape(version: str | None) -> str:
    """The first version whose result is read as that one's by libcni below 1.0.0."""
    if version in _OLD_RESULT:
        return ""
    return HAS_ROOM if version in ("0.3.0", "0.3.1", "0.4.0") else str(version)


def stuck_at(runtime: Runtime, sandboxes: Sequence[Sandbox], version: str | None) -> list[Sandbox]:
    """The running pods that could not be deleted, for all that is known, at that version.

    One whose version is unknown is among them where some version would be stuck: that bounds what
    may be written, and proves no fault of what is there. None where the runtime deletes with what
    it cached at ADD: the file does not matter to them.
    """
    if runtime.libcni is None or runtime.deletes_with == "cached":
        return []
    libcni = runtime.libcni
    return [each for each in sandboxes if not del_survives(libcni, each.version, version)]


def pods(count: int) -> str:
    """A number of attachments in the results cache, as a sentence wants it.

    Not "running pods": an ADD that failed later on leaves its entry too (seen on CRI-O 1.23.0,
    one for each failed status check), and nothing in the cache tells the two apart.
    """
    return f"{count} cached sandbox" + ("" if count == 1 else "es")


def told(sandboxes: Sequence[Sandbox]) -> str:
    """How many they are, with the first three whose pod is known."""
    named = list(dict.fromkeys(shown(each.pod) for each in sandboxes if each.pod))[:_NAMED]
    if not named:
        return pods(len(sandboxes))
    shows = [each for each in sandboxes if each.pod and shown(each.pod) in named]
    more = len(sandboxes) - len(shows)
    return f"{pods(len(sandboxes))} ({', '.join(named)}{f' and {more} more' if more else ''})"


def added_at(sandboxes: Sequence[Sandbox]) -> str:
    """The versions at which they were added, as a sentence wants them."""
    known = [each for each in sandboxes if not _unknown(each)]
    at = sorted({shown(each.version) for each in known if each.version})
    words = ["with no version"] if any(not each.version for each in sandboxes) else []
    words += [f"at {', '.join(at)}"] if at else []
    words += ["at a version that is not known"] if any(map(_unknown, sandboxes)) else []
    return " and ".join(words)


def _unknown(sandbox: Sandbox) -> bool:
    return sandbox.version == UNKNOWN


def _sandbox_objections(stuck: Sequence[Sandbox], version: str) -> list[str]:
    if not stuck:
        return []
    return [f"{told(stuck)} added {added_at(stuck)} could not be deleted at {version}"]


def _praise(
    runtime: Runtime,
    chain: Sequence[Support],
    sandboxes: Sequence[Sandbox],
    version: str,
    target: str,
) -> str:
    """Who takes the version, and what keeps it from being higher."""
    takers = [f"{runtime.label} ({runtime.max})"]
    takers += [f"{each.type} ({each.max})" for each in _lowest(chain)]
    apart = ""
    if sandboxes and runtime.deletes_with == "cached":
        apart = f"; {pods(len(sandboxes))} will be deleted with the config of the ADD, not this one"
    elif sandboxes:
        takers.append(pods(len(sandboxes)))
    who = ", ".join(takers[:-1]) + f" and {takers[-1]}" if len(takers) > 1 else takers[0]
    if version == target:
        return f"the target, which {who} take{apart}"
    higher = versions.KNOWN[versions.order(version) + 1]
    against = objections(runtime, chain, higher)
    against += _sandbox_objections(stuck_at(runtime, sandboxes, higher), higher)
    return f"the highest that {who} take; not {higher}: {'; '.join(against)}{apart}"


def _lowest(chain: Sequence[Support]) -> list[Support]:
    """The binaries that bind the version most: one with the lowest maximum."""
    told = [each for each in chain if each.max is not None and versions.known(each.max)]
    return [min(told, key=lambda each: versions.order(str(each.max)))] if told else []


def supported_range(supported: Sequence[str]) -> str:
    """What a binary supports, in few words."""
    known = [version for version in versions.KNOWN if version in supported]
    if not known:
        return "no released version"
    return f"{known[0]} to {known[-1]}" if len(known) > 1 else f"{known[0]} only"


def _release(libcni: str) -> tuple[int, int, int]:
    major, minor, patch = libcni.split(".")
    return int(major), int(minor), int(patch)
