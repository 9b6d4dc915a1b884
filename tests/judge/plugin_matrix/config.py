"""Makes the list of a chain at a version, with names and addresses that no other config has."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.judge.plugin_matrix import chains
from tests.judge.plugin_matrix.chains import DUAL, TWICE, V4, V6, Chain, Entry


@dataclass(frozen=True)
class Place:
    """Whose config it is: its number among those of a node, and the node's folders."""

    number: int
    data_dir: str
    bin_dir: str

    @property
    def network(self) -> str:
        """The name of the network."""
        return f"net{self.number}"

    def subnets(self, addresses: str) -> list[str]:
        """One for each address of a pod."""
        high, low = 64 + self.number // 256, self.number % 256
        v4, v6 = f"10.{high}.{low}.0/24", f"fd00:{high:x}:{low:x}::/64"
        second = f"10.{high + 64}.{low}.0/24"
        return {V4: [v4], V6: [v6], DUAL: [v4, v6], TWICE: [v4, second]}[addresses]


def text(chain: Chain, version: str | None, addresses: str, place: Place) -> bytes:
    """The whole file."""
    stated: dict[str, object] = {} if version is None else {"cniVersion": version}
    stated["name"] = place.network
    if chain.disable_check:
        stated["disableCheck"] = True
    first, *others = chain.plugins
    ipam = _ipam(chain, addresses, place)
    entries = [_with_ipam(first, ipam), *others]
    filled = [_filled(each, place) for each in entries]
    return json.dumps({**stated, "plugins": filled}, indent=2).encode()


def _with_ipam(entry: Entry, ipam: Entry | None) -> Entry:
    """Of the plugin itself, or of the one that it delegates to."""
    if ipam is None:
        return entry
    if "plugins" in entry:
        first, *others = entry["plugins"]
        return {**entry, "plugins": [_with_ipam(first, ipam), *others]}
    if "delegates" in entry:
        return {**entry, "delegates": [_with_ipam(each, ipam) for each in entry["delegates"]]}
    return {**entry, "ipam": ipam}


def _ipam(chain: Chain, addresses: str, place: Place) -> Mapping[str, Any] | None:
    subnets = place.subnets(addresses)
    routes = chain.routes
    if routes is None:
        families = dict.fromkeys("::/0" if ":" in each else "0.0.0.0/0" for each in subnets)
        routes = tuple({"dst": each} for each in families)
    if chain.ipam == chains.HOST_LOCAL:
        return {
            "type": "host-local",
            "ranges": [[{"subnet": each}] for each in subnets],
            "routes": list(routes),
            "dataDir": place.data_dir,
        }
    if chain.ipam == chains.STATIC:
        given = [
            {"address": _host(each, 7), "gateway": _host(each, 1).partition("/")[0]}
            for each in subnets
        ]
        return {"type": "static", "addresses": given, "routes": list(routes)}
    if chain.ipam == chains.FLANNEL:
        return {"dataDir": place.data_dir}
    return {} if chain.ipam == chains.EMPTY else None


def subnet_file(place: Place) -> str:
    """What flanneld would tell flannel of the node."""
    [subnet] = place.subnets(V4)
    return (
        f"FLANNEL_NETWORK=10.0.0.0/8\nFLANNEL_SUBNET={_host(subnet, 1)}\n"
        "FLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n"
    )


def _host(subnet: str, number: int) -> str:
    """An address of the subnet, with its length."""
    base, _, length = subnet.partition("/")
    return f"{base.removesuffix('0')}{number}/{length}"


def _filled(value: Any, place: Place) -> Any:
    """With the config's own number, and its folders, in every string."""
    if isinstance(value, str):
        for mark, meant in (
            ("{n}", str(place.number)),
            ("{h}", str(64 + place.number // 256)),
            ("{l}", str(place.number % 256)),
            ("{bin}", place.bin_dir),
            ("{data}", place.data_dir),
        ):
            value = value.replace(mark, meant)
        return value
    if isinstance(value, Mapping):
        return {key: _filled(each, place) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_filled(each, place) for each in value]
    return value
