"""The folders of a host: where to look, where things were found, and how that is known."""

from dataclasses import field

from cni_upgrade.agent.protocol.json_members import Members
from cni_upgrade.cni.value import dataclass

PRESET = "preset"
"""Folders that are known from the operator's configuration alone."""

BY_HAND_CONFIGS, BY_HAND_PLUGINS = "--config-dir", "--bin-dir"
"""What a person may name, as the options are spelled."""


@dataclass(frozen=True, slots=True)
class Known:
    """How the folders are known, and what the runtime's own configuration says beside them."""

    source: str = PRESET
    """preset, or `runtime config` with its files."""
    max_conf_num: int | None = None
    default_network: str | None = None
    conf_template: str | None = None
    internal_loopback: bool = False

    @property
    def usual_plugins(self) -> bool:
        """Whether the plugin folders are the usual ones: neither the runtime's word nor a person's.

        The source tells it of an earlier look, too.
        """
        return self.source.endswith(PRESET) and BY_HAND_PLUGINS not in self.source

    @classmethod
    def read(cls, members: Members) -> "Known":
        """From the `paths` member of an operation or a report; all of it may be absent."""
        return cls(
            source=members.text_or_none("source") or PRESET,
            max_conf_num=members.count_or_none("maxConfNum"),
            default_network=members.text_or_none("defaultNetwork"),
            conf_template=members.text_or_none("confTemplate"),
            internal_loopback=members.flag("internalLoopback", default=False),
        )

    def to_json(self) -> dict[str, object]:
        """Members of `paths`; what the configuration does not say is left out."""
        members = {
            "source": self.source,
            "maxConfNum": self.max_conf_num,
            "defaultNetwork": self.default_network,
            "confTemplate": self.conf_template,
            "internalLoopback": self.internal_loopback or None,
        }
        return {name: value for name, value in members.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Paths:
    """Where to look on the node, as the host names its folders; all absolute."""

    conf_dirs: tuple[str, ...] = ("/etc/cni/net.d",)
    bin_dirs: tuple[str, ...] = ("/opt/cni/bin", "/usr/lib/cni")
    cache_dir: str = "/var/lib/cni"
    state_dir: str = "/var/lib/cni-upgrade"
    known: Known | None = None
    """What an earlier look found out; then the folders are used as they are, in this order."""
    delegate_dirs: tuple[str, ...] = ()
    """With `known`: where that look has found plugins that multus runs from a folder of its own."""
    by_hand: tuple[str, ...] = ()
    """Which of the folders a person has named; these are used as they are. No part of an operation
    that is sent."""

    @classmethod
    def read(cls, members: Members) -> "Paths":
        """From the `paths` member of an operation. Raises MemberError for a path that is not
        absolute or climbs with `..`: the folders come from an allow-list of whole paths."""
        paths = cls(
            conf_dirs=members.folders("confDirs"),
            bin_dirs=members.folders("binDirs"),
            cache_dir=members.folder("cacheDir"),
            state_dir=members.folder("stateDir"),
            known=Known.read(members) if members.text_or_none("source") else None,
            delegate_dirs=members.folders("delegateDirs"),
        )
        if not paths.conf_dirs:
            raise members.wrong("confDirs", "at least one folder")
        return paths

    def to_json(self) -> dict[str, object]:
        """The `paths` member of an operation."""
        return {
            "confDirs": list(self.conf_dirs),
            "binDirs": list(self.bin_dirs),
            "cacheDir": self.cache_dir,
            "stateDir": self.state_dir,
            **(self.known.to_json() if self.known else {}),
            **_of_delegates(self.delegate_dirs),
        }


@dataclass(frozen=True, slots=True)
class FoundPaths:
    """The folders that exist, as the host names them; None for one that does not."""

    conf_dir: str | None
    bin_dirs: tuple[str, ...]
    cache_dir: str | None
    known: Known = field(default_factory=Known)
    delegate_dirs: tuple[str, ...] = ()

    @classmethod
    def read(cls, members: Members) -> "FoundPaths":
        """From the `paths` member of a report."""
        return cls(
            members.folder_or_none("confDir"),
            members.folders("binDirs"),
            members.folder_or_none("cacheDir"),
            Known.read(members),
            members.folders("delegateDirs"),
        )

    def to_json(self) -> dict[str, object]:
        """The `paths` member of a report."""
        return {
            "confDir": self.conf_dir,
            "binDirs": list(self.bin_dirs),
            "cacheDir": self.cache_dir,
            **self.known.to_json(),
            **_of_delegates(self.delegate_dirs),
        }


def _of_delegates(folders: tuple[str, ...]) -> dict[str, object]:
    return {"delegateDirs": list(folders)} if folders else {}
