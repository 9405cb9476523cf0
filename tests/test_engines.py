"""Every engine that can run a case gives the same count, whatever the workers, and limits say so."""

import concurrent.futures
import itertools
import math
import os
import signal
import threading
import time
import warnings

import networks
import numpy as np
import pytest

import foldline as fl
from foldline.walk import ENGINES

LARGE = networks.random_network(3, (2, 40, 40, 1), slopes=0.0, bias=0.25)


def network(layers, slopes, dtype=np.float64):
    layers = [(np.asarray(w, dtype), None if b is None else np.asarray(b, dtype)) for w, b in layers]
    return fl.Network(layers, activation=[np.asarray(s, dtype) for s in slopes])


def box(net):
    return fl.Box(-1, 1, n_in=net.n_in)


def engines(dimension):
    keeps = {"sweep": dimension == 1, "polygons": dimension == 2, "vertices": 3 <= dimension <= 6}
    return [engine for engine in ENGINES if keeps.get(engine, True)]


def integer_network(seed, widths):
    rng = np.random.default_rng(seed)
    return fl.Network(
        [
            (rng.integers(-2, 3, (n, m)).astype(float), rng.integers(-1, 2, n).astype(float))
            for m, n in itertools.pairwise(widths)
        ]
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("widths", [(1, 9, 9, 1), (2, 8, 7, 2), (3, 6, 6, 1), (4, 6, 4, 1)])
@pytest.mark.parametrize("slopes", [0.0, "mixed"])
def test_all_engines_count_the_same_and_prove_it(widths, slopes, dtype):
    for seed in range(3):
        net = network(*networks.random_network(seed, widths, slopes=slopes, bias=0.25), dtype)
        found = {e: fl.count_regions(net, box(net), engine=e) for e in engines(net.n_in)}
        assert len({r.count for r in found.values()}) == 1
        assert all(r.certified == "exact" for r in found.values())
        assert found.pop("exact").stats["decisions"] == 0
        # in general position, an engine that leaves anything to exact arithmetic does not do its work
        for r in found.values():
            assert r.stats["by_rationals"] == 0 and r.stats["by_filter"] > r.count


@pytest.mark.parametrize("widths", [(1, 6, 6, 1), (2, 6, 5, 4, 1), (3, 5, 4, 1), (4, 5, 3, 1)])
def test_all_engines_count_degenerate_networks_the_same(widths):
    for seed in range(8):
        net = integer_network(seed, widths)
        counts = {fl.count_regions(net, box(net), engine=e).count for e in engines(net.n_in)}
        assert len(counts) == 1


def test_in_general_position_doubles_prove_everything():
    found = fl.count_regions(network(*LARGE), fl.Box(-1, 1, n_in=2))
    assert found.stats["by_rationals"] == 0
    assert found.stats["by_filter"] == found.stats["decisions"] > found.count
    assert 0 < found.stats["smallest_margin"] < 1


@pytest.mark.parametrize("engine", ["auto", "lp"])
def test_signs_that_doubles_leave_open_are_not_said_to_be_decided_by_them(engine):
    generic = networks.random_network(0, (3, 6, 5, 1), slopes=0.0, bias=0.25)
    degenerate = [integer_network(seed, (n_in, 6, 5, 1)) for n_in in (1, 2, 3) for seed in range(4)]
    n_open = []
    for net in (network(*generic), overflowing(), *degenerate):
        stats = fl.count_regions(net, box(net), engine=engine).stats
        assert 0 <= stats["by_filter"] <= stats["decisions"]
        n_open.append(stats["decisions"] - stats["by_filter"])
        assert stats["by_rationals"] > 0 if n_open[-1] else stats["by_rationals"] >= 0
    assert n_open[0] == n_open[1] == 0 < max(n_open)


def test_what_doubles_cannot_hold_is_not_decided_by_them():
    stats = fl.count_regions(overflowing(), fl.Box(-1, 1, n_in=2)).stats
    assert (stats["decisions"], stats["by_filter"], stats["by_rationals"]) == (0, 0, 1)


def test_without_proof_nothing_is_called_proved():
    net = network(*LARGE)
    found = fl.count_regions(net, box(net), certify=False)
    assert found.certified == "none" and found.count == fl.count_regions(net, box(net)).count


@pytest.mark.parametrize("kind", ["activation", "linear", "affine"])
def test_the_count_does_not_depend_on_the_workers(kind):
    for net in (network(*LARGE), integer_network(1, (2, 8, 8, 1))):
        expected = fl.count_regions(net, box(net), kind=kind).count
        for workers in (2, 4):
            assert fl.count_regions(net, box(net), kind=kind, workers=workers).count == expected


def test_processes_count_the_same_as_threads():
    net = network(*LARGE)
    with concurrent.futures.ProcessPoolExecutor(2) as pool:
        assert fl.count_regions(net, box(net), workers=pool).count == fl.count_regions(net, box(net)).count


class Dying(concurrent.futures.Executor):
    """An executor whose workers are gone after the first task."""

    def __init__(self):
        self._n_tasks = 0

    def submit(self, function, *arguments):
        future = concurrent.futures.Future()
        self._n_tasks += 1
        if self._n_tasks == 1:
            walk, prefixes, _, *rest = arguments
            future.set_result(function(walk, prefixes, 0.0, *rest))
        else:
            future.set_exception(concurrent.futures.BrokenExecutor("a worker was killed"))
        return future


def test_workers_that_die_make_a_limit_and_never_a_count():
    net = network(*networks.random_network(3, (6, 12, 12, 1), slopes=0.0, bias=0.25))
    found = fl.count_regions(net, box(net), workers=Dying())
    assert (found.status, found.certified) == ("limit", "lower_bound")
    assert found.count < fl.count_regions(net, box(net)).count
    assert found.stats["loss"] == "workers were lost: BrokenExecutor: a worker was killed"
    assert fl.regions(net, box(net), workers=Dying()).status == "limit"
    gone = concurrent.futures.ThreadPoolExecutor(1)
    gone.shutdown()
    nothing = fl.regions(net, box(net), workers=gone)
    assert (nothing.status, len(nothing)) == ("limit", 0)
    assert fl.count_regions(net, box(net), workers=gone).status == "limit"


@pytest.mark.parametrize("workers", [2, 3])
def test_chunks_have_the_rows_in_order_whatever_the_workers(workers):
    net = network(*LARGE)
    whole = fl.regions(net, box(net))
    for chunk in (37, 10**6):
        twice = [list(fl.iter_regions(net, box(net), chunk=chunk, workers=workers)) for _ in range(2)]
        sizes = [[len(part) for part in parts] for parts in twice]
        assert sizes[0] == sizes[1] and max(sizes[0]) <= chunk
        assert np.array_equal(np.concatenate([part.patterns for part in twice[0]]), whole.patterns)
    some = list(fl.iter_regions(net, box(net), chunk=37, workers=workers, max_regions=100))
    assert np.array_equal(np.concatenate([part.patterns for part in some]), whole.patterns[:100])
    assert [part.status for part in some] == ["complete"] * (len(some) - 1) + ["limit"]


def test_regions_are_the_same_whatever_the_workers():
    net = network(*LARGE)
    spread, alone = fl.regions(net, box(net), workers=3), fl.regions(net, box(net))
    assert np.array_equal(spread.patterns, alone.patterns)
    assert np.array_equal(spread.neighbours, alone.neighbours)
    np.testing.assert_allclose(spread.volumes, alone.volumes, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("is_generic", [True, False], ids=["generic", "integers"])
@pytest.mark.parametrize("chunk", [1, 7, 100, 10**6])
def test_chunks_put_together_are_all_regions(is_generic, chunk):
    net = network(*LARGE) if is_generic else integer_network(1, (2, 8, 8, 1))
    whole = fl.regions(net, box(net))
    parts = list(fl.iter_regions(net, box(net), chunk=chunk, max_regions=min(len(whole), 300)))
    assert all(len(part) == chunk for part in parts[:-1])
    assert sum(map(len, parts)) == min(len(whole), 300)
    for name in ("patterns", "A", "b", "interior_points", "volumes"):
        columns = np.concatenate([getattr(part, name) for part in parts])
        np.testing.assert_allclose(columns, getattr(whole, name)[: len(columns)], rtol=1e-9, atol=1e-12)


def test_doubles_describe_regions_as_rationals_do():
    for widths in ((1, 9, 9, 1), (2, 8, 7, 2), (3, 6, 6, 1), (4, 5, 4, 1)):
        net = network(*networks.random_network(0, widths, slopes="mixed", bias=0.25))
        found, exact = fl.regions(net, box(net)), fl.regions(net, box(net), engine="exact")
        assert np.array_equal(found.patterns, exact.patterns)
        assert np.array_equal(found.neighbours, exact.neighbours)
        for name in ("A", "b", "volumes"):
            np.testing.assert_allclose(getattr(found, name), getattr(exact, name), rtol=1e-9, atol=1e-12)
        for ours, theirs in zip(found.vertices, exact.vertices):
            assert len(ours) == len(theirs)
            assert np.abs(ours[:, None] - theirs[None]).max(axis=2).min(axis=1).max() < 1e-9
        assert math.isclose(found.volumes.sum(), 2.0**net.n_in, rel_tol=1e-12)


def test_above_six_dimensions_regions_have_points_but_no_vertices():
    net = network(*networks.random_network(0, (7, 6, 1), slopes=0.0, bias=0.25))
    found = fl.regions(net, box(net))
    assert np.array_equal(net.patterns(found.interior_points, exact=True), found.patterns)
    assert np.isnan(found.volumes).all() and all(len(v) == 0 for v in found.vertices)


def with_ties(n_in):
    """A network with a neuron that folds where one of the layer above does, which is a tie; and without."""
    rng = np.random.default_rng(n_in)
    first, second, b, c = (
        np.round(rng.standard_normal(shape) * 1024) / 1024 for shape in ((4, n_in), (3, 4), 4, 3)
    )
    with_first = np.vstack([np.eye(1, 4), second]), np.append(0, c)
    tied = fl.Network([(first, b), with_first, (np.ones((1, 4)), None)])
    return tied, fl.Network([(first, b), (second, c), (np.ones((1, 3)), None)])


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("n_in", [13, 24])
def test_in_many_dimensions_ties_are_decided_in_integers(n_in, workers):
    tied, free = with_ties(n_in)
    domain = fl.Box(-1, 1, n_in=n_in)
    wanted = fl.count_regions(free, domain)
    assert wanted.stats["by_rationals"] == 0
    found = fl.count_regions(tied, domain, workers=workers)
    assert (found.count, found.status, found.certified) == (wanted.count, "complete", "exact")
    assert found.stats["by_rationals"] > 0
    assert fl.count_regions(tied, domain, kind="affine", workers=workers).count > 1


@pytest.mark.parametrize("workers", [1, 2])
def test_what_cannot_be_decided_in_many_dimensions_is_a_limit_with_the_reason(workers):
    net, domain = with_ties(24)[0], fl.Box(-1, 1, n_in=24)
    assert fl.regions(net, domain, workers=workers).status == "limit"
    assert [part.status for part in fl.iter_regions(net, domain, workers=workers)] == ["limit"]
    connected = fl.count_regions(net, domain, kind="linear")
    assert connected.status == "limit" and "one map hang together" in connected.stats["loss"]
    with pytest.raises(ValueError, match="24 dimensions; that engine keeps all corners"):
        fl.count_regions(net, domain, engine="exact")
    net, domain = with_ties(70)[0], fl.Box(-1, 1, n_in=70)
    found = fl.count_regions(net, domain, workers=workers)
    assert (found.status, found.certified) == ("limit", "lower_bound")
    assert found.stats["loss"] == "doubles do not decide all, and in 70 dimensions integers cannot"


def test_in_very_many_dimensions_a_time_limit_and_an_interrupt_end_a_step_too():
    net = network(*networks.random_network(5, (784, 8, 4, 1), slopes=0))
    domain = fl.Box(-1, 1, n_in=784)
    for find in (fl.count_regions, fl.regions):
        begin = time.monotonic()
        assert find(net, domain, time_limit=0.5).status == "limit"
        assert time.monotonic() - begin < 3  # on a busy machine; a step takes 30
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it
    try:
        begin = time.monotonic()
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            fl.count_regions(net, domain, time_limit=20)
        assert time.monotonic() - begin < 3
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("size", [1e-300, 1.0, 1e200])
def test_half_spaces_and_folds_have_length_1_whatever_the_size_of_the_weights(size):
    weights = np.array([[1.0, 2.0], [-1.0, 1.0], [2.0, -1.0]])
    net = fl.Network([(weights * size, None), (np.ones((1, 3)), None)])
    with warnings.catch_warnings(action="error"):
        found, folds = fl.regions(net, fl.Box(-1, 1, n_in=2)), fl.folds(net, fl.Box(-1, 1, n_in=2))
        spaces = found.half_spaces
    np.testing.assert_allclose(np.hypot(*spaces.G.T), 1, rtol=1e-15)
    np.testing.assert_allclose(np.hypot(*folds.normals.T), 1, rtol=1e-15)
    assert len(found) == 6 and len(folds) == 6
    np.testing.assert_allclose(sorted(folds.jumps[:, 0] / size), np.sqrt([2, 2, 5, 5, 5, 5]), rtol=1e-14)


def test_regions_are_described_within_a_time_limit():
    net = network(*networks.random_network(1, (5, 40, 40, 40, 1), slopes=0.0, bias=0.25))
    for find in (fl.regions, fl.folds):
        begin = time.monotonic()
        found = find(net, box(net), time_limit=1.0)
        assert time.monotonic() - begin < 3
        assert found.status == "limit" and len(found)


def test_a_time_limit_is_kept_and_gives_a_lower_bound():
    net = network(*networks.random_network(3, (8, 20, 20, 20, 1), slopes=0.0, bias=0.25))
    for workers in (1, 2):
        start = time.monotonic()
        found = fl.count_regions(net, box(net), time_limit=0.5, workers=workers)
        assert time.monotonic() - start < 2
        assert (found.status, found.certified) == ("limit", "lower_bound") and found.count > 1


@pytest.mark.parametrize("workers", [1, 2])
def test_a_limit_on_regions_is_met_exactly(workers):
    net = network(*LARGE)
    full = fl.count_regions(net, box(net)).count
    for limit in (1, 17, full - 1):
        found = fl.count_regions(net, box(net), max_regions=limit, workers=workers)
        assert (found.count, found.status) == (limit, "limit")
    assert fl.count_regions(net, box(net), max_regions=full, workers=workers).status == "complete"


def overflowing():
    return fl.Network([([[1e300, 1e300], [1e200, -1e100]], [1e300, 0.0]), ([[1e300, 1e10]], [0.0])])


def test_numbers_beyond_the_range_of_doubles_are_counted_exactly():
    net = overflowing()
    for kind in ("activation", "linear", "affine"):
        assert fl.count_regions(net, fl.Box(-1, 1, n_in=2), kind=kind).certified == "exact"


@pytest.mark.parametrize("d", [2, 3, 8])
def test_more_cells_than_the_first_chart_shows_are_found_in_all_of_space(d):
    layers, slopes = networks.generic_affine(d + 2, d)
    net = network(layers, slopes)
    expected = sum(math.comb(d + 2, k) for k in range(d + 1))
    assert fl.count_regions(net, fl.Space(d)).count == expected


@pytest.mark.parametrize("n_in", [1, 2, 3, 7])
def test_a_walk_leaves_the_floating_point_unit_as_it_was(n_in):
    net = network(*networks.random_network(0, (n_in, 6, 1), slopes=0.0, bias=0.25))
    root = np.sqrt(np.longdouble(2) + np.arange(20, dtype=np.longdouble))
    for engine in engines(n_in):
        fl.count_regions(net, box(net), engine=engine)
        assert np.array_equal(np.sqrt(np.longdouble(2) + np.arange(20, dtype=np.longdouble)), root)
        assert np.linalg.matrix_rank(np.eye(3)) == 3


def test_bad_questions_say_what_was_wanted():
    net = network(*LARGE)
    with pytest.raises(ValueError, match="'sweep', the domain has 2 dimensions"):
        fl.count_regions(net, box(net), engine="sweep")
    with pytest.raises(ValueError, match="'quick'; wanted 'auto' or one of"):
        fl.count_regions(net, box(net), engine="quick")
    with pytest.raises(ValueError, match="max_regions is 0; wanted an int, at least 1"):
        fl.count_regions(net, box(net), max_regions=0)
    with pytest.raises(TypeError, match="time_limit is 'long'; wanted a number"):
        fl.count_regions(net, box(net), time_limit="long")
