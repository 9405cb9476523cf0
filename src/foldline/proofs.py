"""Proofs checked in exact arithmetic, by code that shares nothing with the search that found them.

Floats are integers times powers of two, so everything here is a Python integer, or one over a common
scale. On a part of the domain, a polytope, what a layer adds up to is a row of forms m.u + c, as long
as no neuron below changes sign there, or those that do cancel. A form has one sign on a polytope if it
has that sign at the corners.
"""

from fractions import Fraction
from itertools import product
from math import gcd, inf, lcm
from time import monotonic

import numpy as np

__all__ = ["Chain", "Place", "Refused", "about", "largest_deviation"]

_MOST_CORNERS = 1 << 12


class Refused(Exception):
    """Why a proof does not hold."""


class Chain:
    """A network in integers: layer by layer (W, b, slopes) times (scale, scale, slope_scale)."""

    def __init__(self, weights, biases, slopes, outputs):
        """Of arrays of floats; only the outputs with these numbers are kept."""
        last = len(weights) - 1
        self.layers = []
        for i, (w, b) in enumerate(zip(weights, biases)):
            rows = slice(None) if i < last else list(outputs)
            both, scale = _integers(np.concatenate([w[rows], b[rows, None]], axis=1))
            fold = _integers(slopes[i]) if i < last else (None, 1)
            self.layers.append((both[:, :-1], both[:, -1], scale, *fold))
        self.n_in = weights[0].shape[1]

    def folds(self, index):
        """The units of a layer that have a bit."""
        *_, slopes, one = self.layers[index]
        return [] if slopes is None else [j for j, s in enumerate(slopes) if s != one]

    @property
    def n_neurons(self):
        return sum(len(self.folds(i)) for i in range(len(self.layers) - 1))

    def outputs_and_bits(self, point):
        """The exact outputs, as Fractions, and the bits of all neurons, at a point of Fractions."""
        a, scale = _over_common(point)
        bits = []
        for index, (w, b, own, slopes, one) in enumerate(self.layers):
            a, scale = w @ a + b * scale, scale * own
            if slopes is not None:
                bits += [bool(a[j] > 0) for j in self.folds(index)]
                a, scale = a * np.where((a > 0).astype(bool), one, slopes), scale * one
        return [Fraction(value, scale) for value in a.tolist()], bits


class Place:
    """A domain: its bodies in coordinates u, and the inputs x = M u + p.

    kind: "Box", "Ball", "Polytope", "Plane", "Segment" or "Space"; fields: what defines it, as Fractions
    or lists of these; for Space the int n_in.
    """

    def __init__(self, kind, **fields):
        self.kind, self.matrix, self.origin = kind, None, None
        self.half_spaces = []  # rows (m, c): m.u + c >= 0
        if kind == "Box":
            self.body = _Box(**fields)
        elif kind == "Ball":
            center, radius = fields["center"], fields["radius"]
            self.body = _Box([c - radius for c in center], [c + radius for c in center])
        elif kind == "Segment":
            self.body = _Box([Fraction(0)], [Fraction(1)])
            self.origin = fields["start"]
            self.matrix = [[b - a] for a, b in zip(fields["start"], fields["stop"])]
        elif kind == "Plane":
            extent = fields["extent"]
            self.body = _Box([-extent] * 2, [extent] * 2)
            self.origin = fields["origin"]
            self.matrix = [list(pair) for pair in zip(fields["u"], fields["v"])]
        elif kind == "Space":
            self.body = _Everything(fields["n_in"])
        elif kind == "Polytope":
            self.half_spaces = [[*(-a for a in row), b] for row, b in zip(fields["A"], fields["b"])]
            self.body = _Everything(len(fields["A"][0]))
        else:
            raise Refused(f"the domain is of kind {kind!r}")
        self.n_in = self.body.dimension if self.origin is None else len(self.origin)

    @property
    def dimension(self):
        return self.body.dimension

    def holds(self, u):
        """Whether a point, of Fractions, lies in the closed domain."""
        rows = (sum((m * x for m, x in zip(row, u)), row[-1]) for row in self.half_spaces)
        return self.body.holds(u) and all(value >= 0 for value in rows)

    def inputs(self, u):
        """The point of the input space."""
        if self.matrix is None:
            return list(u)
        return [sum((m * x for m, x in zip(row, u)), p) for row, p in zip(self.matrix, self.origin)]

    def bodies(self):
        """Closed polytopes that cover the domain."""
        if not self.half_spaces:
            return [self.body]
        bodies = self.body.pieces()
        for row in self.half_spaces:
            form, _ = _over_common(row)
            bodies = [part for body in bodies for part in _kept(body, form)]
        if not bodies or any(body.points[:, -1].min() == 0 for body in bodies):
            raise Refused("the polytope of the domain is unbounded, or has no interior")
        return bodies

    def first_forms(self, chain):
        """The sums of the first layer, as forms of u, and their scale."""
        w, b, scale, *_ = chain.layers[0]
        if self.matrix is None:
            return np.concatenate([w, b[:, None]], axis=1), scale
        rows, own = _over_common([[*row, p] for row, p in zip(self.matrix, self.origin)])
        forms = w @ rows
        forms[:, -1] += b * own
        return forms, scale * own


