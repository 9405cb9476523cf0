"""Exact counts on Dask: two workers beside one, in processes of their own.

python benchmarks/bench_dask.py [model]
pytest benchmarks/bench_dask.py
"""

import sys
import time

import floors
import pytest

import foldline as fl
from foldline import bench

dask_distributed = pytest.importorskip("distributed")

SHAPE, FLOOR, ROUNDS = "8-16-16-1", 1.6, 2


def question(model=""):
    net = fl.load(model) if model else bench.random_network(SHAPE, "float64")
    return net, fl.Box(-1, 1, n_in=net.n_in)


def best_time(n_workers, model=""):
    """(seconds of the best of some counts, the count)"""
    net, box = question(model)
    options = {"n_workers": n_workers, "threads_per_worker": 1, "dashboard_address": ":0"}
    times, counts = [], set()
    with dask_distributed.LocalCluster(**options) as cluster, dask_distributed.Client(cluster) as client:
        for _ in range(ROUNDS):
            start = time.perf_counter()
            found = fl.count_regions(net, box, workers=client)
            times.append(time.perf_counter() - start)
            counts.add((found.count, found.status))
    if len(counts) != 1:
        raise bench.Disagreement(f"counts differ: {counts}")
    return min(times), counts.pop()


@pytest.mark.parametrize("n_workers", [1, 2])
def test_workers(benchmark, n_workers):
    _, (count, status) = benchmark.pedantic(best_time, (n_workers,), rounds=1)
    net, box = question()
    assert (count, status) == (fl.count_regions(net, box).count, "complete")


def main():
    model = sys.argv[1] if len(sys.argv) > 1 else ""
    wanted = fl.count_regions(*question(model)).count, "complete"
    (one, first), (two, second) = best_time(1, model), best_time(2, model)
    if not first == second == wanted:
        raise bench.Disagreement(f"one worker finds {first}, two find {second}; wanted {wanted}")
    header = ["", "cells", "one worker, s", "two, s", "ratio"]
    ratio = floors.at_least(one / two, FLOOR, "{:.2f} ({:g})")
    print(bench.table(header, [[model or SHAPE, f"{wanted[0]:,}", f"{one:.2f}", f"{two:.2f}", ratio]]))
    return floors.exit_code()


if __name__ == "__main__":
    sys.exit(main())
