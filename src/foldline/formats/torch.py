"""PyTorch: a copy of the module is traced by ``torch.fx``, and its graph run on a `Tensor`.

Layers, functions and methods have their table each. A node whose arguments do not depend on the
input is computed by torch itself; the others take constants as NumPy arrays.
"""

import copy
import functools
import math
import operator
import re

import numpy as np

from ..errors import UnsupportedModelError
from ..lowering import Graph, Tensor, concat, maximum, minimum
from . import optional, unsupported
from .check import checked_network
from .windows import Windows, average_pooling, channels_last, convolution, max_pooling, padded, same_widths

__all__ = ["from_torch"]

_UNKNOWN = object()
_NOT_YET = "piecewise linear, but not read from torch yet"
# Names of layers, functions and methods, in lower case and without underlines.
_PIECEWISE_LINEAR = re.compile(
    r"(lazy)?convtranspose\dd|adaptivemaxpool\dd|(reflection|replication|circular)pad\dd|upsample|upsampling\w+|"
    r"interpolate|pixel(un)?shuffle|channelshuffle|(un)?fold|unflatten|rrelu|softshrink|mean|sum|amax|amin|"
    r"cumsum|expand|expandas|repeat|tile|roll|flip|split|unbind|narrow|select|diff"
)
_FINAL = ("Softmax", "LogSoftmax", "Sigmoid", "softmax", "log_softmax", "sigmoid", "argmax")


def from_torch(module, drop_final=False, input_shape=None):
    torch = optional("torch")
    optional("torch.fx")
    if any(base.__module__.partition(".")[0] == "keras" for base in type(module).__mro__):
        raise TypeError(f"module is a {type(module).__name__} of Keras; fl.from_keras(model) imports it")
    if not isinstance(module, torch.nn.Module):
        message = f"module is {type(module).__name__}; wanted a torch.nn.Module"
        if isinstance(module, dict):
            message += ": first module.load_state_dict(state), then fl.from_torch(module)"
        raise TypeError(message)
    if isinstance(module, torch.jit.ScriptModule):
        raise UnsupportedModelError("a scripted module cannot be traced; wanted the module it was made from")
    dtype = _dtype(torch, module)
    try:
        module = copy.deepcopy(module).cpu().eval()
    except RuntimeError as error:
        raise UnsupportedModelError(f"the module cannot be copied: {error}") from None
    with torch.no_grad():
        return _import(torch, module, dtype, drop_final, input_shape)


def _import(torch, module, dtype, drop_final, input_shape):
    tracer = torch.fx.Tracer()
    if tracer.is_leaf_module(module, ""):
        module = torch.nn.Sequential(module)
    try:
        graph = tracer.trace(module)
    except Exception as error:
        raise UnsupportedModelError(
            f"torch.fx cannot trace the module, {type(error).__name__}: {error}"
        ) from error
    result = next(n for n in graph.nodes if n.op == "output")
    runnable = module
    if drop_final and _drop_final(module, result):
        runnable = torch.fx.GraphModule(module, graph)
    if input_shape is None:
        input_shape = (_n_in(module, graph),)
    shape = (1, *map(int, input_shape))
    x = Graph(dtype).input(shape)
    y = _Interpreter(torch, module, graph, x).run()

    def run(points):
        batch = torch.from_numpy(points.reshape(-1, *shape[1:]))
        try:
            return runnable(batch).reshape(len(batch), -1).numpy()
        except RuntimeError:
            return torch.cat([runnable(point[None]).reshape(1, -1) for point in batch]).numpy()

    return checked_network(x, y, run, name=f"torch {torch.__version__}")


def _dtype(torch, module):
    found = {
        t.dtype for t in (*module.parameters(), *module.buffers()) if t.is_floating_point() or t.is_complex()
    }
    known = {torch.float32: np.float32, torch.float64: np.float64}
    if not found:
        found = {torch.get_default_dtype()}
    if len(found) > 1 or found.isdisjoint(known):
        names = ", ".join(sorted(map(str, found)))
        raise UnsupportedModelError(
            f"the module's parameters are {names}; wanted torch.float32 or torch.float64 throughout "
            "(copy.deepcopy(module).float() converts a copy)"
        )
    return known[found.pop()]


