"""Knots of 100,000 random segments, beside a sweep that a NumPy user would write.

taskset -c 0 python benchmarks/bench_knots.py [model.onnx]
taskset -c 0 pytest benchmarks/bench_knots.py

NumPy's sweep is the same idea: breakpoints with their activations, layer by layer, a matrix product for a
layer, a crossing where a sign changes between neighbours. It is given one segment at a time and as many
together as are best for it. It proves nothing: a crossing's place and order are what rounding makes them.
Both are timed on the first 1,024, and foldline on all too: those results are a gigabyte, whose pages the
system clears first.
"""

import sys

import floors
import numpy as np
import pytest

import foldline as fl
from foldline import bench, cells

SHAPE, N_SEGMENTS, FLOOR = "5-50x6-5", 100_000, 20.0
N_NUMPY, BATCHES = 1024, (1, 2, 4, 8, 16, 64)
N_EXACT = 20


def numpy_sweep(weights, biases, starts, stops):
    """(segment, t, neuron, slope before, slope after) of the crossings, for ReLU networks."""
    n = len(starts)
    segment, t, neuron = np.repeat(np.arange(n), 2), np.tile([0.0, 1.0], n), np.full(2 * n, -1)
    a = np.stack([starts, stops], axis=1).reshape(2 * n, -1)
    first = 0
    for w, b in zip(weights[:-1], biases[:-1]):
        z = a @ w.T
        z += b
        active = z > 0
        flips = active[1:] != active[:-1]
        flips[segment[1:] != segment[:-1]] = False
        piece, unit = np.nonzero(flips)
        rows = np.arange(len(piece))
        begin = z[piece]
        fresh = z[piece + 1] - begin
        share = -begin[rows, unit] / fresh[rows, unit]
        fresh *= share[:, None]
        fresh += begin
        fresh[rows, unit] = 0
        a = np.concatenate([z, fresh])
        np.maximum(a, 0, out=a)
        t = np.concatenate([t, t[piece] + share * (t[piece + 1] - t[piece])])
        segment = np.concatenate([segment, segment[piece]])
        neuron = np.concatenate([neuron, first + unit])
        order = np.lexsort((t, segment))
        a, t, segment, neuron = a[order], t[order], segment[order], neuron[order]
        first += len(w)
    y = a @ weights[-1].T
    y += biases[-1]
    slopes = np.diff(y, axis=0) / np.diff(t)[:, None]
    k = np.flatnonzero(neuron >= 0)
    return segment[k], t[k], neuron[k], slopes[k - 1], slopes[k]


def in_batches(net, starts, stops, size):
    parts = [slice(i, i + size) for i in range(0, len(starts), size)]
    return [numpy_sweep(net.weights, net.biases, starts[part], stops[part]) for part in parts]


def random_segments(net, n):
    return bench.random_points(2 * n, net.n_in, np.float64, -0.5, 0.5).reshape(2, n, net.n_in)


def check_numpy(net, starts, stops):
    """Raise `Disagreement` unless NumPy finds the same crossings in nearly every segment, and nearly there.

    Not in all: where two crossings are as near as its rounding, it takes them in any order, or leaves them.
    """
    found = fl.knots(net, starts, stops)
    n_same = 0
    for i, (ends, neurons) in enumerate(zip(zip(starts, stops), np.split(found.neuron, found.offsets[1:-1]))):
        _, t, neuron, _, slope = numpy_sweep(net.weights, net.biases, *(end[None] for end in ends))
        if np.array_equal(neuron, neurons):
            rows = slice(found.offsets[i], found.offsets[i + 1])
            size = np.abs(slope).max(initial=1)
            if not abs(t - found.t[rows]).max(initial=0) <= 1e-9:
                raise bench.Disagreement(f"segment {i}: crossings of NumPy lie elsewhere")
            wide = np.diff(np.append(t, 1)) > 1e-6  # its slopes are quotients of differences
            if not abs(slope - found.slope_after[rows])[wide].max(initial=0) <= 1e-6 * size:
                raise bench.Disagreement(f"segment {i}: slopes of NumPy are others")
            n_same += 1
    if n_same < 0.98 * len(starts):
        raise bench.Disagreement(f"NumPy finds the same in {n_same} of {len(starts)} segments only")
    return n_same


