"""Outputs and patterns of foldline beside NumPy, torch and onnxruntime, on one thread.

    taskset -c 0 python benchmarks/bench_forward.py        one table, rounds interleaved
    taskset -c 0 pytest benchmarks/bench_forward.py        every contestant by itself

The table's ratios say how many times as fast foldline is, and in brackets how fast it has to be.
torch and onnxruntime compute outputs only, each at its best batch size; foldline and NumPy compute
outputs and patterns.
"""

import argparse
import sys

import floors
import pytest

from foldline import bench

# shape: floor against NumPy in float32 and float64, of the peak in float32, against onnxruntime
FLOORS = {
    "2-16-16-1": (4.5, 2.9, 0.42, 1.0),
    "2-32-32-1": (3.0, 2.3, 0.60, 1.0),
    "2-64-64-64-1": (2.0, 1.75, 0.85, 1.0),
    "5-50x6-5": (2.1, 1.75, 0.78, 1.0),
    "16-128-128-1": (1.5, 1.3, 0.86, 1.0),
    "784-256-256-10": (1.05, 1.05, 0.86, 0.95),
}
CASES = [(shape, dtype) for dtype in ("float32", "float64") for shape in FLOORS]
CONTESTANTS = {
    "foldline": bench.OUTPUTS,
    "foldline with patterns": bench.BOTH,
    "NumPy": bench.OUTPUTS,
    "NumPy with patterns": bench.BOTH,
    "torch": bench.OUTPUTS,
    "onnxruntime": bench.OUTPUTS,
}


def network_and_points(shape, dtype):
    net = bench.random_network(shape, dtype)
    return net, bench.random_points(bench.default_n_points(net), net.n_in, dtype)


@pytest.mark.parametrize("contestant", CONTESTANTS)
@pytest.mark.parametrize(("shape", "dtype"), CASES)
def test_forward(benchmark, shape, dtype, contestant):
    net, points = network_and_points(shape, dtype)
    run = runner(contestant, net, points)
    if run is None:
        pytest.skip(f"{contestant} is not installed")
    benchmark.group = f"{shape}, {dtype}, {len(points):,} points"
    result = benchmark(run, points)
    with_patterns = CONTESTANTS[contestant] == bench.BOTH
    outputs, patterns = result if with_patterns else (result, None)
    bench.check_agreement(
        net, points, {contestant: outputs}, {contestant: patterns} if with_patterns else {}
    )
    if not benchmark.disabled:
        work = bench.flops_per_point(net) * len(points) / benchmark.stats.stats.min
        benchmark.extra_info["of_peak"] = work / bench.fma_peak(dtype)


def runner(contestant, net, points):
    """The contestant as one callable on points, or None where it is not installed."""
    if contestant in ("torch", "onnxruntime"):
        peer = {"torch": bench.torch_peer, "onnxruntime": bench.onnxruntime_peer}[contestant](net)
        if peer is None:
            return None
        batch = bench.best_batch(peer, points)
        return lambda points: peer(points, batch)
    who = net if contestant.startswith("foldline") else bench.NumpyPeer(net)
    return who.evaluate if CONTESTANTS[contestant] == bench.BOTH else who


def row(shape, dtype, seconds):
    net, points = network_and_points(shape, dtype)
    result = bench.compare(net, points, seconds)
    numpy32, numpy64, peak, ort = FLOORS[shape]
    both = result.row("foldline", bench.BOTH)
    of_peak = f"{both.of_peak:.0%}"
    if dtype == "float32":
        of_peak = floors.at_least(both.of_peak, peak, "{:.0%} ({:.0%})")
    return [
        shape,
        dtype,
        bench.short(both.points_per_second),
        of_peak,
        f"{result.row('foldline').of_peak:.0%}",
        ratio(result.ratio("NumPy", bench.BOTH), numpy32 if dtype == "float32" else numpy64),
        ratio(result.ratio("torch", mine=bench.BOTH), 1.0),
        ratio(result.ratio("onnxruntime", mine=bench.BOTH), ort),
    ]


def ratio(value, floor):
    return "-" if value is None else floors.at_least(value, floor, "{:.2f} ({:g})")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shapes", nargs="*", metavar="SHAPE", help=f"of {', '.join(FLOORS)}")
    parser.add_argument("--dtype", choices=("float32", "float64"))
    parser.add_argument("--seconds", type=float, default=3.0, help="for each row (3)")
    args = parser.parse_args()
    unknown = set(args.shapes) - set(FLOORS)
    if unknown:
        parser.error(f"{', '.join(sorted(unknown))} is not one of {', '.join(FLOORS)}")
    rows = [
        row(shape, dtype, args.seconds)
        for shape, dtype in CASES
        if shape in (args.shapes or FLOORS) and dtype == (args.dtype or dtype)
    ]
    header = [
        "shape",
        "dtype",
        "points/s",
        "of peak",
        "outputs",
        "x NumPy",
        "x torch",
        "x onnxruntime",
    ]
    print(bench.table(header, rows))
    print("With patterns, against NumPy with patterns and against the others without. 'outputs' is")
    print(
        "foldline's part of the peak without patterns. ! marks a floor (in brackets) that is missed."
    )
    return floors.exit_code()


if __name__ == "__main__":
    sys.exit(bench.on_one_thread(main))
