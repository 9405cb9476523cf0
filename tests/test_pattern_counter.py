"""Counters: the same result however points come, in memory, on disk and as sketches."""

import copy
import errno
import os
import pickle

import networks
import numpy as np
import pytest

import foldline as fl
from foldline import pattern_counter, spill

NET = fl.Network(*networks.random_network(11, (20, 130, 1), slopes=0))
OTHER = fl.Network(*networks.random_network(12, (20, 130, 1), slopes=0))


@pytest.fixture(scope="module")
def points():
    """So many patterns that some must go to disk and sketches must drop some; some of them come again."""
    points = networks.random_points(13, 150_000, 20)
    return np.concatenate([points, points[:40_000], points[:10_000]])


@pytest.fixture(scope="module")
def wanted(points):
    seen = np.unique(NET.patterns(points), axis=0, return_counts=True)[1]
    pairs = int((seen * (seen - 1)).sum())
    return len(seen), len(points), int((seen == 1).sum()), int((seen == 2).sum()), pairs, 0.0, "points", ""


HOWS = {"memory": {}, "disk": {"memory_limit": 1 << 20}, "sketch": {"sketch": True}}


@pytest.mark.parametrize("how", HOWS.values(), ids=HOWS)
def test_cuts_orders_merges_and_copies_do_not_matter(points, wanted, how):
    whole = fl.PatternCounter(NET, **how).update(points).result()
    if "sketch" not in how:
        assert whole == wanted
    parts = [fl.PatternCounter(NET, **how) for _ in range(3)]
    for i, block in enumerate(np.array_split(points, 17)):
        parts[i % 3].update(block, workers=1 + i % 2)
    first, second, third = parts
    copies = [pickle.loads(pickle.dumps(third)), copy.deepcopy(second), first]
    merged = fl.PatternCounter(NET, **how)
    for part in copies:
        merged.merge(part)
    assert merged.result() == whole == third.merge(first).merge(second).result()
    assert merged.result() == whole, "a result changes nothing"


def test_a_sketch_is_near_and_tells_how_near(points, wanted):
    found = fl.PatternCounter(NET, sketch=True).update(points).result()
    assert abs(found.distinct / wanted[0] - 1) < 3 * found.standard_error
    assert found.n_points == len(points)
    exact = fl.PatternCount(*wanted)
    for name in ("singletons", "doubletons", "pairs", "coverage", "chao1_lower"):
        assert getattr(found, name) == pytest.approx(getattr(exact, name), rel=0.05)


def test_a_small_sketch_is_exact():
    points = networks.random_points(14, 30_000, 20)
    sketch = fl.PatternCounter(NET, sketch=True).update(points)
    assert sketch.result() == fl.PatternCounter(NET).update(points).result()


@pytest.mark.parametrize("n", [1, 100, 10_000, 300_000, 3_000_000])
def test_the_cardinality_of_registers_is_near_for_few_and_for_many(n):
    rng = np.random.default_rng(n)
    m = 1 << 16
    index, rest = rng.integers(0, m, n), rng.random(n)
    ranks = np.minimum(-np.floor(np.log2(rest)), 49).astype(np.uint8)
    registers = np.zeros(m, np.uint8)
    np.maximum.at(registers, index, ranks)
    assert abs(pattern_counter._cardinality(registers.tobytes()) / n - 1) < 3 * 0.0041


def test_merging_a_counter_with_itself_doubles_it():
    points = networks.random_points(15, 1000, 20)
    for how in ({}, {"sketch": True}):
        counter = fl.PatternCounter(NET, **how).update(points)
        twice = fl.PatternCounter(NET, **how).update(points).update(points).result()
        assert counter.merge(counter).result() == twice


def test_spilled_patterns_leave_nothing_behind(points, tmp_path):
    counter = fl.PatternCounter(NET, memory_limit=1 << 20, spill_dir=tmp_path).update(points)
    assert len(list(tmp_path.iterdir())) == 1
    counter.result()
    del counter
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_a_clear_error_and_the_counter_stays_right(points, wanted, tmp_path, monkeypatch):
    counter = fl.PatternCounter(NET, memory_limit=1 << 20, spill_dir=tmp_path)
    counter.update(points[:100_000]).update(points[100_000:110_000])
    write, n_written = spill._write, []

    def fail(file, data):
        n_written.append(len(data))
        if len(n_written) == 100:
            file.write(data[:7])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(file, data)

    before = copy.deepcopy(counter).result()
    monkeypatch.setattr(spill, "_write", fail)
    with pytest.raises(OSError, match="No space left on device; wanted to spill patterns"):
        counter.result()
    monkeypatch.setattr(spill, "_write", write)
    assert counter.result() == before
    assert counter.update(points[110_000:]).result() == wanted


def test_a_directory_that_is_not_there_is_a_clear_error(points, tmp_path):
    with pytest.raises(OSError, match="wanted to spill patterns"):
        fl.PatternCounter(NET, memory_limit=1 << 20, spill_dir=tmp_path / "nowhere").update(points)


def test_counters_of_other_networks_and_kinds_are_refused():
    exact, sketch = fl.PatternCounter(NET), fl.PatternCounter(NET, sketch=True)
    with pytest.raises(ValueError, match=OTHER.digest):
        exact.merge(fl.PatternCounter(OTHER))
    with pytest.raises(ValueError, match="one counter is a sketch"):
        exact.merge(sketch)
    with pytest.raises(TypeError, match="other is int"):
        exact.merge(3)


