"""Measure foldline beside what a user would otherwise run, and check that all of them agree.

Every figure is the best of several interleaved rounds in one process on one thread, so ratios
travel from machine to machine even where seconds do not. The floor under all of them is
arithmetic: multiply-adds times 2, over the rate of fused multiply-adds that one thread reaches
here, which is measured in the same rounds.

`compare` is the table of ``foldline bench`` and of ``benchmarks/bench_forward.py``.
"""

import importlib.util
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass

import numpy as np

import foldline as fl

from . import config
from .network import Network

__all__ = [
    "Comparison",
    "Disagreement",
    "NumpyPeer",
    "Row",
    "best_batch",
    "best_times",
    "check_agreement",
    "compare",
    "default_n_points",
    "evaluate_with_bound",
    "flops_per_point",
    "fma_peak",
    "on_one_thread",
    "onnxruntime_peer",
    "random_network",
    "random_points",
    "run_on_one_thread",
    "runs_on_one_thread",
    "short",
    "table",
    "torch_peer",
]

BLOCK = 2048
BATCHES = (512, 2048, 8192, 32768)
OUTPUTS, BOTH = "outputs", "outputs + patterns"
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
}


class Disagreement(Exception):
    """Two programs that were timed against each other do not compute the same thing."""


# One thread ---------------------------------------------------------------------------------------


def runs_on_one_thread():
    """Whether this process was started with the libraries behind NumPy held to one thread."""
    return all(os.environ.get(name) == value for name, value in ONE_THREAD.items())


def run_on_one_thread(arguments):
    """Run the Python command line `arguments` in a child held to one thread; return its exit code.

    A BLAS reads these variables when NumPy is imported, so this process is too late to set them
    for itself.
    """
    code = subprocess.call([sys.executable, *arguments], env={**os.environ, **ONE_THREAD})
    return code if code >= 0 else 128 - code


def on_one_thread(main):
    """Call `main` on one thread: here, if that can still be had, or by running the script anew."""
    return main() if runs_on_one_thread() else run_on_one_thread(sys.argv)


# What is measured ---------------------------------------------------------------------------------


def random_network(shape, dtype="float32", seed=0, bias=0.1):
    """A ReLU network with normal weights of variance 2 / n_in and normal biases of standard deviation `bias`;
    `shape` reads ``"5-50x6-5"``.

    Examples
    --------
    >>> random_network("5-50x6-5")
    Network(5-50-50-50-50-50-50-5, float32, 300 neurons)
    """
    widths = []
    for part in shape.split("-"):
        match = re.fullmatch(r"([1-9]\d*)(?:x([1-9]\d*))?", part)
        if match is None:
            raise ValueError(f"shape is {shape!r}; wanted widths such as '2-16-16-1' or '5-50x6-5'")
        widths += [int(match[1])] * int(match[2] or 1)
    rng = np.random.default_rng(seed)
    layers = []
    for n_in, n_out in zip(widths, widths[1:]):
        weights = rng.standard_normal((n_out, n_in)) * np.sqrt(2 / n_in)
        layers.append((weights.astype(dtype), (bias * rng.standard_normal(n_out)).astype(dtype)))
    return Network(layers)


def random_points(n_points, n_in, dtype, low=-1.0, high=1.0, seed=0):
    """Uniform points (n_points, n_in) in the box from `low` to `high`, scalars or (n_in,) each."""
    low, high = np.asarray(low, dtype), np.asarray(high, dtype)
    points = np.random.default_rng(seed).random((n_points, n_in), dtype)
    points *= high - low
    points += low
    return points


def fma_peak(dtype, seconds=0.01):
    """Floating-point operations a second that one thread reaches with multiply-adds alone."""
    return config.fma_peak(dtype, seconds)


def flops_per_point(net):
    """Floating-point operations of one forward pass: two for each weight."""
    return 2 * sum(w.size for w in net.weights)


