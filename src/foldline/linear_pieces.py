"""Linear regions: which activation regions make one, and the fewest half-spaces that describe it."""

import math
import time
from itertools import combinations

import numpy as np

from .evaluation import unpack_patterns
from .exact_cells import MOST_DIMENSIONS_OF_CORNERS, ExactWalk
from .exact_forms import forms_on, map_on
from .facets import exact_facets
from .maps import map_errors
from .walk import DOUBLES, MOST_DIMENSIONS_IN_TIME, Prefix, Walk, check_engine

__all__ = ["Describer", "linear_regions"]

# Unions of more cells are not searched for convex parts.
_MOST_CELLS_OF_PARTS = 64


def linear_regions(regions, chain, end=math.inf):
    """Groups of rows of complete `Regions`, as arrays in order of their first: facet-connected, with one map;
    None where that took longer.

    Maps that differ by more than rounding are different; others are compared exactly.
    """
    errors = map_errors(regions.net, regions.domain)
    first, second = regions.neighbours.T
    jumps = np.concatenate([regions.jumps.A, regions.jumps.b[:, :, None]], axis=2)
    doubtful = np.flatnonzero(~(abs(jumps) > 2 * errors).any(axis=(1, 2)))
    bits = unpack_patterns(regions.patterns, regions.net.n_neurons)
    maps, root = {}, list(range(len(regions)))

    def map_of(row):
        if row not in maps:
            maps[row] = map_on(chain, bits[row].tolist())
        return maps[row]

    def root_of(row):
        while root[row] != row:
            root[row] = root[root[row]]
            row = root[row]
        return row

    for i, j in zip(first[doubtful].tolist(), second[doubtful].tolist()):
        if time.monotonic() > end:
            return None
        if map_of(i) == map_of(j):
            low, high = sorted((root_of(i), root_of(j)))
            root[high] = low
    groups = {}
    for row in range(len(regions)):
        groups.setdefault(root_of(row), []).append(row)
    return [np.array(rows) for rows in groups.values()]


class Describer:
    """Describes activation regions, and unions of them, by exact forms that are positive inside.

    Parameters
    ----------
    chain : cells.ExactChain
        Of the network and the domain.
    patterns : ndarray of uint8, shape (n_regions, ceil(n_neurons / 8))
    neighbours : ndarray of int64, shape (n_pairs, 2)
        Pairs of rows that share a facet; all of them, for `parts` of several rows.
    """

    def __init__(self, net, domain, chain, patterns, neighbours):
        self._net, self._domain, self._chain, self._patterns = net, domain, chain, patterns
        self._bits = unpack_patterns(patterns, net.n_neurons)
        self._walk = Walk(net, domain, check_engine("auto", domain.dimension), want="rows")
        self._across, self._forms = {}, {}
        for i, j in neighbours.tolist():
            self._across.setdefault(i, []).append(j)
            self._across.setdefault(j, []).append(i)

    def map(self, row):
        """See `exact_forms.map_on`."""
        return map_on(self._chain, self._bits[row].tolist())

    def parts(self, rows):
        """The union of these rows as convex parts, each a list of forms, irredundant but for `_folds` in many
        dimensions: tuples of integers, coefficients of the domain's coordinates and a constant. Faces of the
        domain are left out."""
        facets = {row: self._facets(row, set(rows)) for row in rows}
        if len(rows) == 1:
            return [[form for form, _ in facets[rows[0]]]]
        corners = self._corners(rows)
        whole = _external(rows, facets)
        if _is_convex(whole, rows, corners):
            return [whole]
        parts = [[row] for row in rows]
        if len(rows) <= _MOST_CELLS_OF_PARTS:
            parts = _joined(parts, facets, corners)
        return [_external(part, facets) for part in parts]

    def _facets(self, row, wanted):
        """(form, the row of `wanted` on the other side or None) of each facet within the domain."""
        bits = self._bits[row]
        neurons, _ = forms_on(self._chain, bits.tolist())
        beyond = [(j, bits != self._bits[j]) for j in self._across.get(row, ()) if j in wanted]
        found = []
        for members in self._folds(row):
            neuron = members[0]
            form = neurons[neuron] if bits[neuron] else -neurons[neuron]
            other = next((j for j, flips in beyond if flips[members].any()), None)
            found.append((_primitive(form.tolist()), other))
        return found

    def _folds(self, row):
        """The neurons that make each facet within the domain; in many dimensions, where doubles do not decide
        that, all that fold."""
        if not self._net.n_neurons:
            return []
        d = self._domain.dimension
        if d <= MOST_DIMENSIONS_IN_TIME:
            prefix = Prefix(self._patterns[row].tobytes(), self._net.n_neurons, DOUBLES)
            part = self._walk.run([prefix], math.inf, 2)
            if part.n_cells == 1 and not part.n_undecided:
                return [[neuron] for neuron in sorted(part.rows[0].facets.tolist()) if neuron >= 0]
        if d > MOST_DIMENSIONS_OF_CORNERS:
            neurons, _ = forms_on(self._chain, self._bits[row].tolist())
            return [[neuron] for neuron, form in enumerate(neurons) if form[:-1].any()]
        members, _ = exact_facets(self._chain, self._domain, self._bits[row])
        inside = [m[m < self._net.n_neurons].tolist() for m in members if m[-1] < self._net.n_neurons]
        return sorted(inside)

    def _corners(self, rows):
        """The exact corners of each row, in homogeneous coordinates."""
        bits = {tuple(self._bits[row].tolist()): row for row in rows}
        return {bits[cell.bits]: cell.vertices for cell in ExactWalk(self._chain).rows_of(sorted(bits))}


def _primitive(form):
    divisor = math.gcd(*form)
    return tuple(value // divisor for value in form)


def _external(rows, facets):
    """Forms of the facets that have none of these rows on their other side, each once."""
    inside = set(rows)
    return list(dict.fromkeys(form for row in rows for form, other in facets[row] if other not in inside))


def _is_convex(forms, rows, corners):
    """A connected union of cells is convex iff it lies on one side of each of its outer facets."""
    points = np.array([corner for row in rows for corner in corners[row]], dtype=object)
    return all((points @ np.array(form, dtype=object) >= 0).all() for form in forms)


def _joined(parts, facets, corners):
    """Parts joined, two that touch at a time, while that leaves them convex."""
    parts = [list(part) for part in parts]
    joined = True
    while joined:
        joined = False
        for i, j in combinations(range(len(parts)), 2):
            touching = any(other in parts[j] for row in parts[i] for _, other in facets[row])
            both = parts[i] + parts[j]
            if touching and _is_convex(_external(both, facets), both, corners):
                parts[i] = both
                del parts[j]
                joined = True
                break
    return parts
