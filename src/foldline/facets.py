"""The facets of regions: half-spaces and the neurons that make them, from patterns and corners.

A neuron's form m.u + c on a region is that of its pattern. Its zero set holds a facet iff it holds a
maximal set of corners, of those that such sets hold short of all corners. Which corners it holds is told
by float forms, up to their rounding; where that leaves a doubt the cell is cut out once more, in integers.
"""

from typing import NamedTuple

import numpy as np

from . import cells
from .evaluation import unpack_patterns
from .rounding import size

__all__ = ["HalfSpaces", "domain_faces", "exact_facets", "half_spaces", "of_length_1"]

_UNIT = 2.0**-53
_BLOCK_BYTES = 2**26
# Corners are allowed this many roundings of their own.
_CORNER_ROUNDINGS = 16


class HalfSpaces(NamedTuple):
    """The facets of regions, ``G u <= h``, none redundant: one row each, in order of the regions.

    Attributes
    ----------
    starts : ndarray of int64, shape (n_regions + 1,)
        Rows ``starts[i]`` to ``starts[i + 1]`` are those of region i.
    G, h : ndarray of float64, shapes (n_facets, dimension) and (n_facets,)
        Rows of G have length 1: h - G u is a distance, in the domain's coordinates.
    neurons : tuple of ndarray of int64
        The neurons whose fold holds the facet: several, or none on a face of the domain. A neuron that
        is 0 on the whole region has no fold there.
    on_boundary : ndarray of bool, shape (n_facets,)
        Whether the facet lies on a face of the domain.
    """

    starts: np.ndarray
    G: np.ndarray
    h: np.ndarray
    neurons: tuple
    on_boundary: np.ndarray


def half_spaces(regions):
    """The `HalfSpaces` of some `Regions`."""
    net, domain = regions.net, regions.domain
    bits = unpack_patterns(regions.patterns, net.n_neurons)
    forms, faces, chain = _Forms(net, domain), domain_faces(domain), None
    starts, rows, neurons, on_boundary = [0], [], [], []
    for region, (values, magnitudes) in enumerate(forms.of_regions(bits)):
        values = np.concatenate([np.where(bits[region], -1.0, 1.0)[:, None] * values, faces])
        magnitudes = np.concatenate([magnitudes, np.abs(faces)])
        facets = _facets(values, forms.gamma * magnitudes, regions.vertices[region], domain.dimension)
        if facets is None:
            chain = chain or cells.ExactChain(net, domain)
            facets, values = exact_facets(chain, domain, bits[region])
        for members in facets:
            row = values[members[0]]
            rows.append(of_length_1(row))
            neurons.append(_frozen(members[members < net.n_neurons]))
            on_boundary.append(bool(members[-1] >= net.n_neurons))
        starts.append(len(rows))
    rows = np.array(rows).reshape(len(rows), domain.dimension + 1) + 0.0  # no -0
    return HalfSpaces(
        _frozen(np.array(starts, np.int64)),
        _frozen(rows[:, :-1].copy()),
        _frozen(0.0 - rows[:, -1]),
        tuple(neurons),
        _frozen(np.array(on_boundary, bool)),
    )


def of_length_1(form):
    """A form whose gradient has length 1, however large or small it was."""
    form = np.ldexp(form, -np.frexp(np.abs(form[:-1]).max())[1])
    return form / np.linalg.norm(form[:-1])


def _facets(forms, errors, corners, d):
    """The forms that make each facet, as arrays of their numbers; None where floats leave a doubt.

    `forms` are (n, d + 1) and at most 0 on the region.
    """
    homogeneous = np.concatenate([corners, np.ones((len(corners), 1))], axis=1).T
    with np.errstate(over="ignore", invalid="ignore"):
        values, off = forms @ homogeneous, size(errors) @ size(homogeneous)
    if not np.isfinite(values).all():
        return None
    on = np.abs(values) <= off
    on[~errors.any(axis=1)] = False  # zero everywhere
    facets = _maximal(on, d)
    counts = sum(on[members[0]].astype(int) for members in facets)
    clear = not on.all(axis=1).any() and all(len(members) == 1 for members in facets)
    return facets if clear and len(facets) > d and np.all(counts >= d) else None


