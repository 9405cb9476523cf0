"""Cells in exact arithmetic: the core's integers against Python's, prefix by prefix and limit by limit.

Python's integers have no size, and cells.py shares nothing with the core; it is itself held against known
answers in test_regions.py.
"""

import itertools
import time

import networks
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import foldline as fl
from foldline import cells, exact_cells

SMALL, LARGE = 2, 2**40
KINDS = ("activation", "linear", "affine")


def network(layers, slopes):
    return fl.Network(layers, activation=slopes)


def integer_network(seed, widths, largest=SMALL):
    """Integers, a third of them 0, with ReLU, half slopes, absolute values and units that pass through."""
    rng = np.random.default_rng(seed)
    layers = []
    for n_in, n_out in itertools.pairwise(widths):
        w = rng.integers(-largest, largest + 1, (n_out, n_in)) * rng.choice([0, 1, 1], (n_out, n_in))
        layers.append((w.astype(float), rng.integers(-largest, largest + 1, n_out) * float(seed % 2)))
    return fl.Network(layers, activation=[rng.choice([0, 0, 0.5, -1, 1], n) for n in widths[1:-1]])


def described(bits, forms, vertices, facets):
    return bits, tuple(forms), frozenset(vertices), frozenset(facets)


def python_cells(chain, prefix=()):
    d = chain.dimension
    return [
        described(bits, forms.ravel().tolist(), cell.vertices, cells.facet_vertices(cell, d))
        for bits, cell, forms in cells.iter_cells(chain, prefix)
    ]


def core_cells(walk, *arguments, **limits):
    return [described(r.bits, r.forms, r.vertices, r.facets) for r in walk.rows(*arguments, **limits)]


