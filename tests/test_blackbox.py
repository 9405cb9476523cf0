"""Trying whether a function is affine: what a sample says, and its confidence."""

import math
from fractions import Fraction

import networks
import numpy as np
import pytest

import foldline as fl
from foldline.blackbox import _interval

SQUARE = fl.Box(-1, 1, n_in=2)


def tail(k, n, p):
    """The exact probability of at most k successes."""
    p = Fraction(p)
    return sum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k + 1))


@pytest.mark.parametrize(("k", "n"), [(0, 1), (1, 1), (0, 30), (1, 30), (15, 30), (29, 30), (30, 30)])
def test_the_interval_is_that_of_clopper_and_pearson(k, n):
    low, high = _interval(k, n)
    assert low <= k / n <= high
    if k == 0:
        assert low == 0
        assert math.isclose(high, 1 - 0.025 ** (1 / n))
    else:
        assert math.isclose(1 - tail(k - 1, n, low), 0.025, rel_tol=1e-9)
    if k == n:
        assert high == 1
    else:
        assert math.isclose(tail(k, n, high), 0.025, rel_tol=1e-9)


def test_large_samples_have_intervals_near_the_normal_ones():
    low, high = _interval(25_000, 100_000)
    width = 1.96 * math.sqrt(0.25 * 0.75 / 1e5)
    assert math.isclose(high - low, 2 * width, rel_tol=0.01)
    assert low < 0.25 < high


def test_an_affine_function_has_no_violations_and_all_of_the_variance():
    tested = fl.test_affine(lambda x: x @ [[1e6, 1e-6], [3, 2]] + 1e9, SQUARE)
    assert (tested.n_triples, tested.n_violations, tested.rate) == (1000, 0, 0)
    assert tested.interval[0] == 0 and 0.003 < tested.interval[1] < 0.004
    assert math.isclose(tested.r_squared, 1)


def test_a_network_is_tried_like_any_function():
    net = fl.Network(*networks.THREE_RIDGES)
    tested = fl.test_affine(net, SQUARE, n=500, seed=3)
    assert 0.2 < tested.interval[0] < tested.rate < tested.interval[1] < 1
    assert 0 < tested.r_squared < 1
    x, y = tested.worst
    gap = net([x]) + net([y]) - 2 * net([(x + y) / 2])
    assert tested.largest_gap == abs(gap).max() > 0
    single = fl.test_affine(lambda x: net(x).astype(np.float32), SQUARE, n=500, seed=3)
    assert single.n_violations == tested.n_violations


def test_the_result_says_that_it_is_a_sample():
    text = str(fl.test_affine(lambda x: x[:, 0], SQUARE))
    assert "sample, not a proof" in text and "95%" in text and "R^2" in text


def test_the_same_seed_gives_the_same_answer():
    function = fl.Network(*networks.THREE_RIDGES)
    first, again, other = (fl.test_affine(function, SQUARE, seed=s).largest_gap for s in (1, 1, 2))
    assert first == again != other


def test_many_points_come_in_blocks_with_one_answer(monkeypatch):
    net, sizes = fl.Network(*networks.THREE_RIDGES), []

    def function(x):
        sizes.append(len(x))
        return net(x) * (1e200 if len(sizes) > 2 else 1)

    monkeypatch.setattr("foldline.blackbox._BLOCK", 2 * 10)
    tested = fl.test_affine(function, SQUARE, n=25, seed=3)
    assert sizes == [30, 30, 15]
    rng, points = np.random.default_rng(3), []
    for n in (10, 10, 5):
        x, y = rng.uniform(-1, 1, (n, 2)), rng.uniform(-1, 1, (n, 2))
        points.append(np.stack([x, y, (x + y) / 2]))
    factors = (1, 1, 1e200)
    values = [net(p.reshape(-1, 2)).reshape(3, -1) * factor for p, factor in zip(points, factors)]
    gaps = np.hstack([abs(v[0] + v[1] - 2 * v[2]) for v in values])
    largest = max(v.max() for v in values)
    assert tested.n_violations == (gaps > 2**-47 * largest).sum()
    assert tested.largest_gap == gaps.max()
    design = np.column_stack([np.vstack([p.reshape(-1, 2) for p in points]), np.ones(75)])
    wanted = np.hstack([v.ravel() for v in values]) / largest
    rest = wanted - design @ np.linalg.lstsq(design, wanted, rcond=None)[0]
    r_squared = 1 - rest @ rest / ((wanted - wanted.mean()) ** 2).sum()
    assert math.isclose(tested.r_squared, r_squared, rel_tol=1e-9)


