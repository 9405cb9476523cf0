"""The number of regions of a network on a domain, with proof."""

import math
import time

import numpy as np

from .checks import check_choice, check_flag
from .domains import check_question
from .evaluation import pattern_items
from .exact_cells import MOST_DIMENSIONS_OF_CORNERS
from .executors import check_workers
from .frozen import Frozen
from .maps import group_maps
from .progress import Share, reporter
from .walk import FINE, Walk, check_engine, parts

__all__ = ["RegionCount", "count_regions"]

_KINDS = ("activation", "linear", "affine")


class RegionCount(Frozen):
    """What `count_regions` found.

    Attributes
    ----------
    count : int
        The number of regions; where `status` is "limit", of those known so far, a lower bound. (For
        "linear" that is the number of different maps: cells still to come may join known ones.)
    kind : str
        "activation", "linear" or "affine".
    status : str
        "complete", or "limit" where a limit ended the run.
    certified : str
        "exact": proved for the real-arithmetic function with the weights as given; "lower_bound",
        with the same proof, where a limit was met; "none" where no proof was asked for.
    stats : dict
        "engine"; "cells" found; "seconds"; "decisions": how often it was asked in doubles on which sides of a
        neuron's fold a cell lies; "by_filter": how many of these were decided there, with a proved bound;
        "by_rationals": parts of the tree that were left to exact arithmetic, for a sign that stayed open
        or because doubles could not keep a cell: where there are none, "by_filter" is "decisions";
        "smallest_margin": the nearest to zero that an extreme of a neuron on a cell came in doubles; and
        "loss": that workers were lost, or what is not decided in many dimensions.
    digest : str
        Of the network.
    """

    def __init__(self, count, kind, status, certified, stats, digest):
        how = {"status": status, "certified": certified, "stats": stats, "digest": digest}
        super().__init__(count=count, kind=kind, **how)

    def __repr__(self):
        return (
            f"RegionCount(count={self.count}, kind={self.kind!r}, status={self.status!r}, "
            f"certified={self.certified!r})"
        )


def count_regions(
    net,
    domain,
    *,
    kind="activation",
    engine="auto",
    certify=True,
    max_regions=None,
    time_limit=None,
    workers=1,
    checkpoint=None,
    progress=None,
):
    """Count the regions of a network on a domain.

    Parameters
    ----------
    net : Network
    domain : Box, Ball, Polytope, Plane, Segment or Space
        A slice is counted in its own dimension.
    kind : {"activation", "linear", "affine"}
        Patterns whose points have an interior; maximal connected sets on which the network is affine;
        or different maps, connected or not. For slices, maps on the slice.
    engine : {"auto", "sweep", "polygons", "vertices", "lp", "exact"}
        How cells are kept: intervals (1 dimension), polygons (2), vertices (3 to 6), half-spaces (any);
        or everything in exact arithmetic, up to 12 dimensions. All give the same count.
    certify : bool
        Prove the count. Without, signs are taken as rounding left them.
    max_regions : int, optional
        Stop after this many activation regions. A run that is stopped says so.
    time_limit : float, optional
        Stop after this many seconds.
    workers : int, concurrent.futures.Executor or dask.distributed.Client
        Threads, or an executor to run parts of the tree on. The count does not depend on it. Where workers
        are lost and what they had cannot be done by others, the run stops like one that met a limit.
    checkpoint : path, optional
        A journal of the parts of the tree that are done, some hundredths of a second of work each. The same
        call goes on from there, with any workers and limits; when all is done, it has its result at once.
    progress : True or callable, optional
        True: a bar, by tqdm (``pip install tqdm``), with an estimate of the share of volume
        done. Else called with the number of activation regions found so far, now and then.

    Returns
    -------
    RegionCount

    Raises
    ------
    ValueError
        A domain of another dimension, without interior, or unbounded where it must not be; a limit
        that is not positive; a journal of another question.
    OSError
        The journal cannot be written: what is in it stays valid.

    Notes
    -----
    Depth first over the neurons. Signs on a cell are decided in doubles where a bound of their rounding
    proves them, else in exact rational arithmetic, so degenerate networks are ordinary. The bound is
    N. J. Higham's, Accuracy and Stability of Numerical Algorithms, 2nd edition, section 3.1. In more than 64
    dimensions, and in polytopes of more than 12, what doubles do not decide stays open: that is a limit.

    Examples
    --------
    >>> import foldline as fl
    >>> net = fl.Network([([[1.0, 1.0], [1.0, -1.0]], None), ([[1.0, 1.0]], None)])
    >>> fl.count_regions(net, fl.Box(-1, 1, n_in=2))
    RegionCount(count=4, kind='activation', status='complete', certified='exact')

    A network that is linear after all:

    >>> net = fl.Network([([[1.0], [-1.0]], None), ([[1.0, -1.0]], None)])
    >>> fl.count_regions(net, fl.Space(1)).count, fl.count_regions(net, fl.Space(1), kind="linear").count
    (2, 1)
    """
    check_question(net, domain, max_regions=max_regions, time_limit=time_limit)
    check_choice("kind", kind, _KINDS)
    check_flag("certify", certify)
    workers = check_workers(workers)
    engine = check_engine(engine, domain.dimension)
    start = time.monotonic()
    deadline = math.inf if time_limit is None else start + time_limit
    charts = domain._charts() if engine != "exact" else [domain]
    want_patterns = kind != "activation" or len(charts) > 1
    want = "patterns" if want_patterns else "count"
    walks = [Walk(net, chart, engine, certify, want, by_half_spaces=True) for chart in charts]
    with reporter(progress, "regions") as report:
        share = Share(walks) if progress else None
        most = math.inf if max_regions is None else int(max_regions)
        tally = _Tally(net, want_patterns, most, report, share)
        if checkpoint is None:
            _walk_all(tally, walks, workers, deadline)
        else:
            question = {"question": "count_regions", "kind": kind, "engine": engine, "certify": bool(certify)}
            _walk_on(tally, walks, workers, deadline, (checkpoint, net, domain, question))
    count = tally.n
    if kind != "activation":
        count = group_maps(net, domain, tally.patterns(), connected=kind == "linear" and not tally.is_open)
        d = domain.dimension
        if kind == "linear" and count < tally.n and d > MOST_DIMENSIONS_OF_CORNERS and not tally.is_open:
            tally.is_open = True
            tally.loss = f"in {d} dimensions it is not decided which regions with one map hang together"
    stats = {
        "engine": engine,
        "cells": tally.n,
        "seconds": time.monotonic() - start,
        "decisions": tally.n_decisions,
        "by_filter": tally.n_decided,
        "by_rationals": tally.n_undecided,
        "smallest_margin": tally.smallest_margin,
    }
    if tally.loss:
        stats["loss"] = tally.loss
    status = "limit" if tally.is_open else "complete"
    certified = "none" if not certify else "lower_bound" if tally.is_open else "exact"
    return RegionCount(count, kind, status, certified, stats, net.digest)


