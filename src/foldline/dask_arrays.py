"""Dask arrays of points, block by block (``pip install "dask[array,distributed]"``)."""

import numpy as np

from .checks import check_fit

__all__ = ["count", "is_dask", "mapped"]


def is_dask(points):
    """Whether these are a Dask array; without importing Dask."""
    return type(points).__module__.partition(".")[0] == "dask" and hasattr(points, "map_blocks")


def mapped(net, points, method, width, dtype):
    """The lazy array of ``net.method(block)``, (n_points, width), for the blocks of a Dask array."""
    import dask

    points = _checked(net, points)
    return points.map_blocks(
        _call,
        dask.delayed(net, pure=True),  # once in the graph, so that it travels once to each worker
        method,
        dtype=dtype,
        chunks=(points.chunks[0], (width,)),
        meta=np.empty((0, width), dtype),
    )


def count(counter, points, allow_nonfinite):
    """Add the points of a Dask array to a `PatternCounter`: one a block, merged in a tree."""
    import dask

    points = _checked(counter.net, points)
    empty = dask.delayed(counter._empty(), pure=True)
    add, merge = dask.delayed(_counted), dask.delayed(_merged)
    counters = [add(empty, block, allow_nonfinite) for block in points.to_delayed()[:, 0]]
    while len(counters) > 1:
        counters = [merge(counters[i : i + 8]) for i in range(0, len(counters), 8)]
    for found in counters:
        counter.merge(found.compute())


def _checked(net, points):
    check_fit(net, points)
    return points.rechunk({1: -1}) if points.numblocks[1] > 1 else points


def _call(block, net, method):
    return getattr(net, method)(block)


def _counted(empty, block, allow_nonfinite):
    return empty._empty().update(block, allow_nonfinite=allow_nonfinite)


def _merged(counters):
    first = counters[0]._empty()
    for counter in counters:
        first.merge(counter)
    return first
