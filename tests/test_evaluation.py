"""Outputs are within the derived bound of exact ones, and bit-identical however they are asked for."""

import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from fractions import Fraction
from multiprocessing import get_context

import networks
import numpy as np
import pytest
import reference
from conftest import environment
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import SHAPES, SIZES, random_network, random_points

import foldline as fl

PROPERTY = settings(max_examples=25, deadline=None)

# Everything that takes points and gives arrays with a row for each of them.
CALLS = {
    "outputs": lambda net, points, **how: (net.forward(points, **how),),
    "patterns": lambda net, points, **how: (net.patterns(points, **how),),
    "certain": lambda net, points, **how: net.patterns(points, return_certain=True, **how),
    "exact patterns": lambda net, points, **how: (net.patterns(points, exact=True, **how),),
    "evaluate": lambda net, points, **how: net.evaluate(points, **how),
    "preactivations": lambda net, points, **how: (net.preactivations(points, **how),),
    "local_affine": lambda net, points, **how: net.local_affine(points, **how),
}
every_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
every_shape = pytest.mark.parametrize("widths", SHAPES, ids=lambda w: "-".join(map(str, w)))


def assert_same_bits(got, wanted):
    """Equal dtype, shape and bytes: NaN equals NaN, and -0 is not 0."""
    assert len(got) == len(wanted)
    for a, b in zip(got, wanted):
        assert a.dtype == b.dtype
        assert a.shape == b.shape
        assert a.tobytes() == b.tobytes()


# The judge ----------------------------------------------------------------------------------------


def forward_in_fractions(layers, slopes, point):
    """The definition, written out: preactivations of the neurons, and outputs."""
    a, seen = [Fraction(float(x)) for x in point], []
    for i, (w, b) in enumerate(layers):
        z = [
            sum((Fraction(float(v)) * x for v, x in zip(row, a)), Fraction(float(c))) for row, c in zip(w, b)
        ]
        if i == len(slopes):
            return seen, z
        seen += [value for value, s in zip(z, slopes[i]) if s != 1]
        a = [value if value > 0 else Fraction(float(s)) * value for value, s in zip(z, slopes[i])]


@every_shape
def test_the_judge_agrees_with_the_definition_written_out_in_fractions(widths, dtype):
    layers, slopes = random_network(0, widths, dtype)
    points = random_points(1, 2, widths[0], dtype)
    outputs = reference.outputs(layers, slopes, points).fractions()
    preactivations = reference.preactivations(layers, slopes, points)
    bits = reference.bits(layers, slopes, points)
    for i, point in enumerate(points):
        seen, output = forward_in_fractions(layers, slopes, point)
        assert preactivations[i].tolist() == seen
        assert outputs[i].tolist() == output
        assert bits[i].tolist() == [z > 0 for z in seen]


@every_shape
def test_the_judges_map_gives_the_judges_output_also_elsewhere_in_the_region(widths):
    layers, slopes = random_network(0, widths)
    point = random_points(1, 1, widths[0])[0]
    near = point + 2.0**-40
    pair = np.stack([point, near])
    assert len(set(map(bytes, reference.patterns(layers, slopes, pair)))) == 1
    a, b = reference.local_affine(layers, slopes, point)
    mapped = reference.Exact.of(pair) @ a.T + b
    assert (mapped.fractions() == reference.outputs(layers, slopes, pair).fractions()).all()


def test_the_judge_packs_the_first_neuron_into_the_lowest_bit():
    bits = np.array([[1, 0, 0, 0, 0, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0, 0, 1, 1]], bool)
    assert reference.pack(bits).tolist() == [[1, 0], [130, 1]]


def test_the_judge_knows_the_tent():
    layers, slopes = networks.tent(3)
    points = np.array([[0], [1 / 16], [1 / 8], [3 / 16], [1 / 2], [1], [-1], [2]])
    outputs = reference.outputs(layers, slopes, points).fractions()
    assert outputs.ravel().tolist() == [0, Fraction(1, 2), 1, Fraction(1, 2), 0, 0, 0, 0]


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_the_judge_knows_the_maximum(n):
    points = networks.random_points(0, 50, n)
    for build in (networks.sequential_max, networks.sequential_max_of_relus):
        outputs = reference.outputs(*build(n), points).fractions()
        assert outputs[:, 0].tolist() == [Fraction(x) for x in points.max(axis=1)]


