"""JSON, for people and other programs: written in one form, read in the forms people write.

Written: ``{"format": "foldline", "version": 1, "dtype": "float32", "layers": [{"W": [[...]], "b":
[...], "slopes": 0.0}, ...]}``, every number with the digits that give the same float back. Read as
well: a layer ``[W, b]``; flat keys ``W0, b0, slopes0, W1, ...``; ``"activation"`` as `Network` takes
it; no ``b`` for zeros, no ``slopes`` for ReLU, no ``dtype`` for float64.
"""

import json
import re

import numpy as np

from ..errors import FormatError
from ..network import Network

__all__ = ["read", "write"]

_FLAT_KEY = re.compile(r"(W|b|slopes)(0|[1-9][0-9]{0,5})")
_LAYER_KEYS = ("W", "b", "slopes")
_KEYS = ("format", "version", "dtype", "layers", "activation")


def read(path, drop_final=False):
    with open(path, "rb") as file:
        data = file.read()
    try:
        return _network(_parse(data))
    except RecursionError:
        raise FormatError(
            f"{path}: nested too deeply; W is a list of rows of numbers, b a list of numbers"
        ) from None
    except (ValueError, TypeError, OverflowError) as error:
        raise FormatError(f"{path}: {error}") from None


def write(net, file):
    layers = []
    for i, (W, b) in enumerate(zip(net.weights, net.biases)):
        layer = {"W": W.tolist(), "b": b.tolist()}
        if i < len(net.slopes):
            slopes = net.slopes[i].tolist()
            same = all(repr(s) == repr(slopes[0]) for s in slopes)
            layer["slopes"] = slopes[0] if same else slopes
        layers.append(layer)
    document = {"format": "foldline", "version": 1, "dtype": net.dtype.name, "layers": layers}
    file.write(json.dumps(document, allow_nan=False).encode())


def _parse(data):
    def no_constant(name):
        raise FormatError(f"has {name}; weights are finite numbers")

    def no_duplicates(pairs):
        document = dict(pairs)
        if len(document) < len(pairs):
            keys = [key for key, _ in pairs]
            raise FormatError(f"has the key {next(k for k in keys if keys.count(k) > 1)!r} twice")
        return document

    text = data.decode("utf-8-sig")
    document = json.loads(text, parse_constant=no_constant, object_pairs_hook=no_duplicates)
    if not isinstance(document, dict):
        raise FormatError(f"is a {_kind(document)}; wanted an object with the key 'layers'")
    return document


def _network(document):
    flat = {key: document[key] for key in document if _FLAT_KEY.fullmatch(key)}
    unknown = [key for key in document if key not in flat and key not in _KEYS]
    if unknown:
        raise FormatError(f"has the keys {', '.join(map(repr, unknown[:20]))}; wanted {', '.join(_KEYS)}")
    if document.get("format", "foldline") != "foldline" or document.get("version", 1) != 1:
        raise FormatError(
            f"is format {document.get('format')!r}, version {document.get('version')!r}; wanted 'foldline', 1"
        )
    if document.get("dtype", "float64") not in ("float32", "float64"):
        raise FormatError(f"has dtype {document['dtype']!r}; wanted 'float32' or 'float64'")
    if ("layers" in document) == bool(flat):
        raise FormatError("wanted either 'layers' or the keys W0, b0, W1, b1, ...")
    layers = _unflattened(flat) if flat else _listed(document["layers"])
    dtype = np.dtype(document.get("dtype", "float64"))
    activation = _activation(document, [layer.pop("slopes", None) for layer in layers])
    pairs = [(_array(layer, "W", i, dtype), _array(layer, "b", i, dtype)) for i, layer in enumerate(layers)]
    return Network(pairs, activation)


def _unflattened(flat):
    layers = [{} for _ in range(sum(key.startswith("W") for key in flat))]
    for key, value in flat.items():
        name, i = _FLAT_KEY.fullmatch(key).groups()
        if int(i) >= len(layers):
            raise FormatError(f"has {key!r}, and {len(layers)} weights; wanted W0, W1, ... without gaps")
        layers[int(i)][name] = value
    return layers


def _listed(layers):
    if not isinstance(layers, list):
        raise FormatError(f"has a {_kind(layers)} as 'layers'; wanted a list")
    return [_layer(layer, i) for i, layer in enumerate(layers)]


def _layer(layer, i):
    if isinstance(layer, list) and len(layer) == 2:
        layer = dict(zip(_LAYER_KEYS, layer))
    if not isinstance(layer, dict) or not set(layer) <= set(_LAYER_KEYS):
        found = (
            f"an object with {', '.join(map(repr, layer))}"
            if isinstance(layer, dict)
            else f"a {_kind(layer)}"
        )
        raise FormatError(f"layer {i} is {found}; wanted 'W', 'b' and 'slopes', or the list [W, b]")
    return dict(layer)


def _array(layer, name, i, dtype):
    value = layer.get(name)
    if value is None and name == "b":
        return None
    rows = value if name == "W" else [value]
    if not isinstance(rows, list) or not all(isinstance(row, list) and _numbers(row) for row in rows):
        wanted = "a list of rows of numbers" if name == "W" else "a list of numbers"
        raise FormatError(f"{name} of layer {i} is not {wanted}")
    if len({len(row) for row in rows}) > 1:
        raise FormatError(f"{name} of layer {i} has rows of different lengths")
    with np.errstate(over="ignore"):
        return np.array(value, np.float64).astype(dtype)


def _activation(document, slopes):
    if any(s is not None for s in slopes):
        if "activation" in document:
            raise FormatError("has both 'activation' and 'slopes'; wanted one of them")
        if slopes[-1] is not None:
            raise FormatError("has 'slopes' in the last layer, which nothing follows")
        activation = [0.0 if s is None else s for s in slopes[:-1]]
    else:
        activation = document.get("activation", "relu")
    for item in activation if isinstance(activation, list) else [activation]:
        numbers = item if isinstance(item, list) else [item]
        if not (isinstance(item, str) or _numbers(numbers)):
            raise FormatError(
                "has an activation or slopes that are not a name, a number or a list of numbers"
            )
    return activation


def _numbers(values):
    return all(type(v) is float or type(v) is int for v in values)


def _kind(value):
    names = {dict: "object", list: "list", str: "string", bool: "boolean", type(None): "null"}
    return names.get(type(value), "number")
