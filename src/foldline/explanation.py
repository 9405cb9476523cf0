"""The pieces of a network in words: text, Markdown, LaTeX."""

import math
import re
import textwrap
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from .exact import rounded
from .frozen import Frozen
from .wording import EXACT_DIGITS, Writer, counted, output_names, symbol

__all__ = ["Explanation", "HalfSpace", "Piece"]

# Of longer lists the text shows the beginning.
_MOST_CONDITIONS = 6
_MOST_PARTS = 4
_WIDTH = 96
_AND = " and "


class HalfSpace(NamedTuple):
    """``coefficients . x + constant > 0``, in exact rationals."""

    coefficients: tuple
    constant: Fraction


class Piece(NamedTuple):
    """A linear region: one formula, and where it holds.

    Attributes
    ----------
    maps : tuple
        For each output its coefficients and, last, its constant, as `Fraction`.
    share : float
        Of the domain's volume; NaN on all of space, and where that is 0 or infinite in floats.
    n_regions : int
        Activation regions in this piece.
    parts : tuple of tuple of HalfSpace
        The piece is the union of these, nearly always of one. The half-spaces of a part are irredundant;
        faces of the domain are not among them.
    """

    maps: tuple
    share: float
    n_regions: int
    parts: tuple

    @property
    def A(self):
        """The coefficients in float64, shape (n_out, number of coordinates)."""
        return np.array([[rounded(c) for c in row[:-1]] for row in self.maps])

    @property
    def b(self):
        """The constants in float64, shape (n_out,)."""
        return np.array([rounded(row[-1]) for row in self.maps])


