"""Decides what happens next to each node and policy, as a pure function of a snapshot."""
