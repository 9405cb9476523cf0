"""Samples of a domain that are made piece by piece, the same whoever makes which piece."""

import numpy as np

from . import cells
from .checks import check_int
from .domains import Domain
from .formats import optional
from .knots import knots

__all__ = ["lines", "sobol", "uniform"]

_POINTS, _LINES = 1 << 16, 1 << 8  # of a block
_MOST_OF_SOBOL = 1 << 30
_LEAST_SHARE = 1e-4  # of the bounding box that is worth trying


def uniform(domain, n, seed=0):
    """Independent uniform points.

    Parameters
    ----------
    domain : Box, Ball, Polytope, Plane or Segment
        Slices are sampled in their own coordinates. Points of a polytope are those of its bounding box that
        lie in it.
    n : int
        How many.
    seed : int

    Returns
    -------
    Sample
        For `count_patterns`; a loop goes over its blocks, arrays of float64, (n_points, n_in).

    Raises
    ------
    ValueError
        All of Space; a polytope that takes less than 1/10,000 of its bounding box.

    Examples
    --------
    >>> import foldline as fl
    >>> net = fl.Network([([[1.0, 0.0], [0.0, 1.0]], None), ([[1.0, 1.0]], None)])
    >>> fl.count_patterns(net, fl.sample.uniform(fl.Box(-1, 1, n_in=2), 10_000)).distinct
    4
    """
    return _Uniform(domain, n, seed)


def sobol(domain, n, seed=0):
    """Points of a scrambled Sobol sequence, which leave smaller gaps than independent ones.

    As they are not independent, a `PatternCount` of them has no bound with confidence.

    Parameters
    ----------
    domain : Box, Ball, Plane or Segment
    n, seed : int
        As for `uniform`.

    Returns
    -------
    Sample

    Raises
    ------
    ImportError
        Without SciPy (``pip install scipy``), which makes the sequence.
    """
    return _Sobol(domain, n, seed)


def lines(domain, n, seed=0):
    """Random lines, in a uniform direction through a uniform point, cut off where the domain ends.

    Every region that a line crosses is found, by the exact sweep of `knots`, however short it stays inside:
    `PatternCount` is of pieces, each region once a line that crosses it.

    Parameters
    ----------
    domain : Box, Ball, Polytope, Plane or Segment
    n, seed : int
        As for `uniform`; `n` is the number of lines.

    Returns
    -------
    Sample
        A loop goes over blocks (starts, stops) of the lines' ends.
    """
    return _Lines(domain, n, seed)


