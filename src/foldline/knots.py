"""Where segments cross the folds of a network, proved: in floating point, in rationals where that is open."""

import functools
import math

import numpy as np

from . import cells
from ._core import Sweep
from .cells import quotient
from .checks import check_flag, check_net, check_number, check_real
from .domains import Segment
from .executors import check_workers, map_parts, row_parts
from .frozen import Frozen
from .twins import shares, twins
from .wording import counted

__all__ = ["Knots", "breakpoints", "knots"]

_SEGMENTS_THAT_TELL = 64
# Room is made for so many numbers before there is something to tell from: pages that stay empty cost nothing.
_FIRST_ROOM = 1 << 23


class Knots(Frozen):
    """What `knots` found: one row for each neuron that flips at a crossing.

    Rows are in order of segment, t and neuron; several neurons may flip at one t.

    Attributes
    ----------
    offsets : ndarray of int64, shape (n_segments + 1,)
        The rows of segment i are ``offsets[i]`` to ``offsets[i + 1]``.
    t : ndarray of float64, shape (n_rows,)
        Where on it: the point is ``start + t (stop - start)``.
    t_error : ndarray of float64, shape (n_rows,)
        The exact place is within this of `t`, proved. The bound is the worst that roundings can do, and
        mostly far above what they did.
    neuron : ndarray of int32, shape (n_rows,)
        The bit of the pattern that flips.
    is_knot : ndarray of bool, shape (n_rows,)
        Whether the slope changes at this t: neurons can cancel. Proved.
    first_slope : ndarray of float64, shape (n_segments, n_out)
        Derivative by t of the outputs where the segment begins.
    slope_after : ndarray of float64, shape (n_rows, n_out)
        Derivative by t after this t: a sum of products of weights, in the rounding of float64, in which
        products below 1e-308 vanish (of long double, or exact and rounded once, for segments that floating
        point did not decide).
    segment, slope_before : ndarray
        Which segment, int64, and the derivative before this t, as `slope_after`; made when asked for.
    n_crossings, n_knots : int
        Neurons that flip at one place make one crossing.
    stats : dict
        How many segments were decided "in float64", "in long double" and "in rationals".
    """

    def __init__(self, offsets, t, t_error, neuron, is_knot, first_slope, slope_after, tied, stats):
        super().__init__(
            offsets=offsets,
            t=t,
            t_error=t_error,
            neuron=neuron,
            is_knot=is_knot,
            first_slope=first_slope,
            slope_after=slope_after,
            _tied=tied,  # rows that belong to the same crossing as the row before
            stats=stats,
        )

    @property
    def n_crossings(self):
        return len(self.t) - len(self._tied)

    @property
    def n_knots(self):
        return int(np.count_nonzero(self.is_knot) - np.count_nonzero(self.is_knot[self._tied]))

    @property
    def segment(self):
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))

    @property
    def slope_before(self):
        crossing = np.arange(len(self.t))  # the first row of each row's crossing
        crossing[self._tied] = 0
        np.maximum.accumulate(crossing, out=crossing)
        slopes = self.slope_after[crossing - 1]
        begins = self.offsets[:-1][np.diff(self.offsets) > 0]
        first = np.isin(crossing, begins)
        slopes[first] = self.first_slope[self.segment[first]]
        return slopes

    def __len__(self):
        return len(self.t)

    def __repr__(self):
        return f"Knots({counted(self.n_crossings, 'crossing')}, {counted(self.n_knots, 'knot')})"


def knots(net, start, stop, *, extend=False, workers=1):
    """Find where segments cross folds of a network: every crossing, in proved order.

    Parameters
    ----------
    net : Network
    start, stop : array_like, shape (n_in,) or (n_segments, n_in)
        The ends; crossings are looked for strictly between them.
    extend : bool
        Look on the whole line through the ends, at every real t. In rational arithmetic throughout, which
        is slow.
    workers : int or concurrent.futures.Executor
        Threads, or an executor to run parts of the segments on.

    Returns
    -------
    Knots
        That each crossing exists, that there are no others, their order and what is a knot is proved for the
        real-arithmetic function with these weights. Segments that floating point cannot decide (most ties, a
        neuron that is zero on a whole piece) are done in rationals: `Knots.stats` counts them.

    Raises
    ------
    ValueError
        Ends of other widths, different numbers of ends, a segment whose ends are equal, NaN or
        infinity.
    TypeError
        Ends that are not real numbers.

    Examples
    --------
    >>> import foldline as fl
    >>> hat = fl.Network.from_knots([0, 1, 2], [0, 1, 0])
    >>> k = fl.knots(hat, [-2.0], [2.0])
    >>> k
    Knots(2 crossings, 2 knots)
    >>> k.t, k.neuron.tolist(), k.slope_after.ravel()
    (array([0.5 , 0.75]), [0, 1], array([ 4., -4.]))
    >>> fl.knots(hat, [-2.0], [2.0], extend=True).t
    array([0.5 , 0.75, 1.  ])
    """
    check_net(net)
    check_flag("extend", extend)
    workers = check_workers(workers)
    starts, stops = _checked_ends(net, start, stop)
    parts = row_parts(len(starts), workers) or [(0, 0)]
    arguments = [(net, starts[begin:end], stops[begin:end], extend) for begin, end in parts]
    return _joined(map_parts(_knots_of_part, arguments, workers))