def _maximal(on, d):
    """Rows of the incidence matrix `on` with the same set of corners, for each set that is a facet's.

    What only touches a cell holds fewer corners than some facet, and none besides.
    """
    sets = {}
    for j in np.flatnonzero((on.sum(axis=1) >= d) & ~on.all(axis=1)):
        sets.setdefault(on[j].tobytes(), []).append(j)
    masks = np.array([on[members[0]] for members in sets.values()], bool).reshape(len(sets), on.shape[1])
    outside = (~masks).astype(int)
    inside = masks.astype(int) @ outside.T == 0  # row i: the sets that hold set i
    return [np.array(m) for m, within in zip(sets.values(), inside) if within.sum() == 1]


class _Forms:
    """Forms of all neurons on regions, in floats, with the magnitudes that bound their rounding.

    A form is a sum of products along the paths from the inputs; each passes through at most n + 2
    roundings in a layer of n inputs. So it is off by at most gamma_N times the same sum of magnitudes;
    these are raised (`rounding.size`), so that they are 0 only for a form that is.
    """

    def __init__(self, net, domain):
        self._layers = []
        for arrays in zip(net.weights, net.biases, net.slopes):
            w, b, slopes = (array.astype(np.float64) for array in arrays)
            self._layers.append((w, b, slopes, np.flatnonzero(slopes != 1)))
        self._inputs = domain._forms()
        self._dimension = domain.dimension
        n_roundings = sum(w.shape[1] + 2 for w in net.weights) + net.n_in + domain.dimension
        self.gamma = (n_roundings + _CORNER_ROUNDINGS) * _UNIT

    def of_regions(self, bits):
        """Forms and magnitudes, each (n_neurons, d + 1), of one region after the other."""
        units = max((len(b) for _, b, _, _ in self._layers), default=1) + bits.shape[1]
        n = max(1, _BLOCK_BYTES // (16 * units * (self._dimension + 1)))
        for start in range(0, len(bits), n):
            part = bits[start : start + n]
            with np.errstate(over="ignore", invalid="ignore"):  # which is made again in integers
                forms = self._of_block(part, self._inputs, lambda values: values)
                magnitudes = self._of_block(part, np.abs(self._inputs), size)
            yield from zip(forms, magnitudes)

    def _of_block(self, bits, inputs, signed):
        found, n_done = [np.empty((len(bits), 0, self._dimension + 1))], 0
        below = np.broadcast_to(inputs, (len(bits), *inputs.shape))
        for w, b, slopes, folds in self._layers:
            forms = signed(w) @ signed(below)
            forms[:, :, -1] += signed(b)
            factors = np.ones((len(bits), len(slopes)))
            active = bits[:, n_done : n_done + len(folds)]
            factors[:, folds] = np.where(active, 1.0, signed(slopes)[folds])
            found.append(forms[:, folds])
            below = factors[:, :, None] * signed(forms)
            n_done += len(folds)
        return np.concatenate(found, axis=1)


def exact_facets(chain, domain, bits):
    """The same in integers: a region is cut out of the domain again by the signs of its bits.

    Returns the forms that make each facet, as `_facets` has them, faces of the domain last, and all forms,
    rounded to floats.
    """
    d = chain.dimension
    cell, below, rows, n_done = chain.root, chain.inputs, [], 0
    for layer in range(len(chain.layers) - 1):
        forms, folds = chain.forms(layer, below), chain.folds(layer)
        active = np.ones(len(forms), bool)
        active[folds] = bits[n_done : n_done + len(folds)]
        n_done += len(folds)
        for j in folds:
            rows.append(-forms[j] if active[j] else forms[j])
            cell = cells.inside(cell, rows[-1], d)
        below = chain.activations(layer, forms, active)
    rows += cells.integer_forms(domain_faces(domain))
    rows = np.array(rows, dtype=object).reshape(len(rows), d + 1)
    on = (rows @ np.array(cell.vertices, dtype=object).T == 0).astype(bool)
    return _maximal(on, d), np.array([_rounded(row) for row in rows])


def _rounded(row):
    largest = max(map(abs, row)) or 1
    return [value / largest for value in row]


def domain_faces(domain):
    """Forms that are at most 0 on the domain, one a face."""
    a, b = domain._half_spaces()
    if domain._bounds() is not None:
        low, high = domain._bounds()
        unit = np.eye(domain.dimension)
        a, b = np.concatenate([unit, -unit, a]), np.concatenate([high, -low, b])
    return np.concatenate([a, -b[:, None]], axis=1)


def _frozen(array):
    array.flags.writeable = False
    return array
