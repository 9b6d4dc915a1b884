"""Knows plugins that hand the config to a daemon, which refuses versions that the binary takes.

VERSION is answered by the binary alone. Read in the source, not run:
- antrea's agent takes the versions of a list, and a missing one is not among them; the binary takes
  that for 0.1.0 (antrea-io/antrea `pkg/agent/cniserver/server.go` validateRequestMessage and
  isCNIVersionSupported, at ADD, CHECK and DEL).
"""

from collections.abc import Iterator, Sequence

from cni_upgrade.cni.facts import Support

REFUSE_NO_VERSION = {"antrea": "antrea's agent"}
"""By plugin: the daemon that refuses a config with no version."""


def refusals(chain: Sequence[Support], version: str | None) -> Iterator[str]:
    """The daemons of a chain that most likely refuse the version, as a doubt says it."""
    for support in chain:
        daemon = REFUSE_NO_VERSION.get(support.type)
        called = support.called.at(version) if support.called else (version or "",)
        if daemon and "" in called:
            yield (
                f"{support.type} takes a config with no version, and {daemon} most likely refuses "
                "it at ADD and DEL (Unsupported CNI version []): that was read in its source, and "
                "not run"
            )
