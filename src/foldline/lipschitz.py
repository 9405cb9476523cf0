"""The Lipschitz constant of a network on a domain: the largest norm of a region's matrix."""

import math
import sys
import time
from fractions import Fraction

import numpy as np

from . import cells
from .checks import check_norm
from .derivative_bounds import jacobian_bounds
from .domains import check_question
from .evaluation import unpack_patterns
from .exact import exact_outputs
from .exact_cells import ExactWalk
from .exact_forms import map_on, seconds_of_forms
from .frozen import Frozen
from .maps import maps_of
from .pairs import Pair
from .shape import check_full
from .survey import ExactRegion, batches, check_bounded, float_points

__all__ = ["Lipschitz", "Steepest", "lipschitz"]

_EPS = np.finfo(float).eps
# Regions whose norms floats do not tell from the largest are computed exactly, if they are no more.
_MOST_EXACT = 64


class Lipschitz(Frozen):
    """An enclosure of a Lipschitz constant; ``float()`` of it is the upper end, which is always safe.

    Attributes
    ----------
    lower, upper : float
        The least ``L`` with ``|f(x) - f(y)| <= L |x - y|`` on the domain is between these, proved. Where all
        regions were seen they are nearly equal: for norms inf and 1 and for one output but for a rounding.
    norm : str
    status : str
        "complete", or "limit": `upper` is then a bound from the whole domain, `lower` from the regions seen.
    n_regions : int
        Activation regions that were seen.
    steepest : Steepest, or None
        Two points between which the outputs change by `lower` times their distance, at least; None where a
        limit of time left none for them.
    """

    def __init__(self, lower, upper, norm, status, n_regions, steepest):
        found = {"norm": norm, "status": status, "n_regions": n_regions, "steepest": steepest}
        super().__init__(lower=lower, upper=upper, **found)

    def __float__(self):
        return self.upper

    def __repr__(self):
        ends = f"lower={self.lower}, upper={self.upper}"
        return f"Lipschitz({ends}, norm={self.norm!r}, status={self.status!r})"


class Steepest(Pair):
    """A `Pair` of points, and the least that outputs change between them relative to their distance, `ratio`,
    in a norm, `norm`."""

    def __init__(self, net, domain, x, y, norm, ratio):
        super().__init__(net, domain, x, y, norm=norm, ratio=ratio)

    def verify(self):
        """Whether that is so, in exact rationals, and x and y are in the domain."""
        points = self._exact_inputs()
        if None in points or self.x == self.y:
            return False
        before, after = (exact_outputs(self.net, point) for point in points)
        change = _power([b - a for a, b in zip(before, after)], self.norm)
        distance = _power([b - a for a, b in zip(*points)], self.norm)
        ratio = Fraction(self.ratio)
        return change >= distance * (ratio * ratio if self.norm == "2" else ratio)

    def __repr__(self):
        x, y = self.inputs.tolist()
        return f"Steepest(x={x}, y={y}, norm={self.norm!r}, ratio={self.ratio})"


def lipschitz(net, domain, norm="inf", *, max_regions=None, time_limit=None):
    """Bound how fast the outputs change: ``|f(x) - f(y)| <= L |x - y|`` for all x, y in the domain.

    Parameters
    ----------
    net : Network
    domain : Box, Ball or Polytope
    norm : {"inf", "1", "2"} or {numpy.inf, 1, 2}
        Of inputs and outputs both. For one output, "inf" is the sum of the magnitudes of its slopes.
    max_regions : int, optional
        Activation regions to look at, at most.
    time_limit : float, optional
        Seconds.

    Returns
    -------
    Lipschitz
        Proved: the largest operator norm of the regions' matrices, in doubles with their rounding bounded;
        for norms inf and 1, and for one output, the largest ones exactly.

    Raises
    ------
    ValueError
        As `regions`; a slice; another norm.

    Examples
    --------
    >>> import foldline as fl
    >>> net = fl.Network([([[1.0, 2.0], [3.0, -1.0]], None), ([[2.0, -1.0]], None)])
    >>> fl.lipschitz(net, fl.Box(-1, 1, n_in=2))
    Lipschitz(lower=6.0, upper=6.0, norm='inf', status='complete')
    >>> fl.lipschitz(net, fl.Box(-1, 1, n_in=2), norm=1).steepest.verify()
    True
    """
    check_question(net, domain, max_regions=max_regions, time_limit=time_limit)
    norm = check_norm(norm)
    check_bounded(domain, "whose regions have no corners")
    check_full(domain)
    deadline = math.inf if time_limit is None else time.monotonic() + time_limit
    with np.errstate(all="ignore"):
        walk, top, n = ExactWalk(cells.ExactChain(net, domain)), _Top(), 0
        for batch in batches(net, domain, deadline, max_regions):
            n += len(batch.patterns)
            if not len(batch.patterns):
                continue
            maps, errors = maps_of(net, domain, batch.patterns)
            top.add(batch.patterns, *_norms(maps[:, :, :-1], errors[:, :-1], norm))
        upper = top.upper if batch.is_last else min(_bound(net, domain, norm), math.inf)
        if not top.patterns:
            return Lipschitz(0.0, upper, norm, "limit", n, None)
        steepest, exact = _steepest(net, domain, walk, top.patterns, norm, deadline)
    lower = top.lower if steepest is None else max(top.lower, steepest.ratio)
    if batch.is_last:
        if exact is not None:
            lower, upper = _around(exact, norm)
        return Lipschitz(lower, max(upper, lower), norm, "complete", n, steepest)
    return Lipschitz(lower, upper, norm, "limit", n, steepest)


