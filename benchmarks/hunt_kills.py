"""Exact runs that are killed at random moments, and go on: is the sum right, and how much is done twice?

python benchmarks/hunt_kills.py [NUMBER OF KILLS [WORKERS [model]]]

Each kill is a SIGKILL of a process that counts 8-16-16-1 with a checkpoint; then the count is run to its end.
"""

import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import foldline as fl
from foldline import bench
from foldline.checkpoints import JournaledWalks

SHAPE, MOST_REDONE = "8-16-16-1", 0.05
SCRIPT = """
import sys, hunt_kills
hunt_kills.count(sys.argv[1], int(sys.argv[2]), sys.argv[3])
"""


def question(model):
    net = fl.load(model) if model else bench.random_network(SHAPE, "float64")
    return net, fl.Box(-1, 1, n_in=net.n_in)


def count(path, workers, model):
    net, box = question(model)
    print("begun", flush=True)
    print(fl.count_regions(net, box, checkpoint=path, workers=workers).count)


def in_a_process(path, workers, model, seconds=None):
    """Run to the end, or SIGKILL after so many seconds; returns the seconds since it began to count."""
    command = [sys.executable, "-c", SCRIPT, str(path), str(workers), model]
    directory = Path(__file__).parent
    with subprocess.Popen(command, cwd=directory, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "begun\n"
        start = time.perf_counter()
        if seconds is not None:
            time.sleep(seconds)
            process.send_signal(signal.SIGKILL)
        process.wait()
        return time.perf_counter() - start


def main():
    n_kills = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    workers = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    model = sys.argv[3] if len(sys.argv) > 3 else ""
    net, box = question(model)
    wanted = fl.count_regions(net, box).count
    rows = []
    with tempfile.TemporaryDirectory() as directory:
        undisturbed = in_a_process(Path(directory) / "whole", workers, model)
        for i in range(n_kills):
            path = Path(directory) / str(i)
            ran = in_a_process(path, workers, model, random.uniform(0, undisturbed))
            there = cells_there(path, net, box)
            found = fl.count_regions(net, box, checkpoint=path, workers=workers)
            if (found.count, found.status) != (wanted, "complete"):
                raise bench.Disagreement(f"{found} after a kill; wanted {wanted}")
            redone = max(ran / undisturbed - there / wanted, 0)
            rows.append([f"{ran:.2f}", f"{there:,}", f"{there / wanted:.1%}", f"{redone:.1%}"])
    print(f"{wanted:,} cells, {undisturbed:.2f} s undisturbed; every sum was right")
    print(bench.table(["killed after, s", "cells kept", "of all", "done twice, of all"], rows))
    worst = max(float(row[3].rstrip("%")) for row in rows) / 100
    print(f"{'! ' if worst > MOST_REDONE else ''}at most {worst:.1%} done twice ({MOST_REDONE:.0%})")


def cells_there(path, net, box):
    about = {"question": "count_regions", "kind": "activation", "engine": "lp", "certify": True}
    with JournaledWalks(path, net, box, about) as journal:
        return sum(part.n_cells for _, part in journal.replay([fl.walk.Walk(net, box, "lp").root]))


if __name__ == "__main__":
    sys.exit(main())