def largest_deviation(chain, place, claim, patterns, tol, deadline=inf):
    """How far the outputs are from an affine map, at most, on the domain; `Refused` if more than `tol`.

    Parameters
    ----------
    claim : list of list of Fraction, (n_out, dimension + 1)
        The map A u + b: rows of A, each followed by its b.
    patterns : list of str
        For every cell of the domain the marks of all neurons: 1 where z > 0 on the cell, 0 where z <= 0
        and * for a neuron that may change sign but cancels with others of the same fold.
    deadline : float
        Of `time.monotonic`; TimeoutError when it has come.

    Notes
    -----
    Two parts cover a polytope that is cut by the hyperplane where a neuron's form is 0. So the patterns are
    those of all the domain, if it is cut wherever they differ, and what they agree on is so.
    """
    if any(len(p) != chain.n_neurons for p in patterns) or not patterns:
        raise Refused(f"wanted patterns with a mark for each of {chain.n_neurons} neurons")
    patterns = sorted(patterns)
    if any(p == q for p, q in zip(patterns, patterns[1:])):
        raise Refused("a pattern appears twice")
    claim, claim_scale = _over_common(claim)
    found, reached = Fraction(0), set()
    stack = [(body, patterns, 0, 0, *place.first_forms(chain)) for body in place.bodies()]
    while stack:
        if monotonic() > deadline:
            raise TimeoutError
        body, rows, index, first, forms, scale = stack.pop()
        if index == len(chain.layers) - 1:
            deviation = body.largest(forms * claim_scale - claim * scale)
            if deviation < inf:
                deviation /= scale * claim_scale
            if deviation > tol:
                raise Refused(f"a map is {about(deviation)} from the claim; allowed is {about(tol)}")
            found = max(found, deviation)
            reached.update(rows)
            continue
        folds = chain.folds(index)
        end = first + len(folds)
        at = _first_difference(rows)
        if at < end:
            form = forms[folds[at - first]]
            stack += [(*part, index, first, forms, scale) for part in _cut(body, rows, at, form)]
            continue
        marks = rows[0][first:end]
        below, scale = _activations(chain, index, body, forms, scale, marks)
        w, b, own, *_ = chain.layers[index + 1]
        forms = w @ below
        forms[:, -1] += b * scale
        stack.append((body, rows, index + 1, end, forms, scale * own))
    if len(reached) < len(patterns):
        raise Refused(f"{len(patterns) - len(reached)} patterns are not those of a cell")
    return found


def _cut(body, rows, at, form):
    """(body, rows) on both sides of the fold of neuron `at`, on which the rows disagree."""
    low, high = body.range(form[None, :])
    if low[0] >= 0 or high[0] <= 0:
        mark = "1" if high[0] > 0 else "0"
        rows = [row for row in rows if row[at] == mark]
        if not rows:
            raise Refused(f"no pattern has the mark {mark} of neuron {at} where it is due")
        return [(body, rows)]
    if isinstance(body, _Hull):
        active = [row for row in rows if row[at] == "1"]
        inactive = [row for row in rows if row[at] == "0"]
        if not (active and inactive):
            raise Refused(f"patterns disagree on neuron {at} in other marks than 0 and 1")
        return list(zip(body.cut(form), (active, inactive)))
    return [(piece, rows) for piece in body.pieces()]


