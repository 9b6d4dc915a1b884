"""The operator's three namespaces, as its manifests name them."""

SYSTEM, AGENTS, PROOF = "cni-upgrade-system", "cni-upgrade-agents", "cni-upgrade-proof"


def pods(namespace: str) -> str:
    """Where the API server has the pods of one."""
    return f"/api/v1/namespaces/{namespace}/pods"
