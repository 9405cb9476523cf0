"""Pairs of points that show something of a network, in exact rationals."""

from functools import cached_property

import numpy as np

from .exact import input_of, rounded
from .frozen import Frozen

__all__ = ["Pair"]


class Pair(Frozen):
    """Two points of a domain.

    Attributes
    ----------
    net, domain : Network and domain
    x, y : tuple of Fraction
        In the domain's own coordinates: of a `Ball`, from its center; of a slice, along it.
    inputs : ndarray of float64, shape (2, n_in)
        The same as inputs of the network, rounded.
    """

    def __init__(self, net, domain, x, y, **rest):
        super().__init__(net=net, domain=domain, x=tuple(x), y=tuple(y), **rest)

    def _exact_inputs(self):
        """x and y as inputs, lists of `Fraction`; None for one that is not in the domain."""
        return [input_of(self.domain, u) for u in (self.x, self.y)]

    @cached_property
    def inputs(self):
        points = [[np.nan] * self.net.n_in if p is None else map(rounded, p) for p in self._exact_inputs()]
        inputs = np.array([list(point) for point in points])
        inputs.flags.writeable = False
        return inputs
