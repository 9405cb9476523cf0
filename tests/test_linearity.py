"""Verdicts on linearity: right where the answer is known, never wrong, and with proofs that hold."""

import math
import time
from fractions import Fraction

import networks
import numpy as np
import pytest
import reference
from networks import chain, random_network, two_neurons

import foldline as fl
from foldline import cells
from foldline.maps import told_apart

SQUARE = fl.Box(-1, 1, n_in=2)


def check(network, domain, **how):
    """The verdict, whose proof has been verified."""
    net = network if isinstance(network, fl.Network) else fl.Network(*network)
    verdict = fl.check_affine(net, domain, **how)
    assert bool(verdict) == (verdict.status == "affine")
    assert (verdict.certificate is not None) == (verdict.status == "affine")
    assert (verdict.witness is not None) == (verdict.status == "not_affine")
    proof = verdict.certificate or verdict.witness
    assert proof is None or proof.refusal() is None
    return verdict


def number_of_maps(net, domain):
    """By exhaustive rational enumeration."""
    found = cells.iter_cells(cells.ExactChain(net, domain))
    return len({tuple(forms.ravel().tolist()) for _, _, forms in found})


# The two-neuron question --------------------------------------------------------------------------


@pytest.mark.parametrize("domain", [SQUARE, fl.Space(2), fl.Ball([0, 0], 0.5)], ids=repr)
@pytest.mark.parametrize(
    ("w1", "w2", "v", "U"),
    [
        ([1, 2], [-1, 1], [1, 1], None),
        ([1, 2], [-1, 1], [0, 0], [0, 0]),
        ([1, 2], [-1, 1], [1, 0], None),
        ([1, 2], [2, 4], [1, 1], None),
        ([1, 2], [2, 4], [2, -1], [0, 0]),
        ([1, 2], [-2, -4], [1, 1], None),
        ([1, 2], [-2, -4], [2, -1], [2, 4]),
        ([1, 2], [-3, -6], [3, -1], [3, 6]),
        ([1, 2], [0, 0], [1, 1], None),
        ([1, 2], [0, 0], [0, 1], [0, 0]),
        ([0, 0], [0, 0], [1, 1], [0, 0]),
    ],
)
def test_the_two_neuron_table_is_answered_exactly(w1, w2, v, U, domain):
    verdict = check(two_neurons(w1, w2, v), domain)
    assert verdict.status == ("not_affine" if U is None else "affine")
    if U is not None:
        assert verdict.A.tolist() == [U]
        assert verdict.b.tolist() == [0]


@pytest.mark.parametrize("known", [k for k in networks.KNOWN if k.affine is not None], ids=lambda k: k.name)
def test_a_network_is_affine_iff_it_has_one_affine_region(known, dtype):
    network = networks.in_dtype(known.network, dtype)
    verdict = check(network, fl.Box(known.low, known.high, n_in=known.n_in))
    assert verdict.status == ("affine" if known.affine == 1 else "not_affine")


# Affine, though neurons fold ----------------------------------------------------------------------

CANCELLING = {
    "relu(z) - relu(-z)": chain(([[1, 2], [-1, -2]], [1, -1]), ([[1, -1]], [3])),
    "a duplicated unit, cancelled": chain(([[1, 2], [3, 6], [1, 0]], [1, 3, 4]), ([[3, -1, 1]], None)),
    "dead units": chain(([[1, 2], [0, 0]], [-9, -1]), ([[1, 1]], [3])),
    "abs(z) - abs(z)": chain(([[1, 2], [-2, -4]], None), ([[2, -1]], None), slopes=[-1]),
    "a leaky pair": chain(([[1, 2], [-1, -2]], None), ([[1, -1]], None), slopes=[0.25]),
    "two layers of pairs": chain(
        ([[1, 2], [-1, -2]], None), ([[1, -1], [-1, 1]], [0.5, -0.5]), ([[1, -1], [2, -2]], [0, 1])
    ),
    # relu(relu(x)) - relu(relu(-x)): units of the second layer do not have one fold
    "across layers": chain(([[1, 0], [-1, 0]], None), ([[1, 0], [0, 1]], None), ([[1, -1]], None)),
    "hidden by the next layer": chain(([[1, 0], [0, 1]], None), ([[-1, -1]], [-1]), ([[1]], [2])),
}


