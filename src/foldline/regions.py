"""The regions of a network on a domain: counted and described, with proof."""

import math
import time

import numpy as np

from . import cells
from .domains import check_domain
from .network import Network
from .region_tables import Regions

__all__ = ["RegionCount", "count_regions", "iter_regions", "regions"]

_KINDS = ("activation", "linear", "affine")


class RegionCount:
    """What `count_regions` found.

    Attributes
    ----------
    count : int
        The number of regions; where `status` is "limit", of those known so far, a lower bound. (For
        "linear" that is the number of different maps: cells still to come may join known ones.)
    kind : str
        "activation", "linear" or "affine".
    status : str
        "complete", or "limit" where a limit ended the run.
    certified : str
        "exact": proved for the real-arithmetic function with the weights as given; or "lower_bound",
        with the same proof, where a limit was met.
    stats : dict
        "cells" visited and "seconds" used.
    digest : str
        Of the network.
    """

    __slots__ = ("certified", "count", "digest", "kind", "stats", "status")

    def __init__(self, count, kind, status, stats, digest):
        certified = "exact" if status == "complete" else "lower_bound"
        for name, value in zip(self.__slots__, (certified, count, digest, kind, stats, status)):
            object.__setattr__(self, name, value)

    def __setattr__(self, name, value):
        raise AttributeError(f"a RegionCount is frozen; {name!r} cannot be set")

    def __reduce__(self):
        return RegionCount, (self.count, self.kind, self.status, self.stats, self.digest)

    def __repr__(self):
        return (
            f"RegionCount(count={self.count}, kind={self.kind!r}, status={self.status!r}, "
            f"certified={self.certified!r})"
        )


def count_regions(net, domain, *, kind="activation", max_regions=None, time_limit=None, progress=None):
    """Count the regions of a network on a domain, exactly.

    Parameters
    ----------
    net : Network
    domain : Box, Ball, Polytope, Plane, Segment or Space
        A slice is counted in its own dimension.
    kind : {"activation", "linear", "affine"}
        Patterns whose points have an interior; maximal connected sets on which the network is affine;
        or different maps, connected or not. For slices, maps on the slice.
    max_regions : int, optional
        Stop after this many activation regions. A run that is stopped says so.
    time_limit : float, optional
        Stop after this many seconds.
    progress : callable, optional
        Called with the number of activation regions found so far, now and then.

    Returns
    -------
    RegionCount
        Every decision is made in exact rational arithmetic: degenerate networks are ordinary. The
        price is speed, some thousand cells a second.

    Raises
    ------
    ValueError
        A domain of another dimension, without interior, or unbounded where it must not be; a limit
        that is not positive.

    Examples
    --------
    >>> import foldline as fl
    >>> net = fl.Network([([[1.0, 1.0], [1.0, -1.0]], None), ([[1.0, 1.0]], None)])
    >>> fl.count_regions(net, fl.Box(-1, 1, n_in=2))
    RegionCount(count=4, kind='activation', status='complete', certified='exact')

    A network that is linear after all:

    >>> net = fl.Network([([[1.0], [-1.0]], None), ([[1.0, -1.0]], None)])
    >>> fl.count_regions(net, fl.Space(1)).count, fl.count_regions(net, fl.Space(1), kind="linear").count
    (2, 1)
    """
    _check_question(net, domain, max_regions=max_regions, time_limit=time_limit)
    if kind not in _KINDS:
        raise ValueError(f"kind is {kind!r}; wanted one of {', '.join(map(repr, _KINDS))}")
    start = time.monotonic()
    chain = cells.ExactChain(net, domain)
    merger = None if kind == "activation" else _Maps(chain.dimension)
    n, status = 0, "complete"
    for _, cell, forms in cells.iter_cells(chain):
        if max_regions is not None and n >= max_regions:
            status = "limit"  # there is one more than were allowed
            break
        n += 1
        if merger:
            merger.add(cell, forms)
        if progress and n % 256 == 0:
            progress(n)
        if time_limit is not None and time.monotonic() - start > time_limit:
            status = "limit"
            break
    count = n
    if merger:
        # Cells that are not known yet may join linear regions; more maps only add affine ones.
        count = merger.n_maps() if kind == "affine" or status == "limit" else merger.n_connected()
    stats = {"cells": n, "seconds": time.monotonic() - start}
    return RegionCount(count, kind, status, stats, net.digest)


