"""Watches the cluster, calls the planner, and carries out its decisions."""
