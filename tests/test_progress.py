"""What is told of long runs."""

import io

import networks
import pytest

import foldline as fl
from foldline import counting, progress, walk

NET = fl.Network(*networks.random_network(5, (6, 14, 14, 1), slopes=0.0, bias=0.25))
BOX = fl.Box(-1, 1, n_in=6)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("domain", [BOX, fl.Space(6)], ids=["box", "space"])
def test_the_share_done_never_falls_and_comes_to_one(workers, domain, monkeypatch):
    monkeypatch.setattr(walk, "HERE", walk.Steps(0.002, 0.001))
    told = []

    class Told(progress.Share):
        def add(self, *arguments):
            super().add(*arguments)
            told.append(self.done)

    monkeypatch.setattr(counting, "Share", Told)
    numbers = []
    net = fl.Network(*networks.random_network(5, (6, 9, 1), bias=0.25)) if domain != BOX else NET
    found = fl.count_regions(net, domain, workers=workers, progress=numbers.append)
    assert told == sorted(told) and told[0] >= 0
    assert told[-1] == pytest.approx(1, abs=1e-9)
    assert len(numbers) == len(told) and (domain != BOX or numbers[-1] == found.count)
    assert len(set(told)) > 3


def test_a_bar_says_how_much_is_done(monkeypatch):
    stderr = io.StringIO()
    monkeypatch.setattr("sys.stderr", stderr)
    with progress.reporter(True, "regions") as report:
        report(5, 0.25)
    assert stderr.getvalue() == "", "nothing before two seconds have passed"
    found = fl.count_regions(NET, BOX, progress=True)
    assert found.status == "complete"


def test_progress_is_true_or_a_callable():
    with pytest.raises(TypeError, match="progress is 5; wanted True or a callable"):
        fl.count_regions(NET, BOX, progress=5)
    with progress.reporter(None, "regions") as report:
        report(1, 0.5)