def default_n_points(net):
    """Enough points for a call of some ten milliseconds: 16,384 to 262,144."""
    return BLOCK * int(np.clip(2e9 / flops_per_point(net) // BLOCK, 8, 128))


# Who is measured ----------------------------------------------------------------------------------


class NumpyPeer:
    """What a good NumPy user writes: blocks of 2048 points, everything in place, weights laid out
    so that matmul need not transpose them."""

    def __init__(self, net):
        self._weights = [np.ascontiguousarray(w.T) for w in net.weights]
        self._biases = net.biases
        self._folds = [_NumpyFold(s) for s in net.slopes]
        self._n_neurons = net.n_neurons
        self._dtype = net.dtype
        self._n_out = net.n_out

    def __call__(self, points):
        return self._run(points, with_patterns=False)[0]

    def evaluate(self, points):
        return self._run(points, with_patterns=True)

    def _run(self, points, with_patterns):
        n_points = len(points)
        outputs = np.empty((n_points, self._n_out), self._dtype)
        sums = [np.empty((BLOCK, w.shape[1]), self._dtype) for w in self._weights]
        patterns = active = None
        if with_patterns:
            patterns = np.empty((n_points, (self._n_neurons + 7) // 8), np.uint8)
            active = np.empty((BLOCK, self._n_neurons), bool)
        for start in range(0, n_points, BLOCK):
            a = points[start : start + BLOCK]
            n, bit = len(a), 0
            for weights, bias, fold, z in zip(self._weights, self._biases, self._folds, sums):
                z = np.matmul(a, weights, out=z[:n])
                z += bias
                if with_patterns:
                    fold.write_active(z, active[:n, bit : bit + fold.n_neurons])
                    bit += fold.n_neurons
                a = fold.apply(z)
            z = np.matmul(a, self._weights[-1], out=sums[-1][:n])
            np.add(z, self._biases[-1], out=outputs[start : start + n])
            if with_patterns:
                patterns[start : start + n] = np.packbits(active[:n], axis=1, bitorder="little")
        return outputs, patterns


class _NumpyFold:
    def __init__(self, slopes):
        self._is_relu = not slopes.any()
        self._slopes = slopes
        self._neurons = None if (slopes != 1).all() else np.flatnonzero(slopes != 1)
        self.n_neurons = int((slopes != 1).sum())

    def apply(self, z):
        if self._is_relu:
            return np.maximum(z, 0, out=z)
        return np.multiply(z, self._slopes, out=z, where=z <= 0)

    def write_active(self, z, out):
        np.greater(z if self._neurons is None else z[:, self._neurons], 0, out=out)


def torch_peer(net):
    """``run(points, batch) -> outputs`` by torch on one thread; None where torch is not installed."""
    if importlib.util.find_spec("torch") is None:
        return None
    import torch

    torch.set_num_threads(1)
    layers = [(torch.tensor(w), torch.tensor(b)) for w, b in zip(net.weights, net.biases)]
    slopes = [torch.tensor(s) if s.any() else None for s in net.slopes]
    linear, prelu = torch.nn.functional.linear, torch.nn.functional.prelu

    @torch.inference_mode()
    def run(points, batch):
        points = torch.from_numpy(points)
        outputs = torch.empty((len(points), net.n_out), dtype=points.dtype)
        for start in range(0, len(points), batch):
            a = points[start : start + batch]
            for (weights, bias), slope in zip(layers, slopes):
                a = linear(a, weights, bias)
                a = a.relu_() if slope is None else prelu(a, slope)
            outputs[start : start + batch] = linear(a, *layers[-1])
        return outputs.numpy()

    return run


def onnxruntime_peer(net):
    """``run(points, batch) -> outputs`` by onnxruntime on one thread; None where it or onnx is not
    installed. The model it runs is the chain as Gemm and Relu (PRelu for other slopes)."""
    if importlib.util.find_spec("onnxruntime") is None or importlib.util.find_spec("onnx") is None:
        return None
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        _as_onnx(net).SerializeToString(), options, providers=["CPUExecutionProvider"]
    )

    def run(points, batch):
        outputs = np.empty((len(points), net.n_out), net.dtype)
        for start in range(0, len(points), batch):
            (outputs[start : start + batch],) = session.run(
                None, {"points": points[start : start + batch]}
            )
        return outputs

    return run


def _as_onnx(net):
    from onnx import TensorProto, helper, numpy_helper

    element = TensorProto.FLOAT if net.dtype == np.float32 else TensorProto.DOUBLE
    nodes, constants, last = [], [], "points"

    def constant(name, array):
        constants.append(numpy_helper.from_array(array, name))
        return name

    for i, (w, b) in enumerate(zip(net.weights, net.biases)):
        gemm = [last, constant(f"W{i}", w), constant(f"b{i}", b)]
        last = f"z{i}"
        nodes.append(helper.make_node("Gemm", gemm, [last], transB=1))
        if i < len(net.slopes):
            s = net.slopes[i]
            fold = ["PRelu", [last, constant(f"s{i}", s)]] if s.any() else ["Relu", [last]]
            last = f"a{i}"
            nodes.append(helper.make_node(*fold, [last]))
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("points", element, ["n_points", net.n_in])],
        [helper.make_tensor_value_info(last, element, ["n_points", net.n_out])],
        constants,
    )
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])


