"""Numbers, linear formulas and half-spaces as a person writes them, in text and in LaTeX.

Values are exact rationals or floats. A float that six digits stand for is written with these, as is whatever
six digits hold; anything else is rounded to `digits`, and keeps its zeros: 2 is two, 2.00 is about two.
"""

import re
from decimal import Decimal
from fractions import Fraction
from math import gcd, isfinite, lcm

__all__ = ["EXACT_DIGITS", "Writer", "counted", "input_names", "output_names", "symbol"]

# Digits in which a number may be written exactly, and the largest integer coefficient of a half-space.
EXACT_DIGITS = 6
_LARGEST_INTEGER = 999


def counted(n, noun):
    """``1 region``, ``1,492 regions``."""
    return f"{n:,} {noun}{'s' * (n != 1)}"


def input_names(n_in):
    """``x1, x2, ...``"""
    return tuple(f"x{k + 1}" for k in range(n_in))


def output_names(n_out):
    """``y``, or ``y1, y2, ...`` where there are several."""
    return ("y",) if n_out == 1 else tuple(f"y{k + 1}" for k in range(n_out))


class Writer:
    """Writes in the coordinates `names`; `rounded` tells whether any number so far had to be rounded."""

    def __init__(self, names, digits=3, latex=False):
        self.names, self.digits, self.latex, self.rounded = names, digits, latex, False
        if latex:
            self.names = [symbol(name) for name in names]

    def number(self, value):
        """A number, with its sign."""
        if isinstance(value, float) and not isfinite(value):
            return str(value)
        value = Fraction(value)
        text = _exact(value)
        if text is None:
            self.rounded = True
            text = _rounded(value, self.digits)
        if "e" in text and self.latex:
            mantissa, exponent = text.split("e")
            return rf"{mantissa} \cdot 10^{{{int(exponent)}}}"
        return text

    def formula(self, coefficients, constant=0):
        """``2 x1 - x2 + 0.5``; ``0`` where nothing is left."""
        terms = [(c, name) for c, name in zip(coefficients, self.names) if c]
        if constant or not terms:
            terms.append((constant, ""))
        return "".join(self._term(c, name, i == 0) for i, (c, name) in enumerate(terms))

    def _term(self, c, name, is_first):
        sign = ("-" if c < 0 else "") if is_first else (" - " if c < 0 else " + ")
        size = "" if name and abs(c) == 1 else self.number(abs(c))
        gap = r"\," if self.latex else " "
        return f"{sign}{size}{gap if size and name else ''}{name}"

    def half_spaces(self, forms):
        """A list of conditions for ``coefficients.x + constant > 0`` of each form; parallel ones make one."""
        bands = {}
        for *coefficients, constant in forms:
            direction, factor = _scaled(coefficients)
            bound = -Fraction(constant) / factor
            bands.setdefault(direction, {})[">" if factor > 0 else "<"] = bound
        return [self._band(direction, bounds) for direction, bounds in bands.items()]

    def _band(self, direction, bounds):
        common = lcm(*(bound.denominator for bound in bounds.values()))
        whole = all(c.denominator == 1 for c in direction) and sum(map(bool, direction)) > 1
        if whole and common * max(map(abs, direction)) <= _LARGEST_INTEGER:
            direction = [c * common for c in direction]
            bounds = {sense: bound * common for sense, bound in bounds.items()}
        what = self.formula(direction)
        if len(bounds) == 2:
            return f"{self.number(bounds['>'])} < {what} < {self.number(bounds['<'])}"
        ((sense, bound),) = bounds.items()
        return f"{what} {sense} {self.number(bound)}"


def symbol(name):
    r"""A name in LaTeX: ``x1`` as ``x_{1}``, words upright.

    >>> symbol("x12"), symbol("blood_sugar")
    ('x_{12}', '\\mathrm{blood\\_sugar}')
    """
    if match := re.fullmatch(r"([A-Za-z])_?(\d*)", name):
        letter, index = match.groups()
        return f"{letter}_{{{index}}}" if index else letter
    special = {c: rf"\{c}" for c in "_#$%&{}"}
    special |= {" ": r"\ ", "\\": r"\backslash ", "^": r"\hat{}", "~": r"\sim "}
    return rf"\mathrm{{{''.join(special.get(c, c) for c in name)}}}"


def _scaled(coefficients):
    """(direction, factor) with coefficients = factor * direction: in integers if these are small, else with
    1 as its largest; the first that is not 0 is positive."""
    common = lcm(*(Fraction(c).denominator for c in coefficients))
    integers = [int(c * common) for c in coefficients]
    largest = max(integers, key=abs)
    divisor = gcd(*integers)
    if abs(largest) // divisor > _LARGEST_INTEGER:
        divisor = abs(largest)
    if next(c for c in integers if c) < 0:
        divisor = -divisor
    return tuple(Fraction(c, divisor) for c in integers), Fraction(divisor, common)


def _exact(value):
    """The number in a few digits, or None where these do not stand for it."""
    try:
        text = f"{float(value):.{EXACT_DIGITS}g}"
    except OverflowError:
        return None
    return text if value in (Fraction(text), Fraction(float(text))) else None


def _rounded(value, digits):
    """To `digits` significant digits, but not to fewer than stand before the point."""
    number = Decimal(value.numerator) / Decimal(value.denominator)
    magnitude = Decimal(f"{number:.{digits - 1}e}").adjusted()
    if not -4 <= magnitude < EXACT_DIGITS:
        return f"{number:.{digits - 1}e}"
    return f"{number:.{max(digits - 1 - magnitude, 0)}f}"
