"""ONNX: the operators of multilayer perceptrons and convolutional networks, as exporters write them.

Each operator is a function of its attributes and inputs, in `_OPERATORS`. An input is a `Tensor`
when it depends on the model's input and a NumPy array when it does not, and most functions need
not know which. The model is lowered at batch size 1.
"""

import functools
import inspect
import math
import operator
import os

import numpy as np

from ..errors import FormatError, UnsupportedModelError
from ..lowering import Graph, Tensor, concat, maximum, minimum
from . import optional, unsupported
from .check import checked_network
from .windows import (
    Windows,
    average_of_all,
    average_pooling,
    channels_last,
    convolution,
    largest_of_all,
    max_pooling,
    padded,
    same_widths,
)

__all__ = ["from_onnx", "read"]

_FINAL = ("Softmax", "LogSoftmax", "Sigmoid", "ArgMax")
_SHAPE_ONLY = ("Identity", "Cast", "Flatten", "Reshape", "Squeeze", "Unsqueeze")
_OLDEST_OPSET = 7
_MAX_ELEMENTS = 2**26
_NOT_YET = "piecewise linear, but not read from ONNX yet"
_PIECEWISE_LINEAR = """CenterCropPad Col2Im ConvTranspose CumSum DepthToSpace Expand GatherElements
    GatherND Mean ReduceL1 ReduceMax ReduceMean ReduceMin ReduceSum Resize SpaceToDepth Tile TopK Trilu
    Upsample""".split()
_UNKNOWN = object()


def read(path, drop_final=False):
    with open(path, "rb") as file:
        return _import(file.read(), drop_final, str(path))


def from_onnx(model, drop_final=False):
    if isinstance(model, (str, os.PathLike)):
        return read(os.fspath(model), drop_final)
    if isinstance(model, (bytes, bytearray)):
        return _import(bytes(model), drop_final, "ONNX model")
    onnx = optional("onnx")
    if not isinstance(model, onnx.ModelProto):
        raise TypeError(f"model is {type(model).__name__}; wanted an onnx.ModelProto, its bytes or a path")
    return _import(model.SerializeToString(), drop_final, "ONNX model")


def _import(data, drop_final, where):
    onnx = optional("onnx")
    decode_error = optional("google.protobuf.message", "protobuf").DecodeError
    try:
        model = onnx.ModelProto.FromString(data)
        return _Reader(onnx, model, drop_final).network()
    except UnsupportedModelError as error:
        raise UnsupportedModelError(f"{where}: {error}", error.operators) from None
    except decode_error as error:
        raise FormatError(f"{where}: not a whole ONNX model: {error}") from None
    except (ValueError, TypeError, OverflowError) as error:
        raise FormatError(f"{where}: {error}") from None