def test_the_judge_folds_every_coordinate_to_and_fro():
    (spread, again, *_), slopes = networks.fold_then_cut(4, 1, 2, 3)
    points = np.arange(17)[:, None] / 16
    up_and_down = reference.sums([spread, again], slopes[:1], points)[-1].fractions()[:, 0] / 4
    assert up_and_down.tolist() == [Fraction(x, 4) for x in [0, 1, 2, 3, 4, 3, 2, 1] * 2 + [0]]


def test_the_judges_radius_is_the_distance_to_the_nearest_line():
    network = networks.chain(([[3, 4], [1, 0]], [0, -10]), ([[1, 1]], None))
    for norm, distance in {"2": 1, "inf": Fraction(5, 7), "1": Fraction(5, 4)}.items():
        assert reference.squared_radius(*network, [1.0, 0.5], norm) == distance**2
    assert reference.squared_radius(*networks.NO_FOLDS, [1.0, 0.5], "2") is None


@every_shape
def test_the_judges_bounds_hold_for_numpy_and_are_not_loose(widths, dtype):
    layers, slopes = random_network(0, widths, dtype)
    points = random_points(1, 5, widths[0], dtype)
    a = points
    for (w, b), slope in zip(layers, [*slopes, None]):
        z = a @ w.T + b
        a = z if slope is None else np.where(z > 0, z, slope * z)
    exact, bound = (f(layers, slopes, points)[-1] for f in (reference.sums, reference.rounding_bounds))
    reference.assert_within(z, exact, bound)
    assert float(bound.fractions().max()) < np.finfo(dtype).eps * 3 ** len(widths) * max(widths)
    with pytest.raises(AssertionError, match="outside their bound"):
        reference.assert_within(z + z.dtype.type(2 * bound.fractions().max()), exact, bound)


# Right --------------------------------------------------------------------------------------------


def assert_outputs_are_right(network, points):
    net = fl.Network(*network)
    outputs = net(points)
    assert outputs.dtype == net.dtype
    reference.assert_within(
        outputs,
        reference.outputs(*network, points),
        reference.rounding_bounds(*network, points)[-1],
        "output",
    )


def assert_preactivations_are_right(network, points):
    net = fl.Network(*network)
    z = net.preactivations(points)
    assert z.dtype == net.dtype
    assert z.shape == (len(points), net.n_neurons)
    sums, bounds = reference.sums(*network, points), reference.rounding_bounds(*network, points)
    for column, (i, j) in zip(z.T, reference.neurons(network[1]), strict=True):
        what = f"preactivation of unit {j} of layer {i}"
        reference.assert_within(column, sums[i][:, j], bounds[i][:, j], what)


@every_shape
def test_outputs_are_within_the_derived_bound(widths, dtype):
    n_points = 129 if sum(widths) < 80 else 33
    assert_outputs_are_right(random_network(2, widths, dtype), random_points(3, n_points, widths[0], dtype))


def test_outputs_of_a_deep_and_wide_network_are_within_the_derived_bound(dtype):
    widths = (7, 300, 299, 200, 129, 128, 65, 64, 50, 3)
    assert_outputs_are_right(random_network(2, widths, dtype), random_points(3, 2, 7, dtype))


@every_shape
def test_preactivations_are_within_the_derived_bound(widths, dtype):
    assert_preactivations_are_right(random_network(2, widths, dtype), random_points(3, 17, widths[0], dtype))


@pytest.mark.parametrize("name", networks.difficult(np.float64))
def test_outputs_and_preactivations_of_difficult_networks_are_within_the_derived_bound(name, dtype):
    network, scale = networks.difficult(dtype)[name]
    points = random_points(4, 33, network[0][0][0].shape[1], dtype, scale)
    assert points.any()
    assert_outputs_are_right(network, points)
    assert_preactivations_are_right(network, points)


@PROPERTY
@given(
    widths=st.lists(st.integers(1, 30) | st.sampled_from([48, 50, 64, 65, 100, 300]), min_size=2, max_size=6),
    n_points=st.integers(1, 5),
    seed=st.integers(0, 2**32 - 1),
    dtype=st.sampled_from(networks.DTYPES),
)
def test_outputs_of_any_network_are_within_the_derived_bound(widths, n_points, seed, dtype):
    points = random_points(seed, n_points, widths[0], dtype)
    assert_outputs_are_right(random_network(seed, widths, dtype), points)


