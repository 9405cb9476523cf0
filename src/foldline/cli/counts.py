"""Commands that count and describe regions."""

import contextlib
import math
import os
import time

import numpy as np

import foldline as fl

from .. import reports
from ..checks import check_names
from ..formats import optional
from ..wording import counted
from .codes import DONE, LIMIT
from .points import blocks, read_points
from .talk import Progress

__all__ = ["SAMPLERS", "box_of", "count", "names_of", "regions", "slice_model"]


SAMPLERS = ("uniform", "sobol", "lines")


def count(args):
    only_exact = ("kind", "engine", "no_certify", "max_regions", "time_limit")
    only_sample = ("sampler", "checkpoint", "dask")
    only_counted = ("sketch", "memory_limit")
    _refuse_without(args, args.exact, only_exact, "--exact")
    _refuse_without(args, args.sample is not None, ("sampler",), "--sample")
    _refuse_without(args, args.exact or args.sample is not None, only_sample, "--exact or --sample")
    _refuse_without(args, not args.exact, only_counted, "a sample")
    if sum([args.exact, args.sample is not None, args.points is not None, args.random is not None]) > 1:
        raise ValueError(
            "wanted one of --exact, --sample, --random and a file of points; --exact takes no points"
        )
    if not (args.exact or args.sample is not None or args.points or args.random is not None):
        raise ValueError(
            "wanted --exact, which counts the regions of the box, or --sample N, --random N or a file of "
            "points (or - for stdin), of which the patterns are counted"
        )
    net = fl.load(args.model, drop_final=args.drop_final)
    with _dask_workers(args) as workers:
        if args.exact:
            return _counted(args, net, box_of(args, net), args.checkpoint, workers=workers)
        if args.sample is not None:
            return _count_sample(args, net, workers)
    return _count_points(args, net)


def _refuse_without(args, there, names, wanted):
    given = [name for name in names if getattr(args, name) not in (None, False)]
    if given and not there:
        raise ValueError(f"--{given[0].replace('_', '-')} wants {wanted}")


@contextlib.contextmanager
def _dask_workers(args):
    """The client of the scheduler that was named; without, a number of threads."""
    if args.dask is None:
        yield args.workers
        return
    distributed = optional("distributed")
    try:
        client = distributed.Client(args.dask, timeout=5)
    except (OSError, ValueError) as error:
        raise OSError(f"no Dask scheduler answers at {args.dask}: {error}") from None
    with client:
        yield client


