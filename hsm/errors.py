"""The one exception a caller of this package has to know."""


class HSMError(ValueError):
    """The caller's input cannot be used; the message says what, got, wanted and what to do."""