def _walk_all(tally, walks, workers, deadline):
    for walk in walks:
        for part in parts(walk, workers, deadline, tally.room()):
            tally.add(part, walk)
        if tally.is_open:
            break


def _walk_on(tally, walks, workers, deadline, journal):
    """As `_walk_all`, from where a journal ends."""
    from .checkpoints import JournaledWalks  # when used, so that the import stays light

    with JournaledWalks(*journal) as journal:
        for chart, part in journal.replay([walk.root for walk in walks]):
            tally.add(part, walks[chart])
        for chart, (walk, opens) in enumerate(zip(walks, journal.opens)):
            if opens and not tally.is_open:
                for part in parts(walk, workers, deadline, tally.room(), list(opens), FINE):
                    if part.taken:
                        journal.add(chart, part)
                    tally.add(part, walk)


class _Tally:
    """Sums the parts of walks on one domain, or on several that together show all of it."""

    def __init__(self, net, keep_patterns, most_cells, report, share=None):
        self.n_decisions = self.n_decided = self.n_undecided = 0
        self.smallest_margin, self.is_open, self.loss = math.inf, False, ""
        self._n, self._most, self._report, self._share = 0, most_cells, report, share
        self._patterns = np.empty((0, -(-net.n_neurons // 8)), np.uint8) if keep_patterns else None
        self._new = []

    @property
    def n(self):
        return self._n if self._patterns is None else len(self.patterns())

    def room(self):
        """How many cells may still be found, and one: that there are more makes the limit."""
        return self._most - self.n + 1

    def add(self, part, walk):
        self._n += part.n_cells
        self.n_decisions += part.n_decisions
        self.n_decided += part.n_decided
        self.n_undecided += part.n_undecided
        self.smallest_margin = min(self.smallest_margin, part.smallest_margin)
        if self._patterns is not None:
            self._new.append(part.patterns)
        if part.opens or self._n > self._most and self.n > self._most:
            self._n, self.is_open = min(self._n, self._most), True
            if self._patterns is not None:
                self._patterns = self.patterns()[: min(self.n, self._most)]
        self.loss = part.loss
        if self._share is None:
            return
        self._share.add(walk, part)
        self._report(self._n, self._share.done)

    def patterns(self):
        """The different patterns found."""
        if self._new:
            rows = np.concatenate([self._patterns, *self._new])
            self._patterns, self._new = _distinct(rows), []
        return self._patterns


def _distinct(rows):
    return rows[np.unique(pattern_items(rows), return_index=True)[1]]
