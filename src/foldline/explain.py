"""A network written out as the formulas it consists of."""

import math
import time

import numpy as np

from . import cells
from . import sample as samples
from .checks import check_int, check_names
from .domains import Box, Space, check_question
from .evaluation import pattern_items
from .explanation import Explanation, HalfSpace, Piece
from .frames import Frame
from .linear_pieces import Describer, linear_regions
from .regions import regions
from .walk import MOST_DIMENSIONS_OF_VERTICES

__all__ = ["explain"]

# Nobody reads more: then the largest are found by sampling.
_MOST_REGIONS = 20_000
_N_SAMPLES, _SAMPLES_AT_ONCE = 1 << 18, 1 << 12
# Of a time limit: when the search for all pieces ends, and when the sample that ranks them instead does.
_SHARE_OF_SEARCH, _SHARE_OF_SAMPLE = 0.6, 0.7


def explain(net, domain, names=None, *, most=10, digits=3, max_regions=None, time_limit=None):
    """Write a network out as the formulas it consists of.

    Parameters
    ----------
    net : Network
    domain : Box, Ball, Polytope, Plane, Segment or Space
        On a slice along the axes formulas are in the inputs that vary, on any other in its own coordinates,
        s and t. On Space only networks without biases in their hidden layers are explained: their pieces
        are cones.
    names : sequence of str, optional
        Of the inputs; x1, x2, ... if not given.
    most : int
        How many pieces are listed, the largest ones; those of a Segment in the order they lie in.
    digits : int
        To which numbers are rounded in the text that need more than 6.
    max_regions : int, optional
        Activation regions to find at most, 20,000 if not given.
    time_limit : float, optional
        Seconds for all; what there is then is returned: a smaller sample, fewer pieces, at least one.

    Returns
    -------
    Explanation
        Neighbouring activation regions with one map, compared exactly, are one piece. Beyond a limit, and in
        more than 6 dimensions, the largest activation regions among 262,144 random points, or fewer where
        time is short, are listed instead, with shares that are estimates. Formulas and half-spaces are exact
        in either case; in more than 64 dimensions half-spaces that others imply are listed too.

    Raises
    ------
    ValueError
        As `regions`; names that are not as many as inputs, or not different; on Space, biases.

    Examples
    --------
    >>> import foldline as fl
    >>> net = fl.Network([([[1.0, 2.0], [3.0, -1.0]], None), ([[2.0, -1.0]], None)])
    >>> print(fl.explain(net, fl.Space(2)))
    4 linear pieces on all of space:
    <BLANKLINE>
    y = 0            where  x1 + 2 x2 < 0 and 3 x1 - x2 < 0
    y = -3 x1 + x2   where  x1 + 2 x2 < 0 and 3 x1 - x2 > 0
    y = 2 x1 + 4 x2  where  x1 + 2 x2 > 0 and 3 x1 - x2 < 0
    y = -x1 + 5 x2   where  x1 + 2 x2 > 0 and 3 x1 - x2 > 0

    A network that is linear after all:

    >>> net = fl.Network([([[1.0], [-1.0]], None), ([[1.0, -1.0]], None)])
    >>> print(fl.explain(net, fl.Box(-1, 1, n_in=1), names=["dose"]))
    One formula on -1 < dose < 1:
    <BLANKLINE>
    y = dose  everywhere
    """
    begin = time.monotonic()
    check_question(net, domain, max_regions=max_regions, time_limit=time_limit)
    limit = math.inf if time_limit is None else time_limit
    most, digits = check_int("most", most, 1), check_int("digits", digits, 1)
    frame = Frame(domain, check_names(names, net.n_in))
    is_space = isinstance(domain, Space)
    if is_space:
        domain = _box_of_cones(net, domain)
    chain, sample = cells.ExactChain(net, domain), samples.uniform(domain, _N_SAMPLES)
    found = groups = None
    if domain.dimension <= MOST_DIMENSIONS_OF_VERTICES:
        search = _SHARE_OF_SEARCH * limit
        # describing what was found takes a share too
        seconds = None if time_limit is None else 0.8 * search
        found = regions(net, domain, max_regions=max_regions or _MOST_REGIONS, time_limit=seconds)
        if found.status == "complete":
            groups = linear_regions(found, chain, begin + search)
    if groups is not None:
        patterns, neighbours = found.patterns, found.neighbours
        points = _some_points(sample, found)
        volumes = np.array([found.volumes[rows].sum() for rows in groups])
        # By size in six digits, so that rounding does not order what is equally large.
        order = range(len(groups)) if is_space else np.lexsort([-_six_digits(volumes)])
        chosen = list(order)[:most]
        if domain.dimension == 1:  # from left to right
            chosen.sort(key=lambda i: found.interior_points[groups[i][0], 0])
        listed = [groups[i] for i in chosen]
        has_shares = not is_space and 0 < volumes.sum() < math.inf
        shares = [volumes[i] / volumes.sum() if has_shares else math.nan for i in chosen]
        n_pieces, n_regions, n_samples = len(groups), len(found), 0
    else:
        if is_space:
            raise ValueError(
                f"the cones of {net!r} are too many to be listed, and on all of space none is the largest; "
                "wanted a Box, or a larger max_regions"
            )
        patterns, counts, points = _patterns_by_size(net, sample, begin + _SHARE_OF_SAMPLE * limit)
        n_regions, n_samples, n_pieces = len(patterns), int(counts.sum()), None
        patterns, neighbours = patterns[:most], np.empty((0, 2), np.int64)
        listed, shares = np.arange(len(patterns))[:, None], counts[:most] / n_samples
    describer = Describer(net, domain, chain, patterns, neighbours)
    pieces, longest = [], 0.0
    for rows, share in zip(listed, shares):
        now = time.monotonic()
        if pieces and now + longest > begin + limit:
            break
        parts = describer.parts(rows.tolist())
        parts = [tuple(HalfSpace(*frame.form(form)) for form in part) for part in parts]
        maps = []
        for row in describer.map(rows[0]):
            coefficients, constant = frame.form(row)
            maps.append((*coefficients, constant))
        pieces.append(Piece(tuple(maps), float(share), len(rows), tuple(parts)))
        longest = max(longest, time.monotonic() - now)
    where, points = frame.where(digits), frame.points(points)
    return Explanation(tuple(pieces), n_pieces, n_regions, n_samples, frame.names, where, digits, points)