def _n_in(module, graph):
    """Features of the first layer that has a number of them."""
    for node in graph.nodes:
        if node.op == "call_module":
            layer = module.get_submodule(node.target)
            n = getattr(layer, "in_features", None) or getattr(layer, "num_features", None)
            if isinstance(n, int) and n > 0:
                return n
    weights = [p for p in module.parameters() if p.ndim == 2]
    if len(weights) == 0:
        raise UnsupportedModelError(
            "no layer tells the number of inputs; pass input_shape, the shape of one point"
        )
    return weights[0].shape[1]


def _kind(module, node):
    """The name of what a node does, as in `_FINAL`."""
    if node.op == "call_module":
        return type(module.get_submodule(node.target)).__name__
    return node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))


def _described(module, node):
    if node.op == "call_module":
        return f"{_kind(module, node)} ({node.target!r})"
    return f"{_kind(module, node)}() (node {node.name!r})"


def _drop_final(module, result):
    kept = result.args[0]
    while (
        getattr(kept, "op", "").startswith("call_") and _kind(module, kept) in _FINAL and kept.all_input_nodes
    ):
        kept = kept.all_input_nodes[0]
    dropped = kept is not result.args[0]
    result.args = (kept,)
    return dropped


class _Interpreter:
    """Runs a traced graph on a `Tensor`; what it cannot run is collected into one error."""

    def __init__(self, torch, module, graph, x):
        self.torch = torch
        self.module = module
        self.graph = graph
        self.x = x
        self.layers = _layers(torch.nn)
        self.functions = _functions(torch)

    def run(self):
        inputs = [n for n in self.graph.nodes if n.op == "placeholder"]
        required = [n for n in inputs if not n.args]
        if len(required) > 1 or not inputs:
            names = ", ".join(n.target for n in inputs)
            raise UnsupportedModelError(f"forward takes {names or 'nothing'}; wanted one tensor")
        values, reasons = {}, []
        *nodes, result = self._wanted_nodes()
        for node in nodes:
            try:
                values[node] = self._value(node, values, node is inputs[0])
            except UnsupportedModelError as error:
                values[node] = _UNKNOWN
                reasons.append((_described(self.module, node), str(error)))
        if reasons:
            raise unsupported(reasons, _NOT_YET)
        (returned,) = result.args
        y = values[returned] if isinstance(returned, self.torch.fx.Node) else returned
        if not isinstance(y, Tensor):
            raise UnsupportedModelError(
                f"forward returns a {type(y).__name__}; wanted one tensor that depends on the input"
            )
        return y

    def _wanted_nodes(self):
        wanted, nodes = set(), []
        for node in reversed(self.graph.nodes):
            if node in wanted or node.op == "output":
                wanted.update(node.all_input_nodes)
                nodes.append(node)
        return reversed(nodes)

    def _value(self, node, values, is_input):
        if node.op == "placeholder":
            return self.x if is_input else node.args[0]
        if node.op == "get_attr":
            return operator.attrgetter(node.target)(self.module).detach().clone()
        args, kwargs = self.torch.fx.node.map_arg((node.args, dict(node.kwargs)), values.__getitem__)
        flat = []
        self.torch.fx.node.map_aggregate((args, kwargs), flat.append)
        unknown = any(v is _UNKNOWN for v in flat)
        if not unknown and node.op != "call_module" and not any(isinstance(v, Tensor) for v in flat):
            return self._constant(node, args, kwargs)
        function = self._function(node)
        if unknown:
            return _UNKNOWN
        args, kwargs = self.torch.fx.node.map_aggregate((args, kwargs), self._numpy)
        try:
            with np.errstate(all="ignore"):
                return function(*args, **kwargs)
        except UnsupportedModelError:
            raise
        except (ValueError, TypeError, LookupError, ArithmeticError) as error:
            raise UnsupportedModelError(
                f"{error} (for points of shape {self.x.shape[1:]}; input_shape sets it)"
            ) from error

    def _function(self, node):
        """What computes `node`, taking tensors and arrays; an error when nothing does."""
        kind = _kind(self.module, node)
        if node.op == "call_module":
            layer = self.module.get_submodule(node.target)
            for base in type(layer).__mro__:
                if base in self.layers:
                    return lambda *args, **kwargs: self.layers[base](layer, *args, **kwargs)
        elif node.op == "call_method" and kind in _METHODS:
            return _METHODS[kind]
        elif node.op == "call_function" and node.target in self.functions:
            return self.functions[node.target]
        is_final = kind in _FINAL and all(user.op == "output" for user in node.users)
        why = "drop_final=True leaves it out" if is_final else ""
        is_known = _PIECEWISE_LINEAR.fullmatch(kind.replace("_", "").lower())
        raise UnsupportedModelError(_NOT_YET if is_known else why)

    def _constant(self, node, args, kwargs):
        if node.op == "call_method":
            return getattr(args[0], node.target)(*args[1:], **kwargs)
        return node.target(*args, **kwargs)

    def _numpy(self, value):
        if not isinstance(value, self.torch.Tensor):
            return value
        return _array(value)


