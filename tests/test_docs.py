"""Every example in a public docstring and in README runs, and shows what it says."""

import doctest
import importlib
import pkgutil
import re
import shlex
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot as plt

import foldline
from foldline.cli import main
from foldline.formats.keras import import_keras


def is_installed(name):
    try:
        import_keras() if name == "keras" else importlib.import_module(name)
    except ImportError:
        return False
    return True


NOT_INSTALLED = [name for name in ("keras", "torch") if not is_installed(name)]
MODULES = ["foldline"] + [
    m.name
    for m in pkgutil.walk_packages(foldline.__path__, "foldline.")
    if not m.name.endswith(("__main__", "demo.train"))
]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_in_docstrings_are_true(name):
    runner = doctest.DocTestRunner()
    for test in doctest.DocTestFinder().find(importlib.import_module(name)):
        if not any(name in example.source for example in test.examples for name in NOT_INSTALLED):
            runner.run(test)
    assert runner.failures == 0


def test_there_are_examples():
    finder = doctest.DocTestFinder()
    examples = [t for name in MODULES for t in finder.find(importlib.import_module(name)) if t.examples]
    assert len(examples) >= 10


README = (Path(__file__).parents[1] / "README.md").read_text()


def blocks(language):
    """README's code in one language, block by block."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.M | re.S)


def test_the_python_of_the_readme_runs_and_prints_what_it_says(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    matplotlib.use("Agg")
    np.save("points.npy", np.random.default_rng(0).uniform(-1, 1, (1000, 2)))
    names, printed = {}, []
    for block in blocks("python"):
        exec(block, names)
        printed.append(capsys.readouterr().out)
    plt.close("all")
    assert len(printed) == 2
    assert printed[0] == blocks("text")[0]
    assert printed[1].startswith(f"{names['found'].distinct:,} distinct patterns among 1,000,000 points")


def test_the_pieces_of_the_demo_in_the_readme_are_those_that_explain_prints(monkeypatch, capsys):
    monkeypatch.chdir(Path(__file__).parents[1])
    (command,) = (block for block in blocks("sh") if "--vary" in block)
    program, *arguments = shlex.split(command.replace("\\\n", ""))
    assert program == "foldline" and main(arguments) == 0
    assert capsys.readouterr().out == blocks("text")[1]
