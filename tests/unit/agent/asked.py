"""Asks the plugins of a host in a folder, as an audit does, and names what is wrong with one."""

from cni_upgrade.agent.plugins import probe
from cni_upgrade.cni.facts import Support
from tests.unit.agent.host import Host


def ask(host: Host, *types: str) -> dict[str, Support]:
    return probe.probe(str(host.root), [("/opt/cni/bin", str(host.bin))], types, "1.0.0")


def code(support: Support) -> str:
    assert support.finding is not None
    return str(support.finding.code)
