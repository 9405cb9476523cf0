"""Bounds against the exact extremes, which piecewise-linear functions take at the corners of cells."""

import itertools
import pickle
from fractions import Fraction

import networks
import numpy as np
import pytest
import reference
from test_regions import integer_network, network

import foldline as fl
from foldline import cells
from foldline.bounds import _Affine, _folded, _highest, _Passage, _Relaxed
from foldline.rounding import Factor, add_up, lowest_bits, multiply_up, two_sum

METHODS = ("interval", "crown")


def domains(n_in, rng):
    """One of each kind that fits, with coordinates that are no short binary fractions."""
    p, u, v = rng.normal(size=(3, n_in))
    corners = np.vstack([np.eye(n_in), -np.eye(n_in), np.ones(n_in)])
    yield fl.Box(p - 0.1, p + abs(u))
    yield fl.Ball(p, 0.7)
    yield fl.Polytope(corners, [*(p + 0.9), *(0.3 - p), p.sum() + 0.1])
    yield fl.Segment(u, v)
    if n_in > 1:
        yield fl.Plane(p, u, v, extent=0.3)


def extremes(net, domain):
    """Least and greatest preactivation of each neuron and output on the domain, as Fractions."""
    chain = cells.ExactChain(net, domain)
    corners = {vertex for _, cell, _ in cells.iter_cells(chain) for vertex in cell.vertices}
    rows = [exact_sums(net, placed(domain, [Fraction(x, w[-1]) for x in w[:-1]])) for w in corners]
    return [min(column) for column in zip(*rows)], [max(column) for column in zip(*rows)]


def placed(domain, u):
    if isinstance(domain, fl.Segment):
        return [a + u[0] * (b - a) for a, b in zip(fractions(domain.start), fractions(domain.stop))]
    if isinstance(domain, fl.Plane):
        axes = zip(*map(fractions, (domain.origin, domain.u, domain.v)))
        return [p + u[0] * a + u[1] * b for p, a, b in axes]
    if isinstance(domain, fl.Ball):
        return [c + x for c, x in zip(fractions(domain.center), u)]
    return u


def fractions(values):
    return [Fraction(float(x)) for x in values]


def exact_sums(net, x):
    """The preactivations of the neurons at one point, then the outputs."""
    out = []
    for w, b, slopes in itertools.zip_longest(net.weights, net.biases, net.slopes):
        z = [sum(a * c for a, c in zip(fractions(row), x)) + Fraction(float(bias)) for row, bias in zip(w, b)]
        if slopes is None:
            return out + z
        out += [value for value, slope in zip(z, slopes) if slope != 1]
        x = [value if value > 0 else value * Fraction(float(slope)) for value, slope in zip(z, slopes)]


def assert_contains(found, low, high):
    below, above = np.append(found.lower, found.output_lower), np.append(found.upper, found.output_upper)
    assert len(below) == len(low)
    assert all(bound <= value for bound, value in zip(below.tolist(), low))
    assert all(bound >= value for bound, value in zip(above.tolist(), high))
    n = len(found.lower)
    assert not any(value <= 0 for value in itertools.compress(low[:n], found.active))
    assert not any(value > 0 for value in itertools.compress(high[:n], found.inactive))
    assert (found.active ^ found.inactive ^ found.unstable).all()


def assert_inside(tight, wide):
    assert (tight.lower >= wide.lower).all() and (tight.upper <= wide.upper).all()
    assert (tight.output_lower >= wide.output_lower).all() and (tight.output_upper <= wide.output_upper).all()


@pytest.mark.parametrize(("n_in", "seed"), [*itertools.product((1, 2, 3), range(3))])
def test_bounds_hold_at_every_corner_of_every_cell_on_every_domain(n_in, seed, dtype):
    rng = np.random.default_rng(seed)
    slopes = ("mixed", 0, 3)[seed]
    net = network(*networks.random_network(seed, (n_in, 4, 3, 2), slopes=slopes), dtype)
    for domain in domains(n_in, rng):
        interval, crown = (fl.bounds(net, domain, method) for method in METHODS)
        low, high = extremes(net, domain)
        assert_contains(interval, low, high)
        assert_contains(crown, low, high)
        assert_inside(crown, interval)


