"""Walks through the cells of a network on a domain: in certified doubles, exactly where those end.

A walk is cut into parts. A part starts from prefixes of patterns and ends with what it found and the
prefixes it did not come to; parts are pure functions of picklable arguments, and what they find adds up
in any order. So one worker, many threads and other machines take the same way.
"""

import math
import time
from collections import deque
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np

from . import cells
from ._core import Cells
from .exact_cells import MOST_DIMENSIONS_OF_CORNERS, ExactWalk
from .exact_lp import patterns_below
from .executors import carried, loss_of, n_at_once
from .twins import twins

__all__ = [
    "ENGINES",
    "FINE",
    "MOST_DIMENSIONS_IN_TIME",
    "MOST_DIMENSIONS_OF_VERTICES",
    "Part",
    "Prefix",
    "Rows",
    "Walk",
    "bits_of",
    "check_engine",
    "parts",
]

ENGINES = ("sweep", "polygons", "vertices", "lp", "exact")
MOST_DIMENSIONS_OF_VERTICES = 6
# Of the engines that do not take any.
_DIMENSIONS = {
    "sweep": range(1, 2),
    "polygons": range(2, 3),
    "vertices": range(3, MOST_DIMENSIONS_OF_VERTICES + 1),
}
# Beyond, a step of a walk may take longer than a limit allows.
MOST_DIMENSIONS_IN_TIME = 64
# Rationals are slow to come back to where they were.
_SLOW_SLICE = 1.0


class Prefix(NamedTuple):
    """Cells whose patterns begin with `length` of these packed bits, and the arithmetic they want."""

    bits: bytes
    length: int
    arithmetic: int


# What each does not decide is left to the next.
DOUBLES, CORE_INTEGERS, INTEGERS = range(3)


class Rows(NamedTuple):
    """Cells in doubles. Vertices ``vertex_ends[i - 1]`` to ``vertex_ends[i]`` are those of cell i, facets
    likewise: the neuron that makes each, or -1 - k for half-space k of the domain."""

    points: np.ndarray
    volumes: np.ndarray
    vertex_ends: np.ndarray
    vertices: np.ndarray
    facet_ends: np.ndarray
    facets: np.ndarray


class Part(NamedTuple):
    """What a part of a walk found. Where they were wanted, `rows` has one `Rows` for each run in doubles, and
    one `exact_cells.Row` for each other cell. Decisions are signs of neurons on cells that doubles were asked
    for, and decided are those that they told; undecided are prefixes that were left to integers.

    For a journal, `taken` are the prefixes that it began with, and `left` those that it did not come to;
    `loss` says why workers did not do what is open.
    """

    n_cells: int
    n_decisions: int
    n_decided: int
    n_undecided: int
    smallest_margin: float
    opens: list
    patterns: np.ndarray
    rows: list
    taken: list = ()
    left: list = ()
    loss: str = ""


class Steps(NamedTuple):
    """How long parts may take, in seconds: as a rule, and where there is little to share out, so that nobody
    waits long for the large subtree that another has."""

    usual: float
    short: float


# Ctrl-C is heard, progress told and work spread this often.
HERE = Steps(0.2, 0.01)
# Tasks for other processes cost some milliseconds.
ELSEWHERE = Steps(0.4, 0.1)
# What a run that is killed has to do again; or where as much work follows on what a part found.
FINE = Steps(0.03, 0.01)
# Ties, each a small subtree, that are walked in one run.
_MOST_TIES = 256