class _Top:
    """The patterns that may have the largest norm, the likeliest first."""

    def __init__(self):
        self.patterns, self.lower, self.upper = [], 0.0, 0.0
        self._uppers = []

    def add(self, patterns, lowers, uppers):
        lowers, uppers = np.nan_to_num(lowers, nan=0.0), np.where(np.isnan(uppers), np.inf, uppers)
        self.lower = max(self.lower, float(lowers.max(initial=0.0)))
        self.upper = max(self.upper, float(uppers.max(initial=0.0)))
        kept = list(zip(self._uppers, self.patterns)) + list(zip(uppers.tolist(), patterns))
        kept = sorted((item for item in kept if item[0] >= self.lower), key=lambda item: -item[0])
        kept = kept[: _MOST_EXACT + 1]
        self._uppers, self.patterns = [u for u, _ in kept], [p for _, p in kept]


def _norms(maps, errors, norm):
    """(lower, upper) of the norm of each matrix (n_out, n_in), whose entries may be off by `errors`."""
    off = 1 + 2 * (maps.shape[1] + maps.shape[2] + 4) * _EPS
    if norm != "2":
        axis = 2 if norm == "inf" else 1
        size = abs(maps)
        most = errors.sum(axis=axis - 1)
        upper = (size.sum(axis=axis) * off + most * off).max(axis=1)
        return np.maximum((size.sum(axis=axis) / off - most * off).max(axis=1), 0.0), upper
    if maps.shape[1] < maps.shape[2]:
        maps, errors = maps.transpose(0, 2, 1), errors.T
    if not np.isfinite(maps).all():
        return np.zeros(len(maps)), np.full(len(maps), np.inf)
    # Where the largest entry is near 1 no square overflows, and what underflows is less than a rounding.
    (errors,), exponent = _near_1(errors[None])
    maps, exponents = _near_1(maps)
    error = _above(np.ldexp(np.sqrt((errors**2).sum()) * off, exponent))
    lower, upper = (np.ldexp(bound, exponents) for bound in _two_norms(maps, off))
    lower = np.nextafter(np.nextafter(lower, 0) - error, 0)
    return np.maximum(lower, 0.0), _above(_above(upper) + error)


def _above(bounds):
    return np.where(bounds > 0, np.nextafter(bounds, np.inf), bounds)


def _near_1(matrices):
    """Matrices / 2^exponents with a largest entry near 1, and the exponents."""
    exponents = np.frexp(abs(matrices).max(axis=(1, 2)))[1]
    return np.ldexp(matrices, -exponents[:, None, None]), exponents


def _two_norms(maps, off):
    """For V nearly orthogonal, |A| <= |A V| / sqrt(1 - a), a = |V' V - 1|, and |A V|^2 <= |(A V)' A V|_inf.
    V from a singular value decomposition makes that sharp (Rump, Verified bounds for singular values, BIT,
    2011).
    """
    v = np.linalg.svd(maps, full_matrices=False)[2].transpose(0, 2, 1)
    gamma = off - 1
    product, size = maps @ v, abs(maps) @ abs(v)
    gram = _inf(product.transpose(0, 2, 1) @ product) + 4 * gamma * _inf(size.transpose(0, 2, 1) @ size)
    v_size = abs(v)
    defect = _inf(v.transpose(0, 2, 1) @ v - np.eye(v.shape[2]))
    defect += gamma * _inf(v_size.transpose(0, 2, 1) @ v_size)
    upper = np.sqrt(gram * off / np.maximum(1 - defect * off, 0.5)) * off
    # A decomposition may fail, of zeros among others.
    upper = np.fmin(upper, np.sqrt((maps**2).sum(axis=(1, 2))) * off)
    best = np.sqrt((product[:, :, 0] ** 2).sum(axis=1))
    slack = gamma * np.sqrt((size[:, :, 0] ** 2).sum(axis=1)) * off
    return (best - slack) / np.sqrt(1 + defect) / off, upper


