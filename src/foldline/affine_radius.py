"""How far around a point the network is one affine map: balls that grow until they meet another."""

import math
import time
from typing import NamedTuple

import numpy as np

from . import cells
from .checks import check_net, check_norm
from .domains import Ball, Space, check_question
from .evaluation import linear_radius, unpack_patterns
from .exact_cells import ExactWalk
from .exact_forms import forms_on, map_on, seconds_of_forms
from .maps import maps_of
from .survey import ExactRegion, batches

__all__ = ["AffineRadius", "affine_radius"]

# An enclosure this narrow, relative to the radius, is good enough.
_NARROW = 2.0**-40
# Beyond this many times the point's size the whole space is asked instead, once.
_FAR = 2.0**12
_LARGEST = 2.0**60
_MOST_CANDIDATES = 128


class AffineRadius(NamedTuple):
    """Enclosures, one row a point.

    Attributes
    ----------
    lower, upper : ndarray of float64, shape (n_points,)
        The open ball of radius `lower` is proved to have one map, that of any radius above `upper` to have
        more. Infinite where the map is the same everywhere.
    """

    lower: np.ndarray
    upper: np.ndarray


def affine_radius(net, points, norm="inf", *, time_limit=None, max_regions=None):
    """Distance from each point to where the map really changes; folds that cancel are crossed.

    `linear_radius` is the distance to the nearest fold of a neuron, and never more than this.

    Parameters
    ----------
    net : Network
    points : array_like, shape (n_points, n_in)
    norm : {"inf"} or numpy.inf
    time_limit : float, optional
        Seconds for each point.
    max_regions : int, optional
        Activation regions to look at in a ball, at most.

    Returns
    -------
    AffineRadius
        As narrow as a few roundings where the nearest change is met in the middle of a fold, within 2^-40
        of the radius elsewhere; wider where a limit was met.

    Raises
    ------
    ValueError
        Another norm; points of another shape; NaN or infinity among them.

    Notes
    -----
    The ball begins at `linear_radius` and doubles until its regions, all enumerated, have different maps,
    compared exactly where floats do not tell them apart. Then the radii at which a fold of a region with
    the point's map is met are tried, and what is left is halved.

    Examples
    --------
    >>> import foldline as fl
    >>> net = fl.Network([([[1.0], [-1.0], [1.0]], [0.0, 0.0, -2.0]), ([[1.0, -1.0, 1.0]], None)])
    >>> fl.linear_radius(net, [[0.5]]), fl.affine_radius(net, [[0.5]]).lower    # x, up to 2
    (array([0.5]), array([1.5]))
    """
    check_net(net)
    check_question(net, Space(net.n_in), max_regions=max_regions, time_limit=time_limit)
    check_norm(norm, ("inf",))
    wide = net.astype(np.float64)
    if isinstance(points, np.ndarray) and points.dtype == np.float32:
        points = points.astype(np.float64)
    nearest = linear_radius(wide, points)
    points = np.asarray(points, np.float64)
    found = np.empty((2, len(points)))
    with np.errstate(over="ignore", invalid="ignore"):
        for i, (point, radius) in enumerate(zip(points, nearest.tolist())):
            deadline = math.inf if time_limit is None else time.monotonic() + time_limit
            found[:, i] = _enclosure(_Balls(wide, point, deadline, max_regions), radius)
    return AffineRadius(*found)


