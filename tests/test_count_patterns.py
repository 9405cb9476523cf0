"""Counts of distinct patterns are those of a plain Counter over the packed rows."""

import weakref
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import networks
import numpy as np
import pytest
import reference
from foldline._core import PatternSet
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import SIZES, random_network, random_points

import foldline as fl


def assert_counted(count, patterns):
    """The count is that of these packed rows."""
    times = Counter(map(bytes, patterns)).values()
    singletons = sum(n == 1 for n in times)
    assert count == (len(times), len(patterns), *frequencies(times), 0.0, "points", "")
    if len(patterns):
        assert count.coverage == pytest.approx(1 - singletons / len(patterns), abs=1e-15)


def frequencies(times):
    return sum(n == 1 for n in times), sum(n == 2 for n in times), sum(n * (n - 1) for n in times)


def listed(seen):
    arrays = np.empty((seen.distinct, 2), np.uint64), np.empty(seen.distinct, np.uint64)
    arrays += (np.empty(seen.distinct, np.uint8),)
    seen.list(*arrays)
    return arrays


@pytest.mark.parametrize("n_neurons", [1, 7, 8, 9, 63, 64, 65, 127, 128, 129, 200, 300])
def test_a_count_is_that_of_a_counter_for_any_number_of_neurons(n_neurons, dtype):
    net = fl.Network(*random_network(70, (3, n_neurons, 2), dtype, slopes=0))
    points = random_points(71, 3000, 3, dtype)
    points[1000:1400] = points[:400]
    points[2000:2200] = points[:200]
    count = fl.count_patterns(net, points)
    assert_counted(count, net.patterns(points))
    if n_neurons > 7:
        assert 0 < count.singletons < count.distinct < count.n_points


def test_numbers_are_plain_ones():
    count = fl.count_patterns(fl.Network(*networks.ABSOLUTE), [[1.0], [2.0], [-1.0]])
    assert count == (2, 3, 1, 1, 2, 0.0, "points", "")
    assert count.coverage == 1 - 1 / 3
    assert all(type(n) is int for n in count[:5])
    assert type(count.coverage) is float


def test_a_count_is_frozen():
    count = fl.count_patterns(fl.Network(*networks.ABSOLUTE), [[1.0]])
    with pytest.raises(AttributeError):
        count.distinct = 7


@pytest.mark.parametrize("size", SIZES)
def test_a_count_is_that_of_a_counter_for_any_number_of_points(size, dtype):
    net = fl.Network(*random_network(72, (2, 5, 4, 1), dtype))
    points = random_points(73, size, 2, dtype)
    assert_counted(fl.count_patterns(net, points), net.patterns(points))


def test_the_table_grows(dtype):
    # All rows distinct, and as many of them as make the table grow more than once.
    net = fl.Network(*random_network(74, (20, 130, 1), dtype, slopes=0))
    points = random_points(75, 40_000, 20, dtype)
    count = fl.count_patterns(net, points)
    assert_counted(count, net.patterns(points))
    assert count.distinct > 39_000


@pytest.mark.parametrize("n_bytes", [*range(1, 20), 38])
def test_sets_of_rows_of_any_length_count_and_merge(n_bytes):
    # Of each byte few values, so that rows come once, twice and often, within a set and in both.
    rng = np.random.default_rng(84)
    values = rng.integers(0, 3, (12_000, n_bytes), np.uint8) * np.uint8(127)
    values[:, 3:] = values[:, :1]
    rows = np.concatenate([values[:9000], values[:3000], np.zeros((5, n_bytes), np.uint8)])
    if n_bytes >= 8:
        rows[:, 4:8] = np.arange(len(rows), dtype="<u4").view(np.uint8).reshape(-1, 4)
        rows[9000:12_000] = rows[:3000]
    for cut in (0, 1, 5000, len(rows)):
        whole, part = PatternSet(), PatternSet()
        whole.add(rows[:cut])
        part.add(rows[cut:])
        whole.add_counted(*listed(part)[:2])
        for again in (rows[:0], rows[:4000]):
            whole.add(again)
            times = Counter(map(bytes, np.concatenate([rows, again]))).values()
            assert whole.distinct == len(times)
            assert whole.frequencies == frequencies(times)
            assert sorted(listed(whole)[1].tolist()) == sorted(times)


def test_every_byte_is_a_pattern_of_its_own():
    rows = np.arange(256, dtype=np.uint8)[:, None]
    counted = PatternSet()
    counted.add(rows)
    assert (counted.distinct, counted.frequencies) == (256, (256, 0, 0))
    for n_again, twice in ((1, 1), (255, 254), (256, 1)):
        counted.add(rows[:n_again])
        assert (counted.distinct, counted.frequencies[:2]) == (256, (256 - n_again, twice))


def test_points_without_folds_have_one_pattern():
    for network in (networks.AFFINE, networks.NO_FOLDS, networks.ALL_ZERO):
        net = fl.Network(*network)
        count = fl.count_patterns(net, random_points(0, 100, net.n_in))
        assert (count.distinct, count.singletons, count.coverage) == (1, 0, 1)


def test_a_pattern_of_zeros_counts_like_any_other():
    net, points = fl.Network(*networks.ABSOLUTE), [[0], [1], [0], [-1]]
    assert_counted(fl.count_patterns(net, points), net.patterns(points))


