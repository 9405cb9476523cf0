"""The engine "vertices" against exact arithmetic: cells, vertices, facets, points, what it leaves open."""

import os
from functools import cache

import networks
import numpy as np
import pytest

import foldline as fl
from foldline import _core, cells, walk

every_isa = pytest.mark.parametrize("isa", _core.isa_available())
# What lies within this of a fold lies on it: rounding comes to less, and no vertex of these networks is as
# near to a fold that it does not lie on.
ON_FOLD = 1e-10


def network(layers, slopes):
    return fl.Network(layers, activation=slopes)


def generic(seed, widths, slopes="mixed"):
    return network(*networks.random_network(seed, widths, slopes=slopes, bias=0.25))


def walked(net, domain, prefix=(), want_rows=True, most_cells=2**62):
    """The result of `Cells.walk` below a prefix of bits, patterns and opens as tuples of bools."""
    n_bytes = -(-net.n_neurons // 8)
    bits = np.packbits(np.array(prefix, bool), bitorder="little").tobytes().ljust(n_bytes, b"\0")
    core = walk._prepared(net, domain, certify=True)
    assert core.isa == (os.environ.get("FOLDLINE_ISA") or _core.isa_available()[0])
    want = "rows" if want_rows else "count"
    n, _, _, _, opens, rows = core.walk("vertices", bits, len(prefix), most_cells, 1e9, 1e9, want, [])
    bits, lengths, ties = (np.frombuffer(array, t) for array, t in zip(opens, (np.uint8, np.uintp, np.uint8)))
    opens = [tuple(row[:k]) for row, k in zip(unpacked(bits, len(lengths), net), lengths)]
    if not want_rows:
        return n, opens, ties.all(), None
    patterns, points, volumes, vertex_ends, vertices, facet_ends, facets = rows
    d = domain.dimension
    return (
        unpacked(np.frombuffer(patterns, np.uint8), n, net),
        opens,
        ties.all(),
        (
            np.frombuffer(points).reshape(n, d),
            np.split(np.frombuffer(vertices).reshape(-1, d), np.frombuffer(vertex_ends, np.uintp)[:-1]),
            np.split(np.frombuffer(facets, np.int64), np.frombuffer(facet_ends, np.uintp)[:-1]),
        ),
    )


def unpacked(bits, n, net):
    rows = np.unpackbits(
        bits.reshape(n, -(-net.n_neurons // 8)), axis=1, count=net.n_neurons, bitorder="little"
    )
    return [tuple(row) for row in rows.astype(bool).tolist()]


@cache
def generic_and_its_cells(seed, widths, slopes):
    """A network, and its cells on a box by exact arithmetic: pattern and vertices, rounded at the end."""
    net = generic(seed, widths, slopes)
    found = cells.iter_cells(cells.ExactChain(net, fl.Box(-1, 1, n_in=widths[0])))
    return net, [
        (bits, [np.array([u / v[-1] for u in v[:-1]]) for v in cell.vertices]) for bits, cell, _ in found
    ]


def folds(net, domain, bits):
    """Forms (m_1, ..., m_d, c) of the domain's half-spaces and, in a cell, of the neurons: by number."""
    low, high = domain._bounds()
    d = domain.dimension
    forms = {}
    for k in range(d):
        forms[-1 - 2 * k] = np.array([*np.eye(d)[k], -low[k]])
        forms[-2 - 2 * k] = np.array([*-np.eye(d)[k], high[k]])
    below, n = np.eye(d, d + 1), 0
    for w, b, slopes in zip(net.weights, net.biases, net.slopes):
        below = w @ below
        below[:, -1] += b
        for j in np.flatnonzero(slopes != 1):
            forms[n] = below[j].copy()
            below[j] *= 1 if bits[n] else slopes[j]
            n += 1
    return forms


def on(forms, vertex):
    """The numbers of the forms that are 0 at a vertex."""
    numbers, rows = list(forms), np.array(list(forms.values()))
    return [numbers[i] for i in np.flatnonzero(abs(rows[:, :-1] @ vertex + rows[:, -1]) < ON_FOLD)]


SHAPES = [(3, 5, 4, 1), (3, 3, 3, 2, 1), (4, 5, 2, 1), (5, 6, 1), (6, 3, 2, 1)]


@every_isa
@pytest.mark.parametrize("slopes", [0, 0.01, -1, "mixed"])
def test_cells_and_their_vertices_are_those_of_exact_arithmetic(isa, slopes, monkeypatch):
    monkeypatch.setenv("FOLDLINE_ISA", isa)
    for seed, widths in enumerate(SHAPES):
        net, expected = generic_and_its_cells(seed, widths, slopes)
        box = fl.Box(-1, 1, n_in=widths[0])
        patterns, opens, _, (points, vertices, facets) = walked(net, box)
        assert not opens
        assert patterns == [bits for bits, _ in expected]
        found = net.patterns(points, exact=True)
        assert unpacked(found, len(points), net) == patterns
        for (bits, exact_corners), corners, numbers in zip(expected, vertices, facets, strict=True):
            forms = folds(net, box, bits)
            where = sorted(map(sorted, (on(forms, v) for v in corners)))
            assert where == sorted(map(sorted, (on(forms, v) for v in exact_corners)))
            assert {len(v) for v in where} == {box.dimension}
            assert len(numbers) == len(set(numbers))
            assert set(numbers) == set().union(*where)


@every_isa
def test_leaves_that_are_only_counted_are_as_many(isa, monkeypatch):
    monkeypatch.setenv("FOLDLINE_ISA", isa)
    for widths in [(3, 9, 9, 1), (4, 6, 6, 1), (5, 8, 1), (6, 9, 1)]:
        net, box = generic(3, widths), fl.Box(-1, 1, n_in=widths[0])
        n, opens, _, _ = walked(net, box, want_rows=False)
        patterns, _, _, _ = walked(net, box)
        assert not opens
        assert n == len(set(patterns))


def test_the_cells_below_all_prefixes_of_a_length_are_all_cells():
    net, box = generic(1, (3, 4, 4, 1)), fl.Box(-1, 1, n_in=3)
    patterns, _, _, _ = walked(net, box)
    for length in (1, net.n_neurons - 1, net.n_neurons):
        found = []
        for prefix in sorted({p[:length] for p in patterns}):
            below, opens, _, _ = walked(net, box, prefix)
            assert not opens
            assert walked(net, box, prefix, want_rows=False)[0] == len(below)
            found += below
        assert found == patterns


def test_cells_beyond_a_limit_lie_below_the_open_prefixes():
    net, box = generic(2, (4, 5, 4, 1)), fl.Box(-1, 1, n_in=4)
    patterns, _, _, _ = walked(net, box)
    for want_rows in (False, True):
        for most_cells in (1, 7, len(patterns) - 1):
            found, opens, exact_needed, _ = walked(net, box, want_rows=want_rows, most_cells=most_cells)
            n = found if not want_rows else len(found)
            left = [p for p in patterns if any(p[: len(o)] == o for o in opens)]
            assert n >= most_cells
            assert n + len(left) == len(patterns)
            assert not exact_needed or not opens


DEGENERATE = {
    "braid 3": (networks.braid(3), 3),
    "braid 4": (networks.braid(4), 4),
    "type B 3": (networks.type_b(3), 3),
    "Shi 3": (networks.braid(3, (0, 1 / 16)), 3),
    "grid": (networks.grid((2, 1, 2)), 3),
    "grid in four dimensions": (networks.grid((1, 2, 1, 1)), 4),
    "central": (networks.generic_central(6, 4), 4),
    "maximum of 4": (networks.sequential_max(4), 4),
    "maximum of 4, only ReLU": (networks.sequential_max_of_relus(4), 4),
    "dead and doubled": (networks.with_dead_and_doubled_units(0, (3, 6, 5, 1)), 3),
    "cancelling": (networks.cancelling(0, (3, 6, 4, 1)), 3),
    "all zero": (networks.ALL_ZERO, 3),
    "no folds": (networks.generic_affine(1, 5), 5),
}


@pytest.mark.parametrize("name", DEGENERATE)
@pytest.mark.parametrize("want_rows", [False, True])
def test_on_degenerate_networks_what_is_found_and_what_is_left_make_the_whole(name, want_rows):
    (layers, slopes), d = DEGENERATE[name]
    net, box = network(layers, slopes), fl.Box(-1, 1, n_in=d)
    chain = cells.ExactChain(net, box)
    expected = [bits for bits, _, _ in cells.iter_cells(chain)]
    found, opens, _, _ = walked(net, box, want_rows=want_rows)
    left = [bits for prefix in opens for bits, _, _ in cells.iter_cells(chain, prefix)]
    if want_rows:
        assert sorted(found + left) == expected
    else:
        assert found + len(set(left)) == len(expected)
        assert len(set(left)) == len(left)


def nearly_degenerate(seed, widths):
    """Small integers, rows that repeat, and then some weights moved by about 2^-15 to 2^-52."""
    rng = np.random.default_rng(seed)
    layers, slopes = networks.with_dead_and_doubled_units(seed, widths)
    for w, b in layers:
        for array in (w, b):
            array[...] = np.round(2 * array)
            moved = rng.random(array.shape) < 0.5
            array += moved * rng.standard_normal(array.shape) * 2.0 ** -rng.integers(15, 53)
    return network(layers, slopes)


@pytest.mark.parametrize("widths", [(3, 6, 4, 1), (4, 5, 3, 1), (5, 6, 1), (6, 4, 1)], ids=str)
def test_folds_that_nearly_coincide_are_told_apart_or_left_open(widths):
    box, n_found = fl.Box(-1, 1, n_in=widths[0]), 0
    for seed in range(12):
        net = nearly_degenerate(seed, widths)
        expected = [bits for bits, _, _ in cells.iter_cells(cells.ExactChain(net, box))]
        for want_rows in (True, False):
            found, opens, _, _ = walked(net, box, want_rows=want_rows)
            left = [p for p in expected if any(p[: len(o)] == o for o in opens)]
            n = len(found) if want_rows else found
            assert n + len(left) == len(expected)
            assert not want_rows or sorted(found + left) == expected
            n_found += n
    assert n_found


def tangents(n, d, seed=0):
    """n half-spaces around the unit ball, in floats."""
    a = np.random.default_rng(seed).standard_normal((n, d))
    return a / np.linalg.norm(a, axis=1, keepdims=True)


@every_isa
@pytest.mark.parametrize(("n", "d"), [(12, 3), (40, 3), (64, 3), (12, 4), (14, 5)])
def test_polytopes_with_few_facets_and_with_many(isa, n, d, monkeypatch):
    monkeypatch.setenv("FOLDLINE_ISA", isa)
    domain = fl.Polytope(tangents(n, d), np.ones(n))
    net = generic(0, (d, 4, 1), 0)
    expected = sorted(bits for bits, _, _ in cells.iter_cells(cells.ExactChain(net, domain)))
    patterns, opens, _, _ = walked(net, domain)
    if n < 64:
        assert not opens
        assert patterns == expected
        assert walked(net, domain, want_rows=False)[0] == len(expected)
    else:  # there is no place for another facet until some are cut away
        assert opens
        assert set(patterns) <= set(expected)


@pytest.mark.parametrize(
    "domain",
    [
        fl.Box(-1, 1, n_in=2),
        fl.Box(-1, 1, n_in=7),
        fl.Polytope(np.vstack([tangents(65, 3), np.eye(3), -np.eye(3)]), np.ones(71)),
        fl.Polytope([[s, t, u] for s in (1, -1) for t in (1, -1) for u in (1, -1)], np.ones(8)),
    ],
    ids=["plane", "seven dimensions", "more than 64 facets", "octahedron"],
)
def test_domains_it_cannot_keep_are_refused(domain):
    with pytest.raises(ArithmeticError, match="exact arithmetic"):
        walked(generic(0, (domain.n_in, 3, 1)), domain)
