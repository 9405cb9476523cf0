"""Keras 3: the graph of a Sequential or Functional model is run on a `Tensor`.

Models within the model are run in their place. The functions of layers and operations are those of
`keras_layers`; `keras_files` reads files.
"""

import functools
import importlib
import importlib.util
import json
import os
import sys

import numpy as np

from ..errors import FormatError, UnsupportedModelError
from ..lowering import Graph, Tensor
from . import optional, unsupported
from .check import checked_network
from .keras_files import loaded, parts
from .keras_layers import ACTIVATIONS, FINAL, FINAL_ACTIVATIONS, LAYERS, OPERATIONS, array

__all__ = ["from_keras", "import_keras", "read"]

_UNKNOWN = object()


def import_keras():
    """keras, on a backend that is installed.

    Keras takes its backend from KERAS_BACKEND, or from its file of settings, when it is imported. Where that
    variable is not set and the backend of the file, TensorFlow by default, is not installed, it gets PyTorch
    or JAX, in this process only.
    """
    if "keras" in sys.modules or importlib.util.find_spec("keras") is None:
        return optional("keras")
    backend = os.environ.get("KERAS_BACKEND") or _backend_of_settings()
    if "KERAS_BACKEND" not in os.environ and not _is_installed(backend):
        os.environ["KERAS_BACKEND"] = next(filter(_is_installed, ("torch", "jax")), backend)
        try:
            return import_keras()
        finally:
            del os.environ["KERAS_BACKEND"]
    try:
        return importlib.import_module("keras")
    except (ImportError, ValueError) as error:
        raise ImportError(
            f"keras cannot be imported with its backend {backend!r}: {error}; install that, or set "
            "KERAS_BACKEND to one that is installed (pip install torch)"
        ) from error


def _backend_of_settings():
    home = os.environ.get("KERAS_HOME") or os.path.join(os.path.expanduser("~"), ".keras")
    try:
        with open(os.path.join(home, "keras.json"), "rb") as file:
            return str(json.load(file)["backend"])
    except (OSError, ValueError, LookupError, TypeError):
        return "tensorflow"


def _is_installed(backend):
    return importlib.util.find_spec({"numpy": "jax"}.get(backend, backend)) is not None


def read(path, drop_final=False):
    config, weights = parts(path)
    keras = import_keras()
    try:
        return from_keras(loaded(keras, config, weights), drop_final)
    except UnsupportedModelError as error:
        raise UnsupportedModelError(f"{path}: {error}", error.operators) from None
    except ValueError as error:
        raise FormatError(f"{path}: {error}") from None


def from_keras(model, drop_final=False):
    keras = import_keras()
    if not isinstance(model, keras.Model):
        raise TypeError(f"model is {type(model).__name__}; wanted a keras.Model, of Keras 3")
    graph = _graph(model)
    if graph is None:
        raise UnsupportedModelError(
            f"{_described(model)} has no graph of layers; wanted a Functional model, or a Sequential one "
            "that knows the shape of its input"
        )
    shape = _input_shape(graph)
    dtype = _dtype(graph)
    x = Graph(dtype).input((1, *shape[1:]))
    walk = _Walk(keras, drop_final)
    y = walk.symbolically(graph, x)

    def run_block(block):
        tensor = keras.ops.convert_to_tensor(block)
        if walk.dropped:
            return array(walk.numerically(graph, tensor))
        (output,) = keras.tree.flatten(model(keras.tree.pack_sequence_as(graph.input, [tensor])))
        return array(output)

    def run(points):
        points = points.reshape(-1, *shape[1:])
        blocks = [points] if shape[0] is None else np.split(points, len(points))
        with keras.device("cpu"):
            return np.concatenate([run_block(block) for block in blocks]).reshape(len(points), -1)

    name = f"keras {keras.__version__} on {keras.config.backend()}"
    note = "" if dtype == np.float32 else "to the precision of float32, in which Keras computes in part"
    return checked_network(x, y, run, name=name, note=note, arithmetic=np.float32)


def _graph(model):
    """The nodes of a model; None when it has none, or is no model."""
    graph = getattr(model, "_functional", model)
    return graph if hasattr(graph, "_nodes_by_depth") else None


def _input_shape(graph):
    for what, tensors in (("input", graph.inputs), ("output", graph.outputs)):
        if len(tensors) != 1:
            raise UnsupportedModelError(f"the model has {len(tensors)} {what}s; wanted one")
    shape = tuple(graph.inputs[0].shape)
    if len(shape) < 2 or None in shape[1:] or shape[0] not in (None, 1):
        raise UnsupportedModelError(
            f"the model's input has shape {shape}; wanted (batch, ...), the batch None or 1, the others fixed"
        )
    return shape


def _dtype(graph):
    found = {*_dtype_policies(graph)}
    if len(found) > 1 or found.isdisjoint(("float32", "float64")):
        raise UnsupportedModelError(
            f"the model's input and layers are {', '.join(sorted(found))}; wanted float32 or float64 "
            "throughout"
        )
    return np.dtype(found.pop())


def _dtype_policies(graph):
    for layer in graph.layers:
        if _graph(layer) is not None:
            yield from _dtype_policies(_graph(layer))
        else:
            yield layer.dtype if type(layer).__name__ == "InputLayer" else layer.dtype_policy.name


def _described(operation):
    return f"{type(operation).__name__} ({operation.name!r})"