@pytest.mark.parametrize("name", CANCELLING)
def test_cancelling_neurons_are_found_affine(name):
    net = fl.Network(*CANCELLING[name])
    domain = fl.Box(-1, 1, n_in=net.n_in)
    verdict = check(net, domain)
    assert verdict.status == "affine"
    assert verdict.volume_proved == 1
    assert number_of_maps(net, domain) == 1


def test_the_map_is_that_of_the_forward_pass():
    verdict = check(CANCELLING["two layers of pairs"], SQUARE)
    points = np.random.default_rng(0).integers(-8, 9, (50, 2)) / 8
    net = verdict.certificate.net
    assert (net(points) == points @ verdict.A.T + verdict.b).all()
    assert verdict.deviation == (0, 0)


def test_a_network_that_folds_only_outside_the_box_is_affine_on_it():
    net = fl.Network(*chain(([[1, 1], [1, -1]], [2, -2]), ([[1, 1]], None)))
    assert check(net, SQUARE)  # the folds touch corners
    assert not check(net, fl.Box(-1, 1.125, n_in=2))


def test_cancelling_neurons_in_many_dimensions_need_no_regions():
    rng = np.random.default_rng(0)
    w = rng.integers(-3, 4, (20, 100))
    net = fl.Network(*chain((np.vstack([w, -w]), None), (np.hstack([np.eye(20), -np.eye(20)]), None)))
    for domain in (fl.Box(-1, 1, n_in=100), fl.Space(100), fl.Ball(np.zeros(100), 1)):
        verdict = check(net, domain)
        assert verdict
        assert (verdict.A == w).all()
        assert verdict.n_regions == 0


# Not affine ---------------------------------------------------------------------------------------


def test_a_witness_is_three_points_on_a_line_and_the_neuron_between_them():
    net = fl.Network(*random_network(3, (2, 6, 5, 1), slopes=0))
    witness = check(net, SQUARE).witness
    x, y, z = (np.array(p) for p in (witness.x, witness.y, witness.z))
    assert np.allclose(x + y, 2 * z)
    layers, slopes = random_network(3, (2, 6, 5, 1), slopes=0)
    points = [*witness.points, [(a + b) / 2 for a, b in zip(*witness.points)]]
    values = [forward(layers, slopes, point) for point in points]
    assert witness.gap == values[0] + values[1] - 2 * values[2] != 0
    assert len(witness.neurons) == 1


def forward(layers, slopes, point):
    """The first output at a point of Fractions."""
    a = list(point)
    for i, (w, b) in enumerate(layers):
        rows = zip(w.tolist(), b.tolist())
        a = [sum((Fraction(m) * x for m, x in zip(row, a)), Fraction(c)) for row, c in rows]
        if i < len(slopes):
            a = [z if z > 0 else Fraction(s) * z for z, s in zip(a, slopes[i].tolist())]
    return a[0]


def test_a_fold_in_the_last_corner_is_found():
    """Random points do not see it: a share of 1e-24 of the box, in one layer and behind another."""
    offset = -(4 - 2.0**-20)
    net = chain((np.ones((1, 4)), [offset]), ([[1]], None))
    assert not check(net, fl.Box(-1, 1, n_in=4))
    behind = chain((np.ones((2, 4)), [5, 6]), ([[1, 0]], [offset - 5]), ([[1]], None))
    assert not check(behind, fl.Box(-1, 1, n_in=4))


def test_a_slope_that_changes_by_one_part_in_1e300_is_seen():
    assert not check(chain(([[1], [-1]], None), ([[1, -1 + 2.0**-53]], None)), fl.Box(-1, 1, n_in=1))
    assert not check(chain(([[1], [-1]], None), ([[1e300, 1e-300]], None)), fl.Box(-1, 1, n_in=1))
    assert not check(chain(([[1e-300]], None), ([[1]], [1e300])), fl.Box(-1, 1, n_in=1))


def test_each_output_has_its_own_answer():
    net = fl.Network(*chain(([[1], [-1]], None), ([[1, -1], [1, 1]], None)))
    line = fl.Box(-1, 1, n_in=1)
    assert check(net, line).witness.outputs == (1,)
    assert check(net, line, outputs=0)
    assert check(net, line, outputs=[0]).outputs == (0,)
    assert not check(net, line, outputs=1)
    assert check(net, line, outputs=[1, 0]).witness.outputs == (1,)


