"""Folders of a host, found under the root where the host is mounted, and never outside it."""

import os
import stat
from collections.abc import Sequence
from dataclasses import replace

from cni_upgrade.agent import file_io
from cni_upgrade.agent.discovery import host_paths
from cni_upgrade.agent.discovery.host_paths import BrokenLinkError, resolve
from cni_upgrade.agent.protocol.paths import (
    BY_HAND_CONFIGS,
    BY_HAND_PLUGINS,
    PRESET,
    FoundPaths,
    Known,
    Paths,
)
from cni_upgrade.cni.findings import Code, Finding, Severity, shown
from cni_upgrade.cni.folder import loadable
from cni_upgrade.cni.runtime_config import Stated
from cni_upgrade.cni.value import dataclass

_OF_OTHERS = ("/var/lib/rancher/", "/var/snap/microk8s/")
"""Folders that no containerd reads but one of k3s, RKE2 or microk8s, which has a configuration."""


@dataclass(frozen=True, slots=True)
class Folders:
    """What exists: each folder as the host names it and where the agent opens it."""

    conf_dir: tuple[str, str] | None
    bin_dirs: tuple[tuple[str, str], ...]
    cache_dir: tuple[str, str] | None
    findings: tuple[Finding, ...]
    known: Known
    unread: Finding | None = None
    """Why it is not known which configs the runtime reads; then `conf_dir` is None."""
    unseen: str | None = None
    """The plugin folder that comes after `bin_dirs` and could not be looked at."""
    untold: str | None = None
    """The configuration that does not tell the plugin folders; then `bin_dirs` is empty."""

    def report(self) -> FoundPaths:
        """The `paths` member of a report."""
        return FoundPaths(
            conf_dir=self.conf_dir and self.conf_dir[0],
            bin_dirs=tuple(host for host, _ in self.bin_dirs),
            cache_dir=self.cache_dir and self.cache_dir[0],
            known=self.known,
        )


def find(
    root: str,
    paths: Paths,
    stated: Stated | None = None,
    elsewhere: Finding | None = None,
    default: str | None = None,
) -> Folders:
    """The folders that exist, each missing one that matters as a finding. Raises nothing.

    `paths` are candidates, and all that may be looked at. What the runtime's own configuration
    states, or its default where that is silent, is taken in their place, as far as it is among
    them. Candidates alone are the usual folders, and of configs in several of them none is taken:
    a folder that another installation has left must not be written to in place of the real one.
    Nor is one of them taken in place of the `default` of a runtime that has no configuration.
    Where the runtime's folders are not known (`elsewhere` says why), no candidate stands in.
    """
    findings: list[Finding] = []
    conf_dir, unread = _conf_dir(root, paths, stated or elsewhere, default, findings)
    bin_dirs, unseen = _bin_dirs(root, paths, stated or elsewhere, findings)
    untold = elsewhere.component if elsewhere is not None else None
    unseen, untold = (None, untold) if unseen == untold else (unseen, None)
    cache = look(root, paths.cache_dir)
    if isinstance(cache, Finding):
        findings.append(replace(cache, severity=Severity.WARNING))
    return Folders(
        conf_dir=conf_dir,
        bin_dirs=bin_dirs,
        cache_dir=(paths.cache_dir, cache) if isinstance(cache, str) else None,
        findings=tuple(findings),
        known=paths.known or _known(paths, stated),
        unread=unread,
        unseen=unseen,
        untold=untold,
    )


def _known(paths: Paths, stated: Stated | None) -> Known:
    source = stated.source if stated else PRESET
    if paths.by_hand:
        hand = " and ".join(paths.by_hand)
        source = hand if len(paths.by_hand) > 1 else f"{hand}; the rest: {source}"
    if stated is None:
        return Known(source)
    return Known(
        source,
        stated.max_conf_num,
        stated.default_network,
        stated.conf_template,
        stated.internal_loopback,
    )


def _conf_dir(
    root: str,
    paths: Paths,
    stated: Stated | Finding | None,
    default: str | None,
    findings: list[Finding],
) -> tuple[tuple[str, str] | None, Finding | None]:
    """The folder of configs, or why it is not known what the runtime reads."""
    candidates = paths.conf_dirs
    if paths.known is None and BY_HAND_CONFIGS not in paths.by_hand:
        if isinstance(stated, Finding):
            return None, stated
        if stated is not None:
            allowed, refused = _allowed(root, (stated.conf_dir,), candidates, "confDirs")
            if refused is not None:
                return None, refused
            candidates = allowed
        else:
            return _usual_conf_dir(root, candidates, default, findings)
    return _first_conf_dir([(host, look(root, host)) for host in candidates], findings)


def _usual_conf_dir(
    root: str, candidates: Sequence[str], default: str | None, findings: list[Finding]
) -> tuple[tuple[str, str] | None, Finding | None]:
    """Of the usual folders the one that holds configs; the first that exists where none does.

    Beside the runtime's default one that holds none, another one that does is a leftover.
    """
    if default is not None and default not in candidates:
        candidates = [each for each in candidates if not each.startswith(_OF_OTHERS)]
        if not candidates:
            return None, _allowed(root, (default,), (), "confDirs")[1]
    looked = [(host, look(root, host)) for host in candidates]
    holding = [(host, place) for host, place in looked if place and _may_hold_configs(place)]
    usual = [(host, place) for host, place in looked if host == default]
    if usual and usual[0][1] not in [place for _, place in holding]:
        return _first_conf_dir(usual, findings)
    if len({place for _, place in holding}) <= 1:
        return _first_conf_dir(holding or looked, findings)
    shown = " and ".join(host for host, _ in holding)
    return None, Finding(
        Code.FOLDER_AMBIGUOUS,
        Severity.FAULT,
        shown,
        f"there are, or may be, configs in {shown}, and no configuration of the runtime could be "
        "read that says which of these it uses: none is looked at",
        "remove what the runtime does not use, or name its folder: spec.paths of the policy, or "
        "--config-dir",
    )


