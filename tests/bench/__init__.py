"""Measures what an agent costs a node; nothing here is a test, for times depend on the machine."""
