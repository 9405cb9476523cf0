"""A network trained on ten measurements of 442 diabetes patients, on a million invented patients."""

import json
import re
import textwrap
from importlib import resources

import numpy as np

import foldline as fl

from .. import bench
from ..wording import Writer
from . import plane
from .prose import paragraph

__all__ = ["facts", "load", "text"]


def load():
    """The network that ships with the package, and the metadata of its training."""
    folder = resources.files(__package__)
    with resources.as_file(folder / "network.npz") as path:
        net = fl.load(path)
    return net, json.loads((folder / "metadata.json").read_text("utf-8"))


def facts(n_points=1_000_000, progress=None):
    net, metadata = load()
    points = bench.random_points(n_points, net.n_in, net.dtype, metadata["low"], metadata["high"])
    race = bench.compare(net, points, seconds=1.0, peers=(), progress=progress)
    certain = net.patterns(points, return_certain=True)[1]
    seen = fl.count_patterns(net, points if certain.all() else points[certain])
    slope, offset = net.local_affine(np.array([metadata["mean"]], net.dtype))
    return {
        "training": metadata,
        "network": race.network,
        "n_neurons": net.n_neurons,
        "formula_at_the_mean": {
            "constant": float(offset[0, 0]),
            "coefficients": dict(zip(metadata["features"], slope[0, 0].tolist())),
        },
        "n_points": n_points,
        "n_certain": int(np.count_nonzero(certain)),
        "distinct_patterns_at_least": int(seen.distinct),
        "speed": race.facts(),
        "times_as_fast_as_numpy": race.ratio("NumPy", bench.BOTH),
        "plane": plane.facts(net, metadata),
    }


def text(facts):
    training, formula = facts["training"], facts["formula_at_the_mean"]
    rates = {
        row["name"]: row["points_per_second"] / 1e6
        for row in facts["speed"]["rows"]
        if row["job"] == bench.BOTH
    }
    n_points, n_certain = facts["n_points"], facts["n_certain"]
    coefficients = formula["coefficients"]
    written = Writer(list(coefficients), digits=2).formula(coefficients.values(), formula["constant"])
    terms = re.sub(" (?![+-] )", "_", written)  # so that lines end between them
    y = textwrap.fill(f"y = {terms}", 74, initial_indent=" " * 5, subsequent_indent=" " * 9)
    certain = "All patterns" if n_certain == n_points else f"{n_certain:,} of the patterns"
    about = paragraph(f"""
        Ten measurements of {training["n_train"] + training["n_held_out"]} diabetes patients predict
        {training["target"]}. The network is {facts["network"]},
        {facts["n_neurons"]} neurons; on held-out patients R2 is {training["r2_held_out"]:.2f}
        (linear regression: {training["r2_held_out_linear_regression"]:.2f}). Around the average
        patient it is, to two digits,""")
    task = paragraph(f"""
        Outputs and activation patterns (which neurons are on) of {n_points:,} invented patients,
        within the ranges of the real ones, on one thread:""")
    seen = paragraph(f"""
        {facts["distinct_patterns_at_least"]:,} different patterns were seen: space is cut into at
        least so many regions, with one linear formula on each. (A sample bounds their number from
        below; it never counts them.) {certain} are certain: no rounding error can have changed a
        bit of them.""")
    slice = facts["plane"]
    first, second = (name.split(",")[0] for name in slice["axes"])
    counted = paragraph(f"""
        The slice through the average patient where only {first} and {second} vary has exactly
        {slice["regions"]:,} regions. That is proved, and took {1e3 * slice["seconds"]:.1f} ms.""")
    return f"""\
2. A real network

{about}

{y.replace("_", " ")}

{task}

     foldline {rates["foldline"]:7.1f} million points/s, {facts["times_as_fast_as_numpy"]:.1f} x as fast
     NumPy    {rates["NumPy"]:7.1f} million points/s, same results

{seen}

{counted}"""
