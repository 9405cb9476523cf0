"""Exact counts against the known answers, and the laws that counts obey."""

import itertools
from math import comb

import networks
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import foldline as fl

KINDS = ("activation", "linear", "affine")


def network(layers, slopes, dtype=np.float64):
    layers = [(np.asarray(w, dtype), None if b is None else np.asarray(b, dtype)) for w, b in layers]
    return fl.Network(layers, activation=[np.asarray(s, dtype) for s in slopes])


def counts(net, domain):
    results = [fl.count_regions(net, domain, kind=kind) for kind in KINDS]
    assert all(r.status == "complete" and r.certified == "exact" for r in results)
    return tuple(r.count for r in results)


def integer_network(seed, widths, bias=True, largest=2):
    """Small integers: parallel, equal, opposite and concurrent folds everywhere."""
    rng = np.random.default_rng(seed)
    return fl.Network(
        [
            (
                rng.integers(-largest, largest + 1, (n_out, n_in)).astype(float),
                rng.integers(-largest, largest + 1, n_out).astype(float) if bias else None,
            )
            for n_in, n_out in itertools.pairwise(widths)
        ]
    )


def distinct_generic_cells(net, low, high, n_points, seed=0):
    """Patterns of random points: with all bits proved, each is an activation region."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(low, high, (n_points, net.n_in))
    return len(np.unique(net.patterns(points, exact=True), axis=0))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("known", networks.KNOWN, ids=lambda k: k.name)
def test_known_networks_have_their_known_numbers_of_regions(known, dtype):
    found = counts(network(*known.network, dtype), fl.Box(known.low, known.high, n_in=known.n_in))
    expected = (known.activation, known.linear, known.affine)
    assert [f for f, e in zip(found, expected) if e is not None] == [e for e in expected if e is not None]
    assert found[2] <= found[1] <= found[0]


@pytest.mark.parametrize(("n", "d"), [(5, 2), (8, 2), (6, 3), (7, 3), (6, 4), (4, 1)])
def test_generic_hyperplanes_cut_all_of_space_into_the_binomial_sum(n, d):
    net = network(*networks.generic_affine(n, d))
    assert fl.count_regions(net, fl.Space(d)).count == sum(comb(n, k) for k in range(d + 1))


@pytest.mark.parametrize(("n", "d"), [(5, 2), (5, 3), (7, 3), (6, 4)])
def test_generic_bias_free_hyperplanes_cut_space_as_they_cut_a_ball_around_0(n, d):
    net = network(*networks.generic_central(n, d))
    expected = 2 * sum(comb(n - 1, k) for k in range(d))
    assert fl.count_regions(net, fl.Space(d)).count == expected
    assert fl.count_regions(net, fl.Ball([0] * d, 2.0**-40)).count == expected


@pytest.mark.parametrize(("n_layers", "expected"), [(1, 3), (2, 6), (3, 10), (4, 18), (5, 34)])
def test_tents_have_their_known_count_on_the_whole_line(n_layers, expected):
    assert fl.count_regions(network(*networks.tent(n_layers)), fl.Space(1)).count == expected


@given(st.integers(0, 2**32), st.lists(st.integers(1, 5), min_size=1, max_size=3), st.integers(1, 3))
@settings(max_examples=25, deadline=None)
def test_counts_obey_the_laws_on_degenerate_networks(seed, hidden, n_in):
    net = integer_network(seed, (n_in, *hidden, 1), bias=seed % 2 == 0)
    box = fl.Box(-1, 1, n_in=n_in)
    expected = counts(net, box)
    assert expected[2] <= expected[1] <= expected[0]
    assert distinct_generic_cells(net, -1, 1, 400, seed) <= expected[0]

    rng = np.random.default_rng(seed)
    weights, biases = [w.copy() for w in net.weights], [b.copy() for b in net.biases]
    for layer, width in enumerate(hidden):
        order = rng.permutation(width)
        scale = 2.0 ** rng.integers(-3, 4, width)
        weights[layer] = weights[layer][order] * scale[:, None]
        biases[layer] = biases[layer][order] * scale
        weights[layer + 1] = weights[layer + 1][:, order] / scale
    assert counts(fl.Network(list(zip(weights, biases))), box) == expected

    weights, biases = list(net.weights), list(net.biases)
    weights[0] = np.vstack([weights[0], weights[0][:1], np.zeros((1, n_in))])
    biases[0] = np.append(biases[0], [biases[0][0], -1.0])
    outgoing = weights[1].copy()
    outgoing[:, :1] /= 2
    weights[1] = np.hstack([outgoing, outgoing[:, :1], np.ones((len(outgoing), 1))])
    assert counts(fl.Network(list(zip(weights, biases))), box) == expected


@pytest.mark.parametrize("seed", range(6))
def test_cutting_the_domain_adds_exactly_the_cells_that_meet_the_cut(seed):
    net = integer_network(seed, (3, 4, 3, 1))
    whole = fl.count_regions(net, fl.Box(-1, 1, n_in=3)).count
    left = fl.count_regions(net, fl.Box([-1, -1, -1], [0.3, 1, 1])).count
    right = fl.count_regions(net, fl.Box([0.3, -1, -1], [1, 1, 1])).count
    slice_ = fl.count_regions(net, fl.Plane([0.3, 0, 0], [0, 1, 0], [0, 0, 1])).count
    assert left + right - whole == slice_


def test_the_same_set_said_in_different_ways_has_the_same_count():
    net = integer_network(3, (2, 5, 4, 1))
    box = fl.Box(-0.5, 0.5, n_in=2)
    expected = counts(net, box)
    faces = np.vstack([np.eye(2), -np.eye(2)])
    assert counts(net, fl.Ball([0, 0], 0.5)) == expected
    assert counts(net, fl.Polytope(faces, np.full(4, 0.5))) == expected
    assert counts(net, fl.Polytope(np.repeat(faces, 2, axis=0), [0.5, 9] * 4)) == expected
    assert counts(net, fl.Plane([0, 0], [0.5, 0], [0, 0.5])) == expected
    assert counts(net, fl.Plane([0, 0], [1, 0], [0, 1], extent=0.5)) == expected


def test_a_ball_is_centred_without_rounding():
    """1 + 2^-60 is not a float: as a box the ball would start on the fold, or after it."""
    net = fl.Network([([[1.0]], [-1.0]), ([[1.0]], None)])
    assert fl.count_regions(net, fl.Ball([1.0], 2.0**-60)).count == 2
    assert fl.count_regions(net, fl.Box([1.0], [1.0 + 2.0**-52])).count == 1


def test_a_segment_is_counted_in_one_dimension():
    net = network(*networks.tent(4))
    assert fl.count_regions(net, fl.Segment([0], [1])).count == 16
    assert fl.count_regions(net, fl.Segment([1], [0.5])).count == 8
    assert fl.count_regions(integer_network(1, (3, 4, 1)), fl.Segment([0, 0, 0], [1, 1, 1])).count >= 1


def test_more_facets_than_a_machine_word_has_bits():
    angles = np.linspace(0, 2 * np.pi, 100, endpoint=False)
    tangents = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    net = fl.Network([(tangents, np.full(100, -0.5)), (np.ones((1, 100)), None)])
    inside = fl.count_regions(net, fl.Polytope(tangents, np.full(100, 0.5)))
    assert inside.count == 1
    assert fl.count_regions(net, fl.Plane([0, 0], [1, 0], [0, 1], extent=0.501)).count > 300


def test_a_limit_gives_a_lower_bound_that_says_so():
    net = integer_network(0, (2, 6, 6, 1))
    box = fl.Box(-1, 1, n_in=2)
    full = fl.count_regions(net, box).count
    for limit in (1, full - 1):
        part = fl.count_regions(net, box, max_regions=limit)
        assert (part.count, part.status, part.certified) == (limit, "limit", "lower_bound")
    assert fl.count_regions(net, box, max_regions=full).status == "complete"
    for kind in KINDS:
        part = fl.count_regions(net, box, kind=kind, engine="exact", time_limit=1e-9)
        assert part.status == "limit" and 1 <= part.count <= fl.count_regions(net, box, kind=kind).count


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: fl.Box(0, 0, n_in=2), "empty or flat"),
        (lambda: fl.Box([2**53], [2**53 + 1]), "is 9007199254740993; both round to 9007199254740992.0"),
        (lambda: fl.Box(-(2**60) - 1, -(2**60), n_in=2), "both round to -1.152921504606847e"),
        (lambda: fl.Box([0, 1], [1, 1]), r"low\[1\] is 1.0, high\[1\] is 1.0"),
        (lambda: fl.Box(-1, 1), "wanted n_in="),
        (lambda: fl.Box([0, 0], [1, 1, 1]), "wanted"),
        (lambda: fl.Box(0, np.inf, n_in=1), "finite"),
        (lambda: fl.Box(0, np.nan, n_in=1), "finite"),
        (lambda: fl.Ball([0, 0], 0), "radius is 0.0"),
        (lambda: fl.Ball([[0]], 1), "shape"),
        (lambda: fl.Plane([0, 0, 0], [1, 2, 3], [2, 4, 6]), "parallel"),
        (lambda: fl.Plane([0, 0], [0, 0], [1, 0]), "parallel, or zero"),
        (lambda: fl.Plane([0, 0], [1, 0], [0, 1, 0]), "v has 3"),
        (lambda: fl.Plane([0, 0], [1, 0], [0, 1], extent=-1), "extent is -1.0"),
        (lambda: fl.Segment([1, 2], [1, 2]), "two points"),
        (lambda: fl.Polytope([[1, 0]], [1, 2]), "wanted"),
        (lambda: fl.Space(0), "at least 1"),
    ],
)
def test_impossible_domains_say_what_came_and_what_was_wanted(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_domains_take_real_numbers_only():
    with pytest.raises(TypeError, match="dtype"):
        fl.Box(["a"], ["b"])
    with pytest.raises(TypeError, match="complex"):
        fl.Ball([1j], 1)


@pytest.mark.parametrize(
    ("domain", "message"),
    [
        (fl.Polytope([[1, 0], [0, 1]], [1, 1]), "unbounded"),
        (fl.Polytope([[1, 0], [-1, 0], [0, 1]], [1, 1, 1]), "unbounded"),
        (fl.Polytope([[1, 0], [-1, 0], [0, 1], [0, -1]], [0, 0, 1, 1]), "flat"),
        (fl.Polytope([[1, 0], [-1, 0], [0, 1], [0, -1]], [-1, 0, 1, 1]), "empty"),
        (fl.Box(-1, 1, n_in=3), "has 3 inputs; this network takes 2"),
    ],
)
def test_domains_that_cannot_be_counted_on_are_refused(domain, message):
    with pytest.raises(ValueError, match=message):
        fl.count_regions(integer_network(0, (2, 3, 1)), domain)


def test_bad_arguments_are_refused():
    net, box = integer_network(0, (2, 3, 1)), fl.Box(-1, 1, n_in=2)
    with pytest.raises(TypeError, match="wanted a Network"):
        fl.count_regions([net], box)
    with pytest.raises(TypeError, match="wanted a Box"):
        fl.count_regions(net, (-1, 1))
    with pytest.raises(ValueError, match="kind is 'cells'"):
        fl.count_regions(net, box, kind="cells")
    with pytest.raises(ValueError, match="max_regions is 0"):
        fl.count_regions(net, box, max_regions=0)
    for most in (1.5, 1.0, np.float64(1), np.inf, True, "1"):
        with pytest.raises(TypeError, match="max_regions is .*; wanted an int"):
            fl.count_regions(net, box, max_regions=most)
    assert type(fl.count_regions(net, box, max_regions=np.int64(1)).count) is int
    with pytest.raises(ValueError, match="time_limit is -1"):
        fl.count_regions(net, box, time_limit=-1)