def breakpoints(net, low, high):
    """The points between which a network of one input is interpolated linearly, as ``numpy.interp`` does.

    The inverse of `Network.from_knots`.

    Parameters
    ----------
    net : Network
        Of one input.
    low, high : float
        The ends of the interval.

    Returns
    -------
    x : ndarray of float64, shape (n_points,), increasing
        `low`, the knots between, `high`. Knots are off by no more than `Knots.t_error` of the interval, and
        those that round to the same number are one.
    y : ndarray of float64, shape (n_points,), or (n_points, n_out) for several outputs
        The outputs there, in float64.

    Raises
    ------
    ValueError
        A network of several inputs, ``low >= high``, NaN or infinity.

    Examples
    --------
    >>> import foldline as fl
    >>> net = fl.Network([([[1.0], [-1.0]], None), ([[1.0, 1.0]], None)])   # |x|
    >>> fl.breakpoints(net, -1, 1)
    (array([-1.,  0.,  1.]), array([1., 0., 1.]))
    """
    check_net(net)
    if net.n_in != 1:
        raise ValueError(f"net has {net.n_in} inputs; wanted 1 (knots takes segments of any network)")
    low, high = check_number("low", low), check_number("high", high)
    if low >= high:
        raise ValueError(f"low is {low}, high is {high}; wanted low < high")
    found = knots(net, [low], [high])
    t = found.t[found.is_knot]
    x = np.unique(np.concatenate([[low], np.clip(low * (1 - t) + high * t, low, high), [high]]))
    y = net._in_float64(x[:, None])
    return x, y[:, 0] if net.n_out == 1 else y


def _checked_ends(net, start, stop):
    starts, stops = check_real("start", start), check_real("stop", stop)
    if starts.shape != stops.shape or starts.ndim not in (1, 2) or starts.shape[-1] != net.n_in:
        raise ValueError(
            f"start has shape {starts.shape}, stop {stops.shape}; wanted both ({net.n_in},) "
            f"or (n_segments, {net.n_in})"
        )
    starts, stops = (np.ascontiguousarray(np.atleast_2d(a), np.float64) for a in (starts, stops))
    for name, array in (("start", starts), ("stop", stops)):
        bad = np.flatnonzero(~np.isfinite(array).all(axis=1))
        if bad.size:
            raise ValueError(f"{name} is {array[bad[0]].tolist()} in segment {bad[0]}; wanted finite values")
    equal = np.flatnonzero((starts == stops).all(axis=1))
    if equal.size:
        raise ValueError(
            f"start and stop are both {starts[equal[0]].tolist()} in segment {equal[0]}; wanted two points"
        )
    return starts, stops


