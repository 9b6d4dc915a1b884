"""A TOML file of a runtime's configuration on the host."""

from cni_upgrade.agent.discovery import host_files
from cni_upgrade.cni.toml_members import Document, RuntimeConfigError

MOST_FILES = 64
"""How many of them one configuration may have."""


def read(root: str, path: str) -> Document | None:
    """What the file says; None where there is none. Raises RuntimeConfigError, HostFileError."""
    data = host_files.read(root, path)
    if data is None:
        return None
    import tomllib  # 12 ms that only a node with such a file pays

    try:
        return tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise RuntimeConfigError(f"{path}: is not TOML: {error}") from error
