"""A real Kubernetes cluster on one machine, because the faults at stake live in real runtimes."""
