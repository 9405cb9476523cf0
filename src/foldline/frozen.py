"""What is never changed once made: results, domains, networks."""

import numpy as np

__all__ = ["Frozen"]


class Frozen:
    """Attributes are those given, in this order, and stay; arrays among them become read-only.

    Copies and pickles are made of the same attributes, and frozen too.
    """

    def __init__(self, **attributes):
        self.__setstate__(attributes)

    def __setstate__(self, attributes):
        for value in attributes.values():
            for array in value if isinstance(value, tuple) else (value,):
                if isinstance(array, np.ndarray):
                    array.flags.writeable = False
        vars(self).update(attributes)

    def __setattr__(self, name, value):
        raise AttributeError(f"{type(self).__name__} objects are frozen; {name!r} cannot be set")

    def __delattr__(self, name):
        raise AttributeError(f"{type(self).__name__} objects are frozen; {name!r} cannot be deleted")
