"""The command line: ``foldline``, or ``python -m foldline``.

Exit codes: 0 done, 1 the answer is no, 2 bad input (one line on stderr), 3 undecided or a limit
reached, 130 interrupted. Results go to stdout, everything else to stderr; with ``--json`` stdout is
one JSON document, in which a number beyond the range of floats is null.
"""

import argparse
import contextlib
import itertools
import json
import math
import os
import re
import sys
import threading
import time
import warnings

import numpy as np

import foldline as fl

from . import bench, reports
from .files import replacing
from .walk import ENGINES

__all__ = ["main"]

DONE, NO, BAD_INPUT, LIMIT, INTERRUPTED = 0, 1, 2, 3, 130
BLOCK_BYTES = 2**25


def main(argv=None):
    """Run the command line `argv` (by default the process's own) and return its exit code."""
    argv = sys.argv[1:] if argv is None else list(argv)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            code = _run(argv)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        _discard_stdout()
        return DONE
    except KeyboardInterrupt:
        return INTERRUPTED
    except bench.Disagreement as error:
        return _complain(error, NO)
    except MemoryError as error:
        return _complain(error if str(error) else "out of memory", LIMIT)
    except (ValueError, TypeError, OSError, ImportError) as error:
        return _complain(error, BAD_INPUT)


def _run(argv):
    try:
        args = _parser().parse_args([_as_value(argument) for argument in argv])
    except SystemExit:
        sys.stdout.flush()
        raise
    if args.run in (_demo, _bench) and not bench.runs_on_one_thread():
        return bench.run_on_one_thread(["-m", "foldline", *argv])
    facts, text, code = args.run(args)
    if args.json:
        print(json.dumps(_plain(facts), allow_nan=False))
    elif text:
        print(text)
    return code


# Commands: each returns facts for --json, text for people, and the exit code ----------------------


def _demo(args):
    from . import demo

    with _Progress("evaluating") as progress:
        facts = demo.facts(progress=progress)
        if not args.no_picture:
            facts["picture"] = demo.save_picture()
    return facts, demo.text(facts), DONE


def _info(args):
    net = fl.load(args.model, drop_final=args.drop_final)
    config = fl.show_config()
    facts = {
        "model": args.model,
        "n_in": net.n_in,
        "widths": net.widths,
        "n_out": net.n_out,
        "dtype": net.dtype.name,
        "n_neurons": net.n_neurons,
        "folds": _count_folds(net),
        "parameters": sum(a.size for a in (*net.weights, *net.biases)),
        "digest": net.digest,
        "import_check": None,
        "isa": config.isa,
        "isa_available": config.isa_available,
        "version": config.version,
    }
    checked = "nothing to compare with: weights are as the file has them"
    if net.import_check is not None:
        facts["import_check"] = net.import_check._asdict()
        checked = str(net.import_check)
    folds = ", ".join(f"{n:,} {kind}" for kind, n in facts["folds"].items() if n)
    shape = "-".join(str(n) for n in (net.n_in, *net.widths, net.n_out))
    lines = [
        ("shape", f"{shape}, {net.dtype}"),
        ("neurons", f"{net.n_neurons:,}"),
        ("units", folds or "no hidden layer: the network is affine"),
        ("parameters", f"{facts['parameters']:,}"),
        ("digest", net.digest),
        ("import check", checked),
        (
            "evaluated by",
            f"foldline {config.version}, {config.isa} of {', '.join(config.isa_available)}",
        ),
    ]
    return facts, "\n".join(f"{name:<14}{value}" for name, value in lines), DONE


def _eval(args):
    net = fl.load(args.model, drop_final=args.drop_final)
    points = _read_points(args, net)
    shape = (len(points), net.n_out)
    with _Progress("evaluating") as progress, _open_rows(args, shape, net.dtype) as rows:
        for block in _blocks(points, args, net, progress):
            rows.write(net.forward(block, workers=args.workers))
    facts = {"model": args.model, "n_points": shape[0], "n_out": shape[1], **rows.facts("outputs")}
    return facts, rows.note(f"{shape[0]:,} outputs of {shape[1]}"), DONE


