"""Verdicts on linearity: how many boxes are decided, how fast, and that none is wrong.

taskset -c 0 python benchmarks/bench_affine.py [model.onnx ...]
taskset -c 0 pytest benchmarks/bench_affine.py

The table has 100 random boxes of each size, in -0.5 < x < 0.5, with 10 seconds for each. Where the model has
many inputs, 20 balls are sized in units of the distance to the nearest fold instead: none below 1 folds.
Then come degenerate networks of small integers, whose verdicts are compared with the maps of all of their
cells in rational arithmetic. Every proof is verified.
"""

import sys
import time
from pathlib import Path

import numpy as np
import pytest

import foldline as fl
from foldline import bench, cells

sys.path.append(str(Path(__file__).parents[1] / "tests"))
import networks  # noqa: E402

SHAPE, SIZES, N_BOXES, SECONDS = "5-50x6-5", (1e-4, 1e-3, 1e-2, 1e-1, 1.0), 100, 10.0
RADII, FEW_INPUTS, N_BALLS = (0.5, 0.99, 1.01, 2.0, 8.0), 12, 20
N_DEGENERATE = 1000


def random_boxes(net, size, n, seed=0):
    for center in np.random.default_rng(seed).uniform(-0.5, 0.5, (n, net.n_in)):
        yield fl.Box(center - size / 2, center + size / 2)


def random_balls(net, share, n, seed=0):
    """Of a share of the distance from the centre to the nearest fold."""
    centers = np.random.default_rng(seed).uniform(0, 1, (n, net.n_in)).astype(net.dtype)
    for center, radius in zip(centers, fl.linear_radius(net, centers)):
        yield fl.Ball(center, float(radius) * share)


def verdicts(net, domains, seconds=SECONDS):
    """[verdict, seconds to verify its proof], all of them verified."""
    found = []
    for domain in domains:
        verdict = fl.check_affine(net, domain, time_limit=seconds)
        proof = verdict.certificate or verdict.witness
        start = time.perf_counter()
        refusal = proof.refusal() if proof else None
        if refusal:
            raise bench.Disagreement(f"{domain}: {verdict.status}, but its proof is refused: {refusal}")
        found.append((verdict, time.perf_counter() - start))
    return found


def row(name, size, found):
    all_verdicts, to_verify = zip(*found)
    statuses = [v.status for v in all_verdicts]
    times = [v.seconds for v in all_verdicts]
    counts = {status: statuses.count(status) for status in ("affine", "not_affine", "undecided")}
    decided = 1 - counts["undecided"] / len(statuses)
    return [
        name,
        size,
        *map(str, counts.values()),
        f"{decided:.0%}",
        f"{np.median(times):.3f}",
        f"{max(times):.3f}",
        f"{max(to_verify):.3f}",
    ]


def rows(name, net):
    for size in SIZES if net.n_in <= FEW_INPUTS else RADII:
        print(f"{name}, size {size:g} ...", file=sys.stderr, flush=True)
        if net.n_in <= FEW_INPUTS:
            yield row(name, f"{size:g}", verdicts(net, random_boxes(net, size, N_BOXES)))
        else:
            yield row(name, f"{size:g} radii", verdicts(net, random_balls(net, size, N_BALLS)))


def degenerate(n):
    """(affine, not affine, seconds, seconds of the enumeration) of networks of small integers, all right."""
    statuses, times = [], np.zeros(2)
    for seed in range(n):
        rng = np.random.default_rng(seed)
        net = fl.Network(*networks.degenerate(rng))
        domain = fl.Box(-1, 1, n_in=net.n_in) if seed % 2 else fl.Space(net.n_in)
        start = time.perf_counter()
        ((verdict, _),) = verdicts(net, [domain])
        middle = time.perf_counter()
        found = cells.iter_cells(cells.ExactChain(net, domain))
        n_maps = len({tuple(forms.ravel().tolist()) for _, _, forms in found})
        if verdict.status != ("affine" if n_maps == 1 else "not_affine"):
            raise bench.Disagreement(f"seed {seed}: {verdict.status}, but there are {n_maps} maps")
        times += middle - start, time.perf_counter() - middle
        statuses.append(verdict.status)
    return statuses.count("affine"), statuses.count("not_affine"), *times.tolist()


@pytest.mark.parametrize("size", SIZES)
def test_boxes(benchmark, size):
    net = bench.random_network(SHAPE)
    benchmark.group = f"{SHAPE}, 10 boxes"
    found = benchmark.pedantic(verdicts, (net, list(random_boxes(net, size, 10))), rounds=3)
    assert all(verdict.status != "undecided" for verdict, _ in found)


def main():
    table = list(rows(SHAPE, bench.random_network(SHAPE)))
    for path in sys.argv[1:]:
        table += rows(path.rsplit("/", 1)[-1], fl.load(path))
    header = ["network", "size", "affine", "not", "undecided", "decided", "median s", "worst s", "verify s"]
    print(bench.table(header, table))
    n_affine, n_not, seconds, enumeration = degenerate(N_DEGENERATE)
    print(
        f"\n{N_DEGENERATE:,} degenerate networks: {n_affine} affine, {n_not} not, none wrong; "
        f"{seconds:.1f} s with verification, {enumeration:.1f} s to enumerate all maps in rationals"
    )


if __name__ == "__main__":
    sys.exit(bench.on_one_thread(main))
