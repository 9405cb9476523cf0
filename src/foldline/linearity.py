"""Is a network affine on a domain? Maps decide, not signs.

Quick proofs come first: no neuron folds, or those that do cancel; then three points on a line that no affine
map has; then all regions, until two have different maps.
"""

import itertools
import math
import time
from dataclasses import replace
from fractions import Fraction

import numpy as np

from .affine_regions import by_regions
from .bends import by_triples, uniform, witness_on
from .bounds import bounds
from .checks import check_number
from .domains import Polytope, Space, check_question
from .exact import rounded
from .questions import Question

__all__ = ["check_affine"]

_MOST_PRODUCTS = 4_000_000
_N_SEGMENTS = 8
# The share of the time that the search may take.
_SEARCH = 0.8


def check_affine(net, domain, outputs=None, tol=0.0, time_limit=None, max_regions=None):
    """Whether a network is affine on a domain: with a certificate, or with a witness that it is not.

    Parameters
    ----------
    net : Network
    domain : Box, Ball, Polytope, Plane, Segment or Space
    outputs : int or sequence of int, optional
        Only these outputs; default all.
    tol : float, default 0
        Ask whether there is an affine map from which no output differs by more, anywhere on the domain.
    time_limit : float, optional
        Seconds, after which the answer is "undecided".
    max_regions : int, optional
        Likewise, after so many regions.

    Returns
    -------
    Verdict

    Raises
    ------
    ValueError
        A domain of another dimension, or without interior; outputs that the network does not have; `tol`
        negative; a limit that is not positive.

    Notes
    -----
    A network is affine on a domain where all its regions there have the same map. Different signs prove
    nothing: neurons can cancel. One hidden layer is decided by its hyperplanes: neurons of one hyperplane
    cancel where the sum of ``v_j |s_j|`` is 0. With more layers the question is coNP-hard.

    Examples
    --------
    >>> import foldline as fl
    >>> box = fl.Box(-1, 1, n_in=2)
    >>> first = [[1.0, 2.0], [-2.0, -4.0]]
    >>> fl.check_affine(fl.Network([(first, None), ([[1.0, 1.0]], None)]), box)
    Verdict(not_affine: three points on a line that no affine map has)
    >>> verdict = fl.check_affine(fl.Network([(first, None), ([[2.0, -1.0]], None)]), box)
    >>> verdict
    Verdict(affine: neurons that fold cancel)
    >>> verdict.A, verdict.b, verdict.certificate.verify()
    (array([[2., 4.]]), array([0.]), True)
    """
    start = time.monotonic()
    check_question(net, domain, max_regions=max_regions, time_limit=time_limit)
    outputs = _checked_outputs(net, outputs)
    tol = check_number("tol", tol, 0)
    limit = math.inf if time_limit is None else time_limit
    question = Question(net, domain, outputs, tol, start + _SEARCH * limit, start + limit)
    most = math.inf if max_regions is None else max_regions
    for attempt in (_by_stability, _by_cancellation, by_triples):
        verdict = attempt(question)
        if verdict is not None:
            break
    else:
        verdict = by_regions(question, most)
    return replace(verdict, seconds=time.monotonic() - start)


def _checked_outputs(net, outputs):
    if outputs is None:
        return tuple(range(net.n_out))
    chosen = np.atleast_1d(np.asarray(outputs))
    if chosen.dtype.kind not in "iu" or chosen.ndim != 1 or not chosen.size:
        raise TypeError(f"outputs is {outputs!r}; wanted an int or a sequence of ints")
    if chosen.min() < 0 or chosen.max() >= net.n_out or len(set(chosen.tolist())) < len(chosen):
        raise ValueError(
            f"outputs is {outputs!r}; wanted different numbers from 0 to {net.n_out - 1}"
        )
    return tuple(chosen.tolist())


def _by_stability(question):
    asked, domain = question.asked, question.domain
    if isinstance(domain, Space):
        active = inactive = np.zeros(asked.n_neurons, bool)
    else:
        found = bounds(asked, domain)
        active, inactive = found.active, found.inactive
    question.stable = active, inactive
    if (active | inactive).all():
        forms = question.maps.of(active.tolist())
        return question.same_map("no neuron folds on the domain", forms, [_marks(active)])
    return None


def _marks(bits):
    return "".join("1" if bit else "0" for bit in bits)


