"""Takes what a plugin answered to VERSION as libcni takes it, and believes no more than it can."""

import json
import os
from collections.abc import Mapping

from cni_upgrade.cni.facts import Support
from cni_upgrade.cni.findings import Code, Finding, Severity
from cni_upgrade.node import plugin_run

_MOST_VERSIONS = 64
_LONGEST_VERSION = 32


def judge(binary: str, run: plugin_run.Run) -> Support | Finding:
    """The versions that it says it supports, or what is wrong with what it said."""
    if run.verdict == "hang":
        return Finding(
            Code.PLUGIN_HANG,
            Severity.WARNING,
            binary,
            f"{binary} did not answer VERSION within {plugin_run.TIME_LIMIT:g} s",
            f"run {binary} with CNI_COMMAND=VERSION to see what it waits for",
        )
    if run.verdict == "flood":
        return Finding(
            Code.PLUGIN_FLOOD,
            Severity.WARNING,
            binary,
            f"{binary} printed more than {plugin_run.OUTPUT_LIMIT} bytes instead of its versions",
            f"see whether {binary} is a CNI plugin at all",
        )
    code = os.waitstatus_to_exitcode(run.status or 0)
    try:
        answer = json.loads(run.printed)
    except (ValueError, RecursionError):
        shown = run.printed[:80].decode("utf-8", "replace")
        return _garbled(binary, f"it ended with {_ending(code)} and printed {shown!r}")
    if not isinstance(answer, dict):
        return _garbled(binary, "its answer is not a JSON object")
    if code != 0:
        message = answer.get("msg")
        if message == "unknown CNI_COMMAND: VERSION":
            return Support.told(binary, ("0.1.0",))
        return _garbled(binary, f"it ended with {_ending(code)}: {message!r:.200}")
    return _supported(binary, answer)


def _ending(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {-code}"


def _supported(binary: str, answer: Mapping[str, object]) -> Support | Finding:
    """libcni `pkg/version/plugin.go` PluginDecoder.Decode."""
    own, versions = answer.get("cniVersion"), answer.get("supportedVersions")
    if not isinstance(own, str) or not own:
        return _garbled(binary, "its answer has no cniVersion")
    if versions in (None, []):
        if own == "0.2.0":
            return Support.told(binary, ("0.1.0", "0.2.0"))
        return _garbled(binary, "its answer has no supportedVersions")
    if not isinstance(versions, list) or len(versions) > _MOST_VERSIONS:
        return _garbled(binary, "supportedVersions is not a short list")
    strings = [each for each in versions if isinstance(each, str) and _like_a_version(each)]
    if len(strings) != len(versions):
        return _garbled(binary, "supportedVersions is not a list of versions")
    return Support.told(binary, strings)


def _like_a_version(text: str) -> bool:
    return len(text) <= _LONGEST_VERSION and text.isascii() and text.isprintable()


def _garbled(binary: str, what: str) -> Finding:
    return Finding(
        Code.PLUGIN_GARBLED,
        Severity.WARNING,
        binary,
        f"{binary} did not answer VERSION as a CNI plugin does: {what}",
        f"run {binary} with CNI_COMMAND=VERSION to see what it answers",
    )