def _activations(chain, index, body, forms, scale, marks):
    """What a layer passes on where its neurons have these marks, which are checked."""
    *_, slopes, one = chain.layers[index]
    low, high = body.range(forms)
    factors, cancelling = [one] * len(forms), []
    for j, mark in zip(chain.folds(index), marks):
        if mark == "*":
            cancelling.append(j)
        elif mark == "1":
            if low[j] < 0 or high[j] <= 0:
                raise Refused(f"unit {j} of layer {index} is not positive on all of a cell marked 1")
        elif high[j] > 0:
            raise Refused(f"unit {j} of layer {index} is positive somewhere on a cell marked {mark}")
        else:
            factors[j] = slopes[j]
    for j, is_active in _cancelled(chain, index, forms, cancelling):
        factors[j] = one if is_active else slopes[j]
    return forms * np.array(factors, dtype=object)[:, None], scale * one


def _cancelled(chain, index, forms, units):
    """(unit, whether it is active on one side of its fold) for units that cancel, which is checked.

    Units z_j = c_j h of one form h add sum w_j ((1 - s_j) relu(c_j h) + s_j c_j h) to a sum above, and
    relu(c h) is |c| relu(h), plus c h where c < 0: linear in h where sum w_j (1 - s_j) |c_j| = 0.
    """
    *_, slopes, one = chain.layers[index]
    groups = {}
    for j in units:
        size = gcd(*forms[j].tolist())
        if size == 0:
            raise Refused(f"unit {j} of layer {index} is 0 and has no fold")
        size *= 1 if next(m for m in forms[j] if m) > 0 else -1
        groups.setdefault(tuple((forms[j] // size).tolist()), []).append((j, size))
    for group in groups.values():
        bends = sum(chain.layers[index + 1][0][:, j] * (one - slopes[j]) * abs(size) for j, size in group)
        if any(bends):
            raise Refused(f"units {[j for j, _ in group]} of layer {index} do not cancel")
    return [(j, size > 0) for group in groups.values() for j, size in group]


class _Box:
    """The box low <= u <= high, without its corners: they may be too many."""

    def __init__(self, low, high):
        if not all(a < b for a, b in zip(low, high)):
            raise Refused("the box of the domain is empty or flat")
        self.dimension = len(low)
        (self.low, self.high), self.scale = _over_common([low, high])

    def holds(self, u):
        return all(a <= x * self.scale <= b for a, x, b in zip(self.low, u, self.high))

    def range(self, forms):
        """Least and largest values of forms, times a positive factor."""
        slopes = forms[:, :-1]
        up, down = np.maximum(slopes, 0), np.minimum(slopes, 0)
        constant = forms[:, -1] * self.scale
        return up @ self.low + down @ self.high + constant, up @ self.high + down @ self.low + constant

    def largest(self, forms):
        """The largest magnitude of forms."""
        low, high = self.range(forms)
        return Fraction(max(*(-low), *high), self.scale)

    def pieces(self):
        _refuse_corners(2**self.dimension)
        points, facets = [], []
        for sides in product((0, 1), repeat=self.dimension):
            corner = [(self.low, self.high)[side][k] for k, side in enumerate(sides)]
            points.append([*corner, self.scale])
            facets.append(sum(1 << 2 * k + side for k, side in enumerate(sides)))
        return [_Hull(points, facets, 2 * self.dimension)]


class _Everything:
    """All of u-space."""

    def __init__(self, dimension):
        self.dimension = dimension

    def holds(self, u):
        return True

    def range(self, forms):
        low, high = forms[:, -1].copy(), forms[:, -1].copy()
        moves = (forms[:, :-1] != 0).any(axis=1)
        low[moves], high[moves] = -1, 1
        return low, high

    def largest(self, forms):
        return inf if (forms[:, :-1] != 0).any() else Fraction(max(abs(forms[:, -1])))

    def pieces(self):
        """Orthants: the origin, and an end at infinity on each half-axis."""
        d = self.dimension
        _refuse_corners(2**d)
        hulls = []
        for signs in product((-1, 1), repeat=d):
            ends = [[sign * (k == i) for k in range(d)] + [0] for i, sign in enumerate(signs)]
            facets = [(1 << d + 1) - 1 - (1 << i) for i in range(d)]
            hulls.append(_Hull([[0] * d + [1], *ends], [(1 << d) - 1, *facets], d + 1))
        return hulls


class _Hull:
    """The hull of points (u, w), w > 0, or w = 0 for a direction; with interior.

    Some of the points may lie within it. For the others, `facets` has a bit for each half-space on
    whose boundary they lie.
    """

    def __init__(self, points, facets, n_facets):
        self.points = np.array(points, dtype=object)
        self.facets, self.n_facets = facets, n_facets
        self.dimension = self.points.shape[1] - 1

    def range(self, forms):
        values = forms @ self.points.T
        return values.min(axis=1), values.max(axis=1)

    def largest(self, forms):
        values, weights = abs(forms @ self.points.T).max(axis=0), self.points[:, -1]
        return max(Fraction(v, w) if w else inf if v else Fraction(0) for v, w in zip(values, weights))

    def cut(self, form):
        """The parts where a form, which has both signs, is >= 0 and <= 0.

        Where the line between two points crosses the hyperplane is a point of both; every edge is such a
        line, and the ends of an edge have dimension - 1 half-spaces in common, or more.
        """
        new = 1 << self.n_facets
        sides, on = ({}, {}), {}
        rows = list(zip(map(tuple, self.points.tolist()), self.facets, (self.points @ form).tolist()))
        for point, facets, value in rows:
            if value == 0:
                on[point] = facets | new
            else:
                sides[value < 0][point] = facets
        for u, u_facets, a in rows:
            for v, v_facets, b in rows if a > 0 else ():
                common = u_facets & v_facets
                if b < 0 and common.bit_count() >= self.dimension - 1:
                    point = _lowest_terms([a * y - b * x for x, y in zip(u, v)])
                    on[point] = on.get(point, 0) | common | new
        parts = ({**side, **on} for side in sides)
        return [_Hull(list(part), list(part.values()), self.n_facets + 1) for part in parts]


def _kept(body, form):
    """The part of a hull where a form is >= 0, if it has interior."""
    low, high = body.range(form[None, :])
    if high[0] <= 0:
        return []
    return [body] if low[0] >= 0 else [body.cut(form)[0]]


def _refuse_corners(n):
    if n > _MOST_CORNERS:
        raise Refused(f"cells of this domain have {n} corners or more; at most {_MOST_CORNERS} are checked")


def _first_difference(rows):
    """The first place at which not all of some sorted strings are the same."""
    if rows[0] == rows[-1]:
        return len(rows[0])
    return next(i for i, (a, b) in enumerate(zip(rows[0], rows[-1])) if a != b)


def _lowest_terms(values):
    divisor = gcd(*values)
    return tuple(value // divisor for value in values)


def _integers(values):
    """Floats as (integers, a positive scale): values are integers / scale."""
    values = np.asarray(values)
    return _over_common(values.astype(np.float64).reshape(values.shape).tolist())


def _over_common(values):
    """Nested lists of floats or Fractions as (array of integers, positive scale)."""
    array = np.array(values, dtype=object)
    ratios = [value.as_integer_ratio() for value in array.ravel().tolist()]
    scale = lcm(*{denominator for _, denominator in ratios})
    integers = np.empty(len(ratios), dtype=object)
    integers[:] = [n * (scale // denominator) for n, denominator in ratios]
    return integers.reshape(array.shape), scale


def about(value):
    """A Fraction, or infinity, in a few digits."""
    try:
        return f"{float(value):.6g}"
    except OverflowError:
        return "more than 1e308" if value > 0 else "less than -1e308"
