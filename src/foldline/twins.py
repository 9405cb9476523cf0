"""Neurons that share a fold: in one layer, with weights and a bias that are a multiple of another's.

Everywhere such twins fold on the same hyperplane, and the bit of one tells that of the other: the same where
the factor is positive, the other where it is negative, but for forms that are 0 on a whole region. Typical
are relu(z) and relu(-z), of which |z| is made, or z itself.
"""

from fractions import Fraction
from functools import lru_cache
from math import gcd

import numpy as np

from .cells import integers, quotient

__all__ = ["flips_of", "shares", "twins"]

# Multiples agree to some roundings, once their first entries are 1.
_NEAR = 1e-9


@lru_cache(maxsize=16)
def twins(net):
    """For every unit of the hidden layers, in order, 1 + the first unit of its layer that it is a twin of,
    negative where the factor is; or 0. ndarray of int64."""
    layers = zip(net.weights, net.biases, net.slopes)
    found = [_twins_of_layer(np.column_stack([w, b]).astype(np.float64), slopes) for w, b, slopes in layers]
    return np.concatenate([np.empty(0, np.int64), *found])


def _twins_of_layer(rows, slopes):
    found, leaders = np.zeros(len(rows), np.int64), {}
    for j in _candidates(rows, np.flatnonzero((slopes != 1) & rows.any(axis=1))).tolist():
        multiples, _ = integers(rows[j])
        factor = gcd(*multiples) * (1 if next(filter(None, multiples)) > 0 else -1)
        leader, first_factor = leaders.setdefault(tuple(m // factor for m in multiples), (j, factor))
        if leader != j:
            found[j] = (1 + leader) * (1 if factor * first_factor > 0 else -1)
    return found


def _candidates(rows, units):
    """Of some units those that are near a multiple of another, in order."""
    if len(units) < 2:
        return units[:0]
    rows = rows[units]
    with np.errstate(over="ignore", invalid="ignore"):  # then it is nobody's twin
        rows = rows / np.take_along_axis(rows, (rows != 0).argmax(axis=1)[:, None], axis=1)
        shown = rows @ np.random.default_rng(0).uniform(0.5, 1, rows.shape[1])
        order = np.argsort(shown)
        near = np.diff(shown[order]) <= _NEAR * (1 + np.abs(shown[order[1:]]))
    return np.sort(units[order[np.append(near, False) | np.append(False, near)]])


def _groups(net):
    """Yield (layer, units) of all twins, the first one first."""
    of_layers = np.split(twins(net), np.cumsum(net.widths)[:-1])
    for layer, of in enumerate(of_layers):
        for first in np.unique(abs(of[of != 0]) - 1).tolist():
            yield layer, [first, *np.flatnonzero(abs(of) == 1 + first).tolist()]


@lru_cache(maxsize=16)
def shares(net):
    """For every unit of the hidden layers, in order, how much more it passes on above its fold than below, in
    units of the first of its twins' z: ``(1 - slope) |factor|``; 0 for a first one that has twins where this,
    times the weights of the next layer, adds up to 0 for all of them: then nobody sees the fold. ndarray of
    float64, rounded once."""
    found = [1 - slopes.astype(np.float64) for slopes in net.slopes]
    for layer, units in _groups(net):
        own = _shares_of(net, layer, units)
        found[layer][units] = [quotient(s.numerator, s.denominator) for s in own]
        weights = net.weights[layer + 1][:, units].tolist()
        if not any(sum(s * Fraction(w) for s, w in zip(own, row)) for row in weights):
            found[layer][units[0]] = 0
    return np.concatenate([np.empty(0), *found])


def _shares_of(net, layer, units):
    rows = np.column_stack([net.weights[layer], net.biases[layer]])[units].astype(np.float64)
    column = rows[:, rows[0].nonzero()[0][0]].tolist()
    slopes = net.slopes[layer][units].tolist()
    return [(1 - Fraction(s)) * abs(Fraction(z) / Fraction(column[0])) for s, z in zip(slopes, column)]


def flips_of(net):
    """For each neuron, packed, those that flip where it does, if nothing else is degenerate: it and its
    twins. ndarray of uint8, shape (n_neurons, ceil(n_neurons / 8))."""
    bits = np.arange(net.n_neurons)
    flips = np.zeros((net.n_neurons, -(-net.n_neurons // 8)), np.uint8)
    flips[bits, bits // 8] = 1 << bits % 8
    bit_of = np.cumsum(np.concatenate([np.empty(0), *net.slopes]) != 1) - 1
    begins = np.cumsum([0, *net.widths])
    for layer, units in _groups(net):
        group = bit_of[begins[layer] + units]
        flips[group] = np.bitwise_or.reduce(flips[group], axis=0)
    return flips
