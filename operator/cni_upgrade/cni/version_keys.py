"""Knows the keys that decide a config's version, however spelled and wherever they hide."""

from collections.abc import Callable
from dataclasses import replace

from cni_upgrade.cni import golang
from cni_upgrade.cni.document import Document, Member, Node


def versionless(document: Document, kind: str) -> Document:
    """Without what a rewrite replaces or removes, whatever it holds."""
    if kind != "conflist":
        return _stripped(document, lambda member: golang.fold(member.key) == "cniversion")
    members = tuple(
        replace(member, value=replace(member.value, items=tuple(map(bare, member.value.items))))
        if member.key == "plugins"
        else member
        for member in document.root.members
    )
    whole = replace(document, root=replace(document.root, members=members))
    return _stripped(whole, lambda member: member.key in ("cniVersion", "cniVersions"))


def bare(plugin: Node) -> Node:
    """A plugin's object without what keeps the list's version from reaching the plugin."""
    gone = overriding(plugin)
    return replace(plugin, members=tuple(each for each in plugin.members if each not in gone))


def _stripped(document: Document, goes: Callable[[Member], bool]) -> Document:
    members = tuple(member for member in document.root.members if not goes(member))
    return replace(document, root=replace(document.root, members=members))


def hidden_in_plugin(key: str) -> bool:
    """Whether a key of a plugin's object decides that plugin's version instead of the list's.

    libcni sets `cniVersion` in the object and writes it out with its keys sorted (`conf.go`
    InjectConf); the plugin, a Go program too, takes the last key that folds to it.
    """
    return golang.fold(key) == "cniversion" and key > "cniVersion"


def told_by(plugin: Node) -> Member | None:
    """The member that tells a plugin its version in place of the list's; None where that counts.

    Of several the last one once libcni has sorted them; `null` leaves what came before.
    """
    hidden = [
        member
        for member in golang.remarshalled(plugin).members
        if hidden_in_plugin(member.key) and member.value.kind == "string"
    ]
    return hidden[-1] if hidden else None


def overriding(plugin: Node) -> list[Member]:
    """The members of a plugin's object that keep the list's version from reaching the plugin.

    Those that are hidden in it, and those of a kind for which libcni loads nothing at all; of
    duplicates the last one counts.
    """
    last = {member.key: member.value.kind for member in plugin.members}
    return [
        member
        for member in plugin.members
        if golang.fold(member.key) == "cniversion"
        and (hidden_in_plugin(member.key) or last[member.key] not in ("string", "null"))
    ]


def deciding(document: Document, kind: str) -> list[str]:
    """The keys that decide the version besides one plain `cniVersion`."""
    keys = [member.key for member in document.root.members]
    if kind != "conflist":
        deciding = [key for key in keys if golang.fold(key) == "cniversion"]
        return deciding if len(deciding) > 1 or deciding not in ([], ["cniVersion"]) else []
    deciding = [key for key in keys if key == "cniVersion"]
    hidden = deciding if len(deciding) > 1 else []
    hidden += [key for key in keys if key == "cniVersions"]
    for member in document.root.members:
        if member.key == "plugins":
            for plugin in member.value.items:
                hidden += [each.key for each in plugin.members if hidden_in_plugin(each.key)]
    return hidden
