"""The cells of a network on a domain, in exact arithmetic: every sign is proved, ties are ordinary.

Depth first over the neurons: a node is the cell of a prefix of bits, and the next neuron splits it
where its form m.x + c has both signs inside. A cell is its list of vertices, which have integer
homogeneous coordinates, and the facets each lies on, as a bit set. Two vertices span an edge where
they share d - 1 facets and no third vertex lies on all of these (Fukuda and Prodon, 1996,
proposition 7). All numbers are Python's integers: floats are integers times a power of two, and a
positive factor changes no sign.

All of space is the half-space w > 0 of the homogeneous coordinates: one vertex and d lines. Where a
form is not 0 on a line, cutting turns the line into a vertex, at infinity (double description:
Motzkin, Raiffa, Thompson and Thrall, 1953). With n lines left, a cell is a product of them and of a
cell of dimension d - n.
"""

from functools import cached_property
from math import gcd, inf

import numpy as np

__all__ = [
    "Cell",
    "ExactChain",
    "facet_vertices",
    "inside",
    "integer_forms",
    "integers",
    "iter_cells",
    "iter_cells_below",
    "quotient",
    "root_cell",
]


class Cell:
    """A full-dimensional cell: of a prefix of the neurons, or of all of them.

    vertices: tuple of homogeneous coordinates (u_1, ..., u_d, w), in lowest terms; w > 0, or w = 0
        for a direction in which the cell has no end.
    facets: tuple of bit sets, one a vertex: bit i is set where it lies on facet i.
    n_facets: facets that were ever met on the way here.
    lines: tuple of directions, w = 0, in which the cell has no end either way. A vertex is given
        modulo these: at one coordinate for each of them it is 0, see `_cut_line`.
    """

    __slots__ = ("facets", "lines", "n_facets", "vertices")

    def __init__(self, vertices, facets, n_facets, lines=()):
        self.vertices, self.facets, self.n_facets, self.lines = vertices, facets, n_facets, lines


class ExactChain:
    """A network on a domain as integers: forms of layer l are integers times 2^exponents[l]."""

    def __init__(self, net, domain):
        self.dimension = domain.dimension
        self.one = domain._scale().astype(int).astype(object)
        self.inputs, exponent = domain._exact_forms()
        self._identity = None if domain._is_placed else self.inputs
        self.layers = []
        folds = [*net.slopes, None]
        for weights, bias, slopes in zip(net.weights, net.biases, folds):
            w, w_exponent = integers(weights)
            b, b_exponent = integers(bias)
            lower = min(w_exponent, b_exponent - exponent)
            w = w * 2 ** (w_exponent - lower)
            exponent += lower
            b = b * 2 ** (b_exponent - exponent)
            s, active = None, None
            if slopes is not None:
                s, s_exponent = integers(slopes)
                s_exponent, s = min(s_exponent, 0), s * 2 ** max(s_exponent, 0)
                active = 2**-s_exponent
                exponent += s_exponent
            self.layers.append((w, b, s, active))
        self.exponent = exponent  # of the outputs' forms
        self.n_neurons = net.n_neurons
        self._domain = domain

    @cached_property
    def root(self):
        return root_cell(self._domain)[0]

    def forms(self, index, below):
        """Forms of layer `index`, (n, d + 1), from the activations' forms below it."""
        w, b, _, _ = self.layers[index]
        if below is self._identity:
            product = np.hstack([w, np.full((len(w), 1), 0, object)])
        else:
            passed = below.any(axis=1)
            product = w[:, passed] @ below[passed]
        return product + np.outer(b, self.one)

    def activations(self, index, forms, active):
        """What the units of a layer pass on, for the bits of its units."""
        _, _, slopes, one = self.layers[index]
        return forms * np.where(active, one, slopes)[:, None]

    def folds(self, index):
        _, _, slopes, one = self.layers[index]
        return [j for j, s in enumerate(slopes) if s != one]


def root_cell(domain):
    """The domain as a cell, and which of its half-spaces made facets behind those of the box, in order.

    Without a box it begins as all of space, whose one facet is infinity.
    """
    bounds = domain._bounds()
    if bounds is None:
        root = _space(domain.dimension)
    else:
        root = _box(*([value.as_integer_ratio() for value in bound.tolist()] for bound in bounds))
    a, b = domain._half_spaces()
    cutting = []
    for i, row in enumerate(map(_half_space, a, b)):
        values, line_values = _values(row, root.vertices), _values(row, root.lines)
        if max(values) <= 0 and not any(line_values):
            raise ValueError("the polytope is empty or flat; wanted one with interior")
        if min(values) < 0 or any(line_values):
            root, _ = _split(root, values, line_values, domain.dimension)
            cutting.append(i)
    if len(a) and (root.lines or any(v[-1] == 0 for v in root.vertices)):
        raise ValueError("the polytope is unbounded; wanted a bounded one (or fl.Space)")
    return root, cutting


