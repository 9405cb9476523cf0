"""Sums and products in float64 with proved bounds of their rounding.

A sum of n products, in whatever order and fused or not, is off by at most gamma_n times the sum of
their magnitudes, gamma_n = n u / (1 - n u), u = 2^-53 (Higham, Accuracy and Stability of Numerical
Algorithms, 2nd edition, section 3.1), if nothing underflows. Where all products are multiples of one
power of two and their magnitudes add up to at most 2^53 of it, nothing is rounded at all.
"""

import math

import numpy as np

from .cells import quotient

__all__ = [
    "Factor",
    "add_up",
    "float_above",
    "lowest_bits",
    "multiply_sizes",
    "multiply_up",
    "size",
    "two_sum",
]

_UNIT = 2.0**-53
_SMALL = 2.0**-480
_LEAST = 2.0**-1000
_LOWEST_NORMAL = -1022
_NO_BIT = 4096


def size(values):
    """Magnitudes, the nonzero ones raised to 2^-480: no product of two of them underflows.

    What a product loses by underflow, at most 2^-1022, is less than u times the product of these.
    """
    return np.where(values != 0, np.maximum(np.abs(values), _SMALL), 0.0)


def multiply_sizes(a, b):
    """abs(a) @ abs(b), and 2^-1000 for each product in it that is not 0.

    What a product loses by underflow, at most 2^-1075, is less than u times that, and what comes of it in
    further products is less than u times what comes of that.
    """
    return np.abs(a) @ np.abs(b) + _LEAST * ((a != 0).astype(np.float64) @ (b != 0))


def lowest_bits(values):
    """Exponents e of the lowest set bits: values are odd multiples of 2^e. 0: huge; infinite: -huge."""
    finite = np.isfinite(values)
    mantissas, exponents = np.frexp(np.where(finite, values, 0.0))
    integers = np.abs(mantissas * 2.0**53).astype(np.int64)
    _, lowest = np.frexp((integers & -integers).astype(np.float64))
    return np.where(finite, np.where(integers != 0, exponents - 54 + lowest, _NO_BIT), -_NO_BIT)


class Factor:
    """What the right factor b of products a @ b adds to their rounding.

    Errors of the columns of a product are weighted with what they are multiplied with in turn, and
    added: its `reach`.

    Parameters
    ----------
    weighted : ndarray, shape (n,)
        abs(b) @ reach, from `size`.
    largest : ndarray, shape (n,)
        The largest magnitude in each row of b.
    lowest : int
        The least of the lowest bits of b.
    """

    def __init__(self, weighted, largest, lowest):
        self._weighted, self._largest, self._lowest = size(weighted), largest, lowest

    @classmethod
    def of(cls, b, reach):
        largest = np.abs(b).max(axis=1, initial=0.0)
        return cls(size(b) @ size(reach), largest, lowest_bits(b).min(initial=_NO_BIT))

    def error(self, a):
        """Upper bounds of ``abs(fl(a @ b) - a @ b) @ reach``, shape (n_rows,).

        Twice (n + 1) u in place of gamma_n pays for the denominator and for the rounding of this bound
        and of the sums it enters, for any n and any number of sums below 2^32.
        """
        bound = 2 * (a.shape[1] + 1) * _UNIT * (size(a) @ self._weighted)
        unit = lowest_bits(a).min(axis=1, initial=_NO_BIT) + self._lowest
        # This sum is below 2^exponent. Up to 2^53 units it is itself exact, and rounding is monotone.
        sums = np.abs(a) @ self._largest
        _, exponent = np.frexp(sums)
        exact = (unit >= _LOWEST_NORMAL) & (exponent <= unit + 53) & np.isfinite(sums)
        return np.where(exact, 0.0, bound)


def float_above(ratio):
    """The least float that is no less than a `Fraction`."""
    nearest = quotient(ratio.numerator, ratio.denominator)
    return nearest if nearest >= ratio else math.nextafter(nearest, math.inf)


def two_sum(a, b):
    """(fl(a + b), the exact rest), as Knuth's; the rest is NaN where something overflows."""
    total = a + b
    b_part = total - a
    return total, (a - (total - b_part)) + (b - b_part)


def add_up(a, b):
    """a + b rounded upward."""
    total, rest = two_sum(a, b)
    return np.where(np.isfinite(rest), np.where(rest > 0, np.nextafter(total, np.inf), total), np.inf)


def multiply_up(a, b):
    """An upper bound of a * b: exact where it needs no more than 53 bits, else the next float."""
    product = a * b
    unit = lowest_bits(a) + lowest_bits(b)
    _, exponent = np.frexp(product)
    fits = (unit >= _LOWEST_NORMAL) & (exponent <= unit + 53) & np.isfinite(product)
    return np.where((a == 0) | (b == 0) | fits, product, np.nextafter(product, np.inf))
