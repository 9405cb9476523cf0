"""Which cells have the same affine map, and which of those hang together."""

import numpy as np

from . import cells
from .exact_cells import MOST_DIMENSIONS_OF_CORNERS, ExactWalk
from .exact_forms import map_on
from .rounding import multiply_sizes

__all__ = ["group_maps", "map_errors", "maps_of", "told_apart"]

_CHUNK_BYTES = 1 << 24
# Entries of maps by which they are told apart, at most.
_MOST_ENTRIES = 16


def maps_of(net, domain, patterns):
    """The maps on the domain, ``A u + b``, of the regions with these patterns, in float64, and their errors.

    Returns
    -------
    maps : ndarray, shape (n_patterns, n_out, dimension + 1)
        A and, in the last column, b.
    errors : ndarray, shape (n_out, dimension + 1)
        What they are off by at most.

    Notes
    -----
    A product of the matrices W_L D_L ... D_1 W_1, in any order, with n roundings on the way to an entry,
    is within gamma_n |W_L| ... |W_1| of the true one (Higham, Accuracy and Stability of Numerical
    Algorithms, 2nd edition, section 3.5); steep slopes s count as max(1, |s|). Sizes are multiplied in the
    order of the products, from the outputs back to the inputs, so that they cover what underflows
    (`rounding.multiply_sizes`). Where maps overflow the errors are infinite or NaN.
    """
    net = net.astype(np.float64)
    d = domain.dimension
    placed = domain._forms()
    patterns = np.ascontiguousarray(patterns)
    maps = np.zeros((len(patterns), net.n_out, d + 1))
    step = max(_CHUNK_BYTES // (8 * net.n_out * (net.n_in + 1)), 1)
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, len(patterns), step):
            part = patterns[start : start + step]
            a, b = np.empty((len(part), net.n_out, net.n_in)), np.empty((len(part), net.n_out))
            net._core.maps_of_patterns(part, a, b)
            rows = maps[start : start + step]
            if not domain._is_placed:  # what overflows in A is no matter of b
                rows[:, :, :d] = a + 0.0
            else:
                rows[:] = a @ placed
            rows[:, :, d] += b
    return maps, map_errors(net, domain)


def map_errors(net, domain):
    """What the maps that `maps_of` gives are off by at most, shape (n_out, dimension + 1)."""
    net, d, placed = net.astype(np.float64), domain.dimension, domain._forms()
    with np.errstate(over="ignore", invalid="ignore"):
        rows, offset = abs(net.weights[-1]), abs(net.biases[-1])
        for w, bias, slopes in zip(net.weights[-2::-1], net.biases[-2::-1], net.slopes[::-1]):
            rows = rows * np.maximum(1, abs(slopes))
            rows, offset = multiply_sizes(rows, w), offset + multiply_sizes(rows, bias)
        sizes = multiply_sizes(rows, placed)
        sizes[:, d] += offset
    n = net.n_in + sum(w.shape[1] + 3 for w in net.weights) + 8
    # twice: the sizes are rounded themselves, and so is what a segment's ends differ by
    return 2 * n * np.finfo(float).eps / 2 * sizes


def told_apart(maps, errors):
    """(order, starts): the maps in an order, and where in it those begin that differ from all before.

    Numbers further apart than errors allow, with none between, are told apart: of all maps a mean in one
    direction, and of those that this leaves together, the entries that differ most, in turn.
    """
    if not len(maps):
        return np.arange(0), np.arange(0)
    direction = np.random.default_rng(0).uniform(0.5, 1, errors.shape)
    off = 4 * (errors.sum() + errors.size * np.finfo(float).eps * (abs(maps).max(initial=0)))
    group = _split(np.zeros(len(maps), np.intp), (maps * direction).sum(axis=(1, 2)), off)
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = np.ptp(maps, axis=0) / errors
    for at in np.argsort(-np.nan_to_num(spread), axis=None)[:_MOST_ENTRIES].tolist():
        i, j = divmod(at, errors.shape[1])
        group = _split(group, maps[:, i, j], 4 * errors[i, j])
    order = np.argsort(group, kind="stable")
    return order, np.flatnonzero(np.diff(group[order], prepend=-1))


def _split(group, values, off):
    """The numbers of the groups that each group falls into where its values have gaps of more than `off`."""
    crowded = np.flatnonzero((np.bincount(group) > 1)[group])
    if not crowded.size or not (np.isfinite(off) and np.isfinite(values[crowded]).all()):
        return group
    order = crowded[np.lexsort((values[crowded], group[crowded]))]
    is_new = np.diff(group[order], prepend=-1) != 0
    is_new[1:] |= np.diff(values[order]) > off
    split = group.copy()
    split[order] = group.max() + np.cumsum(is_new)
    return np.unique(split, return_inverse=True)[1]


def group_maps(net, domain, patterns, connected):
    """The number of different maps, or of connected sets of cells with one map.

    Maps that differ by more than they can be off by are different. Of the others the cells are made
    again in exact arithmetic; in more than `MOST_DIMENSIONS_OF_CORNERS` dimensions only the maps are, and
    the number of maps is all that is found.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # then nothing is told apart in doubles
        return _group_maps(net, domain, patterns, connected)


def _group_maps(net, domain, patterns, connected):
    maps, errors = maps_of(net, domain, patterns)
    order, starts = told_apart(maps, errors)
    sizes = np.diff(starts, append=len(order))
    n_alone = int((sizes == 1).sum())
    doubtful = order[np.repeat(sizes > 1, sizes)]
    if not len(doubtful):
        return n_alone
    bits = np.unpackbits(patterns[doubtful], axis=1, bitorder="little", count=net.n_neurons).astype(bool)
    chain = cells.ExactChain(net, domain)
    if domain.dimension > MOST_DIMENSIONS_OF_CORNERS:
        return n_alone + len({map_on(chain, row) for row in bits.tolist()})
    merger = Merger(facets=connected)
    for row in ExactWalk(chain).rows_of(sorted(map(tuple, bits.tolist()))):
        merger.add(row.forms, row.facets)
    return n_alone + (merger.n_connected() if connected else merger.n_maps())


class Merger:
    """Cells by their maps, and joined across facets where the maps on both sides are the same.

    A facet of a cell is a facet of its one neighbour, whole: on the facet every neuron's form is the
    same from both sides, so what does not cut one of them does not cut the other.
    """

    def __init__(self, facets=True):
        self._facets = facets
        self._ids = {}  # map: number
        self._of_cell = []  # number of each cell's map
        self._open = {}  # facet whose other side has not come yet: cell
        self._parent = []

    def add(self, forms, facets):
        """A cell: its map, as a tuple, and its facets, as sets of vertices."""
        number = self._ids.setdefault(forms, len(self._ids))
        if not self._facets:
            return
        here = len(self._parent)
        self._parent.append(here)
        self._of_cell.append(number)
        for facet in facets:
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
