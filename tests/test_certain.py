"""A bit that is marked certain is right, and `exact=True` makes every bit certain."""

import networks
import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import random_network, random_points

import foldline as fl

PROPERTY = settings(max_examples=25, deadline=None)

SHAPES = [(2, 7, 1), (3, 16, 9, 2), (1, 33, 1), (17, 20, 1), (5, 9, 8, 7, 3), (2, 8, 8, 8, 8, 8, 8, 1)]
every_shape = pytest.mark.parametrize("widths", SHAPES, ids=lambda w: "-".join(map(str, w)))


def assert_certain_is_right(network, points):
    """Returns the mask, so that a caller can ask that it is not empty."""
    net = fl.Network(*network)
    patterns, certain = net.patterns(points, return_certain=True)
    assert patterns.dtype == np.uint8
    assert certain.dtype == bool
    assert certain.shape == (len(points),)
    right = (patterns == reference.patterns(*network, points)).all(axis=1)
    wrong = np.flatnonzero(certain & ~right)
    assert not len(wrong), f"{len(wrong)} rows are certain and wrong; the first is {points[wrong[0]]!r}"
    return certain


def assert_exact_is_right(network, points):
    net = fl.Network(*network)
    wanted = reference.patterns(*network, points)
    patterns = net.patterns(points, exact=True)
    assert patterns.dtype == np.uint8
    assert patterns.shape == wanted.shape
    wrong = np.flatnonzero((patterns != wanted).any(axis=1))
    assert not len(wrong), f"{len(wrong)} of {len(points)} rows are wrong; the first is {points[wrong[0]]!r}"


def on_folds(network, n_points, seed=0):
    """Points of the input space that the arithmetic of their dtype puts on a fold of some neuron.

    Adjacent floats between which the product flips a bit: bisect segments whose ends differ in a
    bit until no float is left between the ends, componentwise.
    """
    layers, _ = network
    dtype, n_in = layers[0][0].dtype.type, layers[0][0].shape[1]
    net = fl.Network(*network)
    a, b = random_points(seed, 2 * n_points, n_in, dtype, 2.0).reshape(2, n_points, n_in)
    start = fl.unpack_patterns(net.patterns(a), net.n_neurons)
    differs = start != fl.unpack_patterns(net.patterns(b), net.n_neurons)
    # A neuron of its own for each pair: the k-th that differs, so that deep ones take part.
    pick = [np.flatnonzero(row)[k % row.sum()] if row.any() else -1 for k, row in enumerate(differs)]
    keep = np.array(pick) >= 0
    a, b, pick, start = a[keep], b[keep], np.array(pick)[keep], start[keep]
    rows = np.arange(len(pick))
    for _ in range(3000):
        middle = a / 2 + b / 2
        if ((middle == a) | (middle == b)).all():
            break
        bits = fl.unpack_patterns(net.patterns(middle), net.n_neurons)
        same = bits[rows, pick] == start[rows, pick]
        a[same], b[~same] = middle[same], middle[~same]
    else:
        raise AssertionError("bisection does not end")
    flips = [fl.unpack_patterns(net.patterns(end), net.n_neurons)[rows, pick] for end in (a, b)]
    assert (flips[0] != flips[1]).all()
    return a, b


def around_folds(network, n_points, seed=0):
    """`on_folds` and the floats next to them in every coordinate, up to 4 steps away."""
    ends = np.concatenate(on_folds(network, n_points, seed))
    near, points = [ends, ends], [ends]
    for _ in range(4):
        near = [np.nextafter(near[0], -np.inf), np.nextafter(near[1], np.inf)]
        points += near
    return np.concatenate(points)


# Certain ------------------------------------------------------------------------------------------


@every_shape
def test_certain_rows_are_right_and_most_rows_are_certain(widths, dtype):
    network = random_network(20, widths, dtype)
    certain = assert_certain_is_right(network, random_points(21, 300, widths[0], dtype))
    assert certain.mean() >= (1 if dtype is np.float64 else 0.9)


