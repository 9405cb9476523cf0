"""Whether a network is one affine map on some data."""

from dataclasses import dataclass

import numpy as np

from .checks import check_net, check_points
from .domains import Space
from .evaluation import unpack_patterns
from .exact import ExactMaps
from .maps import maps_of, told_apart
from .wording import counted

__all__ = ["DataLinearity", "is_linear_on_data"]


@dataclass(frozen=True, eq=False)
class DataLinearity:
    """What `is_linear_on_data` found; true when the points have one map.

    Attributes
    ----------
    status : str
        "one_region", "one_map" (of several regions) or "several_maps".
    region, map : ndarray of int64, shape (n_points,)
        The number of each point's region, and of its map. Those with the most points come first.
    region_sizes, map_sizes : ndarray of int64
        How many points are in each.
    A, b : ndarray of float64, shapes (n_maps, n_out, n_in) and (n_maps, n_out)
        The maps, rounded.
    U : ndarray of float64, shape (n_out, n_in), or None
        The coefficients of the regression that the network is on these points, with intercept ``b[0]``;
        None where there are several maps.
    """

    status: str
    region: np.ndarray
    map: np.ndarray
    region_sizes: np.ndarray
    map_sizes: np.ndarray
    A: np.ndarray
    b: np.ndarray

    @property
    def n_regions(self):
        return len(self.region_sizes)

    @property
    def n_maps(self):
        return len(self.map_sizes)

    @property
    def U(self):
        return self.A[0] if self.n_maps == 1 else None

    def __bool__(self):
        return self.status != "several_maps"

    def __repr__(self):
        numbers = {"point": len(self.region), "region": self.n_regions, "map": self.n_maps}
        counts = ", ".join(counted(n, noun) for noun, n in numbers.items())
        return f"DataLinearity({self.status}: {counts})"


def is_linear_on_data(net, points):
    """Whether the points have one affine map: then the network is linear regression on them.

    Patterns are exact, and so is the comparison of maps. A point on a fold has the pattern with the bit 0.

    Parameters
    ----------
    net : Network
    points : array_like, shape (n_points, n_in), at least one

    Returns
    -------
    DataLinearity

    Raises
    ------
    ValueError, TypeError
        As `Network.forward`; and for no points at all.

    Examples
    --------
    >>> import foldline as fl
    >>> net = fl.Network([([[1.0, 2.0], [3.0, -1.0]], None), ([[1.0, 1.0]], None)])
    >>> data = fl.is_linear_on_data(net, [[1.0, 1.0], [2.0, 1.0], [1.0, 2.0]])
    >>> data, data.U
    (DataLinearity(one_region: 3 points, 1 region, 1 map), array([[4., 1.]]))
    >>> fl.is_linear_on_data(net, [[1.0, 1.0], [-1.0, -1.0], [-2.0, -2.0]]).map_sizes
    array([2, 1])
    """
    check_net(net)
    points = check_points(net, points)
    if not len(points):
        raise ValueError("points is empty; wanted one point at least")
    patterns, region = np.unique(net.patterns(points, exact=True), axis=0, return_inverse=True)
    region, order = _by_size(region.reshape(-1))
    patterns = patterns[order]
    label, maps = _maps(net, patterns)
    on_map, order = _by_size(label[region])
    maps = maps[order]
    region_sizes, map_sizes = np.bincount(region), np.bincount(on_map)
    status = "one_region" if len(region_sizes) == 1 else "one_map" if len(map_sizes) == 1 else "several_maps"
    columns = (region, on_map, region_sizes, map_sizes, maps[:, :, :-1].copy(), maps[:, :, -1].copy())
    for array in columns:
        array.flags.writeable = False
    return DataLinearity(status, *columns)


def _by_size(labels):
    """Labels renumbered so that the most frequent come first; which old one each new one was."""
    order = np.argsort(-np.bincount(labels), kind="stable")
    new = np.empty_like(order)
    new[order] = np.arange(len(order))
    return new[labels], order


def _maps(net, patterns):
    """(which map each pattern has, the maps rounded): what doubles do not tell apart is compared exactly."""
    exact = ExactMaps(net)
    with np.errstate(all="ignore"):
        maps, errors = maps_of(net, Space(net.n_in), patterns)
        order, starts = told_apart(maps, errors)
    label, firsts = np.empty(len(patterns), np.int64), []
    for group in np.split(order, starts[1:]):
        known = {}
        bits = unpack_patterns(patterns[group], net.n_neurons).tolist() if len(group) > 1 else []
        keys = [tuple(exact.of(row).ravel().tolist()) for row in bits] or [()]
        for i, key in zip(group.tolist(), keys):
            if key not in known:
                known[key] = len(firsts)
                firsts.append(i)
            label[i] = known[key]
    return label, maps[firsts]
