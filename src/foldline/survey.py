"""All regions of a network by their patterns, batch after batch; and points inside a region, exactly."""

import math
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from . import cells
from .domains import Domain, Space
from .exact_cells import ExactWalk
from .exact_forms import forms_on
from .facets import domain_faces
from .walk import DOUBLES, FINE, Prefix, Walk, check_engine, parts

__all__ = ["Batch", "ExactRegion", "batches", "check_bounded", "facet_point", "float_points"]


class Batch(NamedTuple):
    """Patterns, (n, n_bytes); whether some took exact arithmetic; whether they are the last of all."""

    patterns: np.ndarray
    has_ties: bool
    is_last: bool


def check_bounded(domain, why):
    """Raise where the domain is all of space."""
    if isinstance(domain, Space):
        raise ValueError(f"the domain is all of space, {why}; wanted a bounded one, such as a Box")


def batches(net, domain, deadline=math.inf, max_regions=None):
    """Yield `Batch`es until all regions were found, or a limit is met: then no batch `is_last`."""
    walk = Walk(net, domain, check_engine("auto", domain.dimension), want="patterns")
    left = math.inf if max_regions is None else max_regions
    before = None
    for part in parts(walk, 1, deadline, left + 1, steps=FINE):
        if before is not None:
            yield before
        n = len(part.patterns)
        before = Batch(part.patterns[: min(n, left)], part.n_undecided > 0, False)
        if part.opens or n > left:
            yield before
            return
        left -= n
    yield before._replace(is_last=True)


class ExactRegion:
    """One region in exact arithmetic, in the domain's coordinates.

    Parameters
    ----------
    walk : ExactWalk
        Of the network and the domain.
    domain : domain
    bits : sequence of bool
    """

    def __init__(self, walk: ExactWalk, domain: Domain, bits):
        self._walk, self.bits = walk, tuple(map(bool, bits))
        neurons, _ = forms_on(walk.chain, self.bits)
        forms = [form if bit else -form for form, bit in zip(neurons, self.bits)]
        faces = [-np.array(row, dtype=object) for row in cells.integer_forms(domain_faces(domain))]
        self._forms = [form.tolist() for form in (*forms, *faces) if form.any()]

    def touches(self, u):
        """Whether the closed region has the point."""
        return all(_value(form, u) >= 0 for form in self._forms)

    def holds(self, u):
        """Whether the point is inside."""
        return all(_value(form, u) > 0 for form in self._forms)

    def point(self, guess=None):
        """A point inside, as `Fraction`s: the guess if it is one, else the mean of the corners."""
        if guess is not None:
            guess = [Fraction(value) for value in guess]
            if self.holds(guess):
                return guess
        return _mean(self.row().vertices)

    def row(self):
        """See `exact_cells.Row`."""
        return next(self._walk.rows_of([self.bits]))

    def step(self, u, direction):
        """A power of two t with u + s direction inside for all 0 <= s <= t; u is inside."""
        reach = Fraction(1)
        for form in self._forms:
            rate = sum(m * x for m, x in zip(form, direction))
            if rate < 0:
                reach = min(reach, _value(form, u) / -rate)
        return Fraction(2) ** (math.floor(math.log2(reach.numerator) - math.log2(reach.denominator)) - 1)


def float_points(net, domain, patterns):
    """A float point in each region, as the engine has it; None where it took exact arithmetic."""
    walk = Walk(net, domain, check_engine("auto", domain.dimension), want="rows")
    found = []
    for pattern in patterns:
        part = walk.run([Prefix(pattern.tobytes(), net.n_neurons, DOUBLES)], math.inf, 2)
        decided = part.n_cells == 1 and not part.n_undecided
        found.append(part.rows[0].points[0].tolist() if decided else None)
    return found


def facet_point(facet):
    """The mean of a facet's corners, as `Fraction`s."""
    return _mean(facet)


def _value(form, u):
    return sum(m * x for m, x in zip(form, u)) + form[-1]


def _mean(vertices):
    n = len(vertices)
    return [sum(Fraction(v[k], v[-1]) for v in vertices) / n for k in range(len(next(iter(vertices))) - 1)]