@pytest.mark.parametrize("known", networks.KNOWN, ids=lambda k: k.name)
def test_where_no_operation_rounds_everything_is_exact(known, dtype):
    network = networks.in_dtype(known.network, dtype)
    points = known.grid(dtype)[:500]
    net = fl.Network(*network)
    outputs, patterns = net.evaluate(points)
    assert (outputs == reference.outputs(*network, points).fractions()).all()
    assert (net.preactivations(points) == reference.preactivations(*network, points)).all()
    assert (patterns == reference.patterns(*network, points)).all()


# The same, however asked for ----------------------------------------------------------------------


@every_shape
def test_every_way_of_asking_gives_the_same_bits(widths, dtype):
    net = fl.Network(*random_network(5, widths, dtype))
    points = random_points(6, 129, widths[0], dtype)
    outputs, patterns = net.evaluate(points)
    assert patterns.dtype == np.uint8
    assert patterns.shape == (129, (net.n_neurons + 7) // 8)
    assert_same_bits([net(points)], [outputs])
    assert_same_bits([net.forward(points)], [outputs])
    assert_same_bits([net.patterns(points)], [patterns])
    assert_same_bits([net.patterns(points, return_certain=True)[0]], [patterns])
    assert_same_bits([reference.pack(net.preactivations(points) > 0)], [patterns])


@every_call
@every_shape
def test_a_row_is_the_same_in_every_batch(call, widths, dtype):
    net = fl.Network(*random_network(5, widths, dtype))
    points = random_points(6, max(SIZES), widths[0], dtype)
    whole = call(net, points)
    for size in SIZES:
        assert_same_bits(call(net, points[:size]), [array[:size] for array in whole])
        assert_same_bits(call(net, points[129 - size :]), [array[129 - size :] for array in whole])
    alone = [call(net, points[i : i + 1]) for i in range(len(points))]
    assert_same_bits([np.concatenate(arrays) for arrays in zip(*alone)], whole)


@PROPERTY
@given(
    seed=st.integers(0, 2**32 - 1),
    widths=st.lists(st.integers(1, 40), min_size=2, max_size=5),
    cuts=st.lists(st.integers(0, 400), max_size=6),
    dtype=st.sampled_from(networks.DTYPES),
    call=st.sampled_from([CALLS[name] for name in ("certain", "evaluate", "preactivations", "local_affine")]),
)
def test_random_splits_give_the_same_bits(seed, widths, cuts, dtype, call):
    net = fl.Network(*random_network(seed, widths, dtype))
    points = random_points(seed, 400, widths[0], dtype)
    parts = [call(net, part) for part in np.split(points, sorted(cuts))]
    assert_same_bits([np.concatenate(arrays) for arrays in zip(*parts)], call(net, points))


@pytest.fixture(scope="module")
def threads():
    with ThreadPoolExecutor(3) as pool:
        yield pool


@pytest.fixture(scope="module")
def processes():
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        yield pool


@pytest.fixture(scope="module")
def many():
    """A network and enough points that they are shared out among workers."""
    network = random_network(7, (5, 9, 8, 17, 3), np.float32)
    return fl.Network(*network), random_points(8, 20_011, 5, np.float32)


@every_call
@pytest.mark.parametrize("workers", [1, 2, 4, np.int64(2), "threads", "processes"], ids=str)
def test_any_workers_give_the_same_bits(call, workers, many, request):
    net, points = many
    if isinstance(workers, str):
        workers = request.getfixturevalue(workers)
    assert_same_bits(call(net, points, workers=workers), call(net, points))
    for size in (0, 1, 65):  # and the user's executor is still open
        assert_same_bits(call(net, points[:size], workers=workers), call(net, points[:size]))


def test_one_network_serves_many_threads_at_once(many, threads):
    net, points = many
    blocks = np.array_split(points, 37)
    results = list(threads.map(net.evaluate, blocks))
    assert_same_bits([np.concatenate(arrays) for arrays in zip(*results)], net.evaluate(points))


def test_a_process_pool_fills_the_callers_out(many, processes):
    net, points = many
    out = np.full((len(points), 3), np.nan, np.float32)
    assert net.forward(points, out=out, workers=processes) is out
    assert_same_bits([out], [net(points)])


# Arrays of every kind -----------------------------------------------------------------------------


def misaligned(points):
    """A copy that starts one byte past an aligned address."""
    raw = np.empty(points.nbytes + 1, np.uint8)
    view = raw[1:].view(points.dtype).reshape(points.shape)
    view[...] = points
    return view


def spread(points, rows, columns):
    """A copy whose rows and columns are that many steps apart, filled with NaN between them."""
    n, m = points.shape
    wide = np.full((n * abs(rows), m * abs(columns)), np.nan, points.dtype)
    view = wide[::rows, ::columns]
    view[...] = points
    return view


def in_records(points):
    """A copy in one field of a structured array: the distance of rows is no multiple of an item."""
    records = np.zeros(len(points), [("tag", np.uint8), ("x", points.dtype, (points.shape[1],))])
    records["x"] = points
    return records["x"]


LAYOUTS = {
    "Fortran order": np.asfortranarray,
    "misaligned": misaligned,
    "rows reversed": lambda p: spread(p, -1, 1),
    "columns reversed": lambda p: spread(p, 1, -1),
    "every other column": lambda p: spread(p, 1, 2),
    "every third row, columns reversed": lambda p: spread(p, 3, -2),
    "a field of records": in_records,
    "a slice of three dimensions": lambda p: np.stack([p, -p], axis=2)[:, :, 0],
    "byte-swapped": lambda p: p.astype(p.dtype.newbyteorder()),
    "read-only": lambda p: np.frombuffer(p.tobytes(), p.dtype).reshape(p.shape),
}


@every_call
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_points_may_lie_anywhere_in_memory(call, layout, dtype):
    net = fl.Network(*random_network(9, (5, 9, 8, 3), dtype))
    for n_points in (1, 63, 65, 130):
        points = random_points(10, n_points, 5, dtype)
        laid_out = layout(points)
        assert (laid_out == points).all()
        wanted = call(net, points)
        assert_same_bits(call(net, laid_out), wanted)
        assert_same_bits(call(net, laid_out, workers=2), wanted)
        assert (laid_out == points).all(), "points are only read"


@every_call
def test_one_row_may_be_repeated_without_memory(call, dtype):
    net = fl.Network(*random_network(9, (5, 9, 8, 3), dtype))
    row = random_points(10, 1, 5, dtype)
    wanted = [np.repeat(array, 70, axis=0) for array in call(net, row)]
    assert_same_bits(call(net, np.broadcast_to(row, (70, 5))), wanted)


@every_call
@pytest.mark.parametrize("workers", [1, 2, "processes"])
def test_a_memmap_is_points(call, workers, many, tmp_path, request):
    net, points = many
    if workers == "processes":
        workers = request.getfixturevalue(workers)
    points[:3000].tofile(tmp_path / "points")
    mapped = np.memmap(tmp_path / "points", np.float32, "r", shape=(3000, 5))
    assert_same_bits(call(net, mapped, workers=workers), call(net, points[:3000]))


@pytest.mark.parametrize("kind", [np.int8, np.uint16, np.int32, np.int64, np.uint64])
def test_integer_points_become_the_networks_dtype(kind, dtype):
    net = fl.Network(*random_network(9, (5, 9, 3), dtype))
    points = np.arange(40).reshape(8, 5).astype(kind)
    points[0, 0] = np.iinfo(kind).max
    assert_same_bits(net.evaluate(points), net.evaluate(points.astype(dtype)))


def test_lists_become_the_networks_dtype(dtype):
    net = fl.Network(*random_network(9, (2, 9, 3), dtype))
    wanted = net.evaluate(np.array([[1, 2], [-3, 0.1]], dtype))
    assert_same_bits(net.evaluate([[1, 2], [-3, 0.1]]), wanted)
    assert_same_bits(net.evaluate([(1.0, 2.0), (-3.0, 0.1)]), wanted)
    assert_same_bits(net.evaluate([[1, 2]]), [array[:1] for array in wanted])


@every_call
def test_an_empty_batch_is_a_batch(call, dtype):
    net = fl.Network(*random_network(9, (5, 9, 8, 3), dtype))
    points = random_points(10, 4, 5, dtype)
    for workers in (1, 2):
        got = call(net, points[:0], workers=workers)
        assert_same_bits(got, [array[:0] for array in call(net, points)])


def test_a_network_without_folds_has_patterns_of_no_bytes(dtype):
    for network in (networks.AFFINE, networks.NO_FOLDS):
        net = fl.Network(*networks.in_dtype(network, dtype))
        points = random_points(0, 70, 2, dtype)
        outputs, patterns = net.evaluate(points)
        assert net.n_neurons == 0
        assert patterns.shape == (70, 0)
        assert net.preactivations(points).shape == (70, 0)
        assert net.patterns(points, return_certain=True)[1].all()
        assert net.patterns(points, exact=True).shape == (70, 0)
        assert outputs.shape == (70, net.n_out)


# out= ---------------------------------------------------------------------------------------------

OUTS = {
    "C order": lambda shape, dtype: np.full(shape, np.nan, dtype),
    "Fortran order": lambda shape, dtype: np.full(shape, np.nan, dtype, order="F"),
    "every other column": lambda shape, dtype: spread(np.full(shape, np.nan, dtype), 1, 2),
    "rows reversed": lambda shape, dtype: spread(np.full(shape, np.nan, dtype), -1, 1),
    "both reversed and spread": lambda shape, dtype: spread(np.full(shape, np.nan, dtype), -2, -3),
}


@pytest.mark.parametrize("make_out", OUTS.values(), ids=OUTS)
@pytest.mark.parametrize("n_points", [0, 1, 64, 65, 129])
@pytest.mark.parametrize("workers", [1, 2])
def test_out_is_filled_and_returned(make_out, n_points, workers, dtype):
    net = fl.Network(*random_network(9, (5, 9, 8, 3), dtype))
    points = random_points(10, n_points, 5, dtype)
    out = make_out((n_points, 3), dtype)
    assert net.forward(points, out=out, workers=workers) is out
    assert_same_bits([out], [net.forward(points)])


@pytest.mark.parametrize("n_points", [1, 15, 64, 65, 129])
@pytest.mark.parametrize("n_out", [1, 3, 8, 17])
def test_nothing_beside_out_is_written(n_points, n_out, dtype):
    net = fl.Network(*random_network(9, (5, 9, n_out), dtype))
    points = random_points(10, n_points, 5, dtype)
    for step in (1, 2):
        around = np.full((n_points + 2, step * (n_out + 2)), 7, dtype)
        out = around[1:-1, step:-step:step]
        assert out.shape == (n_points, n_out)
        net.forward(points, out=out)
        assert_same_bits([out], [net.forward(points)])
        out[...] = 7
        assert (around == 7).all()


def test_out_may_be_given_by_position(dtype):
    net = fl.Network(*random_network(9, (5, 9, 3), dtype))
    points = random_points(10, 9, 5, dtype)
    out = np.empty((9, 3), dtype)
    assert net(points, out) is out
    assert_same_bits([out], [net(points)])


# Rows that are not finite -------------------------------------------------------------------------


@every_call
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf], ids=str)
@pytest.mark.parametrize("workers", [1, 2])
def test_rows_that_are_not_finite_leave_the_others_alone(call, value, workers, dtype):
    if call is CALLS["exact patterns"]:
        call = CALLS["certain"]  # nothing can be proved about such rows
    net = fl.Network(*random_network(9, (5, 9, 8, 3), dtype))
    points = random_points(10, 130, 5, dtype)
    wanted = call(net, points)
    bad = np.zeros(130, bool)
    bad[[0, 17, 63, 64, 129]] = True
    points[bad, np.arange(5)] = value
    got = call(net, points, allow_nonfinite=True, workers=workers)
    assert_same_bits([array[~bad] for array in got], [array[~bad] for array in wanted])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf], ids=str)