def check_exact(net, starts, stops):
    """Raise `Disagreement` unless the neurons, their order and their places are those of exact cells."""
    found = fl.knots(net, starts, stops)
    for i, ends in enumerate(zip(starts, stops)):
        pieces = sorted(
            (min(u / w for u, w in cell.vertices), bits)
            for bits, cell, _ in cells.iter_cells(cells.ExactChain(net, fl.Segment(*ends)))
        )
        t = np.array([left for left, _ in pieces[1:]])
        flips = np.diff(np.array([bits for _, bits in pieces], np.int8), axis=0)
        rows = slice(found.offsets[i], found.offsets[i + 1])
        if not np.array_equal(np.nonzero(flips)[1], found.neuron[rows]):
            raise bench.Disagreement(f"segment {i}: other neurons than in rationals")
        off = abs(np.repeat(t, np.count_nonzero(flips, axis=1)) - found.t[rows])
        if not (off <= found.t_error[rows] + 2.0**-53).all():
            raise bench.Disagreement(f"segment {i}: a crossing is not within its bound")


@pytest.mark.parametrize("job", ["foldline", "NumPy one by one", "NumPy together"])
def test_knots(benchmark, job):
    net = bench.random_network(SHAPE, "float64")
    starts, stops = random_segments(net, N_NUMPY)
    benchmark.group = f"{SHAPE}, {N_NUMPY:,} segments"
    check_numpy(net, starts[:200], stops[:200])
    check_exact(net, starts[:3], stops[:3])
    if job == "foldline":
        benchmark.pedantic(fl.knots, (net, starts, stops), rounds=5)
    else:
        size = 1 if job == "NumPy one by one" else 8
        benchmark.pedantic(in_batches, (net, starts, stops, size), rounds=3)


def row(name, net):
    starts, stops = random_segments(net, N_SEGMENTS)
    few = starts[:N_NUMPY], stops[:N_NUMPY]
    check_exact(net, starts[:N_EXACT], stops[:N_EXACT])
    n_same = check_numpy(net, *few)
    jobs = {size: lambda size=size: in_batches(net, *few, size) for size in BATCHES}
    sizes = bench.best_times(jobs, 0.0, at_least=1)
    best_size = min(sizes, key=sizes.get)
    best = bench.best_times(
        {
            "foldline": lambda: fl.knots(net, *few),
            "one": lambda: in_batches(net, *few, 1),
            "together": lambda: in_batches(net, *few, best_size),
        },
        10.0,
    )
    whole = bench.best_times({"foldline": lambda: fl.knots(net, starts, stops)}, 0.0, at_least=6)["foldline"]
    found = fl.knots(net, starts, stops)
    rates = {job: N_NUMPY / seconds for job, seconds in best.items()} | {"all": N_SEGMENTS / whole}
    over = {job: rates[job] / rates["one"] for job in ("foldline", "all")}
    return [
        name,
        f"{len(found) / N_SEGMENTS:.0f}",
        f"{bench.short(rates['foldline'])} (all: {bench.short(rates['all'])})",
        bench.short(rates["one"]),
        f"{bench.short(rates['together'])} ({best_size})",
        floors.at_least(over["foldline"], FLOOR),
        f"{over['all']:.1f}",
        f"{rates['foldline'] / rates['together']:.1f}",
        ", ".join(f"{n:,} {how}" for how, n in found.stats.items()),
        f"{np.median(found.t_error):.0e}, {found.t_error.max(initial=0):.0e}",
        f"{n_same} of {N_NUMPY}",
    ]


def main():
    net = bench.random_network(SHAPE, "float64")
    rows = [row(SHAPE, net)]
    for path in sys.argv[1:]:
        rows.append(row(path.rsplit("/", 1)[-1], fl.load(path).astype(np.float64)))
    header = [
        "network",
        "crossings",
        "foldline/s",
        "NumPy/s",
        "together/s",
        "x NumPy",
        "all x NumPy",
        "x together",
        "decided",
        "t_error: median, worst",
        "NumPy right",
    ]
    print(bench.table(header, rows))
    return floors.exit_code()


if __name__ == "__main__":
    sys.exit(bench.on_one_thread(main))
