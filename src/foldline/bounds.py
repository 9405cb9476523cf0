"""Bounds of every neuron on a domain, and which neurons are stable there.

Forms are rows (m, c) that stand for m.a + c, with a the inputs of a layer; their rounding is added
up beside them, as one number a row, by which the true form may lie above anywhere on the domain.
"""

import numpy as np

from . import cells
from .checks import check_choice
from .domains import Polytope, check_question
from .frozen import Frozen
from .rounding import Factor, add_up, float_above, lowest_bits, multiply_up, size

__all__ = ["Bounds", "bounds"]

_METHODS = ("interval", "crown")
_LARGEST_POLYTOPE = 8


class Bounds(Frozen):
    """What `bounds` found: proved for the real-arithmetic function with the weights as given.

    Neurons are in the order of the bits of a pattern. Units that pass through (slope 1) have no bit
    and are not listed. Where sums overflow, bounds are infinite.

    Attributes
    ----------
    lower, upper : ndarray of float64, shape (n_neurons,)
        Of the preactivations.
    output_lower, output_upper : ndarray of float64, shape (n_out,)
        Of the outputs.
    active, inactive, unstable : ndarray of bool, shape (n_neurons,)
        ``lower > 0``: bit 1 on the whole domain; ``upper <= 0``: bit 0; neither is proved.
    method : str
        "interval" or "crown".
    """

    def __init__(self, lower, upper, output_lower, output_upper, method):
        super().__init__(
            lower=lower,
            upper=upper,
            output_lower=output_lower,
            output_upper=output_upper,
            active=lower > 0,
            inactive=upper <= 0,
            unstable=(lower <= 0) & (upper > 0),
            method=method,
        )

    def __repr__(self):
        kinds = ("active", "inactive", "unstable")
        counts = ", ".join(f"{np.count_nonzero(getattr(self, kind))} {kind}" for kind in kinds)
        return f"Bounds({counts}, {self.method})"


def bounds(net, domain, method="crown"):
    """Bound every neuron's preactivation, and the outputs, on a bounded domain.

    Parameters
    ----------
    net : Network
    domain : Box, Ball, Polytope, Plane or Segment
        Of a Polytope its bounding box is looked at, in at most 8 dimensions.
    method : {"crown", "interval"}
        Intervals go forward layer by layer, at the price of one evaluation. CROWN bounds each fold
        between two lines and takes these back to the inputs (Zhang et al., Efficient Neural Network
        Robustness Certification with General Activation Functions, 2018, theorem 3.2), for a neuron in
        layer l at the price of l evaluations; at least as tight as intervals.

    Returns
    -------
    Bounds
        Computed in float64, with all rounding bounded: sound without a tolerance. Where no
        sum needs more than 53 bits, as with small integers, nothing is lost to rounding.

    Raises
    ------
    ValueError
        Another method; a domain of another dimension, or unbounded; a polytope without interior
        or of more than 8 dimensions.

    Examples
    --------
    >>> import foldline as fl
    >>> net = fl.Network([([[1.0, 1.0], [1.0, -1.0]], [3.0, 0.0]), ([[1.0, -1.0]], None)])
    >>> b = fl.bounds(net, fl.Box(-1, 1, n_in=2))
    >>> b
    Bounds(1 active, 0 inactive, 1 unstable, crown)
    >>> b.lower, b.upper
    (array([ 1., -2.]), array([5., 2.]))
    >>> b.output_lower, b.output_upper
    (array([0.]), array([5.]))
    >>> fl.bounds(net, fl.Box(-1, 1, n_in=2), method="interval").output_lower
    array([-1.])
    """
    check_question(net, domain)
    check_choice("method", method, _METHODS)
    box = _bounding_box(domain)
    with np.errstate(all="ignore"):  # what overflows is unbounded
        affine = _affine_maps(net, domain, box)
        folds = [slopes.astype(np.float64) for slopes in net.slopes]
        found = _intervals(affine, folds, box)
        if method == "crown":
            found = _crown(affine, folds, box, found)
    hidden = (
        np.concatenate([side[slopes != 1] for side, slopes in zip(sides, folds)] or [np.empty(0)])
        for sides in zip(*found)
    )
    return Bounds(*hidden, *found[-1], method)


