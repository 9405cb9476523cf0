"""Local affine maps beside ``torch.func.vmap(jacrev)``, on one thread.

taskset -c 0 python benchmarks/bench_local_affine.py [model.onnx ...]
taskset -c 0 pytest benchmarks/bench_local_affine.py
"""

import sys

import floors
import numpy as np
import pytest

import foldline as fl
from foldline import bench

FLOOR = 5.0
CASES = {"5-50x6-5": 8192, "784-256-256-10": 512}  # shape: number of points
N_NUMBERS = 4_000_000  # in all maps of a model's points together
CHUNKS = (64, 256, 512, 1024, 4096, 8192)


def jacobians(net):
    """``run(points, chunk) -> A`` by torch, (n_points, n_out, n_in)."""
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    layers = [(torch.tensor(w), torch.tensor(b)) for w, b in zip(net.weights, net.biases)]

    def f(x):
        for weights, bias in layers[:-1]:
            x = torch.relu(torch.nn.functional.linear(x, weights, bias))
        return torch.nn.functional.linear(x, *layers[-1])

    def run(points, chunk):
        jacobian = torch.func.vmap(torch.func.jacrev(f), chunk_size=chunk)
        with torch.no_grad():
            return jacobian(torch.from_numpy(points)).numpy()

    return run


def check_maps(net, points, maps):
    """Raise `Disagreement` unless all `maps` are right where all signs are certain.

    A product of matrices with inner dimensions n1, n2, ... is within ``gamma_(n1 + n2 + ...)`` of the
    product of their absolute values, in any order (Higham, section 3.5).
    """
    bits, certain = net.patterns(points, return_certain=True)
    active = fl.unpack_patterns(bits[certain], net.n_neurons).astype(np.float64)
    weights = [w.astype(np.float64) for w in net.weights]
    exact = np.broadcast_to(weights[-1], (len(active), *weights[-1].shape))
    size = np.abs(exact)
    first = net.n_neurons
    for w, width in zip(weights[-2::-1], net.widths[::-1]):
        first -= width
        gate = active[:, None, first : first + width]
        exact, size = (exact * gate) @ w, (size * gate) @ np.abs(w)
    k = sum(net.widths) * np.finfo(net.dtype).eps / 2
    for name, a in maps.items():
        if not (np.abs(a[certain] - exact) <= 1.01 * k / (1 - k) * size).all():
            raise bench.Disagreement(f"{name} gives maps that are wrong by more than rounding")


@pytest.mark.parametrize("contestant", ["foldline", "torch"])
@pytest.mark.parametrize("shape", CASES)
def test_local_affine(benchmark, shape, contestant):
    net = bench.random_network(shape)
    points = bench.random_points(CASES[shape], net.n_in, net.dtype)
    benchmark.group = f"{shape}, {len(points):,} points"
    if contestant == "foldline":
        maps, _ = benchmark(net.local_affine, points)
    else:
        run = jacobians(net)
        maps = benchmark(run, points, bench.best_batch(run, points, CHUNKS))
    check_maps(net, points, {contestant: maps})


def row(name, net, n_points):
    points = bench.random_points(n_points, net.n_in, net.dtype, -0.5, 0.5)
    run = jacobians(net)
    chunk = bench.best_batch(run, points, CHUNKS)
    check_maps(net, points, {"foldline": net.local_affine(points)[0], "torch": run(points, chunk)})
    best = bench.best_times(
        {"foldline": lambda: net.local_affine(points), "torch": lambda: run(points, chunk)}, 2.0
    )
    rates = {job: bench.short(n_points / seconds) for job, seconds in best.items()}
    return [
        name,
        f"{fl.unpack_patterns(net.patterns(points), net.n_neurons).mean():.0%}",
        rates["foldline"],
        f"{rates['torch']} (chunk {chunk})",
        floors.at_least(best["torch"] / best["foldline"], FLOOR),
    ]


def main():
    rows = [row(shape, bench.random_network(shape), n_points) for shape, n_points in CASES.items()]
    for path in sys.argv[1:]:
        net = fl.load(path)
        rows.append(row(path.rsplit("/", 1)[-1], net, min(8192, N_NUMBERS // (net.n_in * net.n_out) + 1)))
    print(bench.table(["network", "active", "foldline/s", "torch/s", "x torch"], rows))
    return floors.exit_code()


if __name__ == "__main__":
    sys.exit(bench.on_one_thread(main))
