"""`kubectl cni-upgrade`: what a person asks of a fleet, through their own kubeconfig."""
