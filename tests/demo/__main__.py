"""`make demo`: both faults on a real cluster, found, cured, proved; 0 only if all was seen."""

from __future__ import annotations

import sys

from tests.cluster.cluster import Cluster
from tests.cluster.errors import ClusterError
from tests.demo import story
from tests.demo.kube import Kubectl, NotSeenError
from tests.demo.screen import elapsed, heading, note

NAME = "demo"


def play() -> None:
    """The whole story. Raises NotSeenError or ClusterError where it stops being true."""
    cluster = story.up(NAME)
    kubectl = Kubectl(cluster)
    story.images(cluster)
    story.install(kubectl)
    story.break_things(kubectl)
    story.audit(kubectl, cluster)
    story.enforce(kubectl)
    story.cured(kubectl, cluster)
    heading(f"All of it was seen, in {elapsed():.0f} s. The cluster is still up")
    print(f"""  look at it:  export KUBECONFIG={cluster.kubeconfig}
               alias kubectl={cluster.kubectl}
               kubectl get cniupgradepolicies,cninodestates -o wide
               kubectl describe cninodestate node-a
               kubectl explain cniupgradepolicy.spec
  on a node:   python3 -m tests.cluster exec --name {NAME} node-a -- ls -l /etc/cni/net.d
  end it:      make demo-down""")


def main(arguments: list[str]) -> int:
    """0: all was seen; 1: something was not; 2: the cluster could not be had."""
    try:
        if arguments == ["down"]:
            Cluster(NAME).down()
            note("the demo's cluster is gone")
        elif arguments:
            print("usage: python3 -m tests.demo [down]", file=sys.stderr)
            return 2
        else:
            play()
    except NotSeenError as error:
        print(
            f"\ndemo: {error}\ndemo: the cluster is left as it is; make demo-down ends it",
            file=sys.stderr,
        )
        return 1
    except ClusterError as error:
        print(f"\ndemo: {error}", file=sys.stderr)
        return 2
    return 0


sys.exit(main(sys.argv[1:]))
