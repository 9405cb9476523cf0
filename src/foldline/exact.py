"""Rational arithmetic: what floating point leaves open is decided here."""

from fractions import Fraction

import numpy as np

__all__ = ["exact_patterns"]


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