@pytest.mark.parametrize("seed", range(12))
def test_bounds_hold_on_integer_networks(seed, dtype):
    n_in = 1 + seed % 3
    net = integer_network(seed, (n_in, 4, 3, 3, 1), bias=seed % 2 == 0).astype(dtype)
    box = fl.Box(-1, 1, n_in=n_in)
    low, high = extremes(net, box)
    interval, crown = (fl.bounds(net, box, method) for method in METHODS)
    assert_contains(interval, low, high)
    assert_contains(crown, low, high)
    assert_inside(crown, interval)
    # Small integers are never rounded: the first layer's bounds are the extremes themselves.
    assert crown.lower[:4].tolist() == low[:4] and crown.upper[:4].tolist() == high[:4]


@pytest.mark.parametrize("known", [k for k in networks.KNOWN if k.activation < 60], ids=lambda k: k.name)
def test_bounds_hold_on_known_networks(known, dtype):
    net = network(*known.network, dtype)
    box = fl.Box(known.low, known.high, n_in=known.n_in)
    low, high = extremes(net, box)
    for method in METHODS:
        assert_contains(fl.bounds(net, box, method), low, high)


@pytest.mark.parametrize("name", networks.difficult(np.float64))
def test_bounds_hold_at_random_points_of_difficult_networks(name, dtype):
    (layers, slopes), scale = networks.difficult(dtype)[name]
    net, n_in = fl.Network(layers, slopes), layers[0][0].shape[1]
    domain = fl.Box(-scale, scale, n_in=n_in)
    points = scale * np.random.default_rng(0).uniform(-1, 1, (20, n_in))
    points[:4] = scale * np.sign(points[:4])
    rows = np.concatenate(
        [
            reference.preactivations(layers, slopes, points),
            reference.outputs(layers, slopes, points).fractions(),
        ],
        axis=1,
    )
    for method in METHODS:
        assert_contains(fl.bounds(net, domain, method), rows.min(axis=0).tolist(), rows.max(axis=0).tolist())


@pytest.mark.parametrize("method", METHODS)
def test_a_point_sized_box_leaves_nothing_but_rounding(method, dtype):
    layers, slopes = networks.random_network(3, (5, 30, 30, 30, 2), dtype)
    net = fl.Network(layers, slopes)
    found = fl.bounds(net, fl.Ball(np.full(5, 0.3), 1e-300), method)
    z = reference.preactivations(layers, slopes, np.full((1, 5), 0.3))[0]
    assert_contains(found, *[[*z, *reference.outputs(layers, slopes, [[0.3] * 5]).fractions()[0]]] * 2)
    assert (found.upper - found.lower < 1e-9).all()
    assert not found.unstable.any()


def test_what_is_zero_on_the_domain_is_inactive_and_what_is_positive_is_active():
    net = fl.Network(
        [
            ([[1.0], [1.0], [-1.0]], [1.0, 1.5, -1.0]),
            ([[-1.0, 0.0, -3.0], [0.0, 1.0, 0.0]], None),
            ([[1.0, 1.0]], None),
        ]
    )
    for method in METHODS:
        found = fl.bounds(net, fl.Box(-1, 1, n_in=1), method)
        assert found.active.tolist() == [False, True, False, False, True]
        assert found.inactive.tolist() == [False, False, True, True, False]
        assert found.unstable.tolist() == [True, False, False, False, False]
        assert (found.output_lower, found.output_upper) == (0.5, 2.5)


def test_crown_sees_what_intervals_cannot():
    net = fl.Network([([[1.0], [1.0]], [2.0, 5.0]), ([[1.0, -1.0]], None), ([[1.0]], None)])
    box = fl.Box(-1, 1, n_in=1)
    assert fl.bounds(net, box, "interval").lower[2] == -5
    assert fl.bounds(net, box, "crown").lower[2] == fl.bounds(net, box, "crown").upper[2] == -3


