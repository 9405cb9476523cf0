"""Commands that evaluate a model.

Each command returns facts for --json, text for people, and the exit code.
"""

import sys

import numpy as np

import foldline as fl

from .. import bench
from ..wording import counted
from .codes import DONE, NO
from .points import blocks, read_points
from .rows import open_rows
from .talk import Progress

__all__ = ["bench_model", "eval_points", "info", "knots", "numbers", "patterns", "show_demo"]


def show_demo(args):
    from .. import demo

    with Progress("evaluating") as progress:
        facts = demo.facts(progress=progress)
        if not args.no_picture:
            facts["picture"] = demo.save_picture()
    return facts, demo.text(facts), DONE


def info(args):
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
        ("evaluated by", f"foldline {config.version}, with {config.isa} instructions"),
    ]
    if others := [isa for isa in config.isa_available if isa != config.isa]:
        lines.append(("", f"(FOLDLINE_ISA chooses others that are available: {', '.join(others)})"))
    return facts, "\n".join(f"{name:<14}{value}" for name, value in lines), DONE


def eval_points(args):
    net = fl.load(args.model, drop_final=args.drop_final)
    points = read_points(args, net)
    shape = (len(points), net.n_out)
    with Progress("evaluating") as progress, open_rows(args, shape, net.dtype) as rows:
        for block in blocks(points, args, net, progress):
            rows.write(net.forward(block, workers=args.workers))
    facts = {"model": args.model, "n_points": shape[0], "n_out": shape[1], **rows.facts("outputs")}
    return facts, rows.note(f"{counted(shape[0], 'row')} of {counted(shape[1], 'output')}"), DONE


def patterns(args):
    net = fl.load(args.model, drop_final=args.drop_final)
    points = read_points(args, net)
    width = net.n_neurons if args.unpack else (net.n_neurons + 7) // 8
    dtype = np.dtype(bool if args.unpack else np.uint8)
    certain = []
    with Progress("evaluating") as progress, open_rows(args, (len(points), width), dtype) as rows:
        for block in blocks(points, args, net, progress):
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
    summary = f"{counted(len(points), 'pattern')} of {counted(net.n_neurons, 'bit')}"
    summary += f", {n_certain:,} certain in every bit"
    note = rows.note(summary)
    if not note and not args.json:
        print(f"foldline: {summary}", file=sys.stderr)
    return facts, note, DONE


def knots(args):
    net = fl.load(args.model, drop_final=args.drop_final)
    found = fl.knots(net, args.start, args.stop, extend=args.extend)
    before = found.slope_before
    facts = {
        "model": args.model,
        "start": args.start,
        "stop": args.stop,
        "extend": args.extend,
        "n_crossings": found.n_crossings,
        "n_knots": found.n_knots,
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
    text = f"{found!r}, proved {how}.\nThe slope begins as {numbers(found.first_slope[0])}."
    rows = [
        [str(t), str(neuron), "yes" if is_knot else "no", numbers(slope)]
        for t, neuron, is_knot, slope in zip(found.t.tolist(), found.neuron, found.is_knot, found.slope_after)
    ]
    if rows:
        text += "\n" + bench.table(["t", "neuron", "knot", "slope after"], rows)
    return facts, text, DONE


def numbers(values):
    return ", ".join(f"{value:.6g}" for value in values)


def bench_model(args):
    net = fl.load(args.model, drop_final=args.drop_final)
    n_points = args.points or bench.default_n_points(net)
    points = bench.random_points(n_points, net.n_in, net.dtype)
    with Progress("measuring") as progress:
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
