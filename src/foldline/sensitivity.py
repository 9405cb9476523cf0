"""How the outputs go with each neuron's activation, region by region."""

import numpy as np

from .rounding import size

__all__ = ["sensitivities"]


def sensitivities(net, bits):
    """``(1 - slope) d output / d activation`` of every neuron, and its error.

    This is what the gradient jumps by across the neuron's fold, in units of the gradient of its sum.

    Parameters
    ----------
    net : Network
    bits : ndarray of bool, shape (n_regions, n_neurons)

    Returns
    -------
    values : ndarray of float64, shape (n_regions, n_out, n_neurons)
    errors : ndarray of float64, shape (n_out, n_neurons)
        What they are off by at most: as in `maps.maps_of`.
    """
    w = net.weights[-1].astype(np.float64)
    found, errors, first, n = [], [], bits.shape[1], 2
    rows, sizes = np.broadcast_to(w, (len(bits), *w.shape)), size(w)
    for layer in reversed(range(len(net.slopes))):
        slopes = net.slopes[layer].astype(np.float64)
        folds = np.flatnonzero(slopes != 1)
        first -= len(folds)
        found.append(rows[:, :, folds] * (1 - slopes[folds]))
        errors.append(sizes[:, folds] * abs(1 - slopes[folds]) * n)
        gates = np.tile(slopes, (len(bits), 1))
        gates[:, folds] = np.where(bits[:, first : first + len(folds)], 1.0, slopes[folds])
        w = net.weights[layer].astype(np.float64)
        rows = (rows * gates[:, None, :]) @ w
        sizes = size(size(sizes * np.maximum(1, abs(slopes))) @ size(w))
        n += w.shape[0] + 4
    values = np.concatenate(found[::-1], axis=2) if found else np.empty((len(bits), net.n_out, 0))
    errors = np.concatenate(errors[::-1], axis=1) if errors else np.empty((net.n_out, 0))
    return values, errors * np.finfo(float).eps
