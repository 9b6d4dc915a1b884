"""Makes room for file watches: the kernel's default for one user ends at some four clusters."""

from __future__ import annotations

from pathlib import Path

from tests.cluster.progress import say

_LIMIT = Path("/proc/sys/fs/inotify/max_user_instances")
# A node holds about seven: kubelet, runtime, and what they watch.
_WANTED = 1024


def ensure() -> None:
    """Raise the limit of this machine until it is next started; it costs nothing unused."""
    if int(_LIMIT.read_text()) < _WANTED:
        say(f"raising fs.inotify.max_user_instances to {_WANTED}")
        _LIMIT.write_text(str(_WANTED))
