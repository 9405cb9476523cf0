"""Convex, monotone, how steep, where it bends, how far it is affine: against cells in fractions."""

import math
import time
from fractions import Fraction

import networks
import numpy as np
import pytest
from test_regions import integer_network, network

import foldline as fl
from foldline import cells, derivative_bounds, shape
from foldline.exact_cells import ExactWalk
from foldline.lipschitz import Steepest
from foldline.sensitivity import sensitivities

DOMAINS = {
    "box": lambda d: fl.Box(-1, 1, n_in=d),
    "ball": lambda d: fl.Ball(np.arange(d) / 4, 1.25),
    "simplex": lambda d: fl.Polytope(np.vstack([-np.eye(d), np.ones((1, d))]), [*[0.5] * d, 1]),
}
SHAPES = [(1, "box"), (2, "box"), (2, "ball"), (2, "simplex")]
CASES = [*((seed, *shape) for seed in range(8) for shape in SHAPES), *((seed, 3, "box") for seed in range(3))]


def integer_case(seed, d, name):
    rng = np.random.default_rng(seed)
    net = integer_network(seed, (d, 3, 3, 1 + seed % 2), bias=seed % 3 > 0, largest=1 + seed % 2)
    if seed % 4 == 1:  # often convex
        weights = [net.weights[0], *map(abs, net.weights[1:])]
        net = fl.Network(list(zip(weights, net.biases)))
    if seed % 4 == 2:
        slopes = [rng.choice([0.0, -1.0, 0.5, 2.0, 1.0], n) for n in net.widths]
        net = fl.Network(list(zip(net.weights, net.biases)), activation=slopes)
    return net, DOMAINS[name](d)


def exact_cells(net, domain):
    """(map as rows of `Fraction`, corners) of every region."""
    chain = cells.ExactChain(net, domain)
    unit = Fraction(2) ** chain.exponent
    found = []
    for _, cell, forms in cells.iter_cells(chain):
        corners = [[Fraction(u, v[-1]) for u in v[:-1]] for v in cell.vertices]
        found.append(([[m * unit for m in row] for row in forms.tolist()], corners))
    return found


def value(row, u):
    return sum(m * x for m, x in zip(row, [*u, 1]))


def is_convex(found):
    """A function of pieces is convex iff each piece is the largest of all at its own corners."""
    return all(
        value(row, u) <= value(rows[k], u)
        for rows, corners in found
        for u in corners
        for others, _ in found
        for k, row in enumerate(others)
    )


@pytest.fixture
def only_regions(monkeypatch):
    """Without what decides easy questions beforehand."""
    monkeypatch.setattr(shape, "_is_convex_by_bounds", lambda *_: False)
    monkeypatch.setattr(shape, "_chord_above", lambda *_: None)
    monkeypatch.setattr(
        shape, "jacobian_bounds", lambda net, _: (np.full((net.n_out, net.n_in), s * np.inf) for s in (-1, 1))
    )


@pytest.mark.parametrize("case", CASES, ids=str)
def test_convex_and_monotone_are_decided_as_in_fractions(case):
    check_both(*integer_case(*case))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_they_are_by_regions_alone(case, only_regions):
    check_both(*integer_case(*case))


def check_both(net, domain):
    found = exact_cells(net, domain)
    verdict = fl.check_convex(net, domain)
    assert verdict.status == ("yes" if is_convex(found) else "no") and bool(verdict) == is_convex(found)
    assert verdict.by in ("bounds", "regions") if verdict else verdict.witness.verify()
    for sign in (1, -1):
        expected = all(row[0] * sign >= 0 for rows, _ in found for row in rows)
        verdict = fl.check_monotone(net, domain, 0, sign)
        assert verdict.status == ("yes" if expected else "no")
        assert verdict or verdict.witness.verify()


def test_both_answers_are_met_in_these_tests():
    cases = [integer_case(*case) for case in CASES]
    assert {bool(fl.check_convex(*case)) for case in cases} == {True, False}
    assert {bool(fl.check_monotone(*case, 0)) for case in cases} == {True, False}