class _Reader:
    """One model: its tables of names, and the values computed so far."""

    def __init__(self, onnx, model, drop_final):
        self.onnx = onnx
        self.model = model
        graph = model.graph
        if not graph.node:
            raise FormatError("has no nodes; not an ONNX model")
        self.opset = self._opset()
        for tensor in _tensors(graph):
            if tensor.data_location == onnx.TensorProto.EXTERNAL:
                raise UnsupportedModelError(
                    f"tensor {tensor.name!r} is stored in another file; save the model with its data inside"
                )
        if graph.sparse_initializer or model.functions:
            raise UnsupportedModelError("sparse initializers and model-local functions are not supported")
        self.initializers = _by_name("initializer", ((t.name, t) for t in graph.initializer))
        self.makers = _by_name("value", ((name, n) for n in graph.node for name in n.output if name))
        self.input = self._only("input", [v for v in graph.input if v.name not in self.initializers])
        self.output = self._only("output", graph.output).name
        both = [n for n in self.makers if n in self.initializers or n == self.input.name]
        if both:
            raise FormatError(f"has two values named {both[0]!r}")
        self.output_kept = self._without_final() if drop_final else self.output

    def network(self):
        shape, dtype = self._input_type()
        x = Graph(dtype).input(shape)
        y = self._run(x)
        if not isinstance(y, Tensor):
            raise UnsupportedModelError(f"the output {self.output_kept!r} does not depend on the input")
        model = self.model
        if self.output_kept != self.output:
            model = self.onnx.ModelProto()
            model.CopyFrom(self.model)
            kept = self.onnx.helper.make_tensor_value_info(
                self.output_kept, self.input.type.tensor_type.elem_type, None
            )
            del model.graph.output[:]
            model.graph.output.append(kept)
        name, run = _runner(self.onnx, model)

        def run_each(points):
            feeds = points.reshape(len(points), *shape)
            return np.stack([run({self.input.name: feed}) for feed in feeds])

        return checked_network(x, y, run_each, name=name, note="the model was given one point at a time")

    def _opset(self):
        versions = [o.version for o in self.model.opset_import if o.domain in ("", "ai.onnx")]
        newest = self.onnx.defs.onnx_opset_version()
        if len(versions) != 1:
            raise FormatError(f"names {len(versions)} versions of the ONNX operators; wanted one")
        if not _OLDEST_OPSET <= versions[0] <= newest:
            raise UnsupportedModelError(
                f"has opset {versions[0]}; this onnx knows {_OLDEST_OPSET} to {newest} "
                "(onnx.version_converter changes a model's opset)"
            )
        return versions[0]

    def _only(self, what, values):
        if len(values) != 1:
            names = ", ".join(repr(v.name) for v in values)
            raise UnsupportedModelError(f"has {len(values)} {what}s{': ' * bool(names)}{names}; wanted one")
        return values[0]

    def _input_type(self):
        name, kind = self.input.name, self.input.type.tensor_type
        dtypes = {self.onnx.TensorProto.FLOAT: np.float32, self.onnx.TensorProto.DOUBLE: np.float64}
        if kind.elem_type not in dtypes:
            raise UnsupportedModelError(
                f"input {name!r} is {self._type_name(kind.elem_type)}; wanted FLOAT or DOUBLE"
            )
        sizes = [d.dim_value if d.HasField("dim_value") else None for d in kind.shape.dim]
        described = [d.dim_param or "?" if s is None else s for d, s in zip(kind.shape.dim, sizes)]
        if not sizes:
            raise UnsupportedModelError(f"input {name!r} has no shape; wanted (batch, ...), batch free or 1")
        batched = len(sizes) > 1
        if batched and sizes[0] not in (None, -1, 0, 1):
            raise UnsupportedModelError(
                f"input {name!r} has shape {described}: a batch of fixed size {sizes[0]}; wanted it free or 1"
            )
        shape = ([1] if batched else []) + sizes[batched:]
        if any(n is None or n < 1 for n in shape):
            raise UnsupportedModelError(
                f"input {name!r} has shape {described}; all its dimensions but the batch must be fixed"
            )
        return shape, dtypes[kind.elem_type]

    def _type_name(self, number):
        names = {v: k for k, v in self.onnx.TensorProto.DataType.items()}
        return names.get(number, f"of unknown type {number}")

    def _without_final(self):
        kept = name = self.output
        seen = set()
        while name in self.makers and name not in seen:
            seen.add(name)
            node = self.makers[name]
            if node.op_type not in _FINAL + _SHAPE_ONLY or not node.input:
                break
            name = node.input[0]
            if node.op_type in _FINAL:
                kept = name
        return kept

    def _run(self, x):
        """The value of the output; or all that stands in its way, in one error."""
        values = {"": None, self.input.name: x}
        reasons = []
        for node in self._wanted_nodes():
            results = [_UNKNOWN] * len(node.output)
            try:
                inputs = [self._value(name, values, node) for name in node.input]
                is_standard = node.domain in ("", "ai.onnx")
                if node.op_type not in _OPERATORS or not is_standard:
                    is_final = node.op_type in _FINAL and self._without_final() in node.input
                    why = "drop_final=True leaves it out" if is_final else ""
                    is_known = is_standard and node.op_type in _PIECEWISE_LINEAR
                    raise UnsupportedModelError(_NOT_YET if is_known else why)
                if not any(v is _UNKNOWN for v in inputs):
                    result = self._apply(node, inputs, x.graph.dtype)
                    results = result if isinstance(result, list) else [result]
            except UnsupportedModelError as error:
                reasons.append((_described(node), str(error)))
            values.update((name, r) for name, r in zip(node.output, results) if name)
        if reasons:
            raise unsupported(reasons, _NOT_YET)
        return self._value(self.output_kept, values, None)

    def _wanted_nodes(self):
        wanted, nodes = {self.output_kept}, []
        for node in reversed(self.model.graph.node):
            if not wanted.isdisjoint(node.output):
                wanted.update(node.input)
                nodes.append(node)
        return reversed(nodes)

    def _value(self, name, values, node):
        if name in values:
            return values[name]
        if name in self.initializers:
            values[name] = _array(self.onnx, self.initializers[name])
            return values[name]
        user = "the model's output" if node is None else _described(node)
        if name in self.makers:
            raise FormatError(
                f"{user} needs {name!r}, which no node before it computes; a cycle, or out of order"
            )
        raise FormatError(f"{user} needs {name!r}, which is missing")

    def _apply(self, node, inputs, dtype):
        function = _OPERATORS[node.op_type]
        parameters = list(inspect.signature(function).parameters.values())[1:]
        most = (
            math.inf
            if parameters[-1:] and parameters[-1].kind is inspect.Parameter.VAR_POSITIONAL
            else len(parameters)
        )
        least = sum(p.default is p.empty for p in parameters if p.kind is not p.VAR_POSITIONAL)
        given = sum(v is not None for v in inputs[:least])
        if given < least or len(inputs) > most:
            raise FormatError(f"{_described(node)} has {len(inputs)} inputs; wanted {least} to {most}")
        if any(isinstance(v, Tensor) for v in inputs):
            for name, value in zip(node.input, inputs):
                if isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.dtype != dtype:
                    raise UnsupportedModelError(
                        f"{name!r} is {value.dtype} where the model's input is {dtype}"
                    )
        try:
            with np.errstate(all="ignore"):
                return function(_Attributes(self.onnx, node, self.opset, dtype), *inputs)
        except UnsupportedModelError:
            raise
        except (ValueError, TypeError, LookupError, ArithmeticError, MemoryError) as error:
            raise FormatError(f"{_described(node)}: {error}") from None


