"""Local affine maps and distances to folds, against exact ones."""

from fractions import Fraction

import networks
import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import SIZES, random_network, random_points

import foldline as fl

SHAPES = [
    (1, 1),
    (3, 2),
    (2, 7, 1),
    (5, 9, 8, 7, 3),
    (17, 33, 2),
    (50, 12, 20, 10),
    (2, 64, 65, 1),
    (1, 9, 99),
    (16, 9, 12),
    (32, 40, 33, 5),
    (4, 150, 90, 11),
]
every_shape = pytest.mark.parametrize("widths", SHAPES, ids=lambda w: "-".join(map(str, w)))
NORMS = {"inf": np.inf, "1": 1, "2": 2}


def certain_points(network, n_points, seed):
    """Random points whose computed pattern is the exact one."""
    layers, _ = network
    points = random_points(seed, n_points, layers[0][0].shape[1], layers[0][0].dtype)
    right = (fl.Network(*network).patterns(points) == reference.patterns(*network, points)).all(axis=1)
    assert right.mean() > 0.8
    return points[right]


def assert_maps_are_right(network, points):
    net = fl.Network(*network)
    a, b = net.local_affine(points)
    assert a.dtype == b.dtype == net.dtype
    assert a.shape == (len(points), net.n_out, net.n_in)
    assert b.shape == (len(points), net.n_out)
    for i, point in enumerate(points):
        exact = reference.local_affine(*network, point)
        bounds = reference.local_affine_bounds(*network, point)
        reference.assert_within(a[i], exact[0], bounds[0], "entry of A")
        reference.assert_within(b[i], exact[1], bounds[1], "entry of b")


# Maps ---------------------------------------------------------------------------------------------


@every_shape
def test_maps_are_within_the_derived_bound(widths, dtype):
    network = random_network(90, widths, dtype)
    assert_maps_are_right(network, certain_points(network, 12 if sum(widths) < 100 else 3, 91))


@settings(max_examples=25, deadline=None)
@given(
    widths=st.lists(st.integers(1, 20), min_size=2, max_size=6),
    seed=st.integers(0, 2**32 - 1),
    dtype=st.sampled_from(networks.DTYPES),
    slopes=st.sampled_from(["mixed", 0, -1, 1, 0.01, -3]),
)
def test_maps_of_any_network_are_within_the_derived_bound(widths, seed, dtype, slopes):
    network = random_network(seed, widths, dtype, slopes)
    points = random_points(seed, 4, widths[0], dtype)
    right = (fl.Network(*network).patterns(points) == reference.patterns(*network, points)).all(axis=1)
    assert_maps_are_right(network, points[right])


@pytest.mark.parametrize("shift", [-3, -1, 3])
def test_maps_are_right_where_few_or_most_units_are_active(shift, dtype):
    layers, slopes = random_network(92, (3, 70, 70, 4), dtype, slopes=0)
    layers = [*((w, b + np.asarray(shift, dtype)) for w, b in layers[:-1]), layers[-1]]
    points = certain_points((layers, slopes), 6, 93)
    active = fl.unpack_patterns(fl.Network(layers, slopes).patterns(points), 140).mean()
    assert active < 0.3 if shift < 0 else active > 0.7
    assert_maps_are_right((layers, slopes), points)


@pytest.mark.parametrize("known", networks.KNOWN, ids=lambda k: k.name)
def test_maps_of_known_networks_are_exact_on_and_off_the_folds(known, dtype):
    network = networks.in_dtype(known.network, dtype)
    points = known.grid(dtype)[::7][:40]
    net = fl.Network(*network)
    a, b = net.local_affine(points)
    assert (np.einsum("noi,ni->no", a, points) + b == net(points)).all()
    for i, point in enumerate(points):
        exact = reference.local_affine(*network, point)
        assert (a[i] == exact[0].fractions()).all()
        assert (b[i] == exact[1].fractions()).all()


def test_a_unit_on_its_fold_is_inactive_in_the_map(dtype):
    net = fl.Network([(np.array([[1]], dtype), None), (np.array([[1]], dtype), None)], 0.5)
    a, b = net.local_affine(np.array([[-1], [0], [1]], dtype))
    assert a.ravel().tolist() == [0.5, 0.5, 1]
    assert b.ravel().tolist() == [0, 0, 0]


@every_shape
def test_rows_are_the_same_in_every_batch(widths, dtype):
    net = fl.Network(*random_network(94, widths, dtype))
    points = random_points(95, 129, widths[0], dtype)
    a, b = net.local_affine(points)
    for size in SIZES:
        some = net.local_affine(points[129 - size :], workers=2)
        assert some[0].tobytes() == a[129 - size :].tobytes()
        assert some[1].tobytes() == b[129 - size :].tobytes()


def test_the_two_neuron_questions_maps():
    w1, w2, v = np.array([1.0, 2]), np.array([-1.0, 1]), np.array([2.0, 3])
    net = fl.Network(*networks.two_neurons(w1, w2, v))
    a, b = net.local_affine([[1.0, 4], [4, 1], [1, -4], [-4, 1]])
    assert (a[:, 0] == [2 * w1 + 3 * w2, 2 * w1, 0 * w1, 3 * w2]).all()
    assert not b.any()


# Distances ----------------------------------------------------------------------------------------


