"""One worker against two and more on a million points. Not to be pinned to one core.

python benchmarks/bench_workers.py
pytest benchmarks/bench_workers.py
"""

import os
import sys

import floors
import numpy as np
import pytest

from foldline import bench

SHAPES = ("2-32-32-1", "5-50x6-5", "16-128-128-1")
N_POINTS = 1_000_000
WORKERS = [n for n in (1, 2, 4, 8) if n <= os.cpu_count()]
FLOOR = 1.8


def network_and_points(shape):
    net = bench.random_network(shape)
    return net, bench.random_points(N_POINTS, net.n_in, net.dtype)


def check_identical(net, points, results):
    y, p = net.evaluate(points)
    for workers, (y_too, p_too) in results.items():
        if not (np.array_equal(y, y_too) and np.array_equal(p, p_too)):
            raise bench.Disagreement(f"{workers} workers give other bits than one")


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("shape", SHAPES)
def test_workers(benchmark, shape, workers):
    net, points = network_and_points(shape)
    benchmark.group = f"{shape}, {N_POINTS:,} points"
    check_identical(net, points, {workers: benchmark(net.evaluate, points, workers=workers)})


def row(shape):
    net, points = network_and_points(shape)
    check_identical(net, points, {n: net.evaluate(points, workers=n) for n in WORKERS})
    best = bench.best_times(
        {n: lambda n=n: net.evaluate(points, workers=n) for n in WORKERS}, seconds=2.0
    )
    cells = [shape, f"{best[1] * 1e3:.1f}"]
    for n in WORKERS[1:]:
        ratio = best[1] / best[n]
        cells.append(floors.at_least(ratio, FLOOR, "{:.2f} ({:g})") if n == 2 else f"{ratio:.2f}")
    return cells


def main():
    header = ["shape", "1 worker, ms", *(f"x with {n}" for n in WORKERS[1:])]
    print(bench.table(header, [row(shape) for shape in SHAPES]))
    return floors.exit_code()


if __name__ == "__main__":
    sys.exit(bench.on_one_thread(main))
