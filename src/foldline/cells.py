"""The cells of a network on a domain, in exact arithmetic: every sign is proved, ties are ordinary.

Depth first over the neurons: a node is the cell of a prefix of bits, and the next neuron splits it
where its form m.x + c has both signs inside. A cell is its list of vertices, which have integer
homogeneous coordinates, and the facets each lies on, as a bit set. Two vertices span an edge where
they share d - 1 facets and no third vertex lies on all of these (Fukuda and Prodon, 1996,
proposition 7). All numbers are Python's integers: floats are integers times a power of two, and a
positive factor changes no sign.
"""

from math import factorial, gcd

import numpy as np

__all__ = ["Cell", "ExactChain", "facet_vertices", "inside", "integer_forms", "iter_cells"]


class Cell:
    """A full-dimensional cell: of a prefix of the neurons, or of all of them.

    vertices: tuple of homogeneous coordinates (u_1, ..., u_d, w), w > 0, in lowest terms.
    facets: tuple of bit sets, one a vertex: bit i is set where it lies on facet i.
    n_facets: facets that were ever met on the way here.
    """

    __slots__ = ("facets", "n_facets", "vertices")

    def __init__(self, vertices, facets, n_facets):
        self.vertices, self.facets, self.n_facets = vertices, facets, n_facets


class ExactChain:
    """A network on a domain as integers: forms of layer l are integers times 2^exponents[l]."""

    def __init__(self, net, domain):
        self.dimension = domain.dimension
        placement = domain._placement()
        if placement is None:
            self.inputs, exponent = _homogeneous_identity(self.dimension), 0
        else:
            self.inputs, exponent = _placed(*placement)
        self.layers = []
        folds = [*net.slopes, None]
        for weights, bias, slopes in zip(net.weights, net.biases, folds):
            w, w_exponent = _integers(weights)
            b, b_exponent = _integers(bias)
            lower = min(w_exponent, b_exponent - exponent)
            w = w * 2 ** (w_exponent - lower)
            exponent += lower
            b = b * 2 ** (b_exponent - exponent)
            s, active = None, None
            if slopes is not None:
                s, s_exponent = _integers(slopes)
                s_exponent, s = min(s_exponent, 0), s * 2 ** max(s_exponent, 0)
                active = 2**-s_exponent
                exponent += s_exponent
            self.layers.append((w, b, s, active))
        self.exponent = exponent  # of the outputs' forms
        self.root = self._root(domain)

    def forms(self, index, below):
        """Forms of layer `index`, (n, d + 1), from the activations' forms below it."""
        w, b, _, _ = self.layers[index]
        forms = w @ below
        forms[:, -1] += b
        return forms

    def activations(self, index, forms, active):
        """What the units of a layer pass on, for the bits of its units."""
        _, _, slopes, one = self.layers[index]
        return forms * np.where(active, one, slopes)[:, None]

    def folds(self, index):
        _, _, slopes, one = self.layers[index]
        return [j for j, s in enumerate(slopes) if s != one]

    def _root(self, domain):
        bounds = domain._bounds()
        a, b = domain._half_spaces()
        rows = [_half_space(*row) for row in zip(a, b)]
        reach = None
        if bounds is None:
            reach = self._reach(rows)
            root = _box([(-reach, 1)] * self.dimension, [(reach, 1)] * self.dimension)
        else:
            root = _box(*([value.as_integer_ratio() for value in bound.tolist()] for bound in bounds))
        for row in rows:
            values = _values(row, root.vertices)
            if max(values) <= 0:
                raise ValueError("the polytope is empty or flat; wanted one with interior")
            if min(values) < 0:
                root, _ = _split(root, values, self.dimension)
        if rows and any(abs(u) == reach * v[-1] for v in root.vertices for u in v[:-1]):
            raise ValueError("the polytope is unbounded; wanted a bounded one (or fl.Space)")
        return root

    def _reach(self, rows):
        """R such that every cell of R^d has interior in (-R, R)^d.

        With the coordinate hyperplanes added, a cell is pointed; d + 1 of its vertices, and vertices
        plus extreme rays, span a simplex. All are ratios of minors of integers up to `largest`.
        """
        largest = max((abs(x) for row in rows for x in row), default=1)
        size = abs(self.inputs)
        for w, b, slopes, one in self.layers[:-1]:
            size = abs(w) @ size
            size[:, -1] += abs(b)
            largest = max(largest, size.max())
            size = size * np.maximum(abs(slopes), one)[:, None]
        return 2 * factorial(self.dimension) * max(largest, 1) ** self.dimension + 1