def assert_radii_are_safe(network, points, norm, tight):
    """Never larger than the true distance, and no less than `tight` times it."""
    radii = fl.linear_radius(fl.Network(*network), points, norm=norm)
    assert radii.shape == (len(points),)
    assert radii.dtype.kind == "f"
    assert (radii >= 0).all()
    for point, radius in zip(points, radii):
        square = reference.squared_radius(*network, point, norm)
        if square is None:
            assert radius == np.inf
            continue
        assert np.isfinite(radius)
        computed = Fraction(float(radius)) ** 2
        assert computed <= square, f"{radius} is larger than the distance of {point!r}"
        assert computed >= Fraction(tight) ** 2 * square, f"{radius} is needlessly small at {point!r}"


@pytest.mark.parametrize("norm", NORMS)
@every_shape
def test_radii_are_never_larger_than_the_distance_and_not_much_smaller(widths, norm, dtype):
    network = random_network(96, widths, dtype, bias=1)
    points = certain_points(network, 5 if sum(widths) < 100 else 2, 97)
    sizes = reference.preactivations(*network, points)
    if sizes.size:  # keep off the folds, where rounding rules
        points = points[(abs(sizes).min(axis=1) > 1e-3).astype(bool)]
    assert len(points)
    assert_radii_are_safe(network, points, norm, 0.999 if dtype is np.float64 else 0.5)


@pytest.mark.parametrize("norm", NORMS)
def test_radii_next_to_folds_are_never_larger_than_the_distance(norm, dtype):
    network = random_network(98, (2, 16, 16, 1), dtype)
    layers, _ = network
    w, b = layers[0]
    points = random_points(99, 16, 2, dtype)
    unit = np.arange(16)
    points[:, 1] = -(w[unit, 0] * points[:, 0] + b[unit]) / w[unit, 1]
    points = np.concatenate([points, np.nextafter(points, dtype(9)), np.nextafter(points, dtype(-9))])
    assert_radii_are_safe(network, points, norm, 0)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("known", networks.KNOWN, ids=lambda k: k.name)
def test_radii_on_and_off_the_folds_of_known_networks(known, norm, dtype):
    network = networks.in_dtype(known.network, dtype)
    assert_radii_are_safe(network, known.grid(dtype)[::11][:25], norm, 0.9)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", networks.difficult(np.float64))
def test_radii_of_difficult_networks_are_never_larger_than_the_distance(name, norm, dtype):
    network, scale = networks.difficult(dtype)[name]
    points = random_points(100, 8, network[0][0][0].shape[1], dtype, scale)
    assert_radii_are_safe(network, points, norm, 0)


def test_the_pattern_does_not_change_within_the_radius():
    network = random_network(101, (3, 9, 8, 1))
    net = fl.Network(*network)
    points = random_points(102, 50, 3)
    radii = fl.linear_radius(net, points)
    assert (radii > 0).all()
    corners = np.array(np.meshgrid(*[[-1, 1]] * 3)).reshape(3, -1).T
    for point, radius in zip(points, radii):
        inside = point + 0.999 * radius * corners
        assert len(np.unique(net.patterns(np.vstack([point, inside]), exact=True), axis=0)) == 1
        outside = point + 1.001 * radius * corners
        assert len(np.unique(net.patterns(np.vstack([point, outside]), exact=True), axis=0)) > 1


def test_in_float32_deep_networks_have_radii_too():
    net = fl.Network(*random_network(109, (5, *[50] * 6, 5), np.float32))
    radii = fl.linear_radius(net, random_points(110, 2000, 5, np.float32))
    assert (radii > 0).mean() > 0.99


def test_a_norm_is_a_name_or_a_number_and_inf_when_nothing_is_said(dtype):
    net = fl.Network(*random_network(103, (3, 9, 1), dtype))
    points = random_points(104, 20, 3, dtype)
    radii = {name: fl.linear_radius(net, points, norm=name) for name in NORMS}
    for name, number in NORMS.items():
        assert (fl.linear_radius(net, points, norm=number) == radii[name]).all()
    assert (fl.linear_radius(net, points) == radii["inf"]).all()
    assert (radii["inf"] < radii["2"]).all()
    assert (radii["2"] < radii["1"]).all()


def test_radii_are_the_same_in_every_batch_and_for_any_workers(dtype):
    net = fl.Network(*random_network(105, (3, 9, 8, 1), dtype))
    points = random_points(106, 3000, 3, dtype)
    whole = fl.linear_radius(net, points)
    assert fl.linear_radius(net, points, workers=2).tobytes() == whole.tobytes()
    assert fl.linear_radius(net, np.asfortranarray(points)).tobytes() == whole.tobytes()
    for size in SIZES:
        assert fl.linear_radius(net, points[:size]).tobytes() == whole[:size].tobytes()


# Patterns unpacked --------------------------------------------------------------------------------


@pytest.mark.parametrize("n_neurons", [0, 1, 7, 8, 9, 63, 64, 65, 300])
def test_unpacked_patterns_pack_to_the_same(n_neurons):
    bits = np.random.default_rng(0).random((33, n_neurons)) < 0.5
    packed = reference.pack(bits)
    for laid_out in (packed, np.asfortranarray(packed), packed[::-1].copy()[::-1]):
        unpacked = fl.unpack_patterns(laid_out, n_neurons)
        assert unpacked.dtype == bool
        assert unpacked.shape == (33, n_neurons)
        assert (unpacked == bits).all()
    assert fl.unpack_patterns(packed[:0], n_neurons).shape == (0, n_neurons)


def test_unpacked_patterns_of_a_network_are_its_positive_preactivations(dtype):
    net = fl.Network(*random_network(107, (3, 9, 8, 1), dtype))
    points = random_points(108, 70, 3, dtype)
    assert (fl.unpack_patterns(net.patterns(points), net.n_neurons) == (net.preactivations(points) > 0)).all()
