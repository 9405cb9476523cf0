"""Cells by half-spaces in integers: the same as by corners, whatever is degenerate."""

import networks
import numpy as np
import pytest
from test_regions import network

import foldline as fl
from foldline.cells import ExactChain
from foldline.exact_lp import patterns_below


def patterns_by_corners(net, domain):
    found = fl.regions(net, domain, engine="exact")
    return [tuple(row) for row in fl.unpack_patterns(found.patterns, net.n_neurons).tolist()]


@pytest.mark.parametrize("seed", range(60))
def test_patterns_are_those_of_cells_with_corners(seed):
    rng = np.random.default_rng(seed)
    d = 1 + seed % 5
    widths = [d, *rng.integers(1, 6, 1 + seed % 3), 1]
    layers = [
        (rng.integers(-2, 3, (n, m)).astype(float), rng.integers(-1, 2, n) * float(seed % 2))
        for m, n in zip(widths, widths[1:])
    ]
    slopes = [rng.choice([0.0, 0.0, 0.5, -1.0, 1.0], n) for n in widths[1:-1]]
    net = fl.Network(layers, activation=slopes)
    boxes = fl.Box(-1, 1, n_in=d), fl.Box(np.full(d, -0.5), np.full(d, 1.75))
    domains = [*boxes, fl.Ball(np.full(d, 0.5), 0.75)]
    domain = domains[seed % 3]
    wanted, chain = sorted(patterns_by_corners(net, domain)), ExactChain(net, domain)
    assert list(patterns_below(chain, domain)) == wanted
    for pattern in wanted[:: len(wanted) // 3 + 1]:
        prefix = pattern[: len(pattern) // 2]
        below = [p for p in wanted if p[: len(prefix)] == prefix]
        assert list(patterns_below(chain, domain, prefix)) == below


def test_all_of_space_and_floats_of_any_size_are_exact():
    net = network(*networks.random_network(2, (3, 5, 4, 1), slopes=0, bias=0.5))
    for domain in fl.Space(3)._charts():
        chain = ExactChain(net, domain)
        assert list(patterns_below(chain, domain)) == sorted(patterns_by_corners(net, domain))
