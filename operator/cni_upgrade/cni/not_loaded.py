"""Says why libcni would not load a file: what every part of its reading may end in."""

from cni_upgrade.cni.findings import Code


class NotLoadedError(Exception):
    """libcni would return an error for this file."""

    def __init__(self, code: Code, message: str, unjudged: bool = False) -> None:
        self.code = code
        self.unjudged = unjudged
        super().__init__(message)


class BadVersionError(NotLoadedError):
    """libcni would return an error because of the list's cniVersion or cniVersions."""

    def __init__(self, message: str) -> None:
        super().__init__(Code.BAD_VERSION, message)
