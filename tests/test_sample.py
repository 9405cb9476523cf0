"""Samples: in the domain, uniform, the same for everybody; lines find every region they cross."""

import concurrent.futures
import pickle

import networks
import numpy as np
import pytest

import foldline as fl
from foldline import sample

TRIANGLE = fl.Polytope([[-1, 0], [0, -1], [1, 2]], [0, 0, 2])
DOMAINS = {
    "box": fl.Box([-1, 2], [1, 5]),
    "ball": fl.Ball([3, 4], 0.5),
    "polytope": TRIANGLE,
    "plane": fl.Plane([1, 1], [1, 1], [0, 2], extent=0.5),
    "segment": fl.Segment([0, 0], [1, 2]),
}
ENDS = {
    "box": ([-1, 2], [1, 5]),
    "ball": ([2.5, 3.5], [3.5, 4.5]),
    "polytope": ([0, 0], [2, 1]),
    "plane": ([0.5, -0.5], [1.5, 2.5]),
    "segment": ([0, 0], [1, 2]),
}
NET = fl.Network(*networks.random_network(21, (2, 12, 10, 1), slopes=0, bias=0.5))


@pytest.mark.parametrize("kind", ["uniform", "sobol"])
@pytest.mark.parametrize("domain", DOMAINS.values(), ids=DOMAINS)
def test_points_lie_in_the_domain_and_blocks_do_not_depend_on_their_order(kind, domain, monkeypatch):
    monkeypatch.setattr(sample.Sample, "_size", 1024)
    if kind == "sobol" and domain is TRIANGLE:
        with pytest.raises(ValueError, match="not polytopes"):
            fl.sample.sobol(domain, 10)
        return
    source = getattr(fl.sample, kind)(domain, 4321, seed=7)
    blocks = list(source)
    assert [len(block) for block in blocks] == [1024] * 4 + [225]
    copied = pickle.loads(pickle.dumps(source))
    for i in (3, 0, 4):
        assert (copied.block(i) == blocks[i]).all()
    points = np.concatenate(blocks)
    assert len(np.unique(points, axis=0)) == len(points) == len(source)
    assert (getattr(fl.sample, kind)(domain, 4321, seed=8).block(0) != blocks[0]).any()
    low, high = np.array(ENDS[next(name for name, each in DOMAINS.items() if each is domain)])
    assert (points >= low).all() and (points <= high).all()
    assert (points.min(axis=0) < low + 0.1).all() and (points.max(axis=0) > high - 0.1).all()
    if domain is TRIANGLE:
        assert (points @ domain.A.T <= domain.b).all()


def test_uniform_points_see_regions_by_their_volume():
    box = fl.Box(-1, 1, n_in=2)
    regions = fl.regions(NET, box)
    points = np.concatenate(list(fl.sample.uniform(box, 40_000, seed=3)))
    seen = np.bincount(regions.region_of(points), minlength=len(regions))
    share = regions.volumes / 4
    assert (abs(seen / 40_000 - share) <= 5 * np.sqrt(share / 40_000) + 1e-4).all()


@pytest.mark.parametrize("name", DOMAINS)
def test_lines_end_on_the_boundary_and_show_the_regions_they_cross(name):
    domain = DOMAINS[name]
    source = fl.sample.lines(domain, 300, seed=5)
    (starts, stops), *_ = source
    found = fl.knots(NET, starts, stops)
    patterns = source.patterns(NET, 0)
    at = 0
    for k in range(len(starts)):
        t = np.unique(found.t[found.segment == k])
        ends = np.concatenate([[0], t, [1]])
        middles = starts[k] + ((ends[:-1] + ends[1:]) / 2)[:, None] * (stops[k] - starts[k])
        wide = np.diff(ends) > 1e-9
        assert (NET.patterns(middles) == patterns[at : at + len(middles)])[wide].all()
        at += len(middles)
    assert len(patterns) == at
    if name in ("box", "ball"):
        low, high = np.array(ENDS[name])
        for end in (starts, stops):
            to_boundary = np.minimum(end - low, high - end).min(axis=1)
            np.testing.assert_allclose(to_boundary, 0, atol=1e-12)