def _enclosure(balls, nearest):
    """(lower, upper) for one point, at least `nearest` from every fold."""
    if math.isinf(nearest):
        return math.inf, math.inf
    lower, upper = nearest, math.inf
    radius = max(nearest * (1 + 2.0**-30), 2.0**-30 * balls.size)
    asked = False
    while math.isinf(upper):
        verdict = balls.has_one_map(radius)
        if verdict is None or verdict and radius > _LARGEST:
            return lower, upper
        if not verdict:
            upper = radius
        elif radius > _FAR * balls.size and not asked:
            asked = True
            if balls.space_has_one_map():
                return math.inf, math.inf
            lower, radius = radius, 2 * radius
        else:
            lower, radius = radius, 2 * radius
    if balls.touches_another_map(upper):
        return 0.0, 0.0
    candidates = sorted(balls.fold_radii(upper))
    while upper - lower > _NARROW * upper:
        candidates = [r for r in candidates if lower <= r < upper]
        if candidates:
            middle = candidates.pop(len(candidates) // 2)
            tried = middle, math.nextafter(middle, math.inf)
        elif not lower < (lower + upper) / 2 < upper:  # subnormal numbers are next to each other
            break
        else:
            tried = ((lower + upper) / 2,)
        for radius in tried:
            if not lower < radius < upper:
                continue
            verdict = balls.has_one_map(radius)
            if verdict is None:
                return lower, upper
            lower, upper = (radius, upper) if verdict else (lower, radius)
    return lower, upper


class _Balls:
    """Balls around one point."""

    def __init__(self, net, point, deadline, max_regions):
        self._net, self._point, self._deadline, self._max_regions = net, point, deadline, max_regions
        self.size = max(float(abs(point).max()), 1.0)

    def has_one_map(self, radius):
        """Whether the open ball has one map: True, False, both proved, or None, when a limit was met."""
        return self._one_map(Ball(self._point, radius))

    def space_has_one_map(self):
        """Whether all of space is known to have one map."""
        charts = Space(self._net.n_in)._charts()
        patterns = []
        for chart in charts:
            for batch in batches(self._net, chart, self._deadline, self._max_regions):
                patterns.append(batch.patterns)
            if not batch.is_last:
                return False
        patterns = [np.unique(np.concatenate(patterns), axis=0)]
        return _are_one_map(self._net, Space(self._net.n_in), patterns, self._deadline)

    def _one_map(self, domain):
        found = []
        for batch in batches(self._net, domain, self._deadline, self._max_regions):
            if not len(batch.patterns):
                continue
            found.append(batch.patterns)
            first = found[0][:1]
            maps, errors = maps_of(self._net, domain, np.concatenate([first, batch.patterns]))
            if (abs(maps - maps[0]) > 2 * errors).any():
                return False
        same = not found or _are_one_map(self._net, domain, found, self._deadline)
        return None if same and not batch.is_last else same

    def _regions(self, radius):
        """(bits, neurons' forms, map) of the regions in a ball, of a limited number, in time."""
        domain = Ball(self._point, radius)
        walk = ExactWalk(cells.ExactChain(self._net, domain))
        patterns = [b.patterns for b in batches(self._net, domain, self._deadline, _MOST_CANDIDATES)]
        for bits in unpack_patterns(np.concatenate(patterns), self._net.n_neurons).tolist():
            if time.monotonic() + 2 * seconds_of_forms(walk.chain) > self._deadline:
                return
            yield ExactRegion(walk, domain, bits), forms_on(walk.chain, bits)[0], map_on(walk.chain, bits)

    def touches_another_map(self, radius):
        """Whether regions with different maps meet in the point itself."""
        center = [0] * self._net.n_in
        maps = {own for region, _, own in self._regions(radius) if region.touches(center)}
        return len(maps) > 1

    def fold_radii(self, radius):
        """Distances from the point to the folds of those regions in a ball that have the point's map."""
        center = [0] * self._net.n_in
        found = list(self._regions(radius))
        here = next((own for region, _, own in found if region.touches(center)), None)
        radii = set()
        for _, forms, own in found:
            if own == here:
                for form in forms:
                    length = sum(map(abs, form[:-1].tolist()))
                    if length:
                        radii.add(cells.quotient(abs(form[-1]), length))
        return radii


def _are_one_map(net, domain, patterns, deadline):
    """Whether they are; None where that took longer."""
    chain, maps = cells.ExactChain(net, domain), set()
    patterns = np.concatenate(patterns)
    for pattern in patterns if len(patterns) > 1 else ():
        if time.monotonic() + seconds_of_forms(chain) > deadline:
            return None
        maps.add(map_on(chain, unpack_patterns(pattern[None], net.n_neurons)[0].tolist()))
        if len(maps) > 1:
            return False
    return True
