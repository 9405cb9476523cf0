"""Is any function affine? What random points say."""

import math
from dataclasses import dataclass

import numpy as np

from .checks import check_int
from .domains import Domain, Polytope, Space

__all__ = ["AffineTest", "test_affine"]

# Numbers in the x of one call of the function: it and the fit take a tenth of a second, or so, for Ctrl-C.
_BLOCK = 2**18
_SMALLEST = 2.0**-1074


@dataclass(frozen=True, eq=False)
class AffineTest:
    """What `test_affine` saw: a sample, never a proof that the function is affine.

    Attributes
    ----------
    n_triples : int
        Random pairs x, y of the domain that were tried, with their midpoints z.
    n_violations : int
        Those where ``f(x) + f(y) - 2 f(z)`` is beyond what the rounding of the outputs explains.
    rate : float
        n_violations / n_triples.
    interval : tuple of float
        For the probability of a violation, with confidence 95% (Clopper and Pearson, Biometrika 26, 1934).
    r_squared : float
        Of the best affine fit to all values: 1 where it explains them all, NaN where they do not vary.
    largest_gap : float
        The largest ``|f(x) + f(y) - 2 f(z)|``.
    worst : ndarray of float64, shape (2, n_in)
        The x and y of that gap.
    """

    n_triples: int
    n_violations: int
    interval: tuple
    r_squared: float
    largest_gap: float
    worst: np.ndarray

    @property
    def rate(self):
        return self.n_violations / self.n_triples

    def __str__(self):
        low, high = self.interval
        return (
            f"{self.n_violations:,} of {self.n_triples:,} random triples are not on a line. "
            f"With 95% confidence {low:.3%} to {high:.3%} of all such triples are not: "
            "this is a sample, not a proof. "
            f"The best affine fit has R^2 = {self.r_squared:.6g}."
        )