class _Attributes:
    """The attributes of one node, by name."""

    def __init__(self, onnx, node, opset, dtype):
        self.onnx = onnx
        self.opset = opset
        self.dtype = dtype
        self.n_outputs = len(node.output)
        self.table = _by_name("attribute", ((a.name, a) for a in node.attribute))

    def get(self, name, default=None):
        if name not in self.table:
            return default
        return self.onnx.helper.get_attribute_value(self.table[name])

    def number(self, name, default):
        value = self.get(name, default)
        if not isinstance(value, (int, float)):
            raise ValueError(f"{name} is {value!r}; wanted a number")
        return value

    def text(self, name, default):
        value = self.get(name, default.encode())
        if not isinstance(value, bytes):
            raise ValueError(f"{name} is {value!r}; wanted a text")
        return value.decode()

    def axis(self, default):
        return int(self.number("axis", default))

    def dtype_of(self, number):
        return np.dtype(self.onnx.helper.tensor_dtype_to_np_dtype(number))


def _described(node):
    name = f"{node.domain}.{node.op_type}" if node.domain not in ("", "ai.onnx") else node.op_type
    return f"{name} (node {node.name!r})" if node.name else f"{name} (node of {', '.join(node.output)!r})"


def _by_name(what, pairs):
    table = {}
    for name, value in pairs:
        if name in table:
            raise FormatError(f"has two {what}s named {name!r}")
        table[name] = value
    return table


def _tensors(graph):
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for sparse in [attribute.sparse_tensor, *attribute.sparse_tensors]:
                yield from (sparse.values, sparse.indices)
            for inner in [attribute.g] * attribute.HasField("g") + list(attribute.graphs):
                yield from _tensors(inner)


def _array(onnx, tensor):
    """The tensor as an array, its declared size compared with its data before anything else."""
    kind = onnx.TensorProto
    stored = {
        kind.FLOAT: ("float_data", 4),
        kind.DOUBLE: ("double_data", 8),
        kind.INT64: ("int64_data", 8),
        kind.INT32: ("int32_data", 4),
        kind.BOOL: ("int32_data", 1),
    }
    if tensor.data_type not in stored:
        names = {v: k for k, v in kind.DataType.items()}
        name = names.get(tensor.data_type, f"of unknown type {tensor.data_type}")
        raise UnsupportedModelError(f"tensor {tensor.name!r} is {name}; wanted FLOAT or DOUBLE")
    field, item_size = stored[tensor.data_type]
    dims = tuple(tensor.dims)
    if tensor.HasField("raw_data"):
        found, odd = divmod(len(tensor.raw_data), item_size)
    else:
        found, odd = len(getattr(tensor, field)), 0
    if any(d < 0 for d in dims) or odd or found != math.prod(dims):
        raise FormatError(
            f"tensor {tensor.name!r} of shape {dims} wants {math.prod(dims)} numbers; it has {found}"
        )
    return onnx.numpy_helper.to_array(tensor)