def _array(tensor):
    return None if tensor is None else tensor.detach().numpy()


def _sizes(sizes):
    return sizes[0] if len(sizes) == 1 and not isinstance(sizes[0], int) else sizes


def _identity(x, *args, **kwargs):
    return x


def _dropout(x, p=0.5, training=True, inplace=False):
    if training and p:
        raise UnsupportedModelError("with training=True")
    return x


def _linear(x, weight, bias=None):
    y = x @ weight.T
    return y if bias is None else y + bias


def _relu(x, inplace=False):
    return x.relu()


def _relu6(x, inplace=False):
    return x.clip(0, 6)


def _leaky_relu(x, negative_slope=0.01, inplace=False):
    return x.fold(negative_slope)


def _prelu(x, weight):
    weight = np.asarray(weight)
    return x.fold(weight.reshape((-1,) + (1,) * (x.ndim - 2)) if weight.size > 1 else weight)


def _hardtanh(x, min_val=-1.0, max_val=1.0, inplace=False):
    return x.clip(min_val, max_val)


def _hardsigmoid(x, inplace=False):
    return (x / 6 + 0.5).clip(0, 1)


def _clamp(x, min=None, max=None):
    if any(np.ndim(v) for v in (min, max)):
        raise UnsupportedModelError("with bounds that are tensors")
    return x.clip(*(None if v is None else float(v) for v in (min, max)))


def _abs(x):
    return x.fold(-1.0)


