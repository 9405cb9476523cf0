"""Products of numbers that are not 0 may be 0 in doubles; nothing that is proved may rest on that."""

import itertools
import math
import warnings
from fractions import Fraction

import numpy as np
import pytest
import reference

import foldline as fl
from foldline import cli
from foldline.cells import ExactChain
from foldline.derivative_bounds import jacobian_bounds
from foldline.exact_cells import ExactWalk
from foldline.exact_forms import map_on
from foldline.maps import maps_of
from foldline.walk import check_engine

LINE, SQUARE = fl.Box(-1, 1, n_in=1), fl.Box(-1, 1, n_in=2)
TINY = 1e-200
KINDS = "activation", "linear", "affine"


@pytest.fixture(autouse=True)
def warnings_are_errors():
    with warnings.catch_warnings(action="error"):
        yield


def tiny_network(seed, widths, exponents, slope=0.0):
    """Small integers times a power of ten for each layer; layers and slopes as `reference` has them."""
    rng = np.random.default_rng(seed)
    layers = [
        (rng.integers(-3, 4, (n, m)) * 10.0**e, rng.integers(-2, 3, n) * 10.0**e)
        for e, (m, n) in zip(itertools.cycle(exponents), itertools.pairwise(widths))
    ]
    return layers, [np.full(n, slope) for n in widths[1:-1]]


def network(layers, slopes):
    return fl.Network(layers, activation=slopes)


def counts(net, domain, kind="activation"):
    engines = dict.fromkeys(("exact", "lp", check_engine("auto", domain.dimension)))
    found = [fl.count_regions(net, domain, kind=kind, engine=engine) for engine in engines]
    assert all(c.status == "complete" and c.certified == "exact" for c in found)
    return [c.count for c in found]


@pytest.mark.parametrize("slope", [0.0, -1.0, 0.25, 1e-200])
@pytest.mark.parametrize(
    "exponents", [(-154,), (-162,), (-200,), (-300,), (-308, 150), (150, -308), (-320, 0)]
)
@pytest.mark.parametrize("widths", [(1, 5, 4, 4, 1), (2, 4, 3, 1), (3, 4, 3, 1)])
def test_all_engines_find_the_regions_of_tiny_networks(widths, exponents, slope):
    for seed in range(2):
        layers, slopes = tiny_network(seed, widths, exponents, slope)
        net = network(layers, slopes)
        d = widths[0]
        for domain in (fl.Box(-1, 1, n_in=d), fl.Box(-1e-30, 3e-30, n_in=d), fl.Space(d)):
            assert len(set(counts(net, domain))) == 1
        for kind in KINDS[1:]:
            assert len(set(counts(net, fl.Box(-1, 1, n_in=d), kind))) == 1
        found = fl.regions(net, fl.Box(-1, 1, n_in=d))
        patterns = {pattern.tobytes() for pattern in found.patterns}
        assert len(patterns) == len(found) == counts(net, fl.Box(-1, 1, n_in=d))[0]
        points = np.random.default_rng(seed).uniform(-1, 1, (200, d))
        assert {p.tobytes() for p in reference.patterns(layers, slopes, points)} <= patterns


@pytest.mark.parametrize("seed", range(8))
def test_deep_networks_shrink_until_nothing_is_left_in_doubles(seed):
    net = network(*tiny_network(seed, (1, 5, 4, 4, 1, 1), (-154,)))
    assert len(set(counts(net, fl.Space(1)))) == len(set(counts(net, LINE))) == 1
    narrow = fl.Network([(w * 2.0**-149, b * 2.0**-149) for w, b in zip(net.weights, net.biases)])
    assert len(set(counts(narrow, LINE))) == 1


def test_deep_networks_of_float32_underflow_too():
    for seed in range(4):
        layers, slopes = tiny_network(seed, (2, 4, 3, 3, 3, 3, 3, 3, 3, 1), (-43, -41), 0.25)
        layers, slopes = [[np.float32(a) for a in part] for part in layers], [s.astype("f4") for s in slopes]
        assert len(set(counts(network(layers, slopes), SQUARE))) == 1


