"""Whether all regions of a network on a domain have one map, or maps within a tolerance of one."""

import math
from fractions import Fraction
from itertools import groupby

import numpy as np

from . import exact_rows
from .bends import bent_pair, uniform, witness_on
from .domains import Ball, Space
from .evaluation import unpack_patterns
from .maps import maps_of
from .walk import Rows, Walk, check_engine, parts

__all__ = ["by_regions"]

# Certificates of several regions are checked at their corners.
_MOST_DIMENSIONS = 12
# Beyond, a step of the walk may take longer than a limit allows.
_MOST_WALKED = 64
_MOST_POINTS = 20_000
_N_ATTEMPTS = 4


def by_regions(question, most):
    """The verdict from all regions, or from at most so many, or from those before the deadline."""
    seen, is_open = _Seen(question), False
    d = question.domain.dimension
    if d > _MOST_WALKED:
        return question.verdict("undecided", f"regions in {d} dimensions are not looked at one by one")
    for chart in question.domain._charts():
        walk = Walk(question.asked, chart, check_engine("auto", d), want="rows")
        for part in parts(walk, 1, question.deadline, most + 1 - seen.n):
            for columns in _columns(walk, part):
                verdict = seen.add(chart, *columns)
                if verdict is not None:
                    return verdict
            is_open = bool(part.opens) or seen.n > most
            if is_open:
                break
        if is_open:
            break
    limit = f"a limit was met after {seen.n:,} regions"
    if question.tol:
        return _nearly(question, seen, limit if is_open else None)
    if is_open:
        return question.verdict("undecided", limit, **seen.facts())
    if seen.n_different:
        reason = "regions have different maps, and the points between them that were tried lie on one line"
        return question.verdict("undecided", reason, **seen.facts())
    if d > _MOST_DIMENSIONS and seen.n > 1:
        reason = f"all {seen.n:,} regions have one map, which no certificate shows in {d} dimensions"
        return question.verdict("undecided", reason, **seen.facts())
    reason = "one region" if seen.n == 1 else f"all {seen.n:,} regions have one map"
    return question.same_map(reason, seen.first, seen.marks(), **seen.facts())


class _Seen:
    """The regions found so far, compared with the first."""

    def __init__(self, question):
        self.question = question
        self.first = self.first_rounded = self.first_bits = self.first_point = None
        self.patterns, self.points = {}, []
        self.n_different, self.volume, self.slope_change = 0, 0.0, 0.0
        self._rng = np.random.default_rng(1)

    @property
    def n(self):
        return len(self.patterns)

    def add(self, chart, patterns, points, volumes, corners):
        """Take in some regions; the verdict, if they show that the network is not affine."""
        question = self.question
        points = _coordinates(question.domain, chart, points)
        is_new = np.array([p.tobytes() not in self.patterns for p in patterns], bool)
        patterns, points = patterns[is_new], points[is_new]
        self.patterns |= dict.fromkeys(p.tobytes() for p in patterns)
        if not len(patterns):
            return None
        bits = unpack_patterns(patterns, question.asked.n_neurons)
        with np.errstate(all="ignore"):  # what overflows is compared exactly
            maps, errors = maps_of(question.asked, question.domain, patterns)
            if self.first is None:
                self.first, self.first_rounded = question.maps.of(bits[0].tolist()), maps[0]
                self.first_bits, self.first_point = bits[0].tolist(), points[0]
            change = abs(maps - self.first_rounded)
            is_other = (change > 3 * errors).any(axis=(1, 2))
            self.slope_change = max(self.slope_change, _largest(change[is_other, :, :-1]))
        if question.tol:
            self.points.append(points if corners is None else _coordinates(question.domain, chart, corners))
        elif is_other.any():
            order = np.argsort(-np.where(is_other, change.max(axis=(1, 2)), -1))
            verdict = self._witness(bits, points, order[: min(_N_ATTEMPTS, is_other.sum())])
            if verdict is not None:
                return verdict
        for i in np.flatnonzero(~is_other):
            if question.late():
                break
            is_other[i] = (question.maps.of(bits[i].tolist()) != self.first).any()
            if not is_other[i]:
                self.volume += volumes[is_new][i]
            elif not question.tol:
                verdict = self._witness(bits, points, [i])
                if verdict is not None:
                    return verdict
        self.n_different += int(is_other.sum())
        return None

    def facts(self):
        ends = self.question.domain._bounds()
        whole = math.nan if ends is None else float(np.prod(ends[1] - ends[0]))
        share = min(self.volume / whole, 1.0) if whole > 0 else math.nan
        return {"n_regions": self.n, "volume_proved": share, "slope_change": self.slope_change}

    def marks(self):
        packed = np.frombuffer(b"".join(self.patterns), np.uint8).reshape(self.n, -1)
        bits = unpack_patterns(packed, self.question.asked.n_neurons)
        return sorted("".join("1" if bit else "0" for bit in row) for row in bits.tolist())

    def _witness(self, bits, points, rows):
        """From a point of the first region to one of a region with another map."""
        start = _generic(self.question, self.first_bits, self.first_point, self._rng)
        for i in rows if start else ():
            stop = _generic(self.question, bits[i].tolist(), points[i], self._rng)
            witness = witness_on(self.question, start, stop) if stop else None
            if witness is not None:
                return self.question.not_affine(witness, **self.facts())
        return None


