"""Crossings of segments, against the exact forward pass of the judge, the exact cells and numpy.interp."""

import pickle
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from fractions import Fraction

import networks
import numpy as np
import pytest
import reference

import foldline as fl
from foldline import _core, cells


def as_network(layers, slopes):
    return fl.Network(layers, activation=slopes)


def exact_crossings(net, start, stop):
    """(t, neuron, slope before, slope after, whether it changes) of every crossing, in rationals.

    From the cells of the segment, which share nothing with the sweep: rows are in order of t and neuron.
    """
    chain = cells.ExactChain(net, fl.Segment(start, stop))
    pieces = []
    for bits, cell, forms in cells.iter_cells(chain):
        left = min(Fraction(u, w) for u, w in cell.vertices)
        pieces.append((left, bits, [Fraction(m) * Fraction(2) ** chain.exponent for m in forms[:, 0]]))
    pieces.sort()
    return [
        (t, neuron, before, after, before != after)
        for (_, old, before), (t, new, after) in zip(pieces, pieces[1:])
        for neuron in range(len(old))
        if old[neuron] != new[neuron]
    ]


def assert_exact(net, starts, stops):
    """Everything that `knots` says of these segments is so; returns its stats."""
    found = fl.knots(net, starts, stops)
    before = found.slope_before
    for i, ends in enumerate(zip(starts, stops)):
        first, rows = int(found.offsets[i]), exact_crossings(net, *ends)
        assert found.offsets[i + 1] - first == len(rows)
        sizes = [abs(slope) for row in rows for slope in (*row[2], *row[3])]
        near = 1e-9 * float(max(sizes, default=0))  # far above rounding, far below a wrong piece
        for j, (t, neuron, slope, next_slope, changes) in enumerate(rows, first):
            assert abs(Fraction(found.t[j]) - t) <= Fraction(found.t_error[j])
            assert found.neuron[j] == neuron and found.is_knot[j] == changes
            np.testing.assert_allclose(before[j], np.array(slope, float), rtol=0, atol=near)
            np.testing.assert_allclose(found.slope_after[j], np.array(next_slope, float), rtol=0, atol=near)
        if rows:
            np.testing.assert_array_equal(found.first_slope[i], before[first])
    return found.stats


@pytest.mark.parametrize("slopes", ["mixed", 0, 0.01, -1, -3, 3])
@pytest.mark.parametrize(
    "widths",
    [(1, 1, 1), (3, 2), (2, 7, 1), (4, 9, 8, 7, 3), (1, 17, 16, 2), (2, *[3] * 6, 1), (2, 70, 9, 66, 13)],
)
def test_segments_of_generic_networks_are_decided_in_floating_point_and_right(widths, slopes, dtype):
    net = as_network(*networks.random_network(sum(widths), widths, dtype, slopes=slopes))
    points = networks.random_points(1, 12, widths[0], scale=2)
    stats = assert_exact(net, points[:6], points[6:])
    assert stats == {"in float64": 6, "in long double": 0, "in rationals": 0}


@pytest.mark.parametrize("size", [1e-130, 1e-200])
def test_a_way_through_tiny_weights_whose_product_vanishes_is_a_way(size):
    net = fl.Network([([[1.0]], None), ([[size]], [1.0]), ([[size]], None)])
    assert_exact(net, np.array([[-1.0]]), np.array([[1.0]]))
    assert fl.knots(net, [-1.0], [1.0]).is_knot.tolist() == [True]


@pytest.mark.parametrize("seed", range(20))
def test_segments_of_small_integer_networks_are_right(seed):
    rng = np.random.default_rng(seed)
    widths = (rng.integers(1, 5), *rng.integers(1, 8, rng.integers(1, 5)), rng.integers(1, 4))
    layers = [
        (rng.integers(-2, 3, (n_out, n_in)), rng.integers(-2, 3, n_out) * (seed % 3 > 0))
        for n_in, n_out in zip(widths, widths[1:])
    ]
    net = fl.Network(layers, [rng.choice([0, 0, 0, 0.5, -1, 1, 2], n).astype(float) for n in widths[1:-1]])
    points = rng.integers(-3, 4, (16, widths[0])) + [0.0]
    starts, stops = points[:8], points[8:] + 0.5
    assert_exact(net, starts, stops)


