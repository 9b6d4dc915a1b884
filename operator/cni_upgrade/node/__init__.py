"""Room node: what happens on one node: reading, probing, writing, reporting."""