def test_a_fold_whose_weights_underflow_is_found():
    net = fl.Network([(np.eye(2) * TINY, None), ([[TINY, -TINY]], None), ([[1.0]], None)])
    assert [set(counts(net, SQUARE, kind)) for kind in KINDS] == [{5}, {3}, {3}]
    assert [set(counts(net, fl.Space(2), kind)) for kind in KINDS] == [{5}, {3}, {3}]
    net = fl.Network([([[TINY], [-TINY]], [0, TINY / 2]), ([[TINY, -TINY]], None), ([[1.0]], None)])
    assert [set(counts(net, LINE, kind)) for kind in KINDS] == [{4}, {3}, {3}]


def test_patterns_are_right_where_all_signs_vanish_in_doubles():
    net = fl.Network([([[TINY]], None), ([[TINY]], None), ([[1.0]], None)], "abs")
    assert [set(counts(net, LINE, kind)) for kind in KINDS] == [{2}, {2}, {2}]
    assert fl.regions(net, LINE).patterns.ravel().tolist() == [2, 3]


def test_domains_may_be_as_small_as_numbers_are():
    layers = [([[1.0, 0.0], [1.0, -1.0]], None), ([[1.0, 1.0], [1.0, -1.0]], None), ([[1.0, 1.0]], None)]
    net = fl.Network(layers)
    wanted = counts(net, SQUARE)[0]
    for size in (1e-160, 1e-300, 1e-310, 5e-324):
        assert set(counts(net, fl.Box(-size, size, n_in=2))) == {wanted}


def test_zeros_stay_exact():
    weights = np.zeros((6, 2))
    weights[0] = 1, -0.5
    net = fl.Network([(weights, None), (np.zeros((5, 6)), None), (np.ones((1, 5)), None)])
    found = fl.count_regions(net, SQUARE)
    assert found.count == 2 and found.stats["by_rationals"] == 0


def test_a_cell_that_does_not_exist_is_an_error():
    net = fl.Network([([[1.0], [1.0]], [0.0, -0.5]), ([[1.0, 1.0]], None)])
    walk = ExactWalk(ExactChain(net, LINE))
    assert [row.bits for row in walk.rows_of([(True, False)])] == [(True, False)]
    with pytest.raises(RuntimeError, match="1 of 2 cells do not exist"):
        list(walk.rows_of([(False, True), (True, True)]))


def test_maps_that_differ_by_what_underflows_are_told_apart():
    net = fl.Network([([[TINY]], None), ([[TINY]], None), ([[-1.0]], None)])  # -t^2 relu(x)
    assert fl.check_convex(net, LINE).status == "no" and fl.check_convex(net, LINE).witness.verify()
    assert fl.check_monotone(net, LINE, 0, 1).status == "no"
    assert fl.check_monotone(net, LINE, 0, -1).status == "yes"
    assert fl.check_affine(net, LINE).status == "not_affine"
    assert [set(counts(net, LINE, kind)) for kind in KINDS] == [{2}, {2}, {2}]
    found = fl.folds(net, LINE)
    assert found.normals.tolist() == [[1.0]] and found.vertices[0].tolist() == [[0.0]]
    radius = fl.affine_radius(net, [[0.5]])
    assert radius.lower[0] <= 0.5 <= radius.upper[0] <= 0.5 * (1 + 1e-9)
    formulas = [piece.maps for piece in fl.explain(net, LINE).pieces]
    assert formulas == [((0, 0),), ((-(Fraction(TINY) ** 2), 0),)]
    for norm in ("inf", "1", "2"):
        found = fl.lipschitz(net, LINE, norm)
        assert Fraction(found.lower) <= Fraction(TINY) ** 2 <= Fraction(found.upper) <= Fraction(1e-300)
        assert found.steepest.verify()