@pytest.mark.parametrize(
    ("network", "n_in"),
    [
        (networks.cancelling(2, (3, 6, 5, 1)), 3),
        (networks.tent(4), 1),
        (networks.MAX_MIN, 2),
        (networks.NESTED_DIFFERENCE, 1),
        (networks.sequential_max_of_relus(3), 3),
    ],
)
def test_ties_and_neurons_that_are_zero_on_a_piece_are_decided_in_rationals(network, n_in):
    points = networks.random_points(3, 8, n_in, scale=2)
    assert assert_exact(as_network(*network), -abs(points[:4]), abs(points[4:]))["in rationals"] > 0


@pytest.mark.parametrize(
    ("network", "n_in"),
    [(networks.with_dead_and_doubled_units(1, (3, 9, 8, 2)), 3), (networks.DOUBLED, 2)],
)
def test_ties_of_twins_are_decided_in_doubles(network, n_in):
    points = networks.random_points(3, 8, n_in, scale=2)
    assert assert_exact(as_network(*network), -abs(points[:4]), abs(points[4:]))["in float64"] == 4


@pytest.mark.parametrize("name", networks.difficult(np.float64))
def test_segments_of_difficult_networks_are_right(name, dtype):
    network, scale = networks.difficult(dtype)[name]
    points = networks.random_points(5, 6, 3, dtype, scale)
    assert_exact(as_network(*network), points[:3], points[3:])


def test_a_tent_has_a_knot_at_every_multiple_of_its_power_of_two():
    found = fl.knots(as_network(*networks.tent(5)), [0.0], [1.0])
    assert np.unique(found.t[found.is_knot]).tolist() == [k / 32 for k in range(1, 32)]
    assert set(found.slope_after.ravel()) == {32.0, -32.0}


def test_a_neuron_without_a_way_to_the_outputs_crosses_without_a_knot_and_without_rationals():
    layers = [([[1.0], [3.0], [1.0]], [-0.25, -1.0, -0.75]), ([[1.0, 0.0, -1.0]], [1.0]), ([[0.1]], None)]
    found = fl.knots(fl.Network(layers), [0.0], [1.0])
    assert found.neuron.tolist() == [0, 1, 2]
    assert found.is_knot.tolist() == [True, False, True]
    assert found.stats["in float64"] == 1
    np.testing.assert_allclose(found.slope_after.ravel(), [0.1, 0.1, 0], atol=1e-16)


def test_crossings_closer_than_float64_can_tell_are_in_order():
    third = np.nextafter(3.0, 0)  # 1 / third is 5e-17 above 1 / 3
    net = fl.Network([([[third], [3.0]], [-1.0, -1.0]), ([[1.0, 1.0]], None)])
    found = fl.knots(net, [0.0], [1.0])
    assert found.neuron.tolist() == [1, 0]
    assert found.t.tolist() == [float(Fraction(1, 3)), float(1 / Fraction(third))]
    assert found.stats["in float64"] == 0
    assert found.stats["in long double"] == (np.finfo(np.longdouble).nmant >= 63)


def test_a_segment_longer_than_the_largest_float_is_decided_in_rationals():
    net = fl.Network([([[1.0], [1.0]], [0.0, -1e308]), ([[1.0, 1.0]], None)])
    found = fl.knots(net, [-1.5e308], [1.5e308])
    assert found.neuron.tolist() == [0, 1] and found.stats["in rationals"] == 1
    np.testing.assert_allclose(found.t, [1 / 2, 5 / 6], rtol=1e-15)
    assert found.slope_after.ravel().tolist() == [np.inf, np.inf]  # 3e308 is no float


def test_as_many_crossings_as_there_are_are_found():
    x = np.arange(1500.0) + np.random.default_rng(0).uniform(0.1, 0.9, 1500)
    net = fl.Network.from_knots(x, np.random.default_rng(1).standard_normal(1500))
    found = fl.knots(net, [0.0], [1500.0])
    assert found.stats["in float64"] == 1 and found.is_knot.all()
    np.testing.assert_allclose(found.t * 1500, x, rtol=1e-14)
    assert (found.t_error < 1e-9).all()


@pytest.mark.parametrize("n", [127, 128, 129, 257, 1000])
def test_crossings_of_a_wide_layer_are_found_in_order_whatever_that_of_its_neurons(n):
    places = np.random.default_rng(n).permutation(n) / n + 0.5 / n
    net = fl.Network([(np.ones((n, 1)), -places), (np.ones((1, n)), None)])
    found = fl.knots(net, [0.0], [1.0])
    assert found.neuron.tolist() == np.argsort(places).tolist()
    assert found.stats["in float64"] == 1
    assert np.array_equal(found.slope_after.ravel(), np.arange(1.0, n + 1))


