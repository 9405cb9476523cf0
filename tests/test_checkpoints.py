"""Runs that were stopped, by limits or by SIGKILL, go on to the same answers."""

import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import networks
import numpy as np
import pytest
from conftest import environment

import foldline as fl

# Some tenths of a second of work.
NET = fl.Network(*networks.random_network(5, (7, 14, 14, 1), slopes=0.0, bias=0.25))
BOX = fl.Box(-1, 1, n_in=7)
SMALL = fl.Network(*networks.random_network(6, (3, 9, 8, 1), slopes=0.0, bias=0.5))


@pytest.fixture(scope="module")
def total():
    return fl.count_regions(NET, BOX)


def test_a_run_that_met_limits_goes_on_to_the_same_count(tmp_path, total):
    path = tmp_path / "run.journal"
    counts = []
    for limits in ({"max_regions": 1000}, {"time_limit": 0.05}, {"max_regions": 50_000, "workers": 2}):
        found = fl.count_regions(NET, BOX, checkpoint=path, **limits)
        assert (found.status, found.certified) == ("limit", "lower_bound")
        counts.append(found.count)
    assert counts[0] == 1000 and counts[1] < total.count
    done = fl.count_regions(NET, BOX, checkpoint=path, workers=2)
    again = fl.count_regions(NET, BOX, checkpoint=path)
    for found in (done, again):
        assert (found.count, found.status, found.certified) == (total.count, "complete", "exact")
        assert found.stats["decisions"] == done.stats["decisions"] >= total.stats["decisions"]
        assert found.stats["smallest_margin"] == pytest.approx(total.stats["smallest_margin"], rel=1e-3)
    assert again.stats["seconds"] < total.stats["seconds"] / 2


@pytest.mark.parametrize(
    "domain", [fl.Box(-1, 1, n_in=3), fl.Space(3), fl.Plane([0] * 3, [1, 0, 0], [0, 1, 1])], ids=repr
)
@pytest.mark.parametrize("kind", ["activation", "linear", "affine"])
@pytest.mark.parametrize("engine", ["auto", "exact"])
def test_every_kind_of_question_goes_on(tmp_path, domain, kind, engine):
    path = tmp_path / "run.journal"
    wanted = fl.count_regions(SMALL, domain, kind=kind, engine=engine)
    part = fl.count_regions(SMALL, domain, kind=kind, engine=engine, checkpoint=path, max_regions=20)
    assert part.status == "limit" and part.count <= 20
    for _ in range(2):
        found = fl.count_regions(SMALL, domain, kind=kind, engine=engine, checkpoint=path)
        assert (found.count, found.status) == (wanted.count, "complete")


def test_degenerate_networks_go_on_in_integers(tmp_path):
    w = np.array([[1, 0], [1, 0], [0, 1], [1, 1], [1, -1], [2, -2]])
    net = fl.Network([(w, [0, 0, 0, 0, 0, 1]), (np.eye(6)[:4] * 3 - 1, None), (np.ones((1, 4)), None)])
    wanted = fl.count_regions(net, fl.Box(-1, 1, n_in=2))
    for most in range(1, wanted.count, 3):
        path = tmp_path / f"{most}.journal"
        assert fl.count_regions(net, fl.Box(-1, 1, n_in=2), checkpoint=path, max_regions=most).count == most
        assert fl.count_regions(net, fl.Box(-1, 1, n_in=2), checkpoint=path).count == wanted.count


def test_another_question_is_refused_and_the_journal_stays(tmp_path):
    path, box = tmp_path / "run.journal", fl.Box(-1, 1, n_in=3)
    fl.count_regions(SMALL, box, checkpoint=path)
    before = path.read_bytes()
    others = [
        ((SMALL.astype(np.float32), box), {}),
        ((SMALL, fl.Box(-1, 1.5, n_in=3)), {}),
        ((SMALL, box), {"kind": "linear"}),
        ((SMALL, box), {"engine": "lp"}),
        ((SMALL, box), {"certify": False}),
    ]
    for arguments, options in others:
        with pytest.raises(ValueError, match="answers another question"):
            fl.count_regions(*arguments, checkpoint=path, **options)
    with pytest.raises(ValueError, match="answers another question"):
        fl.count_patterns(SMALL, fl.sample.uniform(box, 10), checkpoint=path)
    assert path.read_bytes() == before


SCRIPT = """
import sys, foldline as fl, networks
if sys.argv[1] == "exact":
    net = fl.Network(*networks.random_network(5, (7, 14, 14, 1), slopes=0.0, bias=0.25))
    print("begun", flush=True)
    fl.count_regions(net, fl.Box(-1, 1, n_in=7), checkpoint=sys.argv[2], workers=int(sys.argv[3]))
else:
    net = fl.Network(*networks.random_network(6, (3, 9, 8, 1), slopes=0.0, bias=0.5))
    source = fl.sample.uniform(fl.Box(-1, 1, n_in=3), 10**9)
    print("begun", flush=True)
    fl.count_patterns(net, source, checkpoint=sys.argv[2], workers=int(sys.argv[3]))
"""


def killed(seconds, *arguments):
    command = [sys.executable, "-c", SCRIPT, *map(str, arguments)]
    with subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"begun\n"
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_that_is_killed_goes_on(tmp_path, workers, total):
    path = tmp_path / "run.journal"
    sizes = []
    for part in (0.1, 0.3, 0.2):
        killed(part * total.stats["seconds"], "exact", path, workers)
        sizes.append(path.stat().st_size)
    assert sizes == sorted(sizes)
    assert fl.count_regions(NET, BOX, checkpoint=path).count == total.count


def test_a_sampled_run_that_is_killed_goes_on(tmp_path):
    path = tmp_path / "run.journal"
    for seconds in (1.5, 1.2):
        killed(seconds, "sampled", path, 1)
    # The same points, fewer of them: another question.
    with pytest.raises(ValueError, match="answers another question"):
        fl.count_patterns(SMALL, fl.sample.uniform(fl.Box(-1, 1, n_in=3), 10**6), checkpoint=path)
    assert path.stat().st_size > 1000


@pytest.mark.parametrize("sketch", [False, True])
def test_sampled_runs_go_on_to_the_same_count(tmp_path, sketch, monkeypatch):
    monkeypatch.setattr("foldline.sampling._SECONDS_A_RECORD", 0)
    box, points = fl.Box(-1, 1, n_in=3), networks.random_points(7, 300_000, 3)
    np.save(tmp_path / "points.npy", points)
    sources = {"sample": fl.sample.uniform(box, 300_000), "lines": fl.sample.lines(box, 1000)}
    sources |= {"array": points, "file": tmp_path / "points.npy"}
    for name, source in sources.items():
        path = tmp_path / f"{name}.journal"
        wanted = fl.count_patterns(SMALL, source, sketch=sketch)

        def stop(n):
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            fl.count_patterns(SMALL, source, sketch=sketch, checkpoint=path, progress=stop)
        with ThreadPoolExecutor(2) as threads:
            for workers in (1, 2, threads):
                how = {"sketch": sketch, "checkpoint": path, "workers": workers}
                assert fl.count_patterns(SMALL, source, **how) == wanted


def test_what_comes_once_has_no_checkpoint(tmp_path):
    with pytest.raises(TypeError, match="points that can be read again, not generator"):
        fl.count_patterns(SMALL, (np.zeros((1, 3)) for _ in range(2)), checkpoint=tmp_path / "run.journal")
