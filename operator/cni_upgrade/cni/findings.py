"""Says what was found in one shape, so that every room names the same fault by the same code."""

from enum import StrEnum

from cni_upgrade.cni.value import dataclass


class Severity(StrEnum):
    """How much a finding matters to a person who reads a report."""

    FAULT = "Fault"
    WARNING = "Warning"
    INFO = "Info"


class Code(StrEnum):
    """Every code that a finding may carry; `about` is the one line that explains it."""

    about: str

    def __new__(cls, value: str, about: str) -> "Code":
        member = str.__new__(cls, value)
        member._value_ = value
        member.about = about
        return member

    # What works and what does not, on the next creation and deletion of a pod.
    F1 = "F1", "cniVersion is missing: libcni 0.7.1-1.0.1 adds pods and cannot delete them"
    F2 = "F2", "cniVersion is one that a plugin of the chain does not support: ADD and DEL fail"
    F3 = "F3", "a plugin's result has no cniVersion: libcni 1.0.0-1.1.0 loses its addresses"
    VERSIONLESS_RESULT = (
        "VersionlessResult",
        ("a plugin's result has no cniVersion, which libcni does not bear at this cniVersion"),
    )
    RESULT_MISREAD = (
        "ResultMisread",
        (
            "a plugin answers at its delegate's version, and libcni below 1.0.0 reads that as one "
            "at the config's: the pod's addresses are lost"
        ),
    )
    ADDRESSES = (
        "Addresses",
        "a pod gets no address, or several of a family, which cniVersion below 0.3.0 cannot say",
    )
    NO_ADDRESS = "NoAddress", "the network gives a pod no address, and no cniVersion cures that"
    LOOPBACK = "Loopback", "the loopback plugin is missing or older than 1.0.0"
    TOO_NEW = "TooNew", "cniVersion is above the highest that the runtime's libcni reads"
    VERSION_MISSING = "VersionMissing", "cniVersion is missing, and this runtime forgives it"
    VERSION_UNKNOWN = "VersionUnknown", "cniVersion is not the spelling of a released CNI version"
    ABOVE_TARGET = "AboveTarget", "a healthy config is above the target; it is not lowered"
    CACHED_DEL = (
        "CachedDel",
        (
            "the runtime deletes a pod with the config cached when the pod was added, "
            "so a rewrite does not help the pods that run now"
        ),
    )
    KEPT_DEL = (
        "KeptDel",
        (
            "a plugin deletes a pod with the config that it kept of the ADD (flannel, multus), "
            "and a binary does not support the version in that"
        ),
    )
    NOT_OURS = (
        "NotOurs",
        (
            "CRI-O could not delete what the results cache has of containers that are none of its "
            "own, or perhaps none"
        ),
    )
    SANDBOX_LIMIT = "SandboxLimit", "running pods could not be deleted at a higher version"
    CHECK_FAILS = "CheckFails", "CHECK of pods added below 0.3.0 fails after the rewrite"
    CHECK_BROKEN = (
        "CheckBroken",
        "CRI-O asks CHECK of each new pod from 0.4.0 on, and a plugin does not pass it: ADD fails",
    )
    SYSCTL_IFNAME = (
        "SysctlIfname",
        "tuning before 1.1.0 does not replace IFNAME in the name of a sysctl: ADD fails",
    )
    CHECK_UNPROVED = (
        "CheckUnproved",
        "CRI-O asks CHECK of new pods after the rewrite; whether a plugin answers is not known",
    )
    STATUS_ASKED = (
        "StatusAsked",
        ("at 1.1.0 the runtime asks STATUS of the plugins: while one refuses the node is NotReady"),
    )
    DELEGATE_VERSION = (
        "DelegateVersion",
        "a plugin is delegated to at a version that it refuses, or that is not known",
    )
    DAEMON_REFUSES = (
        "DaemonRefuses",
        "a plugin's daemon most likely refuses the version that the plugin takes (antrea's)",
    )
    CANNOT_CURE = "CannotCure", "no cniVersion cures this; a binary or the runtime must change"
    NO_VERSION_FITS = "NoVersionFits", "no version is supported by the runtime and every plugin"

    # The files.
    NO_CONFIG = "NoConfig", "there is no config that the runtime would load"
    NOT_CNI = "NotCni", "pods get their network without CNI: nothing here concerns this node"
    UNPARSABLE = "Unparsable", "the file is not the JSON that libcni reads"
    INVALID = "Invalid", "the file is JSON, and not a config that libcni accepts"
    BAD_VERSION = (
        "BadVersion",
        (
            "cniVersion or cniVersions is not of the kind that libcni reads, so the file is not "
            "loaded; a rewrite makes it a string"
        ),
    )
    CRASHES = "Crashes", "the runtime's process would crash on reading the file"
    TOO_DEEP = "TooDeep", "the file is nested deeper than this project reads"
    TEMPLATE_NOT_RENDERED = "TemplateNotRendered", "the file still holds a template's placeholders"
    MISSING_NAME = "MissingName", "the network has no name: ADD fails"
    MISSING_TYPE = "MissingType", "a plugin has no type"
    MISSING_PLUGINS = "MissingPlugins", "the list has no plugins"
    LIST_IN_CONF = "ListInConf", "a list stands in a file that is not named .conflist"
    SKIPPED_FILE = "SkippedFile", "the runtime skips this file as invalid and takes the next"
    UNUSED_FILE = (
        "UnusedFile",
        "a file that the runtime does not use now is none that it could load",
    )
    DOTFILE = "Dotfile", "the runtime loads a hidden file"
    CNI_VERSIONS = "CniVersions", "cniVersions overrides cniVersion under libcni 1.2 and later"
    HIDDEN_VERSION = "HiddenVersion", "a duplicate or oddly spelled key decides the cniVersion"
    INLINE_FOLDER = "InlineFolder", "libcni 1.3 appends the files of a folder named as the network"
    CONF_AT_1 = "ConfAt1", "a single-plugin .conf at 1.0.0 or later is outside the specification"
    SHARED = "Shared", "another program uses this file with a libcni of its own, as podman does"
    KEPT_AS_CONF = (
        "KeptAsConf",
        "a single-plugin config was to become a list, and stays as it is because of what stands by",
    )
    MANAGED = "Managed", "another program writes this file and would put it back"

    # The plugins.
    PLUGIN_MISSING = "PluginMissing", "a binary of the chain is not in the plugin folders"
    PLUGIN_UNKNOWN = "PluginUnknown", "a plugin does not say which versions it supports"
    PLUGIN_HANG = "PluginHang", "a plugin did not answer VERSION in time"
    PLUGIN_FLOOD = "PluginFlood", "a plugin printed more than an answer to VERSION can be"
    PLUGIN_GARBLED = "PluginGarbled", "a plugin's answer to VERSION has the wrong shape"
    PLUGIN_NOT_EXECUTABLE = "PluginNotExecutable", "a plugin cannot be run on this machine"
    PLUGIN_SCRIPT = (
        "PluginScript",
        "a plugin is a script: what it says it supports hangs on the interpreter that runs it",
    )
    PLUGIN_BROKEN_LINK = "PluginBrokenLink", "a plugin is a link to what is not there"

    # The node.
    RUNTIME_UNKNOWN = "RuntimeUnknown", "it is not known what this runtime supports"
    RUNTIME_ASSUMED = "RuntimeAssumed", "what this runtime supports rests on an assumption"
    RUNTIME_MOVE = "RuntimeMove", "what works today would fail under a newer runtime"
    FOLDER_MISSING = "FolderMissing", "a folder that the runtime would read is not there"
    FOLDER_AMBIGUOUS = (
        "FolderAmbiguous",
        (
            "configs, or copies of a plugin that differ, stand in several of the usual folders; it "
            "is not known which the runtime uses"
        ),
    )
    FOLDER_NOT_ALLOWED = (
        "FolderNotAllowed",
        "the runtime uses a folder that is not among those that may be looked at",
    )
    HANDLER_FOLDER = (
        "HandlerFolder",
        "a handler of the runtime has a config folder of its own, which is not looked at",
    )
    RUNTIME_CONFIG = "RuntimeConfig", "the runtime's own configuration could not be relied on"
    CONF_TEMPLATE = "ConfTemplate", "containerd makes the config from a template of its own"
    FILE_UNREADABLE = "FileUnreadable", "a file could not be read, or is no plain file"
    CACHE_UNREADABLE = "CacheUnreadable", "an entry of the results cache could not be read"

    # What only the controller can know.
    DRAIN_NOT_ENOUGH = (
        "DrainNotEnough",
        "pods that a drain leaves running, a DaemonSet's say, could not be deleted at the target",
    )


def shown(text: str, most: int = 60) -> str:
    """A string from a file as a message may show it: short, and nothing that a terminal obeys."""
    short = text if len(text) <= most else f"{text[:most]}..."
    return short if short.isprintable() and short else repr(short)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a person should know, and what to do about it."""

    code: str
    severity: Severity
    component: str
    message: str
    action: str