# Domains ------------------------------------------------------------------------------------------

THREE_RIDGES = fl.Network(*networks.THREE_RIDGES)


@pytest.mark.parametrize(
    ("domain", "A"),
    [
        (fl.Ball([3, 1], 0.5), [[0, 0]]),
        (fl.Ball([3, -1], 0.5), [[0, -1]]),
        (fl.Ball([3, 0], 0.5), None),
        (fl.Segment([1, 3], [2, 5]), [[0]]),
        (fl.Segment([1, -3], [2, -5]), [[1]]),
        (fl.Segment([-1, -3], [2, 5]), None),
        (fl.Plane([3, 1], [1, 0], [0, 0.5]), [[0, 0]]),
        (fl.Plane([3, 1], [1, 0], [0, 2]), None),
        (fl.Polytope([[-1, 0], [0, -1], [1, 1]], [0, 0, 1]), [[0, 0]]),
        (fl.Polytope([[-1, 0], [0, -1], [1, 1]], [0.125, 0, 1]), None),
        (fl.Space(2), None),
    ],
    ids=repr,
)
def test_every_kind_of_domain_has_verdicts(domain, A):
    verdict = check(THREE_RIDGES, domain)
    assert verdict.status == ("not_affine" if A is None else "affine")
    if A is not None:
        assert verdict.A.tolist() == A
        assert verdict.b.tolist() == ([0] if type(domain).__name__ != "Segment" or A == [[0]] else [1])


def degenerate_domain(rng, d):
    kind = rng.integers(5)
    if kind == 0:
        return fl.Space(d)
    if kind == 1:
        return fl.Ball(rng.integers(-1, 2, d), float(rng.choice([0.5, 1, 2])))
    if kind == 2:
        return fl.Segment(rng.integers(-2, 0, d), rng.integers(0, 3, d) + 0.5)
    if kind == 3 and d < 3:
        return fl.Polytope(np.vstack([-np.eye(d), np.ones((1, d))]), [*np.ones(d), 2])
    return fl.Box(-1, 1, n_in=d)


def test_no_verdict_on_degenerate_networks_is_wrong():
    statuses = []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        net = fl.Network(*networks.degenerate(rng))
        domain = degenerate_domain(rng, net.n_in)
        statuses.append(check(net, domain).status)
        assert statuses[-1] == ("affine" if number_of_maps(net, domain) == 1 else "not_affine"), seed
    assert min(map(statuses.count, ("affine", "not_affine"))) > 30


# Limits -------------------------------------------------------------------------------------------


def dyadic_cells(n, d, seed=0):
    """Sums of relu(relu(z)) - relu(relu(z)): many cells, one map, and no units of one layer that cancel."""
    rng = np.random.default_rng(seed)
    w, b = rng.integers(-8, 9, (n, d)) / 8, rng.integers(-8, 9, n) / 16
    pairs = np.kron(np.eye(n), [[1.0], [1.0]])
    first = (pairs @ w, pairs @ b)  # twice relu(z)
    keep = np.kron(np.eye(n), [[1.0, 0.0], [0.0, 1.0]])
    keep[1::2, 0::2] += np.eye(n) * 0.5
    keep[1::2, 1::2] -= np.eye(n) * 0.5
    return chain(first, (keep, None), (np.tile([1.0, -1.0], n)[None], None))


def test_many_cells_with_one_map_are_proved_one_by_one():
    net = fl.Network(*dyadic_cells(5, 2))
    verdict = check(net, SQUARE)
    assert verdict
    assert verdict.n_regions == fl.count_regions(net, SQUARE).count > 8
    assert len(verdict.certificate.patterns) == verdict.n_regions
    assert set("".join(verdict.certificate.patterns)) == {"0", "1"}


def test_regions_up_to_a_limit_prove_a_share_of_the_domain():
    net = fl.Network(*dyadic_cells(5, 2))
    verdict = check(net, SQUARE, max_regions=4)
    assert verdict.status == "undecided"
    assert "limit" in verdict.reason
    assert verdict.n_regions >= 4
    assert 0 < verdict.volume_proved < 1
    assert verdict.slope_change == 0


def test_maps_that_are_seen_to_differ_are_a_no_however_short_the_time():
    net = fl.Network(*networks.random_network(3, (2, 16, 16, 1), slopes=0))
    verdict = fl.check_affine(net, SQUARE, time_limit=1e-6)
    assert verdict.status == "not_affine" and verdict.verify()
    assert verdict.slope_change > 0 and verdict.n_regions > 1


