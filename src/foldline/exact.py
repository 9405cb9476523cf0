"""Rational arithmetic: what floating point leaves open is decided here."""

from fractions import Fraction

import numpy as np

__all__ = ["exact_outputs", "exact_patterns", "input_of"]


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
    placement = domain._placement()
    if placement is None:
        return u
    matrix, origin = placement
    if isinstance(matrix, tuple):
        columns = [[Fraction(a) - Fraction(b) for a, b in zip(*(end.tolist() for end in matrix))]]
    else:
        columns = [[Fraction(m) for m in column] for column in matrix.T.tolist()]
    return [
        Fraction(p) + sum(column[k] * value for column, value in zip(columns, u))
        for k, p in enumerate(origin.tolist())
    ]