class Explanation(Frozen):
    """What `explain` found. ``str()`` is text; a notebook renders it.

    Attributes
    ----------
    pieces : tuple of Piece
        The largest first; on a Segment in the order they lie in.
    n_pieces : int or None
        How many there are; None where they were not all found.
    n_regions : int
        Activation regions found; where `n_pieces` is None, by a sample.
    n_samples : int
        Its size, or 0.
    names : tuple of str
        Of the coordinates that formulas are in.
    where : str
        The domain in words.
    """

    def __init__(self, pieces, n_pieces, n_regions, n_samples, names, where, digits, points):
        found = {"n_pieces": n_pieces, "n_regions": n_regions, "n_samples": n_samples}
        super().__init__(pieces=pieces, **found, names=names, where=where, _digits=digits, _points=points)

    @property
    def share(self):
        """What the pieces listed fill of the domain's volume."""
        return min(sum(piece.share for piece in self.pieces), 1.0)

    @property
    def is_complete(self):
        """Whether all pieces are listed."""
        return len(self.pieces) == self.n_pieces

    def __repr__(self):
        return f"<Explanation, {counted(len(self.pieces), 'piece')} {self.where}; print() shows them>"

    def __str__(self):
        writer = Writer(self.names, self._digits)
        rows = [self._written(writer, piece) for piece in self.pieces]
        notes = [textwrap.fill(note, _WIDTH) for note in self._notes(writer.rounded)]
        heading = textwrap.fill(f"{self._heading()}:", _WIDTH)
        return "\n".join([heading, "", *_laid_out(rows), *([""] if notes else []), *notes])

    def to_markdown(self):
        """A table, one row a piece."""
        writer = Writer(self.names, self._digits)
        lines = [f"{self._heading()}:", ""]
        rows = [self._written(writer, piece) for piece in self.pieces]
        with_shares = any(share for share, _, _ in rows)
        columns = ["formula", "where"]
        if with_shares:
            columns.insert(0, "share")
        lines += [_markdown_row(columns), _markdown_row(["---"] * len(columns))]
        for share, formulas, places in rows:
            where = [_AND.join(place) for place in places]
            row = ["<br>".join(f"`{f}`" for f in formulas), "<br>or ".join(f"`{w}`" for w in where)]
            lines.append(_markdown_row([share.strip(), *row] if with_shares else row))
        return "\n".join([*lines, *(f"\n{note}" for note in self._notes(writer.rounded))])

    def to_latex(self):
        r"""A ``cases`` environment for each output, for mathematics mode (amsmath)."""
        writer = Writer(self.names, self._digits, latex=True)
        blocks = []
        for i, output in enumerate(self._outputs()):
            rows = []
            for piece in self.pieces:
                *coefficients, constant = piece.maps[i]
                places = self._places(writer, piece, r"\text{%d more}", r"\text{everywhere}")
                places = [r",\ ".join(place) for place in places]
                rows.append(f"{writer.formula(coefficients, constant)} & " + r"\text{ or }".join(places))
            if not self.is_complete:
                rows.append(r"\ldots & \text{elsewhere}")
            body = " \\\\\n".join(rows)
            blocks.append(f"{symbol(output)} = \\begin{{cases}}\n{body}\n\\end{{cases}}")
        if len(blocks) == 1:
            return blocks[0]
        aligned = " \\\\\n".join(block.replace(" = ", " &= ", 1) for block in blocks)
        return f"\\begin{{aligned}}\n{aligned}\n\\end{{aligned}}"

    def _repr_markdown_(self):
        return self.to_markdown()

    def _repr_latex_(self):
        return f"$\\displaystyle {self.to_latex()}$"

    def to_dict(self):
        """The same in plain numbers and strings, as ``foldline explain --json`` prints it: maps rounded to
        floats, half-spaces exact, as floats where these are, else as integers or ``"p/q"``."""

        def half_space(h):
            return {"coefficients": [_plain(c) for c in h.coefficients], "constant": _plain(h.constant)}

        return {
            "where": self.where,
            "names": list(self.names),
            "n_pieces": self.n_pieces,
            "n_regions": self.n_regions,
            "n_samples": self.n_samples,
            "share": self.share,
            "pieces": [
                {
                    "A": piece.A.tolist(),
                    "b": piece.b.tolist(),
                    "share": piece.share,
                    "n_regions": piece.n_regions,
                    "parts": [[half_space(h) for h in part] for part in piece.parts],
                }
                for piece in self.pieces
            ],
        }

    def _outputs(self):
        return output_names(len(self.pieces[0].maps))

    def _heading(self):
        n = len(self.pieces)
        if self.n_pieces == 1:
            return f"One formula {self.where}"
        if self.n_pieces is None:
            largest = "largest piece" if n == 1 else f"{n} largest pieces"
            return f"The {largest} seen by a sample of {self.n_samples:,} points {self.where}"
        if self.is_complete:
            return f"{n} linear pieces {self.where}"
        largest = "largest" if n == 1 else f"{n} largest"
        return f"The {largest} of {self.n_pieces:,} linear pieces {self.where}"

    def _written(self, writer, piece):
        """(share, a formula for each output, what holds in each part)."""
        share = "" if math.isnan(piece.share) or self.n_pieces == 1 else _percent(piece.share)
        names = self._outputs()
        formulas = [f"{y} = {writer.formula(row[:-1], row[-1])}" for y, row in zip(names, piece.maps)]
        return share, formulas, self._places(writer, piece, "%d more", "everywhere")

    def _places(self, writer, piece, more, everywhere):
        """A list of conditions for each part."""
        parts = piece.parts if len(piece.parts) <= _MOST_PARTS else piece.parts[: _MOST_PARTS - 1]
        places = [self._conditions(writer, part, more) or [everywhere] for part in parts]
        if len(parts) < len(piece.parts):
            places.append([more % (len(piece.parts) - len(parts))])
        return places

    def _conditions(self, writer, part, more):
        """In order; of many, those that most of the domain is outside of."""
        forms = [(*h.coefficients, h.constant) for h in part]
        conditions = writer.half_spaces(forms)
        if len(conditions) <= _MOST_CONDITIONS:
            return conditions
        near_1 = np.array([[rounded(c / max(map(abs, form))) for c in form] for form in forms])
        outside = (near_1[:, :-1] @ self._points.T <= -near_1[:, -1:]).sum(axis=1)
        kept = np.sort(np.argsort(-outside, kind="stable")[: _MOST_CONDITIONS - 1])
        shown = writer.half_spaces([forms[i] for i in kept])
        return [*shown, more % (len(conditions) - len(shown))]

    def _notes(self, rounded):
        notes, left_out = [], _percent(1 - self.share).strip()
        if self.n_pieces is None:
            notes.append(
                f"Shares are estimated from {self.n_samples:,} random points, which met "
                f"{counted(self.n_regions, 'activation region')}; there may be more. "
                + ("All are listed." if self.share == 1 else f"{left_out} of the points are in none listed.")
            )
        elif not self.is_complete:
            volume = "" if math.isnan(self.share) else f", {left_out} of the domain,"
            rest = self.n_pieces - len(self.pieces)
            pieces = "piece is" if rest == 1 else "pieces are"
            notes.append(f"{rest:,} smaller {pieces} left out{volume}".rstrip(",") + ".")
            if len(self.names) == 1:
                notes[-1] += " Those listed are in the order they lie in."
        if rounded:
            notes.append(
                f"Numbers of more than {EXACT_DIGITS} digits are rounded to {self._digits} digits, or to a "
                "whole number where that has more."
            )
        return notes


