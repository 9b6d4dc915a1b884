"""Judges the config in a ConfigMap for all nodes that get their file from it.

The same judgement as of a file on a node, asked once for each kind of node (runtime, plugins, pods
that run now): the ConfigMap holds one version, so it is to be one that every node takes. A version
is proposed only where everything that it depends on is known.
"""

import json
from collections.abc import Sequence
from dataclasses import replace

from cni_upgrade.cni import compat, config, golang, placeholders, rewrite, runtimes, versions
from cni_upgrade.cni.config import Config
from cni_upgrade.cni.document import DocumentError, parse
from cni_upgrade.cni.facts import Facts, Sandbox, Support, Target
from cni_upgrade.cni.findings import Code, Finding, Severity, shown
from cni_upgrade.cni.judgement import Action
from cni_upgrade.cni.node import LOOPBACK, Node
from cni_upgrade.cni.patch import pointer
from cni_upgrade.cni.sources import Source
from cni_upgrade.cni.value import dataclass
from cni_upgrade.cni.verdict import Judgement, judge

_MOST_FINDINGS = 5


@dataclass(frozen=True, slots=True)
class User:
    """Nodes that are alike, by one of them."""

    node: str
    runtime: str
    """As Kubernetes names it, e.g. containerd://1.6.2."""
    plugins: tuple[Support, ...] = ()
    sandboxes: tuple[tuple[str | None, int], ...] = ()
    """(version at which they were added, how many) of the pods that run on that node."""
    master: str | None = None
    """The cniVersion of the file that multus delegates to; None where there is none."""

    def facts(self, read: Config) -> Facts:
        """The node as if the config were its only file, and nobody's."""
        pods = [
            Sandbox(read.network or "", f"{place}-{number}", "eth0", version)
            for place, (version, many) in enumerate(self.sandboxes)
            for number in range(many)
        ]
        plugins = {each.type: each for each in self.plugins}
        # What a ConfigMap holds changes nothing about the loopback: the node's own report has it.
        plugins[LOOPBACK] = Support.told(LOOPBACK, versions.KNOWN)
        return Facts(self.runtime, (read,), plugins, pods, managed_files="Override")


@dataclass(frozen=True, slots=True)
class SourceJudgement:
    """What is wrong with the config in a ConfigMap, and the text that would be right."""

    network: str | None
    version: str | None
    to: str | None
    """The version to write; equal to `version` when nothing is to be done, None when refused."""
    action: Action
    """None, Rewrite or Refuse."""
    why: str
    findings: tuple[Finding, ...] = ()
    """Faults first; those of one node's kind begin with the name of such a node."""
    text: str | None = None
    """The whole new text of the key; None unless it is to be rewritten."""
    diff: str = ""


class _RefusedError(Exception):
    """The text cannot be judged; carries the finding that says why."""

    def __init__(self, finding: Finding) -> None:
        self.finding = finding
        super().__init__(f"{finding.code}: {finding.message}")


def judge_source(
    source: Source, text: str, users: Sequence[User], target: Target
) -> SourceJudgement:
    """Judge one key's text for the nodes that use it.

    Raises UnknownVersionError when the target is no released version.
    """
    versions.order(target.version)
    try:
        read, stood_in = _settings(source, text) if _is_multus(source) else _config(source, text)
    except _RefusedError as error:
        return SourceJudgement(None, None, None, Action.REFUSE, str(error), (error.finding,))
    version = read.version
    if not users:
        why = "no node that was audited uses it, so it is not known which version fits"
        return SourceJudgement(read.network, version, version, Action.NONE, why)
    judged = [(user, judge(user.facts(read), target)) for user in users]
    findings = _findings(source, version, judged)
    plain = SourceJudgement(read.network, version, version, Action.NONE, "", findings)
    files = [(user, found.files[0]) for user, found in judged]
    for user, file in files:
        if file.action is Action.REFUSE:
            return replace(plain, to=None, action=Action.REFUSE, why=f"{user.node}: {file.why}")
    due = any(file.action is Action.REWRITE for _, file in files)
    if not due and not any(_multus_refuses(source, version, user) for user in users):
        return replace(plain, why=files[0][1].why)
    to, why = _common(source, read, users, target)
    if to is None:
        return replace(plain, to=None, action=Action.REFUSE, why=why)
    if to == version and read.calls == read.pinned:
        return replace(plain, why=f"{version} cannot be raised: {why}")
    return _rewritten(source, text, stood_in, replace(plain, to=to, action=Action.REWRITE, why=why))


def configmap_patch(key: str, old: str, new: str) -> list[dict[str, str]]:
    """The change as RFC 6902 operations on the ConfigMap, refused where the text has changed."""
    path = f"/data/{pointer(key)}"
    return [
        {"op": "test", "path": path, "value": old},
        {"op": "replace", "path": path, "value": new},
    ]


def _config(source: Source, text: str) -> tuple[Config, placeholders.StoodIn]:
    """A CNI config; a list or one plugin, as its shape says and the file's name will follow."""
    stood_in = _stood_in(source, text)
    data = stood_in.text.encode()
    try:
        single = all(member.key != "plugins" for member in parse(data).root.members)
    except DocumentError:
        single = False
    kind = "conf" if single else "conflist"
    name = next((each for each in source.files if config.kind_of(each) == kind), f"it.{kind}")
    read = config.read(name, data)
    if read.error is not None:
        raise _RefusedError(replace(read.error, component=_about(source)))
    for key, value in (("cniVersion", read.version), ("name", read.network)):
        if mark := stood_in.holds(value):
            why = f"{key} is {mark}, which is filled in on each node"
            action = "see what the program fills in there"
            raise _RefusedError(
                Finding(Code.TEMPLATE_NOT_RENDERED, Severity.WARNING, _about(source), why, action)
            )
    return read, stood_in


