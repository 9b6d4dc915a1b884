"""The sandboxes that run, read from libcni's results cache: at which version each was added.

libcni writes `<cacheDir>/results/<network>-<containerID>-<ifname>` on ADD and removes it on a
DEL that went well (`libcni/api.go` cacheAdd, cacheDel), so an entry is a deletion still to come.
From libcni 0.8.0 on it is an envelope of kind cniCacheV1 with the config of the ADD in base64; up
to 0.7.1 it is the plugin's result itself. Releases of libcni read one config otherwise, and which
of them added a pod is not on record: CRI-O reads it again at DEL, with the libcni of today, and
elsewhere the version of the result tells. Read-only, here as everywhere.
"""

import base64
import binascii
import json
import re
from collections import Counter
from collections.abc import Iterable

from cni_upgrade.agent import file_io
from cni_upgrade.agent.discovery.host_paths import BrokenLinkError, resolve
from cni_upgrade.cni import compat, config, versions
from cni_upgrade.cni.chain import Called
from cni_upgrade.cni.facts import UNKNOWN, Sandbox
from cni_upgrade.cni.findings import Code, Finding, Severity, shown
from cni_upgrade.cni.node import LOOPBACK_NETWORK

MISSING = "missing"
MOST_NAMED = 20
"""Pods of one version whose names a report holds."""

_NAMESPACE, _POD, _UID = "K8S_POD_NAMESPACE", "K8S_POD_NAME", "K8S_POD_UID"

_LONGEST_POD = 63 + 1 + 253  # namespace/name

_OLDEST_LIBCNI = "0.8.1"
"""It stands for all those that pass over `cniVersions`."""

_FOLDER = "results"
_KIND = "cniCacheV1"
_NAME = re.compile(r"(?P<network>.+)-(?P<container>[0-9a-f]{12,64})-(?P<ifname>[^-]+)")


class _BadEntryError(ValueError):
    pass


def read(
    root: str, cache_dir: str, libcni: str | None = None
) -> tuple[list[Sandbox], list[Finding]]:
    """Every entry of the cache but the runtime's own loopback's, in the order of names; broken ones
    as findings.

    `cache_dir` as the host names it. `libcni` is the release that reads the configs in the cache
    when it deletes; None where the runtime deletes with the file. A broken entry still counts as
    a sandbox, of an unknown version, and so does a whole cache that cannot be read, be it that a
    link leads to what is not mounted: there is no telling which pods run. Raises nothing.
    """
    try:
        with file_io.opened_folder(resolve(root, f"{cache_dir}/{_FOLDER}")) as folder:
            return _entries(folder, libcni)
    except BrokenLinkError as error:
        message = (
            f"the results cache cannot be read: it is a link to {error.target}, which is not "
            "there or not mounted"
        )
        return [unknown()], [_unreadable(_FOLDER, message)]
    except FileNotFoundError:
        return [], []  # no pod with a network was ever added here
    except OSError as error:
        message = f"the results cache cannot be read: {error.strerror}"
        return [unknown()], [_unreadable(_FOLDER, message)]


def unknown() -> Sandbox:
    """What stands for all sandboxes of a cache that cannot be read."""
    return Sandbox("", "", "", UNKNOWN)


def count(sandboxes: Iterable[Sandbox]) -> dict[str, int]:
    """How many there are by the version of their ADD, as a report has it."""
    counts = Counter(each.version or MISSING for each in sandboxes)
    return dict(sorted(counts.items()))


def named(sandboxes: Iterable[Sandbox]) -> dict[str, tuple[str, ...]]:
    """The first pods of each version, as far as the cache names them: which a message counts."""
    found: dict[str, dict[str, None]] = {}
    for each in sandboxes:
        if each.pod:
            found.setdefault(each.version or MISSING, {})[shown(each.pod, _LONGEST_POD)] = None
    return {version: tuple(names)[:MOST_NAMED] for version, names in sorted(found.items())}


def _entries(folder: int, libcni: str | None) -> tuple[list[Sandbox], list[Finding]]:
    sandboxes: list[Sandbox] = []
    findings: list[Finding] = []
    unclear: list[Sandbox] = []
    for name in file_io.names(folder):
        try:
            sandbox = _sandbox(name, file_io.read_file(folder, name), libcni)
        except FileNotFoundError:
            continue  # deleted between the listing and the reading
        except (OSError, file_io.UnreadableError, _BadEntryError) as error:
            if _from_name(name, UNKNOWN).network == LOOPBACK_NETWORK:
                continue
            reason = error.strerror if isinstance(error, OSError) else error
            findings.append(_unreadable(name, f"the entry of the results cache: {reason}"))
            sandboxes.append(_from_name(name, UNKNOWN))
            continue
        if sandbox.network == LOOPBACK_NETWORK:
            continue
        sandboxes.append(sandbox)
        if sandbox.ifname and not sandbox.network:
            findings.append(_misnamed(name))
        if sandbox.version == UNKNOWN:
            unclear.append(sandbox)
    if unclear:
        findings.append(_not_told(unclear))
    return sandboxes, findings


def _not_told(unclear: list[Sandbox]) -> Finding:
    return Finding(
        Code.CACHE_UNREADABLE,
        Severity.WARNING,
        _FOLDER,
        f"{compat.told(unclear)} added with a config that tells several versions (cniVersions, "
        "which libcni below 1.2 passes over, or a key of a plugin's own): it is not known which",
        "nothing, unless the version is to be raised: replace those pods once the file has one "
        "version that holds everywhere",
    )


def _unreadable(name: str, message: str) -> Finding:
    return Finding(
        Code.CACHE_UNREADABLE,
        Severity.WARNING,
        name,
        message,
        "see which pod it belongs to; libcni meets the same entry when it is deleted",
    )