def iter_cells(chain):
    """Yield (bits, cell, output forms) for every activation region, in the order of their patterns.

    `bits` is a tuple of bools, one a neuron; the forms are (n_out, d + 1) integers, as `chain` has
    them. Lexicographic: inactive before active, first neurons first.
    """
    d, last = chain.dimension, len(chain.layers) - 1
    stack = [_entered(chain, 0, (), chain.root, chain.inputs)]
    while stack:
        index, bits, cell, forms, active, undecided = stack.pop()
        if index == last:
            yield bits, cell, forms
            continue
        for position, j in enumerate(undecided):
            values = _values(forms[j], cell.vertices)
            if max(values) > 0 and min(values) < 0:
                positive, negative = _split(cell, values, d)
                rest = undecided[position + 1 :]
                active[j] = True
                stack.append((index, bits, positive, forms, active, rest))
                active = active.copy()
                active[j] = False
                stack.append((index, bits, negative, forms, active, rest))
                break
            active[j] = max(values) > 0
        else:
            layer_bits = tuple(bool(active[j]) for j in chain.folds(index))
            below = chain.activations(index, forms, active)
            stack.append(_entered(chain, index + 1, bits + layer_bits, cell, below))


def _entered(chain, index, bits, cell, below):
    """A cell at the entry of a layer: the bits of neurons that cannot split it are set at once."""
    forms = chain.forms(index, below)
    active, undecided = np.ones(len(forms), bool), []
    if index + 1 < len(chain.layers):
        values = forms @ np.array(cell.vertices, dtype=object).T
        low, high = values.min(axis=1), values.max(axis=1)
        for j in chain.folds(index):
            active[j] = high[j] > 0
            if high[j] > 0 and low[j] < 0:
                undecided.append(j)
    return index, bits, cell, forms, active, undecided


def _values(form, vertices):
    return [sum(m * x for m, x in zip(form, vertex)) for vertex in vertices]


def _split(cell, values, d):
    """The two parts of a cell, positive first, for a form whose values at the vertices have both signs."""
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
            if _span_edge(common, u_facets, v_facets, cell.facets, d):
                crossing = [a * y - b * x for x, y in zip(u, v)]
                divisor = gcd(*crossing)
                cut.append((tuple(x // divisor for x in crossing), common | facet))
    sides = ([(v, f) for v, f, _ in side] + cut for side in (above, below))
    return tuple(Cell(*map(tuple, zip(*side)), cell.n_facets + 1) for side in sides)


def _span_edge(common, u_facets, v_facets, all_facets, d):
    if common.bit_count() < d - 1:
        return False
    if u_facets.bit_count() == d or v_facets.bit_count() == d:
        return True  # where d facets meet, any d - 1 of them make an edge
    return sum(f & common == common for f in all_facets) == 2


def inside(cell, form, d):
    """The part of a cell on which the form is at most 0."""
    values = _values(form, cell.vertices)
    return _split(cell, values, d)[1] if max(values) > 0 and min(values) < 0 else cell


def integer_forms(rows):
    """Rows of floats as rows of integers, each times a power of two."""
    return [_integers(row)[0] for row in rows]


def facet_vertices(cell, d):
    """The vertex set of each facet, as frozensets of homogeneous coordinates."""
    tight = {}
    for vertex, facets in zip(cell.vertices, cell.facets):
        while facets:
            lowest = facets & -facets
            tight.setdefault(lowest, set()).add(vertex)
            facets ^= lowest
    # A hyperplane that only touches the cell is tight on fewer vertices than some facet is.
    sets = {frozenset(s) for s in tight.values() if len(s) >= d}
    return [s for s in sets if not any(s < other for other in sets)]


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
    integers, _ = _integers(np.array([*-a, b]))
    return integers.tolist()


def _homogeneous_identity(n):
    return np.array([[int(i == j) for j in range(n + 1)] for i in range(n)], dtype=object)


def _placed(matrix, origin):
    """Rows (M, p) as integers with one exponent; a matrix given as (stop, start) is their difference."""
    if isinstance(matrix, tuple):
        (stop, start), exponent = _integers(np.stack(matrix))
        columns = (stop - start)[:, None]
    else:
        columns, exponent = _integers(matrix)
    p, p_exponent = _integers(origin)
    lower = min(exponent, p_exponent, 0)
    rows = np.concatenate(
        [columns * 2 ** (exponent - lower), (p * 2 ** (p_exponent - lower))[:, None]], axis=1
    )
    return rows, lower


def _integers(values):
    """(integers, exponent) with values = integers * 2**exponent, exponent <= 0."""
    ratios = [value.as_integer_ratio() for value in np.asarray(values, np.float64).ravel().tolist()]
    bits = max((denominator.bit_length() for _, denominator in ratios), default=1)
    integers = np.empty(len(ratios), dtype=object)
    integers[:] = [numerator * (2 ** (bits - 1) // denominator) for numerator, denominator in ratios]
    return integers.reshape(np.shape(values)), 1 - bits