def _check_question(net, domain, **limits):
    if not isinstance(net, Network):
        raise TypeError(f"net is {type(net).__name__}; wanted a Network")
    check_domain(net, domain)
    for name, limit in limits.items():
        if limit is not None and not limit > 0:
            raise ValueError(f"{name} is {limit!r}; wanted more than 0")


class _Maps:
    """Cells by their maps, and joined across facets where the maps on both sides are the same.

    A facet of a cell is a facet of its one neighbour, whole: on the facet every neuron's form is the
    same from both sides, so what does not cut one of them does not cut the other.
    """

    def __init__(self, dimension):
        self._dimension = dimension
        self._ids = {}  # map: number
        self._of_cell = []  # number of each cell's map
        self._open = {}  # facet whose other side has not come yet: cell
        self._parent = []

    def add(self, cell, forms):
        number = self._ids.setdefault(tuple(forms.ravel().tolist()), len(self._ids))
        here = len(self._parent)
        self._parent.append(here)
        self._of_cell.append(number)
        for facet in cells.facet_vertices(cell, self._dimension):
            there = self._open.pop(facet, None)
            if there is None:
                self._open[facet] = here
            elif self._of_cell[there] == number:
                self._parent[self._root(there)] = self._root(here)

    def n_maps(self):
        return len(self._ids)

    def n_connected(self):
        return sum(self._root(i) == i for i in range(len(self._parent)))

    def _root(self, i):
        while self._parent[i] != i:
            self._parent[i] = self._parent[self._parent[i]]
            i = self._parent[i]
        return i


def regions(net, domain, *, max_regions=None):
    """Describe every activation region of a network on a bounded domain.

    Parameters
    ----------
    net : Network
    domain : Box, Ball, Polytope, Plane or Segment
    max_regions : int, optional
        Stop after this many; `Regions.status` is then "limit".

    Returns
    -------
    Regions

    Raises
    ------
    ValueError
        As `count_regions`; and for Space, whose cells need not have corners.

    Examples
    --------
    >>> import foldline as fl
    >>> net = fl.Network([([[1.0, 0.0], [0.0, 1.0]], None), ([[1.0, 1.0]], None)])
    >>> r = fl.regions(net, fl.Box(-1, 1, n_in=2))
    >>> r.A[:, 0]
    array([[0., 0.],
           [0., 1.],
           [1., 0.],
           [1., 1.]])
    >>> r.volumes, r.neighbours.tolist()
    (array([1., 1., 1., 1.]), [[0, 1], [0, 2], [1, 3], [2, 3]])
    """
    chunks = list(_chunks(net, domain, max_regions, chunk=None))
    return chunks[0]


def iter_regions(net, domain, *, chunk=65536, max_regions=None):
    """Like `regions`, as an iterator over `Regions` of at most `chunk` rows.

    Neighbours are those within a chunk. Memory is that of a chunk.

    Examples
    --------
    >>> import foldline as fl
    >>> net = fl.Network([([[1.0, 0.0], [0.0, 1.0]], None), ([[1.0, 1.0]], None)])
    >>> [len(part) for part in fl.iter_regions(net, fl.Box(-1, 1, n_in=2), chunk=3)]
    [3, 1]
    """
    if isinstance(chunk, bool) or not isinstance(chunk, int) or chunk < 1:
        raise ValueError(f"chunk is {chunk!r}; wanted an int, at least 1")
    return _chunks(net, domain, max_regions, chunk)


