"""Asks plugin binaries which CNI versions they support."""
