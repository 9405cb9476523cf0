"""The regions of a network on a domain, described."""

import math
import time

import numpy as np

from . import exact_rows
from .checks import check_int
from .domains import check_question
from .evaluation import pattern_items
from .exact_cells import MOST_DIMENSIONS_OF_CORNERS
from .executors import carried, check_workers, n_at_once
from .maps import maps_of
from .progress import reporter
from .region_tables import Regions
from .twins import flips_of
from .walk import FINE, Rows, Walk, bits_of, check_engine, parts

__all__ = ["iter_regions", "regions"]

_FEW = 1000  # regions, the describing of which tells how long that of many takes


def regions(
    net, domain, *, engine="auto", max_regions=None, time_limit=None, workers=1, progress=None
):
    """Describe every activation region of a network on a bounded domain.

    Parameters
    ----------
    net : Network
    domain : Box, Ball, Polytope, Plane or Segment
    engine, time_limit, workers, progress
        As for `count_regions`.
    max_regions : int, optional
        Stop after this many; `Regions.status` is then "limit".

    Returns
    -------
    Regions
        In the order of their patterns, whatever the workers. Which regions there are is proved. Where that
        took doubles only, the other columns are computed in doubles as well, so that their last digits may
        differ from one way of cutting the work to another; where exact arithmetic was needed, all of them
        are exact and rounded once. In more than six dimensions, the engine for which
        keeps no vertices, there are none, and volumes are NaN; ``engine="exact"`` has both. In more than 12
        dimensions those whose signs doubles do not decide are left out, and `Regions.status` is "limit".

    Raises
    ------
    ValueError
        As `count_regions`; and for Space, whose cells need not have corners.
    MemoryError
        There are too many: `iter_regions` has them in chunks.

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
    engine = _check(net, domain, engine, max_regions=max_regions, time_limit=time_limit)
    workers = check_workers(workers)
    deadline = math.inf if time_limit is None else time.monotonic() + time_limit
    most = math.inf if max_regions is None else max_regions
    found, n = [], 0
    try:
        with reporter(progress, "regions") as report:
            if engine != "exact":
                walk, late = Walk(net, domain, engine, want="rows"), _Lateness(net, domain, deadline)
                for part in parts(walk, workers, deadline, most + 1, steps=late.steps):
                    found.append(part)
                    n += part.n_cells
                    report(n)
                    if late.would_be(found, n):
                        return _from_doubles(net, domain, found, "limit", most, in_order=workers == 1)
                    if part.n_undecided and domain.dimension <= MOST_DIMENSIONS_OF_CORNERS:
                        break
                else:
                    status = "limit" if n > most or found[-1].opens else "complete"
                    return _from_doubles(net, domain, found, status, most, in_order=workers == 1)
            found, n = [], 0
            walk = Walk(net, domain, "exact")
            for row in walk.exact.rows():
                if n >= most or n and time.monotonic() >= deadline:
                    return Regions(net, domain, "limit", **exact_rows.columns(net, walk.exact.chain, found))
                found.append(row)
                n += 1
                if n % 256 == 0:
                    report(n)
            return Regions(net, domain, "complete", **exact_rows.columns(net, walk.exact.chain, found))
    except MemoryError:
        found.clear()
        raise MemoryError(
            f"out of memory with {n:,} regions found; iter_regions describes them in chunks, "
            "max_regions= stops in time, and count_regions only counts"
        ) from None


def iter_regions(net, domain, *, chunk=65536, engine="auto", max_regions=None, workers=1):
    """Like `regions`, as an iterator over `Regions` of at most `chunk` rows, in the order of their patterns.

    Neighbours are those within a chunk. Memory is that of a chunk; with workers, of two for each.

    Examples
    --------
    >>> import foldline as fl
    >>> net = fl.Network([([[1.0, 0.0], [0.0, 1.0]], None), ([[1.0, 1.0]], None)])
    >>> [len(part) for part in fl.iter_regions(net, fl.Box(-1, 1, n_in=2), chunk=3)]
    [3, 1]
    """
    chunk = check_int("chunk", chunk, 1)
    engine = _check(net, domain, engine, max_regions=max_regions)
    most = math.inf if max_regions is None else max_regions
    return _chunks(net, domain, engine, chunk, most, check_workers(workers))


def _check(net, domain, engine, **limits):
    check_question(net, domain, **limits)
    if domain._bounds() is None and not len(domain._half_spaces()[0]):
        raise ValueError("the domain is all of space, where regions have no volume; wanted a bounded one")
    return check_engine(engine, domain.dimension)


def _chunks(net, domain, engine, chunk, most, workers):
    """In doubles until a chunk holds something they do not decide; exactly from that chunk on."""
    walk = Walk(net, domain, engine, want="rows")
    opens, n_done = [walk.root], 0
    with _InDoubles(walk, workers, chunk) as doubles:
        while opens and engine != "exact":
            found, rest = doubles.next_cells(opens, min(chunk, most - n_done))
            if found is None:
                break
            n_done += sum(part.n_cells for part in found)
            is_cut_off = n_done == most and doubles.next_cells(rest, 1)[0] != []
            opens = rest if n_done < most else []
            is_cut_off |= doubles.is_beyond and not opens
            found = found or [walk.left_over([])]
            yield _from_doubles(net, domain, found, "limit" if is_cut_off else "complete")
    if opens:
        yield from _exact_chunks(net, domain, [bits_of(prefix) for prefix in opens], chunk, most - n_done)


class _InDoubles:
    """A walk in doubles in the order of the patterns. With several workers they run ahead, below the prefixes
    that come next, no more than a chunk each: chunks may then be smaller, and are the same every time."""

    def __init__(self, walk, workers, chunk):
        self._walk, self._workers, self._chunk = walk, workers, chunk
        self._pool, self._running, self.is_beyond = None, {}, False
        if workers != 1:
            from concurrent.futures import ThreadPoolExecutor

            self._pool = ThreadPoolExecutor(workers) if isinstance(workers, int) else workers
            self._carrier = walk if isinstance(workers, int) else carried(workers, walk)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        for future in self._running.values():
            future.cancel()
        if self._pool is not None and self._pool is not self._workers:
            self._pool.shutdown(wait=True)

    def next_cells(self, opens, size):
        """(parts with the next cells below some prefixes, at most `size`; what is open then). Instead of
        parts None, where there is something that doubles do not decide."""
        found, n = [], 0
        while opens and n < size:
            part = self._run_ahead(opens)
            if part is not None and part.n_cells > size - n and n:
                break
            if part is None or part.n_cells > size - n:
                part = self._walk.run(opens[:1], math.inf, size - n)
            if part.n_undecided and self._walk.domain.dimension <= MOST_DIMENSIONS_OF_CORNERS:
                return None, opens
            beyond = [prefix for prefix in part.opens if self._walk.is_beyond(prefix)]
            self.is_beyond |= bool(beyond)
            if part.n_cells:
                found.append(part)
            n += part.n_cells
            self._running.pop(opens[0], None)
            opens = [prefix for prefix in part.opens if prefix not in beyond] + opens[1:]
        return found, opens

    def _run_ahead(self, opens):
        """The part below the first prefix, the following ones being under way; None with one worker."""
        if self._pool is None:
            return None
        for prefix in opens[: 2 * n_at_once(self._workers)]:
            if prefix not in self._running:
                task = Walk.run, self._carrier, [prefix], math.inf, self._chunk, math.inf
                self._running[prefix] = self._pool.submit(*task)
        return self._running[opens[0]].result()


def _exact_chunks(net, domain, prefixes, chunk, most):
    exact = Walk(net, domain, "exact").exact
    rows, n, status = [], 0, "complete"
    for row in exact.rows(prefixes):
        if n >= most:
            status = "limit"
            break
        if len(rows) == chunk:
            yield Regions(net, domain, "complete", **exact_rows.columns(net, exact.chain, rows))
            rows = []
        rows.append(row)
        n += 1
    yield Regions(net, domain, status, **exact_rows.columns(net, exact.chain, rows))


def _from_doubles(net, domain, found, status, most=math.inf, in_order=True):
    """`Regions` of the parts of a walk in doubles, at most so many."""
    patterns = np.concatenate([part.patterns for part in found])
    rows = [rows for part in found for rows in part.rows] or [_no_rows(domain.dimension)]
    order = np.arange(len(patterns)) if in_order else _lexicographic(patterns)
    order = order[: min(most, len(order))]
    maps, _ = maps_of(net, domain, patterns[order])
    vertices = [v for r in rows for v in _parts(*_distinct(r.vertices, r.vertex_ends))]
    return Regions(
        net,
        domain,
        status,
        patterns=patterns[order],
        A=maps[:, :, :-1].copy(),
        b=maps[:, :, -1].copy(),
        interior_points=np.concatenate([r.points for r in rows])[order],
        vertices=[vertices[i] for i in order.tolist()],
        volumes=np.concatenate([r.volumes for r in rows])[order],
        neighbours=_neighbours(net, patterns, order, rows),
    )


class _Lateness:
    """Whether describing what was found will come to its end at a deadline: measured on what came first."""

    def __init__(self, net, domain, deadline):
        self._net, self._domain, self._deadline, self._seconds_each = net, domain, deadline, 0.0
        self.steps = None if deadline == math.inf else FINE

    def would_be(self, found, n):
        if self._deadline == math.inf or not n:
            return False
        if not self._seconds_each and n >= _FEW:
            begin = time.monotonic()
            _from_doubles(self._net, self._domain, found, "limit")
            self._seconds_each = (time.monotonic() - begin) / n
        # half as long again, since larger tables are slower row by row
        return time.monotonic() + 1.5 * n * self._seconds_each >= self._deadline


def _no_rows(d):
    no_ends = np.empty(0, np.int64)
    return Rows(np.empty((0, d)), np.empty(0), no_ends, np.empty((0, d)), no_ends, no_ends)


def _distinct(vertices, ends):
    """The same without vertices that a cell has twice, where more than d facets meet in one."""
    cell = np.repeat(np.arange(len(ends)), np.diff(ends, prepend=0))
    order = np.lexsort((*vertices.T, cell))
    again = np.zeros(len(order), bool)
    again[order[1:]] = (vertices[order[1:]] == vertices[order[:-1]]).all(axis=1) & (np.diff(cell[order]) == 0)
    if not again.any():
        return vertices, ends
    return vertices[~again], ends - np.cumsum(again)[ends - 1]


def _parts(values, ends):
    ends = ends.tolist()
    return [values[start:end] for start, end in zip([0, *ends], ends)]


def _lexicographic(patterns):
    """The order of patterns as words of bits, first bits first."""
    bits = np.packbits(np.unpackbits(patterns, axis=1, bitorder="little"), axis=1)
    return np.argsort(pattern_items(bits), kind="stable")


def _neighbours(net, patterns, order, rows):
    """Pairs of regions across a facet, as they are numbered in `order`: where nothing is degenerate, only
    the neuron that makes it flips, and its twins."""
    number = np.full(len(patterns), -1)
    number[order] = np.arange(len(order))
    n_facets = [np.diff(r.facet_ends, prepend=0) for r in rows]
    owners = np.repeat(number, np.concatenate(n_facets))
    neurons = np.concatenate([r.facets for r in rows])
    inside = (owners >= 0) & (neurons >= 0)
    owners, neurons = owners[inside], neurons[inside]
    if not len(owners):
        return np.empty((0, 2), np.int64)
    patterns = patterns[order]
    across = patterns[owners] ^ flips_of(net)[neurons]
    items = pattern_items(patterns)
    by_item = np.argsort(items)
    at = np.minimum(np.searchsorted(items, pattern_items(across), sorter=by_item), len(items) - 1)
    others = by_item[at]
    there = (patterns[others] == across).all(axis=1)
    pairs = np.sort(np.stack([owners[there], others[there]], axis=1), axis=1)
    first, second = divmod(np.unique(pairs[:, 0] * len(order) + pairs[:, 1]), len(order))
    return np.stack([first, second], axis=1)
