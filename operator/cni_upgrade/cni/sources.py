"""Knows the ConfigMaps from which network add-ons write their configs: the place to mend.

One table for the node's side (`managed` names the ConfigMap in a report) and for the controller's,
which reads the ConfigMap itself. Names, namespaces and keys are those of the manifests that each
row cites; an installation under other names is told to the operator's configuration (`sources`).

Not here, since no ConfigMap that people edit holds the text: cilium by itself, aws-cni, azure,
weave, kindnet, kube-ovn, openshift-sdn, istio-cni, minikube and ovn-kubernetes write it themselves;
the tigera operator makes calico-system/cni-config from its Installation and puts it back; RKE2's
canal chart keeps it in a Secret; multus 4 thin makes it from its master's config; newer terway
writes a version of its own over the ConfigMap's. Nor is GKE's kube-system/netd-config: GKE keeps
it, and its template is no JSON before netd has filled it in.
"""

from typing import Literal

from cni_upgrade.cni.value import dataclass

Form = Literal["network", "multus-daemon"]

_CALICO = (
    "__KUBERNETES_NODE_NAME__",
    "__KUBECONFIG_FILEPATH__",
    "__CNI_MTU__",
    "__LOG_LEVEL__",
    "__LOG_FILE_PATH__",
    "__LOG_FILE_MAX_SIZE__",
    "__LOG_FILE_MAX_AGE__",
    "__LOG_FILE_MAX_COUNT__",
    "__DATASTORE_TYPE__",
    "__KUBERNETES_SERVICE_HOST__",
    "__KUBERNETES_SERVICE_PORT__",
    "__SERVICEACCOUNT_TOKEN__",
    "__ETCD_ENDPOINTS__",
    "__ETCD_DISCOVERY_SRV__",
    "__ETCD_KEY_FILE__",
    "__ETCD_CERT_FILE__",
    "__ETCD_CA_CERT_FILE__",
)
"""What calico's installer fills in on each node (projectcalico/calico
cni-plugin/pkg/install/install.go, writeCNIConfig)."""


@dataclass(frozen=True, slots=True)
class Source:
    """One key of one ConfigMap, and the file that a program makes of it on each node."""

    writer: str
    """The program, as `managed` names it; empty where files are only told by their names."""
    namespace: str
    name: str
    key: str
    files: tuple[str, ...]
    """Names that the file has on the nodes, of one plugin (`.conf`) or a list (`.conflist`)."""
    takes_effect: str
    """What has to happen before the nodes have what the ConfigMap says."""
    placeholders: tuple[str, ...] = ()
    """What the program fills in on each node; any other placeholder was forgotten by somebody."""
    form: Form = "network"
    """A CNI config, or the settings from which the multus daemon makes one."""
    configured: bool = False
    """Named by the operator's configuration."""

    @property
    def place(self) -> str:
        """Namespace and name, as people write them."""
        return f"{self.namespace}/{self.name}"

    def writes(self, file: str, managed_by: str | None) -> bool:
        """Whether a file on a node comes from here, as far as its report tells."""
        writer = (managed_by or "").partition(":")[0]
        return file in self.files or (bool(self.writer) and writer == self.writer)


def _restart(namespace: str, daemonset: str) -> str:
    command = f"kubectl -n {namespace} rollout restart daemonset {daemonset}"
    return f"a node gets it when its pod of the DaemonSet starts again: {command}"


KNOWN: tuple[Source, ...] = (
    # flannel-io/flannel Documentation/kube-flannel.yml, chart/kube-flannel/templates/config.yaml;
    # once in kube-system.
    *(
        Source(
            writer="flannel",
            namespace=namespace,
            name="kube-flannel-cfg",
            key="cni-conf.json",
            files=("10-flannel.conflist", "10-flannel.conf"),
            takes_effect=_restart(namespace, "kube-flannel-ds"),
        )
        for namespace in ("kube-flannel", "kube-system")
    ),
    # projectcalico/calico manifests/calico.yaml
    Source(
        writer="calico",
        namespace="kube-system",
        name="calico-config",
        key="cni_network_config",
        files=("10-calico.conflist", "10-calico.conf"),
        takes_effect=_restart("kube-system", "calico-node"),
        placeholders=_CALICO,
    ),
    # projectcalico/calico manifests/canal.yaml
    Source(
        writer="canal",
        namespace="kube-system",
        name="canal-config",
        key="cni_network_config",
        files=("10-canal.conflist", "10-canal.conf"),
        takes_effect=_restart("kube-system", "canal"),
        placeholders=_CALICO,
    ),
    # cloudnativelabs/kube-router daemonset/*.yaml: the init container copies where there is none.
    Source(
        writer="kube-router",
        namespace="kube-system",
        name="kube-router-cfg",
        key="cni-conf.json",
        files=("10-kuberouter.conflist", "10-kuberouter.conf"),
        takes_effect="only nodes without the file get it; on the others change the file itself "
        "(spec.managedFiles: Override)",
    ),
    # antrea-io/antrea build/charts/antrea/templates/configmap.yaml
    Source(
        writer="antrea",
        namespace="kube-system",
        name="antrea-config",
        key="antrea-cni.conflist",
        files=("10-antrea.conflist",),
        takes_effect=_restart("kube-system", "antrea-agent"),
    ),
    # AliyunContainerService/terway terway.yml, terway-multiip.yml: the init container copies it.
    # Newer releases make 10-terway.conflist of it with terway-cli, at a version of their own
    # (cmd/terway-cli/cni.go mergeConfigList): that file is not this ConfigMap's.
    Source(
        writer="terway",
        namespace="kube-system",
        name="eni-config",
        key="10-terway.conf",
        files=("10-terway.conf",),
        takes_effect="a node gets it when its terway pod starts again: kubectl -n kube-system "
        "rollout restart daemonset terway (or terway-eniip, terway-eni)",
    ),
    # cilium/cilium Documentation/installation/cni-chaining-generic-veth.rst (cni.customConf,
    # cni.configMap); daemon/cmd/cni/config.go setupCNIConfFile writes what it reads there.
    Source(
        writer="cilium-custom",
        namespace="kube-system",
        name="cni-configuration",
        key="cni-config",
        files=(),
        takes_effect=_restart("kube-system", "cilium"),
    ),
    # k8snetworkplumbingwg/multus-cni deployments/multus-daemonset-thick.yml
    Source(
        writer="multus-thick",
        namespace="kube-system",
        name="multus-daemon-config",
        key="daemon-config.json",
        files=(),
        takes_effect=_restart("kube-system", "kube-multus-ds"),
        form="multus-daemon",
    ),
    # k8snetworkplumbingwg/multus-cni deployments/multus-daemonset.yml, and only where its flag
    # --multus-conf-file names the file: the default, auto, does not read this key.
    Source(
        writer="",
        namespace="kube-system",
        name="multus-cni-config",
        key="cni-conf.json",
        files=("70-multus.conf",),
        takes_effect=_restart("kube-system", "kube-multus-ds"),
    ),
)


def named(writer: str) -> str:
    """The ConfigMap of a writer, as a report names it."""
    found = [source for source in KNOWN if source.writer == writer]
    if not found:
        raise LookupError(f"no ConfigMap of {writer} is known")
    places = " or ".join(source.place for source in found)
    return f"ConfigMap {places} key {found[0].key}"