@pytest.mark.parametrize("isa", _core.isa_available())
def test_every_instruction_set_finds_the_same(isa, run_python):
    script = """
import sys, networks, numpy as np, foldline as fl
net = fl.Network(*networks.random_network(4, (5, 50, 33, 17, 9, 5)))
points = networks.random_points(5, 40, 5)
found = fl.knots(net, points[:20], points[20:])
print(found.stats["in float64"], found.offsets.tolist(), found.neuron.tolist(), found.is_knot.tolist())
print(*(column.tobytes().hex() for column in (found.t, found.t_error, found.slope_after)))
"""
    net = as_network(*networks.random_network(4, (5, 50, 33, 17, 9, 5)))
    points = networks.random_points(5, 40, 5)
    here = fl.knots(net, points[:20], points[20:])
    assert here.stats["in float64"] == 20 and len(here) > 400
    done = run_python(script, isa=isa)
    columns = (here.offsets.tolist(), here.neuron.tolist(), here.is_knot.tolist())
    exact, rounded = done.stdout.splitlines()
    assert exact == " ".join(map(str, (20, *columns))), done.stderr
    if "baseline" not in (isa, _core.isa_in_use()):  # it rounds products apart
        columns = (here.t, here.t_error, here.slope_after)
        assert rounded.split() == [column.tobytes().hex() for column in columns]


@pytest.mark.parametrize("seed", range(8))
def test_between_crossings_the_pattern_is_constant_and_at_each_the_named_neurons_flip(seed):
    layers, slopes = networks.random_network(seed, (3, 6, 5, 2))
    net = as_network(layers, slopes)
    start, stop = networks.random_points(seed, 2, 3, scale=3)
    found = fl.knots(net, start, stop)
    ends = np.concatenate([[0], np.unique(found.t), [1]])
    middles = (ends[:-1] + ends[1:]) / 2
    bits = reference.bits(layers, slopes, start + middles[:, None] * (stop - start))
    for i, t in enumerate(ends[1:-1]):
        flipped = np.flatnonzero(bits[i] != bits[i + 1])
        assert sorted(found.neuron[found.t == t]) == flipped.tolist()
    assert len(found) and (np.diff(found.t) >= 0).all()