def test_rows_that_are_not_finite_are_never_certain(value, dtype):
    for network in (random_network(9, (5, 9, 8, 3), dtype), random_network(9, (5, 3), dtype)):
        net = fl.Network(*network)
        points = random_points(10, 70, 5, dtype)
        points[[0, 33, 64, 69], [0, 1, 2, 4]] = value
        certain = net.patterns(points, return_certain=True, allow_nonfinite=True)[1]
        assert not certain[[0, 33, 64, 69]].any()


# Manners ------------------------------------------------------------------------------------------


def rounds_to_nearest():
    return (
        1 + 2.0**-54 == 1 == 1 - 2.0**-55
        and np.float32(1) + np.float32(2.0**-25) == 1 == np.float32(1) - np.float32(2.0**-26)
        and np.ldexp(1.0, -1074) * 1 > 0
    )


@every_call
def test_rounding_is_left_as_it_was(call, many, threads):
    net, points = many
    for workers in (1, 2, threads):
        call(net, points[:3000], workers=workers)
        assert rounds_to_nearest()
    assert all(pool_thread.result() for pool_thread in [threads.submit(rounds_to_nearest) for _ in range(12)])


def test_a_result_is_the_callers_own(many):
    net, points = many
    first = net.evaluate(points[:65])
    kept = [array.copy() for array in first]
    net.evaluate(-points[:65])
    assert_same_bits(first, kept)
    assert all(array.flags.writeable and array.flags.c_contiguous for array in first)


