"""Is a network convex, is it monotone? Proved by bounds, by regions, or by a witness against it."""

import math
import time
from fractions import Fraction

import numpy as np

from . import cells
from .checks import check_int
from .derivative_bounds import jacobian_bounds, sensitivity_bounds
from .domains import Plane, Segment, check_question
from .evaluation import unpack_patterns
from .exact import exact_outputs, input_of
from .exact_cells import ExactWalk
from .exact_forms import forms_on, map_on
from .frozen import Frozen
from .maps import maps_of
from .pairs import Pair
from .sensitivity import sensitivities
from .survey import ExactRegion, batches, check_bounded, facet_point, float_points
from .twins import twins
from .wording import counted, input_names

__all__ = ["NotConvex", "NotMonotone", "ShapeVerdict", "check_convex", "check_monotone"]

_N_SAMPLES = 4096
_MOST_GUESSES = 4
_CHUNK = 1024


class ShapeVerdict(Frozen):
    """What `check_convex` and `check_monotone` found. True iff the answer is yes.

    Attributes
    ----------
    question : str
        "convex", or such as "increasing in x1", the first input.
    status : str
        "yes", "no" or "undecided".
    by : str
        What decided: "bounds" of derivatives on the whole domain, "regions", all of them, a "witness", or
        the "limit" that was met.
    n_regions : int
        Activation regions that were looked at.
    witness : NotConvex, NotMonotone or None
        Two points that show why not. Its `verify()` checks that in exact rationals.
    """

    def __init__(self, question, status, by, n_regions=0, witness=None):
        super().__init__(question=question, status=status, by=by, n_regions=n_regions, witness=witness)

    def __bool__(self):
        return self.status == "yes"

    def __repr__(self):
        return f"<{self.question}: {self.status}, by {self.by}, {counted(self.n_regions, 'region')}>"


class NotConvex(Pair):
    """A `Pair` of points between which an output, `output`, is above its chord."""

    def __init__(self, net, domain, x, y, output):
        super().__init__(net, domain, x, y, output=output)

    def gap(self):
        """By how much the output at the middle exceeds the mean of those at x and y, as a `Fraction`."""
        middle = [(a + b) / 2 for a, b in zip(self.x, self.y)]
        points = [*self._exact_inputs(), input_of(self.domain, middle)]
        if None in points:
            return Fraction(0)
        first, second, between = (exact_outputs(self.net, point)[self.output] for point in points)
        return between - (first + second) / 2

    def verify(self):
        """Whether x and y are in the domain and the gap is positive, in exact rationals."""
        return self.gap() > 0

    def __repr__(self):
        x, y = map(_short, self.inputs)
        return f"NotConvex(x={x}, y={y}, output={self.output})"


class NotMonotone(Pair):
    """A `Pair` of points that differ in one input, `feature`, y further along it, between which an output,
    `output`, moves against the sign, `sign`."""

    def __init__(self, net, domain, x, y, feature, sign, output):
        super().__init__(net, domain, x, y, feature=feature, sign=sign, output=output)

    def verify(self):
        """Whether that is so, in exact rationals, and x and y are in the domain."""
        points = self._exact_inputs()
        if None in points:
            return False
        changed = [k for k, (a, b) in enumerate(zip(*points)) if a != b]
        if changed != [self.feature] or not points[1][self.feature] > points[0][self.feature]:
            return False
        before, after = (exact_outputs(self.net, point)[self.output] for point in points)
        return (after - before) * self.sign < 0

    def __repr__(self):
        x, y = map(_short, self.inputs)
        return f"NotMonotone(x={x}, y={y}, output={self.output})"