def _patterns(args):
    net = fl.load(args.model, drop_final=args.drop_final)
    points = _read_points(args, net)
    width = net.n_neurons if args.unpack else (net.n_neurons + 7) // 8
    dtype = np.dtype(bool if args.unpack else np.uint8)
    certain = []
    with _Progress("evaluating") as progress, _open_rows(args, (len(points), width), dtype) as rows:
        for block in _blocks(points, args, net, progress):
            if args.exact:
                p = net.patterns(block, exact=True, workers=args.workers)
                certain.append(np.ones(len(p), bool))
            else:
                p, sure = net.patterns(block, return_certain=True, workers=args.workers)
                certain.append(sure)
            rows.write(fl.unpack_patterns(p, net.n_neurons) if args.unpack else p)
    certain = np.concatenate(certain) if certain else np.empty(0, bool)
    n_certain = int(np.count_nonzero(certain))
    facts = {
        "model": args.model,
        "n_points": len(points),
        "n_neurons": net.n_neurons,
        "packed": not args.unpack,
        "exact": args.exact,
        "n_certain": n_certain,
        **rows.facts("patterns"),
    }
    if "patterns" in facts:
        facts["certain"] = certain
    summary = (
        f"{len(points):,} patterns of {net.n_neurons:,} bits, {n_certain:,} certain in every bit"
    )
    note = rows.note(summary)
    if not note and not args.json:
        print(f"foldline: {summary}", file=sys.stderr)
    return facts, note, DONE


def _count(args):
    only_exact = ("kind", "engine", "no_certify", "max_regions", "time_limit")
    given = [name for name in only_exact if getattr(args, name) not in (None, False)]
    if given and not args.exact:
        raise ValueError(f"--{given[0].replace('_', '-')} wants --exact")
    net = fl.load(args.model, drop_final=args.drop_final)
    return _count_exactly(args, net) if args.exact else _count_sampled(args, net)


def _count_exactly(args, net):
    if args.points is not None or args.random is not None:
        raise ValueError("--exact counts the regions of the box --low to --high; it takes no points")
    return _counted(args, net, _box(args, net))


def _counted(args, net, domain):
    with _Progress("counting") as progress:
        found = fl.count_regions(
            net,
            domain,
            kind=args.kind or "activation",
            engine=args.engine or "auto",
            certify=not args.no_certify,
            progress=progress.count,
            **_limits(args),
        )
    facts = {
        "model": args.model,
        **_about(domain),
        "kind": found.kind,
        "count": found.count,
        "status": found.status,
        "certified": found.certified,
        "stats": found.stats,
        "digest": found.digest,
    }
    return facts, reports.count_sentences(found), DONE if found.status == "complete" else LIMIT


def _limits(args):
    return {"max_regions": args.max_regions, "time_limit": args.time_limit, "workers": args.workers}


def _box(args, net):
    return fl.Box(*(value[0] if len(value) == 1 else value for value in (args.low, args.high)), n_in=net.n_in)


def _about(domain):
    return {"domain": type(domain).__name__, **vars(domain)}


def _regions(args):
    net = fl.load(args.model, drop_final=args.drop_final)
    _check_output(args.of_output, net)
    box = _box(args, net)
    with _Progress("describing") as progress:
        start = time.monotonic()
        found = fl.regions(net, box, engine=args.engine or "auto", progress=progress.count, **_limits(args))
        seconds = time.monotonic() - start
    if args.save is not None:
        found.save(args.save)
    total = math.prod((box.high - box.low).tolist())
    rows = np.argsort(-found.volumes, kind="stable")[: args.largest]  # NaN come last
    complete = found.status == "complete"
    facts = {
        "model": args.model,
        **_about(box),
        "count": len(found),
        "status": found.status,
        "certified": "exact" if complete else "lower_bound",
        "volume": total,
        "smallest_volume": found.volumes.min(),
        "largest": [
            {"region": i, "share": found.volumes[i] / total}
            | {"volume": found.volumes[i], "A": found.A[i], "b": found.b[i]}
            | {"interior_point": found.interior_points[i]}
            for i in rows.tolist()
        ],
        "seconds": seconds,
        "saved": args.save,
        "digest": net.digest,
    }
    lines = [reports.regions_sentence(found)]
    if np.isnan(found.volumes).any():
        lines.append("Volumes are not known: this engine keeps no vertices. --engine exact has both.")
    else:
        lines.append(f"The smallest has {found.volumes.min() / total:.2g} of the box's volume.")
    if args.save is not None:
        lines.append(f"{args.save}: all columns; foldline.Regions.load reads them.")
    if len(rows):
        lines += ["", reports.region_table(found, rows, total, args.of_output)]
    return facts, "\n".join(lines), DONE if complete else LIMIT