def _counted(args, net, domain, checkpoint=None, **how):
    journal = _Journal(checkpoint)
    with Progress("counting regions", checkpoint) as progress:
        found = fl.count_regions(
            net,
            domain,
            kind=args.kind or "activation",
            engine=args.engine or "auto",
            certify=not args.no_certify,
            progress=progress.count,
            checkpoint=checkpoint,
            **_limits(args) | how,
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
    text = reports.count_sentences(found, journal.had())
    return facts, text, DONE if found.status == "complete" else LIMIT


class _Journal:
    """Tells what a journal had before a count."""

    def __init__(self, path):
        self._path, self._size = path, self._size_of(path)

    def had(self):
        if not self._size:
            return ""
        whole = self._size == self._size_of(self._path)
        return f"Of this, {'all' if whole else 'a part'} was in the journal {self._path}"

    def _size_of(self, path):
        return os.path.getsize(path) if path is not None and os.path.exists(path) else 0


def _limits(args):
    return {"max_regions": args.max_regions, "time_limit": args.time_limit, "workers": args.workers}


def box_of(args, net):
    return fl.Box(*(value[0] if len(value) == 1 else value for value in (args.low, args.high)), n_in=net.n_in)


def _about(domain):
    return {"domain": type(domain).__name__, **vars(domain)}


def regions(args):
    net = fl.load(args.model, drop_final=args.drop_final)
    _check_output(args.of_output, net)
    box, names = box_of(args, net), names_of(args, net)
    if args.parquet is not None:
        return _write_parquet(args, net, box)
    with Progress("describing regions") as progress:
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
        "smallest_volume": found.volumes.min(initial=np.inf),
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
    elif len(found):
        lines.append(f"The smallest has {found.volumes.min() / total:.2g} of the box's volume.")
    if args.save is not None:
        lines.append(f"{args.save}: all columns; foldline.Regions.load reads them.")
    if len(rows):
        lines += ["", reports.region_table(found, rows, total, args.of_output, names)]
    return facts, "\n".join(lines), DONE if complete else LIMIT


def _write_parquet(args, net, box):
    if args.save is not None or args.time_limit is not None:
        raise ValueError("--parquet takes no --save and no --time-limit")
    how = {"engine": args.engine or "auto", "max_regions": args.max_regions, "workers": args.workers}
    with Progress("describing regions") as progress:
        found = fl.write_regions(net, box, args.parquet, progress=progress.count, **how)
    complete = found["status"] == "complete"
    text = f"{args.parquet}: {counted(found['count'], 'region')} in Parquet files"
    text += ", all of them, proved." if complete else "; there are more."
    return {"model": args.model, **_about(box), **found}, text, DONE if complete else LIMIT


def slice_model(args):
    net = fl.load(args.model, drop_final=args.drop_final)
    _check_output(args.of_output, net)
    names = names_of(args, net)
    plane = _plane(args, net, names)
    ax = None
    if args.picture is not None:  # what is wrong with it is told before the work, not after it
        fl.plot.check_name(args.picture)
        ax = fl.plot.new_axes()
    facts, text, code = _counted(args, net, plane)
    facts["picture"] = args.picture
    if ax is not None:
        with Progress("drawing") as progress:
            found = fl.regions(net, plane, progress=progress.count, **_limits(args))
            fl.plot.regions(found, ax=ax, color_by=args.color_by, output=args.of_output, names=names)
            fl.plot.save(ax, args.picture)
        text += f"\n{args.picture}: {counted(len(found), 'activation region')} drawn"
        text += ", of which neighbours may have one map." if args.kind in ("linear", "affine") else "."
        code = max(code, DONE if found.status == "complete" else LIMIT)
    return facts, text, code


def names_of(args, net):
    """What the inputs are called."""
    return check_names(args.names.split(",") if args.names else None, net.n_in)


def _plane(args, net, names):
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
        places = {str(k): k for k in range(net.n_in)} | {name: k for k, name in enumerate(names)}
        axes = [places.get(name) for name in args.axes.split(",")]
        if None in axes or not len(axes) == len(set(axes)) == 2:
            raise ValueError(
                f"--axes is {args.axes}; wanted two different ones of the inputs 0 to {net.n_in - 1}, "
                f"as in 0,1, or of their names, as in {','.join(names[:2])}"
            )
        directions = np.eye(net.n_in)[axes]
    origin = np.zeros(net.n_in) if args.origin is None else args.origin
    return fl.Plane(origin, *directions, 1.0 if args.extent is None else args.extent)


def _check_output(output, net):
    if output >= net.n_out:
        raise ValueError(f"--of-output is {output}; this network has {counted(net.n_out, 'output')}, from 0")


def _count_sample(args, net, workers):
    sample = getattr(fl.sample, args.sampler or "uniform")(box_of(args, net), args.sample, args.seed)
    how = {"sketch": args.sketch, "memory_limit": args.memory_limit, "checkpoint": args.checkpoint}
    journal = _Journal(args.checkpoint)
    total = None if sample.of == "pieces" else sample.n
    with Progress(f"counting {sample.of}", args.checkpoint, total) as progress:
        found = fl.count_patterns(net, sample, workers=workers, progress=progress.count, **how)
    text = f"{found}\n{journal.had()}." if journal.had() else str(found)
    facts = {"model": args.model, "sampler": args.sampler or "uniform", "seed": args.seed}
    return facts | {"digest": net.digest} | _facts(found), text, LIMIT if found.loss else DONE


def _facts(found):
    names = ("distinct", "n_points", "of", "singletons", "doubletons", "coverage", "coverage_lower")
    names += ("chao1_lower", "inverse_simpson", "saturated", "standard_error", "status", "loss")
    return {name: getattr(found, name) for name in names} | {"note": str(found)}


def _count_points(args, net):
    points = read_points(args, net)
    counter = fl.PatternCounter(net, sketch=args.sketch, **_memory(args))
    n_uncertain = 0
    with Progress("counting points") as progress:
        for block in blocks(points, args, net, progress):
            _, sure = net.patterns(block, return_certain=True, workers=args.workers)
            n_uncertain += len(block) - np.count_nonzero(sure)
            counter.update(block if sure.all() else block[sure], workers=args.workers)
    seen = counter.result()
    text = str(seen)
    if n_uncertain:
        text += f"\nLeft out: {n_uncertain:,} of the points, too near a fold to be sure of their pattern."
    return {"model": args.model, "n_uncertain": n_uncertain} | _facts(seen), text, DONE


def _memory(args):
    return {} if args.memory_limit is None else {"memory_limit": args.memory_limit}
