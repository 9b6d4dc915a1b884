"""Reads the plugins that libcni from 1.3.0 on adds to a list from the folder named as its network.

Source: libcni `libcni/conf.go` (NetworkPluginConfsFromFiles).
"""

from collections.abc import Mapping

from cni_upgrade.cni import golang
from cni_upgrade.cni.document import DocumentError, Node, TooDeepError, parse
from cni_upgrade.cni.findings import Code, shown
from cni_upgrade.cni.not_loaded import NotLoadedError

Inline = Mapping[str, bytes | str]
"""The `.conf` files of the folder that is named as the network; a string says why one cannot be
read, under the name "" why the folder cannot: an `Unread` where that may hold of us alone."""


class Unread(str):
    """Why we did not read what libcni may well read: our limits, our rights, what is mounted."""

    __slots__ = ()


def inline_plugins(inline: Inline, libcni: tuple[int, int, int]) -> list[tuple[str, Node]]:
    """Each file decoded once as it stands, in the order of names."""
    plugins: list[tuple[str, Node]] = []
    if reason := inline.get(""):
        why = f"the folder of its name: {reason!s}"
        raise NotLoadedError(Code.INLINE_FOLDER, why, isinstance(reason, Unread))
    for name in sorted(inline, key=lambda each: each.encode("utf-8", "surrogateescape")):
        if not name.endswith(".conf"):
            continue
        data = inline[name]
        if isinstance(data, str):
            why = f"inlined {shown(name)}: {data}"
            raise NotLoadedError(Code.INLINE_FOLDER, why, isinstance(data, Unread))
        try:
            node = parse(data).root
            if not golang.plugin_conf(node, libcni).type:
                raise NotLoadedError(Code.MISSING_TYPE, f"inlined {shown(name)}: missing 'type'")
        except (DocumentError, golang.DecodeError) as error:
            why, deep = f"inlined {shown(name)}: {error}", isinstance(error, TooDeepError)
            raise NotLoadedError(Code.INLINE_FOLDER, why, deep) from None
        plugins.append((name, node))
    return plugins
