"""Whether all regions of a network on a domain have one map, or maps within a tolerance of one."""

import math
import time
from fractions import Fraction

import numpy as np

from . import exact_rows
from .bends import bent_pair, uniform, witness_on
from .cells import ExactChain, quotient
from .domains import Ball, Space
from .evaluation import unpack_patterns
from .exact_cells import MOST_DIMENSIONS_OF_CORNERS
from .maps import maps_of
from .walk import MOST_DIMENSIONS_IN_TIME, Rows, Walk, check_engine, parts
from .wording import counted

__all__ = ["by_regions"]

_MOST_POINTS = 20_000
_N_ATTEMPTS = 4
# Seconds, past the limit if need be: different maps are a no, which only lacks its witness.
_LEFT_FOR_WITNESS = 0.2


def by_regions(question, most):
    """The verdict from all regions, or from at most so many, or from those before the deadline."""
    d = question.domain.dimension
    if d > MOST_DIMENSIONS_IN_TIME:
        return question.verdict("undecided", f"regions in {d} dimensions are not looked at one by one")
    seen, is_open = _Seen(question), False
    want = "rows" if question.tol else "patterns"
    for chart in question.domain._charts():
        walk = Walk(question.asked, chart, check_engine("auto", d), want=want)
        for part in parts(walk, 1, question.deadline, most + 1 - seen.n):
            verdict = seen.add(chart, part)
            if verdict is not None:
                return verdict
            is_open = bool(part.opens) or seen.n > most or seen.n_skipped > 0
            if is_open:
                break
        if is_open:
            break
    limit = f"a limit was met after {counted(seen.n, 'region')}"
    if d > MOST_DIMENSIONS_OF_CORNERS and seen.n <= most and not question.late():
        there = counted(seen.n, "region")
        limit = f"after {there} doubles do not decide, and in {d} dimensions integers are too slow"
    if question.tol:
        return _nearly(question, seen, limit if is_open else None)
    if is_open:
        if seen.n_different:
            limit += "; maps differ, but three points that show it were not found in time"
        return question.verdict("undecided", limit, volume_proved=seen.volume(), **seen.facts())
    if seen.n_different:
        reason = "regions have different maps, but on the segments between them that were tried no fold shows"
        return question.verdict("undecided", reason, **seen.facts())
    if d > MOST_DIMENSIONS_OF_CORNERS and seen.n > 1:
        reason = f"all {seen.n:,} regions have one map, but no certificate shows that in {d} dimensions"
        return question.verdict("undecided", reason, **seen.facts())
    reason = "one region" if seen.n == 1 else f"all {seen.n:,} regions have one map"
    return question.same_map(reason, seen.first, seen.marks(), **seen.facts())


class _Seen:
    """The regions found so far, compared with the first."""

    def __init__(self, question):
        self.question = question
        self.first = self.first_rounded = self.first_region = None
        self.patterns, self.same, self.points = {}, [], []
        self.n_different, self.n_skipped, self.slope_change = 0, 0, 0.0
        self._rng = np.random.default_rng(1)

    @property
    def n(self):
        return len(self.patterns)

    def add(self, chart, part):
        """Take in the regions of a part; the verdict, if they show that the network is not affine."""
        question = self.question
        if question.tol:
            self.points += [_coordinates(question.domain, chart, _corners(rows)) for rows in part.rows]
        patterns = part.patterns[[p.tobytes() not in self.patterns for p in part.patterns]]
        self.patterns |= dict.fromkeys(p.tobytes() for p in patterns)
        if not len(patterns):
            return None
        bits = unpack_patterns(patterns, question.asked.n_neurons)
        with np.errstate(all="ignore"):  # what overflows is compared exactly
            maps, errors = maps_of(question.asked, question.domain, patterns)
            if self.first is None:
                self.first, self.first_rounded = question.maps.of(bits[0].tolist()), maps[0]
                self.first_region = chart, bits[0].tolist()
            change = abs(maps - self.first_rounded)
            is_other = (change > 3 * errors).any(axis=(1, 2))
            change = change[:, :, :-1].max(axis=(1, 2), initial=0)
        self.slope_change = max(self.slope_change, _largest(change[is_other]))
        if question.tol:
            return None
        self.n_different += int(is_other.sum())
        most_different = np.argsort(-np.where(is_other, change, -1))
        for i in most_different[: min(_N_ATTEMPTS, is_other.sum())]:
            verdict = self._witness(chart, bits[i].tolist())
            if verdict is not None:
                return verdict
        for i in np.flatnonzero(~is_other):
            if question.late():
                self.n_skipped += 1
            elif (question.maps.of(bits[i].tolist()) == self.first).all():
                self.same.append((chart, bits[i].tolist()))
            else:
                self.n_different += 1
                verdict = self._witness(chart, bits[i].tolist())
                if verdict is not None:
                    return verdict
        return None

    def facts(self):
        return {"n_regions": self.n, "slope_change": self.slope_change}

    def volume(self):
        """The share of the domain that regions with the first map have, of those for which there was time."""
        ends = self.question.domain._bounds()
        if ends is None or not self.question.has_corners:
            return math.nan
        asked, total = self.question.asked, 0.0
        chain = ExactChain(asked, self.question.domain)
        begin, slowest = time.monotonic(), 0.0
        for chart, bits in self.same:
            row = _described(self.question, chart, bits) if begin + slowest < self.question.end else None
            if row is None:
                break
            is_exact = not isinstance(row, Rows)
            total += (exact_rows.columns(asked, chain, [row])["volumes"] if is_exact else row.volumes)[0]
            slowest, begin = max(slowest, time.monotonic() - begin), time.monotonic()
        return min(float(total / np.prod(ends[1] - ends[0])), 1.0)

    def marks(self):
        packed = np.frombuffer(b"".join(self.patterns), np.uint8).reshape(self.n, -1)
        bits = unpack_patterns(packed, self.question.asked.n_neurons)
        return sorted("".join("1" if bit else "0" for bit in row) for row in bits.tolist())

    def _witness(self, chart, bits):
        """The verdict from a point of the first region and one of a region with another map."""
        self.question.put_off(_LEFT_FOR_WITNESS)
        ends = [_generic(self.question, *region, self._rng) for region in (self.first_region, (chart, bits))]
        witness = witness_on(self.question, *ends) if all(ends) else None
        return None if witness is None else self.question.not_affine(witness, **self.facts())