# Agreement ----------------------------------------------------------------------------------------


def evaluate_with_bound(net, points):
    """Outputs in float64, and how far any evaluation in the network's dtype may be from them.

    Whatever the order of its sums, a layer in floating point with unit roundoff u satisfies
    ``|z^ - z| <= gamma_{n+2} (|W| |a^| + |b|) + |W| e`` with ``gamma_k = k u / (1 - k u)`` and e the
    error carried in (Higham, Accuracy and Stability of Numerical Algorithms, section 3.1). A fold
    passes e on by its slope on the side where the sign is sure, by the steeper one where it is not.
    Twice the last layer's bound covers two evaluations; 1 % more the rounding of the bound itself.

    Returns
    -------
    outputs, bound : ndarray of float64, (n_points, n_out)
    """
    unit = np.finfo(net.dtype).eps / 2
    tiny = float(np.finfo(net.dtype).tiny)
    layers = [
        (w.astype(np.float64).T, b.astype(np.float64)) for w, b in zip(net.weights, net.biases)
    ]
    slopes = [s.astype(np.float64) for s in net.slopes]
    outputs = np.empty((len(points), net.n_out))
    bounds = np.empty((len(points), net.n_out))
    for start in range(0, len(points), BLOCK):
        a = points[start : start + BLOCK].astype(np.float64)
        e = np.zeros_like(a)
        for i, (w, b) in enumerate(layers):
            k = (len(w) + 2) * unit
            size = (np.abs(a) + 2 * e) @ np.abs(w) + np.abs(b)
            z, e = a @ w + b, k / (1 - k) * size + e @ np.abs(w) + (len(w) + 2) * tiny
            if i < len(slopes):
                s = slopes[i]
                a = np.where(z > 0, z, s * z)
                either = np.maximum(1, np.abs(s))
                steepest = np.where(z > 2 * e, 1, np.where(z < -2 * e, np.abs(s), either))
                e = steepest * (e + unit * (np.abs(z) + e) * ~np.isin(s, (-1, 0, 1)))
        outputs[start : start + BLOCK] = z
        bounds[start : start + BLOCK] = 2.02 * e
    return outputs, bounds