def test_lines_find_what_points_miss():
    box = fl.Box(-1, 1, n_in=2)
    total = fl.count_regions(NET, box).count
    lines = fl.count_patterns(NET, fl.sample.lines(box, 2000))
    points = fl.count_patterns(NET, fl.sample.uniform(box, 2000))
    assert points.distinct < lines.distinct <= total
    assert lines.of == "pieces" and lines.n_points > 2000


@pytest.mark.parametrize("kind", ["uniform", "sobol", "lines"])
@pytest.mark.parametrize("dtype", networks.DTYPES)
def test_counts_of_samples_do_not_depend_on_workers(kind, dtype, monkeypatch):
    monkeypatch.setattr(sample.Sample, "_size", 512)
    net = NET.astype(dtype)
    source = getattr(fl.sample, kind)(fl.Box(-1, 1, n_in=2), 700 if kind == "lines" else 40_000)
    counts = [fl.count_patterns(net, source, workers=w, sketch=s) for w in (1, 2, 3) for s in (False, True)]
    assert len(set(counts)) == 1


class Dying:
    """An executor that is lost after its first task."""

    def __init__(self):
        self._is_alive = True

    def submit(self, function, *arguments):
        future = concurrent.futures.Future()
        if self._is_alive:
            future.set_result(function(*arguments))
        else:
            future.set_exception(concurrent.futures.BrokenExecutor("a worker was killed"))
        self._is_alive = False
        return future


def test_workers_that_die_leave_a_count_of_fewer_points_that_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(sample.Sample, "_size", 512)
    source = fl.sample.uniform(fl.Box(-1, 1, n_in=2), 40_000)
    counted = 16 * 512  # the blocks of one task
    for checkpoint in (None, tmp_path / "journal"):
        found = fl.count_patterns(NET, source, workers=Dying(), checkpoint=checkpoint)
        assert (found.status, found.n_points) == ("limit", counted)
        assert found.loss == "workers were lost: BrokenExecutor: a worker was killed"
        assert found.loss in str(found) and found.loss in repr(found)
        assert found[:5] == fl.count_patterns(NET, fl.sample.uniform(source.domain, counted))[:5]
    whole = fl.count_patterns(NET, source)
    assert whole.status == "complete"
    assert fl.count_patterns(NET, source, checkpoint=tmp_path / "journal") == whole
    gone = concurrent.futures.ThreadPoolExecutor(1)
    gone.shutdown()
    for points in (source, np.zeros((10, 2), NET.dtype)):
        nothing = fl.count_patterns(NET, points, workers=gone)
        assert (nothing.status, nothing.n_points) == ("limit", 0)
        assert "Not all points" in str(nothing)


@pytest.mark.parametrize("sketch", [False, True])
def test_sobol_points_come_without_the_confidence_that_independent_ones_have(sketch):
    box = fl.Box(-1, 1, n_in=2)
    seen = fl.count_patterns(NET, fl.sample.sobol(box, 1 << 14), sketch=sketch, workers=2)
    alike = seen._replace(of="points", singletons=50)
    assert "confidence" in str(alike) and "Chao" in str(alike) and alike.coverage_lower > 0
    seen = alike._replace(of=seen.of)
    assert seen.of == "Sobol points" and seen.coverage_lower == 0
    assert str(seen).endswith("\nSobol points are not independent, so no confidence is given.")
    assert "95%" not in str(seen) and "Chao" not in str(seen)


def test_bad_arguments_are_refused():
    box = fl.Box(-1, 1, n_in=2)
    with pytest.raises(TypeError, match="domain is int"):
        fl.sample.uniform(3, 10)
    with pytest.raises(ValueError, match="all of space"):
        fl.sample.uniform(fl.Space(2), 10)
    with pytest.raises(TypeError, match="n is 1.5"):
        fl.sample.uniform(box, 1.5)
    with pytest.raises(ValueError, match="n is -1"):
        fl.sample.lines(box, -1)
    with pytest.raises(ValueError, match="3 inputs; this network takes 2"):
        fl.count_patterns(NET, fl.sample.uniform(fl.Box(-1, 1, n_in=3), 10))
    needle = fl.Polytope([[1, -1], [-1, 1], [1, 0], [-1, 0]], [1e-7, 0, 1, 0])
    with pytest.raises(ValueError, match="of its bounding box"):
        list(fl.sample.uniform(needle, 10))
    assert fl.count_patterns(NET, fl.sample.uniform(box, 0)).n_points == 0