def _misnamed(name: str) -> Finding:
    message = (
        "the entry of the results cache has another network, container or interface in it than its "
        "name says: it is counted for every network"
    )
    return _unreadable(name, message)


def _from_name(name: str, version: str | None) -> Sandbox:
    match = _NAME.fullmatch(name)
    if match is None:
        return Sandbox("", name, "", version)
    return Sandbox(match["network"], match["container"], match["ifname"], version)


def _sandbox(name: str, data: bytes, libcni: str | None) -> Sandbox:
    try:
        entry = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _BadEntryError(f"it is not JSON: {error}") from error
    if not isinstance(entry, dict):
        raise _BadEntryError("it is not a JSON object")
    if entry.get("kind") != _KIND:
        return _from_name(name, _result_version(entry))
    parts = [entry.get(member) for member in ("networkName", "containerId", "ifName", "config")]
    network, container, ifname, packed = (part if isinstance(part, str) else None for part in parts)
    if network is None or container is None or ifname is None or packed is None:
        raise _BadEntryError("networkName, containerId, ifName or config is not a string")
    if name != f"{network}-{container}-{ifname}":
        network = ""  # containerd finds it by its name (libcni getCacheFilePath), CRI-O by this
    if network == LOOPBACK_NETWORK:
        return Sandbox(network, container, ifname, None)
    try:
        raw = base64.b64decode(packed, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _BadEntryError(f"its config is not base64: {error}") from error
    version, calls = (
        _added(raw, entry.get("result")) if libcni is None else _as_read_now(raw, libcni)
    )
    told = _arguments(entry)
    return Sandbox(network, container, ifname, version, _pod(told), calls, _of_kubernetes(told))


def _arguments(entry: dict[str, object]) -> dict[str, str]:
    """What the runtime told the plugins (CNI_ARGS)."""
    arguments = entry.get("cniArgs")
    found: dict[str, str] = {}
    for pair in arguments if isinstance(arguments, list) else ():
        if (
            isinstance(pair, list)
            and len(pair) == 2
            and all(isinstance(each, str) for each in pair)
        ):
            found[pair[0]] = pair[1]
    return found


def _pod(told: dict[str, str]) -> str:
    """namespace/name; empty without both."""
    namespace, name = told.get(_NAMESPACE), told.get(_POD)
    return f"{namespace}/{name}" if namespace and name else ""


def _of_kubernetes(told: dict[str, str]) -> bool | None:
    """Whether it is a pod; None where that cannot be told.

    CRI-O has always given the namespace (ocicni `ocicni.go` buildCNIRuntimeConf). podman from 3.4
    on gives the container's name alone (`libnetwork/cni/run.go`), and before, through ocicni as
    well, that name as the namespace too, and no UID.
    """
    namespace = told.get(_NAMESPACE)
    if not told or (namespace and namespace == told.get(_POD) and not told.get(_UID)):
        return None
    return bool(namespace)


def _result_version(result: dict[str, object]) -> str | None:
    """libcni up to 0.7.1 kept the bare result, whose version is that of the config of the ADD."""
    version = result.get("cniVersion")
    if version is not None and not isinstance(version, str):
        raise _BadEntryError("cniVersion is not a string")
    if version is None and not {"ip4", "ip6", "ips", "interfaces", "dns"} & result.keys():
        raise _BadEntryError(f"it is neither of kind {_KIND} nor a result")
    return version or None


def _as_read_now(raw: bytes, libcni: str) -> tuple[str | None, tuple[Called, ...]]:
    """The version at which that release deletes with a config, and whom it calls."""
    reading = _reading(raw, libcni)
    if reading.error is not None:
        raise _bad(reading)
    return UNKNOWN if _mixed(reading) else reading.version, reading.calls


def _added(raw: bytes, result: object) -> tuple[str | None, tuple[Called, ...]]:
    """At which version a config of an unknown libcni was used, UNKNOWN if not known; whom it calls.

    A plugin answers at the version at which it was called. Where there was none its result says
    0.1.0 or 0.2.0, or says none under libcni below 1.0 with plugins of that time.
    """
    readings = [_reading(raw, libcni) for libcni in (_OLDEST_LIBCNI, config.NEWEST_LIBCNI)]
    read = [each for each in readings if each.error is None]
    if not read:
        raise _bad(readings[-1])
    found = {each.version for each in read}
    mixed = any(map(_mixed, read))
    if len(found) == 1 and not mixed:
        return found.pop(), read[-1].calls
    said = result.get("cniVersion") if isinstance(result, dict) else None
    if not isinstance(said, str):
        return UNKNOWN, read[-1].calls
    if said not in found and not (mixed and versions.known(said)):
        versionless = None in found and said in ("0.1.0", "0.2.0")
        return None if versionless else UNKNOWN, read[-1].calls
    return said, read[-1].calls


def _mixed(reading: config.Config) -> bool:
    """Whether a key of a plugin's own tells it another version than the config's."""
    return any(
        each.key and each.at(reading.version) != (reading.version or "",) for each in reading.calls
    )


def _reading(raw: bytes, libcni: str) -> config.Config:
    """The config of the ADD, as that release reads it: a list, or a single plugin's config."""
    as_list = config.read("cached.conflist", raw, libcni)
    if as_list.error is None:
        return as_list
    alone = config.read("cached.conf", raw, libcni)
    return as_list if alone.error is not None else alone


def _bad(reading: config.Config) -> _BadEntryError:
    why = reading.error.message if reading.error is not None else ""
    return _BadEntryError(f"its config is none that libcni reads: {why}")