def check_agreement(net, points, outputs, patterns):
    """Raise `Disagreement` unless all results are right to within rounding.

    Parameters
    ----------
    outputs : dict of str to ndarray
        By name; each must be within the bound of `evaluate_with_bound`.
    patterns : dict of str to ndarray
        By name; each must have the bits of ``net.patterns`` in the rows that are certain.

    Returns
    -------
    n_certain : int
        Number of rows whose every bit is proved.
    """
    expected, bound = evaluate_with_bound(net, points)
    for name, y in outputs.items():
        if y.shape != expected.shape:
            raise Disagreement(f"{name} gives shape {y.shape}; wanted {expected.shape}")
        too_far = ~(np.abs(y - expected) <= bound)
        if too_far.any():
            row, column = (int(i) for i in np.argwhere(too_far)[0])
            raise Disagreement(
                f"{name} gives {y[row, column]} for output {column} of point {row}; wanted "
                f"{expected[row, column]} within {bound[row, column]:.3g}"
            )
    bits, certain = net.patterns(points, return_certain=True)
    for name, p in patterns.items():
        wrong = certain & (p != bits).any(axis=1)
        if wrong.any():
            raise Disagreement(f"{name} gives another pattern for point {int(wrong.argmax())}")
    return int(np.count_nonzero(certain))


# Measurement --------------------------------------------------------------------------------------


def best_times(jobs, seconds=1.0, at_least=5, progress=None):
    """Shortest time in seconds of each of `jobs`, a dict of callables, run in turn.

    Rounds go on for `seconds`, and there are `at_least` so many. `progress` is called with the
    fraction that is done.
    """
    best = dict.fromkeys(jobs, float("inf"))
    begin, rounds = time.perf_counter(), 0
    while rounds < at_least or time.perf_counter() - begin < seconds:
        for name, job in jobs.items():
            start = time.perf_counter()
            job()
            best[name] = min(best[name], time.perf_counter() - start)
        rounds += 1
        if progress is not None:
            spent = time.perf_counter() - begin
            progress(min(rounds / at_least, spent / seconds if seconds else 1.0, 1.0))
    return best


@dataclass(frozen=True)
class Row:
    """One contestant at one job, on all the points."""

    name: str
    job: str  # "outputs" or "outputs + patterns"
    batch: int | None  # the batch size that was fastest, where there is a choice
    seconds: float
    points_per_second: float
    flops_per_second: float
    of_peak: float


@dataclass(frozen=True)
class Comparison:
    """What `compare` measured.

    ``str()`` is the table; `facts` is the same for a machine.
    """

    network: str
    n_points: int
    n_certain: int
    isa: str
    peak_flops_per_second: float
    threads: float
    rows: tuple[Row, ...]
    not_installed: tuple[str, ...] = ()

    def row(self, name, job=OUTPUTS):
        """The row of contestant `name`, or None where it is not installed."""
        return next((r for r in self.rows if (r.name, r.job) == (name, job)), None)

    def ratio(self, name, job=OUTPUTS, mine=None):
        """How many times as fast foldline is (at job `mine`, by default the same one), or None."""
        row = self.row(name, job)
        return None if row is None else row.seconds / self.row("foldline", mine or job).seconds

    def facts(self):
        facts = {**vars(self), "rows": []}
        for row in self.rows:
            ratio = None if row.name == "foldline" else self.ratio(row.name, row.job)
            facts["rows"].append({**vars(row), "foldline_is_times_as_fast": ratio})
        return facts

    def __str__(self):
        lines = [
            f"{self.network}, {self.n_points:,} points, one thread, {self.isa}",
            f"{'':<36}{'points/s':>9}{'GFLOP/s':>9}{'of peak':>9}   foldline is",
        ]
        for row in self.rows:
            job = row.job if row.batch is None else f"{row.job} (batch {row.batch})"
            rate, gflops = short(row.points_per_second), row.flops_per_second / 1e9
            line = f"{row.name:<13}{job:<23}{rate:>9}{gflops:>9.1f}{row.of_peak:>9.0%}"
            if row.name != "foldline":
                line += f"   {self.ratio(row.name, row.job):.2f} x as fast"
            lines.append(line)
        lines += [f"{name}: not installed" for name in self.not_installed]
        lines.append(
            f"The peak is {self.peak_flops_per_second / 1e9:.1f} GFLOP/s of fused multiply-adds, "
            "measured in between."
        )
        lines.append(
            f"All outputs agree within the bound on rounding, all patterns in the {self.n_certain:,}\n"
            f"rows ({self.n_certain / max(self.n_points, 1):.2%}) whose signs are certain."
        )
        if self.threads > 1.2:
            lines.append(
                f"Not a fair race: {self.threads:.1f} threads were busy. Set to 1 in the environment:\n"
                f"{' '.join(ONE_THREAD)}."
            )
        return "\n".join(lines)


