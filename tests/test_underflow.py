"""Products of numbers that are not 0 may be 0 in doubles; nothing that is proved may rest on that."""

import itertools
import warnings

import numpy as np
import pytest
import reference

import foldline as fl
from foldline.cells import ExactChain
from foldline.exact_cells import ExactWalk
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
    for seed in range(3):
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
