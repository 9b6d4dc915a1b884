"""Takes what a plugin answered to VERSION as libcni takes it, and believes no more than it can."""

import os

from cni_upgrade.agent.plugins import plugin_run
from cni_upgrade.cni import version_answer
from cni_upgrade.cni.facts import Support
from cni_upgrade.cni.findings import Code, Finding, Severity
from cni_upgrade.cni.golang import DecodeError

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
    if code == 0:
        return _supported(binary, run.printed)
    if version_answer.tells_of_no_command(run.printed):
        return Support.told(binary, ("0.1.0",))
    return _garbled(binary, f"it ended with {_ending(code)}: {_message(run.printed)!r:.200}")


def _message(printed: bytes) -> str:
    try:
        return version_answer.error(printed)
    except DecodeError:
        return printed[:80].decode("utf-8", "replace")


def _ending(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {-code}"


def _supported(binary: str, printed: bytes) -> Support | Finding:
    """What libcni takes of it, unless there is more of it than of versions."""
    try:
        versions = version_answer.supported(printed)
    except DecodeError as error:
        shown = printed[:80].decode("utf-8", "replace")
        return _garbled(binary, f"it ended with exit code 0 and printed {shown!r}: {error}")
    if len(versions) > _MOST_VERSIONS:
        return _garbled(binary, "supportedVersions is not a short list")
    if not all(map(_like_a_version, versions)):
        return _garbled(binary, "supportedVersions is not a list of versions")
    return Support.told(binary, versions)


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
