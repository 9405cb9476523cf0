"""Dask: lazy arrays, counts by its workers, and workers that are killed."""

import os
import signal
import threading
import time
from concurrent.futures import ProcessPoolExecutor

import dask.array as da
import networks
import numpy as np
import pytest
from dask.distributed import Client, LocalCluster

import foldline as fl

NET = fl.Network(*networks.random_network(41, (3, 40, 30, 2), np.float32, bias=0.3))
DEEP = fl.Network(*networks.random_network(5, (7, 14, 14, 1), slopes=0.0, bias=0.25))
BOX = fl.Box(-1, 1, n_in=7)


@pytest.fixture(scope="module")
def client():
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0"}
    with LocalCluster(**options) as cluster, Client(cluster) as client:
        yield client


@pytest.fixture(scope="module")
def points():
    return networks.random_points(42, 20_000, 3, np.float32)


@pytest.mark.parametrize("chunks", [(20_000, 3), (3000, 3), (777, 2)])
def test_lazy_arrays_have_the_bits_of_the_whole(points, chunks):
    array = da.from_array(points, chunks=chunks)
    for lazy, wanted in ((NET(array), NET(points)), (NET.patterns(array), NET.patterns(points))):
        assert isinstance(lazy, da.Array)
        assert (lazy.shape, lazy.dtype) == (wanted.shape, wanted.dtype)
        assert np.array_equal(lazy.compute(scheduler="threads"), wanted)
    unknown = array[array[:, 0] > 0]
    assert np.array_equal(NET(unknown).compute(scheduler="threads"), NET(points[points[:, 0] > 0]))


def test_counts_of_arrays_are_those_of_the_whole(points, client):
    array = da.from_array(points, chunks=(777, 2))
    for sketch in (False, True):
        assert fl.count_patterns(NET, array, sketch=sketch) == fl.count_patterns(NET, points, sketch=sketch)
    nothing = fl.count_patterns(NET, array[:0])
    assert nothing.n_points == 0


def test_arrays_of_other_widths_dtypes_and_wishes_are_refused(points, tmp_path):
    array = da.from_array(points, chunks=(777, 3))
    for call in (NET, NET.patterns, lambda x: fl.count_patterns(NET, x)):
        with pytest.raises(ValueError, match=r"shape \(20000, 2\)"):
            call(array[:, :2])
        with pytest.raises(TypeError, match="float64"):
            call(array.astype(np.float64))
    with pytest.raises(TypeError, match="exact is True"):
        NET.patterns(array, exact=True)
    with pytest.raises(TypeError, match="points that can be read again, not Array"):
        fl.count_patterns(NET, array, checkpoint=tmp_path / "journal")
    bad = da.from_array(np.full((10, 3), np.nan, np.float32), chunks=(5, 3))
    with pytest.raises(ValueError, match="nan"):
        fl.count_patterns(NET, bad)


def test_samples_and_regions_are_counted_by_a_client_and_by_its_executor(client, tmp_path):
    box = fl.Box(-1, 1, n_in=3)
    source, total = fl.sample.uniform(box, 200_000), fl.count_regions(NET, box)
    counted = fl.count_patterns(NET, source)
    for workers in (client, client.get_executor()):
        assert fl.count_patterns(NET, source, workers=workers) == counted
        found = fl.count_regions(NET, box, workers=workers)
        assert (found.count, found.status) == (total.count, "complete")
    assert fl.count_regions(NET, box, workers=client, checkpoint=tmp_path / "j").count == total.count
    rows = [part.patterns for part in fl.iter_regions(NET, box, chunk=500, workers=client)]
    assert np.array_equal(np.concatenate(rows), fl.regions(NET, box).patterns)


def test_a_worker_that_is_killed_costs_time_only(client):
    wanted = fl.count_regions(DEEP, BOX).count
    worker = next(iter(client.run(os.getpid).values()))
    threading.Timer(0.15, os.kill, (worker, signal.SIGKILL)).start()
    found = fl.count_regions(DEEP, BOX, workers=client)
    assert (found.count, found.status) == (wanted, "complete")
    worker = next(iter(client.run(os.getpid).values()))
    source = fl.sample.uniform(BOX, 2_000_000)
    threading.Timer(0.15, os.kill, (worker, signal.SIGKILL)).start()
    assert fl.count_patterns(DEEP, source, workers=client) == fl.count_patterns(DEEP, source)


def test_processes_that_are_killed_make_a_limit():
    with ProcessPoolExecutor(2) as pool:
        pool.submit(os.getpid).result()
        threading.Timer(0.2, os.kill, (next(iter(pool._processes)), signal.SIGKILL)).start()
        begin = time.monotonic()
        found = fl.count_regions(DEEP, BOX, workers=pool)
    assert time.monotonic() - begin < 30
    assert (found.status, found.certified) == ("limit", "lower_bound")
    assert "BrokenProcessPool" in found.stats["loss"]
    assert found.count < fl.count_regions(DEEP, BOX).count


class Fatal(fl.Box):
    """A box that kills whoever walks through it, but where it was made."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        vars(self)["_home"] = os.getpid()

    def _bounds(self):
        if os.getpid() != self._home:
            os.kill(os.getpid(), signal.SIGKILL)
        return super()._bounds()


class FatalSample(fl.sample.Sample):
    """A sample that kills whoever makes its points, but where it was made."""

    def block(self, i):
        if os.getpid() != self.seed:
            os.kill(os.getpid(), signal.SIGKILL)
        return np.zeros((self._n_of(i), self.domain.n_in))


def test_workers_that_always_die_make_a_limit(client):
    found = fl.count_regions(DEEP, Fatal(-1, 1, n_in=7), workers=client)
    assert (found.status, found.count) == ("limit", 0)
    assert found.stats["loss"].startswith("workers were lost: ")
    sampled = fl.count_patterns(DEEP, FatalSample(BOX, 100_000, os.getpid()), workers=client)
    assert (sampled.status, sampled.n_points) == ("limit", 0)
    assert sampled.loss.startswith("workers were lost: ")
