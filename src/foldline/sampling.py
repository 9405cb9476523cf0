"""Counting the patterns that a sample of points shows."""

import numpy as np

from . import evaluation
from ._core import BLOCK, PatternSet
from .executors import check_workers
from .network import Network

__all__ = ["PatternCount", "count_patterns"]

_CHUNK_BYTES = 1 << 20


class PatternCount:
    """What `count_patterns` found.

    Attributes
    ----------
    distinct : int
        Number of different patterns seen: with certain bits, a lower bound on the number of
        activation regions, never a count of them.
    n_points : int
    singletons : int
        Patterns seen exactly once.
    coverage : float
        Good and Turing's estimate ``1 - singletons / n_points`` of the share of volume whose patterns
        were seen (I. J. Good, Biometrika 40, 1953); NaN without points.
    """

    __slots__ = ("distinct", "n_points", "singletons")

    def __init__(self, distinct, n_points, singletons):
        for name, value in (("distinct", distinct), ("n_points", n_points), ("singletons", singletons)):
            object.__setattr__(self, name, value)

    def __setattr__(self, name, value):
        raise AttributeError(f"a PatternCount is frozen; {name!r} cannot be set")

    def __reduce__(self):
        return PatternCount, (self.distinct, self.n_points, self.singletons)

    @property
    def coverage(self):
        return 1 - self.singletons / self.n_points if self.n_points else float("nan")

    def __repr__(self):
        return (
            f"PatternCount(distinct={self.distinct}, n_points={self.n_points}, "
            f"singletons={self.singletons}, coverage={self.coverage:.6g})"
        )


def count_patterns(net, points, *, workers=1, allow_nonfinite=False):
    """Count the distinct activation patterns of points.

    Parameters
    ----------
    net : Network
    points : array_like, shape (n_points, n_in), or an iterable of such blocks
    workers : int or concurrent.futures.Executor
    allow_nonfinite : bool
        Count points that hold NaN or infinity too, instead of refusing them.

    Returns
    -------
    PatternCount
        Exact for up to 128 neurons; beyond that patterns are told apart by 128-bit hashes, where two
        of n collide with probability below ``n**2 / 2**129``.

    Examples
    --------
    >>> import foldline as fl
    >>> net = fl.Network([([[1.0], [-1.0]], None), ([[1.0, 1.0]], None)])
    >>> fl.count_patterns(net, [[-3], [2], [5], [0]])
    PatternCount(distinct=3, n_points=4, singletons=2, coverage=0.5)
    """
    if not isinstance(net, Network):
        raise TypeError(f"net is {type(net).__name__}; wanted a Network")
    workers = check_workers(workers)
    seen = PatternSet()
    n_points = 0
    rows = max(_CHUNK_BYTES // max(-(-net.n_neurons // 8), 1) // BLOCK, 1) * BLOCK
    if workers != 1:
        rows *= 8
    for block in _blocks(points):
        block = evaluation._checked_points(net, block)
        for start in range(0, len(block), rows):
            try:
                part = block[start : start + rows]
                seen.add(evaluation.patterns(net, part, workers=workers, allow_nonfinite=allow_nonfinite))
            except ValueError:
                evaluation._refuse_nonfinite(block)
                raise
        n_points += len(block)
    return PatternCount(seen.distinct, n_points, seen.singletons)


def _blocks(points):
    if isinstance(points, (np.ndarray, list, tuple)) or not hasattr(points, "__iter__"):
        is_blocks = isinstance(points, (list, tuple)) and points and isinstance(points[0], np.ndarray)
        return points if is_blocks and points[0].ndim == 2 else [points]
    return points
