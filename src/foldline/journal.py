"""Journals: files that a run appends to, and that a later run of the same question goes on from."""

import contextlib
import json
import os
import stat
import struct
import time
from hashlib import blake2b

from .checks import check_path
from .errors import FormatError

__all__ = ["Journal"]

_MAGIC = b"foldline journal 3\n"
_FRAME = struct.Struct("<Q8s")  # the payload's length; a checksum of the length and the payload
_LONGEST = 1 << 32
_SECONDS_BETWEEN_SYNCS = 1.0


class Journal:
    """An append-only file of records under a question.

    A record is there once `append` returned, even if the process is killed; a machine that fails may lose
    those of the last second. What is not whole, from the first record on whose checksum fails, is cut off
    when the journal is opened. Used by one process at a time.

    Parameters
    ----------
    path : path
        Made if it is not there.
    question : dict
        What the records answer, in the types of JSON. A journal of another question is refused and left as
        it is.

    Raises
    ------
    FormatError
        The file is no journal, or one of another version.
    ValueError
        It has another question, or the path is that of a device or a pipe.
    OSError
        It cannot be read or written, or another process has it open.
    """

    def __init__(self, path, question):
        self.path = check_path("checkpoint", path)
        asked = json.dumps(question, sort_keys=True).encode()
        self._file = open(self.path, "ab+", buffering=0)  # noqa: SIM115
        try:
            if not stat.S_ISREG(os.fstat(self._file.fileno()).st_mode):
                raise ValueError(f"{self.path} is not a regular file; a journal is read again and cut")
            _lock(self._file, self.path)
            self._end = self._start = 0
            head = _MAGIC + _framed(asked)
            there = self._read_head(len(head))
            if len(there) < len(head) and head.startswith(there):  # new, or hardly begun
                os.truncate(self._file.fileno(), 0)
                self._write(head)
                self._start = self._end
            else:
                self._check(asked)
            self._synced = time.monotonic()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        with contextlib.suppress(OSError):
            os.fsync(self._file.fileno())
        self._file.close()

    def records(self):
        """The payloads, in order."""
        self._file.seek(self._start)
        while self._file.tell() < self._end:
            yield _next(self._file)

    def append(self, payload):
        """Add a record, whole or not at all."""
        self._write(_framed(payload))
        if time.monotonic() - self._synced > _SECONDS_BETWEEN_SYNCS:
            os.fsync(self._file.fileno())
            self._synced = time.monotonic()

    def _read_head(self, size):
        self._file.seek(0)
        return self._file.read(size)

    def _write(self, data):
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            with contextlib.suppress(OSError):
                os.truncate(self._file.fileno(), self._end)
            raise OSError(error.errno, error.strerror, self.path) from None
        self._end += len(data)

    def _check(self, asked):
        magic = self._read_head(len(_MAGIC))
        if magic != _MAGIC:
            family = magic.startswith(_MAGIC[:17])
            what = "a journal of another version" if family else "not a journal, or one whose head is damaged"
            raise FormatError(
                f"{self.path}: {what}: begins with {magic!r}; wanted {_MAGIC!r} "
                "(name another file, or delete it to begin anew)"
            )
        found = _next(self._file)
        if found is None:
            raise FormatError(f"{self.path}: the journal's head is damaged; delete it to begin anew")
        if found != asked:
            raise ValueError(f"{self.path} answers another question: {_difference(found, asked)}")
        self._start = self._end = self._file.tell()
        while _next(self._file) is not None:
            self._end = self._file.tell()
        os.truncate(self._file.fileno(), self._end)


def _framed(payload):
    length = len(payload).to_bytes(8, "little")
    return _FRAME.pack(len(payload), _checksum(length, payload)) + payload


def _checksum(length, payload):
    return blake2b(length + payload, digest_size=8).digest()


def _next(file):
    """The payload of the next record; None where there is no whole one."""
    frame = file.read(_FRAME.size)
    if len(frame) < _FRAME.size:
        return None
    length, checksum = _FRAME.unpack(frame)
    if length > _LONGEST:
        return None
    payload = file.read(length)
    whole = len(payload) == length and checksum == _checksum(frame[:8], payload)
    return payload if whole else None


def _difference(found, asked):
    found, asked = json.loads(found), json.loads(asked)
    names = [name for name in {**asked, **found} if found.get(name) != asked.get(name)]
    name = names[0]
    return f"{name} is {_short(found.get(name))} there; asked is {_short(asked.get(name))}"


def _short(value):
    text = json.dumps(value)
    return text if len(text) < 80 else f"{text[:77]}..."


def _lock(file, path):
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        def lock():
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:

        def lock():
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    try:
        lock()
    except OSError as error:
        raise OSError(error.errno, "another process has this journal open", path) from None
