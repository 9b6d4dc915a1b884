"""Holds this project's reading of configs against libcni itself, and its predictions too."""
