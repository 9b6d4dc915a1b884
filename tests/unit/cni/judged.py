"""A node with one file, judged: what the tests of verdicts ask about, in few words."""

from collections.abc import Mapping, Sequence

from cni_upgrade.cni import config
from cni_upgrade.cni.facts import Support
from cni_upgrade.cni.findings import Severity
from cni_upgrade.cni.verdict import Facts, Judgement, Sandbox, Target, judge
from tests.unit.cni import samples

NAME = "10-containerd-net.conflist"

NEW = samples.plugins("1.1.0")
OLD = samples.plugins("0.4.0")


def pods(*added: str | None) -> list[Sandbox]:
    return [
        Sandbox("containerd-net", f"c{place}", "eth0", version)
        for place, version in enumerate(added)
    ]


def node(
    runtime: str,
    version: str | None,
    plugins: Mapping[str, Support],
    running: Sequence[Sandbox] = (),
    target: Target | None = None,
    data: bytes | None = None,
    name: str = NAME,
    managed_files: str = "Skip",
) -> Judgement:
    """A node with one file: the bridge list at a version, or other bytes."""
    read = config.read(name, samples.bridge(version) if data is None else data)
    return judge(Facts(runtime, [read], plugins, running, managed_files), target or Target())


def codes(judgement: Judgement, severity: Severity | None = None) -> list[str]:
    return [f.code for f in judgement.findings if severity in (None, f.severity)]
