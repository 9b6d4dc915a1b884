"""Room cni: what a CNI config is and which version it may carry, as values: no files, no processes."""
