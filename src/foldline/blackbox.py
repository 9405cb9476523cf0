"""Is any function affine? What random points say."""

import math
from dataclasses import dataclass

import numpy as np

from .checks import check_int
from .domains import Domain, Polytope, Space

__all__ = ["AffineTest", "test_affine"]


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
        Takes points, float64 of shape (n_points, n_in); gives (n_points,) or (n_points, n_out).
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
    rng = np.random.default_rng(seed)
    x, y = (domain._inputs(rng.uniform(*domain._bounds(), (n, domain.dimension))) for _ in range(2))
    points = np.concatenate([x, y, (x + y) / 2])
    values, unit = _values(function, points)
    f_x, f_y, f_z = np.split(values, 3)
    gaps = abs(f_x + f_y - 2 * f_z)
    violates = (gaps > 64 * unit * abs(values).max(axis=0)).any(axis=1)
    worst = int(gaps.max(axis=1).argmax())
    k = int(violates.sum())
    return AffineTest(
        n, k, _interval(k, n), _r_squared(points, values), float(gaps.max()), np.stack([x[worst], y[worst]])
    )


test_affine.__test__ = False  # pytest collects by name


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


def _r_squared(points, values):
    values = values / (abs(values).max() or 1.0)  # so that no square is too large, or 0
    design = np.column_stack([points - points.mean(axis=0), np.ones(len(points))])
    fitted = design @ np.linalg.lstsq(design, values, rcond=None)[0]
    total = ((values - values.mean(axis=0)) ** 2).sum()
    return float(1 - ((values - fitted) ** 2).sum() / total) if total else math.nan


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
