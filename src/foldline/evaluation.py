"""Evaluation of a network on many points: outputs, patterns, certainty, local maps.

The functions that take a network first are its methods. All results are bit-identical however the
points are cut into calls, whatever `workers` is, and on every instruction set with fused
multiply-add; `foldline.show_config` tells which is in use.
"""

import numpy as np

from . import dask_arrays
from ._core import BLOCK
from .checks import check_finite, check_flag, check_int, check_net, check_norm, check_points
from .executors import check_workers, row_parts, run_tasks

__all__ = ["linear_radius", "pattern_items", "unpack_patterns"]

# Rows of one step take about this many multiply-adds: a few hundredths of a second even without SIMD, so
# that Ctrl-C is heard, and few enough that converted rows stay small.
_STEP_OPERATIONS = 50_000_000
_LARGEST_STEP = 65_536
# With so few inputs many points share a pattern, and with it the gradients that distances need.
_MOST_SHARED_INPUTS = 16
_SHARED_STEP = 16 * _LARGEST_STEP


def forward(net, points, out=None, *, workers=1, allow_nonfinite=False):
    """Outputs of the network.

    Parameters
    ----------
    points : array_like, shape (n_points, n_in)
        Of the network's dtype; integers and Python lists are converted, anything else is refused.
        Any strides; a memmap is streamed; of a Dask array, the outputs are a lazy one.
    out : ndarray, shape (n_points, n_out), optional
        Where to write: of the network's dtype, any strides, not overlapping `points`.
    workers : int or concurrent.futures.Executor
        Threads, or an executor to run parts of the points on.
    allow_nonfinite : bool
        Evaluate points that hold NaN or infinity instead of refusing them.

    Returns
    -------
    ndarray, shape (n_points, n_out)

    Raises
    ------
    ValueError
        Wrong shapes, NaN or infinity in points, `out` read-only or overlapping.
    TypeError
        Points or `out` of another dtype.

    Examples
    --------
    >>> import foldline as fl
    >>> net = fl.Network([([[1.0], [-1.0]], None), ([[1.0, 1.0]], None)])   # |x|
    >>> net([[-3], [2]])
    array([[3.],
           [2.]])
    """
    if dask_arrays.is_dask(points):
        _refuse_for_dask(out=out, workers=workers, allow_nonfinite=allow_nonfinite)
        return dask_arrays.mapped(net, points, "forward", net.n_out, net.dtype)
    if out is None:
        return _run(net, points, ("outputs",), workers, allow_nonfinite)[0]
    check_flag("allow_nonfinite", allow_nonfinite)
    points = check_points(net, points)
    _check_out(net, points, out)
    if not allow_nonfinite:
        check_finite(points)
    _run(net, points, ("outputs",), workers, allow_nonfinite, {"outputs": out})
    return out