def test_certainty_is_not_vacuous_in_wide_and_deep_networks():
    widths = (2, 128, 128, 128, 128, 1)
    points = random_points(23, 2000, 2)
    for dtype, at_least in ((np.float64, 0.999), (np.float32, 0.5)):
        net = fl.Network(*random_network(22, widths, dtype, slopes=0))
        assert net.patterns(points.astype(dtype), return_certain=True)[1].mean() > at_least


@every_shape
def test_certain_rows_next_to_a_fold_are_right(widths, dtype):
    network = random_network(24, widths, dtype)
    points = around_folds(network, 60)
    assert len(points) > 200
    right = (fl.Network(*network).patterns(points) == reference.patterns(*network, points)).all(axis=1)
    if len(widths) > 4:
        assert not right.all(), "these points are too easy to tell anything"
    certain = assert_certain_is_right(network, points)
    assert not certain.all()


@pytest.mark.parametrize("name", networks.difficult(np.float64))
def test_certain_rows_of_difficult_networks_are_right(name, dtype):
    network, scale = networks.difficult(dtype)[name]
    n_in = network[0][0][0].shape[1]
    assert_certain_is_right(network, random_points(25, 130, n_in, dtype, scale))
    if name in ("dead and doubled units", "absolute values", "steep slopes", "cancelling rows"):
        assert_certain_is_right(network, around_folds(network, 30))


def test_scaling_by_a_power_of_two_does_not_make_signs_uncertain(dtype):
    layers, slopes = random_network(26, (3, 9, 9, 1), dtype)
    points = random_points(27, 300, 3, dtype)
    wanted = fl.Network(layers, slopes).patterns(points, return_certain=True)
    assert wanted[1].mean() > 0.9
    for k in (-60, 60):
        (w, b), *rest = layers
        scaled = [(np.ldexp(w, k), np.ldexp(b, k)), *((w, np.ldexp(b, k)) for w, b in rest)]
        got = fl.Network(scaled, slopes).patterns(points, return_certain=True)
        assert (got[0] == wanted[0]).all()
        assert (got[1] == wanted[1]).all()


