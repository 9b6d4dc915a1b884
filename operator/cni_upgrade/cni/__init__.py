"""Room cni: what a CNI config is and which version it may carry: values, no files."""
