"""An hour of the real cluster in which parts of it are killed at random; see __main__.py."""