@pytest.mark.parametrize("n", [2, 3, 4])
@pytest.mark.parametrize("build", [networks.sequential_max, networks.sequential_max_of_relus])
def test_a_maximum_is_convex_increasing_and_has_slope_1_and_its_negative_is_not(n, build):
    layers, slopes = build(n)
    net, box = network(layers, slopes), fl.Box(-1, 1, n_in=n)
    assert fl.check_convex(net, box)
    assert all(fl.check_monotone(net, box, k) for k in range(n))
    assert not fl.check_monotone(net, box, 0, -1)
    found = fl.lipschitz(net, box)
    assert (found.lower, found.upper, found.status) == (1, 1, "complete") and found.steepest.verify()
    w, b = layers[-1]
    minimum = fl.check_convex(network([*layers[:-1], (-w, -b)], slopes), box)
    assert minimum.status == "no" and minimum.witness.verify() and minimum.witness.gap() > 0


@pytest.mark.parametrize("seed", range(4))
def test_in_doubles_convexity_is_decided_across_the_facets_of_one_neuron(seed, only_regions, monkeypatch):
    layers, slopes = networks.random_network(seed, (2, 6, 5, 1), slopes=0)
    monkeypatch.setattr(shape, "_convex_by_exact_regions", None)  # never wanted: nothing is degenerate
    net, box = network(layers, slopes), fl.Box(-1, 1, n_in=2)
    verdict = fl.check_convex(net, box)
    assert verdict.status == ("yes" if is_convex(exact_cells(net, box)) else "no")
    assert verdict or verdict.witness.verify()
    layers = [layers[0], *((abs(w), b) for w, b in layers[1:])]
    verdict = fl.check_convex(network(layers, slopes), box)
    assert (verdict.status, verdict.by) == ("yes", "regions")
    assert verdict.n_regions == fl.count_regions(network(layers, slopes), box).count


def test_patterns_that_differ_in_one_neuron_need_not_be_neighbours():
    """z = relu(|x| - 1): x < -1 and x > 1 differ in the bit of |x| only, and that fold is at 0."""
    net = fl.Network([([[1.0]], None), ([[1.0]], [-1.0]), ([[-1.0]], None)], activation=[[-1.0], [0.0]])
    box = fl.Box(-3, 3, n_in=1)
    walk = ExactWalk(cells.ExactChain(net, box))
    beyond = np.packbits([True, True], bitorder="little")
    assert shape._witness_across(net, box, walk, beyond, 0) is None
    assert shape._witness_across(net, box, walk, beyond, 1).verify()


def test_a_jump_too_small_for_doubles_is_seen():
    tiny = 2.0**-70
    box = fl.Box(-1, 1, n_in=1)
    for sign, status in ((1, "yes"), (-1, "no"), (0, "yes")):
        # x relu'd up and down: the slopes differ by sign * tiny
        net = fl.Network([([[1.0], [-1.0], [1.0]], None), ([[1.0, -1.0, sign * tiny]], None)])
        verdict = fl.check_convex(net, box)
        assert verdict.status == status and (status == "yes" or verdict.witness.verify())
        assert len(fl.folds(net, box)) == abs(sign)
    net = fl.Network([([[1.0], [-1.0]], None), ([[0.0, 0.0]], None)])
    assert fl.check_monotone(net, box, 0) and fl.check_monotone(net, box, 0, -1)
    net = fl.Network([([[1.0], [1.0], [1.0]], [2.0, 3.0, 4.0]), ([[1.0, 1.0 + tiny, -2.0 - 2.0**-40]], None)])
    assert fl.check_monotone(net, box, 0).status == "no"