def _box_of_cones(net, space):
    """A box that meets every cone of a network without biases in the way all of space does."""
    for layer, bias in enumerate(net.biases[:-1]):
        if bias.any():
            raise ValueError(
                f"layer {layer + 1} has biases, so not all pieces are cones, and on all of space none is the "
                f"largest; wanted a bounded domain, such as fl.Box(-1, 1, n_in={space.n_in})"
            )
    return Box(-1, 1, n_in=space.n_in)


def _some_points(sample, found):
    """Points of the domain, in its own coordinates: random, or of its regions where it is too thin."""
    try:
        return sample._uniform(np.random.default_rng(0), _SAMPLES_AT_ONCE)
    except ValueError:
        return found.interior_points


def _patterns_by_size(net, sample, end):
    """The patterns of the points of a sample, as far as it is looked at by then, and how many have each, the
    most frequent first; some of the points, in the domain's own coordinates."""
    rng, packed, some = np.random.default_rng(0), [], None
    while len(packed) * _SAMPLES_AT_ONCE < len(sample) and (not packed or time.monotonic() < end):
        u = sample._uniform(rng, _SAMPLES_AT_ONCE)
        some = u if some is None else some
        packed.append(net.patterns(sample.domain._inputs(u).astype(net.dtype)))
    packed = np.concatenate(packed)
    _, first, counts = np.unique(pattern_items(packed), return_index=True, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return packed[first[order]], counts[order], some


def _six_digits(values):
    return np.array([float(f"{value:.5e}") for value in values])
