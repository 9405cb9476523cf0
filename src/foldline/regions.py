"""The regions of a network on a domain, described."""

import math

import numpy as np

from . import cells
from .counting import check_question

__all__ = ["Regions", "iter_regions", "regions"]

class Regions:
    """The activation regions of a network on a domain, one row each, in the order of their patterns.

    Coordinates are the domain's own: those of the input space for boxes, polytopes and all of space,
    (s, t) for a Plane, t for a Segment, and distances from the centre for a Ball. Everything is
    computed exactly and rounded once, to float64.

    Attributes
    ----------
    net, domain : Network and domain
        What was asked about.
    status : str
        "complete", or "limit" where `max_regions` ended the run.
    patterns : ndarray of uint8, shape (n_regions, ceil(n_neurons / 8))
        Packed, little bit order, as `Network.patterns` has them.
    A, b : ndarray of float64, shapes (n_regions, n_out, dimension) and (n_regions, n_out)
        The map on each region, ``A u + b``.
    interior_points : ndarray of float64, shape (n_regions, dimension)
        The mean of each region's vertices.
    vertices : tuple of ndarray, each (n_vertices, dimension)
        In no particular order; in the plane counterclockwise.
    volumes : ndarray of float64, shape (n_regions,)
        Lengths, areas, volumes in the domain's coordinates.
    neighbours : ndarray of int64, shape (n_pairs, 2)
        Pairs of regions that share a facet, the smaller number first.
    """

    __slots__ = (
        "A",
        "b",
        "domain",
        "interior_points",
        "neighbours",
        "net",
        "patterns",
        "status",
        "vertices",
        "volumes",
    )

    def __init__(self, net, domain, status, rows, neighbours, chain):
        d = domain.dimension
        bits = np.array([row.bits for row in rows], bool).reshape(len(rows), net.n_neurons)
        one = 2**-chain.exponent  # integers are divided with one rounding
        maps = np.array([[[m / one for m in f] for f in row.forms] for row in rows])
        maps = maps.reshape(len(rows), net.n_out, d + 1)
        values = {
            "patterns": np.packbits(bits, axis=1, bitorder="little"),
            "A": maps[:, :, :d].copy(),
            "b": maps[:, :, d].copy(),
            "interior_points": np.array([row.mean for row in rows]).reshape(len(rows), d),
            "vertices": tuple(row.corners for row in rows),
            "volumes": np.array([row.volume for row in rows], float),
            "neighbours": np.array(sorted(neighbours), np.int64).reshape(-1, 2),
            "status": status,
            "net": net,
            "domain": domain,
        }
        for name, value in values.items():
            if isinstance(value, np.ndarray):
                value.flags.writeable = False
            object.__setattr__(self, name, value)

    def __setattr__(self, name, value):
        raise AttributeError(f"Regions are frozen; {name!r} cannot be set")

    def __len__(self):
        return len(self.patterns)

    def __repr__(self):
        return f"Regions({len(self):,} of {self.net!r} on {self.domain!r}, {self.status})"

    def region_of(self, points):
        """The row of each point of the input space, by its exact pattern; -1: not among these regions.

        Parameters
        ----------
        points : array_like, shape (n_points, n_in)

        Returns
        -------
        ndarray of int64, shape (n_points,)
            Points on a fold belong to the region whose pattern they have, if it has an interior.
            Whether a point lies in the domain is not looked at.
        """
        rows = {pattern.tobytes(): i for i, pattern in enumerate(self.patterns)}
        found = self.net.patterns(points, exact=True)
        return np.array([rows.get(pattern.tobytes(), -1) for pattern in found], np.int64)


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
    check_question(net, domain, max_regions=max_regions)
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
            yield Regions(net, domain, "complete", rows, neighbours, chain)
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
    yield Regions(net, domain, status, rows, neighbours, chain)


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
    corners.flags.writeable = False
    return corners