def _batch_norm(x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    if training or running_mean is None:
        raise UnsupportedModelError("with the statistics of the batch")
    return x.batch_norm(running_mean, running_var, weight, bias, eps)


def _batch_norm_layer(rank, m, x):
    return _batch_norm(x, *map(_array, (m.running_mean, m.running_var, m.weight, m.bias)), eps=m.eps)


def _space(x, rank):
    if x.ndim != rank + 2:
        raise ValueError(
            f"a tensor of shape {tuple(x.shape)}; wanted the batch, channels and {rank} dimensions of space"
        )
    return x.shape[2:]


def _each(value, rank):
    """The number, or the numbers, for each dimension of space."""
    return np.broadcast_to(value, rank).tolist()


def _convolution(rank, x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    if isinstance(weight, Tensor) or isinstance(bias, Tensor):
        raise UnsupportedModelError("with weights that depend on the input")
    space, size = _space(x, rank), weight.shape[2:]
    stride, dilation = _each(stride, rank), _each(dilation, rank)
    if padding == "same":
        widths = same_widths(space, size, stride, dilation)
    else:
        widths = [(n, n) for n in _each(0 if padding == "valid" else padding, rank)]
    at = Windows(space, size, stride, dilation, widths)
    kernel = np.moveaxis(weight, (1, 0), (-2, -1))
    return channels_last(convolution, x, kernel, at, groups, bias)


def _convolution_layer(rank, m, x):
    if m.padding_mode != "zeros":
        raise UnsupportedModelError(f"with padding_mode {m.padding_mode!r}")
    weight, bias = _array(m.weight), _array(m.bias)
    return _convolution(rank, x, weight, bias, m.stride, m.padding, m.dilation, m.groups)


def _pool_windows(rank, x, size, stride, padding, dilation, ceil):
    size = _each(size, rank)
    widths = [(n, n) for n in _each(padding, rank)]
    return Windows(_space(x, rank), size, _each(stride or size, rank), _each(dilation, rank), widths, ceil)


def _average_pool(
    rank,
    x,
    kernel_size,
    stride=None,
    padding=0,
    ceil_mode=False,
    count_include_pad=True,
    divisor_override=None,
):
    at = _pool_windows(rank, x, kernel_size, stride, padding, 1, ceil_mode)
    return channels_last(average_pooling, x, at, count_include_pad, divisor_override)


def _average_pool_layer(rank, m, x):
    divisor = getattr(m, "divisor_override", None)
    return _average_pool(
        rank, x, m.kernel_size, m.stride, m.padding, m.ceil_mode, m.count_include_pad, divisor
    )


def _max_pool(
    rank, x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False
):
    if return_indices:
        raise UnsupportedModelError("with return_indices=True")
    at = _pool_windows(rank, x, kernel_size, stride, padding, dilation, ceil_mode)
    return channels_last(max_pooling, x, at)


def _max_pool_layer(rank, m, x):
    return _max_pool(
        rank, x, m.kernel_size, m.stride, m.padding, m.dilation, m.ceil_mode, m.return_indices
    )


def _adaptive_pool(rank, x, output_size):
    space = _space(x, rank)
    places = [n if m is None else m for n, m in zip(space, _each(output_size, rank))]
    if any(m < 1 or n % m for n, m in zip(space, places)):
        raise UnsupportedModelError(f"to {tuple(places)}, which does not divide {tuple(space)}")
    return _average_pool(rank, x, [n // m for n, m in zip(space, places)])


def _pad(x, pad, mode="constant", value=None):
    if mode != "constant":
        raise UnsupportedModelError(f"with mode {mode!r}")
    widths = np.reshape(pad, (-1, 2)).tolist()[::-1]
    return padded(x, [(0, 0)] * (x.ndim - len(widths)) + widths, value or 0.0)


def _flatten(x, start_dim=0, end_dim=-1):
    start, end = start_dim % x.ndim, end_dim % x.ndim
    return x.reshape((*x.shape[:start], math.prod(x.shape[start : end + 1]), *x.shape[end + 1 :]))


def _reshape(x, *shape, **kwargs):
    return x.reshape(kwargs.get("shape") or _sizes(shape))


def _permute(x, *dims, **kwargs):
    return x.rearrange(lambda a: np.transpose(a, kwargs.get("dims") or _sizes(dims)))


def _transpose(x, dim0=0, dim1=1):
    return x.rearrange(lambda a: np.swapaxes(a, dim0, dim1))


def _squeeze(x, dim=None):
    if dim is None:
        return x.rearrange(np.squeeze)
    dims = [d for d in np.ravel(dim).tolist() if x.shape[d] == 1]
    return x.rearrange(lambda a: np.squeeze(a, tuple(dims)))


def _unsqueeze(x, dim):
    return x.rearrange(lambda a: np.expand_dims(a, dim))


def _getitem(x, key):
    return x[key]


def _getattr(x, name):
    if name not in ("shape", "ndim"):
        raise UnsupportedModelError(f"of {name!r}")
    return getattr(x, name)


def _size(x, dim=None):
    return x.shape if dim is None else x.shape[dim]


def _add(x, other, *, alpha=1):
    return x + other * alpha


def _sub(x, other, *, alpha=1):
    return x - other * alpha


def _mul(x, other):
    return x * other


def _div(x, other):
    return x / other


def _neg(x):
    return -x


def _matmul(x, other):
    return x @ other


def _cat(tensors, dim=0):
    return concat(tensors, dim)


def _stack(tensors, dim=0):
    return concat(
        [_unsqueeze(t, dim) if isinstance(t, Tensor) else np.expand_dims(t, dim) for t in tensors], dim
    )


def _chunk(x, chunks, dim=0):
    parts = np.array_split(np.arange(x.shape[dim]), range(0, x.shape[dim], -(-x.shape[dim] // chunks))[1:])
    return tuple(x.rearrange(lambda a, i=i: np.take(a, i, dim)) for i in parts)


def _ranked(module, name, function):
    """What `module` has for 1, 2 and 3 dimensions of space, and a function that takes their number first."""
    return {getattr(module, name.format(rank)): functools.partial(function, rank) for rank in (1, 2, 3)}


def _layers(nn):
    """Layer classes, and functions of the layer and its input."""
    keep = (
        nn.Identity,
        nn.Dropout,
        nn.Dropout1d,
        nn.Dropout2d,
        nn.Dropout3d,
        nn.AlphaDropout,
        nn.FeatureAlphaDropout,
    )
    return {
        **dict.fromkeys(keep, lambda m, x: x),
        **_ranked(nn, "AdaptiveAvgPool{}d", lambda rank, m, x: _adaptive_pool(rank, x, m.output_size)),
        **_ranked(nn, "AvgPool{}d", _average_pool_layer),
        **_ranked(nn, "BatchNorm{}d", _batch_norm_layer),
        **_ranked(nn, "ConstantPad{}d", lambda rank, m, x: _pad(x, m.padding, value=m.value)),
        **_ranked(nn, "Conv{}d", _convolution_layer),
        **_ranked(nn, "MaxPool{}d", _max_pool_layer),
        nn.Linear: lambda m, x: _linear(x, _array(m.weight), _array(m.bias)),
        nn.ReLU: lambda m, x: x.relu(),
        nn.ReLU6: lambda m, x: _relu6(x),
        nn.LeakyReLU: lambda m, x: x.fold(m.negative_slope),
        nn.PReLU: lambda m, x: _prelu(x, _array(m.weight)),
        nn.Hardtanh: lambda m, x: x.clip(m.min_val, m.max_val),
        nn.Hardsigmoid: lambda m, x: _hardsigmoid(x),
        nn.Flatten: lambda m, x: _flatten(x, m.start_dim, m.end_dim),
    }


def _functions(torch):
    """Functions as ``torch.fx`` records them."""
    F = torch.nn.functional
    table = {
        _add: (operator.add, operator.iadd, torch.add),
        _sub: (operator.sub, operator.isub, torch.sub, torch.subtract),
        _mul: (operator.mul, operator.imul, torch.mul, torch.multiply),
        _div: (operator.truediv, operator.itruediv, torch.div, torch.divide, torch.true_divide),
        _neg: (operator.neg, torch.neg, torch.negative),
        _matmul: (operator.matmul, torch.matmul, torch.mm),
        _abs: (abs, operator.abs, torch.abs, torch.absolute),
        _relu: (F.relu, F.relu_, torch.relu, torch.relu_),
        _relu6: (F.relu6,),
        _leaky_relu: (F.leaky_relu, F.leaky_relu_),
        _prelu: (F.prelu, torch.prelu),
        _hardtanh: (F.hardtanh, F.hardtanh_),
        _hardsigmoid: (F.hardsigmoid,),
        _clamp: (torch.clamp, torch.clip),
        maximum: (torch.maximum, torch.max),
        minimum: (torch.minimum, torch.min),
        _linear: (F.linear,),
        _batch_norm: (F.batch_norm,),
        _dropout: (F.dropout, F.dropout1d, F.dropout2d, F.dropout3d, F.alpha_dropout),
        _pad: (F.pad,),
        _flatten: (torch.flatten,),
        _reshape: (torch.reshape,),
        _permute: (torch.permute,),
        _transpose: (torch.transpose, torch.swapaxes, torch.t),
        _squeeze: (torch.squeeze,),
        _unsqueeze: (torch.unsqueeze,),
        _cat: (torch.cat, torch.concat),
        _stack: (torch.stack,),
        _chunk: (torch.chunk,),
        _getitem: (operator.getitem,),
        _getattr: (getattr,),
    }
    return {
        **{target: function for function, targets in table.items() for target in targets},
        **_ranked(F, "adaptive_avg_pool{}d", _adaptive_pool),
        **_ranked(F, "avg_pool{}d", _average_pool),
        **_ranked(F, "conv{}d", _convolution),
        **_ranked(F, "max_pool{}d", _max_pool),
        **_ranked(torch, "max_pool{}d", _max_pool),
    }


_METHODS = {
    "abs": _abs,
    "abs_": _abs,
    "add": _add,
    "add_": _add,
    "chunk": _chunk,
    "clamp": _clamp,
    "clamp_": _clamp,
    "clip": _clamp,
    "clone": _identity,
    "contiguous": _identity,
    "detach": _identity,
    "dim": lambda x: x.ndim,
    "div": _div,
    "flatten": _flatten,
    "matmul": _matmul,
    "maximum": maximum,
    "minimum": minimum,
    "mm": _matmul,
    "mul": _mul,
    "mul_": _mul,
    "neg": _neg,
    "permute": _permute,
    "relu": _relu,
    "relu_": _relu,
    "reshape": _reshape,
    "size": _size,
    "squeeze": _squeeze,
    "sub": _sub,
    "sub_": _sub,
    "t": _transpose,
    "transpose": _transpose,
    "unsqueeze": _unsqueeze,
    "view": _reshape,
}
