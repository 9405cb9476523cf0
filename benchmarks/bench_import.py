"""Time of ``import foldline`` beside ``import numpy``, in fresh interpreters.

taskset -c 0 python benchmarks/bench_import.py
taskset -c 0 pytest benchmarks/bench_import.py
"""

import subprocess
import sys

import floors

from foldline import bench

FLOOR, ROUNDS = 1.3, 15
HEAVY = {"keras", "torch", "onnx", "onnxruntime", "sklearn", "scipy", "matplotlib", "argparse"}
CODE = "import time; start = time.perf_counter(); import {}; print(time.perf_counter() - start)"


def seconds_to_import(module):
    code = CODE.format(module)
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(run.stdout)


def modules_imported():
    """Top-level modules that ``import foldline`` brings along."""
    code = "import sys, foldline; print(*{name.split('.')[0] for name in sys.modules})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


def check_light():
    heavy = modules_imported() & HEAVY
    if heavy:
        raise bench.Disagreement(f"import foldline imports {', '.join(sorted(heavy))}")


def best_seconds():
    """{module: seconds of its fastest import}, the rounds interleaved."""
    rounds = [{module: seconds_to_import(module) for module in ("numpy", "foldline")} for _ in range(ROUNDS)]
    return {module: min(seconds[module] for seconds in rounds) for module in rounds[0]}


def test_import(benchmark):
    check_light()
    best = benchmark.pedantic(best_seconds, rounds=1)
    benchmark.extra_info.update(best)
    assert best["foldline"] < 2 * best["numpy"]  # which leaves room for a busy machine; `main` has the floor


def main():
    check_light()
    best = best_seconds()
    print(
        f"import numpy {best['numpy'] * 1e3:.1f} ms, import foldline {best['foldline'] * 1e3:.1f} ms:"
    )
    ratio = best["foldline"] / best["numpy"]
    print(floors.at_most(ratio, FLOOR, "{:.2f} x numpy's time (at most {:g})"))
    return floors.exit_code()


if __name__ == "__main__":
    sys.exit(main())