def test_slopes_are_the_derivatives_of_the_outputs():
    layers, slopes = networks.random_network(5, (2, 8, 3))
    net = as_network(layers, slopes)
    start, stop = np.array([-2.0, 1.0]), np.array([2.0, -1.5])
    found = fl.knots(net, start, stop)
    ends = np.concatenate([[0], np.unique(found.t), [1]])
    middles = (ends[:-1] + ends[1:]) / 2
    a, _ = net.local_affine(start + middles[:, None] * (stop - start))
    derivatives = a @ (stop - start)
    for i, t in enumerate(ends[1:-1]):
        row = int(np.flatnonzero(found.t == t)[0])
        np.testing.assert_allclose(found.slope_before[row], derivatives[i], rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(found.slope_after[row], derivatives[i + 1], rtol=1e-12, atol=1e-12)


def test_a_crossing_is_exact_before_it_is_rounded():
    net = fl.Network([([[3.0]], [-1.0]), ([[1.0]], None)])
    assert fl.knots(net, [0.0], [1.0]).t.tolist() == [float(Fraction(1, 3))]


def test_neurons_that_cancel_cross_without_a_knot():
    net = fl.Network([([[1.0], [-1.0]], None), ([[1.0, -1.0]], None)])
    found = fl.knots(net, [-1.0], [1.0])
    assert found.neuron.tolist() == [0, 1] and found.t.tolist() == [0.5, 0.5]
    assert not found.is_knot.any()
    assert repr(found) == "Knots(1 crossing, 0 knots)"


def test_neurons_that_flip_at_one_place_make_one_crossing():
    net = fl.Network([([[1.0], [1.0], [1.0]], [0.5, 0.0, 0.0]), ([[1.0, 1.0, 1.0]], None)])
    found = fl.knots(net, [[-1.0], [-1.0]], [[0.5], [-0.25]])
    assert found.t.tolist() == [1 / 3, 2 / 3, 2 / 3, 2 / 3]
    assert (found.n_crossings, found.n_knots) == (3, 3)
    assert repr(fl.knots(net, [-1.0], [-0.25])) == "Knots(1 crossing, 1 knot)"


def test_many_segments_in_one_call_are_each_found_alone():
    net = as_network(*networks.random_network(2, (3, 7, 4, 1)))
    starts, stops = networks.random_points(3, 5, 3), networks.random_points(4, 5, 3)
    together = fl.knots(net, starts, stops)
    for i, ends in enumerate(zip(starts, stops)):
        alone, part = fl.knots(net, *ends), together.segment == i
        for name in ("t", "neuron", "slope_before", "slope_after", "is_knot"):
            np.testing.assert_array_equal(getattr(together, name)[part], getattr(alone, name))
    assert len(fl.knots(net, np.empty((0, 3)), np.empty((0, 3)))) == 0


COLUMNS = ("offsets", "t", "t_error", "neuron", "is_knot", "first_slope", "slope_after")


def same(a, b):
    for name in (*COLUMNS, "segment", "slope_before"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    return a.stats == b.stats


def test_the_result_does_not_depend_on_workers():
    net = as_network(*networks.cancelling(2, (3, 6, 5, 1)))
    starts, stops = networks.random_points(6, 90, 3), networks.random_points(7, 90, 3)
    alone = fl.knots(net, starts, stops)
    assert alone.stats["in float64"] and alone.stats["in rationals"]
    with ThreadPoolExecutor(3) as threads, ProcessPoolExecutor(1) as processes:
        for workers in (2, threads, processes):
            assert same(fl.knots(net, starts, stops, workers=workers), alone)
    with pytest.raises(ValueError, match="at least 1"):
        fl.knots(net, starts, stops, workers=0)


def test_the_result_is_columnar_read_only_and_survives_pickling():
    net = as_network(*networks.random_network(2, (3, 7, 4, 2)))
    found = fl.knots(net, networks.random_points(3, 300, 3), networks.random_points(4, 300, 3))
    assert len(found.offsets) == 301 and found.offsets[0] == 0 and found.offsets[-1] == len(found)
    assert found.first_slope.shape == (300, 2) and found.slope_before.shape == (len(found), 2)
    np.testing.assert_array_equal(np.bincount(found.segment, minlength=300), np.diff(found.offsets))
    assert same(pickle.loads(pickle.dumps(found)), found)
    for name in COLUMNS:
        with pytest.raises(ValueError, match="read-only"):
            getattr(found, name)[0] = 0
    with pytest.raises(AttributeError, match="frozen"):
        found.t = None


def test_a_segment_without_crossings_still_has_a_slope():
    net = fl.Network([([[2.0]], [1.0]), ([[3.0]], None)])
    found = fl.knots(net, [[1.0], [-3.0]], [[2.0], [-2.0]])
    assert len(found) == 0 and found.first_slope.ravel().tolist() == [6.0, 0.0]
    affine = fl.Network([([[2.0, 1.0]], [1.0])])
    assert fl.knots(affine, [0, 0], [1, 3]).first_slope.tolist() == [[5.0]]


@pytest.mark.parametrize("seed", range(4))
def test_all_of_the_line_is_searched_when_asked(seed):
    layers, slopes = networks.random_network(seed, (3, 6, 5, 2))
    net = as_network(layers, slopes)
    start, stop = networks.random_points(seed, 2, 3)
    found, inside = fl.knots(net, start, stop, extend=True), fl.knots(net, start, stop)
    between = (found.t > 0) & (found.t < 1)
    assert found.neuron[between].tolist() == inside.neuron.tolist() and not between.all()
    w, b = layers[0]
    folds = slopes[0] != 1
    first = np.sort((-(w @ start + b) / (w @ (stop - start)))[folds])
    np.testing.assert_allclose(found.t[found.neuron < folds.sum()], first, rtol=1e-10)
    far = 1e6 * (1 + abs(found.t).max())
    ends = np.concatenate([[-far], np.unique(found.t), [far]])
    bits = reference.bits(layers, slopes, start + ((ends[:-1] + ends[1:]) / 2)[:, None] * (stop - start))
    for i, t in enumerate(ends[1:-1]):
        assert sorted(found.neuron[found.t == t]) == np.flatnonzero(bits[i] != bits[i + 1]).tolist()
    at_the_ends = reference.bits(layers, slopes, start + ends[[0, -1], None] * (stop - start))
    np.testing.assert_array_equal(at_the_ends, bits[[0, -1]])


@pytest.mark.parametrize("widths", [(1, 9, 1), (1, 16, 16, 1), (1, 7, 6, 5, 3)])
def test_breakpoints_are_what_numpy_interp_needs(widths, dtype):
    net = as_network(*networks.random_network(3, widths, dtype))
    x, y = fl.breakpoints(net, -3, 2)
    assert (x[0], x[-1]) == (-3, 2) and (np.diff(x) > 0).all() and len(x) > 5
    points = np.concatenate([np.linspace(-3, 2, 997), x])
    values = net.astype(np.float64)(points[:, None])
    for column, exact in zip(y.reshape(len(x), -1).T, values.T):
        np.testing.assert_allclose(np.interp(points, x, column), exact, rtol=1e-12, atol=1e-12)


def test_breakpoints_undo_from_knots():
    x, y = np.array([-2.0, -0.5, 1.0, 1.25, 4.0]), np.array([[0.0, 1], [3, 1], [-1, 1], [0, 2], [2, 2]])
    found_x, found_y = fl.breakpoints(fl.Network.from_knots(x, y), -4, 4)
    np.testing.assert_allclose(found_x, [-4, *x], rtol=1e-15)
    np.testing.assert_allclose(found_y, [y[0], *y], atol=1e-14)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda net: fl.breakpoints("net", 0, 1), TypeError, "wanted a Network"),
        (lambda net: fl.breakpoints(net, 0, 1), ValueError, "2 inputs; wanted 1"),
        (lambda net: fl.breakpoints(fl.Network([([[1.0]], None)]), 1, 0), ValueError, "wanted low < high"),
        (lambda net: fl.breakpoints(fl.Network([([[1.0]], None)]), 1, 1), ValueError, "wanted low < high"),
        (lambda net: fl.breakpoints(fl.Network([([[1.0]], None)]), 0, np.inf), ValueError, "finite"),
        (lambda net: fl.knots(net, [0, 0], ["a", "b"]), TypeError, "stop has dtype <U1; wanted real numbers"),
        (lambda net: fl.knots(net, [[0, 0]], [[1, 1j]]), TypeError, "wanted real numbers"),
        (lambda net: fl.knots(net, [[0, 0]] * 3, [[1, 1], [0, 0], [1, 1]]), ValueError, "in segment 1"),
        (lambda net: fl.knots(net, [[0, 0]] * 2, [[1, 1], [0, -np.inf]]), ValueError, "-inf.* in segment 1"),
        (lambda net: fl.knots(net, [0, 0], [1, 1], workers="2"), TypeError, "workers"),
    ],
)
def test_bad_arguments_are_refused_and_named(call, error, message):
    with pytest.raises(error, match=message):
        call(as_network(*networks.random_network(0, (2, 3, 1))))


