"""The errors foldline raises beyond the built-in ones.

A wrong shape or value is a ``ValueError``, a wrong kind of thing a ``TypeError``, a missing
optional library an ``ImportError`` that says what to install. The two classes here are
``ValueError`` as well, so nobody has to know them to catch them.
"""

__all__ = ["FormatError", "UnsupportedModelError"]


class FormatError(ValueError):
    """A model file is truncated, inconsistent or not what its name says."""


class UnsupportedModelError(ValueError):
    """A model is not continuous piecewise linear, or uses operators foldline cannot lower.

    Attributes
    ----------
    operators : tuple of str
        Every offending operator, in the order of the model.
    """

    def __init__(self, message, operators=()):
        super().__init__(message)
        self.operators = tuple(operators)