def test_a_slice_is_narrower_than_the_box_around_it():
    net = fl.Network([([[1.0, -1.0]], None), ([[1.0]], None)])
    for domain in (fl.Segment([0, 0], [3, 3]), fl.Plane([0, 0], [1, 1], [0, 2.0**-20])):
        assert abs(fl.bounds(net, domain, "interval").upper[0]) <= 2.0**-20


def test_ends_that_are_no_floats_are_rounded_outward():
    net = fl.Network([([[1.0, -1.0]], None), ([[1.0]], None)])
    found = fl.bounds(net, fl.Segment([2.0**-60, 0], [1, 1]))  # stop - start is 1 - 2^-60, 1
    assert found.lower <= 0 and found.upper >= 2.0**-60
    net = fl.Network([([[1.0], [-1.0]], None), ([[1.0, 1.0]], None)])
    for ratio in (Fraction(1, 3), Fraction(2, 3)):
        found = fl.bounds(net, fl.Polytope([[3], [-3]], [int(3 * ratio)] * 2))
        assert all(Fraction(bound) > ratio for bound in found.upper.tolist())
        assert all(Fraction(bound) < -ratio for bound in found.lower.tolist())


def test_stable_neurons_keep_their_bits_and_units_that_pass_through_are_not_listed(dtype):
    layers, slopes = networks.random_network(7, (3, 20, 20, 20, 2), dtype)
    net = fl.Network(layers, slopes)
    found = fl.bounds(net, fl.Ball([0.5, 0.5, 0.5], 0.05))
    assert len(found.lower) == len(found.active) == net.n_neurons < sum(net.widths)
    points = np.random.default_rng(0).uniform(0.45, 0.55, (500, 3)).astype(dtype)
    bits = fl.unpack_patterns(net.patterns(points, exact=True), net.n_neurons)
    assert bits[:, found.active].all() and not bits[:, found.inactive].any()
    assert found.active.any() and found.inactive.any()


def test_overflow_is_unbounded_not_wrong(dtype):
    layers, slopes = networks.overflowing(np.float64)
    for method in METHODS:
        found = fl.bounds(fl.Network(layers, slopes), fl.Box(-1, 1, n_in=3), method)
        assert np.isfinite(found.lower[:9]).all()
        assert (found.output_lower == -np.inf).all() and (found.output_upper == np.inf).all()


def test_networks_without_hidden_layers_or_folds_have_bounds(dtype):
    for layers, slopes in (networks.AFFINE, networks.NO_FOLDS):
        found = fl.bounds(network(layers, slopes, dtype), fl.Box(0, 1, n_in=2))
        assert found.lower.shape == (0,)
        assert_contains(found, *extremes(network(layers, slopes, dtype), fl.Box(0, 1, n_in=2)))


def test_results_are_frozen_and_survive_pickling():
    found = fl.bounds(network(*networks.HAT), fl.Box(-1, 3, n_in=1))
    again = pickle.loads(pickle.dumps(found))
    assert (again.lower == found.lower).all() and again.method == "crown" and repr(again) == repr(found)
    with pytest.raises(AttributeError, match="frozen"):
        found.lower = 0
    with pytest.raises(ValueError, match="read-only"):
        found.lower[0] = 0


def test_bad_questions_are_refused():
    net = network(*networks.HAT)
    with pytest.raises(ValueError, match="method is 'ibp'; wanted one of 'interval', 'crown'"):
        fl.bounds(net, fl.Box(0, 1, n_in=1), method="ibp")
    with pytest.raises(ValueError, match="unbounded"):
        fl.bounds(net, fl.Space(1))
    with pytest.raises(ValueError, match="unbounded"):
        fl.bounds(net, fl.Polytope([[1]], [1]))
    with pytest.raises(ValueError, match="2 inputs; this network takes 1"):
        fl.bounds(net, fl.Box(0, 1, n_in=2))
    with pytest.raises(TypeError, match="wanted a Network"):
        fl.bounds(None, fl.Box(0, 1, n_in=1))
    wide = fl.Network([(np.ones((1, 9)), None), ([[1.0]], None)])
    with pytest.raises(ValueError, match="9 dimensions; .* at most 8"):
        fl.bounds(wide, fl.Polytope(np.vstack([np.eye(9), -np.ones((1, 9))]), np.ones(10)))


