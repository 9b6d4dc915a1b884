"""Says whether one config file may take another's place while the runtime reads the folder.

The new file lands before the old one goes, so both are there for a moment. Asked is what the
runtime would load then, and afterwards, by the same rules as today (`folder`): always this network,
in this place, once. Nothing else decides it: `x.conf` sorts right before `x.conflist` and `x.json`
after it, other names may sort in between, CRI-O takes the first of two files of one network
(ocicni `ocicni.go` loadNetworks), and containerd loads both where it is told to load several.
"""

from collections.abc import Callable, Sequence

from cni_upgrade.cni.config import Config
from cni_upgrade.cni.findings import shown

Load = Callable[[Sequence[Config]], Sequence[Config]]
"""What the runtime would load of a folder that holds these files."""


def list_name(name: str) -> str:
    """What the list is called that takes the place of a single-plugin config."""
    return f"{name.rpartition('.')[0]}.conflist"


def obstacle(load: Load, configs: Sequence[Config], old: Config, new: Config) -> str | None:
    """Why `new` must not take the place of `old` in this folder; None when it may."""
    others = [each for each in configs if each.name not in (old.name, new.name)]
    today = _names(load([*others, old]))
    meanwhile = _names(load([*others, old, new]))
    then = _names(load([*others, new]))
    if any(meanwhile == _with(today, old.name, name) for name in (old.name, new.name)):
        if then == _with(today, old.name, new.name):
            return None
        instead = next((name for name in then if name not in (*today, new.name)), "none")
        return (
            f"without {shown(old.name)} the runtime would load {shown(instead)} in its place, "
            f"which sorts before {shown(new.name)}"
        )
    if old.name in meanwhile and new.name in meanwhile:
        return (
            f"the runtime is told to load several files, and would load both {shown(old.name)} and "
            f"{shown(new.name)} for a moment: a pod of that moment would join the network twice"
        )
    return f"the runtime would load {', '.join(map(shown, meanwhile)) or 'nothing'} for a moment"


def _names(files: Sequence[Config]) -> list[str]:
    return [each.name for each in files]


def _with(names: list[str], old: str, new: str) -> list[str]:
    return [new if name == old else name for name in names]