def _bounding_box(domain):
    """(low, high) of the domain's own coordinates."""
    bounds = domain._bounds()
    if bounds is not None:
        return bounds
    if not isinstance(domain, Polytope):
        raise ValueError(f"the domain is {domain!r}, which is unbounded; wanted a bounded one")
    if domain.dimension > _LARGEST_POLYTOPE:
        raise ValueError(
            f"the polytope has {domain.dimension} dimensions; its bounding box comes from its vertices, "
            f"in at most {_LARGEST_POLYTOPE}: wanted a Box around it"
        )
    from fractions import Fraction  # when used, so that the import stays light

    vertices = cells.root_cell(domain)[0].vertices
    sides = [[Fraction(v[k], v[-1]) for v in vertices] for k in range(domain.dimension)]
    return np.array([-float_above(-min(s)) for s in sides]), np.array([float_above(max(s)) for s in sides])


def _intervals(affine, folds, box):
    """(lower, upper) of the sums of each layer, from those of the layer before."""
    found = []
    for i, layer in enumerate(affine):
        found.append(_both_sides(_highest(*layer.forms(), box)))
        if i < len(folds):
            box = _folded(*found[-1], folds[i])
    return found


def _crown(affine, folds, box, known):
    """The same, each layer's sums taken back to the inputs; never wider than `known`.

    A bound is read off at the entry of every layer on the way back, and the best is kept.
    """
    found, boxes, passed = [], [box], []
    for i, layer in enumerate(affine):
        forms, slack = layer.forms()
        best = _highest(forms, slack, boxes[i])
        for j in reversed(range(i)):
            forms, slack = passed[j].back(forms, slack)
            best = np.minimum(best, _highest(forms, slack, boxes[j]))
        lower, upper = _both_sides(best)
        lower, upper = np.maximum(lower, known[i][0]), np.minimum(upper, known[i][1])
        found.append((lower, upper))
        if i < len(folds):
            relaxed = _Relaxed(lower, upper, folds[i])
            passed.append(_Passage(layer, relaxed, boxes[i], sums=(lower, upper)))
            boxes.append(_folded(lower, upper, folds[i]))
    return found


def _affine_maps(net, domain, box):
    """The layers; the first takes the domain's own coordinates."""
    weights = [w.astype(np.float64) for w in net.weights]
    layers = [_Affine(w, b.astype(np.float64), np.zeros(len(w))) for w, b in zip(weights, net.biases)]
    if domain._is_placed:
        layers[0] = _placed(layers[0], domain, box)
    return layers


def _placed(layer, domain, box):
    """The layer in the domain's own coordinates."""
    reach, forms = _reach(box), domain._forms()
    place = _homogeneous(forms[:, :-1], forms[:, -1])
    rows = layer.rows @ place
    doubt = Factor.of(place, reach).error(layer.rows)
    doubt += 2 * (size(layer.rows[:, :-1]) @ size(size(domain._forms_error()) @ size(reach)))
    return _Affine(rows[:, :-1], rows[:, -1], doubt)


class _Affine:
    """The sums of a layer: z = W a + b, off by at most `doubt` anywhere on the domain."""

    def __init__(self, weights, bias, doubt):
        self.rows = np.concatenate([weights, bias[:, None]], axis=1)
        self.doubt = doubt

    def forms(self):
        """Forms of z and of -z, and the slack of each."""
        return np.concatenate([self.rows, -self.rows]), np.concatenate([self.doubt, self.doubt])


