"""Counting distinct patterns of a million points, beside ``np.unique`` of the packed rows.

taskset -c 0 python benchmarks/bench_count.py
taskset -c 0 pytest benchmarks/bench_count.py
"""

import sys

import floors
import numpy as np
import pytest

import foldline as fl
from foldline import bench

SHAPES = ("2-16-16-1", "2-64-64-64-1", "5-50x6-5", "16-128-128-1")
N_POINTS = 1_000_000
OVER_PATTERNS, OVER_UNIQUE = 1.3, 10.0


def unique_rows(patterns):
    return len(np.unique(patterns, axis=0))


def unique_voids(patterns):
    """The same by a trick: each row as one opaque item."""
    return len(np.unique(np.ascontiguousarray(patterns).view(f"V{patterns.shape[1]}")))


def network_and_points(shape):
    net = bench.random_network(shape)
    return net, bench.random_points(N_POINTS, net.n_in, net.dtype)


@pytest.mark.parametrize("job", ["count_patterns", "patterns", "unique_rows", "unique_voids"])
@pytest.mark.parametrize("shape", SHAPES)
def test_count(benchmark, shape, job):
    net, points = network_and_points(shape)
    patterns = net.patterns(points)
    benchmark.group = f"{shape}, {N_POINTS:,} points"
    if job == "patterns":
        assert np.array_equal(benchmark.pedantic(net.patterns, (points,), rounds=5), patterns)
        return
    run, argument = {
        "count_patterns": (lambda points: fl.count_patterns(net, points).distinct, points),
        "unique_rows": (unique_rows, patterns),
        "unique_voids": (unique_voids, patterns),
    }[job]
    assert benchmark.pedantic(run, (argument,), rounds=3) == unique_voids(patterns)


def row(shape):
    net, points = network_and_points(shape)
    patterns = net.patterns(points)
    distinct = fl.count_patterns(net, points).distinct
    if not distinct == unique_rows(patterns) == unique_voids(patterns):
        raise bench.Disagreement(
            f"{shape}: count_patterns finds {distinct}, np.unique another number"
        )
    best = bench.best_times(
        {
            "count": lambda: fl.count_patterns(net, points),
            "patterns": lambda: net.patterns(points),
        },
        2.0,
    )
    best |= bench.best_times(
        {"rows": lambda: unique_rows(patterns), "voids": lambda: unique_voids(patterns)},
        0.0,
        at_least=3,
    )
    over_patterns, over_unique = best["count"] / best["patterns"], best["rows"] / best["count"]
    return [
        shape,
        f"{distinct:,}",
        f"{best['count'] * 1e3:.1f}",
        f"{best['patterns'] * 1e3:.1f}",
        floors.at_most(over_patterns, OVER_PATTERNS, "{:.2f} ({:g})"),
        floors.at_least(over_unique, OVER_UNIQUE),
        f"{best['voids'] / best['count']:.1f}",
    ]


def main():
    header = [
        "shape",
        "distinct",
        "count, ms",
        "patterns, ms",
        "/ patterns",
        "x unique",
        "x unique of voids",
    ]
    print(bench.table(header, [row(shape) for shape in SHAPES]))
    return floors.exit_code()


if __name__ == "__main__":
    sys.exit(bench.on_one_thread(main))
