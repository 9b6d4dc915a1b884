"""What each code of a finding means, told to a person who meets it for the first time.

The one line comes from the engine (`Code.about`). The faults that people search for at night have
a story: what one sees, why it happens, what cures it, and where it was found out.
"""

from dataclasses import dataclass

from cni_upgrade.cni.findings import Code
from cni_upgrade.node.errors import ABOUT


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
        cause="From 0.4.0 on CRI-O asks CHECK of every pod that it creates. A plugin may say that "
        "it supports a version and refuse CHECK all the same (whereabouts does).",
        cure="Write 0.3.1, which has no CHECK, or `disableCheck: true` into the list, or replace "
        "the plugin. Where one is known to refuse, nothing is raised above 0.3.1; where it is not "
        "known, CheckUnproved says so, and a pod has to prove the change.",
        sources=(
            "cri-o/ocicni pkg/ocicni/ocicni.go checkNetwork",
            "cri-o/cri-o server/sandbox_network.go networkStart",
            "k8snetworkplumbingwg/whereabouts cmd/whereabouts.go cmdCheck",
            "measured with libcni itself (tests/judge)",
        ),
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
}


def lines(code: str) -> list[str] | None:
    """The story of a code, as lines; None for a code that there is not."""
    known = next((each for each in _abouts() if each.lower() == code.lower()), None)
    if known is None:
        return None
    told = [f"{known}: {_abouts()[known]}"]
    story = STORIES.get(known)
    if story is not None:
        told += ["", f"What one sees: {story.seen}", "", f"Why: {story.cause}", ""]
        told += [f"What cures it: {story.cure}", "", "Sources:"]
        told += [f"  {source}" for source in story.sources]
    return told


def index() -> list[str]:
    """Every code with its one line."""
    width = max(map(len, _abouts()))
    return [f"{code:<{width}}  {about}" for code, about in _abouts().items()]


def _abouts() -> dict[str, str]:
    """Of findings first, then of operations that were refused or failed."""
    found = {str(code): code.about for code in Code}
    return {**found, **{code: about for code, about in ABOUT.items() if code not in found}}