def _inf(matrices):
    return abs(matrices).sum(axis=2).max(axis=1)


def _bound(net, domain, norm):
    """An upper bound from intervals of the derivatives."""
    size = np.maximum(*map(abs, jacobian_bounds(net, domain)))
    _, upper = _norms(size[None], np.zeros(size.shape), norm)
    return math.inf if math.isnan(upper[0]) else float(upper[0])


def _steepest(net, domain, walk, patterns, norm, deadline):
    """The `Steepest` pair of points of the first of these regions or, of few, of the exactly steepest, None
    where there is no time; and its norm as a `Fraction`, for norm 2 the square; None where that is not exact
    or there were too many.
    """
    few = len(patterns) <= _MOST_EXACT
    each, left = seconds_of_forms(walk.chain), deadline - time.monotonic()
    n_in_time = left / each - 2 if each else math.inf  # the points take another two
    if n_in_time < 1:
        return None, None
    few &= len(patterns) <= n_in_time
    is_exact = norm != "2" or 1 in (net.n_in, net.n_out)
    found = []
    for pattern in patterns if few else patterns[:1]:
        bits = unpack_patterns(pattern[None], net.n_neurons)[0]
        matrix = [row[:-1] for row in map_on(walk.chain, bits.tolist())]
        direction = _direction(matrix, norm)
        image = [sum(a * b for a, b in zip(row, direction)) for row in matrix]
        found.append((_power(image, norm) / _power(direction, norm), pattern, bits, direction))
        if norm == "2" and not is_exact:
            break
    power, pattern, bits, direction = max(found, key=lambda item: item[0])
    region = ExactRegion(walk, domain, bits)
    x = region.point(*float_points(net, domain, [pattern]))
    t = region.step(x, direction)
    y = [a + t * b for a, b in zip(x, direction)]
    return Steepest(net, domain, x, y, norm, _around(power, norm)[0]), power if few and is_exact else None


def _direction(matrix, norm):
    """Where a matrix of `Fraction`s stretches the most; for norm 2 to rounding."""
    n_in = len(matrix[0])
    if norm == "inf":
        row = max(matrix, key=lambda row: sum(map(abs, row)))
        return [Fraction(1 if a >= 0 else -1) for a in row]
    if norm == "1":
        best = max(range(n_in), key=lambda k: sum(abs(row[k]) for row in matrix))
        return [Fraction(int(k == best)) for k in range(n_in)]
    if len(matrix) == 1 or n_in == 1:  # a row is its own direction
        return matrix[0] if any(matrix[0]) else [Fraction(1)] * n_in
    largest = max(abs(a) for row in matrix for a in row) or 1
    scaled = np.array([[float(a / largest) for a in row] for row in matrix])
    return [Fraction(v) for v in np.linalg.svd(scaled, full_matrices=False)[2][0].tolist()]


def _power(vector, norm):
    """A norm of a vector of `Fraction`s; of norm 2 the square."""
    if norm == "inf":
        return max(map(abs, vector))
    return sum(map(abs, vector)) if norm == "1" else sum(value * value for value in vector)


def _around(power, norm):
    """The floats nearest to a norm on either side, from its `_power`; both its own, if it has one."""
    exponent = 2 if norm == "2" else 1
    try:
        below = _root(power) if norm == "2" else float(power)
    except OverflowError:
        below = sys.float_info.max
    while Fraction(below) ** exponent > power:
        below = math.nextafter(below, 0.0)
    while (above := math.nextafter(below, math.inf)) < math.inf and Fraction(above) ** exponent <= power:
        below = above
    return below, below if Fraction(below) ** exponent == power else above


def _root(power):
    """The square root of a `Fraction`, rounded, that of a number near 1 times a power of two."""
    half = (power.numerator.bit_length() - power.denominator.bit_length()) // 2
    return math.ldexp(math.sqrt(power / Fraction(4) ** half), half)
