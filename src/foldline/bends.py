"""Three points on a line that no affine map can have: a search for those that show a network to bend."""

import time
from fractions import Fraction

import numpy as np

from . import cells
from .certificates import Witness, midpoint
from .domains import Ball, Polytope

__all__ = ["bent_pair", "by_triples", "uniform", "witness_on"]

_N_TRIPLES = 2048
# Of the most promising triples, and on the way to fewer neurons.
_N_EXACT, _N_HALVINGS = 4, 40


def by_triples(question):
    """The verdict from random pairs, half of them near opposite corners."""
    if question.late():
        return None
    witness, _ = bent_pair(question, *_pairs(question, np.random.default_rng(0)))
    return None if witness is None else question.not_affine(witness)


def bent_pair(question, x, y):
    """(witness or None, bound): of pairs of points the few between which the network seems to bend most.

    No affine map is nearer to the outputs than the bound.
    """
    with np.errstate(all="ignore"):
        values = [question.asked(question.inputs(p), allow_nonfinite=True) for p in (x, y, (x + y) / 2)]
        seen = abs(values[0] + values[1] - 2 * values[2]).max(axis=1)
    seen, bound = np.where(np.isfinite(seen), seen, 0), 0.0
    for i in np.argsort(-seen)[:_N_EXACT].tolist():
        if question.late() or not seen[i]:
            break
        ends = [tuple(map(Fraction, points[i].tolist())) for points in (x, y)]
        if not all(map(question.place.holds, ends)):
            continue
        if question.is_bent(*ends):
            return _narrowed(question, *ends), bound
        bound = max(bound, float(max(map(abs, question.gaps(*ends)))) * (1 - 1e-15) / 4)
    return None, bound


def _pairs(question, rng):
    x, y = uniform(question, _N_TRIPLES, rng), uniform(question, _N_TRIPLES, rng)
    ends = question.domain._bounds()
    if ends is not None:
        low, high = ends
        if isinstance(question.domain, Ball):
            low, high = question.domain.center + low, question.domain.center + high
        half = _N_TRIPLES // 2
        upper = rng.random((half, len(low))) < 0.5
        near = rng.uniform(0, 0.125, (half, 1))
        x[:half] = near * x[:half] + (1 - near) * np.where(upper, high, low)
        y[:half] = near * y[:half] + (1 - near) * np.where(upper, low, high)
    return x, y


def uniform(question, n, rng):
    """Random points of the domain, in its coordinates; all of space has no uniform ones."""
    domain, d = question.domain, question.n_coordinates
    if isinstance(domain, Polytope):
        vertices = cells.root_cell(domain)[0].vertices
        corners = np.array([[u / v[-1] for u in v[:-1]] for v in vertices])
        return rng.dirichlet(np.full(len(corners), 0.5), n) @ corners
    ends = domain._bounds()
    if ends is None:
        return rng.standard_normal((n, d)) * 10 ** rng.uniform(-2, 3, (n, 1))
    t = rng.random((n, d))
    points = (1 - t) * ends[0] + t * ends[1]  # what ends differ by may overflow
    return points + domain.center if isinstance(domain, Ball) else points


def witness_on(question, x, y, n_halvings=_N_HALVINGS):
    """A witness on the segment from x, in the interior of a region, to y, or None.

    If f(y) is not what the map at x gives there, the difference D is 0 near x and not at y. Then
    D(t) = 2 D(t / 2) fails for some t = 1, 1/2, 1/4, ..., and there it is.
    """
    for _ in range(n_halvings):
        if question.is_bent(x, y):
            return _narrowed(question, x, y)
        if question.late():
            return None
        y = midpoint(x, y)
    return None


def _narrowed(question, x, y):
    """The witness at x and y, or on a part of this segment where fewer neurons fold."""
    stop = min(question.deadline, time.monotonic() + 0.1)
    neurons = question.folding(x, y)
    best = x, y, neurons
    for _ in range(_N_HALVINGS):
        if len(neurons) == 1 or time.monotonic() > stop:
            break
        z = midpoint(x, y)
        halves = ((x, z), (z, y), (midpoint(x, z), midpoint(z, y)))
        bent = next((half for half in halves if question.is_bent(*half)), None)
        if bent is None:
            break
        (x, y), neurons = bent, question.folding(*bent)
        if len(neurons) < len(best[2]):
            best = x, y, neurons
    x, y, neurons = best
    gaps = question.gaps(x, y)
    k = max(range(len(gaps)), key=lambda i: abs(gaps[i]))
    tol = Fraction(question.tol)
    return Witness(
        question.net.digest,
        question.plain,
        (question.outputs[k],),
        tol,
        (x, y),
        gaps[k],
        neurons,
        net=question.net,
    )
