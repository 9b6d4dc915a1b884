"""One module for each step of an operation on a node."""