def _first_conf_dir(
    looked: Sequence[tuple[str, str | Finding | None]], findings: list[Finding]
) -> tuple[tuple[str, str] | None, Finding | None]:
    for host, place in looked:
        if isinstance(place, Finding):
            return None, place
        if place is not None:
            return (host, place), None
    findings.append(
        _missing(
            [host for host, _ in looked],
            "no network is configured on this node",
            "install a network, or name the folder that the runtime reads",
        )
    )
    return None, None


def _may_hold_configs(place: str | Finding) -> bool:
    """Whether libcni would find a file to load there; a folder that cannot be read may hold one."""
    if isinstance(place, Finding):
        return True
    try:
        with file_io.opened_folder(place) as folder:
            return bool(loadable(file_io.names(folder)))
    except OSError:
        return True


def _bin_dirs(
    root: str, paths: Paths, stated: Stated | Finding | None, findings: list[Finding]
) -> tuple[tuple[tuple[str, str], ...], str | None]:
    """The plugin folders in order, up to the first that cannot be looked at, and that one.

    What follows that one is not used: the runtime might find a plugin of the same name before it.
    """
    candidates, unseen = paths.bin_dirs, None
    if paths.known is None and BY_HAND_PLUGINS not in paths.by_hand and stated is not None:
        if isinstance(stated, Finding):
            findings.append(stated)
            return (), stated.component
        candidates, refused = _allowed(root, stated.bin_dirs, candidates, "binDirs")
        if refused is not None:
            findings.append(refused)
            unseen = refused.component
    found: list[tuple[str, str]] = []
    for host in candidates:
        place = look(root, host, broken_is_none=not root)
        if isinstance(place, Finding):
            findings.append(place)
            return tuple(found), host
        if place is not None:
            found.append((host, place))
    if not found and unseen is None:
        findings.append(
            _missing(
                candidates,
                "no plugin can be found",
                "install the plugins, or name the folder that the runtime uses",
            )
        )
    return tuple(found), unseen


def _allowed(
    root: str, stated: Sequence[str], candidates: Sequence[str], member: str
) -> tuple[tuple[str, ...], Finding | None]:
    """The candidates that the runtime names, in its order, up to the first that is none.

    A folder counts as a candidate under another name too, for k3s names data/<hash>/bin where
    data/current leads.
    """
    real = {host_paths.real(root, candidate): candidate for candidate in reversed(candidates)}
    taken: list[str] = []
    for folder in stated:
        plain = f"/{folder.strip('/')}"
        candidate = plain if plain in candidates else real.get(host_paths.real(root, plain))
        if candidate is None:
            return tuple(taken), Finding(
                Code.FOLDER_NOT_ALLOWED,
                Severity.WARNING if taken else Severity.FAULT,
                shown(folder, 200),
                f"the runtime uses {shown(folder, 200)}, which is not among the folders that may "
                f"be looked at: {', '.join(candidates) or '(none)'}",
                f"add it to {member} in the operator's configuration (and to what the "
                "admission policy lets an agent mount), or give it to cni-upgrade by hand",
            )
        taken.append(candidate)
    return tuple(taken), None


def look(root: str, host: str, broken_is_none: bool = False) -> str | Finding | None:
    """Where that folder is, None where there is none, a finding where that cannot be told.

    A link that leads nowhere may do so beneath a root alone, where its target is not mounted.
    """
    try:
        real = resolve(root, host)
        return real if stat.S_ISDIR(os.lstat(real).st_mode) else None
    except BrokenLinkError as error:
        if broken_is_none:
            return None
        return Finding(
            Code.FOLDER_MISSING,
            Severity.FAULT,
            host,
            f"{host} is or holds a link to {error.target}, which is not there",
            "mount the link's target as well, or mend the link",
        )
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        return Finding(
            Code.FOLDER_MISSING,
            Severity.FAULT,
            host,
            f"{host} cannot be reached: {error.strerror}",
            "see why the agent may not look there",
        )


def seen(root: str, host: str) -> bool:
    """Whether a folder that is not there is surely none of the host's.

    Where parts of the host are mounted beneath the root, the folders that lead to them are of the
    root's own file system, and tell nothing of what else the host has there.
    """
    above, place = host, look(root, host)
    while place is None and above:
        above = above.rpartition("/")[0]
        place = look(root, above or "/")
    return isinstance(place, str) and os.lstat(place).st_dev != os.lstat(root).st_dev


def _missing(candidates: Sequence[str], effect: str, action: str) -> Finding:
    shown = ", ".join(candidates) or "(none that may be looked at)"
    return Finding(
        Code.FOLDER_MISSING,
        Severity.FAULT,
        shown,
        f"none of these folders is there: {shown}; {effect}",
        action,
    )