def _runner(onnx, model):
    """What evaluates `model`, and a function from inputs to its first output, flattened."""
    try:
        runtime = optional("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = runtime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"], enable_fallback=0
        )
    except Exception:
        evaluators = []

        def run(feeds):
            if not evaluators:
                evaluators.append(optional("onnx.reference").ReferenceEvaluator(model))
            return evaluators[0].run(None, feeds)[0].ravel()

        return f"onnx {onnx.__version__}", run
    return f"onnxruntime {runtime.__version__}", lambda feeds: session.run(None, feeds)[0].ravel()


def _admit(shape):
    """Refuse a result of `shape` before it is made: small constants can have a huge product."""
    if math.prod(shape) > _MAX_ELEMENTS:
        raise UnsupportedModelError(f"makes {math.prod(shape)} elements; at most {_MAX_ELEMENTS} are taken")


def _ints(value):
    """A constant list of integers: attributes give lists, inputs arrays."""
    if isinstance(value, Tensor):
        raise UnsupportedModelError("a shape or axis that depends on the input")
    return [int(v) for v in np.ravel(value)]


def _rearranged(x, function):
    return x.rearrange(function) if isinstance(x, Tensor) else np.asarray(function(x))


def _identity(attributes, x):
    return x


def _dropout(attributes, x, ratio=None, training=None):
    if training is not None and np.any(training):
        raise UnsupportedModelError("in training mode")
    return x


def _cast(attributes, x):
    to = attributes.dtype_of(attributes.number("to", 0))
    if not isinstance(x, Tensor):
        return x.astype(to)
    if to != attributes.dtype:
        raise UnsupportedModelError(f"to {to} where the model's input is {attributes.dtype}")
    return x


def _constant(attributes):
    tensor = attributes.get("value")
    if isinstance(tensor, attributes.onnx.TensorProto):
        return _array(attributes.onnx, tensor)
    for name, dtype in (
        ("value_float", "f4"),
        ("value_floats", "f4"),
        ("value_int", "i8"),
        ("value_ints", "i8"),
    ):
        if attributes.get(name) is not None:
            return np.array(attributes.get(name), dtype)
    raise UnsupportedModelError("neither a tensor nor numbers")


def _constant_of_shape(attributes, shape):
    sizes = _ints(shape)
    _admit(sizes)
    value = attributes.get("value")
    if value is None:
        return np.zeros(sizes, np.float32)
    value = _array(attributes.onnx, value)
    return np.full(sizes, value.item(), value.dtype)


def _shape(attributes, x):
    return np.array(x.shape, np.int64)[attributes.get("start", 0) : attributes.get("end")]