@pytest.mark.parametrize("factors", [(5e-324, 5e-324), (1e-160, 1e-170), (1e-300, 1e-10, 1e-20, 1e300)])
def test_what_underflows_has_a_sign(factors):
    net = fl.Network([([[factor]], None) for factor in factors])
    assert fl.check_monotone(net, LINE, 0, 1) and not fl.check_monotone(net, LINE, 0, -1)
    net = fl.Network([([[factor]], None) for factor in (*factors, -1.0)])
    assert fl.check_monotone(net, LINE, 0, -1) and not fl.check_monotone(net, LINE, 0, 1)
    assert not fl.check_convex(net, LINE)


@pytest.mark.parametrize("slope", [0.0, -1.0, 0.25, 1e-200, 1 - 2.0**-53])
@pytest.mark.parametrize("exponents", [(-162,), (-300,), (150, -308), (-308, 300), (-154, 150, -308)])
def test_bounds_of_derivatives_hold_where_products_underflow(exponents, slope):
    for seed in range(5):
        layers, slopes = tiny_network(seed, (2, 3, 3, 3, 2), exponents, slope)
        net, chain = network(layers, slopes), ExactChain(network(layers, slopes), SQUARE)
        patterns = fl.regions(net, SQUARE).patterns
        maps, errors = maps_of(net, SQUARE, patterns)
        low, high = jacobian_bounds(net, SQUARE)
        for bits, rows in zip(fl.unpack_patterns(patterns, net.n_neurons).tolist(), maps):
            exact = map_on(chain, bits)
            for i, j in np.ndindex(2, 3):
                assert abs(Fraction(rows[i, j]) - exact[i][j]) <= Fraction(errors[i, j])
                assert j == 2 or Fraction(low[i, j]) <= exact[i][j] <= Fraction(high[i, j])


@pytest.mark.parametrize("slope", [0.0, -1.0, 0.25, 1e-200])
@pytest.mark.parametrize("exponents", [(-162,), (-200,), (-308, 150)])
def test_questions_about_tiny_networks_have_the_answers_of_large_ones(exponents, slope):
    """All layers times a power of two: the same function, but for a factor."""
    for seed in range(4):
        layers, slopes = tiny_network(seed, (2, 3, 2, 1), (0,), slope if slope > 1e-100 else 0.0)
        size = 2.0 ** (3 * exponents[0])
        large = network([(w, b * 0) for w, b in layers], slopes)
        tiny = network([(w * size, b * 0) for w, b in layers], slopes)
        assert len(set(counts(tiny, SQUARE) + counts(large, SQUARE))) == 1
        for kind in KINDS[1:]:
            assert len(set(counts(tiny, SQUARE, kind) + counts(large, SQUARE, kind))) == 1
        assert fl.check_convex(tiny, SQUARE).status == fl.check_convex(large, SQUARE).status
        assert fl.check_affine(tiny, SQUARE).status == fl.check_affine(large, SQUARE).status
        for feature, sign in itertools.product((0, 1), (1, -1)):
            answers = [fl.check_monotone(net, SQUARE, feature, sign).status for net in (tiny, large)]
            assert answers[0] == answers[1]
        first, second = fl.folds(tiny, SQUARE), fl.folds(large, SQUARE)
        assert len(first) == len(second)
        ends = [sorted(np.sort(v, axis=0).round(9).tolist() for v in f.vertices) for f in (first, second)]
        assert ends[0] == ends[1]
        spaces = [fl.regions(net, SQUARE).half_spaces for net in (tiny, large)]
        assert sorted(map(str, spaces[0].neurons)) == sorted(map(str, spaces[1].neurons))


def test_a_crossing_too_near_to_the_start_for_doubles_has_an_error():
    net = fl.Network([([[1e300]], [-5e-324]), ([[1.0]], None)])
    found = fl.knots(net, [0.0], [1.0])
    exact = Fraction(5e-324) / Fraction(1e300)
    assert abs(Fraction(found.t[0]) - exact) <= Fraction(found.t_error[0])


