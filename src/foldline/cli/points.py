"""Points in: from files, from stdin, at random."""

import itertools
import sys
import warnings

import numpy as np

from .. import bench
from ..archives import brief
from ..wording import counted

__all__ = ["blocks", "read_points", "whole"]

BLOCK_BYTES = 2**25


def read_points(args, net):
    """The points asked for, (n_points, n_in); a .npy file stays on disk."""
    if (args.points is None) == (args.random is None):
        raise ValueError(
            "name a file of points (or - for stdin), or ask for --random N; one of the two"
        )
    if args.random is not None:
        for option, values in (("--low", args.low), ("--high", args.high)):
            if len(values) not in (1, net.n_in):
                raise ValueError(f"{option} has {len(values)} values; wanted one, or {net.n_in}")
        if not np.less(args.low, args.high).all():
            raise ValueError(f"--low is {args.low}, --high is {args.high}; wanted low < high")
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
        raise ValueError(f"{path}: {brief(error)}") from None
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
        fields = first.split(delimiter)
        if not any(map(_is_number, fields)):
            if len(fields) != net.n_in:
                wanted = f"wanted {counted(net.n_in, 'number')}, separated by commas or white space"
                raise ValueError(f"the first line is {brief(first.strip())}; {wanted}")
            first = next(lines, None)
            if first is None:
                return np.empty((0, net.n_in), net.dtype)
        rows = itertools.chain([first], lines)
        return np.loadtxt(rows, net.dtype, delimiter=delimiter, ndmin=2)
    except UnicodeDecodeError:
        raise ValueError(f"{name} holds no points: it is neither text nor a .npy file") from None
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _is_number(field):
    try:
        float(field)
    except ValueError:
        return False
    return True


def whole(points, args, net):
    if args.cast and points.dtype.kind == "f" and points.dtype != net.dtype:
        with np.errstate(over="ignore"):
            return points.astype(net.dtype)
    return points


def blocks(points, args, net, progress):
    """The points, some megabytes at a time."""
    row_bytes = (net.n_in + net.n_out) * net.dtype.itemsize + (net.n_neurons + 7) // 8
    n_rows = max(BLOCK_BYTES // row_bytes, 2048)
    for start in range(0, len(points), n_rows):
        progress(start / len(points))
        yield whole(points[start : start + n_rows], args, net)
