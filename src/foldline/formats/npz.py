"""NumPy archives: ``W0, b0, W1, b1, ...``, and ``slopes0, ...`` where a layer is not ReLU."""

import re

import numpy as np

from .. import archives
from ..errors import FormatError
from ..network import Network

__all__ = ["is_key", "network_from", "network_arrays", "read", "write"]

_KEY = re.compile(r"(W|b|slopes)(0|[1-9][0-9]{0,5})")
_WANTED = "the keys W0, b0, W1, b1, ... and, for layers that are not ReLU, slopes0, slopes1, ..."
_DTYPES = (np.dtype(np.float32), np.dtype(np.float64))


def read(path, drop_final=False):
    return archives.read(path, network_from, is_key, _WANTED, _DTYPES)


def write(net, file):
    np.savez(file, **network_arrays(net))


def is_key(name):
    return _KEY.fullmatch(name) is not None


def network_arrays(net):
    arrays = {}
    for i, (W, b) in enumerate(zip(net.weights, net.biases)):
        arrays[f"W{i}"], arrays[f"b{i}"] = W, b
    for i, slopes in enumerate(net.slopes):
        if slopes.any() or np.signbit(slopes).any():
            arrays[f"slopes{i}"] = slopes
    return arrays


def network_from(arrays):
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