class _Row:
    """What is kept of a cell: its bits, map, corners, their mean, and its volume."""

    __slots__ = ("bits", "corners", "forms", "mean", "volume")

    def __init__(self, bits, cell, forms, facets):
        self.bits, self.forms = bits, forms
        self.corners = _in_order([[u / v[-1] for u in v[:-1]] for v in cell.vertices])
        denominator = math.lcm(*(v[-1] for v in cell.vertices))
        scaled = [[u * (denominator // v[-1]) for u in v[:-1]] for v in cell.vertices]
        self.mean = [sum(values) / (denominator * len(scaled)) for values in zip(*scaled)]
        self.volume = _volume(frozenset(cell.vertices), facets, denominator)


def _chunks(net, domain, max_regions, chunk):
    _check_question(net, domain, max_regions=max_regions)
    if domain._bounds() is None and not len(domain._half_spaces()[0]):
        raise ValueError("the domain is all of space, where regions have no volume; wanted a bounded one")
    chain = cells.ExactChain(net, domain)
    return _filled_chunks(net, domain, chain, max_regions, chunk)


def _filled_chunks(net, domain, chain, max_regions, chunk):
    rows, neighbours, open_facets, n, status = [], [], {}, 0, "complete"
    for bits, cell, forms in cells.iter_cells(chain):
        if max_regions is not None and n >= max_regions:
            status = "limit"
            break
        if chunk is not None and len(rows) == chunk:
            yield Regions(net, domain, "complete", **_columns(net, chain, rows, neighbours))
            rows, neighbours, open_facets = [], [], {}
        facets = cells.facet_vertices(cell, chain.dimension)
        for facet in facets:
            other = open_facets.pop(facet, None)
            if other is None:
                open_facets[facet] = len(rows)
            else:
                neighbours.append((other, len(rows)))
        rows.append(_Row(bits, cell, forms, facets))
        n += 1
    yield Regions(net, domain, status, **_columns(net, chain, rows, neighbours))


def _columns(net, chain, rows, neighbours):
    d = chain.dimension
    bits = np.array([row.bits for row in rows], bool).reshape(len(rows), net.n_neurons)
    one = 2**-chain.exponent  # integers are divided with one rounding
    maps = np.array([[[m / one for m in f] for f in row.forms] for row in rows])
    maps = maps.reshape(len(rows), net.n_out, d + 1)
    return {
        "patterns": np.packbits(bits, axis=1, bitorder="little"),
        "A": maps[:, :, :d].copy(),
        "b": maps[:, :, d].copy(),
        "interior_points": np.array([row.mean for row in rows]).reshape(len(rows), d),
        "vertices": [row.corners for row in rows],
        "volumes": np.array([row.volume for row in rows], float),
        "neighbours": np.array(sorted(neighbours), np.int64).reshape(-1, 2),
    }


def _volume(vertices, facets, denominator):
    """The volume of a polytope whose vertices are homogeneous integers, w dividing `denominator`.

    Cut into pyramids over one vertex, and their bases likewise (Cohen and Hickey, 1979); a simplex has
    |det(vertices)| / (d! product of their w).
    """
    d = len(next(iter(vertices))) - 1
    whole, total = denominator ** (d + 1), 0
    for simplex in _simplices(vertices, facets, d):
        total += abs(_determinant(simplex)) * (whole // math.prod(v[-1] for v in simplex))
    return total / (math.factorial(d) * whole)


def _simplices(vertices, facets, d):
    apex = min(vertices)
    if d == 0:
        yield (apex,)
        return
    for facet in facets:
        if apex in facet:
            continue
        ridges = [facet & other for other in facets if other != facet]
        ridges = {r for r in ridges if len(r) >= d - 1}
        ridges = [r for r in ridges if r and not any(r < other for other in ridges)]
        for simplex in _simplices(facet, ridges, d - 1):
            yield (apex, *simplex)


def _determinant(rows):
    """Of integers, by elimination without fractions (Bareiss, 1968)."""
    rows, sign, before = [list(row) for row in rows], 1, 1
    for i in range(len(rows) - 1):
        pivot = next((k for k in range(i, len(rows)) if rows[k][i]), None)
        if pivot is None:
            return 0
        if pivot != i:
            rows[i], rows[pivot], sign = rows[pivot], rows[i], -sign
        top = rows[i]
        for k in range(i + 1, len(rows)):
            factor = rows[k][i]
            rows[k] = [(top[i] * a - factor * b) // before for a, b in zip(rows[k], top)]
        before = top[i]
    return sign * rows[-1][-1]


def _in_order(corners):
    corners = np.array(corners)
    if corners.shape[1] == 2:
        x, y = (corners - corners.mean(axis=0)).T
        corners = corners[np.argsort(np.arctan2(y, x))]
    return corners
