"""Counted patterns on disk, for multisets larger than memory."""

import os
import shutil
import tempfile
import weakref

import numpy as np

__all__ = ["Spill"]

N_PARTS = 256
_RECORD = np.dtype([("key", np.uint64, 2), ("count", np.uint64)])
_ROWS = 1 << 16


class Spill:
    """Keys with counts in a temporary directory, one file for each value of a byte of the keys' hashes.

    Each key is in one part only, as often as it was added, so that a part is read and counted by itself in
    a small part of the memory that all take. The directory is gone with the object.
    """

    def __init__(self, directory=None):
        self._parent = directory
        try:
            self._directory = tempfile.mkdtemp(prefix="foldline-", dir=directory)
        except OSError as error:
            message = f"{error.strerror}; wanted to spill patterns"
            raise OSError(error.errno, message, error.filename) from None
        weakref.finalize(self, shutil.rmtree, self._directory, ignore_errors=True)
        self._sizes = [0] * N_PARTS

    def add(self, keys, counts, parts):
        """Add the lists of a `PatternSet`: all or, where the disk is full, none."""
        order = np.argsort(parts, kind="stable")
        rows = np.empty(len(counts), _RECORD)
        rows["key"], rows["count"] = keys[order], counts[order]
        ends = np.cumsum(np.bincount(parts, minlength=N_PARTS)).tolist()
        old = list(self._sizes)
        try:
            for part, (start, end) in enumerate(zip([0, *ends], ends)):
                if end > start:
                    with open(self._path(part), "ab", buffering=0) as file:
                        _write(file, memoryview(rows[start:end]).cast("B"))
                    self._sizes[part] += end - start
        except OSError as error:
            for part, size in enumerate(old):
                if os.path.exists(self._path(part)):
                    os.truncate(self._path(part), size * _RECORD.itemsize)
            self._sizes = old
            message = f"{error.strerror}; wanted to spill patterns"
            raise OSError(error.errno, message, self._path(part)) from None

    def parts(self):
        """For each part, an iterator over its (keys, counts)."""
        for part, size in enumerate(self._sizes):
            if size:
                yield self._blocks(part)

    def _blocks(self, part):
        with open(self._path(part), "rb") as file:
            while len(rows := np.fromfile(file, _RECORD, _ROWS)):
                yield np.ascontiguousarray(rows["key"]), np.ascontiguousarray(rows["count"])

    def _path(self, part):
        return os.path.join(self._directory, f"{part:03d}")


def _write(file, data):
    while data:
        data = data[file.write(data) :]
