"""Counting the patterns that a sample of points shows."""

import json
import os
import time
from hashlib import blake2b

import numpy as np

from . import dask_arrays
from .checks import check_finite, check_flag, check_points
from .domains import Domain
from .executors import check_workers, in_turn, loss_of
from .logs import log
from .pattern_counter import PatternCounter
from .progress import reporter
from .sample import Sample

__all__ = ["count_patterns"]

_BLOCKS_A_TASK = 16
_SECONDS_A_RECORD = 1.0


def count_patterns(
    net,
    points,
    *,
    sketch=False,
    memory_limit=None,
    spill_dir=None,
    workers=1,
    checkpoint=None,
    progress=None,
    allow_nonfinite=False,
):
    """Count the distinct activation patterns of points.

    Parameters
    ----------
    net : Network
    points : array_like, shape (n_points, n_in)
        NumPy's, or a table or tensor that NumPy takes as such, as for ``net(points)``.
        Or the path of a ``.npy`` file, a Dask array, an iterable of blocks, or what
        `foldline.sample.uniform`, `sobol` or `lines` return, whose points are made where they are counted.
    sketch, memory_limit, spill_dir
        As for `PatternCounter`.
    workers : int or concurrent.futures.Executor
        Threads, or an executor to run parts on; for a Dask array, its own scheduler does that.
    checkpoint : path, optional
        A journal of what is counted, a second of work a record. The same call goes on from there; when all is
        counted, it has its result at once. Not for iterables, which come once.
    progress : True or callable, optional
        True: a bar, by tqdm (``pip install tqdm``). Else called with the number of points.
    allow_nonfinite : bool
        Count points that hold NaN or infinity too, instead of refusing them.

    Returns
    -------
    PatternCount
        The same whatever the blocks, the workers and the order of their work. Where workers were lost, of
        fewer points, with the reason in `loss`.

    Raises
    ------
    ValueError
        Points of another width, NaN or infinity, a journal of another question.
    TypeError
        Points of another dtype, a domain, or a checkpoint for what cannot be read again.
    OSError
        A disk that is full, or a file that cannot be read or written.

    Examples
    --------
    >>> import foldline as fl
    >>> net = fl.Network([([[1.0], [-1.0]], None), ([[1.0, 1.0]], None)])
    >>> fl.count_patterns(net, [[-3], [2], [5], [0]])
    PatternCount(distinct=3, n_points=4, singletons=2, coverage=0.5)
    >>> print(fl.count_patterns(net, fl.sample.uniform(fl.Box(-1, 1, n_in=1), 1e5)))
    2 distinct patterns among 100,000 points, 0 seen once.
    This is a lower bound on the number of regions, never a count of them.
    At least 99.98% of the volume is in a region seen here: with 95% confidence,
    if the points are independent and uniform.
    """
    given = {"memory_limit": memory_limit, "spill_dir": spill_dir}
    given = {name: value for name, value in given.items() if value is not None}
    counter = PatternCounter(net, sketch=sketch, **given)
    check_flag("allow_nonfinite", allow_nonfinite)
    workers = check_workers(workers)
    if isinstance(points, (str, os.PathLike)):
        points = _open_npy(points)
    if isinstance(points, Domain):
        kind = type(points).__name__
        raise TypeError(f"points is a {kind}; wanted points in it, as fl.sample.uniform(domain, n)")
    comes_once = dask_arrays.is_dask(points) or _is_blocks(points)
    if comes_once and checkpoint is not None:
        raise TypeError(f"a checkpoint wants points that can be read again, not {type(points).__name__}")
    if isinstance(points, Sample):
        if points.domain.n_in != net.n_in:
            raise ValueError(f"the sample has {points.domain.n_in} inputs; this network takes {net.n_in}")
    elif not comes_once:
        points = check_points(net, points)
    total = None if comes_once or getattr(points, "of", "points") == "pieces" else len(points)
    try:
        with reporter(progress, "points", total) as report:
            if dask_arrays.is_dask(points):
                dask_arrays.count(counter, points, allow_nonfinite)
            elif isinstance(points, Sample):
                _add_blocks(counter, points, workers, checkpoint, report)
            elif checkpoint is not None:
                _add_blocks(counter, _Rows(points, allow_nonfinite), workers, checkpoint, report)
            else:
                for block in points if comes_once else [points]:
                    block = check_points(net, block)
                    counter._add_points(block, workers, allow_nonfinite, report)
    except BaseException as error:
        loss = loss_of(error)
        if loss is None:
            raise
        log.warning(loss)
        return counter.result()._replace(loss=loss)
    return counter.result()