def test_norms_of_tiny_and_of_huge_matrices_have_bounds():
    for size in (5e-324, 1e-310, 1e-200, 1.0, 1e150, 1e308):
        net = fl.Network([(np.array([[1.0, 1.0], [1.0, 0.0]]) * size, None)])
        found = fl.lipschitz(net, SQUARE, 2)
        exact = Fraction(size) ** 2 * Fraction(2.618033988749895)
        assert Fraction(found.lower) ** 2 <= exact * (1 + Fraction(2.0**-40))
        assert math.isinf(found.upper) or Fraction(found.upper) ** 2 >= exact * (1 - Fraction(2.0**-40))
        assert found.upper <= found.lower * (1 + 1e-9) + 1e-312 or size == 1e308
        assert found.steepest.verify()


@pytest.mark.parametrize("norm", ["inf", "1", "2"])
def test_slopes_beyond_all_doubles_have_infinite_bounds(norm):
    found = fl.lipschitz(fl.Network([([[1e200]], None), ([[1e200]], None)]), LINE, norm)
    assert (found.lower, found.upper) == (np.finfo(float).max, math.inf) and found.steepest.verify()


def test_domains_may_be_as_large_as_numbers_are():
    convex = fl.Network([([[1.0, 1.0], [1.0, -1.0]], None), ([[1.0, 1.0]], None)])
    mixed = fl.Network([([[1.0, 1.0], [1.0, -1.0]], None), ([[1.0, -1.0]], None)])
    for size in (1e200, 1.7e308):
        box = fl.Box(-size, size, n_in=2)
        assert np.isinf(fl.regions(convex, box).volumes).all() and len(fl.folds(convex, box)) == 4
        assert fl.check_convex(convex, box).status == "yes" and fl.check_convex(mixed, box).status == "no"
        assert fl.check_affine(convex, box).status == "not_affine"
    box = fl.Box(-1e200, 1e200, n_in=2)
    pieces = fl.explain(convex, box).pieces
    assert len(pieces) == 4 and all(math.isnan(piece.share) for piece in pieces)


def test_without_hidden_layers_there_is_one_region_however_thin_or_large_the_domain_is():
    net = fl.Network([([[1.0, 2.0]], None)])
    for low, high in ((1, 1 + 2.0**-52), (-1.7e308, 1.7e308), (0, 5e-324)):
        for engine in ("polygons", "lp", "exact"):
            found = fl.count_regions(net, fl.Box(low, high, n_in=2), engine=engine)
            assert (found.count, found.certified) == (1, "exact")


def test_what_overflows_is_infinite():
    net = fl.Network([([[1e200]], None), ([[1e200]], None)])
    found = fl.regions(net, LINE)
    assert found.A.ravel().tolist() == [0, math.inf] and found.b.ravel().tolist() == [0, 0]
    assert len(found.half_spaces.h) == 4 and found.jumps.A.ravel().tolist() == [math.inf]
    assert fl.folds(net, LINE).jumps.tolist() == [[math.inf]]
    explained = fl.explain(net, LINE)
    assert explained.pieces[1].maps == ((Fraction(1e200) ** 2, 0),)
    assert explained.pieces[1].A.tolist() == [[math.inf]] and "e+400 x1" in str(explained)
    assert explained.to_dict()["pieces"][1]["A"] == [[math.inf]]
    assert fl.check_affine(net, LINE).status == "not_affine"


def test_the_command_line_answers_where_slopes_overflow(tmp_path, capsys):
    path = str(tmp_path / "net.npz")
    fl.Network([([[1e200]], None), ([[1e200]], None)]).save(path)
    for options in ([], ["--json"]):
        assert cli.main(["check", "--affine", path, *options]) == 1
        assert cli.main(["explain", path, *options]) == 0
    assert "Traceback" not in capsys.readouterr().err