def compare(net, points, seconds=3.0, peers=("torch", "onnxruntime"), progress=None):
    """Time foldline, NumPy and the installed `peers` on `points` and check that they agree.

    Parameters
    ----------
    points : ndarray, (n_points, n_in), C-contiguous, of the network's dtype
    seconds : float
        Time to spend on the rounds; there are at least five.

    Returns
    -------
    Comparison

    Raises
    ------
    Disagreement
        If results differ by more than rounding allows.
    """
    numpy_peer = NumpyPeer(net)
    jobs = {
        ("foldline", OUTPUTS, None): lambda: net(points),
        ("foldline", BOTH, None): lambda: net.evaluate(points),
        ("NumPy", OUTPUTS, None): lambda: numpy_peer(points),
        ("NumPy", BOTH, None): lambda: numpy_peer.evaluate(points),
    }
    not_installed = []
    for name in peers:
        run = {"torch": torch_peer, "onnxruntime": onnxruntime_peer}[name](net)
        if run is None:
            not_installed.append(name if name == "torch" else f"{name}, or onnx")
        else:
            batch = best_batch(run, points)
            jobs[name, OUTPUTS, batch] = lambda run=run, batch=batch: run(points, batch)

    outputs, patterns = {}, {}
    for (name, job, _), run in jobs.items():
        if job == BOTH:
            outputs[f"{name} with patterns"], patterns[name] = run()
        else:
            outputs[name] = run()
    n_certain = check_agreement(net, points, outputs, patterns)
    del outputs, patterns

    peaks = []
    wall, processor = time.perf_counter(), time.process_time()
    best = best_times(
        {**jobs, "peak": lambda: peaks.append(fma_peak(net.dtype))},
        seconds,
        progress=progress,
    )
    threads = (time.process_time() - processor) / (time.perf_counter() - wall)
    peak, work = max(peaks), flops_per_point(net) * len(points)
    return Comparison(
        network=_shape(net),
        n_points=len(points),
        n_certain=n_certain,
        isa=fl.show_config().isa,
        peak_flops_per_second=peak,
        threads=threads,
        rows=tuple(
            Row(*key, best[key], len(points) / best[key], work / best[key], work / best[key] / peak)
            for key in jobs
        ),
        not_installed=tuple(not_installed),
    )


def best_batch(run, points, batches=BATCHES):
    """The one of `batches` with which ``run(points, batch)`` is fastest."""
    batches = [b for b in batches if b <= len(points)] or [max(len(points), 1)]
    times = best_times({b: lambda b=b: run(points, b) for b in batches}, 0.0, at_least=3)
    return min(times, key=times.get)


def table(header, rows):
    """Rows of strings in columns: the first flush left, the others flush right."""
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:]))])
        for row in (header, *rows)
    )


def short(rate):
    """``12345678`` as ``12.3 M``."""
    unit, scale = next((u for u in (("G", 1e9), ("M", 1e6), ("k", 1e3)) if rate >= u[1]), ("", 1.0))
    value = rate / scale
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f} {unit}"


def _shape(net):
    return f"{'-'.join(str(n) for n in (net.n_in, *net.widths, net.n_out))}, {net.dtype}"
