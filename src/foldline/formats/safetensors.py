"""safetensors files: linear layers as ``W0, b0, ...``, or as ``*.weight, *.bias`` of a PyTorch state.

Such a file has no activations: layers but the last are ReLU, unless ``slopes0, ...``, which foldline writes,
say otherwise.
"""

import re

from ..errors import FormatError
from ..network import Network
from . import npz, optional

__all__ = ["read", "write"]


def read(path, drop_final=False):
    load_file = optional("safetensors.numpy", "safetensors").load_file
    with open(path, "rb"):  # a path that cannot be read is the system's own error
        pass
    try:
        arrays = load_file(path)
        return npz.network_from(arrays) if any(map(npz.is_key, arrays)) else _of_state(arrays)
    except (ValueError, TypeError, KeyError, OverflowError, optional("safetensors").SafetensorError) as error:
        raise FormatError(f"{path}: {error}") from None


def write(net, file):
    file.write(optional("safetensors.numpy", "safetensors").save(npz.network_arrays(net)))


def _of_state(arrays):
    """The layers in the order of their names, in which numbers count as numbers."""
    names = sorted({key.rpartition(".")[0] for key in arrays}, key=_natural)
    wanted = {f"{name}.{kind}" for name in names for kind in ("weight", "bias")}
    if not arrays or any(f"{name}.weight" not in arrays for name in names) or not wanted.issuperset(arrays):
        found = ", ".join(sorted(arrays)[:20]) or "nothing"
        raise FormatError(f"has {found}; wanted W0, b0, W1, ... or the weight and bias of linear layers")
    return Network([(arrays[f"{name}.weight"], arrays.get(f"{name}.bias")) for name in names])


def _natural(name):
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