def check_convex(net, domain, *, max_regions=None, time_limit=None):
    """Decide whether every output is a convex function on the domain.

    Parameters
    ----------
    net : Network
    domain : Box, Ball, Polytope, Plane or Segment
        On a slice, of the slice's coordinates.
    max_regions : int, optional
        Activation regions to look at, at most.
    time_limit : float, optional
        Seconds.

    Returns
    -------
    ShapeVerdict
        Proved for the exact function; there is no tolerance. A function that is affine is convex.

    Raises
    ------
    ValueError
        As `regions`.

    Notes
    -----
    A continuous piecewise-linear function is convex iff it is across every facet: iff the output goes up
    with the activation of each neuron that folds there (times 1 - slope). First this is tried by bounds, for
    all neurons at once, then random chords are, then all regions. Where several neurons may fold in
    one place, facets and maps are compared in exact arithmetic.

    Examples
    --------
    >>> import foldline as fl
    >>> net = fl.Network([([[1.0, -1.0]], None), ([[1.0]], None)])
    >>> bool(fl.check_convex(net, fl.Box(-1, 1, n_in=2)))
    True
    >>> concave = fl.Network([([[1.0, -1.0]], None), ([[-1.0]], None)])
    >>> verdict = fl.check_convex(concave, fl.Box(-1, 1, n_in=2))
    >>> verdict.status, verdict.witness.verify()
    ('no', True)
    """
    check_question(net, domain, max_regions=max_regions, time_limit=time_limit)
    check_bounded(domain, "whose regions have no corners")
    deadline = math.inf if time_limit is None else time.monotonic() + time_limit
    with np.errstate(over="ignore", invalid="ignore"):
        if _is_convex_by_bounds(net, domain):
            return ShapeVerdict("convex", "yes", "bounds")
        witness = _chord_above(net, domain)
        if witness is not None:
            return ShapeVerdict("convex", "no", "witness", witness=witness)
        return _convex_by_regions(net, domain, deadline, max_regions)


def check_monotone(net, domain, feature, sign=1, *, max_regions=None, time_limit=None):
    """Decide whether every output goes one way with an input, or does not move.

    Parameters
    ----------
    net : Network
    domain : Box, Ball or Polytope
    feature : int
        The number of the input, from 0.
    sign : {1, -1}
        1: no output ever decreases as the input grows; -1: none increases.
    max_regions, time_limit
        As for `check_convex`.

    Returns
    -------
    ShapeVerdict
        Proved for the exact function; there is no tolerance.

    Raises
    ------
    ValueError
        As `regions`; a slice, on which one input alone cannot move; another sign, or no such feature.

    Examples
    --------
    >>> import foldline as fl
    >>> net = fl.Network([([[1.0, -1.0]], None), ([[1.0]], None)])
    >>> box = fl.Box(-1, 1, n_in=2)
    >>> bool(fl.check_monotone(net, box, 0)), bool(fl.check_monotone(net, box, 1))
    (True, False)
    >>> bool(fl.check_monotone(net, box, 1, -1))
    True
    """
    check_question(net, domain, max_regions=max_regions, time_limit=time_limit)
    check_bounded(domain, "whose regions have no corners")
    check_full(domain)
    feature = check_int("feature", feature, 0, net.n_in - 1)
    if check_int("sign", sign) not in (1, -1):
        raise ValueError(f"sign is {sign}; wanted 1 or -1")
    deadline = math.inf if time_limit is None else time.monotonic() + time_limit
    question = f"{'increasing' if sign > 0 else 'decreasing'} in {input_names(net.n_in)[feature]}"
    with np.errstate(over="ignore", invalid="ignore"):
        low, high = jacobian_bounds(net, domain)
        if (low[:, feature] >= 0 if sign > 0 else high[:, feature] <= 0).all():
            return ShapeVerdict(question, "yes", "bounds")
        walk, n = ExactWalk(cells.ExactChain(net, domain)), 0
        for batch in batches(net, domain, deadline, max_regions):
            n += len(batch.patterns)
            found = _against(net, domain, walk.chain, batch.patterns, feature, sign, deadline)
            if found is None:
                break
            for row, output in found:
                region = ExactRegion(walk, domain, unpack_patterns(batch.patterns[[row]], net.n_neurons)[0])
                x = region.point(*float_points(net, domain, batch.patterns[[row]]))
                along = [int(k == feature) for k in range(domain.dimension)]
                t = region.step(x, along)
                y = [a + t * b for a, b in zip(x, along)]
                return ShapeVerdict(
                    question, "no", "witness", n, NotMonotone(net, domain, x, y, feature, sign, output)
                )
            if batch.is_last:
                return ShapeVerdict(question, "yes", "regions", n)
    return ShapeVerdict(question, "undecided", "limit", n)