def operator_norm(rows, norm):
    matrix = [[abs(m) for m in row[:-1]] for row in rows]
    return max(map(sum, matrix)) if norm == "inf" else max(map(sum, zip(*matrix)))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_lipschitz_constants_are_those_of_the_steepest_region(case):
    net, domain = integer_case(*case)
    found = exact_cells(net, domain)
    for norm in ("inf", "1"):
        expected = max(operator_norm(rows, norm) for rows, _ in found)
        got = fl.lipschitz(net, domain, norm)
        assert Fraction(got.lower) == Fraction(got.upper) == expected and float(got) == expected
        assert got.steepest.verify()
    matrices = [np.array(rows, float)[:, :-1] for rows, _ in found]
    expected = max(np.linalg.norm(a, 2) if a.any() else 0 for a in matrices)
    got = fl.lipschitz(net, domain, 2)
    assert got.lower <= expected * (1 + 1e-14) and expected <= got.upper * (1 + 1e-14)
    assert got.upper - got.lower <= 1e-12 * max(expected, 1) and got.steepest.verify()


def test_a_ratio_that_is_too_large_is_refused_as_is_a_point_outside():
    net = fl.Network([([[1.0, 2.0], [3.0, -1.0]], None), ([[2.0, -1.0]], None)])
    box = fl.Box(-1, 1, n_in=2)
    for norm in ("inf", "1", "2"):
        s = fl.lipschitz(net, box, norm).steepest
        assert s.verify()
        assert not Steepest(net, box, s.x, s.y, norm, math.nextafter(s.ratio, 9) + 1e-12).verify()
        assert not Steepest(net, fl.Box(2, 3, n_in=2), s.x, s.y, norm, s.ratio).verify()
    w = fl.check_convex(net, box).witness
    assert w.verify() and not shape.NotConvex(net, box, w.y, w.y, 0).verify()
    m = fl.check_monotone(net, box, 0).witness
    assert m.verify() and not shape.NotMonotone(net, box, m.y, m.x, 0, 1, 0).verify()
    assert not shape.NotMonotone(net, box, m.x, m.y, 1, 1, 0).verify()


def test_where_a_limit_is_met_what_is_known_is_returned():
    net = network(*networks.random_network(5, (4, 16, 16, 1), slopes=0))
    box = fl.Box(-1, 1, n_in=4)
    whole, part = fl.lipschitz(net, box), fl.lipschitz(net, box, max_regions=10)
    assert part.status == "limit" and part.n_regions == 10 and part.steepest.verify()
    assert part.lower <= whole.lower <= whole.upper <= part.upper < math.inf
    layers, slopes = networks.sequential_max(5)
    convex = network(layers, slopes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shape, "_is_convex_by_bounds", lambda *_: False)
        verdict = fl.check_convex(convex, fl.Box(-1, 1, n_in=5), max_regions=3)
    assert verdict.status == "undecided" and not verdict and verdict.n_regions == 3


@pytest.mark.parametrize("case", CASES, ids=str)
def test_folds_are_the_facets_with_a_jump(case):
    net, domain = integer_case(*case)
    d, found = domain.dimension, fl.folds(net, domain)
    facets, expected = {}, 0
    chain = cells.ExactChain(net, domain)
    for _, cell, forms in cells.iter_cells(chain):
        for facet in cells.facet_vertices(cell, d):
            if facet in facets:
                expected += (facets[facet] != forms).any()
            facets[facet] = forms
    assert len(found) == expected
    r = found.regions
    for (i, j), normal, jump, corners, neurons in zip(*found[1:6]):
        np.testing.assert_allclose(r.A[j] - r.A[i], jump[:, None] * normal, atol=1e-12)
        assert math.isclose(np.linalg.norm(normal), 1) and len(corners) >= d and len(neurons)
        assert (normal @ (r.interior_points[j] - r.interior_points[i])) > 0
        for u in corners:
            np.testing.assert_allclose(r.A[i] @ u + r.b[i], r.A[j] @ u + r.b[j], atol=1e-12)


