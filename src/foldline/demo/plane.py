"""The plane of two measurements: its regions counted with proof, and its picture."""

import os

import numpy as np

import foldline as fl

__all__ = ["PICTURE", "facts", "save_picture"]

PICTURE = "foldline-demo.png"
AXES = {"bmi": "body mass index, kg/m2", "bp": "mean blood pressure, mm Hg"}
_MADE_BY = "foldline demo"


def facts(net, metadata):
    found = fl.count_regions(net, _plane(metadata))
    return {
        "axes": list(AXES.values()),
        "regions": found.count,
        "certified": found.certified,
        "seconds": found.stats["seconds"],
    }


def save_picture(net, metadata, directory):
    """Draw the plane into a directory, and tell it in a sentence. What is not ours is not overwritten."""
    path = os.path.join(directory, PICTURE)
    if os.path.exists(path) and not _is_ours(path):
        return f"No picture: there is a {PICTURE} here that is not this demo's."
    try:
        ax = fl.plot.new_axes()
        _draw(ax, net, metadata)
        fl.plot.save(ax, path, Software=_MADE_BY)
    except ImportError as error:
        return f"No picture: {error}."
    except OSError as error:
        return f"No picture: {PICTURE} cannot be written here ({error.strerror})."
    return f"It is drawn, with all its folds, in {PICTURE} in this directory."


def _plane(metadata):
    """Through the mean patient; s and t from -1 to 1 are the ranges of the two measurements."""
    low, high, origin = (np.array(metadata[name]) for name in ("low", "high", "mean"))
    at = [list(metadata["features"]).index(name) for name in AXES]
    origin[at] = (low[at] + high[at]) / 2
    return fl.Plane(origin, *np.diag((high - low) / 2)[at])


def _draw(ax, net, metadata):
    names = [AXES.get(name, name) for name in metadata["features"]]
    fl.plot.regions(fl.regions(net, _plane(metadata)), ax=ax, color_by="output", names=names)
    ax.set_title(f"{ax.get_title()}:\nthe average patient, but for two measurements")
    (colorbar,) = (each for each in ax.figure.axes if each is not ax)
    colorbar.set_ylabel(f"prediction: {metadata['target']}")


def _is_ours(path):
    try:
        with open(path, "rb") as file:
            return b"tEXtSoftware\0" + _MADE_BY.encode() in file.read(4096)
    except OSError:
        return False
