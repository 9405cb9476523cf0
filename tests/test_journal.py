"""Journals give back whole records, or refuse: whatever happened to the file."""

import errno
import os

import pytest

from foldline.errors import FormatError
from foldline.journal import Journal

QUESTION = {"question": "how many", "network": "abc"}
RECORDS = [b"first", b"", b"third, a little longer"]


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "run.journal"
    with Journal(path, QUESTION) as journal:
        for record in RECORDS:
            journal.append(record)
    return path


def records(path, question=QUESTION):
    with Journal(path, question) as journal:
        return list(journal.records())


def test_what_was_appended_is_there_in_every_later_run(path):
    assert records(path) == RECORDS
    with Journal(path, QUESTION) as journal:
        journal.append(b"more")
        assert list(journal.records()) == [*RECORDS, b"more"]
    assert records(path) == [*RECORDS, b"more"]


def test_a_journal_cut_anywhere_has_its_first_whole_records(path):
    whole = path.read_bytes()
    ends = [len(whole)]
    for record in reversed(RECORDS):
        ends.append(ends[-1] - 16 - len(record))
    head = ends[-1]
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        n_whole = sum(end <= size for end in ends[:-1])
        assert records(path) == RECORDS[:n_whole]
        assert path.stat().st_size == max(head, max(end for end in [head, *ends] if end <= max(size, head)))


def test_a_flipped_bit_costs_the_records_from_there_on_or_the_journal(path):
    whole = path.read_bytes()
    n_refused = 0
    for i in range(len(whole)):
        for bit in (0, 5, 7):
            damaged = bytearray(whole)
            damaged[i] ^= 1 << bit
            path.write_bytes(damaged)
            try:
                found = records(path)
            except (FormatError, ValueError):
                n_refused += 1
                assert path.read_bytes() == damaged, "a refused file is left as it is"
            else:
                assert found == RECORDS[: len(found)] and len(found) < len(RECORDS)
    assert n_refused


def test_another_question_is_refused_by_what_differs(path):
    before = path.read_bytes()
    with pytest.raises(ValueError, match='network is "abc" there; asked is "abd"'):
        Journal(path, QUESTION | {"network": "abd"})
    assert path.read_bytes() == before


def test_another_version_and_other_files_are_refused(path):
    text = path.read_bytes().replace(b"journal 3\n", b"journal 1\n")
    path.write_bytes(text)
    with pytest.raises(FormatError, match="a journal of another version"):
        Journal(path, QUESTION)
    path.write_bytes(b"a letter to a friend, long enough to be one")
    with pytest.raises(FormatError, match="not a journal"):
        Journal(path, QUESTION)
    assert path.read_bytes().startswith(b"a letter")


def test_what_to_do_about_a_damaged_head_is_said(path):
    whole = path.read_bytes()
    for i in (3, 18, 21, 60):
        path.write_bytes(whole[:i] + bytes([whole[i] ^ 1]) + whole[i + 1 :])
        with pytest.raises(FormatError, match=r"run\.journal: .*delete it to begin anew"):
            Journal(path, QUESTION)


@pytest.mark.skipif(os.name != "posix", reason="devices of POSIX")
def test_a_device_is_no_journal():
    with pytest.raises(ValueError, match=f"{os.devnull} is not a regular file"):
        Journal(os.devnull, QUESTION)


def test_one_process_at_a_time(path):
    with Journal(path, QUESTION), pytest.raises(OSError, match="another process has this journal open"):
        Journal(path, QUESTION)


def test_a_path_that_cannot_be_written_is_a_clear_error(tmp_path):
    with pytest.raises(OSError, match="nowhere"):
        Journal(tmp_path / "nowhere" / "run.journal", QUESTION)
    with pytest.raises(OSError):
        Journal(tmp_path, QUESTION)
    with pytest.raises(TypeError, match="checkpoint is 5; wanted a path"):
        Journal(5, QUESTION)


def test_a_full_disk_loses_no_whole_record(path, monkeypatch):
    journal = Journal(path, QUESTION)
    file = journal._file

    class Full:
        def __getattr__(self, name):
            return getattr(file, name)

        def write(self, data):
            if len(data) > 10:
                return file.write(data[:10])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    journal._file = Full()
    with pytest.raises(OSError, match="No space left") as caught:
        journal.append(b"a record that does not fit")
    assert caught.value.filename == str(path)
    journal._file = file
    with journal:
        journal.append(b"a record that does")
    assert records(path) == [*RECORDS, b"a record that does"]