@pytest.mark.parametrize("case", [c for c in CASES if c[1] < 3 and c[2] == "box"], ids=str)
def test_the_affine_radius_is_where_the_map_changes(case):
    net, _ = integer_case(*case)
    points = np.random.default_rng(case[0]).integers(-8, 9, (4, net.n_in)) / 8.0
    lower, upper = fl.affine_radius(net, points)
    assert (fl.linear_radius(net, points) <= lower).all()
    for point, low, high in zip(points, lower, upper):
        if math.isinf(high):
            assert fl.count_regions(net, fl.Space(net.n_in), kind="affine").count == 1
            continue
        assert low <= high <= low * (1 + 1e-9)
        assert low == 0 or fl.count_regions(net, fl.Ball(point, low), kind="affine").count == 1
        wider = fl.Ball(point, max(high * (1 + 2.0**-20), 2.0**-20))
        assert fl.count_regions(net, wider, kind="affine").count > 1


def test_folds_that_cancel_are_crossed_and_exact_radii_are_exact():
    net = network(*networks.two_neurons([1, 2], [-2, -4], [2, -1]))
    assert np.isinf(fl.affine_radius(net, [[0.0, 0.0], [3.0, 1.0]])).all()
    net = fl.Network([([[1.0], [-1.0], [1.0]], [0.0, 0.0, -2.0]), ([[1.0, -1.0, 1.0]], None)])
    lower, upper = fl.affine_radius(net, [[0.5], [0.0], [2.0], [-1.0]])
    assert lower.tolist() == [1.5, 2.0, 0.0, 3.0]
    assert upper[2] == 0 and (upper <= np.nextafter(lower, np.inf)).all()
    net = network(*networks.random_network(1, (3, 8, 8, 1), slopes=0))
    point = np.array([[0.1, 0.2, 0.3]])
    lower, upper = fl.affine_radius(net, point, max_regions=1)
    assert lower[0] == fl.linear_radius(net, point)[0] and upper[0] == math.inf


@pytest.mark.parametrize("seed", range(3))
def test_bounds_of_derivatives_hold_in_every_region_and_sensitivities_are_jumps(seed):
    net = network(*networks.random_network(seed, (2, 6, 5, 2)))
    box = fl.Box(-1, 1, n_in=2)
    r = fl.regions(net, box)
    low, high = derivative_bounds.jacobian_bounds(net, box)
    assert (low <= r.A + 1e-12).all() and (r.A <= high + 1e-12).all()
    bits = fl.unpack_patterns(r.patterns, net.n_neurons)
    values, errors = sensitivities(net, bits)
    pairs = [(i, j, f[0]) for (i, j), f in zip(r.neighbours, r.flips) if len(f) == 1]
    z = net.preactivations(r.interior_points)
    for i, j, neuron in pairs:
        jump = r.A[j] @ r.interior_points[j] + r.b[j] - r.A[i] @ r.interior_points[j] - r.b[i]
        side = 1 if bits[j, neuron] else -1
        np.testing.assert_allclose(jump, side * values[j, :, neuron] * z[j, neuron], atol=1e-12)
    assert (errors < 1e-12).all()