def _largest(values):
    values = values[np.isfinite(values)]
    return float(values.max(initial=0))


def _described(question, chart, bits):
    """The `Rows` or the `exact_cells.Row` of one region; None: there was no time."""
    walk = Walk(question.asked, chart, check_engine("auto", chart.dimension), want="rows")
    opens = [walk.root._replace(bits=np.packbits(bits, bitorder="little").tobytes(), length=len(bits))]
    while opens and time.monotonic() < question.end:
        if walk.is_beyond(opens[0]):
            return None
        part = walk.run(opens, max(question.end - time.monotonic(), 0.0), 1)
        if part.n_cells:
            return part.rows[0]
        opens = part.opens
    return None


def _corners(rows):
    """Corners of regions, or a point of each where their engine keeps none."""
    if isinstance(rows, Rows):
        return rows.vertices if len(rows.vertices) else rows.points
    with np.errstate(all="ignore"):
        return np.array([[quotient(u, v[-1]) if v[-1] else math.inf for u in v[:-1]] for v in rows.vertices])


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


def _generic(question, chart, bits, rng):
    """A random point of a region, with its bits; None: it is too narrow for doubles, or there was no time."""
    row = _described(question, chart, bits)
    if row is None:
        return None
    point = row.points[0] if isinstance(row, Rows) else _corners(row).mean(axis=0)
    (point,) = _coordinates(question.domain, chart, point[None])
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
    points = np.concatenate([*seen.points, np.empty((0, question.n_coordinates))])
    points = np.unique(points[np.isfinite(points).all(axis=1)], axis=0)
    if limit or not question.has_corners:  # else an output is farthest from an affine map at a corner
        points = np.concatenate([points, uniform(question, 1024, rng)])
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
        deviation = certificate.deviation(deadline=question.end)
    except (TimeoutError, ValueError) as error:
        reason = str(error) or f"a limit was met in proving {counted(seen.n, 'region')}"
        return question.verdict("undecided", reason, **facts)
    if deviation <= Fraction(question.tol):
        reason = "an affine map is within tol"
        return question.affine(reason, certificate, gap, deviation, **seen.facts())
    facts["deviation"] = (gap, quotient(deviation.numerator, deviation.denominator))
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
            if best[1] is None or off.max() < best[0]:
                best = off.max(), row
            weights = weights * off
            if not weights.sum() > 0:
                break
            weights /= weights.sum()
        slopes = best[1][:-1] / size
        rows.append(np.append(slopes, best[1][-1] - slopes @ middle))
    rows = np.array(rows)
    # to 40 bits: where the nearest has few digits, and rounding has hidden them, it is met
    unit = np.spacing(abs(rows).max(axis=1, keepdims=True)) * 2.0**12
    return np.where(unit > 0, np.round(rows / unit) * unit, 0)