class _Walk:
    """Runs a graph on a `Tensor`, or on numbers; what cannot be run is collected into one error.

    A tensor of a graph is at the end when it is the output, or nothing but final functions lies between.
    """

    def __init__(self, keras, drop_final):
        self.keras = keras
        self.drop_final = drop_final
        self.dropped = False
        self.reasons = {}

    def symbolically(self, graph, x):
        y = self._run(graph, [x], True, self._symbolic)
        if self.reasons:
            raise unsupported(self.reasons.items())
        if not isinstance(y, Tensor):
            raise UnsupportedModelError("the model's output does not depend on its input")
        return y

    def numerically(self, graph, x):
        """What the model computes, but for the final functions."""
        return self._run(graph, [x], True, self._numeric)

    def _run(self, graph, inputs, at_end, function_of):
        values = dict(zip(map(id, graph.inputs), inputs, strict=True))
        ends = _ends(graph) if at_end else ()
        for node in _nodes(graph):
            if not node.is_input:
                args, kwargs = node.arguments.fill_in(values)
                modes = [kwargs.pop("training", None), kwargs.pop("mask", None)]
                function = function_of(node.operation, id(node.outputs[0]) in ends, modes)
                values.update(dict.fromkeys(map(id, node.outputs), function(*args, **kwargs)))
        return values[id(graph.outputs[0])]

    def _inner(self, graph, at_end, function_of):
        if len(graph.outputs) != 1:
            raise UnsupportedModelError(f"with {len(graph.outputs)} outputs")
        return lambda inputs: self._run(graph, self.keras.tree.flatten(inputs), at_end, function_of)

    def _numeric(self, operation, at_end, modes):
        if _graph(operation) is not None:
            return self._inner(_graph(operation), at_end, self._numeric)
        if at_end and _is_final(operation):
            return lambda x: x
        if at_end and self._is_final_activation(getattr(operation, "activation", None)):
            return functools.partial(type(operation).call, _WithoutActivation(operation))
        return operation

    def _symbolic(self, operation, at_end, modes):
        """`operation` as a function of tensors and constants; notes why, when it cannot be run."""
        function = self._noted(operation, lambda: self._function(operation, at_end, modes))
        if function is _UNKNOWN:
            return lambda *args, **kwargs: _UNKNOWN
        if _graph(operation) is not None:
            return function

        def run(*args, **kwargs):
            if any(value is _UNKNOWN for value in self.keras.tree.flatten((args, kwargs))):
                return _UNKNOWN
            args, kwargs = self.keras.tree.map_structure(self._constant, (args, kwargs))
            return self._noted(operation, lambda: function(*args, **kwargs))

        return run

    def _noted(self, operation, run):
        try:
            with np.errstate(all="ignore"):
                return run()
        except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, MemoryError) as error:
            self.reasons.setdefault(_described(operation), str(error))
            return _UNKNOWN

    def _function(self, operation, at_end, modes=()):
        if any(self.keras.tree.flatten(modes)):
            raise UnsupportedModelError("with training=True, or a mask")
        if _graph(operation) is not None:
            return self._inner(_graph(operation), at_end, self._symbolic)
        if _is_final(operation):
            return self._final(at_end, "")
        is_layer = isinstance(operation, self.keras.Layer)
        function = _entry(LAYERS if is_layer else OPERATIONS, operation)
        if function is None:
            raise UnsupportedModelError("")
        activate = self._activation(getattr(operation, "activation", None), at_end)
        return lambda *args, **kwargs: activate(function(operation, *args, **kwargs))

    def _activation(self, activation, at_end):
        if self._is_final_activation(activation):
            return self._final(at_end, _name(activation))
        if isinstance(activation, self.keras.Operation):
            return self._function(activation, at_end)
        if not self._is_of_keras(activation) or _name(activation) not in ACTIVATIONS:
            raise UnsupportedModelError(_name(activation))
        return ACTIVATIONS[_name(activation)]

    def _final(self, at_end, what):
        if at_end and self.drop_final:
            self.dropped = True
            return lambda x: x
        hint = "drop_final=True leaves it out" if at_end else ""
        raise UnsupportedModelError(", ".join(filter(None, (what, hint))))

    def _is_final_activation(self, activation):
        if isinstance(activation, self.keras.Operation):
            return _is_final(activation)
        return self._is_of_keras(activation) and _name(activation) in FINAL_ACTIVATIONS

    def _is_of_keras(self, activation):
        return activation is None or getattr(self.keras.activations, _name(activation), None) is activation

    def _constant(self, value):
        is_tensor = isinstance(value, self.keras.Variable) or self.keras.ops.is_tensor(value)
        return array(value) if is_tensor else value


class _WithoutActivation:
    """Stands for a layer in its class's ``call``, so that the layer itself need not be changed."""

    def __init__(self, layer):
        self._layer = layer
        self.activation = optional("keras").activations.linear

    def __getattr__(self, name):
        return getattr(self._layer, name)


def _nodes(graph):
    """All uses of operations, each behind those that it needs."""
    return [n for depth in sorted(graph._nodes_by_depth, reverse=True) for n in graph._nodes_by_depth[depth]]


def _ends(graph):
    makers = {id(node.outputs[0]): node for node in _nodes(graph)}
    ends = [id(graph.outputs[0])]
    while ends[-1] in makers and _is_final(makers[ends[-1]].operation):
        ends.append(id(makers[ends[-1]].input_tensors[0]))
    return ends


def _entry(table, operation):
    """What the table has for the class of an operation, or for Keras' own class that it is derived from."""
    for base in type(operation).__mro__:
        if base.__module__.partition(".")[0] == "keras" and base.__name__ in table:
            return table[base.__name__]
    return None


def _is_final(operation):
    return _entry(dict.fromkeys(FINAL, True), operation) is not None


def _name(activation):
    if activation is None:
        return "linear"
    return getattr(activation, "__name__", type(activation).__name__)
