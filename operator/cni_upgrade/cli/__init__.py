"""Room cli: cni-upgrade: the engine for people, without a cluster."""