@pytest.mark.parametrize(
    "points, error, message",
    [
        (np.zeros((3, 19)), ValueError, r"shape \(3, 19\)"),
        (np.zeros((3, 20), np.float32), TypeError, "float32"),
        (np.full((3, 20), np.nan), ValueError, "nan in row 0"),
    ],
)
def test_blocks_that_are_refused_leave_the_counter_as_it_was(points, error, message):
    counter = fl.PatternCounter(NET).update(np.ones((2, 20)))
    before = counter.result()
    with pytest.raises(error, match=message):
        counter.update(points)
    mixed = np.ones((300_000, 20))
    mixed[-1, 3] = np.inf
    with pytest.raises(ValueError, match="inf in row 299999"):
        counter.update(mixed)
    assert counter.result() == before
    with pytest.raises(error, match=message):
        fl.count_patterns(NET, iter([np.ones((2, 20)), points]))


@pytest.mark.parametrize(
    "limit, error", [(1000, ValueError), ("1 GB", TypeError), (True, TypeError), (-1, ValueError)]
)
def test_a_memory_limit_is_a_number_of_bytes_that_is_enough(limit, error):
    with pytest.raises(error, match="memory_limit"):
        fl.PatternCounter(NET, memory_limit=limit)


def test_counts_say_what_they_are():
    few = fl.PatternCount(3, 4, 2, 1, 2)
    assert few.chao1_lower == 3 + 3 / 4 * 2 * 1 / (2 * 2)
    assert few.inverse_simpson == 6
    assert not few.saturated
    alone = fl.PatternCount(1000, 1000, 1000, 0, 0)
    assert alone.saturated and alone.inverse_simpson == np.inf and alone.coverage == 0
    assert "a region of their own" in str(alone)
    assert "lower bound on the number of regions, never a count" in str(few)
    assert "100" not in str(fl.PatternCount(2, 10**6, 1, 0, 10**9)).splitlines()[2]
    nothing = fl.count_patterns(NET, iter([]))
    assert nothing.n_points == 0 and str(nothing) == "No points: nothing is known."


@pytest.mark.parametrize("seed", range(4))
def test_coverage_is_within_three_standard_errors_of_the_volume_seen(seed):
    net = fl.Network(*networks.random_network(seed, (2, 12, 10, 1), slopes=0, bias=0.5))
    box = fl.Box(-1, 1, n_in=2)
    regions = fl.regions(net, box)
    points = fl.sample.uniform(box, 400, seed).block(0)
    found = fl.count_patterns(net, points)
    seen = regions.volumes[np.unique(regions.region_of(points))].sum() / 4
    error = np.sqrt(found.singletons + 2 * found.doubletons) / found.n_points
    assert abs(found.coverage - seen) < 3 * error
    assert found.distinct < found.chao1_lower < len(regions)


HIDDEN = fl.Network([([[1.0], [1.0]], [0.0, 0.95]), ([[1.0, 1.0]], None)])  # a region of 2.5%, at -1


@pytest.mark.parametrize("n", [20, 100, 1000])
def test_the_bound_of_coverage_fails_no_more_often_than_it_says(n):
    box, runs, failures = fl.Box(-1, 1, n_in=1), 400, 0
    regions = fl.regions(HIDDEN, box)
    for seed in range(runs):
        points = fl.sample.uniform(box, n, seed).block(0)
        found = fl.count_patterns(HIDDEN, points)
        seen = regions.volumes[np.unique(regions.region_of(points))].sum() / 2
        failures += found.coverage_lower > seen
    assert failures <= 0.05 * runs


@pytest.mark.parametrize("n", [50, 400, 10_000])
@pytest.mark.parametrize("decay", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("n_regions", [3, 100, 5000])
def test_the_bound_of_coverage_holds_for_regions_of_any_sizes(n, decay, n_regions):
    shares = np.arange(1.0, n_regions + 1) ** -decay
    shares /= shares.sum()
    rng, runs, failures, gap = np.random.default_rng(n), 200, 0, 0.0
    for _ in range(runs):
        times = rng.multinomial(n, shares)
        once, twice = int((times == 1).sum()), int((times == 2).sum())
        pairs = int((times * (times - 1)).sum())
        found = fl.PatternCount(np.count_nonzero(times), n, once, twice, pairs)
        failures += found.coverage_lower > shares[times > 0].sum()
        gap = max(gap, found.coverage - found.coverage_lower)
    assert failures <= 0.05 * runs
    # the bound of McAllester and Schapire, which this one is to be no looser than for samples like these
    assert gap <= (2 * 2**0.5 + 3**0.5) * np.sqrt(np.log(3 / 0.05) / n)


def test_the_sentence_claims_no_more_than_the_bound():
    box = fl.Box(-1, 1, n_in=1)
    few, many = (fl.count_patterns(HIDDEN, fl.sample.uniform(box, n)) for n in (10, 100_000))
    assert few.coverage == many.coverage == 1
    assert few.coverage_lower < 0.1 and 0.9997 < many.coverage_lower < 1 - 3 / 100_000
    assert f"At least {few.coverage_lower:.2%} of the volume" in str(few)
    assert "At least 99.97% of the volume" in str(many)
    assert "too few" in str(fl.PatternCount(1, 2, 0, 1, 2))
    assert "seem" not in str(fl.PatternCount(2, 2, 2, 0, 0))


def test_pieces_of_lines_and_sketches_are_estimates_without_a_bound():
    lines = fl.count_patterns(HIDDEN, fl.sample.lines(fl.Box(-1, 1, n_in=1), 10))
    sketch = fl.PatternCount(2, 1000, 0, 0, 10**6, standard_error=0.004)
    for found, claim in ((lines, "About 96.66% of further pieces"), (sketch, "About 99.90% of the volume")):
        assert found.coverage_lower == 0
        assert claim in str(found) and "an estimate, without a bound" in str(found)
