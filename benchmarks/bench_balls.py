"""The largest inf-norm ball around real digits on which a classifier is proved affine, by bisection.

taskset -c 0 python benchmarks/bench_balls.py [model of 64 or 784 inputs]
taskset -c 0 pytest benchmarks/bench_balls.py

Digits are scikit-learn's; for 784 inputs, larger by 3 with a margin of 2. Without a model a 64-256-256-10
classifier is trained on the others of them. Bisection begins at the distance to the nearest fold.
"""

import sys
import time

import floors
import numpy as np

import foldline as fl
from foldline import bench

N_DIGITS, SECONDS, N_STEPS = 20, 5.0, 8


def digits():
    from sklearn.datasets import load_digits

    found = load_digits()
    return found.images / 16, found.target


def classifier():
    from sklearn.neural_network import MLPClassifier

    images, labels = digits()
    points = images.reshape(len(images), -1)
    model = MLPClassifier((256, 256), random_state=0)
    return fl.from_sklearn(model.fit(points[N_DIGITS:], labels[N_DIGITS:]))


def points_for(net):
    images = digits()[0][:N_DIGITS]
    if net.n_in == 784:
        images = np.pad(np.kron(images, np.ones((3, 3))), ((0, 0), (2, 2), (2, 2)))
    return images.reshape(N_DIGITS, -1).astype(net.dtype)


def largest_ball(net, point):
    """(distance to the nearest fold, radius proved, radius not proved, seconds)"""
    start = time.perf_counter()
    nearest = float(fl.linear_radius(net, point[None])[0])
    proved, beyond = 0.0, None
    radius = nearest or 1e-6
    for _ in range(N_STEPS):
        if fl.check_affine(net, fl.Ball(point, radius), time_limit=SECONDS).status == "affine":
            proved = radius
        else:
            beyond = radius
        radius = 1.5 * proved if beyond is None else (proved + beyond) / 2
    return nearest, proved, beyond, time.perf_counter() - start


def check(net, point, nearest, proved):
    """Raise `Disagreement` unless the ball is as large as no fold is near, and its corners have one map."""
    if not proved >= nearest:
        raise bench.Disagreement(f"no fold within {nearest}, but affine is proved only within {proved}")
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (50, net.n_in))
    wide = net.astype(np.float64)
    maps = wide.local_affine(point.astype(float) + 0.999 * proved * signs)[0]
    if not np.allclose(maps, maps[0], rtol=1e-9, atol=1e-12):
        raise bench.Disagreement(f"maps differ within {proved}")


def test_balls(benchmark):
    net = classifier()
    point = points_for(net)[0]
    nearest, proved, _, seconds = benchmark.pedantic(largest_ball, (net, point), rounds=1)
    check(net, point, nearest, proved)
    assert seconds < SECONDS


def main():
    net = fl.load(sys.argv[1]) if len(sys.argv) > 1 else classifier()
    rows = []
    for i, point in enumerate(points_for(net)):
        nearest, proved, beyond, seconds = largest_ball(net, point)
        check(net, point, nearest, proved)
        until = "" if beyond is None else f"{beyond:.3g}"
        held = floors.at_most(seconds, SECONDS)
        rows.append([str(i), f"{nearest:.3g}", f"{proved:.6g}", until, held])
    print(bench.table(["digit", "no fold within", "affine within", "not proved", "s"], rows))
    return floors.exit_code()


if __name__ == "__main__":
    sys.exit(bench.on_one_thread(main))
