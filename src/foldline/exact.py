"""Rational arithmetic: what floating point leaves open is decided here."""

from fractions import Fraction

import numpy as np

from . import cells

__all__ = ["ExactMaps", "exact_outputs", "exact_patterns", "input_of", "integers", "rounded"]


def exact_patterns(net, points):
    """Activation patterns of finite points in exact arithmetic, packed as `Network.patterns` has them.

    Floats are integers times a power of two, so every sum is a rational that Python's `Fraction`
    holds exactly. Slow: for the few points that rounding bounds cannot decide.
    """
    layers = [
        ([[Fraction(float(w)) for w in row] for row in weights], [Fraction(float(b)) for b in biases])
        for weights, biases in zip(net.weights[:-1], net.biases[:-1])
    ]
    slopes = [[Fraction(float(s)) for s in layer] for layer in net.slopes]
    bits = np.array([_signs(layers, slopes, point) for point in points], dtype=bool)
    return np.packbits(bits.reshape(len(points), net.n_neurons), axis=1, bitorder="little")


def _signs(layers, slopes, point):
    a = [Fraction(float(x)) for x in point]
    bits = []
    for (weights, biases), layer_slopes in zip(layers, slopes):
        z = [sum((w * x for w, x in zip(row, a) if w and x), b) for row, b in zip(weights, biases)]
        bits += [value > 0 for value, slope in zip(z, layer_slopes) if slope != 1]
        a = [value if value > 0 else slope * value for value, slope in zip(z, layer_slopes)]
    return bits


class ExactMaps:
    """The maps of a network's patterns, in integers.

    With a domain, maps of its own coordinates. All maps have one scale, so they are
    equal where their integers are.

    >>> import foldline as fl
    >>> maps = ExactMaps(fl.Network([([[0.5], [-0.5]], None), ([[1.0, -1.0]], [3.0])]))
    >>> maps.of((True, False)).tolist() == maps.of((False, True)).tolist()
    True
    >>> maps.fractions(maps.of((True, False)))
    [[Fraction(1, 2), Fraction(3, 1)]]
    """

    def __init__(self, net, domain=None):
        self._layers, self.scale = [], 1
        for w, b, slopes in zip(net.weights, net.biases, (*net.slopes, None)):
            both, own = integers(np.concatenate([w, b[:, None]], axis=1))
            fold, one = (None, 1) if slopes is None else integers(slopes)
            self._layers.append((both[:, :-1], both[:, -1], own, fold, one))
            self.scale *= own * one
        self._bits_of_layers = [np.flatnonzero(s != 1) for s in net.slopes]
        self._inputs, exponent = (None, 0) if domain is None else domain._exact_forms()
        self._input_scale = 2**-exponent
        self.scale *= self._input_scale

    def of(self, bits, index=-1, units=slice(None)):
        """The map of a pattern, given as bools: integers, (n, dimension + 1), the last column b.

        Of the outputs, or of what units of layer `index` add up to; then the bits of the layers below do.
        """
        index %= len(self._layers)
        w, b, *_ = self._layers[index]
        rows, constants = w[units], b[units]
        end = sum(map(len, self._bits_of_layers[:index]))
        for (w, b, own, slopes, one), folding in zip(
            self._layers[:index][::-1], self._bits_of_layers[:index][::-1]
        ):
            active = np.ones(len(b), bool)
            active[folding] = bits[end - len(folding) : end]
            end -= len(folding)
            rows = rows * np.where(active, one, slopes)
            constants = constants * (one * own) + rows @ b
            rows = rows @ w
        if self._inputs is None:
            return np.concatenate([rows, constants[:, None]], axis=1)
        forms = rows @ self._inputs
        forms[:, -1] += constants * self._input_scale
        return forms

    def bends(self, index, units, sizes):
        """How the slopes of the sums above change where units of a layer, size h each, change sign."""
        above, (*_, slopes, one) = self._layers[index + 1][0], self._layers[index]
        return sum(above[:, j] * (one - slopes[j]) * abs(size) for j, size in zip(units, sizes))

    def fractions(self, forms):
        """A map in integers as nested lists of Fractions."""
        return [[Fraction(m, self.scale) for m in row] for row in forms.tolist()]


def integers(values):
    """(integers, scale) of floats: values are integers / scale, a power of two."""
    found, exponent = cells.integers(values)
    return found, 2**-exponent


def exact_outputs(net, point):
    """f(point) as a list of `Fraction`, for a sequence of `Fraction`."""
    a = list(point)
    for weights, biases, slopes in zip(net.weights, net.biases, [*net.slopes, None]):
        z = [
            sum((Fraction(w) * x for w, x in zip(row, a) if w and x), Fraction(bias))
            for row, bias in zip(weights.tolist(), biases.tolist())
        ]
        if slopes is None:
            return z
        a = [value if value > 0 else Fraction(s) * value for value, s in zip(z, slopes.tolist())]


def rounded(value):
    """The float nearest to a `Fraction`; infinite beyond their range."""
    return cells.quotient(value.numerator, value.denominator)


def input_of(domain, u):
    """The point of the input space that has the coordinates `u`, or None outside of the closed domain."""
    u = [Fraction(value) for value in u]
    bounds = domain._bounds()
    if bounds is not None:
        low, high = ([Fraction(value) for value in side.tolist()] for side in bounds)
        if not all(a <= value <= b for a, value, b in zip(low, u, high)):
            return None
    for row, b in zip(*(side.tolist() for side in domain._half_spaces())):
        if sum(Fraction(m) * value for m, value in zip(row, u)) > Fraction(b):
            return None
    if not domain._is_placed:
        return u
    forms, exponent = domain._exact_forms()
    unit = Fraction(2) ** exponent
    return [unit * sum((m * value for m, value in zip(row, u) if m), row[-1]) for row in forms.tolist()]
