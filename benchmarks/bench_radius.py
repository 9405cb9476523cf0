"""Distances to the nearest fold beside the same formula in NumPy, on one thread.

taskset -c 0 python benchmarks/bench_radius.py
taskset -c 0 pytest benchmarks/bench_radius.py
"""

import sys

import floors
import numpy as np
import pytest

import foldline as fl
from foldline import bench

FLOOR = 10.0
# (shape, dtype): number of points
CASES = {
    ("2-64-64-64-1", "float64"): 1_000_000,
    ("2-64-64-64-1", "float32"): 1_000_000,
    ("5-50x6-5", "float64"): 100_000,
    ("784-256-256-10", "float64"): 512,
}
BLOCK = 2048


def numpy_radii(net, points):
    """min |z_j| / ||grad z_j||_1 as a good NumPy user writes it: blocks, matrix products, gradients carried
    forward one input at a time."""
    out = np.empty(len(points), points.dtype)
    for start in range(0, len(points), BLOCK):
        a = points[start : start + BLOCK]
        tangents, nearest = None, np.full(len(a), np.inf, points.dtype)
        for w, b in zip(net.weights[:-1], net.biases[:-1]):
            z = a @ w.T
            z += b
            if tangents is None:
                tangents = [np.broadcast_to(column, z.shape) for column in w.T]
            else:
                tangents = [t @ w.T for t in tangents]
            length = np.abs(tangents[0])
            for t in tangents[1:]:
                length += np.abs(t)
            distance = np.abs(z)
            with np.errstate(divide="ignore", invalid="ignore"):
                distance /= length
            np.fmin(nearest, np.fmin.reduce(distance, axis=1), out=nearest)
            active = z > 0
            a = np.maximum(z, 0, out=z)
            tangents = [t * active for t in tangents]
        out[start : start + BLOCK] = nearest
    return out


def check(net, points, radii):
    """Raise `Disagreement` unless `radii` are those of NumPy in float64, and foldline's never larger."""
    step = max(len(points) // 1000, 1)
    expected = numpy_radii(net.astype(np.float64), points[::step].astype(np.float64))
    if not (radii["foldline"][::step] <= expected * (1 + 1e-9)).all():
        raise bench.Disagreement("a radius is larger than the distance")
    for name, found in radii.items():
        if not abs(np.median(found[::step] / expected) - 1) <= 0.001:
            raise bench.Disagreement(f"radii of {name} are not the distances")


def contestants(net, points):
    return {"foldline": lambda: fl.linear_radius(net, points), "numpy": lambda: numpy_radii(net, points)}


@pytest.mark.parametrize("contestant", ["foldline", "numpy"])
@pytest.mark.parametrize("case", CASES, ids=" ".join)
def test_radius(benchmark, case, contestant):
    net = bench.random_network(*case)
    points = bench.random_points(CASES[case], net.n_in, net.dtype)
    benchmark.group = f"{case}, {len(points):,} points"
    radii = benchmark(contestants(net, points)[contestant])
    check(net, points, {"foldline": fl.linear_radius(net, points), contestant: radii})


def row(case):
    net = bench.random_network(*case)
    points = bench.random_points(CASES[case], net.n_in, net.dtype)
    check(net, points, {name: run() for name, run in contestants(net, points).items()})
    best = bench.best_times(contestants(net, points), 3.0)
    ratio = best["numpy"] / best["foldline"]
    with_floor = case == ("2-64-64-64-1", "float64")
    rates = [bench.short(len(points) / best[name]) for name in ("foldline", "numpy")]
    return [*case, *rates, floors.at_least(ratio, FLOOR) if with_floor else f"{ratio:.1f}"]


def main():
    print(bench.table(["shape", "dtype", "foldline/s", "numpy/s", "x numpy"], list(map(row, CASES))))
    return floors.exit_code()


if __name__ == "__main__":
    sys.exit(bench.on_one_thread(main))