def _gather(attributes, x, indices):
    if isinstance(indices, Tensor):
        raise UnsupportedModelError("with indices that depend on the input")
    axis = attributes.axis(0)
    _admit((math.prod(x.shape) // max(1, x.shape[axis]), indices.size))
    return _rearranged(x, lambda a: np.take(a, indices, axis))


def _flatten(attributes, x):
    axis = attributes.axis(1)
    if not -len(x.shape) <= axis <= len(x.shape):
        raise ValueError(f"axis {axis} of a tensor of shape {tuple(x.shape)}")
    return _rearranged(x, lambda a: a.reshape(math.prod(a.shape[:axis]), -1))


def _reshape(attributes, x, shape):
    sizes = _ints(shape)
    if not attributes.get("allowzero", 0):
        sizes = [x.shape[i] if n == 0 else n for i, n in enumerate(sizes)]
    return _rearranged(x, lambda a: a.reshape(sizes))


def _squeeze(attributes, x, axes=None):
    axes = attributes.get("axes") if axes is None else axes
    return _rearranged(x, lambda a: np.squeeze(a, None if axes is None else tuple(_ints(axes))))


def _unsqueeze(attributes, x, axes=None):
    axes = attributes.get("axes") if axes is None else axes
    return _rearranged(x, lambda a: np.expand_dims(a, tuple(_ints(axes))))


def _transpose(attributes, x):
    return _rearranged(x, lambda a: np.transpose(a, attributes.get("perm")))


def _concat(attributes, *values):
    axis = attributes.axis(0)
    if any(isinstance(v, Tensor) for v in values):
        return concat(values, axis)
    return np.concatenate(values, axis)


def _slice(attributes, x, starts=None, ends=None, axes=None, steps=None):
    if starts is None:
        starts, ends, axes = (attributes.get(name) for name in ("starts", "ends", "axes"))
    starts, ends = _ints(starts), _ints(ends)
    axes = range(len(starts)) if axes is None else _ints(axes)
    steps = [1] * len(starts) if steps is None else _ints(steps)
    key = [slice(None)] * len(x.shape)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        end = None if step < 0 and end < -x.shape[axis] else end
        key[axis] = slice(start, end, step)
    return _rearranged(x, lambda a: a[tuple(key)])


def _split(attributes, x, sizes=None):
    sizes = attributes.get("split") if sizes is None else _ints(sizes)
    axis = attributes.axis(0)
    if sizes is None:
        sizes = [x.shape[axis] // attributes.n_outputs] * attributes.n_outputs
    if sum(sizes) != x.shape[axis]:
        raise UnsupportedModelError(f"of shape {tuple(x.shape)} along axis {axis} into {list(sizes)}")
    indices = np.split(np.arange(x.shape[axis]), np.cumsum(sizes)[:-1])
    return [_rearranged(x, lambda a, i=i: np.take(a, i, axis)) for i in indices]


def _matmul(attributes, a, b):
    _admit((*a.shape[:-1], *b.shape[:-2], *b.shape[-1:]))
    return a @ b


def _gemm(attributes, a, b, c=None):
    if attributes.get("transA", 0):
        a = _rearranged(a, np.transpose)
    if attributes.get("transB", 0):
        b = _rearranged(b, np.transpose)
    if len(a.shape) != 2 or len(b.shape) != 2:
        raise ValueError(f"multiplies shapes {tuple(a.shape)} and {tuple(b.shape)}; wanted two matrices")
    product = _matmul(attributes, a, b)
    alpha, beta = attributes.number("alpha", 1.0), attributes.number("beta", 1.0)
    if alpha != 1:
        product = product * alpha
    if c is None or beta == 0:
        return product
    return product + (c if beta == 1 else _wide(c) * beta)


def _wide(value):
    return value if isinstance(value, Tensor) else value.astype(np.longdouble)


def _elementwise(function):
    def operate(attributes, a, b):
        _admit(np.broadcast_shapes(a.shape, b.shape))
        return function(a, b)

    return operate


def _chained(function):
    def operate(attributes, *values):
        return functools.reduce(functools.partial(_elementwise(function), attributes), values)

    return operate


def _quotient(a, b):
    integers = isinstance(a, np.ndarray) and a.dtype.kind in "iu"
    return a // b if integers and isinstance(b, np.ndarray) else a / b


def _neg(attributes, x):
    return -x


def _folded(x, slopes):
    if not isinstance(x, Tensor):
        return np.where(x > 0, x, slopes * x).astype(x.dtype)
    return x.fold(slopes)


def _relu(attributes, x):
    return _folded(x, 0.0)


def _leaky_relu(attributes, x):
    return _folded(x, attributes.number("alpha", 0.01))


def _prelu(attributes, x, slopes):
    if isinstance(slopes, Tensor):
        raise UnsupportedModelError("with slopes that depend on the input")
    return _folded(x, slopes)


def _abs(attributes, x):
    return _folded(x, -1.0)


def _hard_sigmoid(attributes, x):
    return (x * attributes.number("alpha", 0.2) + attributes.number("beta", 0.5)).clip(0.0, 1.0)


def _clip(attributes, x, low=None, high=None):
    if isinstance(low, Tensor) or isinstance(high, Tensor):
        raise UnsupportedModelError("with bounds that depend on the input")
    low, high = attributes.get("min", low), attributes.get("max", high)
    return x.clip(*(None if v is None else np.asarray(v).item() for v in (low, high)))


def _batch_normalization(attributes, x, scale, shift, mean, variance):
    if attributes.get("training_mode", 0) or not attributes.get("spatial", 1):
        raise UnsupportedModelError("in training mode, or with statistics per element")
    if not isinstance(x, Tensor) or any(isinstance(v, Tensor) for v in (scale, shift, mean, variance)):
        raise UnsupportedModelError("of a constant, or with statistics that depend on the input")
    return x.batch_norm(mean, variance, scale, shift, attributes.number("epsilon", 1e-5))


def _space(x):
    """The shape of `x` behind the batch and the channels."""
    if not isinstance(x, Tensor):
        raise UnsupportedModelError("of a constant")
    if x.ndim < 3:
        raise ValueError(f"a tensor of shape {x.shape}; wanted the batch, channels and dimensions of space")
    return x.shape[2:]


def _windows(attributes, space, size):
    strides, dilation = (_ints(attributes.get(name, [1] * len(size))) for name in ("strides", "dilations"))
    auto_pad = attributes.text("auto_pad", "NOTSET")
    no_pads = [0] * (2 * len(size))
    if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        widths = same_widths(space, size, strides, dilation, more_before=auto_pad == "SAME_LOWER")
    elif auto_pad in ("NOTSET", "VALID"):
        widths = _pairs(_ints(attributes.get("pads", no_pads) if auto_pad == "NOTSET" else no_pads))
    else:
        raise ValueError(f"auto_pad is {auto_pad!r}")
    return Windows(space, size, strides, dilation, widths, bool(attributes.get("ceil_mode", 0)))


def _pairs(pads):
    """The widths before and behind each axis, of a list with all those before first."""
    half = len(pads) // 2
    return list(zip(pads[:half], pads[half:], strict=True))


def _conv(attributes, x, weight, bias=None):
    if isinstance(weight, Tensor) or isinstance(bias, Tensor):
        raise UnsupportedModelError("with weights that depend on the input")
    size = weight.shape[2:]
    if _ints(attributes.get("kernel_shape", size)) != list(size):
        raise ValueError(f"kernel_shape is not that of its weights, of shape {weight.shape}")
    at = _windows(attributes, _space(x), size)
    kernel = np.moveaxis(weight, (1, 0), (-2, -1))
    return channels_last(convolution, x, kernel, at, int(attributes.number("group", 1)), bias)


def _average_pool(attributes, x):
    at = _windows(attributes, _space(x), _ints(attributes.get("kernel_shape", [])))
    return channels_last(average_pooling, x, at, bool(attributes.get("count_include_pad", 0)))


def _max_pool(attributes, x):
    if attributes.n_outputs > 1:
        raise UnsupportedModelError("with the positions of the largest as a second output")
    at = _windows(attributes, _space(x), _ints(attributes.get("kernel_shape", [])))
    return channels_last(max_pooling, x, at)


def _global_pool(function):
    def pool(attributes, x):
        ones = (1,) * len(_space(x))
        return channels_last(function, x).reshape((*x.shape[:2], *ones))

    return pool


def _pad(attributes, x, pads=None, value=None, axes=None):
    if isinstance(value, Tensor):
        raise UnsupportedModelError("with a value that depends on the input")
    mode = attributes.text("mode", "constant")
    if mode != "constant":
        raise UnsupportedModelError(f"with mode {mode!r}")
    if not isinstance(x, Tensor):
        raise UnsupportedModelError("of a constant")
    pads = attributes.get("pads") if pads is None else pads
    value = attributes.number("value", 0.0) if value is None else value.item()
    axes = range(x.ndim) if axes is None else _ints(axes)
    widths = [(0, 0)] * x.ndim
    for axis, pair in zip(axes, _pairs(_ints(pads)), strict=True):
        widths[axis] = pair
    return padded(x, widths, value)


_OPERATORS = {
    "Abs": _abs,
    "Add": _elementwise(operator.add),
    "AveragePool": _average_pool,
    "BatchNormalization": _batch_normalization,
    "Cast": _cast,
    "Clip": _clip,
    "Concat": _concat,
    "Constant": _constant,
    "ConstantOfShape": _constant_of_shape,
    "Conv": _conv,
    "Div": _elementwise(_quotient),
    "Dropout": _dropout,
    "Flatten": _flatten,
    "Gather": _gather,
    "Gemm": _gemm,
    "GlobalAveragePool": _global_pool(average_of_all),
    "GlobalMaxPool": _global_pool(largest_of_all),
    "HardSigmoid": _hard_sigmoid,
    "Identity": _identity,
    "LeakyRelu": _leaky_relu,
    "MatMul": _matmul,
    "Max": _chained(maximum),
    "MaxPool": _max_pool,
    "Min": _chained(minimum),
    "Mul": _elementwise(operator.mul),
    "Neg": _neg,
    "Pad": _pad,
    "PRelu": _prelu,
    "Relu": _relu,
    "Reshape": _reshape,
    "Shape": _shape,
    "Slice": _slice,
    "Split": _split,
    "Squeeze": _squeeze,
    "Sub": _elementwise(operator.sub),
    "Sum": _chained(operator.add),
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
