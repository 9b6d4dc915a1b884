"""The controller's rights, asked of a real API server: all that it needs, and none beside them."""

import pytest

from cni_upgrade.cni.sources import KNOWN
from cni_upgrade.controller.admission_policies import POLICIES
from cni_upgrade.kube.rights import needed as asked_for
from tests.api.conftest import Kubectl
from tests.api.server import Server
from tests.api.spaces import ACCOUNT, AGENTS, PROOF, SYSTEM
from tests.api.waiting import eventually

Right = tuple[str, str, str, str, str]  # verb, group, resource, namespace ("" for all), name


def rights(verbs: str, resource: str, namespace: str = "", name: str = "") -> list[Right]:
    """`verbs` by spaces, `resource` as `resource.group/subresource`."""
    plain, slash, sub = resource.partition("/")
    plural, _, group = plain.partition(".")
    return [(verb, group, plural + slash + sub, namespace, name) for verb in verbs.split()]


NEEDED: list[Right] = [
    *(
        (
            right.verb,
            right.resource.group,
            right.resource.plural + (f"/{right.sub}" if right.sub else ""),
            right.namespace or "",
            right.name,
        )
        for right in asked_for(SYSTEM, AGENTS, PROOF)
    ),
    *rights("create", "pods/eviction", "kube-system"),
    *(
        right
        for name in POLICIES
        for kind in ("validatingadmissionpolicies", "validatingadmissionpolicybindings")
        for right in rights("get", f"{kind}.admissionregistration.k8s.io", name=name)
    ),
    *(
        right
        for source in KNOWN
        if source.namespace == "kube-system" and source.name != "eni-config"
        for right in rights("list", "configmaps", "kube-system", source.name)
    ),
]
FORBIDDEN = [
    *rights("get list watch create update patch delete", "secrets"),
    *rights("get list", "secrets", SYSTEM),
    *rights("create update delete deletecollection", "nodes"),
    *rights("get create", "nodes/proxy"),
    *rights("update patch", "nodes/status"),
    *rights("create update patch delete deletecollection", "pods"),
    *rights("create update patch delete deletecollection", "pods", "kube-system"),
    *rights("create update patch delete", "pods", SYSTEM),
    *rights("create update patch delete", "pods", AGENTS),
    *rights("update patch deletecollection", "pods", PROOF),
    *rights("create get", "pods/exec"),
    *rights("create get", "pods/exec", AGENTS),
    *rights("create get", "pods/attach", AGENTS),
    *rights("update patch", "pods/ephemeralcontainers", AGENTS),
    *rights("get", "pods/log"),
    *rights("create", "jobs.batch"),
    *rights("create", "jobs.batch", SYSTEM),
    *rights("create", "jobs.batch", PROOF),
    *rights("update patch deletecollection", "jobs.batch", AGENTS),
    *rights("create update delete", "cniupgradepolicies.cniupgrade.dev"),
    *rights("update", "cninodestates.cniupgrade.dev"),
    *rights("get create update patch delete", "configmaps", SYSTEM, "cni-upgrade-operator"),
    *rights("list", "configmaps", SYSTEM),
    *rights("list", "configmaps"),
    *rights("get list watch update patch delete", "configmaps", "kube-system"),
    *rights("get watch update patch delete", "configmaps", "kube-system", "calico-config"),
    *rights("list", "configmaps", "kube-system", "coredns"),
    *rights("list", "configmaps", "kube-system", "eni-config"),  # it can hold an access key
    *rights("list", "configmaps", "default", "calico-config"),
    *rights("get update", "leases.coordination.k8s.io", "kube-node-lease", "node-a"),
    *rights("get patch", "leases.coordination.k8s.io", SYSTEM, "another"),
    *rights("list watch delete update", "leases.coordination.k8s.io", SYSTEM),
    *rights("get list watch", "namespaces"),
    *rights("get update patch", "namespaces", name=AGENTS),
    *rights("get", "pods/log", AGENTS),
    *rights("get", "pods", SYSTEM),
    *rights("update patch delete", "events", "default"),
    *rights("create", "serviceaccounts/token", SYSTEM),
    *rights("impersonate", "users"),
    *rights("create update patch", "deployments.apps", SYSTEM),
    *rights("list watch create update patch delete", "daemonsets.apps"),
    *rights("create update patch bind escalate", "clusterroles.rbac.authorization.k8s.io"),
    *rights("create", "clusterrolebindings.rbac.authorization.k8s.io"),
    *rights(
        "get list watch create update patch delete",
        "validatingadmissionpolicies.admissionregistration.k8s.io",
    ),
    *rights(
        "list watch update patch delete",
        "validatingadmissionpolicybindings.admissionregistration.k8s.io",
        name="cni-upgrade-agent-pods",
    ),
    *rights("get watch create update patch delete", "poddisruptionbudgets.policy"),
    *rights("create update patch delete", "namespaces"),
    *rights("create update patch delete", "customresourcedefinitions.apiextensions.k8s.io"),
]


def allowed(server: Server, right: Right) -> bool:
    verb, group, resource, namespace, name = right
    plural, _, sub = resource.partition("/")
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": ACCOUNT,
            "groups": [
                "system:serviceaccounts",
                f"system:serviceaccounts:{SYSTEM}",
                "system:authenticated",
            ],
            "resourceAttributes": {
                "verb": verb,
                "group": group,
                "resource": plural,
                "subresource": sub,
                "namespace": namespace,
                "name": name,
            },
        },
    }
    answer = server.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
    assert answer.ok, answer.message
    return bool(answer.body["status"]["allowed"])


def said(right: Right) -> str:
    verb, group, resource, namespace, name = right
    return f"{verb}-{resource}{'.' if group else ''}{group}-{namespace or 'all'}-{name or 'any'}"


@pytest.mark.parametrize("right", NEEDED, ids=said)
def test_the_controller_may(shipped: Server, right: Right) -> None:
    eventually(lambda: allowed(shipped, right), said(right))


@pytest.mark.parametrize("right", FORBIDDEN, ids=said)
def test_the_controller_may_not(shipped: Server, right: Right) -> None:
    assert not allowed(shipped, right)


@pytest.mark.parametrize("namespace", [SYSTEM, AGENTS, PROOF])
def test_other_accounts_get_nothing(shipped: Server, kubectl: Kubectl, namespace: str) -> None:
    assert shipped
    done = kubectl(
        *("auth", "can-i", "list", "pods", "-n", namespace),
        f"--as=system:serviceaccount:{namespace}:default",
    )
    assert done.stdout.strip() == "no"
