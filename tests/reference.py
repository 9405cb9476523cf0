"""The judge: slow, obvious, exact, and without a line of the product.

A network is given as ``layers``, a list of (W, b), and ``slopes``, a list with one array for each
hidden layer. Every finite float is an integer times a power of two, and so are sums and products of
floats: an `Exact` array holds Python integers with one exponent, and nothing is ever rounded.
"""

from fractions import Fraction
from itertools import zip_longest

import numpy as np


class Exact:
    """The array of rationals ``integers * 2**exponent``."""

    def __init__(self, integers, exponent):
        self.integers, self.exponent = integers, exponent

    @classmethod
    def of(cls, values):
        """The exact values of floats (or of integers)."""
        values = np.asarray(values)
        ratios = [Fraction(value) for value in values.ravel().tolist()]
        denominator = max((ratio.denominator for ratio in ratios), default=1)
        integers = np.empty(len(ratios), object)
        integers[:] = [ratio.numerator * (denominator // ratio.denominator) for ratio in ratios]
        return cls(integers.reshape(values.shape), 1 - denominator.bit_length())

    def fractions(self):
        """The same as an array of `fractions.Fraction`."""
        scale = Fraction(2) ** self.exponent
        out = np.empty(self.integers.shape, object)
        for where, integer in np.ndenumerate(self.integers):
            out[where] = integer * scale
        return out

    def at(self, exponent):
        """The integers that stand for the same values with a lower exponent."""
        return self.integers * 2 ** (self.exponent - exponent)

    def sign(self):
        return (self.integers > 0).astype(int) - (self.integers < 0).astype(int)

    @property
    def positive(self):
        return (self.integers > 0).astype(bool)

    @property
    def T(self):
        return Exact(self.integers.T, self.exponent)

    def __getitem__(self, index):
        return Exact(self.integers[index], self.exponent)

    def __abs__(self):
        return Exact(abs(self.integers), self.exponent)

    def __neg__(self):
        return Exact(-self.integers, self.exponent)

    def __add__(self, other):
        exponent = min(self.exponent, other.exponent)
        return Exact(self.at(exponent) + other.at(exponent), exponent)

    def __sub__(self, other):
        return self + -other

    def __mul__(self, other):
        return Exact(self.integers * other.integers, self.exponent + other.exponent)

    def __matmul__(self, other):
        return Exact(self.integers @ other.integers, self.exponent + other.exponent)

    def __le__(self, other):
        return ((other - self).integers >= 0).astype(bool)


def choose(mask, a, b):
    """`a` where `mask` holds, `b` elsewhere."""
    exponent = min(a.exponent, b.exponent)
    return Exact(np.where(mask, a.at(exponent), b.at(exponent)), exponent)


ONE = Exact.of(1.0)


# Evaluation ---------------------------------------------------------------------------------------


def sums(layers, slopes, points):
    """What every unit of every layer adds up to: z (n_points, width), layer by layer, outputs last."""
    a, out = Exact.of(points), []
    for (w, b), slope in zip_longest(layers, slopes):
        z = a @ Exact.of(w).T + Exact.of(b)
        out.append(z)
        if slope is not None:
            a = choose(z.positive, z, Exact.of(slope) * z)
    return out


def outputs(layers, slopes, points):
    """f(points), (n_points, n_out)."""
    return sums(layers, slopes, points)[-1]


def neurons(slopes):
    """(layer, unit) of every unit that has a fold, in the order of their bits."""
    return [(i, j) for i, slope in enumerate(slopes) for j, s in enumerate(slope) if s != 1]


def preactivations(layers, slopes, points):
    """z of the neurons, (n_points, n_neurons)."""
    z = [layer.fractions() for layer in sums(layers, slopes, points)]
    columns = [z[i][:, j] for i, j in neurons(slopes)]
    return np.stack(columns, axis=1) if columns else np.empty((len(points), 0), object)


def bits(layers, slopes, points):
    """Activation pattern, bool (n_points, n_neurons): z > 0. Zero is inactive."""
    z = sums(layers, slopes, points)
    columns = [z[i][:, j].positive for i, j in neurons(slopes)]
    return np.stack(columns, axis=1) if columns else np.empty((len(points), 0), bool)


def pack(bits):
    """Bit i of a row goes to byte i // 8, as the one worth 2**(i % 8)."""
    n_points, n_neurons = bits.shape
    packed = np.zeros((n_points, (n_neurons + 7) // 8), np.uint8)
    for i in range(n_neurons):
        packed[bits[:, i], i // 8] += 1 << i % 8
    return packed


def patterns(layers, slopes, points):
    """`bits`, packed into uint8."""
    return pack(bits(layers, slopes, points))


# Maps ---------------------------------------------------------------------------------------------


def unit_maps(layers, slopes, point):
    """(M, c) for every layer: near `point`, on its pattern, the sums of the layer are M x + c."""
    out = []
    m, c = Exact.of(np.eye(len(point))), Exact.of(np.zeros(len(point)))
    for (w, b), slope in zip_longest(layers, slopes):
        m, c = Exact.of(w) @ m, Exact.of(w) @ c + Exact.of(b)
        out.append((m, c))
        if slope is not None:
            z = (m @ Exact.of(point)) + c
            factor = choose(z.positive, ONE, Exact.of(slope))
            m, c = factor[:, None] * m, factor * c
    return out


def local_affine(layers, slopes, point):
    """(A, b) of the region of `point`: f(x) = A x + b on it."""
    return unit_maps(layers, slopes, point)[-1]


def squared_radius(layers, slopes, point, norm):
    """The square of the distance from `point` to the nearest fold; None when there is no fold.

    The distance to the fold of neuron j is |z_j| / ||grad z_j|| in the dual norm. A neuron whose
    gradient is zero is constant on the region and has no fold there.
    """
    maps = unit_maps(layers, slopes, point)
    found = []
    for i, j in neurons(slopes):
        m, c = maps[i]
        gradient = m.fractions()[j]
        z = sum(g * Fraction(float(x)) for g, x in zip(gradient, point)) + c.fractions()[j]
        steepness = {
            "inf": sum(abs(g) for g in gradient) ** 2,
            "1": max(abs(g) for g in gradient) ** 2,
            "2": sum(g * g for g in gradient),
        }[norm]
        if steepness:
            found.append(z * z / steepness)
    return min(found, default=None)


# Rounding -----------------------------------------------------------------------------------------


def rounding_bounds(layers, slopes, points):
    """How far floating point may be from `sums`, layer by layer, in the dtype of the weights.

    A sum of n products and a bias, in any order, with or without FMA, passes each term through
    at most n + 1 roundings: its error is at most gamma (|W| |a| + |b|) with
    gamma = (n + 1) u / (1 - (n + 1) u) (Higham 2002, section 3.1), which is below (n + 2) u for all n
    here. The activations that are summed are off by up to e, so |a| + e takes the place of |a| and
    |W| e is added. Each product may lose half the smallest subnormal. A fold multiplies an error by
    at most max(1, |slope|) and its product is rounded once more. Valid unless something overflows.
    """
    dtype = layers[0][0].dtype
    unit = Exact.of(np.finfo(dtype).eps / 2)
    tiny = Exact.of(np.finfo(dtype).smallest_subnormal)
    size = abs(Exact.of(points))
    error = Exact.of(np.zeros(np.shape(points)))
    bounds = []
    for (w, b), slope, z in zip_longest(layers, slopes, sums(layers, slopes, points)):
        n = w.shape[1]
        assert (n + 1) * (n + 2) * np.finfo(dtype).eps < 2
        w, b = abs(Exact.of(w)), abs(Exact.of(b))
        gamma = Exact.of(n + 2) * unit
        bound = gamma * ((size + error) @ w.T + b) + error @ w.T + Exact.of(n) * tiny
        bounds.append(bound)
        if slope is not None:
            s = Exact.of(slope)
            steepest = Exact.of(np.maximum(1, abs(slope)))
            error = steepest * bound + abs(s) * unit * (abs(z) + bound) + tiny
            size = abs(choose(z.positive, z, s * z))
    return bounds


def local_affine_bounds(layers, slopes, point):
    """How far floating point may be from `local_affine` on the right pattern, without underflow.

    A and b are sums of products of weights and slopes. In whatever order matrices are multiplied,
    each such product passes through at most n + 1 roundings in a layer of n inputs, and one at each fold,
    so the error is at most gamma_N times the same sums with absolute values, N = sum of (n + 2).
    """
    unit = Exact.of(np.finfo(layers[0][0].dtype).eps / 2)
    roundings = sum(w.shape[1] + 2 for w, _ in layers)
    gamma = Exact.of(roundings + 1) * unit
    m, c = Exact.of(np.eye(len(point))), Exact.of(np.zeros(len(point)))
    for (w, b), slope, z in zip_longest(layers, slopes, sums(layers, slopes, [point])):
        w, b = abs(Exact.of(w)), abs(Exact.of(b))
        m, c = w @ m, w @ c + b
        if slope is not None:
            factor = choose(z.positive[0], ONE, abs(Exact.of(slope)))
            m, c = factor[:, None] * m, factor * c
    return gamma * m, gamma * c


def assert_within(computed, exact, bound, what="value"):
    """Every computed float is within its bound of its exact value."""
    assert computed.shape == exact.integers.shape, f"{what} has shape {computed.shape}"
    assert np.isfinite(computed).all(), f"a {what} is not finite"
    off = abs(Exact.of(computed) - exact)
    wrong = np.argwhere(~(off <= bound))
    if len(wrong):
        where = tuple(wrong[0].tolist())
        raise AssertionError(
            f"{len(wrong)} of {computed.size} {what}s are outside their bound; the first, at {where}: "
            f"got {computed[where]!r}, exact {float(exact.fractions()[where])!r}, off by "
            f"{float(off.fractions()[where]):.3e}, allowed {float(bound.fractions()[where]):.3e}"
        )
