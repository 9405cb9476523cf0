"""Bounds of derivatives on a whole domain, without looking at its regions."""

import numpy as np

from .bounds import bounds
from .rounding import multiply_sizes

__all__ = ["jacobian_bounds", "sensitivity_bounds"]


def jacobian_bounds(net, domain):
    """(lower, upper) of every entry of d output / d input, each (n_out, n_in), wherever it exists."""
    low = high = net.weights[0].astype(np.float64)
    for w, (gate_low, gate_high) in zip(net.weights[1:], _gates(net, domain)):
        low, high = _gated(low, high, gate_low[:, None], gate_high[:, None])
        high, low = _above(w, low, high), -_above(-w, low, high)
    return low, high


def sensitivity_bounds(net, domain):
    """(lower, upper) of d output / d activation, each (n_out, width), for each hidden layer in order."""
    found, low = [], net.weights[-1].astype(np.float64)
    high = low
    for w, (gate_low, gate_high) in zip(net.weights[-2::-1], _gates(net, domain)[::-1]):
        found.append((low, high))
        low, high = _gated(low, high, gate_low, gate_high)
        high, low = _above(w.T, low.T, high.T).T, -_above(-w.T, low.T, high.T).T
    return found[::-1]


def _gates(net, domain):
    """The least and the largest slope that each unit of each hidden layer can have."""
    found = bounds(net, domain)
    gates, n_done = [], 0
    for slopes in net.slopes:
        slopes = slopes.astype(np.float64)
        folds = np.flatnonzero(slopes != 1)
        rows = slice(n_done, n_done + len(folds))
        n_done += len(folds)
        inactive, active = np.ones(len(slopes)), np.ones(len(slopes))
        inactive[folds] = np.where(found.active[rows], 1.0, slopes[folds])
        active[folds] = np.where(found.inactive[rows], slopes[folds], 1.0)
        gates.append((np.minimum(inactive, active), np.maximum(inactive, active)))
    return gates


def _gated(low, high, gate_low, gate_high):
    """Products of intervals, rounded outward."""
    ends = [a * g for a in (low, high) for g in (gate_low, gate_high)]
    exact = np.isin(gate_low, (-1.0, 0.0, 1.0)) & np.isin(gate_high, (-1.0, 0.0, 1.0))
    low, high = np.minimum.reduce(ends), np.maximum.reduce(ends)
    return (
        np.where(exact, low, np.nextafter(low, -np.inf)),
        np.where(exact, high, np.nextafter(high, np.inf)),
    )


def _above(w, low, high):
    """An upper bound of w @ x for low <= x <= high: what is positive and what is negative are each off by
    gamma_n at most, so a bound of 0 stays one where no term is positive. No positive term vanishes, and what
    of negative ones underflows is less than the smallest normal number."""
    w = w.astype(np.float64)
    up, down = np.maximum(w, 0.0), np.minimum(w, 0.0)
    gamma = 2 * (2 * w.shape[1] + 4) * np.finfo(float).eps
    positive = multiply_sizes(up, np.maximum(high, 0.0)) + multiply_sizes(down, np.minimum(low, 0.0))
    negative = up @ np.minimum(high, 0.0) + down @ np.maximum(low, 0.0)
    return positive * (1 + gamma) + negative * (1 - gamma) + np.finfo(float).tiny * (negative < 0)
