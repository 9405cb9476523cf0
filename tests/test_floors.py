"""Benchmarks that miss a floor say so, in their table and by their exit code."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.mark.parametrize(
    ("call", "shown", "code"),
    [
        ("at_least(3.6, 3)", "3.6 (3)", 0),
        ("at_least(3.6, 5)", "! 3.6 (5)", 1),
        ("at_least(float('nan'), 5)", "! nan (5)", 1),
        ("at_most(0.25, 0.5, '{:.0%} ({:.0%})')", "25% (50%)", 0),
        ("at_most(0.75, 0.5, '{:.0%} ({:.0%})')", "! 75% (50%)", 1),
        ("at_most(float('nan'), 5)", "! nan (5)", 1),
    ],
)
def test_a_missed_floor_is_marked_and_the_exit_code_is_1(call, shown, code):
    script = f"import sys, floors; print(floors.{call}); sys.exit(floors.exit_code())"
    done = subprocess.run([sys.executable, "-c", script], cwd=BENCHMARKS, capture_output=True, text=True)
    assert (done.stdout.strip(), done.returncode) == (shown, code)