def _settings(source: Source, text: str) -> tuple[Config, placeholders.StoodIn]:
    """multus' settings, as the config that the daemon makes of them (generator.go MultusConf)."""
    stood_in = _stood_in(source, text)
    try:
        root = parse(stood_in.text.encode()).root
    except DocumentError as error:
        raise _RefusedError(_unparsable(source, str(error))) from error
    if root.kind != "object":
        raise _RefusedError(_unparsable(source, f"it is not an object but {golang.named(root)}"))
    said = [node for node in golang.fields(root, "cniversion") if node.kind != "null"]
    if any(node.kind != "string" for node in said):
        raise _RefusedError(_unparsable(source, "cniVersion is not a string"))
    made: dict[str, object] = {"name": "multus-cni-network", "type": "multus-shim"}
    made["delegates"] = [{}]  # whoever they are is asked about by `_multus_refuses`
    if said:
        made["cniVersion"] = str(said[-1].scalar)
    return config.read("00-multus.conf", json.dumps(made).encode()), stood_in


def _stood_in(source: Source, text: str) -> placeholders.StoodIn:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise _RefusedError(_unparsable(source, "it holds half a character")) from error
    try:
        return placeholders.stand_in(text, source.placeholders)
    except placeholders.PlaceholderError as error:
        raise _RefusedError(_unparsable(source, str(error))) from error


def _unparsable(source: Source, why: str) -> Finding:
    action = "mend the text of that key"
    return Finding(Code.UNPARSABLE, Severity.FAULT, _about(source), why, action)


def _about(source: Source) -> str:
    return f"{source.name}/{source.key}"


def _is_multus(source: Source) -> bool:
    return source.form == "multus-daemon"


def _multus_refuses(source: Source, version: str | None, user: User) -> str | None:
    """Why the multus daemon would write no config at that version.

    k8snetworkplumbingwg/multus-cni pkg/server/config/generator.go, CheckVersionCompatibility: from
    0.4.0 on it delegates to nothing below 0.4.0, and without a version of its own to nothing.
    """
    if not _is_multus(source):
        return None
    if not version:
        return "the multus daemon writes no config without a cniVersion"
    new = versions.order("0.4.0")
    if not versions.known(version) or versions.order(version) < new:
        return None
    if versions.known(user.master) and versions.order(str(user.master)) >= new:
        return None
    return (
        f"the multus daemon delegates at {version} to no config below 0.4.0, and its master is at "
        f"{shown(user.master or 'no version')}: raise that one first"
    )


def _findings(
    source: Source, version: str | None, judged: Sequence[tuple[User, Judgement]]
) -> tuple[Finding, ...]:
    """What is wrong, each thing once by the first node that has it."""
    found: dict[tuple[str, str], Finding] = {}
    for user, judgement in judged:
        if why := _multus_refuses(source, version, user):
            code = Code.NO_VERSION_FITS if version else Code.VERSION_MISSING
            action = "see which version all can take" if version else "write a cniVersion"
            about = _about(source)
            found.setdefault(
                (code, ""), Finding(code, Severity.FAULT, about, f"{user.node}: {why}", action)
            )
        for each in judgement.findings:
            if each.severity == Severity.INFO:
                continue
            about = _about(source) if each.component == judgement.files[0].name else each.component
            found.setdefault(
                (each.code, about),
                replace(each, component=about, message=f"{user.node}: {each.message}"),
            )
    ranked = sorted(found.values(), key=lambda each: each.severity != Severity.FAULT)
    return tuple(ranked[:_MOST_FINDINGS])


def _common(
    source: Source, read: Config, users: Sequence[User], target: Target
) -> tuple[str | None, str]:
    """The highest version that no node has anything against, and what keeps it from being higher.

    With an exact selection the target or nothing.
    """
    exact = target.selection == "Exact"
    candidates = (target.version,) if exact else tuple(reversed(versions.up_to(target.version)))
    why = "the target, which every node that uses it takes"
    for version in candidates:
        against = next(filter(None, (_against(source, read, user, version) for user in users)), "")
        if not against:
            return version, why
        why = f"not {version}: {against}"
    return None, why


def _against(source: Source, read: Config, user: User, version: str) -> str:
    """What one kind of node has against a version; empty where nothing."""
    facts = user.facts(read)
    runtime = runtimes.lookup(user.runtime)
    node = Node.of(read.rewritten(), runtime, facts, ())
    reasons = compat.objections(node.runtime, node.chain, version)
    if stuck := compat.stuck_at(runtime, facts.sandboxes, version):
        reasons.append(
            f"{compat.pods(len(stuck))} added {compat.added_at(stuck)} could not be deleted"
        )
    if refuses := _multus_refuses(source, version, user):
        reasons.append(refuses)
    return f"{user.node}: {'; '.join(reasons)}" if reasons else ""


def _rewritten(
    source: Source, text: str, stood_in: placeholders.StoodIn, wanted: SourceJudgement
) -> SourceJudgement:
    data = stood_in.text.encode()
    kind = "conflist" if any(m.key == "plugins" for m in parse(data).root.members) else "conf"
    to = str(wanted.to)
    try:
        made = rewrite.pin(data, to) if _is_multus(source) else rewrite.rewrite(data, kind, to)
        new = stood_in.back(made.data.decode())
    except (rewrite.RewriteError, placeholders.PlaceholderError) as error:
        return replace(wanted, to=None, action=Action.REFUSE, why=f"it cannot be edited: {error}")
    shows = rewrite.diff(text.encode(), new.encode(), _about(source))
    return replace(wanted, text=new, diff=shows)
