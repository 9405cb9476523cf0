"""Zip archives, and those of NumPy, which are read without `numpy.load`.

What the zip directory and the array headers declare is compared with each other and with the size of
the file before anything is allocated, and arrays of objects, which would be unpickled, are refused.
"""

import math
import os
import struct
import zipfile
import zlib

import numpy as np

from .errors import FormatError

__all__ = ["brief", "opened", "read"]

_FREE_BYTES = 2**26
_MAX_RATIO = 100
_MAX_MEMBERS = 100_000
_MAX_HEADER = 10_000
_MAX_MESSAGE = 300


def read(path, build, is_key, wanted, dtypes):
    """``build(arrays)`` of an archive's arrays by name, in native byte order.

    Parameters
    ----------
    path : str
    build : callable
        What it raises becomes a FormatError that names the file.
    is_key : callable
        Whether an array may have this name.
    wanted : str
        The names, for errors.
    dtypes : sequence of numpy.dtype
        The arrays may have these, in either byte order.
    """

    def build_of(archive, members):
        return build(_arrays(archive, members, is_key, wanted, dtypes))

    return opened(path, ".npz", build_of)


def opened(path, ending, build):
    """``build(archive, members)`` of a zip archive, whose sizes are admitted before.

    Parameters
    ----------
    path : str
    ending : str
        What the file is, for errors.
    build : callable
        What it raises becomes a FormatError that names the file.
    """
    with open(path, "rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                return build(archive, _members(archive, os.path.getsize(path)))
        except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError) as error:
            raise FormatError(f"{path}: not a whole {ending} file: {error}") from None
        except (ValueError, TypeError, NotImplementedError, RuntimeError, OverflowError) as error:
            raise FormatError(f"{path}: {brief(error)}") from None


def brief(error):
    """The beginning of a message, which may go on with all that a damaged file has for a name or a header."""
    text = str(error)
    return text if len(text) <= _MAX_MESSAGE else f"{text[:_MAX_MESSAGE]}..."


def _members(archive, file_size):
    members = archive.infolist()
    if len(members) > _MAX_MEMBERS:
        raise FormatError(f"has {len(members)} arrays; at most {_MAX_MEMBERS} are read")
    declared = sum(m.file_size for m in members)
    if declared > max(_FREE_BYTES, _MAX_RATIO * file_size):
        raise FormatError(f"declares {declared} bytes of arrays in a file of {file_size} bytes")
    return members


def _arrays(archive, members, is_key, wanted, dtypes):
    arrays = {}
    for member in members:
        key = member.filename.removesuffix(".npy")
        if not is_key(key) or key == member.filename:
            raise FormatError(f"has a member {member.filename!r}; wanted {wanted}")
        if key in arrays:
            raise FormatError(f"has {key!r} twice")
        with archive.open(member) as stream:
            arrays[key] = _array(stream, key, member.file_size, dtypes)
    return arrays


def _array(stream, key, size, dtypes):
    shape, fortran, dtype, header_size = _header(stream, key)
    if dtype.newbyteorder("=") not in dtypes:
        raise FormatError(f"{key} has dtype {dtype}; wanted {' or '.join(d.name for d in dtypes)}")
    n_bytes = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or header_size + n_bytes != size:
        raise FormatError(
            f"{key} of shape {shape} and dtype {dtype} takes {n_bytes} bytes; "
            f"the archive has {size - header_size}"
        )
    data = stream.read(n_bytes)
    if len(data) != n_bytes or stream.read(1):
        raise FormatError(f"{key} does not have the size that the archive declares")
    array = np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")
    return array.astype(dtype.newbyteorder("="), copy=False)


def _header(stream, key):
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    try:
        version = np.lib.format.read_magic(stream)
        shape, fortran, dtype = readers[version](stream, max_header_size=_MAX_HEADER)
    except (EOFError, zipfile.BadZipFile, zlib.error):
        raise
    except Exception as error:  # NumPy parses the header as Python text, which fails in many ways
        raise FormatError(f"{key} is not a NumPy array: {error}") from None
    return shape, fortran, dtype, stream.tell()