def test_a_time_limit_is_kept_and_what_was_found_is_returned():
    net = fl.Network(*dyadic_cells(40, 4))
    begin = time.monotonic()
    verdict = fl.check_affine(net, fl.Box(-1, 1, n_in=4), time_limit=1.5)
    assert time.monotonic() - begin < 2.0  # 10%, and what a busy machine adds
    assert verdict.status == "undecided"
    assert verdict.n_regions > 0
    assert 0 < verdict.volume_proved < 1


def test_ties_in_many_dimensions_are_undecided_at_once():
    net = fl.Network(*dyadic_cells(3, 30))
    verdict = check(net, fl.Box(-1, 1, n_in=30))
    assert verdict.status == "undecided"
    assert "30 dimensions" in verdict.reason


# Within a tolerance -------------------------------------------------------------------------------

ABS = fl.Network(*networks.ABSOLUTE)


def test_the_absolute_value_is_within_one_half_of_affine_and_no_less():
    line = fl.Box(-1, 1, n_in=1)
    verdict = check(ABS, line, tol=0.5)
    assert verdict
    assert verdict.deviation[0] <= 0.5 == verdict.deviation[1]
    assert verdict.A.tolist() == [[0]] and verdict.b.tolist() == [0.5]
    verdict = check(ABS, line, tol=0.499)
    assert verdict.status == "not_affine"
    assert 0.499 < verdict.deviation[0] <= 0.5
    assert abs(verdict.witness.gap) > 4 * Fraction(0.499)


def test_what_is_within_a_tolerance_is_so_on_a_grid():
    net = fl.Network(*random_network(5, (2, 5, 5, 2), slopes=0))
    axis = np.linspace(-1, 1, 41)
    points = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    verdict = check(net, SQUARE, tol=10)
    assert verdict
    off = abs(net(points) - points @ verdict.A.T - verdict.b).max()
    assert 0.9 * verdict.deviation[1] < off <= verdict.deviation[1] <= 10
    assert verdict.certificate.deviation() == Fraction(verdict.deviation[1]) or off <= verdict.deviation[1]
    tight = check(net, SQUARE, tol=verdict.deviation[0] * 0.9)
    assert tight.status == "not_affine"


def test_between_the_bounds_the_answer_is_open():
    net = fl.Network(*random_network(5, (2, 5, 5, 2), slopes=0))
    low, high = check(net, SQUARE, tol=10).deviation
    assert 0 < low < high
    between = check(net, SQUARE, tol=(low + high) / 2)
    if between.status == "undecided":
        assert between.deviation[0] <= (low + high) / 2 < between.deviation[1]
    else:
        assert between.status == "not_affine"


# Bad input ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "error", "words"),
    [
        ({"tol": -1}, ValueError, "tol is -1"),
        ({"tol": math.nan}, ValueError, "tol is nan"),
        ({"tol": math.inf}, ValueError, "tol is inf"),
        ({"tol": "0"}, TypeError, "tol is '0'"),
        ({"outputs": 1}, ValueError, "0 to 0"),
        ({"outputs": -1}, ValueError, "0 to 0"),
        ({"outputs": [0, 0]}, ValueError, "different"),
        ({"outputs": []}, TypeError, "outputs is"),
        ({"outputs": 0.5}, TypeError, "outputs is 0.5"),
        ({"time_limit": 0}, ValueError, "time_limit is 0"),
        ({"max_regions": -1}, ValueError, "max_regions is -1"),
        ({"domain": fl.Box(-1, 1, n_in=3)}, ValueError, "3 inputs"),
        ({"domain": "box"}, TypeError, "domain is str"),
        ({"domain": fl.Polytope([[1, 0], [-1, 0], [0, 1]], [0, 0, 1])}, ValueError, "empty or flat"),
        ({"domain": fl.Polytope([[1, 0], [-1, 0]], [1, 1])}, ValueError, "unbounded"),
        ({"net": "net"}, TypeError, "net is str"),
    ],
    ids=str,
)
def test_bad_input_is_refused_with_what_was_wanted(how, error, words):
    arguments = {"net": fl.Network(*networks.THREE_RIDGES), "domain": SQUARE, **how}
    with pytest.raises(error) as refused:
        fl.check_affine(**arguments)
    assert words in str(refused.value)


