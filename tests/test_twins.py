"""Neurons whose weights are a multiple of another's fold where that does, and doubles know it."""

import networks
import numpy as np
import pytest

import foldline as fl
from foldline import _core
from foldline.knots import _crossings, _Table
from foldline.twins import flips_of, shares, twins

FACTORS = (1.0, -1.0, 2.0, -0.5, 3.0, -3.0)


def engines(d):
    own = "sweep" if d == 1 else "polygons" if d == 2 else "vertices"
    return [own, "lp"]


def with_twins(seed, widths, slopes, dtype=np.float64, weights=None):
    """A random network with multiples of some units; factors of 3 are inexact unless weights are small."""
    rng = np.random.default_rng(seed)
    layers, folds = networks.random_network(seed, widths, slopes=slopes, bias=0.25)
    layers = [(np.array(w, dtype), np.array(b, dtype)) for w, b in layers]
    for w, b in layers[:-1]:
        if weights == "integers":
            w[:], b[:] = rng.integers(-3, 4, w.shape), rng.integers(-2, 3, b.shape)
        for _ in range(len(w) // 3):
            i, j = rng.integers(len(w), size=2)
            factor = rng.choice(FACTORS[: 6 if weights == "integers" else 4]).astype(dtype)
            w[i], b[i] = factor * w[j], factor * b[j]
    return fl.Network(layers, activation=[np.array(s, dtype) for s in folds])


def sorted_rows(regions):
    order = np.lexsort(regions.patterns.T)
    number = np.empty(len(order), int)
    number[order] = np.arange(len(order))
    return regions.patterns[order], {tuple(sorted(pair)) for pair in number[regions.neighbours].tolist()}


def test_twins_are_found_exactly():
    w = np.array([[1, 2], [-2, -4], [0, 0], [3, 6], [1, 2], [0.1, 0.2], [0.3, 0.6], [0, 0], [1, 2]], float)
    b = np.array([3, -6, 1, 9, 4, 0.3, 0.9, -5, 3], float)
    b[6] = 3 * 0.3  # rounded: no multiple of unit 5 any more
    net = fl.Network([(w, b), (np.ones((2, 9)), [1.0, 1.0]), (np.ones((1, 2)), None)])
    found = twins(net)
    assert found[:9].tolist() == [0, -1, 0, 1, 0, 0, 0, -3, 1]
    assert found[9:].tolist() == [0, 1]
    bits = fl.unpack_patterns(flips_of(net), net.n_neurons)
    assert [np.flatnonzero(row).tolist() for row in bits[[0, 2, 4, 8, 9]]] == [
        [0, 1, 3, 8],
        [2, 7],
        [4],
        [0, 1, 3, 8],
        [9, 10],
    ]


def test_units_that_pass_on_are_nobodys_twins():
    w = np.array([[1.0, 2.0], [1.0, 2.0], [-1.0, -2.0]])
    net = fl.Network([(w, None), (np.ones((1, 3)), None)], activation=[np.array([1.0, 0.0, 0.5])])
    assert twins(net).tolist() == [0, 0, -2]
    assert len(twins(fl.Network([(w, None)]))) == 0


@pytest.mark.parametrize("weights", ["integers", "floats"])
@pytest.mark.parametrize("slopes", [0.0, "mixed"])
@pytest.mark.parametrize("widths", [(1, 9, 9, 1), (2, 8, 7, 2), (3, 6, 6, 1), (4, 6, 4, 1)])
def test_counts_and_regions_are_those_of_integers(widths, slopes, weights):
    n_by_doubles = 0
    for seed in range(6):
        net = with_twins(seed, widths, slopes, weights=weights)
        domain = fl.Box(-1, 1, n_in=widths[0])
        for kind in ("activation", "linear"):
            exact = fl.count_regions(net, domain, kind=kind, engine="exact").count
            for engine in engines(widths[0]):
                found = fl.count_regions(net, domain, kind=kind, engine=engine)
                assert (found.count, found.certified) == (exact, "exact")
        n_by_doubles += found.stats["by_rationals"] == 0 and twins(net).any()
        patterns, neighbours = sorted_rows(fl.regions(net, domain, engine="exact"))
        for engine in engines(widths[0]):
            found = fl.regions(net, domain, engine=engine)
            assert np.array_equal(sorted_rows(found)[0], patterns)
            if engine != "lp":
                assert sorted_rows(found)[1] == neighbours
    if weights == "floats":
        assert n_by_doubles >= 4


def test_the_twin_of_a_form_that_is_0_on_a_cell_is_inactive():
    """Where the first layer passes on nothing both forms of the second are 0, and so are both bits."""
    w = np.array([[0.3, 0.7], [0.9, -0.2]])
    net = fl.Network([(w, [-0.1, 0.2]), ([[1.1, 0.6], [-1.1, -0.6]], None), ([[1.0, 1.0]], None)])
    assert twins(net).tolist() == [0, 0, 0, -1]
    bits = fl.unpack_patterns(fl.regions(net, fl.Box(-1, 1, n_in=2)).patterns, 4)
    assert sorted(bits.astype(int).tolist()) == [[0, 0, 0, 0], [0, 1, 1, 0], [1, 0, 1, 0], [1, 1, 1, 0]]


def test_limits_prefixes_and_workers_know_twins():
    net = with_twins(3, (2, 16, 16, 1), 0.0)
    domain = fl.Box(-1, 1, n_in=2)
    whole = fl.count_regions(net, domain)
    assert whole.stats["by_rationals"] == 0
    assert fl.count_regions(net, domain, workers=2).count == whole.count
    for most in (1, 7, 40):
        assert fl.count_regions(net, domain, max_regions=most).count == most
    for engine in engines(2):
        chunks = list(fl.iter_regions(net, domain, chunk=17, engine=engine))
        rows = np.concatenate([chunk.patterns for chunk in chunks])
        assert len(np.unique(rows, axis=0)) == len(rows) == whole.count
    points = np.random.default_rng(1).uniform(-1, 1, (2000, 2))
    assert {p.tobytes() for p in net.patterns(points, exact=True)} <= {p.tobytes() for p in rows}


def test_what_twins_pass_on_may_cancel():
    """relu(z) - relu(-z) is z, and so is any multiple; 0.1 is not a third of 0.3 in binary."""
    w = np.array([[1, 2], [-1, -2], [2, 0], [-4, 0], [1, 1], [-3, -3]], float)
    layers = [(w, None), ([[3, -3, 0.5, -0.25, 0.3, -0.1], [1, -1, 1, -0.5, 0, 0]], None)]
    assert shares(fl.Network(layers)).tolist() == [0, 1, 0, 2, 1, 3]
    slopes = [np.array([0.5, 0.5, 0.0, 0.5, -1.0, 0.0])]
    assert shares(fl.Network(layers, activation=slopes)).tolist() == [0, 0.5, 1, 1, 2, 3]
    assert len(shares(fl.Network([([[1.0]], None)]))) == 0


def test_twins_that_cancel_for_a_ratio_that_is_rounded_make_no_knot_in_long_double_either():
    """relu(3 x) and |x|: what they change, 3 and 2, adds up to 0 for one unit; the other one is inactive."""
    layers = [([[3.0], [-1.0]], None), ([[-2.0, 3.0], [-3.0, -3.0]], [2.0, -2.0]), ([[1.0, 2 / 3]], None)]
    net = fl.Network(layers, [[0.0, -1.0], [0.0, 0.0]])
    for start, stop in np.random.default_rng(0).uniform(0.1, 0.3, (50, 2, 1)) * [[1], [-1]]:
        found = fl.knots(net, start, stop)
        assert found.neuron.tolist() == [0, 1] and found.is_knot.tolist() == [False, False]
    wide = _core.Sweep(net.weights, net.biases, net.slopes, twins(net), shares(net), True)
    table = _Table(1, 4, 1)
    ends = np.array([[0.2]]), np.array([[-0.1]])
    assert wide.knots(*ends, table.counts, table.first_slope, table.rows, 0, []) == (0, 0, True)


@pytest.mark.parametrize("factor", [5e-324, 1e-320, 1e300])
def test_ratios_of_twins_may_leave_the_range_of_floats(factor):
    net = fl.Network([([[1.0], [factor]], None), ([[1.0, 1.0]], None)])
    other = fl.Network([([[factor], [1.0]], None), ([[1.0, 1.0]], None)])
    for layers in (net, other, fl.Network([([[5e-324], [1e300]], None), ([[1.0, 1.0]], None)])):
        found = fl.knots(layers, [-1.0], [2.0])
        assert found.neuron.tolist() == [0, 1] and found.is_knot.tolist() == [True, True]


@pytest.mark.parametrize("weights", ["integers", "floats"])
@pytest.mark.parametrize("slopes", [0.0, "mixed"])
@pytest.mark.parametrize("widths", [(1, 9, 9, 1), (2, 8, 7, 6, 2), (5, 12, 12, 12, 3)])
def test_knots_are_those_of_rationals(widths, slopes, weights):
    n_in_doubles = n_ties = n_cancelled = 0
    for seed in range(8):
        net = with_twins(seed, widths, slopes, weights=weights)
        if seed % 2:  # relu(z) - relu(-z) within
            layers = [[w.copy(), b.copy()] for w, b in zip(net.weights, net.biases)]
            layers[0][0][1], layers[0][1][1] = -layers[0][0][0], -layers[0][1][0]
            layers[1][0][:, 1] = -layers[1][0][:, 0]
            net = fl.Network(layers, activation=list(net.slopes))
        starts, stops = np.random.default_rng(seed).uniform(-2, 2, (2, 6, widths[0]))
        found = fl.knots(net, starts, stops)
        n_in_doubles += found.stats["in float64"]
        for i, ends in enumerate(zip(starts, stops)):
            first_slope, exact = _crossings(net, fl.Segment(*ends))
            rows = slice(found.offsets[i], found.offsets[i + 1])
            t, neurons, after, is_knot, tied = map(list, zip(*exact)) if exact else [[]] * 5
            assert found.neuron[rows].tolist() == neurons
            assert found.is_knot[rows].tolist() == is_knot
            assert np.isin(np.arange(rows.start, rows.stop), found._tied).tolist() == tied
            assert (abs(found.t[rows] - t) <= found.t_error[rows] + 2.0**-53).all()
            size = 1 + abs(found.slope_after).max(initial=0)
            assert np.allclose(found.first_slope[i], first_slope, rtol=0, atol=1e-9 * size)
            after = np.reshape(after, (-1, widths[-1]))
            assert np.allclose(found.slope_after[rows], after, rtol=0, atol=1e-9 * size)
            n_ties += sum(tied)
            n_cancelled += sum(tie and not knot for tie, knot in zip(tied, is_knot))
    assert n_ties > 10
    if weights == "floats":
        assert n_in_doubles > 40
        assert slopes != 0 or n_cancelled > 0
