"""The faults that people search for at night, told to a person who meets one for the first time:
what one sees, why it happens, what cures it, and where it was found out.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Story:
    """One fault: what one sees, the cause, the cure, and the sources of all that."""

    seen: str
    cause: str
    cure: str
    sources: tuple[str, ...]


STORIES: dict[str, Story] = {
    "F1": Story(
        seen='Pods start, and their deletion hangs in Terminating: invalid version "": the '
        "version is empty. Each hanging pod keeps its address. On CRI-O pods do not start either.",
        cause="The config has no cniVersion. libcni 0.7.1 to 1.0.1 adds with it and cannot delete. "
        "Runtimes that carry it: containerd 1.3 to 1.6.3, CRI-O up to 1.23.",
        cure="Write a cniVersion that runtime, plugins and running pods take: the next attempt "
        "finishes the deletions. Do not drain first, for evictions hang on the same error. "
        "CRI-O deletes with the config cached at ADD: there, pods that run now need more.",
        sources=(
            "containerd/containerd#4012",
            "containernetworking/cni#893 (fixed in libcni 1.1.0)",
            "containernetworking/cni#882 (CRI-O's status check)",
        ),
    ),
    "F2": Story(
        seen='Pods stay in ContainerCreating: incompatible CNI versions; config is "1.0.0", plugin '
        'supports ["0.1.0" "0.2.0" "0.3.0" "0.3.1" "0.4.0"]. Deletions fail too.',
        cause="cniVersion is above what a binary of the chain supports, often after somebody "
        "raised it, or below its minimum (firewall 0.4.0, bandwidth 0.3.0). An IPAM or delegate "
        "plugin counts too, and the error then blames the plugin that called it.",
        cure="Write a version that every binary of the chain supports, or install newer plugins.",
        sources=(
            "libcni pkg/version/reconcile.go (string equality)",
            "containernetworking/plugins: 0.8.2 to 0.9.1 end at 0.4.0, 1.0 to 1.5.1 at 1.0.0",
        ),
    ),
    "F3": Story(
        seen="Pods stay in ContainerCreating although the config carries a version.",
        cause="The plugin's result has no cniVersion (weave). libcni 1.0.0 to 1.1.0 takes that for "
        "0.1.0 and loses the pod's addresses, so the runtime fails the pod: containerd 1.6.0 to "
        "1.6.4, CRI-O 1.23.0 to 1.24.1.",
        cure="No rewrite of a file cures it: move to containerd 1.6.5 or CRI-O 1.24.2, with a "
        "cniVersion of 0.3.0 or later, or replace the plugin.",
        sources=("containerd/containerd#6921", "measured with libcni itself (tests/judge)"),
    ),
    "CheckBroken": Story(
        seen="On CRI-O pods stay in ContainerCreating: failed to get network status for pod "
        "sandbox, with what the plugin answers to CHECK, such as: CNI CHECK method is not "
        "implemented. The same file works under containerd.",
        cause="From 0.4.0 on CRI-O asks CHECK of every pod that it creates. A plugin may support a "
        "version, have a CHECK, and not pass it: whereabouts refuses it, bandwidth before 1.9.1 "
        "crashes for a pod without a bandwidth annotation, portmap before 1.3.0 fails for some "
        "pods with a hostPort, bridge and ptp fail before sbr. All: docs/reference/checks.md.",
        cure="Write 0.3.1, which has no CHECK, or `disableCheck: true` into the list, or install a "
        "release of the plugin that passes. Where CHECK is known to fail, nothing is raised above "
        "0.3.1. Where that is not known, CheckUnproved says so, and a policy proves one node of "
        "those with the same reason before it changes the others.",
        sources=(
            "cri-o/ocicni pkg/ocicni/ocicni.go checkNetwork",
            "cri-o/cri-o server/sandbox_network.go networkStart",
            "k8snetworkplumbingwg/whereabouts cmd/whereabouts.go cmdCheck",
            "containernetworking/plugins commit 8c4a6b3b",
            "measured with libcni itself (tests/judge)",
        ),
    ),
    "SysctlIfname": Story(
        seen="Pods stay in ContainerCreating: open /proc/sys/.../IFNAME/...: no such file.",
        cause="tuning replaces IFNAME in the name of a sysctl from 1.1.0 on, and not before.",
        cure="No cniVersion cures it: install a newer tuning, or take that sysctl out.",
        sources=("measured with tuning 0.8.7 to 1.10.0 (tests/judge)",),
    ),
    "StatusAsked": Story(
        seen="The node is NotReady after its config went to 1.1.0 (NetworkPluginNotReady), though "
        "pods came and went with the plugins until then.",
        cause="1.1.0 has STATUS. containerd from 2.0.1 on, and CRI-O from 1.34 on at the latest, "
        "ask it of each plugin of the list when the kubelet asks for the runtime's state, and pass "
        "a refusal on. A plugin may say that it supports 1.1.0 and have no STATUS: it then ends in "
        "a panic.",
        cure="Write 1.0.0, which has no STATUS, or replace the plugin. Before: "
        "CNI_COMMAND=STATUS CNI_PATH=/opt/cni/bin /opt/cni/bin/PLUGIN < the plugin's part of the "
        "list, with name and cniVersion put in, ends with 0. A plugin that does not support 1.1.0 "
        "is no case of this: no file is raised above what each plugin supports.",
        sources=(
            "containerd/go-cni cni.go Status, containerd internal/cri/server/status.go",
            "cri-o/ocicni pkg/ocicni/ocicni.go StatusWithContext",
            "libcni libcni/api.go GetStatusNetworkList, pkg/skel/skel.go",
        ),
    ),
    "Loopback": Story(
        seen="Pods stay in ContainerCreating; the error names cni-loopback.",
        cause="containerd runs the loopback plugin for every pod with a network of its own, at "
        "1.0.0 in containerd 1.6.3 and at 0.3.1 otherwise. No file of the folder configures it.",
        cure="Install the loopback plugin of containernetworking/plugins 1.0.0 or later.",
        sources=("containerd/containerd#6876 (reverted in 1.6.4)",),
    ),
    "SandboxLimit": Story(
        seen="A lower version is chosen than runtime and plugins could take.",
        cause="libcni deletes a pod by converting the result that it cached when it was added. "
        "Some versions cannot be converted into some others, and then the deletion fails.",
        cure="Let the pods be replaced at the lower version; another run then raises it.",
        sources=("libcni libcni/api.go DelNetworkList", "measured with plugins 1.9.1"),
    ),
    "Managed": Story(
        seen="A file is left alone although its version should change.",
        cause="Another program writes the file and would put its own back: flannel's and calico's "
        "init containers at each pod start, cilium's agent by watching the folder.",
        cure="Set the version at the source that the finding names.",
        sources=("the install manifests of each project",),
    ),
    "VersionlessResult": Story(
        seen="Pods stay in ContainerCreating, or hang in Terminating, with a plugin that was fine "
        "at another cniVersion.",
        cause="The plugin's result has no cniVersion (weave), and what libcni makes of that hangs "
        "on the config's version: at some of them it cannot read or convert it any more.",
        cure="Write a version at which both ADD and DEL understand the result, such as 0.3.1: the "
        "finding names one command that fails today. Better, replace the plugin.",
        sources=(
            "libcni pkg/types/create/create.go, libcni/api.go DelNetworkList",
            "measured with libcni itself (tests/judge)",
        ),
    ),
    "TooNew": Story(
        seen="Pods stay in ContainerCreating, although every plugin supports the version.",
        cause="cniVersion is above the highest that the runtime's own libcni reads: a plugin "
        "answers at 1.1.0, say, and containerd 1.6 and 1.7 and CRI-O up to 1.30 end at 1.0.0.",
        cure="Write the highest version that the runtime reads, or move to a newer runtime: "
        "containerd 2.0 and CRI-O 1.31 read 1.1.0.",
        sources=(
            "libcni pkg/types/create/create.go",
            "the go.mod of each release of containerd and CRI-O",
        ),
    ),
    "CachedDel": Story(
        seen="On CRI-O the file is mended and new pods come and go, and pods from before still "
        "hang in Terminating.",
        cause="CRI-O deletes a pod with the config that it cached when the pod was added, and not "
        "with the file of today: no change of the file reaches those pods. A drain hangs too.",
        cure="Restart the node, after which its pods are made anew, or correct the entries of the "
        "results cache (/var/lib/cni/results). Where a plugin refuses the cached version, put one "
        "that supports it back into the folder.",
        sources=(
            "cri-o/ocicni pkg/ocicni/ocicni.go forEachNetwork, getCachedNetworkInfo",
            "measured with libcni itself (tests/judge)",
        ),
    ),
    "KeptDel": Story(
        seen="The file is right and new pods come and go, and pods of before plugins were replaced "
        "by older ones hang in Terminating. Under multus they may go at the second attempt, and "
        "their addresses stay taken.",
        cause="flannel and multus write down the config with which they call other plugins at ADD, "
        "by the container's id, and DEL calls with that: no change of the file reaches those pods. "
        "multus removes it even where DEL fails, finds nothing at the next one and calls it done.",
        cure="Put plugins that support that version back until those pods are gone. Or write one "
        "that they support into what is kept: /var/lib/cni/flannel/CONTAINER (dataDir) is plain "
        "JSON, /var/lib/cni/multus/CONTAINER (cniDir) has it in base64 (Bytes).",
        sources=(
            "containernetworking/plugins v0.9.1 plugins/meta/flannel/flannel.go",
            "k8snetworkplumbingwg/multus-cni pkg/multus/multus.go saveDelegates, CmdDel",
            "measured with flannel, bridge and host-local (tests/judge)",
        ),
    ),
    "Addresses": Story(
        seen="Pods stay in ContainerCreating: CNI version 0.2.0 does not support more than 1 "
        "address per family, or: cannot convert: no valid IP addresses.",
        cause="A result below 0.3.0 has room for one IPv4 and one IPv6 address, and a missing "
        "version counts as one. host-local, static and whereabouts refuse to give more, the first "
        "and the last at DEL too. A network without IPAM cannot give its result back.",
        cure="Write 0.3.0 or later, in a delegate of multus into its own config; a rewrite of the "
        "file does. Two ranges in one set of host-local are one address.",
        sources=(
            "containernetworking/plugins plugins/ipam/host-local, plugins/ipam/static",
            "libcni pkg/types/020, pkg/types/100",
            "measured with bridge, host-local and static (tests/judge); whereabouts was read",
        ),
    ),
    "NoAddress": Story(
        seen="containerd: pods stay in ContainerCreating: failed to find network info for sandbox. "
        "With ptp, vlan, dummy or ipvlan, on each runtime: no plugin name provided.",
        cause="The first plugin has no ipam. containerd takes no pod without an address.",
        cure="Give the plugin an ipam. No cniVersion helps, so the file is not rewritten for this.",
        sources=("containerd pkg/cri/server/sandbox_run.go", "bridge, ptp: tests/judge"),
    ),
    "Shared": Story(
        seen="The file of podman's network is not raised to the target. Or it was, and containers "
        "of podman neither start nor go: unsupported CNI result version.",
        cause="podman up to 4 uses the networks of the same folder, with a libcni of its own: "
        "0.8.1 in podman 3, which reads results up to 0.4.0. Nothing of Kubernetes shows it.",
        cure="Leave it at 0.4.0, which every runtime reads. Where podman 4 or none runs, say so: "
        "selection Exact, or managedFiles Override.",
        sources=("containers/podman v3.4.4 go.mod, cni/87-podman-bridge.conflist",),
    ),
    "NoConfig": Story(
        seen="The node is NotReady: cni plugin not initialized. No pod gets a network.",
        cause="The folder of the runtime has no config that it would take. As a rule the network "
        "add-on writes the file, and does not run on this node, or writes to another folder. On "
        "CRI-O `cni_default_network` may name a network that the folder does not have.",
        cure="See whether the add-on's pod runs on the node, and whether the folder of the finding "
        "is the one that it writes to. Nothing is to be rewritten here.",
        sources=(
            "containerd/go-cni cni.go Load",
            "cri-o/ocicni pkg/ocicni/ocicni.go loadNetworks",
        ),
    ),
    "Unparsable": Story(
        seen="Under containerd the node is NotReady and no pod is created or deleted, though a "
        "good file stands behind the bad one. CRI-O takes the next file without a word.",
        cause="libcni reads JSON as Go does: no comments, no comma before a closing bracket, no "
        "byte order mark. The first file that cannot be read ends containerd's whole load.",
        cure="Mend the file or move it out of the folder. A name that ends in .bak is not loaded; "
        "a dot in front hides a file from `ls` and not from libcni.",
        sources=(
            "libcni libcni/conf.go ConfFiles, ConfListFromBytes",
            "measured with libcni itself (tests/judge)",
        ),
    ),
    "BadVersion": Story(
        seen="The file is valid JSON, and the runtime does not load it.",
        cause="cniVersion is no string (a bare 1.0, null in a list), or cniVersions holds what "
        "libcni 1.2 and later cannot parse as versions.",
        cure="Write a released version as a string; a rewrite does, and removes cniVersions.",
        sources=(
            "libcni libcni/conf.go NetworkConfFromBytes, pkg/version/plugin.go ParseVersion",
            "measured with libcni itself (tests/judge)",
        ),
    ),
    "TemplateNotRendered": Story(
        seen="The file still holds something like __MTU__, {{ .Values.mtu }} or ${MTU}.",
        cause="What writes the file is to put values in their place, and has not, or not all.",
        cure="Find out why: the log of the add-on's init container, the values of its chart. "
        "Where one stands for a name, a type or a version, nothing is written. Elsewhere the "
        "version is mended all the same, and whether pods then come and go is called unknown: "
        "bridge takes `__BRIDGE__` as its name, host-local refuses `{{.PodCIDR}}` as a subnet.",
        sources=("measured with plugins 1.9.1 (tests/judge)",),
    ),
    "MissingName": Story(
        seen="The runtime loads the file, and no pod is created or deleted.",
        cause="A single-plugin .conf is loaded without a network's name, which ADD and DEL then "
        "want.",
        cure="Give the network a name, of letters, digits, '_', '.' and '-'. It is not invented "
        "here: addresses, cached results and CRI-O's default network go by it.",
        sources=("libcni libcni/api.go, pkg/utils/utils.go ValidateNetworkName",),
    ),
    "ListInConf": Story(
        seen="The runtime does not load the file: missing 'type'.",
        cause="A list, with `plugins`, stands in a file whose name ends in .conf or .json, and "
        "libcni reads such a file as one plugin.",
        cure="Rename it to .conflist. Mind the order: the runtime takes names as bytes sort them.",
        sources=("libcni libcni/conf.go ConfFiles, ConfFromBytes",),
    ),
    "SkippedFile": Story(
        seen="On CRI-O pods are on another network than the first file says.",
        cause="CRI-O skips a file that it cannot load and takes the next without a word, where "
        "containerd stops.",
        cure="Mend the file or remove it: under containerd this node would be NotReady.",
        sources=("cri-o/ocicni pkg/ocicni/ocicni.go loadNetworks",),
    ),
    "Dotfile": Story(
        seen="An edit of the file that `ls` shows changes nothing.",
        cause="libcni goes by the end of a name alone, so it loads hidden files, and '.' sorts "
        "before digits and letters: a forgotten .00-old.conflist is the first.",
        cure="Move the hidden file out of the folder, if nobody needs it.",
        sources=("libcni libcni/conf.go ConfFiles", "measured with libcni itself (tests/judge)"),
    ),
    "CniVersions": Story(
        seen="cniVersion was changed, and a newer runtime goes on with another version.",
        cause="From libcni 1.2 on the highest entry of `cniVersions` that it knows counts, over "
        "cniVersion. Older ones pass it over: one file, two versions.",
        cure="Remove `cniVersions`, so that one version holds everywhere; a rewrite does.",
        sources=("libcni 1.2.0 libcni/conf.go", "measured with libcni itself (tests/judge)"),
    ),
    "HiddenVersion": Story(
        seen="The file says one cniVersion, and the plugins are called at another.",
        cause="Go reads the keys of a single-plugin file whatever their case, and the last one "
        "counts: a later CNIVersion, or a second cniVersion, overrides the first. In a list the "
        "case counts, and a plugin's own key in other letters is passed on beside the list's.",
        cure="Leave one key, cniVersion; a rewrite does. In a file of the folder that libcni 1.3 "
        "adds to the list it is to be done by hand.",
        sources=(
            "Go encoding/json (keys are folded)",
            "libcni libcni/api.go buildOneConfig, libcni/conf.go InjectConf",
            "measured with libcni itself (tests/judge)",
        ),
    ),
    "InlineFolder": Story(
        seen="After a move to containerd 2.1 or CRI-O 1.33 pods run a plugin more, or fail on it.",
        cause="libcni from 1.3 on appends the .conf files of the folder that is named as the "
        "network, beside the list, unless `loadOnlyInlinedPlugins` is true.",
        cure="See what stands in that folder: a copy kept there is run. Move it away, or say "
        "`loadOnlyInlinedPlugins` in the list.",
        sources=("libcni 1.3.0 libcni/conf.go", "measured with libcni itself (tests/judge)"),
    ),
    "PluginMissing": Story(
        seen='Pods stay in ContainerCreating and in Terminating: failed to find plugin "..." in '
        "path.",
        cause="A binary of the chain, of its IPAM or of a delegate is in none of the runtime's "
        "plugin folders. After an upgrade the runtime may look elsewhere than where it stands.",
        cure="Install it into the runtime's plugin folder (`paths` of the report has it), or take "
        "it out of the chain.",
        sources=("libcni pkg/invoke/find.go FindInPath",),
    ),
    "PluginUnknown": Story(
        seen="A file is left alone because of a plugin that seems to work.",
        cause="The plugin does not say which versions it supports: not to VERSION, and its build "
        "info is not there or bounds it only from above. Not knowing counts as no.",
        cure="See what it answers to CNI_COMMAND=VERSION, with a config such as "
        '{"cniVersion": "1.0.0"} on standard input. If it does not answer, replace it.',
        sources=("libcni pkg/invoke/exec.go GetVersionInfo", "the CNI specification, VERSION"),
    ),
    "DelegateVersion": Story(
        seen="Pods stay in ContainerCreating at a cniVersion that every plugin of the file takes.",
        cause="A plugin such as multus calls others by configs of their own, and passes on the "
        "version that stands there, or none. libcni below 1.0.0 may misread a result of another "
        "version than the config's, which multus hands on.",
        cure="Write a version that the delegate's binaries support into the delegate's own config.",
        sources=(
            "k8snetworkplumbingwg/multus-cni pkg/types/conf.go",
            "k8snetworkplumbingwg/multus-cni#379, #972",
        ),
    ),
    "VersionMissing": Story(
        seen="Nothing yet.",
        cause="cniVersion is missing, which this runtime forgives: libcni below 0.7.1 and from "
        "1.1.0 on. Plugins then are called at 0.1.0, and firewall and bandwidth refuse that.",
        cure="Write a version before the node meets a runtime that does not forgive it (F1).",
        sources=("containernetworking/cni#893", "containernetworking/plugins (supported versions)"),
    ),
    "RuntimeUnknown": Story(
        seen="Nothing is written, and creation and deletion of pods are called unknown.",
        cause="Which libcni the runtime carries decides about everything, and of this release it "
        "is not known. It is never taken for its neighbour.",
        cure="See its go.mod for github.com/containernetworking/cni, and say it: --libcni here, "
        "`runtimes` in the operator's configuration.",
        sources=("operator/cni_upgrade/cni/runtimes.py, with the go.mod of each release",),
    ),
    "RuntimeMove": Story(
        seen="Nothing yet: the node works today.",
        cause="Asked for a newer runtime (readinessFor, --readiness), something of the files, the "
        "plugins or the running pods would fail under its libcni.",
        cure="Mend what the finding names before the runtime is upgraded.",
        sources=("those of the fault that it names (`cni-upgrade explain CODE`)",),
    ),
}