INTERRUPTED = """
import signal, sys, time
import numpy as np
import foldline as fl
from networks import random_network

signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it
call, workers = sys.argv[1], int(sys.argv[2])
if call == "exact":
    net = fl.Network(*random_network(0, (2, 50, 50, 50, 50, 1), bias=0))
    points = np.zeros((300_000, 2)) + [[1, 0]]
    w = net.weights[0]
    points[:, 1] = -np.resize(w[:, 0] / w[:, 1], len(points))  # nearly on a fold, every one of them
elif call.startswith("linear_radius"):
    n_in = int(call.removeprefix("linear_radius"))
    net = fl.Network(*random_network(0, (n_in, *[1000] * 4, 1)))
    points = np.random.default_rng(0).standard_normal((5000, n_in))
elif call == "maps":
    net = fl.Network(*random_network(0, (784, *[1000] * 5)))
    points = np.random.default_rng(0).standard_normal((64, 784))
elif call.startswith("regions"):
    n_in, engine = {"regions784": (784, "lp"), "regions12": (12, "exact")}[call]
    rng = np.random.default_rng(0)
    layers = [(rng.integers(-4, 5, s) / 4, rng.integers(-4, 5, s[0]) / 4) for s in ((200, n_in), (200, 200))]
    net, box = fl.Network([*layers, (np.ones((1, 200)), None)]), fl.Box(-1, 1, n_in=n_in)
else:
    net = fl.Network(*random_network(0, (2, *[300] * 8, 1), np.float32))
    points = np.random.default_rng(0).standard_normal((3_000_000, 2)).astype(np.float32)
calls = {
    "forward": lambda: net.forward(points, workers=workers),
    "exact": lambda: net.patterns(points, exact=True, workers=workers),
    "local_affine": lambda: net.local_affine(points, workers=workers),
    "count": lambda: fl.count_patterns(net, points, workers=workers),
    "knots": lambda: fl.knots(net, points[:50_000], points[50_000:100_000], workers=workers),
    "linear_radius2": lambda: fl.linear_radius(net, points, workers=workers),
    "linear_radius784": lambda: fl.linear_radius(net, points, workers=workers),
    "maps": lambda: net.local_affine(points),
    "regions784": lambda: fl.count_regions(net, box, engine=engine, workers=workers),
    "regions12": lambda: fl.count_regions(net, box, engine=engine, workers=workers),
}
print("calling", flush=True)
try:
    calls[call]()
except KeyboardInterrupt:
    print("interrupted", time.monotonic(), flush=True)
    raise
print("finished", flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
@pytest.mark.parametrize(
    "call",
    [
        *("forward 1", "forward 2", "local_affine 1", "maps 1", "count 1", "count 2", "exact 1", "knots 1"),
        *("knots 2", "linear_radius2 1", "linear_radius784 1", "linear_radius784 2", "regions784 1"),
        *("regions784 2", "regions12 1", "regions12 2"),
    ],
)
def test_control_c_stops_a_long_call_within_a_second(call):
    child = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, *call.split()],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout.readline() == "calling\n", child.stderr.read()
        time.sleep(0.5)
        assert child.poll() is None
        sent = time.monotonic()
        child.send_signal(signal.SIGINT)
        said, errors = child.communicate(timeout=20)
        gone = time.monotonic()
    finally:
        child.kill()
    assert said.startswith("interrupted"), said + errors
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert child.returncode == -signal.SIGINT
    assert float(said.split()[1]) - sent < 1
    assert gone - sent < 2  # the interpreter's own leave-taking included
