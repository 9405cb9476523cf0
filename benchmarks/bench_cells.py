"""Certified region counts on the box [-1, 1]^d, beside other codes that count regions, where installed.

taskset -c 0 python benchmarks/bench_cells.py               # the random networks that README has figures of
taskset -c 0 python benchmarks/bench_cells.py NETWORK ...   # files
taskset -c 0 pytest benchmarks/bench_cells.py

regioncam (float32, two inputs) and affinitree (any number) are on PyPI; neither proves its count.
"""

import contextlib
import os
import pathlib
import sys
import time
import warnings

import floors
import numpy as np
import pytest

import foldline as fl
from foldline import bench

# Random networks: shape: (seed, regions, at least so many thousand a second, and times the peer)
NETWORKS = {
    "2-32-32-1": (4, 1_492, 5000, 8),
    "2-64-64-64-1": (5, 12_481, 2000, 18),
    "2-128-128-128-128-1": (6, 81_474, 700, 25),
    "3-32-32-1": (8, 19_457, 1500, 500),
    "4-16-16-1": (9, 26_877, 1300, 300),
    "5-12-12-1": (10, 34_051, 800, 150),
    "6-20-1": (11, 26_174, 300, 0),
    "8-16-16-1": (13, 729_385, 729.385 / 20, 0),
    "10-15-1": (12, 29_060, 29.06 / 1.5, 0),
}
# The share of a certified count that may go into proving it.
CERTIFYING = 1.4
# Peers that need longer than this many cells are not asked.
MOST_CELLS_OF_PEERS = {"regioncam": 200_000, "affinitree": 35_000}


def network(shape):
    return bench.random_network(shape, "float64", seed=NETWORKS[shape][0], bias=0.3)


def box(net):
    return fl.Box(-1, 1, n_in=net.n_in)


def regioncam(net):
    """A count by regioncam, or None."""
    module = _installed("regioncam")
    if module is None or net.n_in != 2:
        return None

    def count():
        regions = module.Regioncam(size=1.0)
        for weights, bias in zip(net.weights[:-1], net.biases[:-1]):
            regions.linear(np.ascontiguousarray(weights.T, np.float32), np.asarray(bias, np.float32))
            regions.relu()
        return regions.num_faces

    return count


def affinitree(net):
    """A count by affinitree, or None."""
    module = _installed("affinitree")
    if module is None:
        return None

    def count():
        with _silence(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            network = module.Architecture(net.n_in)
            for weights, bias in zip(net.weights, net.biases):
                if len(network):
                    network.relu()
                network.linear(module.AffFunc.from_mats(weights.astype(float), bias.astype(float)))
            domain = module.Polytope.hyperrectangle(net.n_in, [(-1.0, 1.0)] * net.n_in)
            inside = module.AffTree.from_poly(domain, module.AffFunc.identity(net.n_in))
            return module.builder.from_layers(network, precondition=inside).num_terminals()

    return count


@contextlib.contextmanager
def _silence():
    """Of what is written below Python, too."""
    kept, null = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    try:
        sys.stdout.flush()
        os.dup2(null, 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(null)


def _installed(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return __import__(name)
        except ImportError:
            return None


@pytest.mark.parametrize("shape", ["2-32-32-1", "2-64-64-64-1", "3-32-32-1", "4-16-16-1"])
def test_count(benchmark, shape):
    net = network(shape)
    found = benchmark(fl.count_regions, net, box(net))
    assert (found.count, found.certified) == (NETWORKS[shape][1], "exact")
    patterns = net.patterns(bench.random_points(100_000, net.n_in, net.dtype), exact=True)
    assert len(np.unique(patterns, axis=0)) <= found.count


def row(name, net):
    floor, floor_ratio = NETWORKS.get(name, (0, 0, 0, 0))[2:]
    domain = box(net)
    found = fl.count_regions(net, domain)
    loose = fl.count_regions(net, domain, certify=False)
    slow = found.stats["seconds"] > 1
    best = bench.best_times(
        {
            "certified": lambda: fl.count_regions(net, domain),
            "not": lambda: fl.count_regions(net, domain, certify=False),
        },
        0.0 if slow else 1.0,
        at_least=1 if slow else 5,
    )
    rate = found.count / best["certified"] / 1e3
    cost = best["certified"] / best["not"]
    return [
        name,
        f"{found.count:,}",
        found.certified,
        f"{found.stats['by_rationals']:,}",
        floors.at_least(rate, floor, "{:,.0f} ({:,.0f})"),
        floors.at_most(cost, CERTIFYING, "{:.2f} ({})"),
        *(_beside(peer, net, found.count, rate, floor_ratio) for peer in (regioncam, affinitree)),
        "" if loose.count == found.count else f"{loose.count - found.count:+} without proof",
    ]


def _beside(peer, net, count, rate, floor):
    run = peer(net)
    if run is None or count > MOST_CELLS_OF_PEERS[peer.__name__]:
        return "-"
    best = np.inf
    for _ in range(3):
        start = time.perf_counter()
        theirs = run()
        best = min(best, time.perf_counter() - start)
        if best > 5:
            break
    ratio = rate * 1e3 * best / count
    is_floor = (net.n_in == 2) == (peer is regioncam)
    figure = floors.at_least(ratio, floor, "{:,.0f} ({})") if is_floor and floor else f"{ratio:,.0f}"
    return figure if theirs == count else f"{figure}, finds {theirs:,}"


def main(paths=()):
    networks = {pathlib.Path(path).stem: fl.load(path) for path in paths}
    if not networks:
        networks = {shape: network(shape) for shape in NETWORKS}
    names = {name: "-".join(map(str, (net.n_in, *net.widths, net.n_out))) for name, net in networks.items()}
    header = [
        "network",
        "cells",
        "certified",
        "rational",
        "k cells/s",
        "/ not certified",
        "x regioncam",
        "x affinitree",
        "",
    ]
    print(bench.table(header, [row(names[name], net) for name, net in networks.items()]))
    print("Floors in brackets; ! marks one that is missed. 'rational': subtrees that doubles did not decide.")
    return floors.exit_code()


if __name__ == "__main__":
    sys.exit(bench.on_one_thread(lambda: main(sys.argv[1:])))
