"""The forms of neurons and outputs on one region, exactly, from its pattern alone."""

from fractions import Fraction

import numpy as np

__all__ = ["forms_on", "map_on", "seconds_of_forms"]

# Of a product of two large integers and its sum with others, on a slow machine.
_SECONDS_OF_PRODUCT = 2e-7


def forms_on(chain, bits):
    """Forms on the region with these bits, of the domain's coordinates and 1.

    Parameters
    ----------
    chain : cells.ExactChain
    bits : sequence of bool
        One a neuron.

    Returns
    -------
    neurons : list of ndarray of int, shape (dimension + 1,) each
        Times a positive factor of each layer's own.
    outputs : ndarray of int, shape (n_out, dimension + 1)
        Times ``2**-chain.exponent``.
    """
    below, neurons, n_done = chain.inputs, [], 0
    for layer in range(len(chain.layers) - 1):
        forms, folds = chain.forms(layer, below), chain.folds(layer)
        active = np.ones(len(forms), bool)
        active[folds] = bits[n_done : n_done + len(folds)]
        neurons += [forms[j] for j in folds]
        n_done += len(folds)
        below = chain.activations(layer, forms, active)
    return neurons, chain.forms(len(chain.layers) - 1, below)


def seconds_of_forms(chain):
    """About how long `forms_on` takes, at most: for those who have a deadline."""
    return _SECONDS_OF_PRODUCT * (chain.dimension + 1) * sum(w.size for w, *_ in chain.layers[1:])


def map_on(chain, bits):
    """The map in force, as a tuple of one tuple of `Fraction` an output: coefficients, then the constant.

    Examples
    --------
    >>> import foldline as fl
    >>> from foldline.cells import ExactChain
    >>> net = fl.Network([([[1.0], [-1.0]], None), ([[0.5, 1.0]], [0.25])])
    >>> map_on(ExactChain(net, fl.Box(-1, 1, n_in=1)), (False, True))
    ((Fraction(-1, 1), Fraction(1, 4)),)
    """
    _, outputs = forms_on(chain, bits)
    unit = Fraction(2) ** chain.exponent
    return tuple(tuple(value * unit for value in row) for row in outputs.tolist())