def _slice(args):
    net = fl.load(args.model, drop_final=args.drop_final)
    _check_output(args.of_output, net)
    plane = _plane(args, net)
    ax = None
    if args.picture is not None:  # what is wrong with it is told before the work, not after it
        fl.plot.check_name(args.picture)
        ax = fl.plot.new_axes()
    facts, text, code = _counted(args, net, plane)
    facts["picture"] = args.picture
    if ax is not None:
        with _Progress("drawing") as progress:
            found = fl.regions(net, plane, progress=progress.count, **_limits(args))
            fl.plot.regions(found, ax=ax, color_by=args.color_by, output=args.of_output)
            fl.plot.save(ax, args.picture)
        text += f"\n{args.picture}: {len(found):,} activation regions drawn."
        code = max(code, DONE if found.status == "complete" else LIMIT)
    return facts, text, code


def _plane(args, net):
    """The slice asked for: along two inputs, along two directions, or through three points."""
    given = [args.axes is not None, args.u is not None or args.v is not None, args.through is not None]
    if sum(given) != 1 or (args.u is None) != (args.v is None) or args.through and args.origin:
        raise ValueError(
            "wanted --axes I,J, or --u and --v (both with or without --origin), or --through A B C"
        )
    if args.through is not None:
        if args.extent is None:
            return fl.Plane.through(*args.through)
        plane = fl.Plane.through(*args.through)
        return fl.Plane(plane.origin, plane.u, plane.v, args.extent)
    directions = (args.u, args.v)
    if args.axes is not None:
        if len(args.axes) != 2 or not all(0 <= k < net.n_in and k == int(k) for k in args.axes):
            raise ValueError(f"--axes names two of the inputs 0 to {net.n_in - 1}, as in 0,1")
        directions = np.eye(net.n_in)[[int(k) for k in args.axes]]
    origin = np.zeros(net.n_in) if args.origin is None else args.origin
    return fl.Plane(origin, *directions, 1.0 if args.extent is None else args.extent)


def _check_output(output, net):
    if output >= net.n_out:
        raise ValueError(f"--of-output is {output}; this network has {net.n_out} outputs, from 0")


def _count_sampled(args, net):
    points = _read_points(args, net)
    certain = np.ones(len(points), bool)
    with _Progress("counting") as progress:
        first = 0
        for block in _blocks(points, args, net, progress):
            _, sure = net.patterns(block, return_certain=True, workers=args.workers)
            certain[first : first + len(block)] = sure
            first += len(block)
        points = _whole(points if certain.all() else points[certain], args, net)
        seen = fl.count_patterns(net, points, workers=args.workers)
    n_uncertain = len(certain) - seen.n_points
    note = "a lower bound on the number of regions, never a count of them"
    facts = {
        "model": args.model,
        "n_points": seen.n_points,
        "n_uncertain": n_uncertain,
        "distinct": seen.distinct,
        "singletons": seen.singletons,
        "coverage": seen.coverage,
        "note": note,
    }
    text = [
        f"{seen.distinct:,} distinct patterns among {seen.n_points:,} points, "
        f"{seen.singletons:,} seen once.",
        f"This is {note}.",
    ]
    if seen.n_points:
        text.append(
            f"{seen.coverage:.1%} of further such points are expected in a pattern seen here."
        )
    if n_uncertain:
        text.append(
            f"Left out: {n_uncertain:,} of the points, too near a fold to be sure of their pattern."
        )
    return facts, "\n".join(text), DONE


def _check(args):
    net = fl.load(args.model, drop_final=args.drop_final)
    box = _box(args, net)
    with _Progress("looking for folds"):
        limits = {"max_regions": args.max_regions, "time_limit": args.time_limit}
        found = fl.check_affine(net, box, args.outputs, args.tol, **limits)
    proof = found.certificate or found.witness
    if args.save and proof:
        proof.save(args.save)
    facts = {
        "model": args.model,
        "low": box.low,
        "high": box.high,
        "status": found.status,
        "reason": found.reason,
        "outputs": found.outputs,
        "tol": found.tol,
        "A": found.A,
        "b": found.b,
        "witness": None,
        "deviation": found.deviation,
        "n_regions": found.n_regions,
        "volume_proved": found.volume_proved,
        "slope_change": found.slope_change,
        "seconds": found.seconds,
        "saved": args.save if proof else None,
        "digest": net.digest,
    }
    if found.witness:
        names = ("x", "y", "z", "outputs", "neurons")
        facts["witness"] = {name: getattr(found.witness, name) for name in names}
        facts["witness"]["gap"] = float(found.witness.gap)
    text = [_verdict_text(found)]
    if args.save:
        text.append(f"The proof is in {args.save}." if proof else "There is no proof to save.")
    code = {"affine": DONE, "not_affine": NO, "undecided": LIMIT}[found.status]
    return facts, "\n".join(text), code


