"""Memory beyond the output while ten million points stream from a memmap (Linux).

python benchmarks/bench_memory.py
pytest benchmarks/bench_memory.py
"""

import gc
import re
import sys
import tempfile
import threading
from pathlib import Path

import floors
import numpy as np
import pytest

from foldline import bench

SHAPE, N_POINTS = "5-50x6-5", 10_000_000
LIMIT = 64 * 2**20
STATUS = Path("/proc/self/status")
JOBS = {
    "outputs": lambda net, points: (net(points),),
    "outputs, 2 workers": lambda net, points: (net.forward(points, workers=2),),
    "patterns": lambda net, points: (net.patterns(points),),
    "patterns with certainty": lambda net, points: net.patterns(points, return_certain=True),
    "outputs and patterns": lambda net, points: net.evaluate(points),
}


def anonymous_memory():
    """Bytes of memory of this process that no file stands behind."""
    return int(re.search(r"RssAnon:\s+(\d+) kB", STATUS.read_text())[1]) * 1024


class Peak:
    """The highest `anonymous_memory` within a with block, looked at every two milliseconds."""

    def __enter__(self):
        gc.collect()
        self.before = self.highest = anonymous_memory()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *exception):
        self._over.set()
        self._thread.join()

    def _watch(self):
        while not self._over.wait(0.002):
            self.highest = max(self.highest, anonymous_memory())


def write_points(path, net, n_points):
    """Random points in a .npy file, mapped; written piece by piece."""
    shape = (n_points, net.n_in)
    points = np.lib.format.open_memmap(path, "w+", net.dtype, shape)
    step = 2**18
    for start in range(0, n_points, step):
        piece = points[start : start + step]
        piece[:] = bench.random_points(len(piece), net.n_in, net.dtype, seed=start)
    points.flush()
    return np.load(path, mmap_mode="r")


def extra_memory(job, net, points):
    """Bytes beyond the results at the worst moment of `job`; the results are checked."""
    with Peak() as peak:
        results = JOBS[job](net, points)
    rows = np.random.default_rng(0).integers(0, len(points), 10_000)
    for whole, part in zip(results, JOBS[job](net, points[rows])):
        if not np.array_equal(whole[rows], part):
            raise bench.Disagreement(
                f"{job} of a memmap differs from the same of some of its points"
            )
    return peak.highest - peak.before - sum(array.nbytes for array in results)


@pytest.mark.skipif(not STATUS.exists(), reason="reads /proc")
@pytest.mark.parametrize("job", JOBS)
def test_memory(benchmark, tmp_path, job):
    net = bench.random_network(SHAPE)
    points = write_points(tmp_path / "points.npy", net, N_POINTS)
    extra = benchmark.pedantic(extra_memory, (job, net, points), rounds=1)
    benchmark.extra_info["extra_bytes"] = extra
    assert extra <= LIMIT


def main():
    if not STATUS.exists():
        print("This benchmark reads /proc/self/status, which this system does not have.")
        return 0
    net = bench.random_network(SHAPE)
    with tempfile.TemporaryDirectory() as directory:
        points = write_points(Path(directory) / "points.npy", net, N_POINTS)
        rows = []
        for job in JOBS:
            extra = extra_memory(job, net, points)
            rows.append([job, floors.at_most(extra / 2**20, LIMIT / 2**20, "{:.1f} MB ({:g})")])
        print(
            f"{SHAPE}, {net.dtype}, {N_POINTS:,} points from a file of {points.nbytes / 1e6:.0f} MB"
        )
        print(bench.table(["job", "beyond the output"], rows))
        del points
    return floors.exit_code()


if __name__ == "__main__":
    sys.exit(main())
