"""The sandboxes that run, read from libcni's results cache: at which version each was added.

libcni writes `<cacheDir>/results/<network>-<containerID>-<ifname>` on ADD and removes it on a
DEL that went well (`libcni/api.go` cacheAdd, cacheDel), so an entry is a deletion still to come.
From libcni 0.8.0 on it is an envelope of kind cniCacheV1 with the config of the ADD in base64; up
to 0.7.1 it is the plugin's result itself. Read-only, here as everywhere.
"""

import base64
import binascii
import json
import re
from collections import Counter
from collections.abc import Iterable

from cni_upgrade.cni import config
from cni_upgrade.cni.facts import UNKNOWN, Sandbox
from cni_upgrade.cni.findings import Code, Finding, Severity
from cni_upgrade.cni.node import LOOPBACK_NETWORK
from cni_upgrade.node import files
from cni_upgrade.node.folders import BrokenLinkError, resolve

MISSING = "missing"

_FOLDER = "results"
_KIND = "cniCacheV1"
_NAME = re.compile(r"(?P<network>.+)-(?P<container>[0-9a-f]{12,64})-(?P<ifname>[^-]+)")


class _BadEntryError(ValueError):
    pass


def read(root: str, cache_dir: str) -> tuple[list[Sandbox], list[Finding]]:
    """Every entry of the cache but the loopback's, in the order of names; broken ones as findings.

    `cache_dir` as the host names it. A broken entry still counts as a sandbox, of an unknown
    version, and so does a whole cache that cannot be read, be it that a link leads to what is not
    mounted: there is no telling which pods run. Raises nothing.
    """
    try:
        with files.opened_folder(resolve(root, f"{cache_dir}/{_FOLDER}")) as folder:
            return _entries(folder)
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


def _entries(folder: int) -> tuple[list[Sandbox], list[Finding]]:
    sandboxes: list[Sandbox] = []
    findings: list[Finding] = []
    for name in files.names(folder):
        if name.startswith(f"{LOOPBACK_NETWORK}-"):
            continue
        try:
            sandboxes.append(_sandbox(name, files.read_file(folder, name)))
        except FileNotFoundError:
            continue  # deleted between the listing and the reading
        except (OSError, files.UnreadableError, _BadEntryError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            findings.append(_unreadable(name, f"the entry of the results cache: {reason}"))
            sandboxes.append(_from_name(name, UNKNOWN))
    return sandboxes, findings


def _unreadable(name: str, message: str) -> Finding:
    return Finding(
        Code.CACHE_UNREADABLE,
        Severity.WARNING,
        name,
        message,
        "see which pod it belongs to; libcni meets the same entry when it is deleted",
    )


def _from_name(name: str, version: str | None) -> Sandbox:
    match = _NAME.fullmatch(name)
    if match is None:
        return Sandbox("", name, "", version)
    return Sandbox(match["network"], match["container"], match["ifname"], version)


def _sandbox(name: str, data: bytes) -> Sandbox:
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
    try:
        raw = base64.b64decode(packed, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _BadEntryError(f"its config is not base64: {error}") from error
    added = _config(raw)
    return Sandbox(network, container, ifname, added.version, _pod(entry), added.calls)


def _pod(entry: dict[str, object]) -> str:
    """namespace/name as the runtime gave them to the plugins (CNI_ARGS); empty without both."""
    arguments = entry.get("cniArgs")
    found: dict[str, str] = {}
    for pair in arguments if isinstance(arguments, list) else ():
        if (
            isinstance(pair, list)
            and len(pair) == 2
            and all(isinstance(each, str) for each in pair)
        ):
            found[pair[0]] = pair[1]
    namespace, name = found.get("K8S_POD_NAMESPACE"), found.get("K8S_POD_NAME")
    return f"{namespace}/{name}" if namespace and name else ""


def _result_version(result: dict[str, object]) -> str | None:
    """libcni up to 0.7.1 kept the bare result, whose version is that of the config of the ADD."""
    version = result.get("cniVersion")
    if version is not None and not isinstance(version, str):
        raise _BadEntryError("cniVersion is not a string")
    if version is None and not {"ip4", "ip6", "ips", "interfaces", "dns"} & result.keys():
        raise _BadEntryError(f"it is neither of kind {_KIND} nor a result")
    return version or None


def _config(raw: bytes) -> config.Config:
    """The config of the ADD: a list, or a single plugin's config."""
    as_list = config.read("cached.conflist", raw)
    if as_list.error is None:
        return as_list
    alone = config.read("cached.conf", raw)
    if alone.error is None:
        return alone
    raise _BadEntryError(f"its config is none that libcni reads: {as_list.error.message}")