def test_affine(function, domain, n=1000, seed=0):
    """Try whether a function is affine on a domain, on random points.

    Parameters
    ----------
    function : callable
        Takes points, float64 of shape (n_points, n_in); gives (n_points,) or (n_points, n_out). Called with
        some of the points at a time where they are many.
    domain : Box, Ball, Plane or Segment
    n : int, default 1000
        Pairs of points.
    seed : int, default 0

    Returns
    -------
    AffineTest

    Raises
    ------
    ValueError
        The function's values have the wrong shape, or are NaN or infinite. What the function itself
        raises is passed on.

    Notes
    -----
    A triple violates where the gap is more than 64 units in the last place of the largest value, of the
    precision that the values have.

    Examples
    --------
    >>> import foldline as fl
    >>> box = fl.Box(-1, 1, n_in=2)
    >>> tested = fl.test_affine(lambda x: x @ [1.0, 2.0] + 3, box)
    >>> tested.n_violations, round(tested.interval[1], 5), round(tested.r_squared, 12)
    (0, 0.00368, 1.0)
    >>> fl.test_affine(lambda x: abs(x[:, 0]), box).rate
    0.505
    """
    if not callable(function):
        raise TypeError(f"function is {type(function).__name__}; wanted a callable")
    if not isinstance(domain, Domain):
        raise TypeError(f"domain is {type(domain).__name__}; wanted a Box, Ball, Plane or Segment")
    if isinstance(domain, (Polytope, Space)):
        raise ValueError(f"the domain is {domain!r}; wanted a Box, Ball, Plane or Segment")
    n, seed = check_int("n", n, 1), check_int("seed", seed, 0)
    rng, (low, high) = np.random.default_rng(seed), domain._bounds()
    fit, gaps, largest, unit, largest_gap = _Fit(domain.dimension), [], 0.0, 0.0, -1.0
    step = max(_BLOCK // domain.n_in, 1)
    for start in range(0, n, step):
        s, t = rng.random((2, min(step, n - start), domain.dimension))
        x, y = _coarse(np.stack([domain._inputs((1 - p) * low + p * high) for p in (s, t)]))
        values, own_unit = _values(function, np.concatenate([x, y, x / 2 + y / 2]))
        f_x, f_y, f_z = np.split(values, 3)
        gaps.append(abs(f_x / 2 + f_y / 2 - f_z))
        largest, unit = np.maximum(largest, abs(values).max(axis=0)), max(unit, own_unit)
        gap = 2 * float(gaps[-1].max())
        if gap > largest_gap:
            i = int(gaps[-1].max(axis=1).argmax())
            largest_gap, worst = gap, np.stack([x[i], y[i]])
        fit.add(np.concatenate([s, t, (s + t) / 2]) - 0.5, values)
    off = 32 * (unit * largest + _SMALLEST)
    k = sum(int((gap > off).any(axis=1).sum()) for gap in gaps)
    return AffineTest(n, k, _interval(k, n), fit.r_squared(), largest_gap, worst)


test_affine.__test__ = False  # pytest collects by name


def _coarse(points):
    """Points with so few digits that the middle of any two is not rounded."""
    unit = np.ldexp(1.0, np.frexp(abs(points).max(axis=(0, 1)))[1] - 50)
    return np.where(unit > 0, np.round(points / np.where(unit > 0, unit, 1)) * unit, points)


def _values(function, points):
    """(n_points, n_out) float64, and the unit roundoff of what they were."""
    given = np.asarray(function(points))
    if given.dtype.kind not in "iuf":
        raise TypeError(f"the function's values have dtype {given.dtype}; wanted real numbers")
    values = given[:, None] if given.ndim == 1 else given
    if values.ndim != 2 or len(values) != len(points) or not values.shape[1]:
        raise ValueError(
            f"the function's values have shape {given.shape}; "
            f"wanted ({len(points)},) or ({len(points)}, n_out)"
        )
    finite = np.isfinite(values)
    if not finite.all():
        row, column = (int(i) for i in np.argwhere(~finite)[0])
        raise ValueError(
            f"the function's value is {values[row, column]} at {points[row].tolist()}; wanted finite values"
        )
    unit = np.finfo(given.dtype if given.dtype.kind == "f" else np.float64).eps / 2
    return values.astype(np.float64), float(unit)


class _Fit:
    """The best affine fit to values that come in blocks, from the sums of all products of (1, t, f(t)).

    Coordinates t of the points are independent, of one width and about 0: so these normal equations are as
    good as the rows that they sum up.
    """

    def __init__(self, dimension):
        self._dimension, self._scale, self._sums = dimension, 1.0, None

    def add(self, points, values):
        scale = float(abs(values).max())  # so that no square is too large, or 0
        if self._sums is None:
            self._level, self._scale = values[0], scale or 1.0
            self._sums = np.zeros((1 + points.shape[1] + values.shape[1],) * 2)
        if scale > self._scale:
            ratio = np.where(np.arange(len(self._sums)) > self._dimension, self._scale / scale, 1.0)
            self._sums *= ratio * ratio[:, None]
            self._scale = scale
        rows = np.ones((len(points), 1)), points, values / self._scale - self._level / self._scale
        rows = np.hstack(rows)
        self._sums += rows.T @ rows

    def r_squared(self):
        n = self._dimension + 1
        left, right = self._sums[:n, :n], self._sums[:n, n:]
        squares, means = self._sums.diagonal()[n:].sum(), right[0] / left[0, 0]
        total = squares - (right[0] * means).sum()
        rest = squares - (right * np.linalg.lstsq(left, right, rcond=None)[0]).sum()
        return float(1 - max(rest, 0.0) / total) if total > 0 else math.nan


def _interval(k, n, confidence=0.95):
    """The p for which neither k or more of n nor k or fewer are rarer than (1 - confidence) / 2."""
    tail = (1 - confidence) / 2
    low = 0.0 if k == 0 else _bisected(lambda p: _at_most(k - 1, n, p) > 1 - tail)
    high = 1.0 if k == n else _bisected(lambda p: _at_most(k, n, p) > tail)
    return low, high


def _bisected(is_below):
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if is_below(middle) else (low, middle)
    return (low + high) / 2


def _at_most(k, n, p):
    """The probability of at most k successes in n trials; the sum of its terms, from their logarithms."""
    if not 0 < p < 1:
        return float(p <= 0)
    i = np.arange(1, k + 1)
    steps = np.log((n - i + 1) / i) + math.log(p) - math.log1p(-p)
    logarithms = n * math.log1p(-p) + np.concatenate([[0.0], np.cumsum(steps)])
    return float(np.exp(np.minimum(logarithms, 0)).sum())