def test_a_network_from_knots_is_numpy_interp_and_gives_its_knots_back():
    rng = np.random.default_rng(0)
    x = np.sort(rng.integers(-64, 64, 40)) / 8 + np.arange(40)
    y = rng.integers(-32, 32, 40) / 4
    net = fl.Network.from_knots(x, y)
    points = rng.uniform(x[0] - 2, x[-1] + 2, 1000)
    np.testing.assert_allclose(net(points[:, None]).ravel(), np.interp(points, x, y), atol=1e-10)
    found = fl.knots(net, [x[0] - 1], [x[-1] + 1])
    np.testing.assert_allclose(x[0] - 1 + found.t * (x[-1] - x[0] + 2), x, rtol=1e-14)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda net: fl.knots(net, [0.0], [1.0]), r"wanted both \(2,\)"),
        (lambda net: fl.knots(net, [0.0, 0.0], [[1.0, 1.0]]), "wanted both"),
        (lambda net: fl.knots(net, [0.0, 1.0], [0.0, 1.0]), "wanted two points"),
        (lambda net: fl.knots(net, [0.0, np.nan], [0.0, 1.0]), "finite"),
        (lambda net: fl.Network.from_knots([0, 0], [1, 2]), "increasing"),
        (lambda net: fl.Network.from_knots([0, 1], [1, 2, 3]), "shape"),
        (lambda net: fl.Network.from_knots([0, 1], [1, np.inf]), "finite"),
        (lambda net: fl.Network.from_knots([-1e308, 1e308], [-1e308, 1e308]), "more than floats hold"),
    ],
)
def test_bad_ends_are_refused(call, message):
    net = as_network(*networks.random_network(0, (2, 3, 1)))
    with pytest.raises(ValueError, match=message):
        call(net)
    with pytest.raises(TypeError, match="wanted a Network"):
        fl.knots("net", [0, 0], [1, 1])