class _Relaxed:
    """Lines that bound a layer's folds on lower <= z <= upper.

        below z + below offset <= fold(z) <= above z + above offset

    A fold that may go either way has its chord on one side, above where it is convex (slope < 1),
    and on the other side a line through 0, 1 or the fold's slope steep, whichever is nearer. Any
    steepness will do for the chord: the offset is what the ends of the interval then need, rounded
    away from the fold.
    """

    def __init__(self, lower, upper, slopes):
        straight = np.where(lower >= 0, 1.0, slopes)
        crossing = (lower < 0) & (upper > 0) & (slopes != 1)
        chord = np.where(crossing, (upper - slopes * lower) / (upper - lower), straight)
        nearer = np.where(crossing & (upper > -lower), 1.0, straight)
        side = np.where(slopes < 1, 1.0, -1.0)
        at_upper = multiply_up(add_up(side, -side * chord), upper)  # side (fold - chord z) at z = upper
        at_lower = multiply_up(add_up(side * chord, -side * slopes), -lower)
        offset = np.where(crossing, np.maximum(np.maximum(at_upper, at_lower), 0.0), 0.0)
        self._above = np.where(side > 0, chord, nearer)
        self._below = np.where(side > 0, nearer, chord)
        self._offsets = np.concatenate(
            [np.where(side > 0, offset, 0.0), np.where(side > 0, 0.0, -offset), [1.0]]
        )

    def above_forms(self, forms):
        """Forms of z that are nowhere less than those of fold(z), but for rounding."""
        split = _split(forms)
        up, down = np.split(split[:, :-1], 2, axis=1)
        coefficients = up * self._above + down * self._below
        return np.concatenate([coefficients, (split @ self._offsets)[:, None]], axis=1)

    def factor(self, reach):
        """The rounding of `above_forms`: in each row a product for each unit, and the sum of offsets."""
        steepest = np.maximum(np.abs(self._above), np.abs(self._below))
        offset = np.abs(self._offsets[:-1]).reshape(2, -1).max(axis=0)
        weighted = size(steepest) * size(reach[:-1]) + size(offset)
        largest = np.maximum(steepest, offset)
        lowest = min(lowest_bits(part).min() for part in (self._above, self._below, self._offsets))
        return Factor(np.append(weighted, 1.0), np.append(largest, 1.0), lowest)


class _Passage:
    """A layer and its folds, taken from the activations above back to the inputs below."""

    def __init__(self, layer, relaxed, box, sums):
        self._relaxed, self._doubt = relaxed, size(layer.doubt)
        self._affine = _homogeneous(layer.rows[:, :-1], layer.rows[:, -1])
        self._affine_error = Factor.of(self._affine, _reach(box))
        self._fold_error = relaxed.factor(_reach(sums))

    def back(self, forms, slack):
        """Forms of the inputs that are nowhere less, with their slack added up."""
        of_sums = self._relaxed.above_forms(forms)
        slack = slack + self._fold_error.error(forms)
        slack = slack + self._affine_error.error(of_sums) + size(of_sums[:, :-1]) @ self._doubt
        return of_sums @ self._affine, slack


def _highest(forms, slack, box):
    """The most that forms reach on a box, their slack and all rounding included."""
    low, high = box
    corner = np.concatenate([high, low, [1.0]])
    split = _split(forms)
    value = split @ corner
    error = slack + Factor.of(corner[:, None], np.ones(1)).error(split)
    value = np.where(error == 0, value, np.nextafter(value + error, np.inf))
    return np.where(np.isfinite(value), value, np.inf)


def _folded(lower, upper, slopes):
    """The interval of activations, from that of the sums."""
    ends = [np.where(z > 0, z, multiply_up(slopes, z)) for z in (lower, upper)]
    negated = [np.where(z > 0, -z, multiply_up(-slopes, z)) for z in (lower, upper)]
    if_between = np.where((lower < 0) & (upper > 0), 0.0, -np.inf)
    return -np.maximum(np.maximum(*negated), if_between), np.maximum(np.maximum(*ends), if_between)


def _both_sides(highest):
    """(lower, upper) from the upper bounds of z and of -z."""
    upper, negated_lower = np.split(highest, 2)
    return 0.0 - negated_lower, upper  # no -0


def _split(forms):
    """Positive parts, negative parts, constant."""
    coefficients = forms[:, :-1]
    return np.concatenate(
        [np.maximum(coefficients, 0.0), np.minimum(coefficients, 0.0), forms[:, -1:]], axis=1
    )


def _homogeneous(matrix, origin):
    """The matrix that takes [u, 1] to [matrix u + origin, 1]."""
    last = np.zeros((1, matrix.shape[1] + 1))
    last[0, -1] = 1.0
    return np.concatenate([np.concatenate([matrix, origin[:, None]], axis=1), last])


def _reach(box):
    """Magnitudes on a box, and of the 1 beside them."""
    return np.append(np.maximum(np.abs(box[0]), np.abs(box[1])), 1.0)