def test_bad_questions_say_what_came_and_what_was_wanted():
    net, box = fl.Network([([[1.0, 1.0]], None), ([[1.0]], None)]), fl.Box(-1, 1, n_in=2)
    plane = fl.Plane([0, 0], [1, 0], [0, 1])
    for call, message in (
        (lambda: fl.check_convex(net, fl.Space(2)), "the domain is all of space"),
        (lambda: fl.check_monotone(net, fl.Space(2), 0), "the domain is all of space"),
        (lambda: fl.lipschitz(net, fl.Space(2)), "the domain is all of space"),
        (lambda: fl.folds(net, fl.Space(2)), "the domain is all of space"),
        (lambda: fl.check_monotone(net, box, 2), "feature is 2; wanted an int from 0 to 1"),
        (lambda: fl.check_monotone(net, box, -1), "feature is -1; wanted an int from 0 to 1"),
        (lambda: fl.check_monotone(net, box, 0, 2), "sign is 2; wanted 1 or -1"),
        (lambda: fl.check_monotone(net, plane, 0), "the domain is a Plane; wanted a Box, Ball or Polytope"),
        (lambda: fl.lipschitz(net, plane), "the domain is a Plane"),
        (lambda: fl.lipschitz(net, box, "3"), "norm is '3'; wanted one of 'inf', '1', '2'"),
        (lambda: fl.affine_radius(net, [[0.0, 0.0]], norm=2), "norm is 2; wanted 'inf'"),
        (lambda: fl.affine_radius(net, [[0.0]]), r"points has shape \(1, 1\); this network takes"),
        (lambda: fl.affine_radius(net, [[np.nan, 0.0]]), "points has nan"),
        (lambda: fl.check_convex(net, box, max_regions=0), "max_regions is 0; wanted an int, at least 1"),
        (lambda: fl.lipschitz(net, box, time_limit=-1), "time_limit is -1; wanted more than 0"),
        (lambda: fl.check_convex(net, fl.Box(-1, 1, n_in=3)), "the domain has 3 inputs"),
        (lambda: fl.check_convex(net, fl.Polytope([[1, 0], [-1, 0]], [0, 0])), "empty or flat|unbounded"),
        (lambda: fl.folds(fl.Network([(np.ones((1, 7)), None)]), fl.Box(-1, 1, n_in=7)), "has 7 dimensions"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    with pytest.raises(TypeError, match="feature is 'a'"):
        fl.check_monotone(net, box, "a")
    with pytest.raises(TypeError, match="net is str; wanted a Network"):
        fl.affine_radius("net", [[0.0]])


def test_in_many_dimensions_a_limit_of_time_leaves_out_what_is_exact():
    net = network(*networks.random_network(2, (300, 120, 60, 2), slopes=0.0))
    ball = fl.Ball([0.1] * 300, 1e-6)
    begin = time.monotonic()
    found = fl.lipschitz(net, ball, time_limit=0.4)
    assert found.steepest is None and found.upper > found.lower > 0
    radius = fl.affine_radius(net, [[0.1] * 300], time_limit=0.4)
    assert 0 < radius.lower[0] <= radius.upper[0]
    assert time.monotonic() - begin < 10  # on a busy machine


def test_points_that_show_something_are_had_as_inputs():
    net = network([([[1.0, 0.0]], [-0.7]), ([[-1.0]], None)], [[0.0]])
    ball = fl.Ball([0.7, 0.5], 0.05)
    pairs = (
        fl.check_convex(net, ball).witness,
        fl.check_monotone(net, ball, 0).witness,
        fl.lipschitz(net, ball).steepest,
    )
    for pair in pairs:
        assert pair.verify() and pair.inputs.shape == (2, 2) and not pair.inputs.flags.writeable
        assert (abs(pair.inputs - [0.7, 0.5]) <= 0.05 + 1e-15).all()
        assert np.allclose(pair.inputs - [0.7, 0.5], [[float(v) for v in p] for p in (pair.x, pair.y)])
    x, y = pairs[2].inputs
    assert np.isclose(abs(net(y[None]) - net(x[None])).max(), pairs[2].ratio * abs(y - x).max())


def test_radii_among_subnormal_numbers_are_enclosed():
    net = fl.Network([([[1.0]], [-1.5e-323]), ([[1.0]], None)])
    found = fl.affine_radius(net, [[0.0]])
    assert found.lower[0] <= 1.5e-323 <= found.upper[0] <= 3e-323


def test_a_bend_far_away_is_one():
    found = fl.affine_radius(fl.Network([([[1.0]], [-1e19]), ([[1.0]], None)]), np.zeros((1, 1), np.float32))
    assert found.lower[0] <= 1e19 <= found.upper[0] < 1.1e19
    with pytest.raises(TypeError, match="masked"):
        fl.affine_radius(fl.Network([([[1.0]], None)]), np.ma.masked_array([[1.0]], [[True]]))
