"""Texts of ConfigMaps, in the shape of the upstream manifests that `sources` cites.

Our own words: of each manifest only what a reading could stumble over is kept, such as calico's
placeholder where a number belongs.
"""

FLANNEL = """\
{
  "name": "cbr0",
  "cniVersion": "0.3.1",
  "plugins": [
    {
      "type": "flannel",
      "delegate": {
        "hairpinMode": true,
        "isDefaultGateway": true
      }
    },
    {
      "type": "portmap",
      "capabilities": {
        "portMappings": true
      }
    }
  ]
}
"""

FLANNEL_OLD = FLANNEL.replace('  "cniVersion": "0.3.1",\n', "")
"""As before 2019: F1."""

CALICO = """\
{
  "name": "k8s-pod-network",
  "cniVersion": "0.3.1",
  "plugins": [
    {
      "type": "calico",
      "datastore_type": "kubernetes",
      "nodename": "__KUBERNETES_NODE_NAME__",
      "mtu": __CNI_MTU__,
      "ipam": {
          "type": "calico-ipam"
      },
      "kubernetes": {
          "k8s_api_root": "https://__KUBERNETES_SERVICE_HOST__:__KUBERNETES_SERVICE_PORT__",
          "kubeconfig": "__KUBECONFIG_FILEPATH__"
      }
    },
    {
      "type": "portmap",
      "snat": true,
      "capabilities": {"portMappings": true}
    }
  ]
}"""

CANAL = CALICO.replace('"calico-ipam"', '"host-local",\n          "subnet": "usePodCidr"')

KUBE_ROUTER = """\
{
   "cniVersion":"0.3.0",
   "name":"mynet",
   "plugins":[
      {
         "name":"kubernetes",
         "type":"bridge",
         "bridge":"kube-bridge",
         "isDefaultGateway":true,
         "ipam":{
            "type":"host-local"
         }
      }
   ]
}
"""

KUBE_ROUTER_OLD = """\
{
  "name":"kubernetes",
  "type":"bridge",
  "bridge":"kube-bridge",
  "ipam": {
    "type":"host-local"
  }
}
"""
"""As in 2018: one plugin, no version."""

ANTREA = """\
{
    "cniVersion":"0.3.0",
    "name": "antrea",
    "plugins": [
        {
            "type": "antrea",
            "ipam": {
                "type": "host-local"
            }
        }
        ,
        {
            "type": "portmap",
            "capabilities": {"portMappings": true}
        }
    ]
}
"""

MULTUS_DAEMON = """\
{
    "chrootDir": "/hostroot",
    "cniVersion": "0.3.1",
    "logToStderr": true,
    "multusConfigFile": "auto"
}
"""

MULTUS_THIN = """\
{
  "name": "multus-cni-network",
  "type": "multus",
  "delegates": [
    {
      "cniVersion": "0.3.1",
      "name": "default-cni-network",
      "plugins": [
        {"type": "flannel", "delegate": {"isDefaultGateway": true}},
        {"type": "portmap", "capabilities": {"portMappings": true}}
      ]
    }
  ],
  "kubeconfig": "/etc/cni/net.d/multus.d/multus.kubeconfig"
}
"""

TERWAY = """\
{
  "cniVersion": "0.3.0",
  "name": "terway",
  "type": "terway"
}
"""

CILIUM_CUSTOM = """\
{
  "name": "generic-veth",
  "cniVersion": "0.3.1",
  "plugins": [
    {"type": "ptp", "ipam": {"type": "host-local"}},
    {"type": "portmap", "capabilities": {"portMappings": true}},
    {"type": "cilium-cni"}
  ]
}
"""
