"""Exact runs that are killed at random moments, and go on: is the sum right, and how much is done twice?

python benchmarks/hunt_kills.py [NUMBER OF KILLS [WORKERS [model]]]

Each kill is a SIGKILL of a process that counts 8-16-16-1 with a checkpoint; then the count is run to its end.
What is done twice is the processor time of the killed process since its last records: wall time would tell
how busy the machine is.
"""

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import floors

import foldline as fl
from foldline import bench
from foldline.checkpoints import JournaledWalks
from foldline.journal import Journal
from foldline.walk import Walk, check_engine

SHAPE, MOST_REDONE = "8-16-16-1", 0.05
SCRIPT = """
import sys, hunt_kills
hunt_kills.count(sys.argv[1], int(sys.argv[2]), sys.argv[3])
"""


def question(model):
    net = fl.load(model) if model else bench.random_network(SHAPE, "float64")
    return net, fl.Box(-1, 1, n_in=net.n_in)


def count(path, workers, model):
    """Count, with a file beside the journal that has the processor time at the start and at each record."""
    net, box = question(model)
    marks = os.open(f"{path}.marks", os.O_CREAT | os.O_WRONLY)

    def mark():
        os.write(marks, f"{time.process_time()}\n".encode())

    append = Journal.append
    Journal.append = lambda journal, payload: (append(journal, payload), mark())
    print("begun", flush=True)
    mark()
    fl.count_regions(net, box, checkpoint=path, workers=workers)
    mark()


def in_a_process(path, workers, model, seconds=None):
    """Run to the end, or SIGKILL after so many seconds. Returns the seconds since it began to count, its
    processor time, and whether it was killed before its end."""
    command = [sys.executable, "-c", SCRIPT, str(path), str(workers), model]
    directory = Path(__file__).parent
    with subprocess.Popen(command, cwd=directory, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "begun\n"
        start = time.perf_counter()
        if seconds is not None:
            time.sleep(seconds)
            os.kill(process.pid, signal.SIGKILL)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, -signal.SIGKILL):
        raise RuntimeError(f"the count ended with {process.returncode}")
    seconds = time.perf_counter() - start
    return seconds, used.ru_utime + used.ru_stime, process.returncode != 0


def marks_of(path):
    return [float(line) for line in Path(f"{path}.marks").read_text().split()]


def done_twice(path, workers, at_end):
    """Seconds of work without a record: each worker has been at some since one of the last records."""
    marks = marks_of(path)
    last = (marks[:1] * workers + marks)[-workers:]
    return sum(at_end - mark for mark in last) / workers


def main():
    n_kills = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    workers = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    model = str(Path(sys.argv[3]).resolve()) if len(sys.argv) > 3 else ""
    net, box = question(model)
    wanted = fl.count_regions(net, box).count
    rows, worst, n_late = [], 0.0, 0
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "whole"
        undisturbed, _, _ = in_a_process(path, workers, model)
        marks = marks_of(path)
        work = marks[-1] - marks[0]
        while len(rows) < n_kills:
            path = Path(directory) / str(len(rows) + n_late)
            ran, at_end, was_killed = in_a_process(path, workers, model, random.uniform(0, undisturbed))
            if not was_killed:
                n_late += 1
                continue
            there = cells_there(path, net, box)
            found = fl.count_regions(net, box, checkpoint=path, workers=workers)
            if (found.count, found.status) != (wanted, "complete"):
                raise bench.Disagreement(f"{found} after a kill; wanted {wanted}")
            redone = done_twice(path, workers, at_end) / work
            worst = max(worst, redone)
            rows.append([f"{ran:.2f}", f"{there:,}", f"{there / wanted:.1%}", f"{redone:.1%}"])
    print(f"{wanted:,} cells, {work:.2f} s of processor time undisturbed; every sum was right")
    print(bench.table(["killed after, s", "cells kept", "of all", "done twice, of all"], rows))
    if n_late:
        print(f"{n_late} more ended before they were to be killed")
    print(floors.at_most(worst, MOST_REDONE, "at most {:.1%} done twice ({:.0%})"))
    return floors.exit_code()


def cells_there(path, net, box):
    engine = check_engine("auto", box.dimension)
    about = {"question": "count_regions", "kind": "activation", "engine": engine, "certify": True}
    with JournaledWalks(path, net, box, about) as journal:
        return sum(part.n_cells for _, part in journal.replay([Walk(net, box, engine).root]))


if __name__ == "__main__":
    sys.exit(main())