def _plain(ratio):
    """A rational as a float where that is exact, else as an integer or in words."""
    try:
        if float(ratio) == ratio:
            return float(ratio)
    except OverflowError:
        pass
    return ratio.numerator if ratio.denominator == 1 else str(ratio)


def _laid_out(rows):
    """One line a piece where all fit, else a formula and, below it, where it holds."""
    width = max(len(formula) for _, formulas, _ in rows for formula in formulas)
    lines = []
    for share, formulas, places in rows:
        margin = " " * (len(share) + 2 if share else 0)
        for i in range(max(len(formulas), len(places))):
            formula = formulas[i] if i < len(formulas) else ""
            place = ("or     " if i else "where  ") + _AND.join(places[i]) if i < len(places) else ""
            line = f"{formula:<{width}}  {place}".replace("where  everywhere", "everywhere")
            lines.append(((f"{share}  " if share else "") if i == 0 else margin) + line.rstrip())
    if all(len(line) <= _WIDTH for line in lines):
        return lines
    lines = []
    for share, formulas, places in rows:
        margin = " " * (len(share) + 2 if share else 0)
        for i, formula in enumerate(formulas):
            first = (f"{share}  " if share else "") if i == 0 else margin
            lines += _wrapped(first + formula, margin + " " * 4)
        for i, place in enumerate(places):
            lines += _filled(f"{margin}  {'or' if i else 'where'} ", place)
    return lines


def _filled(first, conditions):
    """Conditions in lines, none broken that fits into one."""
    indent, line, lines = " " * len(first), first, []
    for i, condition in enumerate(conditions):
        condition += _AND.rstrip() if i + 1 < len(conditions) else ""
        if line.strip() and line != first and len(line) + len(condition) > _WIDTH:
            lines.append(line.rstrip())
            line = indent
        line += condition + " "
    lines.append(line.rstrip())
    deeper = indent + " " * 4
    return [part for line in lines for part in _wrapped(line, deeper)]


def _wrapped(line, indent):
    """Broken before signs only: a number stays with its variable."""
    glued = re.sub(r" (?![-+<>] )", "\0", line)
    parts = textwrap.wrap(glued, _WIDTH, subsequent_indent=indent, break_on_hyphens=False)
    return [part.replace("\0", " ") for part in parts]


def _markdown_row(row):
    return f"| {' | '.join(text.replace('|', chr(92) + '|') for text in row)} |"


def _percent(share):
    """Of a whole, five or six characters; never 0 or 100% for what is not."""
    if 0 < share < 0.0005:
        return "<0.1%"
    if 0.9995 <= share < 1:
        return ">99.9%"
    return f"{share:5.1%}"
