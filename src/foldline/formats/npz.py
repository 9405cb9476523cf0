"""NumPy archives: ``W0, b0, W1, b1, ...``, and ``slopes0, ...`` where a layer is not ReLU.

The archive is read without `numpy.load`: what the zip directory and the array headers declare is
compared with each other and with the size of the file before anything is allocated, and arrays of
objects, which would be unpickled, are refused.
"""

import math
import os
import re
import struct
import zipfile
import zlib

import numpy as np

from ..errors import FormatError
from ..network import Network

__all__ = ["read", "write"]

_KEY = re.compile(r"(W|b|slopes)(0|[1-9][0-9]{0,5})")
_WANTED = "the keys W0, b0, W1, b1, ... and, for layers that are not ReLU, slopes0, slopes1, ..."
_FREE_BYTES = 2**26
_MAX_RATIO = 100
_MAX_MEMBERS = 100_000
_MAX_HEADER = 10_000


def read(path, drop_final=False):
    with open(path, "rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                return _network(_arrays(archive, os.path.getsize(path)))
        except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError) as error:
            raise FormatError(f"{path}: not a whole .npz file: {error}") from None
        except (ValueError, TypeError, NotImplementedError, RuntimeError, OverflowError) as error:
            raise FormatError(f"{path}: {error}") from None


def write(net, file):
    arrays = {}
    for i, (W, b) in enumerate(zip(net.weights, net.biases)):
        arrays[f"W{i}"], arrays[f"b{i}"] = W, b
    for i, slopes in enumerate(net.slopes):
        if slopes.any() or np.signbit(slopes).any():
            arrays[f"slopes{i}"] = slopes
    np.savez(file, **arrays)


def _arrays(archive, file_size):
    members = archive.infolist()
    if len(members) > _MAX_MEMBERS:
        raise FormatError(f"has {len(members)} arrays; at most {_MAX_MEMBERS} are read")
    declared = sum(m.file_size for m in members)
    if declared > max(_FREE_BYTES, _MAX_RATIO * file_size):
        raise FormatError(f"declares {declared} bytes of arrays in a file of {file_size} bytes")
    arrays = {}
    for member in members:
        key = member.filename.removesuffix(".npy")
        if not _KEY.fullmatch(key) or key == member.filename:
            raise FormatError(f"has a member {member.filename!r}; wanted {_WANTED}")
        if key in arrays:
            raise FormatError(f"has {key!r} twice")
        with archive.open(member) as stream:
            arrays[key] = _array(stream, key, member.file_size)
    return arrays


def _array(stream, key, size):
    shape, fortran, dtype, header_size = _header(stream, key)
    if dtype.kind != "f" or dtype.itemsize not in (4, 8):
        raise FormatError(f"{key} has dtype {dtype}; wanted float32 or float64")
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


def _network(arrays):
    n_layers = sum(key.startswith("W") for key in arrays)
    layers = range(n_layers)
    missing = [f"W{i}" for i in layers if f"W{i}" not in arrays]
    wanted = {f"{name}{i}" for i in layers for name in ("W", "b")} | {f"slopes{i}" for i in layers[:-1]}
    extra = [key for key in arrays if key not in wanted]
    if not n_layers or missing or extra:
        found = ", ".join(sorted(arrays)[:20]) or "nothing"
        raise FormatError(
            f"has {found}; wanted {_WANTED}, without gaps and with no slopes for the last layer"
        )
    slopes = [arrays.get(f"slopes{i}", 0.0) for i in layers[:-1]]
    return Network([(arrays[f"W{i}"], arrays.get(f"b{i}")) for i in layers], slopes)
