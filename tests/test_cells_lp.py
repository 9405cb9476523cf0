"""Cells kept as half-spaces: against exact cells, known counts, and bounds that must not be wrong."""

from itertools import combinations
from math import comb, inf

import networks
import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st

import foldline as fl
from foldline import cells
from foldline.walk import DOUBLES, Prefix, Walk, bits_of

NO_LIMIT = 2**62
SLOPES = (0, 0.25, -1, 1, -2)


def network(layers, slopes):
    return fl.Network(layers, activation=list(slopes))


def walked(net, domain, want="patterns", prefix=None, most_cells=NO_LIMIT):
    """What the walk in doubles finds, and what it leaves open."""
    walk = Walk(net, domain, "lp", want=want)
    return walk.run([prefix or walk.root], inf, most_cells, patience=inf)


def unpacked(patterns, net):
    return [tuple(bits) for bits in fl.unpack_patterns(patterns, net.n_neurons).tolist()]


def exact_cells(net, domain):
    """Patterns of all cells, in order."""
    return [bits for bits, _, _ in cells.iter_cells(cells.ExactChain(net, domain))]


def open_ones(patterns, opens):
    """Those of the patterns that lie below a prefix, as often as they do."""
    return [p for o in opens for p in patterns if p[: o.length] == bits_of(o)]


def assert_right(net, domain):
    """Every cell is found once or lies below an open prefix, and nothing else is found. How many are open."""
    part = walked(net, domain)
    found, exact = unpacked(part.patterns, net), exact_cells(net, domain)
    assert part.n_cells == len(found)
    opened = open_ones(exact, part.opens)
    assert all(o.arithmetic > DOUBLES for o in part.opens)
    assert found == sorted(found)
    assert sorted(found + opened) == exact
    return len(opened)


def simplex(d, size=1.0):
    """|x_i| < size / 2, cut off by a slanted face: facets of several kinds, none parallel to the last."""
    slanted = np.arange(1, d + 1.0)
    return fl.Polytope(np.vstack([np.eye(d), -np.eye(d), slanted]), [size / 2] * 2 * d + [size * d / 4])


# Against exact cells ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "widths", [(1, 9, 9, 1), (2, 9, 8, 1), (3, 8, 5, 1), (4, 6, 4, 1), (5, 6, 3, 1), (7, 5, 1)]
)
@pytest.mark.parametrize("slope", SLOPES)
def test_random_networks_have_their_exact_cells_and_nothing_is_left_open(widths, slope):
    net = network(*networks.random_network(len(widths), widths, slopes=slope))
    assert assert_right(net, fl.Box(-1, 1, n_in=widths[0])) == 0


@pytest.mark.parametrize("d", [1, 2, 3, 4, 5])
def test_domains_of_other_shapes_and_places(d):
    net = network(*networks.random_network(d, (d, 7, 4, 1), slopes="mixed"))
    low = np.arange(d) / 4 - 1
    boxes = fl.Box(low, low + 1), fl.Ball(low, 0.75), fl.Box(np.full(d, -1e3), np.full(d, 1e-3))
    for domain in (*boxes, simplex(d), simplex(d, 1e-6)):
        assert assert_right(net, domain) == 0


def test_slices_of_many_dimensions():
    net = network(*networks.random_network(1, (40, 12, 9, 1)))
    rng = np.random.default_rng(0)
    for domain in (fl.Plane(*rng.standard_normal((3, 40))), fl.Segment(*rng.standard_normal((2, 40)))):
        assert assert_right(net, domain) == 0


@pytest.mark.parametrize("known", networks.KNOWN, ids=lambda k: k.name)
def test_known_networks_have_their_known_numbers_of_regions(known):
    net = network(*known.network)
    domain = fl.Box(known.low, known.high, n_in=known.n_in)
    assert_right(net, domain)
    assert fl.count_regions(net, domain, engine="lp").count == known.activation


@given(seed=st.integers(0, 2**32 - 1), d=st.integers(1, 4), bias=st.booleans(), deep=st.booleans())
@settings(max_examples=30, deadline=None)
def test_integer_networks_are_never_wrong(seed, d, bias, deep):
    rng = np.random.default_rng(seed)
    widths = (d, 5, 4, 1) if deep else (d, 7, 1)
    layers = [
        (rng.integers(-2, 3, (n, m)).astype(float), rng.integers(-2, 3, n).astype(float) if bias else None)
        for m, n in zip(widths, widths[1:])
    ]
    slopes = [rng.choice(SLOPES, n) for n in widths[1:-1]]
    assert_right(network(layers, slopes), fl.Box(-1, 1, n_in=d))


@pytest.mark.parametrize("name", networks.difficult(np.float64))
def test_difficult_networks_are_never_wrong(name):
    difficult, scale = networks.difficult(np.float64)[name]
    assert_right(network(*difficult), fl.Box(-scale, scale, n_in=3))


