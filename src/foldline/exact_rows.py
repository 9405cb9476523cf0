"""Columns of `Regions` from exact cells: computed in integers, each number rounded once."""

import math

import numpy as np

from .cells import quotient

__all__ = ["columns"]


def columns(net, chain, cells):
    """The columns of some `exact_cells.Row`s, in their order."""
    d = chain.dimension
    bits = np.array([cell.bits for cell in cells], bool).reshape(len(cells), net.n_neurons)
    one = 2**-chain.exponent  # integers are divided with one rounding
    maps = np.array([[quotient(m, one) for m in cell.forms] for cell in cells])
    maps = maps.reshape(len(cells), net.n_out, d + 1)
    vertices, means, volumes, neighbours, open_facets = [], [], [], [], {}
    for i, cell in enumerate(cells):
        denominator = math.lcm(*(v[-1] for v in cell.vertices))
        scaled = [[u * (denominator // v[-1]) for u in v[:-1]] for v in cell.vertices]
        vertices.append(_in_order([[u / v[-1] for u in v[:-1]] for v in cell.vertices]))
        means.append([sum(values) / (denominator * len(scaled)) for values in zip(*scaled)])
        volumes.append(_volume(frozenset(cell.vertices), cell.facets, denominator))
        for facet in cell.facets:
            other = open_facets.pop(facet, None)
            if other is None:
                open_facets[facet] = i
            else:
                neighbours.append((other, i))
    return {
        "patterns": np.packbits(bits, axis=1, bitorder="little"),
        "A": maps[:, :, :d].copy(),
        "b": maps[:, :, d].copy(),
        "interior_points": np.array(means, float).reshape(len(cells), d),
        "vertices": vertices,
        "volumes": np.array(volumes, float),
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
    return quotient(total, math.factorial(d) * whole)


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
        near_1 = np.ldexp(corners, -np.frexp(abs(corners).max())[1])
        x, y = (near_1 - near_1.mean(axis=0)).T
        corners = corners[np.argsort(np.arctan2(y, x))]
    return corners
