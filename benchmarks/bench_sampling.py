"""Very many points: memory, throughput beside patterns alone, and that sketches are near (Linux).

taskset -c 0 python benchmarks/bench_sampling.py [NUMBER OF POINTS]
taskset -c 0 pytest benchmarks/bench_sampling.py

Memory is what a process has at its worst moment beyond what it had with the network made.
"""

import subprocess
import sys
import time

import floors
import numpy as np
import pytest
from bench_memory import Peak

import foldline as fl
from foldline import bench

SHAPE, N_POINTS = "2-64-64-64-1", 100_000_000
OF_PATTERNS, MEMORY = 0.8, 256 * 2**20
JOBS = {
    "exact": {},
    "exact, patterns in 1 MB": {"memory_limit": 2**20},
    "sketch": {"sketch": True},
}
SCRIPT = """
import sys, bench_sampling
print(*bench_sampling.measure(sys.argv[1], int(float(sys.argv[2]))))
"""


def source(net, n_points):
    return fl.sample.uniform(fl.Box(-1, 1, n_in=net.n_in), n_points)


def measure(job, n_points):
    """Bytes beyond what there was before, seconds, and the fields of the count: in this process."""
    net = bench.random_network(SHAPE)
    with Peak() as peak:
        start = time.perf_counter()
        found = fl.count_patterns(net, source(net, n_points), **JOBS[job])
        seconds = time.perf_counter() - start
    return peak.highest - peak.before, seconds, *found[:6]


def in_a_process_of_its_own(job, n_points):
    command = [sys.executable, "-c", SCRIPT, job, str(n_points)]
    done = subprocess.run(command, cwd=bench_directory(), capture_output=True, text=True, check=True)
    extra, seconds, *numbers, error = done.stdout.split()
    return int(extra), float(seconds), fl.PatternCount(*map(int, numbers), float(error))


def bench_directory():
    return __file__.rpartition("/")[0] or "."


def check(counts, exact):
    """Raise `Disagreement` unless counts are the exact one, and a sketch's within three standard errors."""
    for job, found in counts.items():
        if job != "sketch" and found != exact:
            raise bench.Disagreement(f"{found} by the job {job!r}, {exact} in truth")
        if not abs(found.distinct - exact.distinct) <= 3 * found.standard_error * exact.distinct:
            raise bench.Disagreement(f"{found} by a sketch, {exact} in truth")


def numpy_count(n_points):
    """The count of the same sample by ``np.unique`` of the packed rows."""
    net = bench.random_network(SHAPE)
    rows = np.concatenate([net.patterns(block.astype(net.dtype)) for block in source(net, n_points)])
    _, times = np.unique(rows.view(f"V{rows.shape[1]}"), return_counts=True)
    once, twice = ((times == n).sum() for n in (1, 2))
    return fl.PatternCount(*map(int, (len(times), len(rows), once, twice, (times * (times - 1)).sum())))


def seconds_of_patterns(n_points):
    """Of the same sample, not counted, as long a run."""
    net = bench.random_network(SHAPE)
    start = time.perf_counter()
    for block in source(net, n_points):
        net.patterns(block.astype(net.dtype))
    return time.perf_counter() - start


@pytest.mark.parametrize("job", JOBS)
def test_sampling(benchmark, job):
    extra, _, found = benchmark.pedantic(in_a_process_of_its_own, (job, 2_000_000), rounds=1)
    check({job: found}, numpy_count(2_000_000))
    assert extra < MEMORY and found.n_points == 2_000_000


def main():
    n_points = int(float(sys.argv[1])) if len(sys.argv) > 1 else N_POINTS
    rows, counts, rate = [], {}, n_points / seconds_of_patterns(n_points)
    for job in JOBS:
        extra, seconds, counts[job] = in_a_process_of_its_own(job, n_points)
        rows.append(
            [
                job,
                f"{counts[job].distinct:,}",
                bench.short(n_points / seconds),
                floors.at_least(n_points / seconds / rate, OF_PATTERNS, "{:.0%} ({:.0%})"),
                floors.at_most(extra / 2**20, MEMORY / 2**20, "{:.0f} MB ({:g})"),
            ]
        )
    check(counts, counts["exact"])
    print(f"{SHAPE}, {n_points:,} points, patterns alone {bench.short(rate)}/s")
    print(bench.table(["", "distinct", "points/s", "of patterns alone", "memory"], rows))
    return floors.exit_code()


if __name__ == "__main__":
    sys.exit(bench.on_one_thread(main))