def _verdict_text(found):
    if found.status == "affine":
        within = f" within {found.tol:g}" if found.tol else ""
        rows = (
            f"  y{k} = {b:.6g}{''.join(_term(a, f'x{i}') for i, a in enumerate(row) if a)}"
            for k, row, b in zip(found.outputs, found.A.tolist(), found.b.tolist())
        )
        return "\n".join([f"Affine{within}: {found.reason}.", *itertools.islice(rows, 20)])
    if found.status == "not_affine":
        w = found.witness
        points = "\n".join(f"  {name} = {_slope(getattr(w, name))}" for name in "xyz")
        neurons = f"neuron{'s' * (len(w.neurons) > 1)} {', '.join(map(str, w.neurons))}"
        return (
            f"Not affine: {found.reason}.\n{points}\n"
            f"  f(x) + f(y) - 2 f(z) = {float(w.gap):.6g} in output {w.outputs[0]}; the fold is of {neurons}."
        )
    return (
        f"Undecided: {found.reason}. One map is proved on {found.volume_proved:.3%} of the box; "
        f"the largest change of slope seen is {found.slope_change:.6g}."
    )


def _term(factor, name):
    return f" {'-' if factor < 0 else '+'} {abs(factor):.6g} {name}"


def _verify(args):
    proof = fl.load_proof(args.proof)
    net = fl.load(args.model, drop_final=args.drop_final)
    refusal = proof.refusal(net)
    claim = "affine" if isinstance(proof, fl.Certificate) else "not affine"
    facts = {"model": args.model, "proof": args.proof, "claim": claim, "holds": refusal is None}
    facts |= {"outputs": proof.outputs, "refusal": refusal, "digest": net.digest}
    if refusal:
        return facts, f"Refused: {refusal}.", NO
    within = f", within {float(proof.tol):g}" if proof.tol else ""
    outputs = f"output{'s' * (len(proof.outputs) > 1)} {', '.join(map(str, proof.outputs))}"
    return facts, f"Verified in exact arithmetic: {claim}{within}, in {outputs}, on the proof's domain.", DONE


def _knots(args):
    net = fl.load(args.model, drop_final=args.drop_final)
    found = fl.knots(net, args.start, args.stop, extend=args.extend)
    before = found.slope_before
    facts = {
        "model": args.model,
        "start": args.start,
        "stop": args.stop,
        "extend": args.extend,
        "n_crossings": len(found),
        "n_knots": len(np.unique(found.t[found.is_knot])),
        "t": found.t,
        "t_error": found.t_error,
        "neuron": found.neuron,
        "is_knot": found.is_knot,
        "first_slope": found.first_slope[0],
        "slope_before": before,
        "slope_after": found.slope_after,
        "stats": found.stats,
        "digest": net.digest,
    }
    how = next(name for name, n in found.stats.items() if n)
    text = f"{found!r}, proved {how}.\nThe slope begins as {_slope(found.first_slope[0])}."
    rows = [
        [str(t), str(neuron), "yes" if is_knot else "no", _slope(slope)]
        for t, neuron, is_knot, slope in zip(found.t.tolist(), found.neuron, found.is_knot, found.slope_after)
    ]
    if rows:
        text += "\n" + bench.table(["t", "neuron", "knot", "slope after"], rows)
    return facts, text, DONE


def _slope(values):
    return ", ".join(f"{value:.6g}" for value in values)


def _explain(args):
    net = fl.load(args.model, drop_final=args.drop_final)
    names = args.names.split(",") if args.names else [f"x{k + 1}" for k in range(net.n_in)]
    with _Progress("looking"):
        limits = {"max_regions": args.max_regions, "time_limit": args.time_limit}
        domain = _explained_domain(args, net, names)
        found = fl.explain(net, domain, names, most=args.most, digits=args.digits, **limits)
    written = {"text": str, "markdown": fl.Explanation.to_markdown, "latex": fl.Explanation.to_latex}
    code = LIMIT if found.n_pieces is None else DONE
    return {"model": args.model, **found.to_dict()}, written[args.format](found), code


