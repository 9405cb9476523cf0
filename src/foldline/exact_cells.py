"""Cells in exact arithmetic: by the core while its integers suffice, by `cells` where they do not."""

import time
from heapq import merge
from typing import NamedTuple

import numpy as np

from . import _core, cells

__all__ = ["MOST_DIMENSIONS_OF_CORNERS", "ExactWalk", "Row", "Step"]

# Cells in integers are kept by their corners, of which a box has 2 ** dimension.
MOST_DIMENSIONS_OF_CORNERS = 12

# Of one step, after which somebody else may act.
MOST_CELLS, SECONDS = 1 << 14, 0.1
_TOO_LARGE = 2**62


class Row:
    """A cell, described.

    bits: tuple of bools, one a neuron.
    forms: tuple of the coefficients of the outputs' forms, output by output, see `cells.iter_cells`.
    vertices: tuple of homogeneous coordinates (u_1, ..., u_d, w), see `cells.Cell`.
    facets: list of frozensets of vertices.
    """

    __slots__ = ("bits", "facets", "forms", "vertices")

    def __init__(self, bits, forms, vertices, facets):
        self.bits, self.forms, self.vertices, self.facets = bits, forms, vertices, facets


class Step(NamedTuple):
    """What a step found, in order: (n_cells, n_bytes) patterns and rows, where wanted; and what is left.

    Both `opens`, where a limit was met, and `ties`, where the core's integers do not suffice, are prefixes
    (packed bits, length). The cells found and the ties come before the opens.
    """

    n_cells: int
    patterns: np.ndarray | None
    rows: list
    opens: list
    ties: list


class ExactWalk:
    """Walks through the cells of an `ExactChain`, or through those whose bits begin with given prefixes.

    Prefixes are tuples of bools, in order, none of which begins with another.

    >>> import foldline as fl
    >>> net = fl.Network([([[1.0, 1.0], [1.0, -1.0]], None), ([[1.0, 1.0]], None)])
    >>> walk = ExactWalk(cells.ExactChain(net, fl.Box(-1, 1, n_in=2)))
    >>> sum(walk.counts()), sum(walk.counts([(True,)]))
    (4, 2)
    >>> [row.bits for row in walk.rows([(True,)])]
    [(True, False), (True, True)]
    """

    def __init__(self, chain):
        self.chain, self._core = chain, _core_cells(chain)

    def step(self, packed, length, most_cells, seconds, want="count", stop=None):
        """Walk in the core, up to limits, or until the list `stop` has an item, below the first `length` bits
        of a packed pattern.

        want: "count", "patterns" or "rows".
        """
        if self._core is None:
            return Step(0, None, [], [], [(packed, length)])
        stop = [] if stop is None else stop
        found = self._core.walk(packed, length, most_cells, seconds, want, stop)
        n, (bits, lengths, ties), patterns, rows = found
        left, size = ([], []), len(packed)
        for i, (n_bits, tie) in enumerate(zip(np.frombuffer(lengths, np.uintp).tolist(), ties)):
            left[tie].append((bits[i * size : (i + 1) * size], n_bits))
        if patterns is not None:
            patterns = np.frombuffer(patterns, np.uint8).reshape(n, size)
        return Step(n, patterns, [] if rows is None else _rows(self.chain, patterns, *rows), *left)

    def counts(self, prefixes=((),), most_cells=MOST_CELLS, seconds=SECONDS):
        """Yield numbers of cells that add up to all."""
        all_ties = []
        for n, _, ties in self._steps(prefixes, most_cells, seconds, "count"):
            yield n
            all_ties += ties
        for _ in cells.iter_cells_below(self.chain, all_ties):
            yield 1

    def rows(self, prefixes=((),), most_cells=MOST_CELLS, seconds=SECONDS):
        """Yield a `Row` for every cell, in the order of their patterns."""
        for _, rows, ties in self._steps(prefixes, most_cells, seconds, "rows"):
            yield from merge(rows, self.rows_in_python(ties), key=lambda row: row.bits)

    def rows_of(self, patterns):
        """Yield the `Row` of each of these cells, given by all their bits, in order."""
        n = 0
        for row in self.rows(patterns):
            n += 1
            yield row
        if n < len(patterns):
            n_missing = len(patterns) - n
            raise RuntimeError(f"{n_missing:,} of {len(patterns):,} cells do not exist: a defect of foldline")

    def rows_in_python(self, prefixes):
        """Like `rows`, without the core."""
        for bits, cell, forms in cells.iter_cells_below(self.chain, prefixes):
            facets = cells.facet_vertices(cell, self.chain.dimension)
            yield Row(bits, tuple(forms.ravel().tolist()), cell.vertices, facets)

    def _steps(self, prefixes, most_cells, seconds, want):
        """Yield (number of cells, rows, ties), of as many prefixes at once as the limits allow: many ties
        share their way down."""
        todo = [(_packed(self.chain, prefix), len(prefix)) for prefix in reversed(prefixes)]
        while todo:
            n, rows, ties, end = 0, [], [], time.monotonic() + seconds
            while todo and n < most_cells:
                found = self.step(*todo.pop(), most_cells - n, end - time.monotonic(), want)
                n += found.n_cells
                rows += found.rows
                ties += [_unpacked(self.chain, packed)[0][:length] for packed, length in found.ties]
                todo += reversed(found.opens)
                if time.monotonic() > end:
                    break
            yield n, rows, ties