def iter_cells(chain, prefix=()):
    """Yield (bits, cell, output forms) for every activation region, in the order of their patterns.

    `bits` is a tuple of bools, one a neuron; the forms are (n_out, d + 1) integers, as `chain` has
    them. Lexicographic: inactive before active, first neurons first. Only cells whose bits begin with
    `prefix`, a tuple of bools, are yielded, and no others are visited.
    """
    return iter_cells_below(chain, [prefix])


def iter_cells_below(chain, prefixes):
    """Like `iter_cells`, for the cells whose bits begin with one of the prefixes, in one walk."""
    d, last = chain.dimension, len(chain.layers) - 1
    stack = [(_entered(chain, 0, (), chain.root, chain.inputs), prefixes)]
    while stack:
        (index, bits, cell, forms, active, undecided), wanted = stack.pop()
        wanted = [prefix for prefix in wanted if bits[: len(prefix)] == prefix[: len(bits)]]
        if not wanted:
            continue
        if index == last:
            yield bits, cell, forms
            continue
        for position, (bit, j) in enumerate(undecided):
            values, line_values = _values(forms[j], cell.vertices), _values(forms[j], cell.lines)
            if (max(values) > 0 and min(values) < 0) or any(line_values):
                rest = undecided[position + 1 :]
                bit += len(bits)
                for is_active, side in zip((True, False), _split(cell, values, line_values, d)):
                    still = [prefix for prefix in wanted if len(prefix) <= bit or prefix[bit] == is_active]
                    if still:
                        active = active.copy()
                        active[j] = is_active
                        stack.append(((index, bits, side, forms, active, rest), still))
                break
            active[j] = max(values) > 0
        else:
            layer_bits = tuple(bool(active[j]) for j in chain.folds(index))
            below = chain.activations(index, forms, active)
            stack.append((_entered(chain, index + 1, bits + layer_bits, cell, below), wanted))


def _entered(chain, index, bits, cell, below):
    """A cell at the entry of a layer: the bits of neurons that cannot split it are set at once.

    What is left to decide is a list of (number among the layer's bits, unit).
    """
    forms = chain.forms(index, below)
    active, undecided = np.ones(len(forms), bool), []
    if index + 1 < len(chain.layers):
        values = forms @ np.array(cell.vertices, dtype=object).T
        low, high = values.min(axis=1), values.max(axis=1)
        for bit, j in enumerate(chain.folds(index)):
            active[j] = high[j] > 0
            if (high[j] > 0 and low[j] < 0) or any(_values(forms[j], cell.lines)):
                undecided.append((bit, j))
    return index, bits, cell, forms, active, undecided


def _values(form, vertices):
    return [sum(m * x for m, x in zip(form, vertex)) for vertex in vertices]


def _split(cell, values, line_values, d):
    """The two parts of a cell, positive first, for a form with these values, which has both signs."""
    if any(line_values):
        return _cut_line(cell, values, line_values)
    facet = 1 << cell.n_facets
    above, below, on = [], [], []
    for vertex, facets, value in zip(cell.vertices, cell.facets, values):
        if value > 0:
            above.append((vertex, facets, value))
        elif value < 0:
            below.append((vertex, facets, value))
        else:
            on.append((vertex, facets | facet))
    cut = on
    for u, u_facets, a in above:
        for v, v_facets, b in below:
            common = u_facets & v_facets
            if _span_edge(common, u_facets, v_facets, cell.facets, d - len(cell.lines)):
                cut.append((_combination(a, v, b, u), common | facet))
    sides = ([(v, f) for v, f, _ in side] + cut for side in (above, below))
    return tuple(Cell(*map(tuple, zip(*side)), cell.n_facets + 1, cell.lines) for side in sides)