def _by_cancellation(question):
    """Layer by layer, for as long as the sums are affine on the domain.

    Neurons of one hidden layer that fold and do not cancel are a proof that the network is not affine; with
    more layers they make it likely. A segment across their hyperplane shows it.
    """
    net, maps = question.asked, question.maps
    active, inactive = (bits.copy() for bits in question.stable)
    signs, marks = [], []
    for index, slopes in enumerate(net.slopes):
        units = np.flatnonzero(slopes != 1)
        bits = slice(len(signs), len(signs) + len(units))
        positive, is_open = active[bits], ~(active[bits] | inactive[bits])
        if is_open.sum() * net.weights[index].shape[1] * question.n_coordinates > _MOST_PRODUCTS:
            return None
        forms = maps.of(signs, index, units[is_open])
        above, below = _signs(question, forms)
        positive[is_open], crossing = above, ~(above | below)
        is_open[is_open] = crossing
        layer_marks = np.where(is_open, "*", np.where(positive, "1", "0"))
        folds = _same_folds(forms[crossing], units[is_open].tolist())
        if any(maps.bends(index, group, sizes).any() for _, group, sizes in folds):
            return _witness_across(question, [f for f, *g in folds if maps.bends(index, *g).any()])
        for _, group, sizes in folds:
            positive[np.searchsorted(units, group)] = [size > 0 for size in sizes]
        signs += positive.tolist()
        marks += layer_marks.tolist()
    folds = any("*" in mark for mark in marks)
    reason = "neurons that fold cancel" if folds else "no neuron folds on the domain"
    return question.same_map(reason, maps.of(signs), ["".join(marks)])


def _signs(question, forms):
    """Which forms are positive on the open domain, and which are not: none of both may fold there."""
    fixed = ~(forms[:, :-1] != 0).any(axis=1)
    above, below = (forms[:, -1] > 0).astype(bool), (forms[:, -1] <= 0).astype(bool)
    box = question.box()
    if box is None:
        return fixed & above, fixed & below
    low, high, scale = box
    up, down = np.maximum(forms[:, :-1], 0), np.minimum(forms[:, :-1], 0)
    constants = forms[:, -1] * scale
    least, most = up @ low + down @ high + constants, up @ high + down @ low + constants
    # a form that is not constant is 0 at most on the boundary of a domain where it is not negative
    return np.where(fixed, above, least >= 0).astype(bool), (most <= 0).astype(bool)


def _same_folds(forms, units):
    """(form h, units, sizes): units whose forms are size h."""
    groups = {}
    for j, row in zip(units, forms.tolist()):
        size = math.gcd(*row) * (1 if next(m for m in row if m) > 0 else -1)
        groups.setdefault(tuple(m // size for m in row), []).append((j, size))
    return [(form, *map(list, zip(*group))) for form, group in groups.items()]


def _witness_across(question, forms):
    """The verdict from a segment across the hyperplane of one of these forms."""
    rng = np.random.default_rng(0)
    for form in itertools.islice(itertools.cycle(forms), _N_SEGMENTS):
        ends = _farthest(question, form)
        if ends is None or question.late():
            break
        witness = witness_on(question, *(_off_corner(question, form, end, rng) for end in ends), n_halvings=3)
        if witness is not None:
            return question.not_affine(witness)
    return None


def _farthest(question, form):
    """Points on both sides of a form's hyperplane, farthest from it on a box; None for a polytope."""
    box = question.box()
    if box is not None:
        low, high, scale = box
        corners = [[h if m > 0 else a for m, a, h in zip(form, low, high)]]
        corners += [[a if m > 0 else h for m, a, h in zip(form, low, high)]]
        return [tuple(Fraction(x, scale) for x in corner) for corner in corners]
    if isinstance(question.domain, Polytope):
        return None
    square = sum(m * m for m in form[:-1])
    # scaled to a step of about 1, away from the foot of the origin on the hyperplane
    step = Fraction(1 << max(square.bit_length() // 2, 0), square)
    return [
        tuple(_dyadic(-Fraction(form[-1] * m, square) + sign * step * m) for m in form[:-1])
        for sign in (1, -1)
    ]


def _dyadic(ratio):
    return Fraction(rounded(ratio))


def _off_corner(question, form, end, rng):
    """A point near an end, inside the domain, on the same side."""
    target = [Fraction(x) for x in uniform(question, 1, rng)[0].tolist()]
    side = _value(form, end) > 0
    share = Fraction(1, 4)
    while True:
        point = tuple(x + share * (t - x) for x, t in zip(end, target))
        if _value(form, point) and (_value(form, point) > 0) == side:
            return point
        share /= 4


def _value(form, point):
    return sum((m * x for m, x in zip(form, point)), form[-1])