def _explained_domain(args, net, names):
    """The box, all of space, or the slice of the box through a point along one or two inputs."""
    if args.space:
        if args.vary or args.at:
            raise ValueError("--space is all of space; it takes no --vary and no --at")
        return fl.Space(net.n_in)
    box = _box(args, net)
    if not args.vary:
        if args.at:
            raise ValueError("--at holds the inputs that do not vary; wanted --vary as well")
        return box
    varied = args.vary.split(",")
    unknown = [name for name in varied if name not in names]
    if unknown or not 1 <= len(set(varied)) == len(varied) <= 2:
        raise ValueError(f"--vary is {args.vary}; wanted one or two different ones of {','.join(names)}")
    middle = np.array(args.at) if args.at else (box.low + box.high) / 2
    if middle.shape != (net.n_in,):
        raise ValueError(f"--at has {len(middle)} values; wanted {net.n_in}")
    axes = [names.index(name) for name in varied]
    if len(axes) == 1:
        ends = np.array([middle, middle])
        ends[:, axes[0]] = box.low[axes[0]], box.high[axes[0]]
        return fl.Segment(*ends)
    middle[axes] = (box.low[axes] + box.high[axes]) / 2
    halves = np.diag((box.high - box.low) / 2)
    return fl.Plane(middle, *halves[axes])


def _bench(args):
    net = fl.load(args.model, drop_final=args.drop_final)
    n_points = args.points or bench.default_n_points(net)
    points = bench.random_points(n_points, net.n_in, net.dtype)
    with _Progress("measuring") as progress:
        try:
            result = bench.compare(net, points, args.seconds, progress=progress)
        except bench.Disagreement as disagreement:
            facts = {"model": args.model, "agree": False, "disagreement": str(disagreement)}
            return facts, f"No: {disagreement}", NO
    return {"model": args.model, "agree": True, **result.facts()}, str(result), DONE


def _count_folds(net):
    slopes = np.concatenate([np.empty(0), *net.slopes])
    return {
        "relu": int(np.count_nonzero(slopes == 0)),
        "leaky": int(np.count_nonzero(~np.isin(slopes, (-1, 0, 1)))),
        "abs": int(np.count_nonzero(slopes == -1)),
        "pass-through": int(np.count_nonzero(slopes == 1)),
    }


# Points in ----------------------------------------------------------------------------------------


def _read_points(args, net):
    """The points asked for, (n_points, n_in); a .npy file stays on disk."""
    if (args.points is None) == (args.random is None):
        raise ValueError(
            "name a file of points (or - for stdin), or ask for --random N; one of the two"
        )
    if args.random is not None:
        for option, values in (("--low", args.low), ("--high", args.high)):
            if len(values) not in (1, net.n_in):
                raise ValueError(f"{option} has {len(values)} values; wanted one, or {net.n_in}")
        return bench.random_points(args.random, net.n_in, net.dtype, args.low, args.high, args.seed)
    if args.points == "-":
        name, points = "stdin", _read_text(sys.stdin, "stdin", net)
    elif args.points.endswith(".npy"):
        name, points = args.points, _read_npy(args.points, net, args.cast)
    else:
        name = args.points
        with open(name, encoding="utf-8-sig") as stream:
            points = _read_text(stream, name, net)
    if points.ndim != 2 or points.shape[1] != net.n_in:
        raise ValueError(
            f"{name} has shape {points.shape}; this network takes (n_points, {net.n_in})"
        )
    if not len(points):
        warnings.warn(f"{name} holds no points", stacklevel=2)
    return points


def _read_npy(path, net, cast):
    with open(path, "rb") as stream:
        if stream.read(6) != b"\x93NUMPY":
            raise ValueError(f"{path} is not a .npy file")
    try:
        points = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    if points.dtype.kind == "f" and points.dtype != net.dtype and not cast:
        raise TypeError(
            f"{path} has dtype {points.dtype}; this network takes {net.dtype} (--cast converts)"
        )
    return points


def _read_text(stream, name, net):
    """Rows of numbers, separated by commas or by white space. A first row in which nothing is a
    number is a header."""
    try:
        lines = (line for line in stream if line.strip() and not line.lstrip().startswith("#"))
        first = next(lines, None)
        if first is None:
            return np.empty((0, net.n_in), net.dtype)
        delimiter = "," if "," in first else None
        if not any(_is_number(field) for field in first.split(delimiter)):
            first = next(lines, None)
            if first is None:
                return np.empty((0, net.n_in), net.dtype)
        rows = itertools.chain([first], lines)
        return np.loadtxt(rows, net.dtype, delimiter=delimiter, ndmin=2)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _is_number(field):
    try:
        float(field)
    except ValueError:
        return False
    return True


