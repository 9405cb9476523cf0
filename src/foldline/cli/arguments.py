"""The arguments of the command line."""

import argparse
import contextlib
import math
import re
import sys

import foldline as fl

from ..walk import ENGINES
from . import counts, evaluations, verdicts
from .codes import BAD_INPUT, DONE, INTERRUPTED, LIMIT, NO
from .talk import complain

__all__ = ["as_value", "parser"]


_EXIT_CODES = (
    f"Exit codes: {DONE} done, {NO} the answer is no, {BAD_INPUT} bad input, "
    f"{LIMIT} undecided or a limit met, {INTERRUPTED} interrupted."
)


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        sys.exit(complain(f"{message} (see {self.prog} --help)", BAD_INPUT))

    def parse_known_args(self, args=None, namespace=None):
        """Takes POINTS behind options, too: before Python 3.13 argparse wants it next to MODEL."""
        namespace, rest = super().parse_known_args(args, namespace)
        if rest and self.get_default("takes_points") and namespace.points is None:
            if rest[0] == "-" or rest[0][0] != "-":
                namespace.points = rest.pop(0)
        return namespace, rest


def parser():
    about = "Take piecewise-linear (ReLU-like) networks apart."
    top = _Parser(prog="foldline", description=about, epilog=_EXIT_CODES)
    top.add_argument("--version", action="version", version=f"foldline {fl.__version__}")
    commands = top.add_subparsers(metavar="COMMAND", required=True, title="commands")

    def command(name, run, help):
        description = help[0].upper() + help[1:] + "."
        sub = commands.add_parser(name, help=help, description=description, epilog=_EXIT_CODES)
        sub.add_argument("--json", action="store_true", help="print one JSON document")
        sub.set_defaults(run=run)
        return sub

    def model_command(name, run, help):
        sub = command(name, run, help)
        add_model(sub)
        return sub

    def add_model(sub):
        sub.add_argument(
            "model",
            metavar="MODEL",
            help="a file that foldline.load reads: .onnx, .npz, .json, .nnet, .keras, .safetensors",
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

    def add_names(sub):
        sub.add_argument("--names", metavar="A,B,...", help="of the inputs, with commas (x1,x2,...)")

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
        unproved = "count faster: signs are as rounding left them, and nothing is proved"
        add("--no-certify", action="store_true", help=unproved)
        add_engine(sub)
        add_limits(sub)

    sub = command("demo", evaluations.show_demo, "two neurons by hand, and a real network on many points")
    sub.add_argument("--no-picture", action="store_true", help="write no file")
    what = "what a model is: shape, folds, parameters, digest, import check"
    model_command("info", evaluations.info, what)
    add_output(points_command("eval", evaluations.eval_points, "outputs of a model, one row a point"))
    sub = points_command(
        "patterns", evaluations.patterns, "activation patterns, one row a point, 8 neurons a byte"
    )
    add_output(sub)
    sub.add_argument("--exact", action="store_true", help="prove every bit")
    sub.add_argument(
        "--unpack", action="store_true", help="one 0 or 1 a neuron instead of packed bytes"
    )
    sub = points_command("count", counts.count, "patterns in a sample or, with --exact, regions of a box")
    add = sub.add_argument
    add("--exact", action="store_true", help="count the regions of the box --low to --high")
    add_count(sub)
    add("--sample", metavar="N", type=_whole_number, help="N points of the box (1e9 will do), never stored")
    add("--sampler", choices=counts.SAMPLERS, help="how they are made (uniform); lines find all they cross")
    add("--sketch", action="store_true", help="estimate, in a few MB, instead of keeping every pattern")
    add("--memory-limit", metavar="BYTES", type=_whole_number, help="of patterns, then on disk (128 MB)")
    add("--checkpoint", metavar="FILE", help="a journal that the same command goes on from")
    add("--dask", metavar="ADDRESS", help="of a Dask scheduler, whose workers count")
    sub = model_command("regions", counts.regions, "the regions of a box: how many, and the largest ones")
    add_box(sub)
    add_engine(sub)
    add_limits(sub)
    add = sub.add_argument
    add("--largest", metavar="N", type=_whole_number, default=10, help="rows of the table (10)")
    add("--of-output", metavar="K", type=_whole_number, default=0, help="whose formula, from 0 (0)")
    add_names(sub)
    add("--save", metavar="FILE", help="write all columns to this .npz, for foldline.Regions.load")
    add("--parquet", metavar="DIR", help="write all columns to Parquet files, and do nothing else")
    add("--workers", type=_positive, default=1, help="threads (1)")
    sub = model_command("slice", counts.slice_model, "count, and draw, the regions of a plane slice")
    add = sub.add_argument
    add("--axes", metavar="I,J", help="along two inputs: by name, or from 0, as 0,1 for x1 and x2")
    add_names(sub)
    add("--origin", metavar="POINT", type=_finite_numbers, help="the middle of the slice (0,0,...)")
    add("--u", metavar="VECTOR", type=_finite_numbers, help="along two directions: the one")
    add("--v", metavar="VECTOR", type=_finite_numbers, help="and the other")
    through = "A + s (B - A) + t (C - A)"
    add("--through", metavar=("A", "B", "C"), nargs=3, type=_finite_numbers, help=through)
    add("--extent", type=float, help="|s| and |t| are less than this (1)")
    add("--picture", metavar="FILE", help="draw the regions: .png, .pdf or .svg")
    colors = ("region", "slope", "output", "layer")
    add("--color-by", choices=colors, default="region", help="what the picture's colors say (region)")
    add("--of-output", metavar="K", type=_whole_number, default=0, help="of which output, from 0 (0)")
    add("--workers", type=_positive, default=1, help="threads (1)")
    add_count(sub)
    sub = model_command("check", verdicts.check, "whether a model is affine on a box, with a proof")
    add = sub.add_argument
    add("--affine", action="store_true", help="the question, and so far the only one")
    add_box(sub)
    add("--outputs", metavar="K", type=_whole_numbers, help="only these outputs, from 0, with commas (all)")
    add("--tol", type=_tolerance, default=0.0, help="how far from an affine map the outputs may be (0)")
    add_limits(sub)
    add("--save", metavar="FILE", help="write the certificate, or the witness, as JSON")
    sub = command("verify", verdicts.verify, "check a proof that foldline check saved, in exact arithmetic")
    sub.add_argument("proof", metavar="PROOF", help="the file")
    add_model(sub)
    sub = model_command("knots", evaluations.knots, "where a segment crosses the folds of a model")
    add = sub.add_argument
    ends = "a number for each input, with commas"
    add("--start", metavar="POINT", type=_finite_numbers, required=True, help=ends)
    add("--stop", metavar="POINT", type=_finite_numbers, required=True, help="likewise")
    add("--extend", action="store_true", help="all of the line through both, in rationals")
    sub = model_command("explain", verdicts.explain, "the pieces of a model as formulas")
    add = sub.add_argument
    add_names(sub)
    add_box(sub)
    add("--space", action="store_true", help="all of space instead of the box, for networks without biases")
    add("--vary", metavar="A,B", help="one or two inputs that vary; the others are held")
    add("--at", metavar="POINT", type=_finite_numbers, help="where they are held (the middle of the box)")
    most = "pieces listed, the largest (10); along one input in the order they lie in"
    add("--most", metavar="N", type=_positive, default=10, help=most)
    add("--digits", metavar="N", type=_positive, default=3, help="of numbers that have to be rounded (3)")
    add_limits(sub)
    add("--format", choices=("text", "markdown", "latex"), default="text", help="to print (text)")
    sub = model_command(
        "bench", evaluations.bench_model, "foldline beside NumPy, torch and onnxruntime on your model"
    )
    sub.add_argument("--seconds", type=_duration, default=3.0, help="time to measure for (3)")
    sub.add_argument(
        "--points", metavar="N", type=_positive, help="number of points (16,384 to 262,144)"
    )
    return top


def as_value(argument):
    """Lists of numbers that begin with a minus are values, not options: argparse tells by a space."""
    return f" {argument}" if re.match(r"-[\d.][^ ]*,", argument) else argument


def _whole_number(text):
    with contextlib.suppress(ValueError, OverflowError):
        number = int(text) if text.isdigit() else float(text)
        if number >= 0 and number == int(number):
            return int(number)
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