# Data ---------------------------------------------------------------------------------------------


def test_points_of_one_cone_have_the_regression_coefficients_of_the_textbook():
    net = fl.Network(*two_neurons([1, 2], [3, -1], [2, 5]))
    rng = np.random.default_rng(0)
    points = rng.uniform(1, 2, (200, 2))
    data = fl.is_linear_on_data(net, points)
    assert data.status == "one_region" and data and data.n_maps == data.n_regions == 1
    assert data.U.tolist() == [[2 + 15, 4 - 5]]
    assert data.region_sizes.tolist() == data.map_sizes.tolist() == [200]


def test_several_regions_with_one_map_are_one_map():
    data = fl.is_linear_on_data(fl.Network(*networks.IDENTITY), [[1.0], [2.0], [-1.0]])
    assert data.status == "one_map" and data
    assert data.region.tolist() == [0, 0, 1]
    assert data.map.tolist() == [0, 0, 0]
    assert data.U.tolist() == [[1]]


def test_several_maps_are_counted_point_by_point(dtype):
    layers, slopes = random_network(7, (3, 8, 8, 2), dtype)
    net = fl.Network(layers, slopes)
    points = networks.random_points(8, 300, 3, dtype)
    data = fl.is_linear_on_data(net, points)
    assert data.status == "several_maps" and not data and data.U is None
    patterns = [row.tobytes() for row in reference.patterns(layers, slopes, points)]
    assert data.n_regions == len(set(patterns))
    assert data.region_sizes.sum() == data.map_sizes.sum() == 300
    assert (np.diff(data.region_sizes) <= 0).all() and (np.diff(data.map_sizes) <= 0).all()
    maps = [reference.local_affine(layers, slopes, p) for p in points]
    keys = [(tuple(A.fractions().ravel()), tuple(b.fractions())) for A, b in maps]
    assert data.n_maps == len(set(keys))
    for i in range(0, 300, 17):
        for j in range(300):
            assert (data.map[i] == data.map[j]) == (keys[i] == keys[j])
            assert (data.region[i] == data.region[j]) == (patterns[i] == patterns[j])
    near = np.einsum("pki,pi->pk", data.A[data.map], points.astype(float)) + data.b[data.map]
    assert np.allclose(near, net(points), rtol=1e-4, atol=1e-4)


def test_maps_that_differ_by_less_than_rounding_are_told_apart():
    net = fl.Network(*chain(([[1], [-1]], None), ([[1, -1 + 2.0**-53]], None)))
    assert fl.is_linear_on_data(net, [[1.0], [-1.0]]).n_maps == 2


def test_maps_are_told_apart_by_single_entries():
    """Of 100,000 maps some pairs have means that are the same up to what their errors add up to."""
    maps = np.random.default_rng(5).normal(size=(100_000, 3, 4)).round(6)
    maps[1] = maps[0]
    errors = np.full((3, 4), 1e-9)
    order, starts = told_apart(maps, errors)
    assert sorted(order) == list(range(len(maps)))
    assert [sorted(group) for group in np.split(order, starts[1:]) if len(group) > 1] == [[0, 1]]
    assert [len(part) for part in told_apart(maps[:0], errors)] == [0, 0]
    order, starts = told_apart(maps[:3], np.full((3, 4), np.inf))
    assert len(starts) == 1


@pytest.mark.parametrize(
    ("points", "error"),
    [
        (np.zeros((0, 1)), ValueError),
        (np.zeros((3, 2)), ValueError),
        ([["a"]], TypeError),
        ([[math.nan]], ValueError),
    ],
)
def test_bad_points_are_refused(points, error):
    with pytest.raises(error, match="points"):
        fl.is_linear_on_data(fl.Network(*networks.IDENTITY), points)


def test_outputs_that_overflow_are_not_within_a_tolerance():
    net = fl.Network([([[1.0], [1.0]], [0.0, 0.0]), ([[1e308, 1e308]], None)])
    assert fl.check_affine(net, fl.Box(-1, 1, n_in=1), tol=1e308).status == "undecided"


def test_nothing_cancels_where_nothing_folds():
    net = fl.Network([([[1.0, 1.0]], None), ([[1.0]], None)])
    assert "no neuron folds" in str(fl.check_affine(net, fl.Box(0, 1, n_in=2)))