def _whole(points, args, net):
    if args.cast and points.dtype.kind == "f" and points.dtype != net.dtype:
        with np.errstate(over="ignore"):
            return points.astype(net.dtype)
    return points


def _blocks(points, args, net, progress):
    """The points, some megabytes at a time."""
    row_bytes = (net.n_in + net.n_out) * net.dtype.itemsize + (net.n_neurons + 7) // 8
    n_rows = max(BLOCK_BYTES // row_bytes, 2048)
    for start in range(0, len(points), n_rows):
        progress(start / len(points))
        yield _whole(points[start : start + n_rows], args, net)


# Rows out -----------------------------------------------------------------------------------------


def _open_rows(args, shape, dtype):
    if args.output is None or args.output == "-":
        return (
            _CollectedRows() if args.json else _TextRows(contextlib.nullcontext(sys.stdout.buffer))
        )
    stream = replacing(args.output)
    if args.output.endswith(".npy"):
        return _NpyRows(stream, args.output, shape, dtype)
    return _TextRows(stream, args.output)


class _CollectedRows(contextlib.AbstractContextManager):
    """Rows that become part of the JSON document."""

    def __init__(self):
        self._blocks = []

    def __exit__(self, *exception):
        pass

    def write(self, block):
        self._blocks.append(block.astype(np.uint8) if block.dtype == bool else block)

    def facts(self, name):
        return {name: [row for block in self._blocks for row in block.tolist()]}

    def note(self, what):
        return ""


class _FileRows(contextlib.AbstractContextManager):
    def __init__(self, stream, path=None):
        self._stream, self._path = stream, path

    def __enter__(self):
        self._file = self._stream.__enter__()
        return self

    def __exit__(self, *exception):
        return self._stream.__exit__(*exception)

    def facts(self, name):
        return {"output": self._path}

    def note(self, what):
        return "" if self._path is None else f"{self._path}: {what}"


class _NpyRows(_FileRows):
    def __init__(self, stream, path, shape, dtype):
        super().__init__(stream, path)
        descr = np.lib.format.dtype_to_descr(dtype)
        self._header = {"descr": descr, "fortran_order": False, "shape": shape}

    def __enter__(self):
        super().__enter__()
        np.lib.format.write_array_header_1_0(self._file, self._header)
        return self

    def write(self, block):
        self._file.write(np.ascontiguousarray(block).data)


class _TextRows(_FileRows):
    """Comma-separated values; the shortest digits that read back as the same number."""

    def write(self, block):
        text = block.astype(np.uint8 if block.dtype == bool else block.dtype).astype(str)
        self._file.write("".join(",".join(row) + "\n" for row in text.tolist()).encode())


# Talking ------------------------------------------------------------------------------------------


class _Progress:
    """A line on stderr, where that is a terminal, once something has taken two seconds."""

    PATIENCE = 2.0

    def __init__(self, what):
        self._what, self._so_far = what, ""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._show, daemon=True)

    def __call__(self, fraction):
        self._so_far = f" {fraction:.0%}"

    def count(self, n):
        self._so_far = f", {n:,} so far"

    def __enter__(self):
        if sys.stderr is not None and sys.stderr.isatty():
            self._thread.start()
        return self

    def __exit__(self, *exception):
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def _show(self):
        begin, width, pause = time.monotonic(), 0, self.PATIENCE
        while not self._over.wait(pause):
            line = f"{self._what}{self._so_far}, {time.monotonic() - begin:.0f} s"
            print(f"\r{line:<{width}}", end="", file=sys.stderr, flush=True)
            width, pause = len(line), 0.5
        if width:
            print(f"\r{'':<{width}}\r", end="", file=sys.stderr, flush=True)


def _plain(value):
    """`value` in the types JSON has."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _complain(error, code):
    if isinstance(error, OSError) and error.filename is not None:
        error = f"{error.filename}: {error.strerror}"
    print(f"foldline: error: {' '.join(str(error).split())}", file=sys.stderr)
    return code


def _show_warning(message, category, filename, lineno, file=None, line=None):
    print(f"foldline: note: {' '.join(str(message).split())}", file=sys.stderr)


def _discard_stdout():
    """Keep the interpreter from complaining, at exit, about a reader that has gone."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)