# Counts in more dimensions than exact cells can be had in -----------------------------------------


@pytest.mark.parametrize(("n", "d"), [(11, 7), (12, 9), (13, 12), (15, 14)])
def test_hyperplanes_that_all_meet_inside_make_the_binomial_sum(n, d):
    rng = np.random.default_rng(d)
    rows, offsets = rng.standard_normal((n, d)), rng.uniform(0.5, 1, n) / 2**16
    subsets = [list(s) for s in combinations(range(n), d)]
    # Every d of them meet inside the box, where every cell of the arrangement has a vertex then.
    assert max(abs(np.linalg.solve(rows[s], -offsets[s])).max() for s in subsets) < 1
    net = network(*networks.arrangement(rows, offsets))
    part = walked(net, fl.Box(-1, 1, n_in=d), want="count")
    assert (part.n_cells, part.opens) == (sum(comb(n, k) for k in range(d + 1)), [])


def test_a_grid_in_ten_dimensions():
    net = network(*networks.grid((1,) * 6 + (2,) * 4))
    assert walked(net, fl.Box(-1, 1, n_in=10), want="count").n_cells == 2**6 * 3**4


def test_a_neighbourhood_in_seventy_dimensions():
    rng = np.random.default_rng(0)
    net = network(*networks.random_network(0, (70, 40, 20, 1), slopes=0))
    center, radius = rng.standard_normal(70), 0.04
    part = walked(net, fl.Ball(center, radius))
    assert part.opens == [] and part.n_cells > 10
    points = center + radius * rng.choice([-0.9, 0.9], (1000, 70))
    sampled = {p.tobytes() for p in net.patterns(points, exact=True)}
    assert len(sampled) > 5
    assert sampled <= {p.tobytes() for p in part.patterns}


# Bounds that must hold in spite of rounding -------------------------------------------------------


@given(seed=st.integers(0, 2**32 - 1), d=st.integers(1, 4), exponent=st.integers(-200, 200))
@settings(max_examples=40, deadline=None)
def test_folds_through_a_vertex_of_others_as_nearly_as_rounding_allows(seed, d, exponent):
    rng = np.random.default_rng(seed)
    rows, point = rng.standard_normal((d, d)), rng.uniform(-0.5, 0.5, d)
    rows = np.vstack([rows, -rng.uniform(0.1, 1, (3, d)) @ rows])
    offsets = -rows @ point
    # Half of them miss the vertex by some roundings, on either side.
    offsets += rng.integers(-2, 3, len(rows)) * np.spacing(offsets)
    scales = 2.0 ** rng.integers(-abs(exponent), abs(exponent) + 1, len(rows))
    net = network(*networks.arrangement(rows * scales[:, None], offsets * scales))
    assert_right(net, fl.Box(-1, 1, n_in=d))


@given(seed=st.integers(0, 2**32 - 1), d=st.integers(1, 3), apart=st.integers(0, 60))
@settings(max_examples=40, deadline=None)
def test_nearly_parallel_folds_and_cells_thinner_than_rounding(seed, d, apart):
    rng = np.random.default_rng(seed)
    row, offset = rng.standard_normal(d), rng.uniform(-0.2, 0.2)
    rows = row + rng.standard_normal((4, d)) * 2.0**-apart
    offsets = offset + rng.standard_normal(4) * 2.0**-apart
    first = np.vstack([rows, -rows]), np.concatenate([offsets, -offsets])
    second = rng.standard_normal((3, 8)), rng.standard_normal(3) * 2.0**-apart
    layers, slopes = networks.chain(first, second, (np.ones((1, 3)), None))
    assert_right(network(layers, slopes), fl.Box(-1, 1, n_in=d))


@pytest.mark.parametrize("sharp", [10, 16, 22, 28, 34])
@pytest.mark.parametrize("d", [2, 3])
def test_a_fold_at_the_tip_of_a_wedge_that_rounding_moves(d, sharp):
    rng = np.random.default_rng(sharp)
    for _ in range(100):
        tip, (side, *across) = rng.uniform(-0.5, 0.5, d), rng.standard_normal((d, d))
        # The wedge is where the first d folds are positive: there the sum of `across` is negative, but for
        # the tip, whose place is off by roundings times 2^sharp. So is the last fold.
        wedge = [side, -side - 2.0**-sharp * across[0], *(-row for row in across[1:])]
        rows = np.vstack([*wedge, sum(across) + rng.uniform(-0.5, 0.5) * side])
        offsets = -rows @ tip
        offsets[d] += rng.uniform(-1, 1) * 2.0 ** (sharp - 53)
        assert_right(network(*networks.arrangement(rows, offsets)), fl.Box(-1, 1, n_in=d))