class Sample:
    """A sample: equal arguments make equal blocks, in any order, on any machine.

    Attributes
    ----------
    domain, n, seed
        As they were given.
    n_blocks : int
    """

    of, _size = "points", _POINTS

    def __init__(self, domain, n, seed):
        if not isinstance(domain, Domain):
            kind = type(domain).__name__
            raise TypeError(f"domain is {kind}; wanted a Box, Ball, Polytope, Plane or Segment")
        self.domain, self.n, self.seed = domain, check_int("n", _whole(n), 0), check_int("seed", seed, 0)
        self._low, self._high = _bounding_box(domain)
        self._rows = domain._half_spaces()

    def __repr__(self):
        kind = type(self).__name__.strip("_").lower()
        return f"sample.{kind}({self.domain!r}, {self.n}, seed={self.seed})"

    def __len__(self):
        return self.n

    def __iter__(self):
        return map(self.block, range(self.n_blocks))

    @property
    def n_blocks(self):
        return -(-self.n // self._size)

    def _n_of(self, i):
        return min(self._size, self.n - i * self._size)

    def _generator(self, i):
        return np.random.Generator(np.random.SFC64([self.seed, i]))

    def _uniform(self, rng, n):
        """n uniform points in the domain's own coordinates."""
        a, b = self._rows
        found, n_found, n_tried = [], 0, 0
        while n_found < n:
            columns = rng.random((len(self._low), n))  # long rows, which NumPy is quick at
            columns *= (self._high - self._low)[:, None]
            columns += self._low[:, None]
            u = columns.T
            u = u[(u @ a.T <= b).all(axis=1)] if len(a) else u
            found.append(u)
            n_found += len(u)
            n_tried += n
            if n_tried >= 1 / _LEAST_SHARE and n_found < _LEAST_SHARE * n_tried:
                raise ValueError(
                    f"of {n_tried:,} points of its bounding box, {n_found} lie in the polytope; wanted at "
                    f"least 1 of {1 / _LEAST_SHARE:,.0f} (a box inside could be sampled)"
                )
        return found[0][:n] if len(found) == 1 else np.concatenate(found)[:n]

    def patterns(self, net, i, workers=1):
        """The packed patterns that block i shows."""
        return net.patterns(self.block(i).astype(net.dtype), workers=workers)


class _Uniform(Sample):
    def block(self, i):
        return self.domain._inputs(self._uniform(self._generator(i), self._n_of(i)))


class _Sobol(Sample):
    of = "Sobol points"

    def __init__(self, domain, n, seed):
        super().__init__(domain, n, seed)
        if len(self._rows[0]):
            raise ValueError("a Sobol sequence fills boxes, not polytopes; wanted uniform, or another domain")
        if self.n > _MOST_OF_SOBOL:
            raise ValueError(f"n is {self.n}; wanted at most {_MOST_OF_SOBOL:,}, where the sequence ends")
        self._engine = None

    def __reduce__(self):
        return _Sobol, (self.domain, self.n, self.seed)

    def block(self, i):
        qmc = optional("scipy.stats.qmc")
        start = i * self._size
        engine, self._engine = self._engine, None  # another thread makes its own
        if engine is None or engine.num_generated > start:
            engine = qmc.Sobol(len(self._low), scramble=True, rng=self.seed)
        if start > engine.num_generated:
            engine.fast_forward(start - engine.num_generated)
        u = engine.random(self._size)[: self._n_of(i)]
        self._engine = engine
        return self.domain._inputs(self._low + (self._high - self._low) * u)


class _Lines(Sample):
    of, _size = "pieces", _LINES

    def block(self, i):
        rng = self._generator(i)
        middle = self._uniform(rng, self._n_of(i))
        direction = rng.standard_normal(middle.shape)
        d = middle.shape[1]
        a = np.concatenate([np.eye(d), -np.eye(d), self._rows[0]])
        b = np.concatenate([self._high, -self._low, self._rows[1]])
        speed, room = direction @ a.T, np.maximum(b - middle @ a.T, 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            t = room / speed
        after = np.where(speed > 0, t, np.inf).min(axis=1, keepdims=True)
        before = np.where(speed < 0, t, -np.inf).max(axis=1, keepdims=True)
        return tuple(self.domain._inputs(middle + t * direction) for t in (before, after))

    def patterns(self, net, i, workers=1):
        starts, stops = self.block(i)
        found = knots(net, starts, stops, workers=workers)
        is_first = np.ones(len(found), bool)
        is_first[found._tied] = False
        # Line k has the pieces from its first number on; each crossing begins the next.
        n_pieces = 1 + np.bincount(found.segment[is_first], minlength=len(starts))
        first = np.cumsum(n_pieces) - n_pieces
        piece = np.cumsum(is_first) + found.segment
        flips = np.zeros((n_pieces.sum(), net.n_neurons), bool)
        flips[piece, found.neuron] = True
        flipped = np.logical_xor.accumulate(flips, axis=0)
        begin = np.zeros(len(flips))
        begin[piece] = found.t
        end = np.append(begin[1:], 1.0)
        end[first[1:] - 1] = 1
        lengths = end - begin
        longest = [k + lengths[k : k + n].argmax() for k, n in zip(first.tolist(), n_pieces.tolist())]
        t = (begin[longest] + lengths[longest] / 2)[:, None]
        inside = net._in_float64.patterns(starts + t * (stops - starts), exact=True)
        known = np.unpackbits(inside, axis=1, count=net.n_neurons, bitorder="little").view(bool)
        line = np.repeat(np.arange(len(starts)), n_pieces)
        return np.packbits(flipped ^ (known ^ flipped[longest])[line], axis=1, bitorder="little")


def _bounding_box(domain):
    bounds = domain._bounds()
    if bounds is not None:
        return bounds
    if not len(domain._half_spaces()[0]):
        raise ValueError("the domain is all of space, which has no uniform points; wanted a bounded one")
    root, _ = cells.root_cell(domain)
    vertices = np.array([[u / v[-1] for u in v[:-1]] for v in root.vertices])
    return vertices.min(axis=0), vertices.max(axis=0)


def _whole(n):
    """1e9 as an int; other things as they are."""
    return int(n) if isinstance(n, (float, np.floating)) and n.is_integer() else n