def test_an_empty_batch_has_no_pattern_and_no_coverage():
    count = fl.count_patterns(fl.Network(*networks.ABSOLUTE), np.empty((0, 1)))
    assert (count.distinct, count.n_points, count.singletons) == (0, 0, 0)
    assert np.isnan(count.coverage)


@pytest.mark.parametrize("kind", ["a list", "a tuple", "an iterator", "a generator", "unequal", "one by one"])
def test_blocks_count_like_the_whole(kind, dtype):
    net = fl.Network(*random_network(76, (2, 9, 8, 1), dtype))
    points = random_points(77, 600, 2, dtype)
    halves = np.split(points, 2)
    parts = {
        "a list": halves,
        "a tuple": tuple(halves),
        "an iterator": iter(halves),
        "a generator": (half for half in halves),
        "unequal": iter([points[:1], points[1:1], points[1:400], points[400:]]),
        "one by one": (points[i : i + 1] for i in range(600)),
    }[kind]
    assert_counted(fl.count_patterns(net, parts), net.patterns(points))


class Table:
    """What NumPy takes as an array, as tensors and data frames are, and a loop takes apart."""

    def __init__(self, values):
        self.values, self.shape = values, values.shape

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.values, dtype)

    def __iter__(self):
        return iter(self.values)


def test_a_table_counts_as_the_array_that_it_is(dtype, tmp_path):
    net = fl.Network(*random_network(76, (2, 9, 8, 1), dtype))
    points = random_points(77, 600, 2, dtype)
    wanted = net.patterns(points)
    assert_counted(fl.count_patterns(net, Table(points)), wanted)
    assert_counted(fl.count_patterns(net, Table(points), checkpoint=tmp_path / "journal"), wanted)
    assert_counted(fl.count_patterns(net, Table(points.reshape(3, 200, 2))), wanted)
    torch = pytest.importorskip("torch")
    assert_counted(fl.count_patterns(net, torch.from_numpy(points)), wanted)


@pytest.mark.parametrize("domain", [fl.Box(-1, 1, n_in=1), fl.Segment([0], [1])], ids=["box", "segment"])
def test_a_domain_is_no_points_and_the_error_says_how_to_make_them(domain):
    with pytest.raises(TypeError, match=r"points is a \w+; wanted .* fl.sample.uniform\(domain, n\)"):
        fl.count_patterns(fl.Network(*networks.ABSOLUTE), domain)


def test_no_blocks_are_no_points():
    assert fl.count_patterns(fl.Network(*networks.ABSOLUTE), iter([])).n_points == 0


def test_blocks_are_taken_one_at_a_time():
    net = fl.Network(*networks.ABSOLUTE)
    taken = []

    def blocks():
        for _ in range(50):
            block = np.ones((1000, 1))
            taken.append(weakref.ref(block))
            yield block
            del block
            assert sum(ref() is not None for ref in taken) < 10, "blocks are hoarded"

    assert fl.count_patterns(net, blocks()).n_points == 50_000


def test_a_memmap_and_any_strides_are_counted(tmp_path, dtype):
    net = fl.Network(*random_network(78, (2, 9, 8, 1), dtype))
    points = random_points(79, 5000, 2, dtype)
    points.tofile(tmp_path / "points")
    mapped = np.memmap(tmp_path / "points", dtype, "r", shape=points.shape)
    swapped = points.astype(np.dtype(dtype).newbyteorder())
    for laid_out in (mapped, np.asfortranarray(points), points[::-1], swapped):
        assert_counted(fl.count_patterns(net, laid_out), net.patterns(points))


@pytest.mark.parametrize("n_neurons", [20, 200])
def test_any_workers_count_the_same(n_neurons):
    net = fl.Network(*random_network(80, (2, n_neurons, 1), np.float32))
    points = random_points(81, 30_000, 2, np.float32)
    wanted = net.patterns(points)
    spawn = get_context("spawn")
    with ThreadPoolExecutor(3) as threads, ProcessPoolExecutor(2, mp_context=spawn) as processes:
        for workers in (1, 2, 4, threads, processes):
            assert_counted(fl.count_patterns(net, points, workers=workers), wanted)
            assert_counted(fl.count_patterns(net, iter(np.split(points, 10)), workers=workers), wanted)


def test_rows_that_are_not_finite_are_counted_when_allowed(dtype):
    net = fl.Network(*random_network(82, (2, 9, 8, 1), dtype))
    points = random_points(83, 200, 2, dtype)
    points[::7, 1] = np.nan
    count = fl.count_patterns(net, points, allow_nonfinite=True)
    assert_counted(count, net.patterns(points, allow_nonfinite=True))


@pytest.mark.parametrize("known", networks.KNOWN, ids=lambda k: k.name)
def test_the_regions_of_known_networks_are_found_and_no_more(known):
    points = known.points(4096, np.float64)
    count = fl.count_patterns(fl.Network(*known.network), points)
    assert count.distinct == len(set(map(bytes, reference.patterns(*known.network, points))))
    assert count.distinct <= known.activation
    if known.sampled:
        assert count.distinct == known.activation


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    widths=st.lists(st.integers(1, 40), min_size=3, max_size=5),
    repeats=st.lists(st.integers(0, 99), max_size=300),
    dtype=st.sampled_from(networks.DTYPES),
)
def test_any_multiset_is_counted(seed, widths, repeats, dtype):
    net = fl.Network(*random_network(seed, widths, dtype))
    points = random_points(seed, 100, widths[0], dtype)[repeats]
    assert_counted(fl.count_patterns(net, points), net.patterns(points))
