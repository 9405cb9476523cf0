"""What the command line says of counts and regions, in words and tables."""

import numpy as np

from .bench import short, table
from .wording import Writer, counted, input_names, output_names

__all__ = ["count_sentences", "formula", "region_table", "regions_sentence"]

_MOST_TERMS = 4


def count_sentences(found, from_journal=""):
    """Two lines on a `RegionCount`: the number, proved or not; and what a journal had of it, or the rate and
    what needed rationals."""
    stats, seconds = found.stats, max(found.stats["seconds"], 1e-9)
    complete = found.status == "complete"
    if not complete and not found.count and "loss" not in stats:
        return _none(found.kind)
    if found.certified == "none":
        how = "not proved: signs are as rounding left them"
        how = how if complete else f"{how}, and a limit ended the count"
    elif not complete:
        how = f"a proved lower bound: {stats.get('loss', 'a limit ended the count')}"
    elif stats["engine"] == "exact":
        how = "proved in exact arithmetic"
    elif stats["by_rationals"] or found.kind != "activation":
        how = "proved in doubles where their rounding bound suffices, else in exact arithmetic"
    else:
        how = "proved in doubles, every rounding bounded"
    rate = f"{counted(stats['cells'], 'cell')} walked in {seconds:.2g} s, {short(stats['cells'] / seconds)}/s"
    n = stats["by_rationals"]
    if stats["engine"] == "exact":
        rate += ", all in exact arithmetic"
    else:
        rate += f" (engine {stats['engine']})"
        parts = f"{counted(n, 'part')} of the tree" if n else "no sign"
        rate += f"; {parts} needed rationals" if found.certified != "none" else ""
    return f"{_regions(found.count, found.kind)}, {how}.\n{from_journal or rate}."


def _none(kind="activation"):
    return (
        f"No {kind} region was finished before the limit: nothing is known of their number.\n"
        "A smaller box (fl.Ball is one), foldline slice, or foldline count --sample N takes less."
    )


def _regions(n, kind="activation"):
    return counted(n, f"{kind} region")


def regions_sentence(found):
    """The number of some `Regions`, and whether it is proved."""
    complete = found.status == "complete"
    if not complete and not len(found):
        return _none()
    how = "proved" if complete else "a proved lower bound: a limit ended the run"
    return f"{_regions(len(found))}, {how}."


def region_table(found, rows, total, output, names=None):
    """Some rows: the map on each, to three digits, and the share of the volume `total` it holds on."""
    shares = ["" if np.isnan(v) else f"{v / total:.3%}" for v in found.volumes[rows]]
    lines = [
        [formula(found.A[i, output], found.b[i, output], names), share, str(i)]
        for i, share in zip(rows, shares)
    ]
    return table([f"{output_names(found.net.n_out)[output]} is about", "share", "region"], lines)


def formula(slope, offset, names=None):
    """``[1, 0, -2], 0.5`` as ``x1 - 2 x3 + 0.5``; the steepest terms where there are many."""
    shown = np.zeros_like(slope)
    steepest = np.argsort(-abs(slope), kind="stable")[:_MOST_TERMS]
    shown[steepest] = slope[steepest]
    text = Writer(names or input_names(len(slope))).formula(shown.tolist(), float(offset))
    n_more = np.count_nonzero(slope) - np.count_nonzero(shown)
    return text + (f" ... {n_more} more" if n_more else "")
