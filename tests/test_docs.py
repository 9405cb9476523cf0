"""Every example in a public docstring runs, and shows what it says."""

import doctest
import importlib
import importlib.util
import pkgutil

import pytest

import foldline

HAS_TORCH = importlib.util.find_spec("torch") is not None
MODULES = ["foldline"] + [
    m.name
    for m in pkgutil.walk_packages(foldline.__path__, "foldline.")
    if not m.name.endswith(("__main__", "demo.train"))
]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_in_docstrings_are_true(name):
    runner = doctest.DocTestRunner()
    for test in doctest.DocTestFinder().find(importlib.import_module(name)):
        if HAS_TORCH or not any("torch" in example.source for example in test.examples):
            runner.run(test)
    assert runner.failures == 0


def test_there_are_examples():
    finder = doctest.DocTestFinder()
    examples = [t for name in MODULES for t in finder.find(importlib.import_module(name)) if t.examples]
    assert len(examples) >= 10
