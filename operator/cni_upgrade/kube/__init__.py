"""Room kube: what we ask of Kubernetes, and the one implementation that asks it."""
