"""What the plugin cannot do, in words that name the object and the next command."""


class PluginError(Exception):
    """What was asked for cannot be done; the text says what would help."""


class NotFoundError(PluginError):
    """The object is not there."""