class _Table:
    """The results of segments one after the other; the arrays of rows grow."""

    def __init__(self, n_segments, n_neurons, n_out):
        self.n_segments = self.n_rows = 0
        self.counts = np.zeros(n_segments, np.int64)
        self.first_slope = np.empty((n_segments, n_out))
        self.rows = {
            "t": np.empty(0),
            "t_error": np.empty(0),
            "neuron": np.empty(0, np.int32),
            "is_knot": np.empty(0, bool),
            "slope_after": np.empty((0, n_out)),
            "tied": np.empty(0, bool),
        }
        self.stats = {"in float64": 0, "in long double": 0, "in rationals": 0}
        room = _FIRST_ROOM // (n_out + 3)
        if n_segments * n_neurons > room:
            n_segments = min(n_segments, _SEGMENTS_THAT_TELL)
        self.resize(max(min(n_segments * n_neurons, room), 64))

    def resize(self, n_rows):
        """Change the room; arrays that grow are new ones, since NumPy asks for huge pages only for those."""
        for name, array in self.rows.items():
            shape = (n_rows, *array.shape[1:])
            if n_rows > len(array):
                self.rows[name] = np.empty(shape, array.dtype)
                self.rows[name][: self.n_rows] = array[: self.n_rows]
            else:
                array.resize(shape, refcheck=False)

    def grow(self):
        """Make room for as many rows as it looks like, once enough were seen to tell."""
        room, n = len(self.rows["t"]), max(self.n_segments, 1)
        expected = self.n_rows / n * len(self.counts)
        most = math.inf if n >= _SEGMENTS_THAT_TELL else 4 * room
        self.resize(int(min(max((1.05 + 2 / math.sqrt(n)) * expected, 1.25 * room), most)))

    def sweep(self, sweep, starts, stops, how, stop):
        """Add segments by a sweep, until `stop` has an item; returns whether the next one is undecided."""
        while len(starts) and not stop:
            here = slice(self.n_segments, self.n_segments + len(starts))
            n_done, n_rows, undecided = sweep.knots(
                starts, stops, self.counts[here], self.first_slope[here], self.rows, self.n_rows, stop
            )
            self.n_segments += n_done
            self.n_rows += n_rows
            self.stats[how] += n_done
            if undecided:
                return True
            starts, stops = starts[n_done:], stops[n_done:]
            if len(starts) and not stop:
                self.grow()
        return False

    def add_exactly(self, net, line):
        """Add the next segment in rationals."""
        first_slope, rows = _crossings(net, line)
        n = self.n_rows + len(rows)
        if n > len(self.rows["t"]):
            self.resize(2 * n)
        self.first_slope[self.n_segments] = first_slope
        self.counts[self.n_segments] = len(rows)
        for i, (t, neuron, slope, is_knot, tied) in enumerate(rows, self.n_rows):
            row = {"t": t, "t_error": max(math.ulp(t) / 2, math.ulp(0.0)), "neuron": neuron, "tied": tied}
            for name, value in (row | {"slope_after": slope, "is_knot": is_knot}).items():
                self.rows[name][i] = value
        self.n_rows = n
        self.n_segments += 1
        self.stats["in rationals"] += 1


def _knots_of_part(stop, net, starts, stops, extend):
    """The table of some segments, which is all of one task, until `stop` has an item."""
    wide = net._in_float64
    table = _Table(len(starts), net.n_neurons, net.n_out)

    @functools.cache
    def sweep_of(name):
        layers = wide.weights, wide.biases, wide.slopes
        return Sweep(*layers, twins(wide), shares(wide), name == "in long double")

    sweeps = () if extend else (("in float64", len(starts)), ("in long double", 1))
    while table.n_segments < len(starts) and not stop:
        for name, n in sweeps:
            part = slice(table.n_segments, table.n_segments + n)
            if not table.sweep(sweep_of(name), starts[part], stops[part], name, stop):
                break
        else:
            line = (_Line if extend else Segment)(starts[table.n_segments], stops[table.n_segments])
            table.add_exactly(net, line)
    table.resize(table.n_rows)
    return table


class _Line(Segment):
    """All points ``start + t (stop - start)``."""

    def _bounds(self):
        return None


def _crossings(net, line):
    """The slope where the line begins, and its rows: t, neuron, slope after, whether it changes, whether the
    row before is of the same crossing."""
    chain = cells.ExactChain(net, line)
    pieces = list(cells.iter_cells(chain))
    denominator = math.lcm(*(w for _, cell, _ in pieces for _, w in cell.vertices if w))
    one = 2**-chain.exponent

    def left(piece):
        """Of a piece, in units of 1 / denominator; w = 0 is a direction without an end."""
        ends = [u * (denominator // w) if w else u * math.inf for u, w in piece[1].vertices]
        return min(ends, default=-math.inf)

    def slope(piece):
        return [quotient(m, one) for m in piece[2][:, 0]]

    pieces.sort(key=left)
    rows = []
    for piece, following in zip(pieces, pieces[1:]):
        is_knot = bool((piece[2][:, 0] != following[2][:, 0]).any())
        t, after, tied = quotient(left(following), denominator), slope(following), False
        for neuron in np.flatnonzero(np.array(piece[0]) != np.array(following[0])):
            rows.append((t, int(neuron), after, is_knot, tied))
            tied = True
    return slope(pieces[0]), rows


def _joined(tables):
    """One result of the tables of all parts, which are used up."""
    counts = np.concatenate([table.counts for table in tables])
    offsets = np.concatenate([[0], np.cumsum(counts)])
    first_slope = np.concatenate([table.first_slope for table in tables])
    stats = {name: sum(table.stats[name] for table in tables) for name in tables[0].stats}
    columns = {}
    for name in list(tables[0].rows):
        parts = [table.rows.pop(name) for table in tables]
        columns[name] = parts[0] if len(parts) == 1 else np.concatenate(parts)
    tied = np.flatnonzero(columns.pop("tied"))
    return Knots(offsets, first_slope=first_slope, tied=tied, stats=stats, **columns)
