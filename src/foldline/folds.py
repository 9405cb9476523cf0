"""Where a network bends: the facets across which its slope jumps."""

import math
import time
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from . import cells
from .domains import check_question
from .evaluation import unpack_patterns
from .exact import rounded
from .exact_cells import ExactWalk
from .exact_forms import map_on
from .facets import of_length_1
from .maps import map_errors
from .regions import regions
from .walk import MOST_DIMENSIONS_OF_VERTICES
from .wording import counted

__all__ = ["Folds", "folds"]

# Of a time limit: what the search for regions takes at most.
_SHARE_OF_SEARCH = 0.5
_UNIT = 2.0**-53
# Corners are allowed this many roundings of their own.
_CORNER_ROUNDINGS = 16


class Folds(NamedTuple):
    """The facets between neighbouring regions across which the slope jumps, one row each.

    Coordinates are the domain's own.

    Attributes
    ----------
    regions : Regions
        What they lie between.
    pairs : ndarray of int64, shape (n_folds, 2)
        Rows of `regions`.
    normals : ndarray of float64, shape (n_folds, dimension)
        Of length 1, from the first region of the pair to the second.
    jumps : ndarray of float64, shape (n_folds, n_out)
        What the slope along the normal changes by: positive where an output bends upward, as a convex
        one does. Other slopes are the same on both sides.
    vertices : tuple of ndarray, each (n_vertices, dimension)
        The corners of each facet.
    neurons : tuple of ndarray of int64
        The neurons whose bits differ.
    status : str
        "complete", or "limit", where regions or folds are left out.
    """

    regions: object
    pairs: np.ndarray
    normals: np.ndarray
    jumps: np.ndarray
    vertices: tuple
    neurons: tuple
    status: str

    def __len__(self):
        return len(self.pairs)

    def __repr__(self):
        return f"Folds({len(self.pairs):,} between {counted(len(self.regions), 'region')}, {self.status})"


def folds(net, domain, *, max_regions=None, time_limit=None, workers=1):
    """Find where a network bends on a bounded domain.

    Parameters
    ----------
    net : Network
    domain : Box, Ball, Polytope, Plane or Segment
        Of at most 6 dimensions.
    max_regions, time_limit, workers
        As for `regions`. Facets between regions that were found are listed, as many as there is time for.

    Returns
    -------
    Folds
        Facets with the same map on both sides are not among them: where doubles do not differ by more than
        their rounding, maps are compared exactly.

    Raises
    ------
    ValueError
        As `regions`; more than 6 dimensions.

    Examples
    --------
    >>> import foldline as fl
    >>> net = fl.Network([([[1.0], [-1.0], [1.0]], [0.0, 0.0, -0.5]), ([[1.0, -1.0, 2.0]], None)])
    >>> found = fl.folds(net, fl.Box(-1, 1, n_in=1))      # relu(x) - relu(-x) = x has none at 0
    >>> found.jumps, found.vertices, found.neurons
    (array([[2.]]), (array([[0.5]]),), (array([2]),))
    """
    check_question(net, domain, max_regions=max_regions, time_limit=time_limit)
    d, most = domain.dimension, MOST_DIMENSIONS_OF_VERTICES
    if d > most:
        raise ValueError(f"the domain has {d} dimensions; wanted at most {most}, or a slice")
    begin, limit = time.monotonic(), math.inf if time_limit is None else time_limit
    search = None if time_limit is None else _SHARE_OF_SEARCH * time_limit
    found = regions(net, domain, max_regions=max_regions, time_limit=search, workers=workers)
    status = found.status
    errors, d, flips = map_errors(net, domain), domain.dimension, found.flips
    jumps = np.concatenate([found.jumps.A, found.jumps.b[:, :, None]], axis=2)
    is_fold = (abs(jumps) > 2 * errors)[:, :, :d].any(axis=(1, 2)) & np.isfinite(jumps).all(axis=(1, 2))
    exact, scales = _Exact(net, domain, found), {}
    for pair in np.flatnonzero(~is_fold).tolist():
        if time.monotonic() - begin > limit:
            status = "limit"
            break
        i, j = found.neighbours[pair].tolist()
        first, second = exact.map(i), exact.map(j)
        is_fold[pair] = first != second
        if is_fold[pair]:
            # the jump of nearly equal maps, in units of its largest number, rounded once
            jump = [[b - a for a, b in zip(*rows)] for rows in zip(first, second)]
            scales[pair] = max(abs(value) for row in jump for value in row)
            jumps[pair] = [[float(value / scales[pair]) for value in row] for row in jump]
    rows = np.flatnonzero(is_fold)
    normals, sizes, vertices = np.empty((len(rows), d)), np.empty((len(rows), net.n_out)), []
    for at, pair in enumerate(rows.tolist()):
        if time.monotonic() - begin > limit:
            rows, normals, sizes, status = rows[:at], normals[:at], sizes[:at], "limit"
            break
        i, j = found.neighbours[pair].tolist()
        jump = jumps[pair]
        steepest = int(np.argmax(((jump[:, :d] / abs(jump[:, :d]).max()) ** 2).sum(axis=1)))
        *normal, offset = of_length_1(jump[steepest])
        normal = np.array(normal)
        if normal @ found.interior_points[j] + offset < normal @ found.interior_points[i] + offset:
            normal = -normal
        normals[at], sizes[at] = normal, jump[:, :d] @ normal
        if pair in scales:
            sizes[at] = [rounded(Fraction(size) * scales[pair]) for size in sizes[at]]
        corners = None if pair in scales else _corners(found.vertices[i], jump, errors, d)
        vertices.append(exact.facet(i, j) if corners is None else corners)
    columns = found.neighbours[rows], normals + 0.0, sizes + 0.0
    for array in (*columns, *vertices):
        array.flags.writeable = False
    return Folds(found, *columns, tuple(vertices), tuple(flips[k] for k in rows), status)


def _corners(corners, jump, errors, d):
    """Those of a region's corners at which the jump is 0 up to rounding; None where they make no facet."""
    homogeneous = np.concatenate([corners, np.ones((len(corners), 1))], axis=1).T
    exponent = -np.frexp(abs(jump).max())[1]
    with np.errstate(over="ignore", invalid="ignore"):  # then there is no telling
        jump, errors = np.ldexp(jump, exponent), np.ldexp(errors, exponent)
        off = (2 * errors + _CORNER_ROUNDINGS * _UNIT * abs(jump)) @ abs(homogeneous)
        on = (abs(jump @ homogeneous) <= off).all(axis=0)
    return corners[on].copy() if d <= on.sum() < len(corners) else None


class _Exact:
    """What doubles leave open."""

    def __init__(self, net, domain, found):
        self._walk = ExactWalk(cells.ExactChain(net, domain))
        self._bits = unpack_patterns(found.patterns, net.n_neurons)
        self._maps = {}

    def map(self, row):
        if row not in self._maps:
            self._maps[row] = map_on(self._walk.chain, self._bits[row].tolist())
        return self._maps[row]

    def facet(self, i, j):
        """The corners that two regions share."""
        first, second = (next(self._walk.rows_of([tuple(self._bits[k].tolist())])) for k in (i, j))
        shared = sorted(set(first.vertices) & set(second.vertices))
        return np.array([[u / v[-1] for u in v[:-1]] for v in shared])
