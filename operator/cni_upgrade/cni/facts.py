"""Holds what is known of one node and what is wanted of it: all that a verdict is made from."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Literal

from cni_upgrade.cni import versions
from cni_upgrade.cni.chain import Called
from cni_upgrade.cni.config import Config
from cni_upgrade.cni.findings import Finding
from cni_upgrade.cni.value import dataclass

Source = Literal["VERSION", "buildinfo", "unknown", "missing"]

UNKNOWN = "unknown"
"""The version of a sandbox whose cache entry does not tell it."""


@dataclass(frozen=True, slots=True)
class Support:
    """Which versions one binary supports, and how that is known.

    `supported` is what the binary itself said and is all that a rewrite relies on. `max` alone
    (source buildinfo) is an upper bound: the library linked reads that much, the binary may not.
    """

    type: str
    supported: tuple[str, ...] | None = None
    max: str | None = None
    source: Source = "unknown"
    finding: Finding | None = None
    libcni: str | None = None
    """The release that is built into it, asked of multus alone; None where that is not known."""
    called: Called | None = None
    """In the chain of a config: at which version it is called there."""

    interpreter: str = ""
    """What the first line of a script names after `#!`; empty of a compiled one."""

    path: str = ""
    """Where it stands, if that is a folder of multus' own."""

    release: str | None = None
    """The release of containernetworking/plugins that it was built from; None if not known."""

    @property
    def label(self) -> str:
        """How messages call it: another copy may be the runtime's."""
        return self.path or self.type

    @classmethod
    def told(cls, binary: str, supported: Sequence[str]) -> "Support":
        """What a binary answered to VERSION."""
        return cls(binary, tuple(supported), versions.highest(supported), "VERSION")

    def takes(self, version: str | None) -> bool | None:
        """Whether the binary takes a config at that version; None when it is not known.

        String equality, a missing version counting as 0.1.0 (libcni `pkg/version/reconcile.go`,
        `conf.go` Decode). One that is called at another version than the config's takes it if it
        takes the other one.
        """
        if self.called is None:
            return self._takes(version)
        answers = {self._takes(each) for each in self.called.at(version)}
        return answers.pop() if len(answers) == 1 else None

    def _takes(self, version: str | None) -> bool | None:
        if self.supported is None:
            if self.source == "missing":
                return False
            above = (
                self.max is not None
                and version is not None
                and versions.known(version)
                and versions.order(version) > versions.order(self.max)
            )
            return False if above else None
        return (version or versions.IMPLIED) in self.supported


@dataclass(frozen=True, slots=True)
class Sandbox:
    """One running pod's attachment to a network, and the version at which it was added."""

    network: str
    """Empty where an entry of the results cache does not even tell that."""
    container_id: str
    ifname: str
    version: str | None
    """None where it was added with no version; UNKNOWN where that cannot be read."""
    pod: str = ""
    """namespace/name, empty where that is not known."""
    calls: tuple[Called, ...] | None = None
    """The binaries of the config of the ADD; None where they are not known."""
    of_kubernetes: bool | None = None
    """Whether what its plugins were told names a pod of Kubernetes; None if not known."""

    def may_be_on(self, network: str | None) -> bool:
        """Whether it is on that network, as far as that is known."""
        return self.network in ("", network)


def by_owner(
    network: str | None, sandboxes: Iterable[Sandbox]
) -> tuple[list[Sandbox], list[Sandbox], list[Sandbox]]:
    """What the node's pods have, what they may have, and what other engines have.

    The results cache is one folder for all engines of a node: podman keeps its own there too. A
    container is a pod where one of its entries says so or is on that network, whichever the others
    are on; it is none only where each of them says that.
    """
    known = list(sandboxes)
    pods = {each.container_id for each in known if each.may_be_on(network) or each.of_kubernetes}
    perhaps = {each.container_id for each in known if each.of_kubernetes is None} - pods
    return (
        [each for each in known if each.container_id in pods],
        [each for each in known if each.container_id in perhaps],
        [each for each in known if each.container_id not in pods | perhaps],
    )


@dataclass(frozen=True, slots=True)
class Facts:
    """One node: its runtime as Kubernetes names it, its files, its binaries, its running pods."""

    runtime: str
    configs: Sequence[Config]
    plugins: Mapping[str, Support]
    sandboxes: Sequence[Sandbox] = ()
    managed_files: str = "Skip"
    max_conf_num: int = 1
    default_network: str | None = None
    conf_template: str | None = None
    """The template from which containerd makes a config where it can load none."""
    conf_dir: str | None = None
    """The config folder as the host names it."""
    names: Collection[str] = ()
    """Everything that stands in the config folder, what libcni does not load included."""
    without_cni: str | None = None
    """What gives pods their network in place of CNI, as far as it is known for certain."""
    libcni: str | None = None
    """What the runtime carries, where somebody says so whom the table of runtimes does not know."""
    internal_loopback: bool = False
    """containerd is told to bring up the loopback itself."""
    unread: Finding | None = None
    """Why it is not known which configs the runtime reads; then there are none here."""
    check_doubted: bool = True
    """Whether a CHECK of which nothing is known makes a creation unknown. Not where that is asked
    apart (`unanswered`)."""


@dataclass(frozen=True, slots=True)
class Target:
    """The version to reach and how strictly, as in docs/reference/agent-protocol.md."""

    version: str = "1.0.0"
    selection: str = "HighestCompatible"
    """HighestCompatible or Exact."""
    rewrite: str = "ToTarget"
    """ToTarget or OnlyFaulty."""
    form: str = "Keep"
    """Keep, or List: a single-plugin config that is brought to the target becomes a list."""
