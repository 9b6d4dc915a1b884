"""Deleted policies with `deletionPolicy: Restore`: which nodes are left, and until when."""
