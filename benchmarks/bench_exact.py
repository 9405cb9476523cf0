"""Exact cells of degenerate networks: the core's integers beside Python's, which have no size.

taskset -c 0 python benchmarks/bench_exact.py
taskset -c 0 pytest benchmarks/bench_exact.py
"""

import itertools
import sys

import floors
import numpy as np
import pytest

import foldline as fl
from foldline import bench, cells, exact_cells

FEWEST_A_SECOND = 150  # thousand, in the plane and in three dimensions


def arrangement(rows, offsets):
    return fl.Network([(np.array(rows), np.array(offsets)), (np.ones((1, len(rows))), None)])


def type_b(n):
    """x_i, x_i + x_j and x_i - x_j: 2^n n! cells."""
    unit = np.eye(n)
    pairs = [unit[i] + sign * unit[j] for i, j in itertools.combinations(range(n), 2) for sign in (1, -1)]
    return arrangement([*pairs, *unit], np.zeros(n * n))


def grid(n, d):
    """n hyperplanes across each axis."""
    rows = np.repeat(np.eye(d), n, axis=0)
    return arrangement(rows, np.tile((np.arange(n) - n // 2) / 32, d))


def small_integers(*widths):
    rng = np.random.default_rng(0)
    shapes = itertools.pairwise(widths)
    return fl.Network([(rng.integers(-2, 3, (n, m)) * 1.0, rng.integers(-2, 3, n) * 1.0) for m, n in shapes])


CASES = {
    "type B, 3": (type_b(3), fl.Box(-1, 1, n_in=3)),
    "type B, 5": (type_b(5), fl.Box(-1, 1, n_in=5)),
    "grid 20^2": (grid(20, 2), fl.Box(-1, 1, n_in=2)),
    "grid 10^3": (grid(10, 3), fl.Box(-1, 1, n_in=3)),
    "2-8-8-8-1": (small_integers(2, 8, 8, 8, 1), fl.Box(-1, 1, n_in=2)),
    "2-64-64-1": (small_integers(2, 64, 64, 1), fl.Box(-1, 1, n_in=2)),
    "3-16-16-1": (small_integers(3, 16, 16, 1), fl.Box(-1, 1, n_in=3)),
    "4-10-10-1": (small_integers(4, 10, 10, 1), fl.Box(-1, 1, n_in=4)),
    "6-12-1": (small_integers(6, 12, 1), fl.Box(-1, 1, n_in=6)),
    "3-16-16-1, space": (small_integers(3, 16, 16, 1), fl.Space(3)),
}


def count_in_python(chain):
    return sum(1 for _ in cells.iter_cells(chain))


@pytest.mark.parametrize("job", ["counts", "rows"])
@pytest.mark.parametrize("name", CASES)
def test_exact(benchmark, name, job):
    chain = cells.ExactChain(*CASES[name])
    walk = exact_cells.ExactWalk(chain)
    run = {"counts": lambda: sum(walk.counts()), "rows": lambda: sum(1 for _ in walk.rows())}[job]
    benchmark.group = name
    assert benchmark.pedantic(run, rounds=3) == count_in_python(chain)


def row(name):
    net, domain = CASES[name]
    chain = cells.ExactChain(net, domain)
    walk = exact_cells.ExactWalk(chain)
    n = count_in_python(chain)
    if sum(walk.counts()) != n:
        raise bench.Disagreement(f"{name}: Python counts {n} cells, the core another number")
    best = bench.best_times(
        {"counts": lambda: sum(walk.counts()), "rows": lambda: sum(1 for _ in walk.rows())}, 0.5
    )
    best |= bench.best_times({"python": lambda: count_in_python(chain)}, 0.0, at_least=1)
    rate = n / best["counts"] / 1e3
    return [
        name,
        f"{n:,}",
        floors.at_least(rate, FEWEST_A_SECOND, "{:,.0f} ({})") if domain.dimension <= 3 else f"{rate:,.0f}",
        f"{n / best['rows'] / 1e3:,.0f}",
        f"{n / best['python'] / 1e3:,.1f}",
        f"{best['python'] / best['counts']:,.0f}",
    ]


def main():
    header = ["network", "cells", "counted, k/s", "described, k/s", "Python counts, k/s", "x Python"]
    print(bench.table(header, [row(name) for name in CASES]))
    return floors.exit_code()


if __name__ == "__main__":
    sys.exit(bench.on_one_thread(main))
