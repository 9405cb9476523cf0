"""Where segments cross the folds of a network, exactly."""

import math

import numpy as np

from . import cells
from .domains import Segment
from .network import Network

__all__ = ["Knots", "knots"]


class Knots:
    """What `knots` found: one row for each neuron that flips at a crossing.

    Rows are in order of segment, t and neuron; several neurons may flip at one t.

    Attributes
    ----------
    segment : ndarray of int64, shape (n_rows,)
        Which segment; 0 where there is one.
    t : ndarray of float64, shape (n_rows,)
        Where on it: the point is ``start + t (stop - start)``. Exact, then rounded once.
    neuron : ndarray of int64, shape (n_rows,)
        The bit of the pattern that flips.
    slope_before, slope_after : ndarray of float64, shape (n_rows, n_out)
        Derivative by t of the outputs on both sides. Exact, then rounded once.
    is_knot : ndarray of bool, shape (n_rows,)
        Whether the slope changes at this t: neurons can cancel.
    """

    __slots__ = ("is_knot", "neuron", "segment", "slope_after", "slope_before", "t")

    def __init__(self, segment, t, neuron, slope_before, slope_after, is_knot):
        values = {
            "segment": segment,
            "t": t,
            "neuron": neuron,
            "slope_before": slope_before,
            "slope_after": slope_after,
            "is_knot": is_knot,
        }
        for name, value in values.items():
            value.flags.writeable = False
            object.__setattr__(self, name, value)

    def __setattr__(self, name, value):
        raise AttributeError(f"a Knots is frozen; {name!r} cannot be set")

    def __reduce__(self):
        fields = (self.segment, self.t, self.neuron, self.slope_before, self.slope_after, self.is_knot)
        return Knots, tuple(field.copy() for field in fields)

    def __len__(self):
        return len(self.t)

    def __repr__(self):
        n_knots = len(np.unique(np.stack([self.segment, self.t], axis=1)[self.is_knot], axis=0))
        return f"Knots({len(self)} crossings, {n_knots} knots)"


def knots(net, start, stop):
    """Find where segments cross folds of a network, in exact arithmetic.

    Parameters
    ----------
    net : Network
    start, stop : array_like, shape (n_in,) or (n_segments, n_in)
        The ends; crossings are looked for strictly between them.

    Returns
    -------
    Knots

    Raises
    ------
    ValueError
        Ends of other widths, different numbers of ends, a segment whose ends are equal, NaN or
        infinity.

    Examples
    --------
    >>> import foldline as fl
    >>> hat = fl.Network.from_knots([0, 1, 2], [0, 1, 0])
    >>> k = fl.knots(hat, [-2.0], [2.0])
    >>> k
    Knots(2 crossings, 2 knots)
    >>> k.t, k.neuron, k.slope_after.ravel()
    (array([0.5 , 0.75]), array([0, 1]), array([ 4., -4.]))
    """
    if not isinstance(net, Network):
        raise TypeError(f"net is {type(net).__name__}; wanted a Network")
    starts, stops = np.asarray(start), np.asarray(stop)
    if starts.shape != stops.shape or starts.ndim not in (1, 2) or starts.shape[-1] != net.n_in:
        raise ValueError(
            f"start has shape {starts.shape}, stop {stops.shape}; wanted both ({net.n_in},) "
            f"or (n_segments, {net.n_in})"
        )
    rows = []
    for i, ends in enumerate(zip(np.atleast_2d(starts), np.atleast_2d(stops))):
        rows += [(i, *row) for row in _crossings(net, Segment(*ends))]
    segment, t, neuron, before, after, is_knot = zip(*rows) if rows else ((),) * 6
    return Knots(
        np.array(segment, np.int64),
        np.array(t, np.float64),
        np.array(neuron, np.int64),
        np.array(before, np.float64).reshape(len(rows), net.n_out),
        np.array(after, np.float64).reshape(len(rows), net.n_out),
        np.array(is_knot, bool),
    )


def _crossings(net, segment):
    """Rows (t, neuron, slope before, slope after, whether the map changes) of one segment."""
    chain = cells.ExactChain(net, segment)
    pieces = list(cells.iter_cells(chain))
    denominator = math.lcm(*(w for _, cell, _ in pieces for _, w in cell.vertices))

    def left(piece):
        return min(u * (denominator // w) for u, w in piece[1].vertices)

    pieces.sort(key=left)
    one = 2**-chain.exponent  # integers are divided with one rounding
    for (bits, _, forms), piece in zip(pieces, pieces[1:]):
        next_bits, _, next_forms = piece
        slopes = [[m / one for m in f[:, 0]] for f in (forms, next_forms)]
        is_knot = bool((forms[:, 0] != next_forms[:, 0]).any())
        for neuron in np.flatnonzero(np.array(bits) != np.array(next_bits)):
            yield left(piece) / denominator, int(neuron), *slopes, is_knot