def test_a_fit_in_a_slice_has_fewer_directions_than_inputs():
    def function(x):
        return np.sin(9e3 * x[:, 0])

    many = fl.Plane(np.ones(40), np.arange(40.0) - 20, np.arange(40.0) % 3)
    few = fl.Plane([1, 1], [-20, -19], [0, 1])
    assert math.isclose(
        fl.test_affine(function, many, n=20).r_squared, fl.test_affine(function, few, n=20).r_squared
    )


@pytest.mark.parametrize(
    ("domain", "inside"),
    [
        (fl.Ball([3, 4], 0.5), lambda x: abs(x - [3, 4]).max() <= 0.5),
        (fl.Segment([0, 0], [1, 2]), lambda x: np.allclose(x[:, 1], 2 * x[:, 0])),
        (fl.Plane([1, 1], [1, 0], [0, 1]), lambda x: abs(x - 1).max() <= 1),
    ],
    ids=repr,
)
def test_points_are_those_of_the_domain(domain, inside):
    seen = []
    fl.test_affine(lambda x: seen.append(x) or x[:, 0], domain, n=50)
    assert seen[0].shape == (150, 2)
    assert inside(seen[0])


def test_a_constant_has_no_variance_to_explain():
    tested = fl.test_affine(lambda x: np.zeros(len(x)), SQUARE)
    assert tested.n_violations == 0 and math.isnan(tested.r_squared)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"function": 1}, TypeError, "function is int"),
        ({"domain": 1}, TypeError, "domain is int"),
        ({"domain": fl.Space(2)}, ValueError, "Space"),
        ({"n": 0}, ValueError, "n is 0"),
        ({"n": 1.5}, TypeError, "n is 1.5"),
        ({"seed": -1}, ValueError, "seed is -1"),
        ({"function": lambda x: np.full(len(x), math.nan)}, ValueError, "value is nan at"),
        ({"function": lambda x: 1 / np.zeros((len(x), 2))}, ValueError, "value is inf at"),
        ({"function": lambda x: x[:5]}, ValueError, "shape (5, 2)"),
        ({"function": lambda x: 3.0}, ValueError, "shape ()"),
        ({"function": lambda x: None}, TypeError, "dtype object"),
        ({"function": lambda x: x[:, 7]}, IndexError, "index 7"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_bad_input_is_one_clear_error(arguments, error, words):
    with pytest.raises(error) as refused:
        fl.test_affine(**{"function": lambda x: x[:, 0], "domain": SQUARE, **arguments})
    assert words in str(refused.value)


def test_what_is_affine_and_rounds_nothing_has_no_violations():
    far, huge = fl.Box(1000, 1000.000001, n_in=1), fl.Box(-1e308, 1e308, n_in=2)
    assert fl.test_affine(lambda x: x - 1000, far).n_violations == 0
    assert fl.test_affine(lambda x: x * 1e-320, fl.Box(-1, 1, n_in=1)).n_violations == 0
    assert fl.test_affine(lambda x: x[:, 0] / 4, huge).n_violations == 0
    assert fl.test_affine(lambda x: abs(x[:, 0] / 4), huge).n_violations > 300
    assert fl.test_affine(lambda x: 1.5e308 * np.sign(x), fl.Box(-1, 1, n_in=1)).n_violations > 300
