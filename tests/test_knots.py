"""Crossings of segments, against the exact forward pass of the judge and against numpy.interp."""

from fractions import Fraction

import networks
import numpy as np
import pytest
import reference

import foldline as fl


def as_network(layers, slopes):
    return fl.Network(layers, activation=slopes)


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
    assert repr(found) == "Knots(2 crossings, 0 knots)"


def test_many_segments_in_one_call_are_each_found_alone():
    net = as_network(*networks.random_network(2, (3, 7, 4, 1)))
    starts, stops = networks.random_points(3, 5, 3), networks.random_points(4, 5, 3)
    together = fl.knots(net, starts, stops)
    for i, ends in enumerate(zip(starts, stops)):
        alone, part = fl.knots(net, *ends), together.segment == i
        for name in ("t", "neuron", "slope_before", "slope_after", "is_knot"):
            np.testing.assert_array_equal(getattr(together, name)[part], getattr(alone, name))
    assert len(fl.knots(net, np.empty((0, 3)), np.empty((0, 3)))) == 0


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
    ],
)
def test_bad_ends_are_refused(call, message):
    net = as_network(*networks.random_network(0, (2, 3, 1)))
    with pytest.raises(ValueError, match=message):
        call(net)
    with pytest.raises(TypeError, match="wanted a Network"):
        fl.knots("net", [0, 0], [1, 1])
