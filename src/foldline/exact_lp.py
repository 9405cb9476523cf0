"""Cells in any dimension in integers: half-spaces, and a vertex of each cell. For what doubles leave."""

import numpy as np

__all__ = ["patterns_below"]


class _Cell:
    """Half-spaces that bound a cell with interior, as a dictionary of the simplex method at a vertex.

    Variables are the values of the half-spaces, none below 0. At the vertex d of them, the columns', are 0.
    Those of the rows are ``(rows @ columns + constants) / one``, with integers throughout: entries are minors
    of the first ones, so that every division comes out even (J. Edmonds, J. Res. NBS 71B, 1967).

    Attributes
    ----------
    table : ndarray of int, shape (n_rows, d + 1)
        The constants last.
    columns, rows : list of int
        Numbers of the variables. The first d are the coordinates, counted from the lower bounds of a box.
    """

    def __init__(self, table, one, columns, rows, n_variables):
        self.table, self.one, self.columns, self.rows = table, one, columns, rows
        self.n_variables = n_variables

    @classmethod
    def box(cls, widths):
        d = len(widths)
        table = np.zeros((d, d + 1), object)
        table[:, :d] = np.diag([-1] * d)
        table[:, d] = widths
        return cls(table, 1, list(range(d)), list(range(d, 2 * d)), 2 * d)

    def part_above(self, form):
        """The part of the cell where a form is above 0, or None: it is so nowhere.

        It has interior, as the cell has. Bland's rule, which does not cycle.
        """
        table = np.concatenate([self.table, [self._in_columns(form)]])
        n, rows = self.n_variables, [*self.rows, self.n_variables]
        part = _Cell(table, self.one, self.columns.copy(), rows, n + 1)
        while part.table[-1, -1] <= 0:
            rising = [(name, j) for j, name in enumerate(part.columns) if part.table[-1, j] > 0]
            if not rising:
                return None
            part._pivot(min(rising)[1])
        return part

    def _in_columns(self, form):
        """A form of the coordinates as a row of the table."""
        d = len(self.columns)
        row = np.zeros(d + 1, object)
        row[d] = form[d] * self.one
        for j, name in enumerate(self.columns):
            if name < d:
                row[j] += form[name] * self.one
        for i, name in enumerate(self.rows):
            if name < d and form[name]:
                row += form[name] * self.table[i]
        return row

    def _pivot(self, j):
        """The variable of a column rises until that of a row falls to 0, and they change places."""
        column, constants = self.table[:-1, j].tolist(), self.table[:-1, -1].tolist()
        leaving = None
        for i, (change, constant) in enumerate(zip(column, constants)):
            if change >= 0:
                continue
            if leaving is not None:
                other = constants[leaving] * change - constant * column[leaving]
                if other > 0 or other == 0 and self.rows[leaving] < self.rows[i]:
                    continue
            leaving = i
        row, factors = self.table[leaving].copy(), self.table[:, j].copy()
        one = -row[j]
        self.table = (one * self.table + np.outer(factors, row)) // self.one
        self.table[:, j] = -factors
        self.table[leaving], self.table[leaving, j] = row, -self.one
        self.one = one
        self.columns[j], self.rows[leaving] = self.rows[leaving], self.columns[j]


def patterns_below(chain, domain, prefix=()):
    """Yield the patterns of all cells below a prefix, as tuples of bools, in order.

    Parameters
    ----------
    chain : cells.ExactChain
        Of the network and the domain.
    domain : domain
        One with bounds.
    prefix : sequence of bool
        The first bits of the pattern of some cell.
    """
    low, high = domain._bounds()
    ratios = [[value.as_integer_ratio() for value in bound.tolist()] for bound in (low, high)]
    unit = max(q for bound in ratios for _, q in bound)
    low, high = ([p * (unit // q) for p, q in bound] for bound in ratios)
    cell = _Cell.box([b - a for a, b in zip(low, high)])

    def from_corner(form):
        """In coordinates that are integers, from the lower bounds on."""
        return [*form[:-1], form[-1] * unit + sum(m * a for m, a in zip(form, low))]

    n_before = np.cumsum([0, *(len(chain.folds(i)) for i in range(len(chain.layers) - 1))]).tolist()
    stack = [(cell, (), 0, None, chain.inputs)]
    while stack:
        cell, bits, layer, forms, below = stack.pop()
        if layer == len(chain.layers) - 1:
            yield bits
            continue
        forms, folds = chain.forms(layer, below) if forms is None else forms, chain.folds(layer)
        if len(bits) == n_before[layer + 1]:
            active = np.ones(len(forms), bool)
            active[folds] = bits[n_before[layer] :]
            stack.append((cell, bits, layer + 1, None, chain.activations(layer, forms, active)))
            continue
        form = forms[folds[len(bits) - n_before[layer]]].tolist()
        parts = _parts(cell, from_corner(form), prefix[len(bits) :][:1])
        stack += [(part, (*bits, bit), layer, forms, below) for bit, part in reversed(parts)]


def _parts(cell, form, given):
    """[(bit, part)]: the parts of a cell where a neuron has a bit, or where it has the one that is given."""
    if given:
        part = cell.part_above(form if given[0] else [-m for m in form])
        return [(given[0], part or cell)]  # or where the form is 0
    above = cell.part_above(form)
    if above is None:
        return [(False, cell)]
    below = cell.part_above([-m for m in form])
    return [(True, cell)] if below is None else [(False, below), (True, above)]
