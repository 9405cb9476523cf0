"""Counting the regions of a network on a domain, with proof."""

import time

from . import cells
from .domains import check_domain
from .network import Network

__all__ = ["RegionCount", "count_regions"]

_KINDS = ("activation", "linear", "affine")


class RegionCount:
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
        "exact": proved for the real-arithmetic function with the weights as given; or "lower_bound",
        with the same proof, where a limit was met.
    stats : dict
        "cells" visited and "seconds" used.
    digest : str
        Of the network.
    """

    __slots__ = ("certified", "count", "digest", "kind", "stats", "status")

    def __init__(self, count, kind, status, stats, digest):
        certified = "exact" if status == "complete" else "lower_bound"
        for name, value in zip(self.__slots__, (certified, count, digest, kind, stats, status)):
            object.__setattr__(self, name, value)

    def __setattr__(self, name, value):
        raise AttributeError(f"a RegionCount is frozen; {name!r} cannot be set")

    def __reduce__(self):
        return RegionCount, (self.count, self.kind, self.status, self.stats, self.digest)

    def __repr__(self):
        return (
            f"RegionCount(count={self.count}, kind={self.kind!r}, status={self.status!r}, "
            f"certified={self.certified!r})"
        )


def count_regions(net, domain, *, kind="activation", max_regions=None, time_limit=None, progress=None):
    """Count the regions of a network on a domain, exactly.

    Parameters
    ----------
    net : Network
    domain : Box, Ball, Polytope, Plane, Segment or Space
        A slice is counted in its own dimension.
    kind : {"activation", "linear", "affine"}
        Patterns whose points have an interior; maximal connected sets on which the network is affine;
        or different maps, connected or not. For slices, maps on the slice.
    max_regions : int, optional
        Stop after this many activation regions. A run that is stopped says so.
    time_limit : float, optional
        Stop after this many seconds.
    progress : callable, optional
        Called with the number of activation regions found so far, now and then.

    Returns
    -------
    RegionCount
        Every decision is made in exact rational arithmetic: degenerate networks are ordinary. The
        price is speed, some thousand cells a second.

    Raises
    ------
    ValueError
        A domain of another dimension, without interior, or unbounded where it must not be; a limit
        that is not positive.

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
    if not isinstance(net, Network):
        raise TypeError(f"net is {type(net).__name__}; wanted a Network")
    check_domain(net, domain)
    if kind not in _KINDS:
        raise ValueError(f"kind is {kind!r}; wanted one of {', '.join(map(repr, _KINDS))}")
    for name, limit in (("max_regions", max_regions), ("time_limit", time_limit)):
        if limit is not None and not limit > 0:
            raise ValueError(f"{name} is {limit!r}; wanted more than 0")

    start = time.monotonic()
    chain = cells.ExactChain(net, domain)
    merger = None if kind == "activation" else _Maps(chain.dimension)
    n, status = 0, "complete"
    for _, cell, forms in cells.iter_cells(chain):
        if max_regions is not None and n >= max_regions:
            status = "limit"  # there is one more than were allowed
            break
        n += 1
        if merger:
            merger.add(cell, forms)
        if progress and n % 256 == 0:
            progress(n)
        if time_limit is not None and time.monotonic() - start > time_limit:
            status = "limit"
            break
    count = n
    if merger:
        # Cells that are not known yet may join linear regions; more maps only add affine ones.
        count = merger.n_maps() if kind == "affine" or status == "limit" else merger.n_connected()
    stats = {"cells": n, "seconds": time.monotonic() - start}
    return RegionCount(count, kind, status, stats, net.digest)


class _Maps:
    """Cells by their maps, and joined across facets where the maps on both sides are the same.

    A facet of a cell is a facet of its one neighbour, whole: on the facet every neuron's form is the
    same from both sides, so what does not cut one of them does not cut the other.
    """

    def __init__(self, dimension):
        self._dimension = dimension
        self._ids = {}  # map: number
        self._of_cell = []  # number of each cell's map
        self._open = {}  # facet whose other side has not come yet: cell
        self._parent = []

    def add(self, cell, forms):
        number = self._ids.setdefault(tuple(forms.ravel().tolist()), len(self._ids))
        here = len(self._parent)
        self._parent.append(here)
        self._of_cell.append(number)
        for facet in cells.facet_vertices(cell, self._dimension):
            there = self._open.pop(facet, None)
            if there is None:
                self._open[facet] = here
            elif self._of_cell[there] == number:
                self._parent[self._root(there)] = self._root(here)

    def n_maps(self):
        return len(self._ids)

    def n_connected(self):
        return sum(self._root(i) == i for i in range(len(self._parent)))

    def _root(self, i):
        while self._parent[i] != i:
            self._parent[i] = self._parent[self._parent[i]]
            i = self._parent[i]
        return i