def check_engine(engine, dimension):
    """The engine for a dimension, or raise."""
    if engine == "auto":
        return next((name for name, known in _DIMENSIONS.items() if dimension in known), "lp")
    if engine not in ENGINES:
        raise ValueError(f"engine is {engine!r}; wanted 'auto' or one of {', '.join(map(repr, ENGINES))}")
    dimensions = _DIMENSIONS.get(engine)
    if dimensions is not None and dimension not in dimensions:
        raise ValueError(
            f"engine is {engine!r}, the domain has {dimension} dimensions; that engine wants "
            f"{' to '.join(str(d) for d in sorted({dimensions[0], dimensions[-1]}))}"
        )
    if engine == "exact" and dimension > MOST_DIMENSIONS_OF_CORNERS:
        raise ValueError(
            f"engine is 'exact', the domain has {dimension} dimensions; that engine keeps all corners of a "
            f"cell and wants at most {MOST_DIMENSIONS_OF_CORNERS} ('lp' takes any)"
        )
    return engine


class Walk:
    """A network, a bounded domain and an engine: what every part of a walk has to know.

    Parameters
    ----------
    certify : bool
        Prove what is found.
    want : {"count", "patterns", "rows"}
        What parts bring beside the number of cells.
    by_half_spaces : bool
        In dimensions that are too many for corners, keep cells in integers by half-spaces, if they can be.
    """

    def __init__(self, net, domain, engine, certify=True, want="count", by_half_spaces=False):
        self.net, self.domain, self.engine, self.certify, self.want = net, domain, engine, certify, want
        self.by_half_spaces = by_half_spaces
        self._cells = self._exact = None

    def __reduce__(self):
        return _walk, (self.net, self.domain, self.engine, self.certify, self.want, self.by_half_spaces)

    @property
    def root(self):
        arithmetic = CORE_INTEGERS if self.engine == "exact" else DOUBLES
        return Prefix(bytes(-(-self.net.n_neurons // 8)), 0, arithmetic)

    def is_beyond(self, prefix):
        """Whether it wants integers in too many dimensions for them."""
        return prefix.arithmetic != DOUBLES and not self._has_corners and not self._can_do_without

    @property
    def _has_corners(self):
        return self.domain.dimension <= MOST_DIMENSIONS_OF_CORNERS

    @property
    def _can_do_without(self):
        is_possible = self.want != "rows" and self.domain._bounds() is not None
        return self.by_half_spaces and is_possible and self.domain.dimension <= MOST_DIMENSIONS_IN_TIME

    def left_over(self, opens, loss=""):
        """The last part, of nothing: what is open, and why."""
        if not loss and any(map(self.is_beyond, opens)):
            loss = f"doubles do not decide all, and in {self.domain.dimension} dimensions integers cannot"
        return _joined([], len(self.root.bits))._replace(opens=opens, loss=loss)

    @property
    def exact(self):
        if self._exact is None:
            self._exact = ExactWalk(self._chain)
        return self._exact

    @cached_property
    def _chain(self):
        return cells.ExactChain(self.net, self.domain)

    def run(self, prefixes, seconds, most_cells, patience=HERE.usual, stop=None):
        """Walk below each prefix in turn, for a slice of time but never longer than `seconds`, or until
        `most_cells` were found. What was not come to is in the result's opens, in order.

        When the list `stop` gets an item it ends soon, with nothing that is of use.
        """
        start, stop = time.monotonic(), [] if stop is None else stop
        found, opens = [], []
        n = 0
        for i, prefix in enumerate(prefixes):
            gone = time.monotonic() - start
            if n >= most_cells or i and gone >= min(patience, seconds):
                opens += prefixes[i:]
                break
            arithmetic = prefix.arithmetic
            if arithmetic == CORE_INTEGERS and not self._has_corners:
                arithmetic = INTEGERS
            run = (self._run_doubles, self._run_core_integers, self._run_integers)[arithmetic]
            usual = _SLOW_SLICE if arithmetic == INTEGERS else patience
            times = max(min(usual, seconds) - gone, 0.0), max(seconds - gone, 0.0)
            part = run(prefix, times, most_cells - n, stop)
            n += part.n_cells
            found.append(part)
            opens += part.opens
        is_all = len(found) == 1 and self.want == "count"
        part = found[0] if is_all else _joined(found, -(-self.net.n_neurons // 8))
        return part._replace(opens=opens, taken=prefixes)

    def _run_doubles(self, prefix, times, most_cells, stop):
        """Of the times, in seconds, a step may go over the first, which ends a slice, not over the second."""
        try:
            if self._cells is None:
                self._cells = _prepared(self.net, self.domain, self.certify)
            n, n_decisions, n_decided, margin, opens, rows = self._cells.walk(
                self.engine, prefix.bits, prefix.length, most_cells, *times, self.want, stop
            )
        except ArithmeticError:  # numbers too large for doubles, or a domain that the engine cannot keep
            return Part(0, 0, 0, 1, math.inf, [prefix._replace(arithmetic=CORE_INTEGERS)], None, [])
        bits, lengths, ties = opens
        size = len(prefix.bits)
        opens = [
            Prefix(bits[i * size : (i + 1) * size], length, CORE_INTEGERS if tie else DOUBLES)
            for i, (length, tie) in enumerate(zip(np.frombuffer(lengths, np.uintp).tolist(), ties))
        ]
        patterns, rows = (None, []) if rows is None else self._arrays(n, rows)
        return Part(n, n_decisions, n_decided, sum(ties), margin, opens, patterns, rows)

    def _arrays(self, n, rows):
        patterns, points, volumes, vertex_ends, vertices, facet_ends, facets = rows
        patterns = np.frombuffer(patterns, np.uint8).reshape(n, -(-self.net.n_neurons // 8))
        if self.want == "patterns":
            return patterns, []
        d = self.domain.dimension
        rows = Rows(
            np.frombuffer(points).reshape(n, d),
            np.frombuffer(volumes),
            np.frombuffer(vertex_ends, np.uintp).astype(np.int64),
            np.frombuffer(vertices).reshape(-1, d),
            np.frombuffer(facet_ends, np.uintp).astype(np.int64),
            np.frombuffer(facets, np.int64),
        )
        return patterns, [rows]

    def _run_core_integers(self, prefix, times, most_cells, stop):
        step = self.exact.step(prefix.bits, prefix.length, most_cells, times[0], self.want, stop)
        # Ties lie among the cells found, opens behind them.
        opens = [Prefix(*tie, INTEGERS) for tie in step.ties]
        opens += [Prefix(*rest, CORE_INTEGERS) for rest in step.opens]
        return Part(step.n_cells, 0, 0, 0, math.inf, opens, step.patterns, step.rows)

    def _run_integers(self, prefix, times, most_cells, stop):
        stop_at = time.monotonic() + times[0]
        found, opens = [], []
        for bits, row in self._in_python(bits_of(prefix)):
            found.append((bits, row))
            if stop or len(found) >= most_cells or time.monotonic() > stop_at:
                following = _after(bits, prefix.length)
                opens = [Prefix(*_packed(bits, len(prefix.bits)), INTEGERS) for bits in following]
                break
        bits = np.array([bits for bits, _ in found], bool).reshape(len(found), self.net.n_neurons)
        patterns = np.packbits(bits, axis=1, bitorder="little")
        rows = [row for _, row in found] if self.want == "rows" else []
        return Part(len(found), 0, 0, 0, math.inf, opens, patterns, rows)

    def _in_python(self, prefix):
        """Yield (bits, `exact_cells.Row` or None) of the cells below a prefix."""
        if self._has_corners:
            yield from ((row.bits, row) for row in self.exact.rows_in_python([prefix]))
        else:
            yield from ((bits, None) for bits in patterns_below(self._chain, self.domain, prefix))


@lru_cache(maxsize=8)
def _walk(*arguments):
    """One walk for all tasks of a process, which prepares once."""
    return Walk(*arguments)


def bits_of(prefix):
    """The bits of a prefix, as a tuple of bools."""
    bits = np.unpackbits(np.frombuffer(prefix.bits, np.uint8), bitorder="little")
    return tuple(bits[: prefix.length].astype(bool).tolist())


def _after(bits, n_fixed):
    """Prefixes of the patterns that follow `bits` in order and share its first n_fixed bits, in order."""
    return [(*bits[:i], True) for i in range(len(bits) - 1, n_fixed - 1, -1) if not bits[i]]


def _packed(bits, n_bytes):
    packed = np.packbits(np.array(bits, bool), bitorder="little").tobytes()
    return packed.ljust(n_bytes, b"\0"), len(bits)


def _joined(found, n_bytes):
    patterns = [part.patterns for part in found if part.patterns is not None]
    return Part(
        sum(part.n_cells for part in found),
        sum(part.n_decisions for part in found),
        sum(part.n_decided for part in found),
        sum(part.n_undecided for part in found),
        min((part.smallest_margin for part in found), default=math.inf),
        [],
        np.concatenate(patterns) if patterns else np.empty((0, n_bytes), np.uint8),
        [row for part in found for row in part.rows],
    )


def _prepared(net, domain, certify):
    """The arrays of the C core's walk."""
    bounds = domain._bounds()
    reach, half_spaces, vertices, facets = _polytope(domain) if bounds is None else _box(*bounds)
    return Cells(
        [np.ascontiguousarray(w, np.float64) for w in net.weights],
        [np.ascontiguousarray(b, np.float64) for b in net.biases],
        [np.ascontiguousarray(s, np.float64) for s in net.slopes],
        twins(net),
        inputs=domain._forms(),
        input_errors=domain._forms_error()[:, :-1] @ reach,
        one=domain._scale(),
        reach=reach,
        half_spaces=half_spaces,
        vertices=vertices,
        facets=facets,
        certify=certify,
    )


@lru_cache(maxsize=16)
def _unit_box(d):
    """Which bound each coordinate of each vertex has, (n_vertices, d) of bools; the facets they lie on; the
    facets' forms without their bounds, (2 d, d + 1). In the plane counterclockwise; where d is large, no
    vertices."""
    upper = np.empty((0, d), int)
    if d <= MOST_DIMENSIONS_OF_VERTICES:
        upper = np.ascontiguousarray(np.indices((2,) * d).reshape(d, -1).T)
    if d == 2:
        upper = upper[[0, 2, 3, 1]]
    forms = np.zeros((2 * d, d + 1))
    forms[0::2, :d], forms[1::2, :d] = np.eye(d), -np.eye(d)
    return upper.astype(bool), (2 * np.arange(d) + upper).astype(np.uint32), forms


def _box(low, high):
    d = len(low)
    upper, facets, forms = _unit_box(d)
    half_spaces = forms.copy()
    half_spaces[0::2, d], half_spaces[1::2, d] = -low, high
    return np.maximum(abs(low), abs(high)), half_spaces, np.where(upper, high, low), facets


def _polytope(domain):
    """From its exact vertices."""
    d = domain.dimension
    root, rows = cells.root_cell(domain)
    vertices = np.array([[u / v[-1] for u in v[:-1]] for v in root.vertices])
    reach = np.nextafter(abs(vertices).max(axis=0), np.inf)
    # Facet 0 is infinity, that no vertex is on.
    a, b = domain._half_spaces()
    half_spaces = np.vstack([np.eye(1, d + 1, d), np.hstack([-a, b[:, None]])[rows]])
    simple = all(f.bit_count() == d for f in root.facets)
    if not simple or d > MOST_DIMENSIONS_OF_VERTICES:
        return reach, half_spaces, np.empty((0, d)), np.empty((0, d), np.uint32)
    facets = np.array([[i for i in range(f.bit_length()) if f >> i & 1] for f in root.facets], np.uint32)
    if d == 2:
        order = _counterclockwise(vertices, facets)
        vertices, facets = vertices[order], facets[order]
    return reach, half_spaces, vertices, facets


def _counterclockwise(vertices, facets):
    """The order of a polygon's vertices, each on two facets."""
    order, facet = [0], facets[0][1]
    while len(order) < len(facets):
        following = next(i for i, f in enumerate(facets) if facet in f and i != order[-1])
        facet = facets[following].sum() - facet
        order.append(following)
    (ax, ay), (bx, by), (cx, cy) = vertices[order[:3]]
    return order if (bx - ax) * (cy - ay) > (by - ay) * (cx - ax) else order[::-1]


def parts(walk, workers=1, deadline=math.inf, most_cells=math.inf, opens=None, steps=None):
    """Yield the parts of a walk, one at least, until nothing is open, or `deadline` (of `time.monotonic`) has
    come, or `most_cells` were found, or workers were lost, or what is left is beyond all arithmetic; what is
    open then is in the last part's opens.

    With one worker, parts and the cells in them come in the order of the patterns. A walk that was left goes
    on from its `opens`.
    """
    opens = [walk.root] if opens is None else opens
    if workers == 1:
        return _in_order(walk, deadline, most_cells, opens, steps or HERE)
    return _spread(walk, workers, deadline, most_cells, opens, steps)


def _limit(most_cells):
    return int(min(most_cells, 2**62))


def _in_order(walk, deadline, most_cells, opens, steps):
    opens, beyond = deque(opens), []
    while opens:
        prefix = opens.popleft()
        if walk.is_beyond(prefix):
            beyond.append(prefix)
            continue
        prefixes = [prefix]
        while opens and opens[0].arithmetic == prefix.arithmetic != DOUBLES and len(prefixes) < _MOST_TIES:
            prefixes.append(opens.popleft())
        left = max(deadline - time.monotonic(), 0.0)
        part = walk.run(prefixes, left, _limit(most_cells), steps.usual)
        most_cells -= part.n_cells
        opens.extendleft(reversed(part.opens))
        is_last = most_cells <= 0 or time.monotonic() >= deadline
        yield part._replace(opens=[*beyond, *opens] if is_last else [], left=part.opens)
        if is_last:
            return
    if beyond:
        yield walk.left_over(beyond)


def _spread(walk, workers, deadline, most_cells, opens, steps):
    from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait  # so that the import stays light

    pool = ThreadPoolExecutor(workers) if isinstance(workers, int) else workers
    here = isinstance(pool, ThreadPoolExecutor)
    steps = steps or (HERE if here else ELSEWHERE)
    at_once = n_at_once(workers) * (1 if here else 2)
    running, stop, is_first, loss = {}, [], True, ""
    opens, beyond = _sorted_out(walk, opens)
    try:
        carrier = walk if here else carried(pool, walk)
        while opens or running:
            stopping = most_cells <= 0 or time.monotonic() >= deadline and not is_first
            while opens and len(running) < at_once and not stopping:
                # The last are the largest: each worker gets some of all sizes.
                mine = opens[:: -2 * at_once]
                del opens[:: -2 * at_once]
                left = max(deadline - time.monotonic(), 0.0)
                patience = steps.usual if len(opens) >= 8 * at_once else steps.short
                arguments = carrier, mine, left, _limit(most_cells), patience, stop if here else None
                running[pool.submit(Walk.run, *arguments)] = mine
                is_first = False
            if not running:
                break
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                part = future.result()
                del running[future]
                to_do, rest = _sorted_out(walk, part.opens)
                opens += to_do
                beyond += rest
                most_cells -= part.n_cells
                yield part._replace(opens=[], left=part.opens)
    except BaseException as error:
        loss = loss_of(error)
        if loss is None:
            stop.append(True)
            raise
        from .logs import log  # logging is a fifth of what the import of foldline would take

        log.warning(loss)
        opens += [prefix for mine in running.values() for prefix in mine] or [walk.root]
    finally:
        for future in running:
            future.cancel()
        if pool is not workers:
            pool.shutdown(wait=True)
    if opens or beyond:
        yield walk.left_over(opens + beyond, loss)


def _sorted_out(walk, opens):
    """The prefixes that can be walked below, and those that cannot."""
    return [p for p in opens if not walk.is_beyond(p)], [p for p in opens if walk.is_beyond(p)]
