"""safetensors files: linear layers as ``W0, b0, ...``, or as ``*.weight, *.bias`` of a PyTorch state.

Such a file has no activations: layers but the last are ReLU, unless ``slopes0, ...``, which foldline writes,
say otherwise. Of the state of another library's model that is a guess, and a warning says so.
"""

import re
import warnings

import numpy as np

from ..errors import FormatError
from ..network import Network
from . import npz, optional
from .check import ImportCheck

__all__ = ["read", "write"]

_ASSUMED = "assumed to be linear layers in the order of their names, with ReLU between"


def read(path, drop_final=False):
    load_file = optional("safetensors.numpy", "safetensors").load_file
    with open(path, "rb"):  # a path that cannot be read is the system's own error
        pass
    try:
        arrays = load_file(path)
        if any(map(npz.is_key, arrays)):
            return npz.network_from(arrays)
        net = _of_state(arrays)
    except (ValueError, TypeError, KeyError, OverflowError, optional("safetensors").SafetensorError) as error:
        raise FormatError(f"{path}: {error}") from None
    warnings.warn(
        f"{path} has weights without activations, {_ASSUMED}; to be sure, import the model itself, as "
        "fl.from_torch(module) does, and keep it with net.save(path)",
        stacklevel=3,  # the caller of load
    )
    return net


def write(net, file):
    file.write(optional("safetensors.numpy", "safetensors").save(npz.network_arrays(net)))


def _of_state(arrays):
    """The layers in the order of their names, in which numbers count as numbers."""
    names = sorted({key.rpartition(".")[0] for key in arrays}, key=_natural)
    wanted = {f"{name}.{kind}" for name in names for kind in ("weight", "bias")}
    if not arrays or any(f"{name}.weight" not in arrays for name in names) or not wanted.issuperset(arrays):
        found = ", ".join(sorted(arrays)[:20]) or "nothing"
        raise FormatError(f"has {found}; wanted W0, b0, W1, ... or the weight and bias of linear layers")
    layers = [(arrays[f"{name}.weight"], arrays.get(f"{name}.bias")) for name in names]
    return Network(layers, import_check=ImportCheck("its model", 0, np.nan, np.nan, np.nan, _ASSUMED))


def _natural(name):
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
