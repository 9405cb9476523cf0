"""Talking: progress on stderr, errors in one line, values in the types of JSON."""

import contextlib
import math
import os
import re
import sys
import threading
import time

import numpy as np

__all__ = ["Progress", "complain", "discard_stdout", "open_streams", "plain", "show_warning"]


class Progress:
    """A line on stderr, where that is a terminal, once something has taken two seconds. An interrupt is given
    the words for how far it came, and for the journal that keeps this."""

    PATIENCE = 2.0

    def __init__(self, what, journal=None, total=None):
        self._what, self._so_far, self._journal, self._total = what, "", journal, total
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._show, daemon=True)

    def __call__(self, fraction):
        self._so_far = f" {fraction:.0%}"

    def count(self, n):
        of_total = f"of {self._total:,} ({n / self._total:.0%})" if self._total else "so far"
        self._so_far = f", {n:,} {of_total}"

    def __enter__(self):
        if sys.stderr is not None and sys.stderr.isatty():
            self._thread.start()
        return self

    def __exit__(self, kind, error, traceback):
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()
        if kind is KeyboardInterrupt:
            kept = f"; the same command goes on from {self._journal}" if self._journal else ""
            error.args = (f" while {self._what}{self._so_far}{kept}",)

    def _show(self):
        begin, width, pause = time.monotonic(), 0, self.PATIENCE
        while not self._over.wait(pause):
            line = f"{self._what}{self._so_far}, {time.monotonic() - begin:.0f} s"
            print(f"\r{line:<{width}}", end="", file=sys.stderr, flush=True)
            width, pause = len(line), 0.5
        if width:
            print(f"\r{'':<{width}}\r", end="", file=sys.stderr, flush=True)


def plain(value):
    """`value` in the types JSON has."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


# What errors advise Python to do, as options.
_ADVICE = {
    r" \(or allow_nonfinite=True\)": "",
    r" \(a Plane or a Segment asks about a slice\)": "",
    r", such as fl\.Box\([^)]*\)": "",
    r"\bdrop_final=True": "--drop-final",
    r"\bmax_regions=?": "--max-regions",
    r"\biter_regions describes them": "--parquet writes them",
    r"\bcount_regions only counts": "foldline count --exact only counts",
}


def complain(error, code):
    if isinstance(error, OSError) and error.filename is not None:
        error = f"{error.filename}: {error.strerror}"
    text = " ".join(str(error).split())
    for advice, option in _ADVICE.items():
        text = re.sub(advice, option, text)
    print(f"foldline: error: {text}", file=sys.stderr)
    return code


def show_warning(message, category, filename, lineno, file=None, line=None):
    print(f"foldline: note: {' '.join(str(message).split())}", file=sys.stderr)


def open_streams():
    """What is written to a stream that was closed before the process began goes nowhere."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115


def discard_stdout():
    """Keep the interpreter from complaining, at exit, about a reader that has gone."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