def check_full(domain):
    """Raise where the domain is a slice."""
    if isinstance(domain, (Plane, Segment)):
        raise ValueError(f"the domain is a {type(domain).__name__}; wanted a Box, Ball or Polytope")


def _against(net, domain, chain, patterns, feature, sign, deadline):
    """The first (row, output) whose coefficient has the wrong sign, in a list, or []; None: no time left."""
    maps, errors = maps_of(net, domain, patterns)
    values, off = sign * maps[:, :, feature], errors[:, feature]
    wrong = np.argwhere(values < -off)
    if len(wrong):
        return [tuple(wrong[0].tolist())]
    sure = (values >= off) & (off < np.inf)  # what overflows is not
    for row in np.flatnonzero(~sure.all(axis=1)):
        if time.monotonic() > deadline:
            return None
        exact = map_on(chain, unpack_patterns(patterns[[row]], net.n_neurons)[0].tolist())
        for output, coefficients in enumerate(exact):
            if coefficients[feature] * sign < 0:
                return [(int(row), output)]
    return []


# Convexity ----------------------------------------------------------------------------------------


def _is_convex_by_bounds(net, domain):
    for (low, high), slopes in zip(sensitivity_bounds(net, domain), net.slopes):
        up, down = low[:, slopes < 1], high[:, slopes > 1]
        if not ((up >= 0).all() and (down <= 0).all()):
            return False
    return True


def _chord_above(net, domain):
    """A `NotConvex` among random chords, or None."""
    u = _random_points(domain)
    if not len(u):
        return None
    wide = net.astype(np.float64)
    n = len(u) // 2
    ends = np.stack([u[:n], u[n : 2 * n]])
    steps = np.random.default_rng(1).choice([1.0, 0.25, 0.0625], n)
    ends[1] = (1 - steps[:, None]) * ends[0] + steps[:, None] * ends[1]
    first, second, between = (wide(domain._inputs(part)) for part in (*ends, (ends / 2).sum(axis=0)))
    gaps = between - (first / 2 + second / 2)
    for at in np.argsort(-gaps, axis=None)[:_MOST_GUESSES]:
        row, output = np.unravel_index(at, gaps.shape)
        if not gaps[row, output] > 0:
            return None
        x, y = ([Fraction(value) for value in end[row].tolist()] for end in ends)
        witness = NotConvex(net, domain, x, y, int(output))
        if witness.verify():
            return witness
    return None


def _random_points(domain):
    rng = np.random.default_rng(0)
    bounds = domain._bounds()
    a, b = domain._half_spaces()
    if bounds is None:
        root, _ = cells.root_cell(domain)
        corners = np.array([[u / v[-1] for u in v[:-1]] for v in root.vertices])
        bounds = corners.min(axis=0), corners.max(axis=0)
    t = rng.random((_N_SAMPLES, domain.dimension))
    points = (1 - t) * bounds[0] + t * bounds[1]  # what bounds differ by may overflow
    return points[(points @ a.T < b).all(axis=1)]


def _convex_by_regions(net, domain, deadline, max_regions):
    walk = ExactWalk(cells.ExactChain(net, domain))
    if twins(net).any():  # which flip together
        return _convex_by_exact_regions(net, domain, walk, deadline, max_regions)
    found, n, is_complete = [], 0, False
    for batch in batches(net, domain, deadline, max_regions):
        found.append(batch.patterns)
        n += len(batch.patterns)
        if batch.has_ties:
            return _convex_by_exact_regions(net, domain, walk, deadline, max_regions)
        is_complete = batch.is_last
    suspects = _suspects(net, np.concatenate(found))
    for pattern, neuron in suspects:
        if time.monotonic() > deadline:
            return ShapeVerdict("convex", "undecided", "limit", n)
        witness = _witness_across(net, domain, walk, pattern, neuron)
        if witness is not None:
            return ShapeVerdict("convex", "no", "witness", n, witness)
    if is_complete:
        return ShapeVerdict("convex", "yes", "regions", n)
    return ShapeVerdict("convex", "undecided", "limit", n)