def test_certain_rows_are_right_where_sums_overflow(dtype):
    network = networks.overflowing(dtype)
    points = random_points(28, 200, 3, dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        assert not np.isfinite(fl.Network(*network)(points)).all(), "nothing overflows here"
    assert_certain_is_right(network, points)


def test_a_sum_that_overflows_on_its_way_is_not_certain(dtype):
    # The terms add up to the negative of the largest float; two of them add up to infinity.
    network = networks.chain(([[1, 1, -1, -1, -1], [1, 0, 0, 0, 0]], None), ([[1, 1]], None), dtype=dtype)
    points = np.full((1, 5), np.finfo(dtype).max)
    assert not assert_certain_is_right(network, points).any()
    assert_exact_is_right(network, points)


@pytest.mark.parametrize("slope", [0, -1, 0.01, -(2.0**20)])
def test_the_errors_of_earlier_layers_are_carried_along(slope, dtype):
    # Two units add up the same terms in opposite order. Their sum is certain to be positive (or
    # negative) but small beside its terms, so the difference of the two is all rounding.
    eps, n = np.finfo(dtype).eps, 6
    row = random_points(41, 1, n)[0].astype(dtype)
    terms = random_points(42, 300, n)
    terms[:, 0] = 1
    terms[:, -1] = -(terms[:, :-1] @ row[:-1]) / row[-1]
    terms[:, 0] += 2**11 * eps * np.sign(row[0]) * (1 if slope == 0 else -1)
    points = np.concatenate([terms, terms[:, ::-1]], axis=1).astype(dtype)
    first = np.block([[row, 0 * row], [0 * row, row[::-1]]])
    layers, slopes = networks.chain(
        (first, None), ([[1, -1], [-1, 1]], None), ([[1, 1]], None), slopes=[slope, 0], dtype=dtype
    )
    assert fl.Network(layers[:2], slopes[:1]).patterns(points, return_certain=True)[1].mean() > 0.9
    assert fl.Network(layers, slopes).patterns(points).max() > 3, "no rounding, so nothing is told"
    assert_certain_is_right((layers, slopes), points)


@pytest.mark.parametrize("known", networks.KNOWN, ids=lambda k: k.name)
def test_certain_rows_on_and_off_the_folds_of_known_networks_are_right(known, dtype):
    network = networks.in_dtype(known.network, dtype)
    assert_certain_is_right(network, known.grid(dtype)[:400])
    assert_certain_is_right(network, known.points(200, dtype))


@PROPERTY
@given(
    seed=st.integers(0, 2**32 - 1),
    widths=st.lists(st.integers(1, 12), min_size=3, max_size=7),
    dtype=st.sampled_from(networks.DTYPES),
    build=st.sampled_from([random_network, networks.with_dead_and_doubled_units, networks.cancelling]),
    exponent=st.integers(-20, 20),
)
def test_certain_rows_of_any_network_are_right(seed, widths, dtype, build, exponent):
    network = build(seed, widths, dtype)
    points = random_points(seed, 20, widths[0], dtype, 2.0**exponent)
    assert_certain_is_right(network, points)
    assert_certain_is_right(network, np.round(points))


@pytest.mark.parametrize("slopes", [0, -1, 0.01, "mixed", "all weights zero"])
def test_a_sum_that_is_exactly_zero_is_certainly_inactive(slopes, dtype):
    if slopes == "all weights zero":
        network = networks.in_dtype(networks.ALL_ZERO, dtype)
    else:
        network = random_network(29, (3, 9, 17, 2), dtype, slopes, bias=0)
    patterns, certain = fl.Network(*network).patterns(np.zeros((3, 3), dtype), return_certain=True)
    assert certain.all()
    assert not patterns.any()


def test_dead_units_do_not_make_rows_uncertain(dtype):
    layers, slopes = random_network(30, (3, 9, 9, 2), dtype)
    for w, b in layers[:2]:
        w[::3], b[::3] = 0, 0
    certain = assert_certain_is_right((layers, slopes), random_points(31, 200, 3, dtype))
    assert certain.mean() > 0.9


def test_a_cancellation_that_rounding_hides_is_not_certain(dtype):
    # 1 + u/2 - 1: every float says 0, the truth is positive.
    half_ulp = np.finfo(dtype).eps / 4
    network = networks.chain(([[1, 1, 1]], None), ([[1]], None), dtype=dtype)
    points = np.array([[1, half_ulp, -1], [1, -half_ulp, -1], [half_ulp, 1, -1], [-1, half_ulp, 1]], dtype)
    assert not assert_certain_is_right(network, points)[:2].any()
    assert_exact_is_right(network, points)


def test_certainty_asks_for_every_bit_also_in_the_first_layer(dtype):
    # The first neuron is hopeless, those behind it do not depend on it.
    layers, slopes = networks.chain(
        ([[1, 1, 1], [1, 0, 0]], None), ([[0, 1]], None), ([[1]], None), dtype=dtype
    )
    tiny = np.finfo(dtype).eps / 4
    points = np.array([[1, tiny, -1], [-1, tiny, 1], [1, 1, 1]], dtype)
    certain = assert_certain_is_right((layers, slopes), points)
    assert certain.tolist() == [False, False, True]


def test_certain_does_not_depend_on_the_pattern_being_kept(dtype):
    network = random_network(32, (3, 16, 9, 2), dtype)
    points = np.concatenate([random_points(33, 65, 3, dtype), around_folds(network, 20)])
    net = fl.Network(*network)
    patterns, certain = net.patterns(points, return_certain=True)
    assert (patterns == net.patterns(points)).all()
    for workers in (1, 2):
        parts = np.array_split(points, 7)
        split = [net.patterns(part, return_certain=True, workers=workers)[1] for part in parts]
        assert (np.concatenate(split) == certain).all()


# Exact --------------------------------------------------------------------------------------------


@every_shape
def test_exact_patterns_are_right_next_to_folds(widths, dtype):
    network = random_network(34, widths, dtype)
    assert_exact_is_right(network, around_folds(network, 15))


@pytest.mark.parametrize("known", networks.KNOWN, ids=lambda k: k.name)
def test_exact_patterns_are_right_on_the_folds_of_known_networks(known, dtype):
    network = networks.in_dtype(known.network, dtype)
    points = known.grid(dtype)[:300]
    assert_exact_is_right(network, points)
    assert_exact_is_right(network, np.nextafter(points, dtype(7)))


@pytest.mark.parametrize("name", networks.difficult(np.float64))
def test_exact_patterns_of_difficult_networks_are_right(name, dtype):
    network, scale = networks.difficult(dtype)[name]
    points = random_points(35, 40, network[0][0][0].shape[1], dtype, scale)
    assert_exact_is_right(network, points)
    assert_exact_is_right(network, np.round(points))


def test_exact_patterns_are_right_where_sums_overflow(dtype):
    assert_exact_is_right(networks.overflowing(dtype), random_points(36, 60, 3, dtype))


def test_exact_patterns_are_right_where_sums_underflow(dtype):
    least = float(np.finfo(dtype).smallest_subnormal)
    first = [[0.5, 0.25], [0.25, -0.5]]
    network = networks.chain((first, None), ([[1, 1]], None), ([[1]], None), dtype=dtype)
    k = np.arange(-4, 5)
    points = np.stack(np.meshgrid(k, k), axis=-1).reshape(-1, 2).astype(dtype) * dtype(least)
    assert_exact_is_right(network, points)
    assert_certain_is_right(network, points)


def test_exact_patterns_of_a_float32_network_are_those_of_its_float32_weights():
    network = random_network(37, (3, 16, 9, 2), np.float32)
    points = around_folds(network, 15)
    wide = fl.Network(*network).astype(np.float64)
    wanted = reference.patterns(*network, points)
    assert (wide.patterns(points.astype(np.float64), exact=True) == wanted).all()
    assert_exact_is_right(network, points)


def test_exact_patterns_are_certain_and_the_same_in_every_batch(dtype):
    network = random_network(38, (3, 16, 9, 2), dtype)
    points = np.concatenate([random_points(39, 65, 3, dtype), around_folds(network, 5)])
    net = fl.Network(*network)
    wanted = reference.patterns(*network, points)
    patterns, certain = net.patterns(points, exact=True, return_certain=True)
    assert certain.all()
    assert (patterns == wanted).all()
    assert (net.patterns(points, exact=True, workers=2) == wanted).all()
    assert (np.concatenate([net.patterns(p[None], exact=True) for p in points]) == wanted).all()


@PROPERTY
@given(
    seed=st.integers(0, 2**32 - 1),
    widths=st.lists(st.integers(1, 9), min_size=3, max_size=6),
    dtype=st.sampled_from(networks.DTYPES),
    build=st.sampled_from([random_network, networks.with_dead_and_doubled_units, networks.cancelling]),
    scale=st.sampled_from([1.0, 1e-30, 1e30, 2.0**-20]),
)
def test_exact_patterns_of_any_network_are_right(seed, widths, dtype, build, scale):
    network = build(seed, widths, dtype)
    points = random_points(seed, 10, widths[0], dtype, scale)
    assert_exact_is_right(network, points)
    assert_exact_is_right(network, np.round(points))


def test_finite_rows_beside_rows_that_are_not_are_exact(dtype):
    network = random_network(40, (3, 16, 9, 2), dtype)
    points = around_folds(network, 5)
    wanted = reference.patterns(*network, points)
    bad = np.arange(len(points)) % 7 == 3
    points[bad, 1] = np.nan
    net = fl.Network(*network)
    patterns, certain = net.patterns(points, exact=True, return_certain=True, allow_nonfinite=True)
    assert (patterns[~bad] == wanted[~bad]).all()
    assert (certain == ~bad).all()
