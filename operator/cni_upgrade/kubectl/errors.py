"""What the plugin cannot do, in words that name the object and the next command."""


class PluginError(Exception):
    """What was asked for cannot be done; the text says what would help."""


class NotFoundError(PluginError):
    """The object is not there."""


class StaleError(PluginError):
    """The object was changed by somebody between reading and writing it."""


class OwnedError(PluginError):
    """Another field manager owns what was to be changed."""