# Arguments ----------------------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        sys.exit(_complain(f"{message} (see {self.prog} --help)", BAD_INPUT))

    def parse_known_args(self, args=None, namespace=None):
        """Takes POINTS behind options, too: before Python 3.13 argparse wants it next to MODEL."""
        namespace, rest = super().parse_known_args(args, namespace)
        if rest and self.get_default("takes_points") and namespace.points is None and rest[0][0] != "-":
            namespace.points = rest.pop(0)
        return namespace, rest


def _parser():
    parser = _Parser(prog="foldline", description="Take piecewise-linear (ReLU-like) networks apart.")
    parser.add_argument("--version", action="version", version=f"foldline {fl.__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, title="commands")

    def command(name, run, help):
        sub = commands.add_parser(name, help=help, description=help[0].upper() + help[1:] + ".")
        sub.add_argument("--json", action="store_true", help="print one JSON document")
        sub.set_defaults(run=run)
        return sub

    def model_command(name, run, help):
        sub = command(name, run, help)
        add_model(sub)
        return sub

    def add_model(sub):
        sub.add_argument(
            "model", metavar="MODEL", help="a file that foldline.load reads: .onnx, .npz, .json, .nnet"
        )
        sub.add_argument(
            "--drop-final", action="store_true", help="leave out a final softmax, sigmoid or argmax"
        )

    def points_command(name, run, help):
        sub = model_command(name, run, help)
        sub.set_defaults(takes_points=True)
        add = sub.add_argument
        add(
            "points",
            metavar="POINTS",
            nargs="?",
            help=".npy, or text (.csv, .txt); - is text on stdin",
        )
        add("--cast", action="store_true", help="convert a .npy file to the network's dtype")
        add(
            "--random",
            metavar="N",
            type=_whole_number,
            help="N uniform random points instead of a file",
        )
        add_box(sub)
        add("--seed", type=_whole_number, default=0, help="of the random points (0)")
        add("--workers", type=_positive, default=1, help="threads (1)")
        return sub

    def add_output(sub):
        sub.add_argument(
            "-o",
            "--output",
            metavar="FILE",
            help=".npy, or comma-separated text (default: text to stdout)",
        )

    def add_box(sub):
        add = sub.add_argument
        ends = "end of the box, a number or one per input"
        add("--low", type=_finite_numbers, default=[-1.0], help=f"lower {ends} (-1)")
        add("--high", type=_finite_numbers, default=[1.0], help=f"upper {ends} (1)")

    def add_limits(sub):
        add = sub.add_argument
        add("--max-regions", metavar="N", type=_positive, help="stop after N activation regions")
        add("--time-limit", metavar="SECONDS", type=_duration, help="stop after this long")

    def add_engine(sub):
        choices = ("auto", *ENGINES)
        sub.add_argument("--engine", choices=choices, help="how cells are kept (auto: by the dimension)")

    def add_count(sub):
        add = sub.add_argument
        add("--kind", choices=("activation", "linear", "affine"), help="of regions (activation)")
        add("--no-certify", action="store_true", help="count faster, without proof")
        add_engine(sub)
        add_limits(sub)

    sub = command("demo", _demo, "two neurons by hand, and a real network on a million points")
    sub.add_argument("--no-picture", action="store_true", help="write no file")
    model_command("info", _info, "what a model is: shape, folds, parameters, digest, import check")
    add_output(points_command("eval", _eval, "outputs of a model, one row a point"))
    sub = points_command(
        "patterns", _patterns, "activation patterns, one row a point, 8 neurons a byte"
    )
    add_output(sub)
    sub.add_argument("--exact", action="store_true", help="prove every bit")
    sub.add_argument(
        "--unpack", action="store_true", help="one 0 or 1 a neuron instead of packed bytes"
    )
    sub = points_command("count", _count, "patterns in a sample or, with --exact, regions of a box")
    sub.add_argument("--exact", action="store_true", help="count the regions of the box --low to --high")
    add_count(sub)
    sub = model_command("regions", _regions, "the regions of a box: how many, the largest, the map on each")
    add_box(sub)
    add_engine(sub)
    add_limits(sub)
    add = sub.add_argument
    add("--largest", metavar="N", type=_whole_number, default=10, help="rows of the table (10)")
    add("--of-output", metavar="K", type=_whole_number, default=0, help="whose formula to show (0)")
    add("--save", metavar="FILE", help="write all columns to this .npz, for foldline.Regions.load")
    add("--workers", type=_positive, default=1, help="threads (1)")
    sub = model_command("slice", _slice, "count, and draw, the regions of a two-dimensional slice")
    add = sub.add_argument
    add("--axes", metavar="I,J", type=_finite_numbers, help="along two inputs, numbered from 0")
    add("--origin", metavar="POINT", type=_finite_numbers, help="the middle of the slice (0,0,...)")
    add("--u", metavar="VECTOR", type=_finite_numbers, help="along two directions: the one")
    add("--v", metavar="VECTOR", type=_finite_numbers, help="and the other")
    through = "A + s (B - A) + t (C - A)"
    add("--through", metavar=("A", "B", "C"), nargs=3, type=_finite_numbers, help=through)
    add("--extent", type=float, help="|s| and |t| are less than this (1)")
    add("--picture", metavar="FILE", help="draw the regions: .png, .pdf or .svg")
    colors = ("region", "slope", "output", "layer")
    add("--color-by", choices=colors, default="region", help="what the picture's colors say (region)")
    add("--of-output", metavar="K", type=_whole_number, default=0, help="of which output (0)")
    add("--workers", type=_positive, default=1, help="threads (1)")
    add_count(sub)
    sub = model_command("check", _check, "whether a model is affine on a box, with a proof")
    add = sub.add_argument
    add("--affine", action="store_true", required=True, help="the question")
    add_box(sub)
    add("--outputs", metavar="K", type=_whole_numbers, help="only these outputs, with commas (all)")
    add("--tol", type=_tolerance, default=0.0, help="how far from an affine map the outputs may be (0)")
    add_limits(sub)
    add("--save", metavar="FILE", help="write the certificate, or the witness, as JSON")
    sub = command("verify", _verify, "check a proof that foldline check saved, in exact arithmetic")
    sub.add_argument("proof", metavar="PROOF", help="the file")
    add_model(sub)
    sub = model_command("knots", _knots, "where a segment crosses the folds of a model")
    add = sub.add_argument
    ends = "a number for each input, with commas"
    add("--start", metavar="POINT", type=_finite_numbers, required=True, help=ends)
    add("--stop", metavar="POINT", type=_finite_numbers, required=True, help="likewise")
    add("--extend", action="store_true", help="all of the line through both, in rationals")
    sub = model_command("explain", _explain, "the pieces of a model as formulas, and where each holds")
    add = sub.add_argument
    add("--names", metavar="A,B,...", help="of the inputs, with commas (x1,x2,...)")
    add_box(sub)
    add("--space", action="store_true", help="all of space instead of the box, for networks without biases")
    add("--vary", metavar="A,B", help="one or two inputs that vary; the others are held")
    add("--at", metavar="POINT", type=_finite_numbers, help="where they are held (the middle of the box)")
    add("--most", metavar="N", type=_positive, default=10, help="pieces listed, the largest (10)")
    add("--digits", metavar="N", type=_positive, default=3, help="of numbers that have to be rounded (3)")
    add_limits(sub)
    add("--format", choices=("text", "markdown", "latex"), default="text", help="to print (text)")
    sub = model_command(
        "bench", _bench, "foldline beside NumPy, torch and onnxruntime on your model"
    )
    sub.add_argument("--seconds", type=_duration, default=3.0, help="time to measure for (3)")
    sub.add_argument(
        "--points", metavar="N", type=_positive, help="number of points (16,384 to 262,144)"
    )
    return parser


def _as_value(argument):
    """Lists of numbers that begin with a minus are values, not options: argparse tells by a space."""
    return f" {argument}" if re.match(r"-[\d.][^ ]*,", argument) else argument


def _whole_number(text):
    with contextlib.suppress(ValueError):
        if int(text) >= 0:
            return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")


def _whole_numbers(text):
    return [_whole_number(part) for part in text.split(",")]


def _positive(text):
    with contextlib.suppress(ValueError):
        if int(text) > 0:
            return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a positive whole number")


def _duration(text):
    with contextlib.suppress(ValueError):
        if 0 <= float(text) < math.inf:
            return float(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")


def _tolerance(text):
    with contextlib.suppress(ValueError):
        if 0 <= float(text) < math.inf:
            return float(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a tolerance, a number that is at least 0")


def _finite_numbers(text):
    with contextlib.suppress(ValueError):
        values = [float(part) for part in text.split(",")]
        if all(math.isfinite(value) for value in values):
            return values
    raise argparse.ArgumentTypeError(f"{text!r} is not a finite number, or such numbers and commas")
