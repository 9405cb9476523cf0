"""Time of ``import foldline`` beside ``import numpy``, in fresh interpreters.

taskset -c 0 python benchmarks/bench_import.py
taskset -c 0 pytest benchmarks/bench_import.py
"""

import subprocess
import sys

import floors
import pytest

from foldline import bench

FLOOR, ROUNDS = 1.3, 15
HEAVY = {"torch", "onnx", "onnxruntime", "sklearn", "scipy", "matplotlib", "argparse"}
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


@pytest.mark.parametrize("module", ["numpy", "foldline"])
def test_import(benchmark, module):
    check_light()
    assert benchmark.pedantic(seconds_to_import, (module,), rounds=ROUNDS) > 0


def main():
    check_light()
    best = {"numpy": float("inf"), "foldline": float("inf")}
    for _ in range(ROUNDS):
        for module in best:
            best[module] = min(best[module], seconds_to_import(module))
    print(
        f"import numpy {best['numpy'] * 1e3:.1f} ms, import foldline {best['foldline'] * 1e3:.1f} ms:"
    )
    ratio = best["foldline"] / best["numpy"]
    print(floors.at_most(ratio, FLOOR, "{:.2f} x numpy's time (at most {:g})"))
    return floors.exit_code()


if __name__ == "__main__":
    sys.exit(main())
