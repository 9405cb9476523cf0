"""Counters of patterns: fed piece by piece, merged in any order, kept in bounded memory."""

import copy
import itertools

import numpy as np

from . import evaluation
from ._core import BLOCK, PatternSet, PatternSketch
from .checks import check_finite, check_flag, check_limit, check_net, check_points
from .executors import check_workers
from .pattern_count import PatternCount

__all__ = ["PatternCounter"]

_CHUNK_BYTES = 1 << 20
_LEAST_MEMORY = 1 << 20
_MEMORY = 128 << 20
# HyperLogLog with 2**16 registers: 1.04 / 2**8.
_SKETCH_ERROR = 0.0041


class PatternCounter:
    """Counts the distinct activation patterns of points that come in pieces.

    Parameters
    ----------
    net : Network
    sketch : bool
        Estimate instead of counting, in some MB: `PatternCount.distinct` by HyperLogLog with a relative
        standard error of 0.41% (O. Ertl, arXiv:1702.01284, algorithm 6), the others from all patterns whose
        hash ends in enough zeros. A sketch of up to 65,536 patterns is exact.
    memory_limit : int
        Bytes that counted patterns may take, at least 1 MB; beyond that they go to files in `spill_dir`.
    spill_dir : path, optional
        A directory for temporary files (the system's).

    Notes
    -----
    The result depends on the multiset of points only: not on how it was cut, merged or spread over workers.
    Patterns are told apart exactly for up to 128 neurons; beyond, by 128-bit hashes, where two of n collide
    with probability below ``n**2 / 2**129``.

    Examples
    --------
    >>> import foldline as fl
    >>> net = fl.Network([([[1.0], [-1.0]], None), ([[1.0, 1.0]], None)])
    >>> here, there = fl.PatternCounter(net), fl.PatternCounter(net)
    >>> here.update([[-3], [2]]).merge(there.update([[5], [0]])).result()
    PatternCount(distinct=3, n_points=4, singletons=2, coverage=0.5)
    """

    def __init__(self, net, *, sketch=False, memory_limit=_MEMORY, spill_dir=None):
        check_net(net)
        check_flag("sketch", sketch)
        check_limit("memory_limit", memory_limit)
        if memory_limit < _LEAST_MEMORY:
            raise ValueError(f"memory_limit is {memory_limit} bytes; wanted at least {_LEAST_MEMORY:,}")
        self.net, self.n_points = net, 0
        self.sketch, self.memory_limit, self.spill_dir = bool(sketch), memory_limit, spill_dir
        self._of = "points"
        self._seen = _nothing_seen(sketch)
        self._spill = None

    def __repr__(self):
        how = "sketch" if self.sketch else "exact"
        return f"PatternCounter({self.net!r}, {how}, {self.n_points:,} {self._of})"

    def update(self, points, *, workers=1, allow_nonfinite=False):
        """Add points, (n_points, n_in), as `Network.patterns` takes them; returns the counter.

        Points that are refused leave the counter as it was.
        """
        check_flag("allow_nonfinite", allow_nonfinite)
        points = check_points(self.net, points)
        if not allow_nonfinite:
            check_finite(points)
        self._add_points(points, check_workers(workers), True)
        return self

    def _add_points(self, points, workers, allow_nonfinite, report=None):
        """Add checked points; where one is refused, those before it are in."""
        rows = max(_CHUNK_BYTES // max(-(-self.net.n_neurons // 8), 1) // BLOCK, 1) * BLOCK
        rows *= 1 if workers == 1 else 8
        for start in range(0, len(points), rows):
            part = points[start : start + rows]
            try:
                patterns = evaluation.patterns(
                    self.net, part, workers=workers, allow_nonfinite=allow_nonfinite
                )
            except ValueError:
                check_finite(points)  # whose number of the row is that of all points
                raise
            self._add(patterns)
            if report:
                report(self.n_points)

    def _add(self, patterns):
        self._seen.add(patterns)
        self.n_points += len(patterns)
        if not self.sketch and self._seen.n_bytes > self.memory_limit:
            self._spill_all()

    def merge(self, other):
        """Add all that another counter of the same network and kind counted; returns this counter."""
        if not isinstance(other, PatternCounter):
            raise TypeError(f"other is {type(other).__name__}; wanted a PatternCounter")
        if other.net.digest != self.net.digest:
            raise ValueError(f"other counts for network {other.net.digest}, this one for {self.net.digest}")
        if other.sketch != self.sketch:
            raise ValueError("one counter is a sketch, the other exact; wanted two of a kind")
        if self.n_points and other.n_points and other._of != self._of:
            raise ValueError(f"one counter is of {self._of}, the other of {other._of}; wanted two of a kind")
        if other is self:
            other = copy.deepcopy(self)
        if other.n_points:
            self._of = other._of
        self._add_contents(*other._contents())
        self.n_points += other.n_points
        return self

    def _add_counted(self, keys, counts):
        self._seen.add_counted(keys, counts)
        if self._seen.n_bytes > self.memory_limit:
            self._spill_all()

    def _counted(self):
        """All that an exact counter has, in pieces of (keys, counts); a key may be in several."""
        yield _listed(self._seen)[:2]
        if self._spill is not None:
            yield from itertools.chain.from_iterable(self._spill.parts())

    def _spill_all(self):
        if self._spill is None:
            from .spill import Spill  # when used, so that the import stays light

            self._spill = Spill(self.spill_dir)
        self._spill.add(*_listed(self._seen))
        self._seen = PatternSet()

    def result(self):
        """The `PatternCount` of all points so far."""
        if self.sketch:
            return self._estimated()
        if self._spill is None:
            return self._result(self._seen.distinct, *self._seen.frequencies)
        self._spill_all()
        total = np.zeros(4, object)
        for part in self._spill.parts():
            seen = PatternSet()
            for keys, counts in part:
                seen.add_counted(keys, counts)
            total += np.array([seen.distinct, *seen.frequencies], object)
        return self._result(*total.tolist())

    def _estimated(self):
        sample, scale = self._seen.sample, 1 << self._seen.level
        frequencies = [n * scale for n in sample.frequencies]
        if scale == 1:
            return self._result(sample.distinct, *frequencies)
        return self._result(_cardinality(self._seen.registers), *frequencies, error=_SKETCH_ERROR)

    def _result(self, distinct, singletons, doubletons, pairs, error=0.0):
        return PatternCount(distinct, self.n_points, singletons, doubletons, pairs, error, self._of)

    def _empty(self):
        """A counter like this one, of nothing."""
        how = {"sketch": self.sketch, "memory_limit": self.memory_limit, "spill_dir": self.spill_dir}
        counter = PatternCounter(self.net, **how)
        counter._of = self._of
        return counter

    def _contents(self):
        """Registers, level, and pieces of (keys, counts): all that was counted but `n_points`."""
        if self.sketch:
            return self._seen.registers, self._seen.level, [_listed(self._seen.sample)[:2]]
        return b"", 0, list(self._counted())

    def _add_contents(self, registers, level, pieces):
        """Add what `_contents` of a counter of this kind returned, but its `n_points`."""
        for keys, counts in pieces:
            if self.sketch:
                self._seen.merge(np.frombuffer(registers, np.uint8), level, keys, counts)
            else:
                self._add_counted(keys, counts)

    def __getstate__(self):
        kept = ("net", "n_points", "sketch", "memory_limit", "spill_dir", "_of")
        return {name: getattr(self, name) for name in kept}, self._contents()

    def __setstate__(self, state):
        attributes, contents = state
        vars(self).update(attributes, _seen=_nothing_seen(attributes["sketch"]), _spill=None)
        self._add_contents(*contents)


def _nothing_seen(sketch):
    return PatternSketch() if sketch else PatternSet()


def _listed(seen):
    """The keys, counts and parts of a `PatternSet`."""
    keys, counts = np.empty((seen.distinct, 2), np.uint64), np.empty(seen.distinct, np.uint64)
    parts = np.empty(seen.distinct, np.uint8)
    seen.list(keys, counts, parts)
    return keys, counts, parts


def _cardinality(registers):
    """Ertl's improved estimate from HyperLogLog registers of hashes of 64 bits."""
    n_registers = len(registers)
    zeros = 64 - (n_registers.bit_length() - 1)  # bits of a hash behind the register's number
    counts = np.bincount(np.frombuffer(registers, np.uint8), minlength=zeros + 2).tolist()
    z = n_registers * _tau(1 - counts[zeros + 1] / n_registers)
    for k in range(zeros, 0, -1):
        z = 0.5 * (z + counts[k])
    z += n_registers * _sigma(counts[0] / n_registers)
    return round(n_registers**2 / (2 * np.log(2)) / z)


def _sigma(x):
    if x == 1:
        return float("inf")
    y, z = 1.0, x
    while True:
        x *= x
        before = z
        z += x * y
        y += y
        if z == before:
            return z


def _tau(x):
    if x in (0, 1):
        return 0.0
    y, z = 1.0, 1 - x
    while True:
        x = x**0.5
        before = z
        y *= 0.5
        z -= (1 - x) ** 2 * y
        if z == before:
            return z / 3