def _cut_line(cell, values, line_values):
    """The parts where the form is not 0 on some line: the first of these gives each part a vertex.

    Always the first, so that the lines are e_i plus multiples of e_k of lines that went, and vertices
    are 0 at such an i. The k are the leading columns of the span of all forms so far, since each is
    the first at which its form, reduced by the forms before it, is not 0: which columns these are, and
    so the vertices, depends on the lines that are left alone, not on the way here.
    """
    at = next(i for i, value in enumerate(line_values) if value)
    direction, height = cell.lines[at], line_values[at]
    if height < 0:
        direction, height = tuple(-x for x in direction), -height
    facet = 1 << cell.n_facets
    onto = [_combination(height, v, value, direction) for v, value in zip(cell.vertices, values)]
    facets = (*(f | facet for f in cell.facets), facet - 1)  # lines lie on all facets
    rest = zip(cell.lines, line_values)
    lines = tuple(_combination(height, v, value, direction) for i, (v, value) in enumerate(rest) if i != at)
    opposite = tuple(-x for x in direction)
    return tuple(Cell((*onto, end), facets, cell.n_facets + 1, lines) for end in (direction, opposite))


def _combination(a, v, b, u):
    """a v - b u in lowest terms."""
    sums = [a * x - b * y for x, y in zip(v, u)]
    divisor = gcd(*sums)
    return tuple(x // divisor for x in sums)


def _span_edge(common, u_facets, v_facets, all_facets, d):
    if common.bit_count() < d - 1:
        return False
    if u_facets.bit_count() == d or v_facets.bit_count() == d:
        return True  # where d facets meet, any d - 1 of them make an edge
    return sum(f & common == common for f in all_facets) == 2


def inside(cell, form, d):
    """The part of a bounded cell on which the form is at most 0."""
    values = _values(form, cell.vertices)
    return _split(cell, values, (), d)[1] if max(values) > 0 and min(values) < 0 else cell


def integer_forms(rows):
    """Rows of floats as rows of integers, each times a power of two."""
    return [integers(row)[0] for row in rows]


def facet_vertices(cell, d):
    """The vertex set of each facet, as frozensets of homogeneous coordinates."""
    tight = {}
    for vertex, facets in zip(cell.vertices, cell.facets):
        while facets:
            lowest = facets & -facets
            tight.setdefault(lowest, set()).add(vertex)
            facets ^= lowest
    # A hyperplane that only touches the cell is tight on fewer vertices than some facet is.
    sets = {frozenset(s) for s in tight.values() if len(s) >= d - len(cell.lines)}
    return [s for s in sets if not any(s < other for other in sets)]


def _space(d):
    """All of space; facet 0 is infinity, where the one vertex, the origin, is not."""
    lines = tuple(tuple(int(i == k) for i in range(d + 1)) for k in range(d))
    return Cell(((0,) * d + (1,),), (0,), 1, lines)


def _box(low, high):
    """Bounds are ratios (numerator, denominator); facets 2 k and 2 k + 1 are low and high of u_k."""
    vertices, facets = [()], [0]
    for k, bounds in enumerate(zip(low, high)):
        vertices = [(*v, bound) for v in vertices for bound in bounds]
        facets = [f | 1 << 2 * k + side for f in facets for side in (0, 1)]
    return Cell(tuple(map(_over_one_denominator, vertices)), tuple(facets), 2 * len(low))


def _over_one_denominator(ratios):
    w = 1
    for _, denominator in ratios:
        w = w * denominator // gcd(w, denominator)
    return (*(n * (w // denominator) for n, denominator in ratios), w)


def _half_space(a, b):
    """b - a.u >= 0 as integers."""
    return integers(np.array([*-a, b]))[0].tolist()


def integers(values):
    """(integers, exponent) with values = integers * 2**exponent, exponent <= 0."""
    values = np.asarray(values, np.float64)
    fractions, exponents = np.frexp(values)
    mantissas = np.ldexp(fractions, 53).astype(np.int64)
    # Zeros at the end of a mantissa belong to the exponent.
    n_zeros = np.frexp((mantissas & -mantissas).astype(np.float64))[1] - 1
    exponent = int((exponents - 53 + n_zeros)[mantissas != 0].min(initial=0))
    shifts = np.where(mantissas == 0, 0, exponents - 53 - exponent)
    if shifts.max(initial=0) <= 9:  # what is below 2**53 stays below 2**63
        up, down = np.maximum(shifts, 0), np.maximum(-shifts, 0)
        return (mantissas >> down << up).astype(object), exponent
    found = np.empty(values.size, dtype=object)
    found[:] = [_shifted(m, s) for m, s in zip(mantissas.ravel().tolist(), shifts.ravel().tolist())]
    return found.reshape(values.shape), exponent


def _shifted(m, shift):
    return m << shift if shift >= 0 else m >> -shift


def quotient(a, b):
    """a / b of integers with one rounding; infinite beyond the range of floats."""
    try:
        return a / b
    except OverflowError:
        return inf if a > 0 else -inf
