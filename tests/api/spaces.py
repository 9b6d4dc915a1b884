"""The operator's namespaces, its name and the account that it asks with, as its manifests say."""

SYSTEM, AGENTS, PROOF = "cni-upgrade-system", "cni-upgrade-agents", "cni-upgrade-proof"
OPERATOR = "cni-upgrade-operator"
ACCOUNT = f"system:serviceaccount:{SYSTEM}:{OPERATOR}"


def pods(namespace: str) -> str:
    """Where the API server has the pods of one."""
    return f"/api/v1/namespaces/{namespace}/pods"
