"""The coordinates that formulas on a domain are written in, and the domain in words."""

from fractions import Fraction

import numpy as np

from .domains import Plane, Polytope, Segment
from .wording import Writer

__all__ = ["Frame"]


class Frame:
    """Takes forms of a domain's own coordinates u to those that are shown: x_k = origin_k + step_k u_k.

    These are the inputs, where u_k moves one input each: on a slice along the axes the inputs that vary. On
    other slices they are u, called s and t.

    Attributes
    ----------
    names : tuple of str
    """

    def __init__(self, domain, names):
        self._domain, self._inputs, self._held = domain, names, []
        d = domain.dimension
        self._axes, self._step, self._origin = list(range(d)), [Fraction(1)] * d, [Fraction(0)] * d
        if not domain._is_placed:
            self.names = tuple(names)
            return
        forms, exponent = domain._exact_forms()
        unit = Fraction(2) ** exponent
        *columns, origin = ([x * unit for x in column] for column in forms.T.tolist())
        moved = [[k for k, value in enumerate(column) if value] for column in columns]
        self._held = sorted({*range(domain.n_in)}.difference(*moved))
        self._along_axes = all(len(m) == 1 for m in moved) and len({m[0] for m in moved}) == d
        if self._along_axes:
            self._axes = [m[0] for m in moved]
            self._step = [column[k] for column, k in zip(columns, self._axes)]
            self._origin = [origin[k] for k in self._axes]
            self.names = tuple(names[k] for k in self._axes)
        else:
            self.names = ("t",) if d == 1 else ("s", "t")

    def form(self, form):
        """(coefficients, constant) in the coordinates shown, of a form (d + 1,) of u and 1."""
        coefficients = tuple(Fraction(c) / step for c, step in zip(form, self._step))
        return coefficients, form[-1] - sum(c * p for c, p in zip(coefficients, self._origin))

    def points(self, u):
        """Points of the domain, (n, d), in the coordinates shown, rounded."""
        return u * np.array([float(s) for s in self._step]) + np.array([float(p) for p in self._origin])

    def where(self, digits):
        """The domain in words, as they follow "the pieces"."""
        writer = Writer(self.names, digits)
        domain = self._domain
        bounds = domain._bounds()
        if bounds is None:
            if isinstance(domain, Polytope):
                return "on " + ", ".join(writer.half_spaces(_half_spaces(domain)))
            return "on all of space"
        if isinstance(domain, (Plane, Segment)) and not self._along_axes:
            shown = ["".join(f"({', '.join(map(writer.number, map(Fraction, v)))})") for v in self._vectors()]
            if isinstance(domain, Segment):
                return f"on the segment from {shown[0]} to {shown[1]}, 0 < t < 1"
            size = writer.number(Fraction(domain.extent))
            return f"on the plane {shown[0]} + s {shown[1]} + t {shown[2]}, -{size} < s, t < {size}"
        sides = []
        for k, name in enumerate(self.names):
            ends = sorted(Fraction(b[k]) * self._step[k] + self._origin[k] for b in bounds)
            sides.append((writer.number(ends[0]), writer.number(ends[1]), name))
        text = "on " + _ranges(sides)
        if self._held:
            text += ", with " + ", ".join(f"{name} = {value}" for name, value in self._values_held(digits))
        return text

    def held(self, most, digits=3):
        """The inputs that do not vary on the domain, as ``x3 = x4 = 0, x5 = 1``; in fewer words, or none,
        where that takes more than `most` letters."""
        names_at = {}
        for name, value in self._values_held(digits):
            names_at.setdefault(value, []).append(name)
        text = ", ".join(" = ".join([*names, value]) for value, names in names_at.items())
        if len(text) <= most:
            return text
        return f"all other inputs = {next(iter(names_at))}" if len(names_at) == 1 else ""

    def _values_held(self, digits):
        writer, origin = Writer(self.names, digits), self._domain._forms()[:, -1].tolist()
        return [(self._inputs[k], writer.number(origin[k])) for k in self._held]

    def _vectors(self):
        if isinstance(self._domain, Segment):
            return self._domain.start.tolist(), self._domain.stop.tolist()
        return tuple(v.tolist() for v in (self._domain.origin, self._domain.u, self._domain.v))


def _ranges(sides):
    """``-1 < x1, x2 < 1`` where all ranges are the same, and there are several."""
    if len(sides) > 1 and len({side[:2] for side in sides}) == 1:
        low, high, first = sides[0]
        names = ", ".join(s[2] for s in sides) if len(sides) <= 4 else f"{first}, ..., {sides[-1][2]}"
        return f"{low} < {names} < {high}"
    return ", ".join(f"{low} < {name} < {high}" for low, high, name in sides)


def _half_spaces(domain):
    """Forms that are positive inside."""
    rows = np.column_stack(domain._half_spaces()).tolist()
    return [(*(-Fraction(x) for x in row), Fraction(c)) for *row, c in rows if any(row)]