def _largest(values):
    values = values[np.isfinite(values)]
    return float(values.max(initial=0))


def _columns(walk, part):
    """(patterns, points, volumes, corners or None) of the regions of a part, in order."""
    done = 0
    for is_exact, group in groupby(part.rows, key=lambda rows: not isinstance(rows, Rows)):
        for rows in [list(group)] if is_exact else group:
            if is_exact:
                columns = exact_rows.columns(walk.net, walk.exact.chain, rows)
                corners = np.concatenate(columns["vertices"])
                points, volumes = columns["interior_points"], columns["volumes"]
            else:
                points, volumes, corners = rows.points, rows.volumes, rows.vertices
            yield part.patterns[done : done + len(points)], points, volumes, corners if len(corners) else None
            done += len(points)


def _coordinates(domain, chart, points):
    """Points of a chart, or away from the centre of a ball, in the coordinates of certificates."""
    if isinstance(domain, Ball):
        return points + domain.center
    if isinstance(domain, Space):
        rest, constants = chart._forms()
        homogeneous = points @ rest.T + constants
        with np.errstate(all="ignore"):
            return homogeneous[:, 1:] / homogeneous[:, :1]
    return points


def _generic(question, bits, point, rng):
    """A random point near one of a region, with the region's bits; None: it is too narrow for doubles."""
    ends = question.domain._bounds()
    size = 1 + abs(point) if ends is None else ends[1] - ends[0]
    for k in range(3, 60, 3):
        near = point + size * 2.0**-k * rng.uniform(-1, 1, len(point))
        if not np.isfinite(near).all():
            return None
        near = tuple(map(Fraction, near.tolist()))
        if question.place.holds(near) and question.at(near)[1] == bits:
            return near
    return None


# Within a tolerance -------------------------------------------------------------------------------


def _nearly(question, seen, limit):
    """The verdict where outputs may differ from an affine map: its nearest at the corners of regions."""
    rng = np.random.default_rng(0)
    points = np.concatenate([*seen.points, uniform(question, 1024, rng)])
    points = points[np.isfinite(points).all(axis=1)]
    if len(points) > _MOST_POINTS:
        points = points[rng.choice(len(points), _MOST_POINTS, replace=False)]
    x, y = points[rng.integers(len(points), size=(2, _MOST_POINTS))]
    pair, gap = bent_pair(question, x, y)
    if pair is not None:
        return question.not_affine(pair, **seen.facts())
    facts = seen.facts() | {"deviation": (gap, math.inf)}
    if limit:
        return question.verdict("undecided", limit, **facts)
    values = question.asked(question.inputs(points))
    rows = [[Fraction(x) for x in row] for row in _nearest(points, values.astype(float)).tolist()]
    certificate = question.certificate(rows, seen.marks())
    try:
        deviation = certificate.deviation(deadline=question.deadline)
    except (TimeoutError, ValueError) as error:
        reason = str(error) or f"a limit was met in proving {seen.n:,} regions"
        return question.verdict("undecided", reason, **facts)
    if deviation <= Fraction(question.tol):
        reason = "an affine map is within tol"
        return question.affine(reason, certificate, deviation, **seen.facts())
    facts["deviation"] = (gap, float(deviation))
    return question.verdict("undecided", "the nearest affine map that was found is not within tol", **facts)


def _nearest(points, values):
    """Rows (A, b) of nearly least largest distance: least squares, reweighted (Lawson, 1961)."""
    middle, size = points.mean(axis=0), np.maximum(np.ptp(points, axis=0), 1e-300)
    design = np.column_stack([(points - middle) / size, np.ones(len(points))])
    rows = []
    for y in values.T:
        weights, best = np.full(len(y), 1 / len(y)), (math.inf, None)
        for _ in range(100):
            root = np.sqrt(weights)
            row = np.linalg.lstsq(design * root[:, None], y * root, rcond=None)[0]
            off = y - design @ row
            row[-1] += (off.max() + off.min()) / 2
            off = abs(y - design @ row)
            if off.max() < best[0]:
                best = off.max(), row
            weights = weights * off
            if not weights.sum() > 0:
                break
            weights /= weights.sum()
        slopes = best[1][:-1] / size
        rows.append(np.append(slopes, best[1][-1] - slopes @ middle))
    return np.array(rows)
