"""Cells in exact arithmetic: by the core while its integers suffice, by `cells` where they do not."""

import numpy as np

from . import _core, cells

__all__ = ["iter_counts"]

# Of one step: the walk stops there to be asked to go on.
MOST_CELLS, SECONDS = 1 << 16, 0.1
_TOO_LARGE = 2**62


def iter_counts(chain, prefix=(), most_cells=MOST_CELLS, seconds=SECONDS):
    """Yield numbers of cells that add up to all whose bits begin with `prefix`, a few for each step.

    >>> import foldline as fl
    >>> net = fl.Network([([[1.0, 1.0], [1.0, -1.0]], None), ([[1.0, 1.0]], None)])
    >>> chain = cells.ExactChain(net, fl.Box(-1, 1, n_in=2))
    >>> sum(iter_counts(chain)), sum(iter_counts(chain, prefix=(True,)))
    (4, 2)
    """
    core = _core_cells(chain)
    todo = [_Open(chain, prefix, is_tie=core is None)]
    while todo:
        here = todo.pop()
        if here.is_tie:
            for _ in cells.iter_cells(chain, here.bits):
                yield 1
        else:
            n, opens = core.walk(here.packed, len(here.bits), most_cells, seconds)
            yield n
            todo += reversed(_opens(chain, *opens))


class _Open:
    """The cells whose bits begin with these; `is_tie` where the core's integers do not suffice for them."""

    __slots__ = ("bits", "is_tie", "packed")

    def __init__(self, chain, bits, is_tie):
        self.bits, self.is_tie = tuple(map(bool, bits)), is_tie
        padded = np.zeros(chain.n_neurons, bool)
        padded[: len(self.bits)] = self.bits
        self.packed = np.packbits(padded, bitorder="little").tobytes()


def _opens(chain, packed, lengths, ties):
    lengths, ties = np.frombuffer(lengths, np.uintp).tolist(), np.frombuffer(ties, np.uint8).tolist()
    rows = np.frombuffer(packed, np.uint8).reshape(len(lengths), (chain.n_neurons + 7) // 8)
    rows = np.unpackbits(rows, axis=1, bitorder="little").tolist()
    return [_Open(chain, row[:length], bool(tie)) for row, length, tie in zip(rows, lengths, ties)]


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