def ties(walk):
    """The prefixes that the core leaves to Python, when all it does is count."""
    start = bytes(-(-walk.chain.n_neurons // 8))
    return walk.step(start, 0, 10**9, 1e9).ties


@pytest.mark.parametrize("known", networks.KNOWN, ids=lambda k: k.name)
def test_known_networks_are_counted_in_the_core_alone(known):
    chain = cells.ExactChain(network(*known.network), fl.Box(known.low, known.high, n_in=known.n_in))
    walk = exact_cells.ExactWalk(chain)
    assert sum(walk.counts()) == known.activation
    assert ties(walk) == []


@given(
    st.integers(0, 2**32),
    st.integers(1, 5),
    st.lists(st.integers(1, 4), max_size=4),
    st.integers(1, 2),
    st.sampled_from([SMALL, SMALL, 2**20, LARGE]),
    st.sampled_from([fl.Space, lambda d: fl.Box(-1, 1, n_in=d)]),
    st.sampled_from([1, 5, 10**9]),
)
@settings(max_examples=200, deadline=None)
def test_cells_are_those_of_unbounded_integers(seed, d, hidden, n_out, largest, domain, most_cells):
    chain = cells.ExactChain(integer_network(seed, (d, *hidden, n_out), largest), domain(d))
    walk, expected = exact_cells.ExactWalk(chain), python_cells(chain)
    assert core_cells(walk, most_cells=most_cells) == expected
    assert sum(walk.counts(most_cells=most_cells)) == len(expected)


@pytest.mark.parametrize("seed", range(4))
def test_what_outgrows_the_integers_is_done_in_python(seed):
    chain = cells.ExactChain(integer_network(seed, (2, 4, 4, 1), LARGE), fl.Box(-1, 1, n_in=2))
    walk, expected = exact_cells.ExactWalk(chain), python_cells(chain)
    assert ties(walk)
    assert core_cells(walk) == expected
    assert sum(walk.counts()) == len(expected)


def test_only_a_part_of_the_cells_may_outgrow_the_integers():
    """The second layer is huge where x < 0 only."""
    first = ([[-1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], [0.0, 0.0, 0.5])
    second = ([[2.0**61, 1.0, 1.0], [2.0**60, 2.0, -1.0]], [-1.0, -0.5])
    chain = cells.ExactChain(fl.Network([first, second, ([[1.0, 1.0]], None)]), fl.Box(-1, 1, n_in=2))
    walk, expected = exact_cells.ExactWalk(chain), python_cells(chain)
    assert {packed[0] & 1 for packed, _ in ties(walk)} == {1}
    assert core_cells(walk) == expected
    assert sum(walk.counts()) == len(expected)


def test_outputs_that_are_too_large_matter_to_rows_only():
    net = fl.Network([([[1.0], [-1.0]], [0.0, 0.5]), ([[2.0**61, 2.0**61]], [1.0]), ([[2.0]], None)])
    chain = cells.ExactChain(net, fl.Segment([-1], [1]))
    walk, expected = exact_cells.ExactWalk(chain), python_cells(chain)
    assert core_cells(walk) == expected
    assert sum(walk.counts()) == len(expected) == 3


@pytest.mark.parametrize("weight", [2.0**62, 2.0**-70, 1e300])
def test_numbers_that_never_fit_are_left_to_python(weight):
    net = fl.Network([([[1.0, weight], [1.0, -1.0]], [0.0, 0.25]), ([[1.0, 1.0]], None)])
    chain = cells.ExactChain(net, fl.Box(-1, 1, n_in=2))
    walk = exact_cells.ExactWalk(chain)
    assert [length for _, length in ties(walk)] == [0]
    assert core_cells(walk) == python_cells(chain)
    assert sum(walk.counts()) == 4


@pytest.mark.parametrize("domain", [fl.Box(-1, 1, n_in=3), fl.Space(3)], ids=["box", "space"])
@pytest.mark.parametrize("largest", [SMALL, 2**20])
def test_below_a_prefix_are_the_cells_that_begin_with_it(domain, largest):
    chain = cells.ExactChain(integer_network(5, (3, 4, 3, 1), largest), domain)
    walk, everything = exact_cells.ExactWalk(chain), python_cells(chain)
    for length in range(chain.n_neurons + 1):
        prefixes = sorted({bits[:length] for bits, *_ in everything})
        for prefix in prefixes:
            expected = [row for row in everything if row[0][:length] == prefix]
            assert python_cells(chain, prefix) == core_cells(walk, [prefix]) == expected
            assert sum(walk.counts([prefix])) == len(expected)
        some = [prefix for prefix in prefixes if prefix[-1:] != (False,)]
        expected = [row for row in everything if row[0][:length] in some]
        assert core_cells(walk, some, most_cells=3) == expected
        assert len(list(cells.iter_cells_below(chain, some))) == len(expected)


@pytest.mark.parametrize("largest", [SMALL, LARGE])
def test_below_a_prefix_that_no_cell_has_there_is_nothing(largest):
    chain = cells.ExactChain(integer_network(3, (2, 3, 3, 1), largest), fl.Box(-1, 1, n_in=2))
    walk, found = exact_cells.ExactWalk(chain), {bits for bits, *_ in python_cells(chain)}
    missing = [p for p in itertools.product([False, True], repeat=chain.n_neurons) if p not in found]
    assert missing
    for prefix in missing:
        assert python_cells(chain, prefix) == core_cells(walk, [prefix]) == []
        assert sum(walk.counts([prefix])) == 0


def test_python_cuts_once_for_each_neuron_of_a_prefix(monkeypatch):
    chain = cells.ExactChain(integer_network(1, (2, 8, 8, 1)), fl.Box(-1, 1, n_in=2))
    everything = [bits for bits, *_ in cells.iter_cells(chain)]
    cuts, split = [], cells._split
    monkeypatch.setattr(cells, "_split", lambda *arguments: cuts.append(1) or split(*arguments))
    for bits in everything:
        cuts.clear()
        assert [found for found, *_ in cells.iter_cells(chain, bits)] == [bits]
        assert len(cuts) <= chain.n_neurons < len(everything)


@pytest.mark.parametrize("most_cells", [1, 2, 7, 10**9])
@pytest.mark.parametrize("seconds", [0.0, 1e9])
def test_steps_end_at_their_limits_and_add_up(most_cells, seconds):
    shi = network(*networks.braid(4, shifts=(0, 1 / 16)))
    walk = exact_cells.ExactWalk(cells.ExactChain(shi, fl.Box(-1, 1, n_in=4)))
    steps = list(walk.counts(most_cells=most_cells, seconds=seconds))
    assert sum(steps) == 125
    assert max(steps) <= most_cells
    if seconds:
        assert min(steps[:-1], default=most_cells) == most_cells
    else:
        assert len(steps) > 3


def test_a_step_takes_about_as_long_as_it_may():
    chain = cells.ExactChain(integer_network(1, (6, 14, 14, 1)), fl.Box(-1, 1, n_in=6))
    steps = exact_cells.ExactWalk(chain).counts(most_cells=10**9, seconds=0.05)
    start = time.monotonic()
    assert next(steps) > 0
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("want", ["count", "patterns", "rows"])
@pytest.mark.parametrize("largest", [SMALL, 2**26])
def test_a_step_brings_what_was_wanted_and_says_what_is_left(want, largest):
    chain = cells.ExactChain(integer_network(10, (2, 5, 4, 1), largest), fl.Box(-1, 1, n_in=2))
    walk, everything = exact_cells.ExactWalk(chain), [bits for bits, *_ in cells.iter_cells(chain)]
    found = walk.step(bytes(-(-chain.n_neurons // 8)), 0, 6, 1e9, want)
    assert found.n_cells == 6 and found.opens and bool(found.ties) == (largest != SMALL)
    left = []
    for packed, length in found.opens + found.ties:
        bits = np.unpackbits(np.frombuffer(packed, np.uint8), bitorder="little")
        left.append(tuple(bits[:length].astype(bool).tolist()))
    here = [bits for bits in everything if not any(bits[: len(prefix)] == prefix for prefix in left)]
    assert len(here) == 6
    patterns = None if want == "count" else np.packbits(here, axis=1, bitorder="little").tolist()
    assert (found.patterns is None) == (want == "count")
    assert want == "count" or found.patterns.tolist() == patterns
    assert [row.bits for row in found.rows] == (here if want == "rows" else [])


@pytest.mark.parametrize("seed", range(4))
def test_pictures_of_space_are_walked_through_as_any_domain(seed):
    """There biases multiply a form of their own."""
    net, found = integer_network(2 * seed + 1, (2, 4, 3, 1)), set()
    for chart in fl.Space(2)._charts():
        chain = cells.ExactChain(net, chart)
        walk, expected = exact_cells.ExactWalk(chain), python_cells(chain)
        assert core_cells(walk) == expected
        found |= {bits for bits, *_ in expected}
    assert len(found) == sum(exact_cells.ExactWalk(cells.ExactChain(net, fl.Space(2))).counts())


@pytest.mark.parametrize("seed", range(8))
def test_all_of_space_has_the_regions_of_a_box_that_holds_every_vertex(seed):
    d = 1 + seed % 3
    net = integer_network(seed, (d, 4, 3, 1))
    for kind in KINDS:
        everywhere = fl.count_regions(net, fl.Space(d), kind=kind)
        assert everywhere.count == fl.count_regions(net, fl.Box(-(2.0**40), 2.0**40, n_in=d), kind=kind).count


def test_regions_that_are_unbounded_both_ways_are_joined_across_their_facets():
    """2 |s| - |s - 1| - |s + 1| of s = x + y: constant, and the same, at both ends; -s + s folds nothing."""
    folds = ([[1.0, 1.0]] * 5, [0.0, -1.0, 1.0, -2.0, -2.0])
    net = fl.Network([folds, ([[2.0, -1.0, -1.0, 1.0, -1.0]], None)], activation=[np.full(5, -1.0)])
    found = [fl.count_regions(net, fl.Space(2), kind=kind).count for kind in KINDS]
    assert found == [5, 4, 3]


def test_vertices_modulo_lines_do_not_depend_on_the_way_there():
    """Space(3) cut by functions of x + y and z only, one of them in the second layer: a line is left."""
    net = fl.Network(
        [
            ([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0], [2.0, 2.0, 1.0]], [0.0, 1.0, -1.0]),
            ([[1.0, 1.0, -1.0], [1.0, -2.0, 0.0]], [0.0, -1.0]),
            ([[1.0, 1.0]], None),
        ]
    )
    for kind in KINDS:
        flat = fl.count_regions(net, fl.Plane([0, 0, 0], [1, 0, 0], [0, 0, 1], extent=2.0**30), kind=kind)
        assert fl.count_regions(net, fl.Space(3), kind=kind).count == flat.count > 4


def test_more_facets_than_a_machine_word_has_bits():
    """Lines y = (2 i + 1) x - i (i + 1) through the parabola's points (i, i^2) and the next: above all of
    them is a polygon, which is cut out by a network, and is a domain."""
    i = np.arange(-35.0, 35.0)
    above = np.stack([-(2 * i + 1), np.ones(70)], axis=1)
    net = fl.Network([(above, i * (i + 1)), (np.ones((1, 70)), None)])
    polygon = fl.Polytope(np.vstack([-above, [[0, 1]]]), np.append(i * (i + 1), 1225))
    corners = fl.Network([([[0.0, 1.0], [-1.0, 1.0]], [-1224.0, -1.0]), ([[1.0, 1.0]], None)])
    for chain in (cells.ExactChain(net, fl.Box(-40, 1300, n_in=2)), cells.ExactChain(corners, polygon)):
        walk, expected = exact_cells.ExactWalk(chain), python_cells(chain)
        assert core_cells(walk) == expected
        assert max(len(facets) for *_, facets in expected) > 64
        assert ties(walk) == []


@pytest.mark.parametrize("d", [16, 17])
def test_any_number_of_inputs(d):
    """The core takes 16."""
    rows = np.vstack([np.eye(d)[:3], np.eye(d)[:1] + np.eye(d)[1:2]])
    net = fl.Network([(rows, [0.0, 1.0, 2.0, 3.0]), (np.ones((1, 4)), None)])
    walk = exact_cells.ExactWalk(cells.ExactChain(net, fl.Space(d)))
    assert len(ties(walk)) == (d == 17)
    assert sum(walk.counts()) == 2 * 7  # three lines in general position, and a hyperplane across


def test_more_cuts_on_a_path_than_the_core_goes_down():
    n = 4200
    net = fl.Network([(np.ones((n, 1)), -np.arange(float(n))), (np.ones((1, n)), None)])
    walk = exact_cells.ExactWalk(cells.ExactChain(net, fl.Segment([-1], [n])))
    assert len(ties(walk)) == 1
    assert sum(walk.counts()) == n + 1


def test_many_layers():
    layers = [([[1.0], [-1.0]], None), *[([[1.0, -1.0], [-1.0, 1.0]], None)] * 1500, ([[1.0, 1.0]], None)]
    walk = exact_cells.ExactWalk(cells.ExactChain(fl.Network(layers), fl.Box(-1, 1, n_in=1)))
    assert sum(walk.counts()) == 2