def _add_blocks(counter, source, workers, checkpoint, report):
    """Count a source block by block, in order; each record of the journal has what some blocks add."""
    counter._of = source.of
    if checkpoint is None:
        for _, found in _found(counter, source, 0, workers):
            _take(counter, found)
            report(counter.n_points)
        return
    from .journal import Journal  # when used, so that the import stays light

    with Journal(checkpoint, _question(counter, source)) as journal:
        n_there = 0
        for record in journal.records():
            n_there = _restore(counter, record)
        log.info("%s: %d of %d blocks were there", checkpoint, n_there, source.n_blocks)
        part, since, done = counter._empty(), time.monotonic(), n_there
        try:
            for done, found in _found(counter, source, n_there, workers):
                _take(part, found)
                report(counter.n_points + part.n_points)
                if done == source.n_blocks or time.monotonic() - since >= _SECONDS_A_RECORD:
                    journal.append(_record(part, done))
                    counter.merge(part)
                    part, since = counter._empty(), time.monotonic()
        except BaseException as error:
            if loss_of(error) is not None and part.n_points:  # raised between two blocks
                journal.append(_record(part, done))
                counter.merge(part)
            raise


def _found(counter, source, first, workers):
    """Yield (number of blocks so far, what the last of them show): patterns, or counters from workers."""
    if workers == 1 or isinstance(source, _Rows):
        for i in range(first, source.n_blocks):
            yield i + 1, source.patterns(counter.net, i, workers)
        return
    starts = range(first, source.n_blocks, _BLOCKS_A_TASK)
    stops = [min(start + _BLOCKS_A_TASK, source.n_blocks) for start in starts]
    tasks = ((counter._empty(), source, start, stop) for start, stop in zip(starts, stops))
    yield from zip(stops, in_turn(_counted, tasks, workers))


def _counted(counter, source, start, stop):
    for i in range(start, stop):
        counter._add(source.patterns(counter.net, i))
    return counter


def _take(counter, found):
    counter.merge(found) if isinstance(found, PatternCounter) else counter._add(found)


class _Rows:
    """An array of points as a source of blocks."""

    of, _size = "points", 1 << 16

    def __init__(self, points, allow_nonfinite):
        self._points, self._allow_nonfinite = points, allow_nonfinite

    @property
    def n_blocks(self):
        return -(-len(self._points) // self._size)

    def patterns(self, net, i, workers):
        start = i * self._size
        block = self._points[start : start + self._size]
        if not self._allow_nonfinite:
            check_finite(block, start)
        return net.patterns(block, workers=workers, allow_nonfinite=True)

    def __repr__(self):
        """What tells these points from others: for the question of a journal."""
        seen = blake2b(digest_size=16)
        for start in range(0, len(self._points), self._size):
            seen.update(np.ascontiguousarray(self._points[start : start + self._size]))
        points = self._points
        return f"{points.dtype} {points.shape} {seen.hexdigest()}, allow_nonfinite={self._allow_nonfinite}"


def _question(counter, source):
    return {
        "question": "count_patterns",
        "network": counter.net.digest,
        "points": repr(source),
        "sketch": counter.sketch,
    }


def _record(part, done):
    registers, level, pieces = part._contents()
    keys, counts = (np.concatenate(arrays) for arrays in zip(*pieces))
    head = {"blocks": done, "n_points": part.n_points, "level": level, "keys": len(counts)}
    line = json.dumps(head).encode() + b"\n"
    return b"".join([line, registers, keys.astype("<u8").tobytes(), counts.astype("<u8").tobytes()])


def _restore(counter, record):
    """Add what a record has; returns the number of blocks that the journal has so far."""
    line, _, data = record.partition(b"\n")
    head = json.loads(line)
    n = head["keys"]
    registers, words = data[: len(data) - 24 * n], np.frombuffer(data, "<u8", offset=len(data) - 24 * n)
    words = words.astype(np.uint64)
    part = counter._empty()
    part.n_points = head["n_points"]
    part._add_contents(registers, head["level"], [(words[: 2 * n].reshape(n, 2), words[2 * n :])])
    counter.merge(part)
    return head["blocks"]


def _is_blocks(points):
    """Whether this is an iterable of blocks, not an array of points or a sample."""
    if isinstance(points, (list, tuple)):
        return bool(points) and isinstance(points[0], np.ndarray) and points[0].ndim == 2
    is_table = hasattr(points, "__array__") and len(getattr(points, "shape", ())) == 2
    return not (is_table or isinstance(points, (np.ndarray, Sample))) and hasattr(points, "__iter__")


def _open_npy(path):
    """The array of a .npy file, left on disk."""
    if not os.fspath(path).endswith(".npy"):
        raise TypeError(f"points is {path!r}; wanted an array, or the path of a .npy file")
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{os.fspath(path)}: not a whole .npy file of numbers: {error}") from None
