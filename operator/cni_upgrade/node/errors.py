"""How an operation ends other than well, so that every such end has a code and a text to act on."""


class OperationRefusedError(Exception):
    """Nothing was touched. `code` is one word to count by; the text names file, state and cure."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


class OperationFailedError(Exception):
    """Something may have been written: each file is whole, old or new; the report says which."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)