def _packed(chain, bits):
    padded = np.zeros(chain.n_neurons, bool)
    padded[: len(bits)] = bits
    return np.packbits(padded, bitorder="little").tobytes()


def _unpacked(chain, packed, n=1):
    """Rows of bits as tuples of bools."""
    rows = np.frombuffer(packed, np.uint8).reshape(n, (chain.n_neurons + 7) // 8)
    rows = np.unpackbits(rows, axis=1, bitorder="little")
    return list(map(tuple, rows[:, : chain.n_neurons].astype(bool).tolist()))


def _rows(chain, patterns, forms, vertex_ends, vertices, facet_ends, member_ends, members):
    size = chain.dimension + 1
    vertex_ends, facet_ends, member_ends = (
        np.frombuffer(ends, np.uintp).tolist() for ends in (vertex_ends, facet_ends, member_ends)
    )
    n = len(vertex_ends)
    forms = np.frombuffer(forms, np.int64).reshape(n, -1 if n else 0).tolist()
    vertices = [tuple(v) for v in np.frombuffer(vertices, np.int64).reshape(-1, size).tolist()]
    members = np.frombuffer(members, np.uint32).tolist()
    rows, vertex, facet, member = [], 0, 0, 0
    for i, bits in enumerate(_unpacked(chain, patterns, n)):
        own = vertices[vertex : vertex_ends[i]]
        facets = []
        for end in member_ends[facet : facet_ends[i]]:
            facets.append(frozenset([own[v] for v in members[member:end]]))
            member = end
        vertex, facet = vertex_ends[i], facet_ends[i]
        rows.append(Row(bits, tuple(forms[i]), tuple(own), facets))
    return rows


def _core_cells(chain):
    """The chain in the core, or None where its numbers are too large."""
    if chain.dimension > _core.EXACT_MOST_INPUTS:
        return None
    root = chain.root
    weights, biases, slopes, ones = zip(*chain.layers)
    try:
        return _core.ExactCells(
            [_int64(w) for w in weights],
            [_int64(b) for b in biases],
            [_int64(s) for s in slopes[:-1]],
            _int64(ones[:-1]),
            inputs=_int64(chain.inputs),
            one=_int64(chain.one),
            n_lines=len(root.lines),
            points=_int64([*root.lines, *root.vertices]),
            n_facets=root.n_facets,
            facets=_words(root.facets, root.n_facets),
        )
    except OverflowError:
        return None


def _int64(values):
    values = np.array(values, dtype=object)
    if any(abs(x) >= _TOO_LARGE for x in values.flat):
        raise OverflowError("wanted magnitudes below 2**62")
    return np.ascontiguousarray(values, dtype=np.int64)


def _words(sets, n_bits):
    """Bit sets as rows of 64-bit words, lowest first."""
    n_words = (n_bits + 63) // 64
    rows = b"".join(s.to_bytes(8 * n_words, "little") for s in sets)
    return np.frombuffer(rows, "<u8").astype(np.uint64).reshape(len(sets), n_words)