def patterns(net, points, *, return_certain=False, exact=False, workers=1, allow_nonfinite=False):
    """Activation patterns: one bit a neuron, 1 where its sum is positive.

    Parameters
    ----------
    points, workers, allow_nonfinite
        As for `forward`.
    return_certain : bool
        Also tell for which rows every bit is proved, for the exact function with these weights.
    exact : bool
        Prove every row: what the network's dtype leaves open is decided in float64, then in
        rational arithmetic.

    Returns
    -------
    patterns : ndarray of uint8, shape (n_points, ceil(n_neurons / 8))
        Layer by layer, little bit order; `unpack_patterns` spreads them out.
    certain : ndarray of bool, shape (n_points,)
        Only with `return_certain`. A row with NaN or infinity is never certain.

    Notes
    -----
    The bound is N. J. Higham's, Accuracy and Stability of Numerical Algorithms, 2nd edition, section
    3.1, carried through the layers component by component.

    Examples
    --------
    >>> import foldline as fl
    >>> net = fl.Network([([[1.0], [-1.0]], None), ([[1.0, 1.0]], None)])
    >>> net.patterns([[-3.0], [2.0], [0.0]], return_certain=True)
    (array([[2],
           [1],
           [0]], dtype=uint8), array([ True,  True,  True]))
    """
    if dask_arrays.is_dask(points):
        _refuse_for_dask(
            return_certain=return_certain, exact=exact, workers=workers, allow_nonfinite=allow_nonfinite
        )
        return dask_arrays.mapped(net, points, "patterns", -(-net.n_neurons // 8), np.uint8)
    check_flag("return_certain", return_certain)
    check_flag("exact", exact)
    if not (return_certain or exact):
        return _run(net, points, ("patterns",), workers, allow_nonfinite)[0]
    points = check_points(net, points)
    bits, certain = _run(net, points, ("patterns", "certain"), workers, allow_nonfinite)
    if exact:
        _decide(net, points, bits, certain, workers)
    return (bits, certain) if return_certain else bits


def evaluate(net, points, *, workers=1, allow_nonfinite=False):
    """Outputs and patterns in one pass: ``(forward(points), patterns(points))``."""
    return tuple(_run(net, points, ("outputs", "patterns"), workers, allow_nonfinite))


def preactivations(net, points, *, workers=1, allow_nonfinite=False):
    """Sums of all neurons before the fold, shape (n_points, n_neurons), in the order of the bits."""
    return _run(net, points, ("preactivations",), workers, allow_nonfinite)[0]


def local_affine(net, points, *, workers=1, allow_nonfinite=False):
    """The map in force at each point.

    Returns
    -------
    A : ndarray, shape (n_points, n_out, n_in)
    b : ndarray, shape (n_points, n_out)
        ``net(x) = A x + b`` wherever the pattern is the point's.

    Examples
    --------
    >>> import foldline as fl
    >>> net = fl.Network([([[1.0], [-1.0]], None), ([[1.0, 1.0]], None)])
    >>> net.local_affine([[-3.0], [2.0]])[0].ravel()
    array([-1.,  1.])
    """
    return tuple(_run(net, points, ("maps", "offsets"), workers, allow_nonfinite))


def linear_radius(net, points, norm="inf", *, workers=1, allow_nonfinite=False):
    """Distance from each point to the nearest fold, never larger than it is; in the inf-norm unless told.

    ``min_j |z_j| / ||grad z_j||`` in the dual norm, over all neurons with a gradient; infinite where
    there is none. All roundings go towards smaller distances: 0 where a sign is not sure.

    Parameters
    ----------
    net : Network
    points, workers, allow_nonfinite
        As for `Network.forward`.
    norm : {"inf", "1", "2"} or {numpy.inf, 1, 2}

    Returns
    -------
    ndarray, shape (n_points,)

    Examples
    --------
    >>> import foldline as fl
    >>> net = fl.Network([([[1.0, 1.0]], [-1.0]), ([[1.0]], None)])
    >>> fl.linear_radius(net, [[1.0, 1.0]], norm=1)
    array([1.])
    """
    check_net(net)
    norm = check_norm(norm)
    return _run(net, points, ("radii",), workers, allow_nonfinite, norm=norm)[0]


def pattern_items(rows):
    """Packed patterns as one item each, shape (n_points,), compared byte by byte."""
    rows = np.ascontiguousarray(rows)
    return rows.view(f"V{rows.shape[1]}")[:, 0] if rows.shape[1] else np.zeros(len(rows), "V1")


def unpack_patterns(patterns, n_neurons):
    """Packed patterns as booleans.

    Parameters
    ----------
    patterns : ndarray of uint8, shape (n_points, ceil(n_neurons / 8))
    n_neurons : int

    Returns
    -------
    ndarray of bool, shape (n_points, n_neurons)

    Examples
    --------
    >>> import numpy as np, foldline as fl
    >>> fl.unpack_patterns(np.array([[5]], np.uint8), 3)
    array([[ True, False,  True]])
    """
    n_neurons = check_int("n_neurons", n_neurons, 0)
    array = np.asarray(patterns)
    if array.dtype != np.uint8:
        raise TypeError(f"patterns has dtype {array.dtype}; wanted uint8")
    if array.ndim != 2 or array.shape[1] != -(-n_neurons // 8):
        raise ValueError(
            f"patterns has shape {array.shape}; {n_neurons} neurons have (n_points, {-(-n_neurons // 8)})"
        )
    return np.unpackbits(array, axis=1, count=n_neurons, bitorder="little").view(bool)


def _refuse_for_dask(workers, **options):
    options["workers"] = None if workers == 1 else workers
    for name, value in options.items():
        if value is not None and value is not False:
            raise TypeError(f"{name} is {value!r}; a Dask array is evaluated without (wanted map_blocks)")


def _run(net, points, wanted, workers, allow_nonfinite, given=None, norm="inf"):
    workers = check_workers(workers)
    check_flag("allow_nonfinite", allow_nonfinite)
    points = check_points(net, points)
    results = given or _allocate(net, len(points), wanted)
    step = _step(net, wanted)
    tasks = row_parts(len(points), workers, BLOCK)
    run_tasks(_run_part, net, points, results, tasks, workers, (step, allow_nonfinite, norm))
    return [results[name] for name in wanted]


def _allocate(net, n_points, wanted):
    shapes = {
        "outputs": ((n_points, net.n_out), net.dtype),
        "patterns": ((n_points, -(-net.n_neurons // 8)), np.uint8),
        "certain": ((n_points,), bool),
        "preactivations": ((n_points, net.n_neurons), net.dtype),
        "maps": ((n_points, net.n_out, net.n_in), net.dtype),
        "offsets": ((n_points, net.n_out), net.dtype),
        "radii": ((n_points,), net.dtype),
    }
    return {name: np.empty(*shapes[name]) for name in wanted}


def _step(net, wanted):
    operations = sum(w.size for w in net.weights)
    if "maps" in wanted:
        operations *= net.n_out
    if "radii" in wanted:
        operations *= 1 + net.n_in
        if net.n_in <= _MOST_SHARED_INPUTS:
            return _SHARED_STEP
    rows = min(_STEP_OPERATIONS // operations, _LARGEST_STEP) // BLOCK * BLOCK
    return max(rows, BLOCK)


def _run_part(net, points, results, first_row, stop, step, allow_nonfinite, norm):
    """Fill `results` for these points: the whole of one task."""
    size = len(points) if _conforms(net, points) else step
    for start in range(0, len(points), max(size, 1)):
        rows = slice(start, start + size)
        part = np.require(points[rows], net.dtype.newbyteorder("="), "A")
        into = {name: array[rows] for name, array in results.items()}
        try:
            if "radii" in into and net.n_in <= _MOST_SHARED_INPUTS:
                _shared_radii(net, part, step, stop, allow_nonfinite, into["radii"], norm)
            else:
                net._core.evaluate(part, step, stop, allow_nonfinite, **into, norm=norm)
        except FloatingPointError:
            check_finite(part, first_row + start)
            raise
        if stop:
            return


def _shared_radii(net, points, step, stop, allow_nonfinite, radii, norm):
    """Distances by patterns, with gradients in float64, rounded down to the network's dtype.

    A pattern from float32 is enough: a point for which it is wrong gets 0, and then float64's pattern.
    """
    if not allow_nonfinite and not np.isfinite(points).all():
        raise FloatingPointError
    wide, narrow = net._in_float64, net._in_float32
    found = np.empty(min(step, len(points)))
    for start in range(0, len(points), step):
        part = np.ascontiguousarray(points[start : start + step], np.float64)
        distances = found[: len(part)]
        _radii_of_patterns(narrow, wide, part, stop, distances, norm)
        again = np.flatnonzero(distances == 0)
        if len(again) and not stop:
            rest = np.empty(len(again))
            _radii_of_patterns(wide, wide, part[again], stop, rest, norm)
            distances[again] = rest
        if stop:
            return
        rows = radii[start : start + step]
        with np.errstate(over="ignore", under="ignore"):
            rows[:] = distances
        above = np.flatnonzero(rows > distances)
        rows[above] = np.nextafter(rows[above], 0, dtype=rows.dtype)


def _radii_of_patterns(guess, wide, points, stop, found, norm):
    """Distances of points whose patterns are those of the network `guess`, 0 where they are not."""
    bits = np.empty((len(points), -(-wide.n_neurons // 8)), np.uint8)
    with np.errstate(over="ignore", under="ignore"):
        rounded = points.astype(guess.dtype, copy=False)
    guess._core.evaluate(rounded, _step(guess, ("patterns",)), stop, True, patterns=bits)
    wide._core.radii_of_patterns(points, bits, found, norm, stop)


def _conforms(net, points):
    return points.dtype == net.dtype and points.dtype.isnative and points.flags.aligned


def _check_out(net, points, out):
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out is {type(out).__name__}; wanted an ndarray")
    if out.dtype != net.dtype or not out.dtype.isnative:
        raise TypeError(f"out has dtype {out.dtype}; this network gives {net.dtype}")
    if out.shape != (len(points), net.n_out):
        raise ValueError(f"out has shape {out.shape}; wanted ({len(points)}, {net.n_out})")
    if not out.flags.writeable:
        raise ValueError("out is read-only; wanted a writeable array")
    try:
        overlaps = np.shares_memory(points, out, max_work=10_000)
    except np.exceptions.TooHardError:
        overlaps = True
    if overlaps:
        raise ValueError("out overlaps points in memory; wanted separate memory")
    if not out.flags.aligned:
        raise ValueError("out is not aligned; wanted elements at multiples of their size")
    if _overlaps_itself(out):
        raise ValueError(f"out has strides {out.strides} and overlaps itself; wanted separate elements")


def _overlaps_itself(array):
    """Whether elements lie within the span of a row, or column, that is not their own."""
    if not array.size:
        return False
    span = array.itemsize
    for stride, size in sorted((abs(stride), size) for stride, size in zip(array.strides, array.shape)):
        if size > 1 and stride < span:
            return True
        span += stride * (size - 1)
    return False


def _decide(net, points, bits, certain, workers):
    """Prove the rows that are not certain: float64 with its bound, float64 where it is exact, rationals."""
    import logging

    from .exact import exact_patterns

    def open_rows():
        rows = np.flatnonzero(~certain)
        values = np.asarray(points[rows], dtype=np.float64)
        keep = np.isfinite(values).all(axis=1)
        return rows[keep], values[keep]

    wide = net._in_float64 if net.dtype != np.float64 else net
    rows, values = open_rows()
    counts = {"in " + net.dtype.name: int(certain.sum())}
    if len(rows) and wide is not net:
        wide_bits, wide_certain = _run(wide, values, ("patterns", "certain"), workers, False)
        bits[rows[wide_certain]] = wide_bits[wide_certain]
        certain[rows[wide_certain]] = True
        counts["in float64"] = int(wide_certain.sum())
        rows, values = open_rows()
    if len(rows):
        exact = np.zeros(len(rows), bool)
        exact_bits = np.empty((len(rows), bits.shape[1]), np.uint8)
        for start in range(0, len(rows), 1024):
            part = slice(start, start + 1024)
            wide._core.patterns_if_exact(values[part], exact_bits[part], exact[part])
        bits[rows[exact]] = exact_bits[exact]
        certain[rows[exact]] = True
        counts["in float64 without rounding"] = int(exact.sum())
        rows, values = open_rows()
    if len(rows):
        bits[rows] = exact_patterns(net, values)
        certain[rows] = True
        counts["in rationals"] = len(rows)
    logging.getLogger("foldline").info(
        "%d rows proved: %s", sum(counts.values()), ", ".join(f"{n} {how}" for how, n in counts.items())
    )