# The steps, one by one


def intervals_and_slopes(seed, n=400):
    rng = np.random.default_rng(seed)
    lower, upper = np.sort(rng.normal(size=(2, n)) * 10.0 ** rng.integers(-9, 9, n), axis=0)
    return lower, upper, rng.choice([0, 0.01, -1, 1, 0.3, 1.7, -2.1], n)


def exact_fold(z, slope):
    return z if z > 0 else z * Fraction(float(slope))


@pytest.mark.parametrize("seed", range(3))
def test_a_fold_lies_between_its_lines_and_within_its_interval(seed):
    lower, upper, slopes = intervals_and_slopes(seed)
    n = len(slopes)
    one = np.concatenate([np.eye(n), np.zeros((n, 1))], axis=1)
    relaxed = _Relaxed(lower, upper, slopes)
    lines = [relaxed.above_forms(sign * one) * sign for sign in (1, -1)]
    for j, (low, high, *ends) in enumerate(zip(*_folded(lower, upper, slopes), lower, upper)):
        (above, above_0), (below, below_0) = ([Fraction(line[j, k]) for k in (j, -1)] for line in lines)
        for z in (*map(Fraction, ends), *([Fraction(0)] if ends[0] < 0 < ends[1] else [])):
            value = exact_fold(z, slopes[j])
            assert below * z + below_0 <= value <= above * z + above_0
            assert low <= value <= high


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("rounded", ["fold", "layer", "both"])
def test_going_back_through_a_layer_never_loses_height(rounded, seed):
    """All units are stable and the box is a point: only slack keeps rounding from showing."""
    rng = np.random.default_rng(seed)
    n = 6 if rounded == "both" else 1
    w, b, u = rng.normal(size=(n, 4)), rng.normal(size=n), rng.normal(size=4)
    forms, slopes, doubt = rng.normal(size=(50, n + 1)), rng.choice([0.3, -1.7], n), np.full(n, 2.0**-70)
    if rounded != "both":
        b[0], doubt[0], forms[:, 1] = 0, 0, 0
        if rounded == "fold":
            w = np.array([[1.0, 0, 0, 0]])
        else:
            slopes[0] = 0.5
    for side in (-1, 1):
        z = [dot(row, u) + Fraction(c) + side * Fraction(d) for row, c, d in zip(w, b, doubt)]
        sums = [np.array([np.nextafter(float(x), end) for x in z]) for end in (-np.inf, np.inf)]
        passage = _Passage(_Affine(w, b, doubt), _Relaxed(*sums, slopes), (u, u), sums)
        below, slack = passage.back(forms, np.zeros(50))
        a = [exact_fold(x, slope) for x, slope in zip(z, slopes)]
        for form, bound, loss in zip(forms, below, slack):
            height = sum(x * y for x, y in zip(fractions(form), [*a, Fraction(1)]))
            assert height <= dot(bound, [*u, 1]) + Fraction(loss)
            assert loss < 1e-12


@pytest.mark.parametrize("seed", range(5))
def test_doubt_about_a_layer_is_carried_back(seed):
    rng = np.random.default_rng(seed)
    w, forms = rng.integers(-3, 4, (3, 2)).astype(float), rng.integers(-3, 4, (20, 4)).astype(float)
    sums = np.full(3, 1.0), np.full(3, 100.0)
    layer = _Affine(w, np.zeros(3), np.array([0.5, 0.25, 2.0]))
    passage = _Passage(layer, _Relaxed(*sums, np.zeros(3)), (np.zeros(2), np.ones(2)), sums)
    _, slack = passage.back(forms, np.zeros(20))
    assert (slack == abs(forms[:, :3]) @ layer.doubt).all()