def _suspects(net, patterns):
    """(pattern, neuron) where the neuron is active, there is a region with the same pattern but for it, and
    it is not proved that the fold between them is convex; the clearest first.
    """
    keys, suspects = {pattern.tobytes() for pattern in patterns}, []
    for start in range(0, len(patterns), _CHUNK):
        part = patterns[start : start + _CHUNK]
        bits = unpack_patterns(part, net.n_neurons)
        values, errors = sensitivities(net, bits)
        clear = (values - errors).min(axis=1)  # over outputs
        for row, neuron in np.argwhere(bits & ~(clear >= 0)):
            other = part[row].copy()
            other[neuron // 8] ^= 1 << neuron % 8
            if other.tobytes() in keys:
                suspects.append((clear[row, neuron], part[row], int(neuron)))
    suspects.sort(key=lambda suspect: suspect[0])
    return [(pattern, neuron) for _, pattern, neuron in suspects]


def _witness_across(net, domain, walk, pattern, neuron):
    """A `NotConvex` across the facet that a neuron makes of a region, or None where there is no such facet,
    or no fold down.
    """
    bits = unpack_patterns(pattern[None], net.n_neurons)[0]
    beyond = bits.copy()
    beyond[neuron] = False
    output = _goes_down(walk.chain, bits, beyond, neuron)
    if output is None:
        return None
    first, second = (ExactRegion(walk, domain, b) for b in (bits, beyond))
    shared = set(first.row().facets) & set(second.row().facets)
    return _across(net, domain, first, second, shared.pop(), output) if shared else None


def _goes_down(chain, bits, beyond, neuron):
    """The first output that folds down between two regions which differ in one neuron, or None."""
    neurons, outputs = forms_on(chain, bits.tolist())
    _, others = forms_on(chain, beyond.tolist())
    k = next((k for k, m in enumerate(neurons[neuron][:-1].tolist()) if m), None)
    if k is None:  # constant there: no facet is its
        return None
    for output, jump in enumerate((outputs - others)[:, k].tolist()):
        if jump * neurons[neuron][k] < 0:
            return output
    return None


def _across(net, domain, first, second, facet, output):
    """The `NotConvex` whose middle is that of a facet between two regions."""
    middle = facet_point(facet)
    inner = first.point()
    direction = [a - b for a, b in zip(inner, middle)]
    t = Fraction(1)
    while not second.holds([m - t * v for m, v in zip(middle, direction)]):
        t /= 2
    x, y = ([m + side * t * v for m, v in zip(middle, direction)] for side in (1, -1))
    return NotConvex(net, domain, x, y, output)


def _convex_by_exact_regions(net, domain, walk, deadline, max_regions):
    opens, n = {}, 0
    for row in walk.rows():
        n += 1
        if time.monotonic() > deadline or max_regions is not None and n > max_regions:
            return ShapeVerdict("convex", "undecided", "limit", n - 1)
        for facet in row.facets:
            other = opens.pop(facet, None)
            if other is None:
                opens[facet] = row
                continue
            output = _folds_down(row, other, facet, walk.chain.dimension)
            if output is not None:
                first, second = (ExactRegion(walk, domain, r.bits) for r in (row, other))
                witness = _across(net, domain, first, second, facet, output)
                return ShapeVerdict("convex", "no", "witness", n, witness)
    return ShapeVerdict("convex", "yes", "regions", n)


def _folds_down(row, other, facet, d):
    """The first output whose map on a region is below its map on the neighbour, within the region."""
    if row.forms == other.forms:
        return None
    inside = next(v for v in row.vertices if v not in facet)
    jumps = [a - b for a, b in zip(row.forms, other.forms)]
    for output in range(len(jumps) // (d + 1)):
        if sum(m * x for m, x in zip(jumps[output * (d + 1) :], inside)) < 0:
            return output
    return None


def _short(point):
    return f"({', '.join(f'{float(value):.6g}' for value in point)})"
