"""Rows out: to a file, to stdout, into the JSON document."""

import contextlib
import sys

import numpy as np

from ..files import replacing

__all__ = ["open_rows"]


def open_rows(args, shape, dtype):
    if args.output is None or args.output == "-":
        return (
            _CollectedRows() if args.json else _TextRows(contextlib.nullcontext(sys.stdout.buffer))
        )
    stream = replacing(args.output)
    if args.output.endswith(".npy"):
        return _NpyRows(stream, args.output, shape, dtype)
    return _TextRows(stream, args.output)


class _CollectedRows(contextlib.AbstractContextManager):
    """Rows that become part of the JSON document."""

    def __init__(self):
        self._blocks = []

    def __exit__(self, *exception):
        pass

    def write(self, block):
        self._blocks.append(block.astype(np.uint8) if block.dtype == bool else block)

    def facts(self, name):
        return {name: [row for block in self._blocks for row in block.tolist()]}

    def note(self, what):
        return ""


class _FileRows(contextlib.AbstractContextManager):
    def __init__(self, stream, path=None):
        self._stream, self._path = stream, path

    def __enter__(self):
        self._file = self._stream.__enter__()
        return self

    def __exit__(self, *exception):
        return self._stream.__exit__(*exception)

    def facts(self, name):
        return {"output": self._path}

    def note(self, what):
        return "" if self._path is None else f"{self._path}: {what}"


class _NpyRows(_FileRows):
    def __init__(self, stream, path, shape, dtype):
        super().__init__(stream, path)
        descr = np.lib.format.dtype_to_descr(dtype)
        self._header = {"descr": descr, "fortran_order": False, "shape": shape}

    def __enter__(self):
        super().__enter__()
        np.lib.format.write_array_header_1_0(self._file, self._header)
        return self

    def write(self, block):
        self._file.write(np.ascontiguousarray(block).data)


class _TextRows(_FileRows):
    """Comma-separated values; the shortest digits that read back as the same number."""

    def write(self, block):
        text = block.astype(np.uint8 if block.dtype == bool else block.dtype).astype(str)
        self._file.write("".join(",".join(row) + "\n" for row in text.tolist()).encode())
