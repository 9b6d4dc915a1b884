"""The kinds that we ask the API server for, and where each stands in its paths."""

from __future__ import annotations

from dataclasses import dataclass

from cni_upgrade.api import names


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind: `group` is empty for the core API."""

    group: str
    version: str
    plural: str

    def path(self, namespace: str | None = None, name: str | None = None, sub: str = "") -> str:
        """The path of the collection, of one object, or of its subresource; names as quoted."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        where = f"/namespaces/{namespace}" if namespace else ""
        what = f"/{name}" if name else ""
        return f"{root}{where}/{self.plural}{what}" + (f"/{sub}" if sub else "")


NODES = Resource("", "v1", "nodes")
PODS = Resource("", "v1", "pods")
EVENTS = Resource("", "v1", "events")
CONFIGMAPS = Resource("", "v1", "configmaps")
JOBS = Resource("batch", "v1", "jobs")
POLICIES = Resource(names.GROUP, names.VERSION, names.POLICY_PLURAL)
NODE_STATES = Resource(names.GROUP, names.VERSION, names.NODE_STATE_PLURAL)
BUDGETS = Resource("policy", "v1", "poddisruptionbudgets")
DAEMONSETS = Resource("apps", "v1", "daemonsets")
LEASES = Resource("coordination.k8s.io", "v1", "leases")
NAMESPACES = Resource("", "v1", "namespaces")
ADMISSION_POLICIES = Resource("admissionregistration.k8s.io", "v1", "validatingadmissionpolicies")
ADMISSION_BINDINGS = Resource(
    "admissionregistration.k8s.io", "v1", "validatingadmissionpolicybindings"
)
ACCESS_REVIEWS = Resource("authorization.k8s.io", "v1", "selfsubjectaccessreviews")