def test_the_highest_value_is_rounded_upward():
    box = np.zeros(1), np.ones(1)
    assert _highest(np.array([[0.5, 0.5]]), np.zeros(1), box) == 1
    assert _highest(np.array([[0.5, 0.5]]), np.array([2.0**-60]), box) == 1 + 2.0**-52


def dot(a, b):
    return sum(x * y for x, y in zip(fractions(a), fractions(b)))


# The sums they stand on


def numbers(seed, shape):
    """Floats of every size, with zeros and small integers among them."""
    rng = np.random.default_rng(seed)
    wild = rng.normal(size=shape) * 2.0 ** rng.integers(-600, 400, shape)
    plain = rng.integers(-3, 4, shape).astype(float)
    return np.where(rng.random(shape) < 0.5, plain, wild)


@pytest.mark.parametrize("seed", range(10))
def test_the_error_of_a_product_is_within_its_bound(seed):
    a, b = numbers(seed, (7, 9)), numbers(seed + 100, (9, 5))
    if seed % 2:
        a, b = np.random.default_rng(seed).normal(size=(7, 9)), np.round(b) % 7
    reach = abs(numbers(seed + 200, 5))
    off = abs(reference.Exact.of(a @ b) - reference.Exact.of(a) @ reference.Exact.of(b))
    wanted = (off @ reference.Exact.of(reach)).fractions()
    for bound, value in zip(Factor.of(b, reach).error(a).tolist(), wanted):
        assert bound == np.inf or Fraction(bound) >= value


def test_products_that_need_no_rounding_have_no_error():
    rng = np.random.default_rng(0)
    a, b = rng.integers(-9, 10, (5, 30)) / 8, rng.integers(-9, 10, (30, 4)) / 1024
    assert (Factor.of(b, np.ones(4)).error(a) == 0).all()
    a[0, 0] = 2.0**-60
    assert (Factor.of(b, np.ones(4)).error(a) > 0).tolist() == [True, False, False, False, False]


def test_sums_and_products_rounded_up_are_never_below():
    a, b = numbers(1, 4000), numbers(2, 4000)
    b[::3] = -a[::3] * (1 + 2.0**-52)
    with np.errstate(over="ignore"):
        rows = list(zip(a.tolist(), b.tolist(), add_up(a, b).tolist(), multiply_up(a, b).tolist()))
    for x, y, total, product in rows:
        assert total == np.inf or Fraction(total) >= Fraction(x) + Fraction(y)
        assert product == np.inf or Fraction(product) >= Fraction(x) * Fraction(y)
    assert add_up(1.0, 2.0**-53) == 1 + 2.0**-52 and add_up(1.0, 2.0) == 3
    assert multiply_up(3.0, 0.5) == 1.5 and multiply_up(0.1, 0.1) > Fraction(0.1) ** 2
    total, rest = two_sum(1.0, 2.0**-60)
    assert (total, rest) == (1, 2.0**-60)


def test_lowest_bits_are_those_of_the_exact_ratio():
    values = numbers(3, 500)
    for value, lowest in zip(values.tolist(), lowest_bits(values).tolist()):
        if value:
            odd = abs(Fraction(value) / Fraction(2) ** lowest)
            assert odd.denominator == 1 and odd.numerator % 2
        else:
            assert lowest > 2000


def test_rounding_counts_where_magnitudes_overflow():
    """The sum of magnitudes is infinite; the largest sum, 3.5e291, is lost in roundings of 1e292."""
    weights = [[1.5708657294046234e308, -6.032588152024762e307, 1.6203110891392077e308]]
    net = fl.Network([(weights, [-7.504278655189072e307]), ([[1.0]], None)])
    box = fl.Box([0.25, 0.75, 0.5], [0.25000000000000266, 0.7500000000000027, 0.5000000000000003])
    for method in ("interval", "crown"):
        found = fl.bounds(net, box, method=method)
        assert found.upper[0] > 3.5e291 and found.lower[0] < 0
    assert not fl.check_affine(net, box) and not fl.check_monotone(net, box, 0, -1)
    assert fl.lipschitz(net, box, max_regions=1).upper > 1e308
