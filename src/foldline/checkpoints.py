"""Walks in a journal: what is done stays done."""

import json
import zlib

import numpy as np

from .journal import Journal
from .logs import log
from .walk import Part, Prefix

__all__ = ["JournaledWalks"]


class JournaledWalks:
    """The journal of the walks through the charts of one domain.

    A record is a part of a walk: the prefixes that it took, what it found below them, and the prefixes that
    it left. Prefixes that were left and not taken are open.

    Parameters
    ----------
    path : path
    net, domain
        What is counted.
    question : dict
        How, in the types of JSON.
    """

    def __init__(self, path, net, domain, question):
        fields = {name: np.asarray(value).tolist() for name, value in vars(domain).items()}
        about = {"network": net.digest, "domain": [type(domain).__name__, fields]}
        self._n_bytes = -(-net.n_neurons // 8)
        self._journal = Journal(path, about | question)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._journal.__exit__(*exception)

    def replay(self, roots):
        """Yield the parts that are there, each with its chart; afterwards `opens` has the open prefixes of
        each chart's root."""
        self.opens = [dict.fromkeys([root]) for root in roots]
        n = 0
        for record in self._journal.records():
            chart, part = self._part(record)
            for prefix in part.taken:
                del self.opens[chart][prefix]
            self.opens[chart].update(dict.fromkeys(part.left))
            n += 1
            yield chart, part
        log.info("%s: %d parts of the walk were there", self._journal.path, n)

    def add(self, chart, part):
        """Append a part of a walk."""
        head = {
            "chart": chart,
            "taken": [_written(prefix) for prefix in part.taken],
            "left": [_written(prefix) for prefix in part.left],
            "found": [part.n_cells, part.n_decisions, part.n_decided, part.n_undecided],
            "margin": float(part.smallest_margin).hex(),
        }
        patterns = b"" if part.patterns is None else part.patterns.tobytes()
        self._journal.append(json.dumps(head).encode() + b"\n" + zlib.compress(patterns, 1))

    def _part(self, record):
        line, _, patterns = record.partition(b"\n")
        head = json.loads(line)
        patterns = np.frombuffer(zlib.decompress(patterns), np.uint8)
        n_rows = len(patterns) // self._n_bytes if self._n_bytes else head["found"][0]
        patterns = patterns.reshape(n_rows, self._n_bytes)
        taken, left = ([_read(prefix) for prefix in head[name]] for name in ("taken", "left"))
        margin = float.fromhex(head["margin"])
        return head["chart"], Part(*head["found"], margin, [], patterns, [], taken, left)


def _written(prefix):
    return [prefix.bits.hex(), prefix.length, prefix.arithmetic]


def _read(written):
    bits, length, arithmetic = written
    return Prefix(bytes.fromhex(bits), length, arithmetic)
