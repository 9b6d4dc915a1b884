"""Finds folders and configuration of the runtime on a host, and its sandboxes."""
