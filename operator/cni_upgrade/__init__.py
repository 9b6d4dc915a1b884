"""CNI upgrade operator: finds and cures CNI configs that runtimes no longer forgive."""

__version__ = "0.1.0"
"""As in pyproject.toml: an image has no metadata of the package."""