@pytest.mark.parametrize("scale", [1e-300, 1e-150, 1e-12, 1e12, 1e150, 1e270])
def test_weights_of_any_size(scale):
    first, last = networks.random_network(5, (3, 6, 4, 1))[0], [np.zeros(6), np.zeros(4)]
    layers = [(first[0][0] * scale, first[0][1] * scale), (first[1][0], first[1][1] * scale), first[2]]
    assert assert_right(network(layers, last), fl.Box(-1, 1, n_in=3)) == 0


@pytest.mark.parametrize("d", [2, 4])
def test_coordinates_of_any_size(d):
    sizes = 10.0 ** (np.arange(d) * 24 - 30)
    layers, slopes = networks.random_network(5, (d, 6, 4, 1), slopes=0)
    layers[0] = layers[0][0] / sizes, layers[0][1]
    assert assert_right(network(layers, slopes), fl.Box(-sizes, sizes)) == 0


# What is told of a cell ---------------------------------------------------------------------------


@pytest.mark.parametrize("widths", [(2, 8, 6, 1), (3, 7, 4, 1), (4, 6, 3, 1)])
def test_points_are_inside_and_facets_are_those_of_the_exact_cell(widths):
    layers, slopes = networks.random_network(1, widths, slopes="mixed")
    net, domain = network(layers, slopes), fl.Box(-1, 1, n_in=widths[0])
    part, chain = walked(net, domain, want="rows"), cells.ExactChain(net, domain)
    points, _, vertex_ends, _, ends, facets = part.rows[0]
    assert not vertex_ends.any()
    assert (reference.patterns(layers, slopes, points) == part.patterns).all()
    found = [set(facets[a:b].tolist()) for a, b in zip(np.append(0, ends), ends)]
    assert found == [exact_facets(chain, bits, cell) for bits, cell, _ in cells.iter_cells(chain)]


def exact_facets(chain, bits, cell):
    """The neurons, and -1 - i for the half-spaces of the box, that are 0 at d vertices but not at all."""
    d, below, bits = chain.dimension, chain.inputs, iter(bits)
    forms = {}
    for k in range(d):
        for side, sign in enumerate((1, -1)):
            forms[-1 - (2 * k + side)] = [sign * (i == k) for i in range(d)] + [1]
    for index in range(len(chain.layers) - 1):
        layer, folds = chain.forms(index, below), chain.folds(index)
        active = np.ones(len(layer), bool)
        active[folds] = [next(bits) for _ in folds]
        first = max(forms) + 1 if index else 0
        forms |= {first + i: layer[j].tolist() for i, j in enumerate(folds)}
        below = chain.activations(index, layer, active)
    zeros = {
        number: sum(sum(m * x for m, x in zip(form, v)) == 0 for v in cell.vertices)
        for number, form in forms.items()
    }
    return {number for number, n in zeros.items() if d <= n < len(cell.vertices)}


# Prefixes and limits ------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [1, 5, 8, 11, 13])
def test_prefixes_share_the_cells_among_them(length):
    net = network(*networks.random_network(3, (7, 8, 5, 1), slopes=0))
    domain = fl.Box(-1, 1, n_in=7)
    whole = unpacked(walked(net, domain).patterns, net)
    found = []
    for bits in sorted({p[:length] for p in whole}):
        packed = np.packbits(bits, bitorder="little").tobytes().ljust(2, b"\0")
        found += unpacked(walked(net, domain, prefix=Prefix(packed, length, DOUBLES)).patterns, net)
    assert found == whole


def test_a_run_that_is_stopped_goes_on_from_its_opens():
    net = network(*networks.random_network(4, (7, 8, 5, 1), slopes=0))
    domain = fl.Box(-1, 1, n_in=7)
    whole = unpacked(walked(net, domain).patterns, net)
    first = walked(net, domain, most_cells=100)
    assert first.n_cells == 100
    rest = [walked(net, domain, prefix=o) for o in first.opens]
    assert sorted(p for part in (first, *rest) for p in unpacked(part.patterns, net)) == whole


def test_every_instruction_set_finds_the_same_cells(run_python):
    script = """
import networks, numpy as np, foldline as fl
from foldline.walk import Walk
for d in (2, 5, 8, 11):
    layers, slopes = networks.random_network(d, (d, 9, 5, 1), slopes="mixed")
    walk = Walk(fl.Network(layers, activation=list(slopes)), fl.Box(-1, 1, n_in=d), "lp", want="patterns")
    part = walk.run([walk.root], 1e9, 2**62, patience=1e9)
    print(part.n_cells, len(part.opens), part.patterns.tobytes().hex())
"""
    outputs = set()
    for isa in fl.show_config().isa_available:
        run = run_python(script, isa=isa)
        assert run.returncode == 0, run.stderr
        outputs.add(run.stdout)
    assert len(outputs) == 1
    assert all(line.split()[1] == "0" for line in outputs.pop().splitlines())
