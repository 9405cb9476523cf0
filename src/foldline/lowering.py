"""Any continuous piecewise-linear graph, lowered to the canonical chain.

An importer runs the foreign model on a `Tensor` in place of numbers. A tensor knows its shape, the
operation that made it and its depth: the number of folds on the way to it. `lower` then goes
through the depths one by one. At each, a tensor is an affine map of the units of that depth, so
affine operations are algebra on maps; all folds of the next depth become one layer together, and
what later depths still need of this one rides along on pass-through units (slope 1).

A map is kept as a selection of units as long as it is one, which is why a plain multilayer
perceptron comes out with the very weights it came with. Where maps are composed, the arithmetic is
wider than the network's and the result is rounded once.

The batch dimension is a dimension of size 1 like any other: a model is lowered as it acts on a
batch of one point.
"""

import math

import numpy as np

from .errors import UnsupportedModelError

__all__ = ["Graph", "Tensor", "concat", "lower", "maximum", "minimum", "rounding_bound"]

_MAX_TENSOR_ELEMENTS = 2**25
_MAX_MATRIX_ELEMENTS = 2**26
_MAX_CHAIN_ELEMENTS = 2**28


class Graph:
    """The tensors of one model, in the order of their making.

    Parameters
    ----------
    dtype : numpy.dtype
        float32 or float64: what the weights of the chain are rounded to.

    Attributes
    ----------
    wide : numpy.dtype
        What composed maps are computed in: float64 for float32, else the platform's long double.
    nodes : list of Tensor

    Examples
    --------
    >>> graph = Graph(np.float64)
    >>> x = graph.input((1, 2))
    >>> W = np.array([[1.0, -1.0], [2.0, 0.5]])
    >>> layers, slopes = lower(x, x + (x @ W).relu())
    >>> [W.shape for W, b in layers], slopes
    ([(4, 2), (2, 4)], [array([0., 0., 1., 1.])])
    """

    def __init__(self, dtype):
        self.dtype = np.dtype(dtype)
        self.wide = np.dtype(np.float64 if self.dtype == np.float32 else np.longdouble)
        self.nodes = []
        self._n_elements = 0

    def input(self, shape):
        """The tensor that stands for one point, `shape` with its batch dimension of size 1."""
        return Tensor(self, None, (), tuple(int(n) for n in shape))

    def admit(self, shape):
        """Check that a tensor of `shape` may be made, before anything of its size is allocated."""
        size = math.prod(shape)
        if size < 1:
            raise UnsupportedModelError(f"a tensor of shape {shape} is empty")
        self._n_elements += size
        if self._n_elements > _MAX_TENSOR_ELEMENTS:
            raise UnsupportedModelError(
                f"with one of shape {shape}, the tensors have {self._n_elements} elements together; "
                f"at most {_MAX_TENSOR_ELEMENTS} are taken"
            )
        return size


class Tensor:
    """A value computed from the input; supports the affine operators of NumPy arrays, and folds.

    Operands that are not tensors are constants. A product of two tensors, or a division by one, is
    an `UnsupportedModelError`; shapes that do not fit are a ``ValueError``.
    """

    __slots__ = ("args", "depth", "graph", "op", "shape")
    __array_ufunc__ = None

    def __init__(self, graph, op, args, shape):
        graph.admit(shape)
        self.graph = graph
        self.op = op
        self.args = args
        self.shape = shape
        self.depth = max((a.depth for a in args), default=0) + isinstance(op, _Fold)
        graph.nodes.append(self)

    @property
    def size(self):
        return math.prod(self.shape)

    @property
    def ndim(self):
        return len(self.shape)

    def rearrange(self, function):
        """Apply a NumPy `function` that moves, repeats or drops elements but computes nothing."""
        index = np.asarray(function(np.arange(self.size).reshape(self.shape)))
        in_order = index.size == self.size and np.array_equal(index.ravel(), np.arange(self.size))
        return Tensor(self.graph, _Gather(None if in_order else index.ravel()), (self,), index.shape)

    def reshape(self, shape):
        return self.rearrange(lambda a: a.reshape(shape))

    def __getitem__(self, key):
        return self.rearrange(lambda a: a[key])

    def __add__(self, other):
        if isinstance(other, Tensor):
            shape = np.broadcast_shapes(self.shape, other.shape)
            a, b = self._broadcast(shape), other._broadcast(shape)
            return Tensor(self.graph, _Add(), (a, b), shape)
        x, constant = self._with_constant(other)
        return Tensor(x.graph, _Shift(constant), (x,), x.shape) if constant.any() else x

    def __mul__(self, other):
        if isinstance(other, Tensor):
            raise UnsupportedModelError("a product of two computed tensors is not piecewise linear")
        x, constant = self._with_constant(other)
        if (constant == 1).all():
            return x
        return Tensor(x.graph, _Scale(constant.astype(x.graph.wide)), (x,), x.shape)

    def __truediv__(self, other):
        if isinstance(other, Tensor):
            raise UnsupportedModelError("division by a computed tensor is not piecewise linear")
        return self * (1 / np.asarray(other, self.graph.wide))

    def __rtruediv__(self, other):
        raise UnsupportedModelError("division by a computed tensor is not piecewise linear")

    def __matmul__(self, other):
        if isinstance(other, Tensor):
            raise UnsupportedModelError("a product of two computed tensors is not piecewise linear")
        matrix = np.asarray(other)
        if matrix.ndim > 2 and math.prod(matrix.shape[:-2]) == 1:
            lead = (1,) * max(0, matrix.ndim - self.ndim)
            return self.reshape(lead + self.shape) @ matrix.reshape(matrix.shape[-2:])
        if matrix.ndim not in (1, 2):
            raise UnsupportedModelError(f"a product with a stack of matrices, of shape {matrix.shape}")
        if not self.shape or self.shape[-1] != matrix.shape[0]:
            raise ValueError(
                f"a tensor of shape {self.shape} cannot multiply a matrix of shape {matrix.shape}"
            )
        shape = self.shape[:-1] + matrix.shape[1:]
        return Tensor(self.graph, _MatMul(matrix.reshape(len(matrix), -1)), (self,), shape)

    def __rmatmul__(self, other):
        matrix = np.asarray(other)
        if self.ndim == 1:
            return self @ matrix.T
        product = self.rearrange(lambda a: np.swapaxes(a, -1, -2)) @ np.swapaxes(
            np.atleast_2d(matrix), -1, -2
        )
        product = product.rearrange(lambda a: np.swapaxes(a, -1, -2))
        return product if matrix.ndim > 1 else product[..., 0, :]

    def __neg__(self):
        return self * -1

    def __sub__(self, other):
        return self + -other

    def __rsub__(self, other):
        return -self + other

    __radd__ = __add__
    __rmul__ = __mul__

    def fold(self, slopes):
        """``z if z > 0 else slope * z`` of every element, slopes broadcast to the tensor's shape."""
        slopes = np.broadcast_to(np.asarray(slopes), self.shape).ravel()
        return self if (slopes == 1).all() else Tensor(self.graph, _Fold(slopes), (self,), self.shape)

    def relu(self):
        return self.fold(0.0)

    def maximum(self, other):
        return other + (self - other).relu()

    def minimum(self, other):
        return other - (other - self).relu()

    def clip(self, low=None, high=None):
        """``min(max(z, low), high)``; a bound that no finite number of the dtype passes is none.

        With both bounds it is ``low + relu(z - low) - relu(z - high)``, two neurons side by side.
        """
        largest = float(np.finfo(self.graph.dtype).max)
        low = -np.inf if low is None or low <= -largest else float(low)
        high = np.inf if high is None or high >= largest else float(high)
        if math.isnan(low) or math.isnan(high):
            raise ValueError(f"clip between {low} and {high}")
        if low == -np.inf and high == np.inf:
            return self
        if low == -np.inf:
            return self.minimum(high)
        if high == np.inf:
            return self.maximum(low)
        low = min(low, high)
        pieces = concat([(self - low)[None], (self - high)[None]], 0).relu()
        return pieces[0] - pieces[1] + low

    def batch_norm(self, mean, variance, scale, shift, epsilon):
        """``(z - mean) / sqrt(variance + epsilon) * scale + shift``, per element of axis 1."""
        wide = self.graph.wide
        axis = (-1,) + (1,) * (self.ndim - 2)
        mean, variance = (np.asarray(a).reshape(axis) for a in (mean, variance))
        factor = 1 / np.sqrt(variance.astype(wide) + wide.type(epsilon))
        if scale is not None:
            factor = factor * np.asarray(scale).reshape(axis)
        z = (self - mean) * factor
        return z if shift is None else z + np.asarray(shift).reshape(axis)

    def _broadcast(self, shape):
        self.graph.admit(shape)
        return self if shape == self.shape else self.rearrange(lambda a: np.broadcast_to(a, shape))

    def _with_constant(self, value):
        value = np.asarray(value)
        if value.dtype.kind not in "iuf":
            raise ValueError(f"a constant of dtype {value.dtype} stands where numbers are wanted")
        if value.dtype.kind != "f":
            value = value.astype(self.graph.wide)
        shape = np.broadcast_shapes(self.shape, value.shape)
        return self._broadcast(shape), np.broadcast_to(value, shape).ravel()


def maximum(a, b):
    """The larger of two tensors or arrays, element by element."""
    if isinstance(a, Tensor):
        return a.maximum(b)
    return b.maximum(a) if isinstance(b, Tensor) else np.maximum(a, b)


def minimum(a, b):
    """The smaller of two tensors or arrays, element by element."""
    if isinstance(a, Tensor):
        return a.minimum(b)
    return b.minimum(a) if isinstance(b, Tensor) else np.minimum(a, b)


def concat(values, axis):
    """Join tensors, and constants among them, along `axis`; at least one is a tensor."""
    first = next(v for v in values if isinstance(v, Tensor))
    tensors = [v if isinstance(v, Tensor) else _constant(first, np.asarray(v)) for v in values]
    first.graph.admit((sum(t.size for t in tensors),))
    starts = np.cumsum([0] + [t.size for t in tensors[:-1]])
    indices = [s + np.arange(t.size).reshape(t.shape) for s, t in zip(starts, tensors)]
    index = np.concatenate(indices, axis)
    return Tensor(first.graph, _Gather(index.ravel()), tuple(tensors), index.shape)


def _constant(tensor, value):
    one = tensor.rearrange(lambda a: a.ravel()[:1].reshape((1,) * value.ndim))
    return one._broadcast(value.shape) * 0 + value


def lower(source, output):
    """The canonical chain from `source`, the input tensor, to `output`.

    Returns
    -------
    layers : list of (W, b)
        Arrays of the graph's dtype; an infinity where a number overflows it.
    slopes : list of ndarray
        One array for each hidden layer; pass-through units have slope 1 and come last.

    Raises
    ------
    UnsupportedModelError
        A layer would be a dense matrix too large to hold.
    """
    dtype = source.graph.dtype
    last_use = {}
    affine, folds = ([[] for _ in range(output.depth + 1)] for _ in range(2))
    for node in _live(output):
        if isinstance(node.op, _Fold):
            folds[node.depth - 1].append(node)
        elif node is not source:
            affine[node.depth].append(node)
            last_use.update((a, max(node.depth, last_use.get(a, 0))) for a in node.args)
    maps = {source: _Map(source.size, source.graph.wide, index=np.arange(source.size))}
    layers, slopes, n_elements = [], [], 0
    with np.errstate(all="ignore"):
        for depth in range(output.depth + 1):
            for node in affine[depth]:
                maps[node] = node.op.lower(*(maps[a] for a in node.args))
            if depth < output.depth:
                carried = {n: m for n, m in maps.items() if last_use.get(n, 0) > depth}
                layer, maps = _next_layer(folds[depth], maps, carried)
                slopes.append(np.ones(layer.size, dtype))
                folded = np.concatenate([n.op.slopes for n in folds[depth]])
                slopes[-1][: len(folded)] = folded
            else:
                layer = maps[output]
            n_elements += layer.size * layer.n_units
            _admit_matrix((layer.size, layer.n_units), n_elements, _MAX_CHAIN_ELEMENTS)
            layers.append(layer.layer(dtype))
    return layers, slopes


def _live(output):
    wanted = {output}
    for node in reversed(output.graph.nodes):
        if node in wanted:
            wanted.update(node.args)
    return [n for n in output.graph.nodes if n in wanted]


def _next_layer(folds, maps, carried):
    """The layer that makes `folds` and keeps `carried`, and the maps of these from its units.

    A selection of units is carried as these units. A dense map is carried as its own values, or
    as the units that it reads where those are fewer.
    """
    by_unit = [m for m in carried.values() if m.index is not None]
    by_value = {n: m for n, m in carried.items() if m.index is None}
    read = _units_of([*by_unit, *by_value.values()])
    if len(read) <= len(_units_of(by_unit)) + sum(m.size for m in by_value.values()):
        by_unit, by_value = list(carried.values()), {}
    units = _units_of(by_unit)

    before = maps[folds[0].args[0]]
    passed = before._replace(W=None, b=None, index=units)
    layer = _stack([*(maps[n.args[0]] for n in folds), *([passed] if len(units) else []), *by_value.values()])

    def selection(start, size):
        return _Map(layer.size, before.wide, index=start + np.arange(size))

    after, start = {}, 0
    for node in folds:
        after[node] = selection(start, node.size)
        start += node.size
    position = np.zeros(before.n_units, np.intp)
    position[units] = start + np.arange(len(units))
    start += len(units)
    for node, carried_map in carried.items():
        if node in by_value:
            after[node] = selection(start, node.size)
            start += node.size
        else:
            after[node] = carried_map.moved(position, layer.size)
    return layer, after


def _units_of(maps):
    return np.unique(np.concatenate([np.zeros(0, np.intp), *(m.units() for m in maps)]))


class _Map:
    """``W u + b`` of the units ``u`` of one depth.

    While `index` is set, row ``i`` is ``W[i] * u[index[i]]``, with a vector `W`, None for ones.
    `b` is None for zeros. Arrays keep the dtype they came in until there is something to compute.
    """

    __slots__ = ("W", "b", "index", "n_units", "wide")

    def __init__(self, n_units, wide, W=None, b=None, index=None):
        self.n_units = n_units
        self.wide = wide
        self.W = W
        self.b = b
        self.index = index

    @property
    def size(self):
        return len(self.W if self.index is None else self.index)

    def layer(self, dtype):
        b = np.zeros(self.size) if self.b is None else self.b
        return self.dense().astype(dtype, copy=False), b.astype(dtype, copy=False)

    def dense(self):
        if self.index is None:
            return self.W
        dtype = np.float32 if self.W is None else self.W.dtype
        matrix = _zeros((self.size, self.n_units), dtype)
        matrix[np.arange(self.size), self.index] = 1 if self.W is None else self.W
        return matrix

    def units(self):
        return self.index if self.index is not None else np.flatnonzero(self.W.any(axis=0))

    def moved(self, position, n_units):
        """The same map when unit ``k`` has become ``position[k]`` of `n_units`."""
        if self.index is not None:
            return self._replace(n_units=n_units, index=position[self.index])
        units = self.units()
        matrix = _zeros((self.size, n_units), self.W.dtype)
        matrix[:, position[units]] = self.W[:, units]
        return self._replace(n_units=n_units, W=matrix)

    def take(self, rows):
        if self.index is None:
            _admit_matrix((len(rows), self.n_units), len(rows) * self.n_units, _MAX_MATRIX_ELEMENTS)
        W, b, index = (a if a is None else a[rows] for a in (self.W, self.b, self.index))
        return self._replace(W=W, b=b, index=index)

    def scaled(self, scale):
        if self.index is None:
            W = self.W * scale[:, None]
        else:
            W = scale if self.W is None else self.W * scale
        return self._replace(W=W, b=None if self.b is None else self.b * scale)

    def shifted(self, shift):
        return self._replace(b=shift if self.b is None else self.b.astype(self.wide) + shift)

    def plus(self, other):
        if self.index is not None and other.index is not None and np.array_equal(self.index, other.index):
            ones = np.ones(self.size, self.wide)
            W = sum((ones if m.W is None else m.W.astype(self.wide)) for m in (self, other))
            total = self._replace(W=W)
        else:
            total = self._replace(W=self.dense().astype(self.wide) + other.dense(), index=None)
        return total if other.b is None else total.shifted(other.b)

    def times(self, matrix):
        """Each run of ``len(matrix)`` values, as a row, times `matrix`."""
        k, m = matrix.shape
        runs = self.size // k
        b = self.b
        if b is not None:
            b = (b.astype(self.wide).reshape(runs, k) @ matrix.astype(self.wide)).ravel()
        if self.index is None:
            W = self.W.astype(self.wide).reshape(runs, k, self.n_units)
            W = np.matmul(matrix.T.astype(self.wide), W).reshape(runs * m, self.n_units)
        elif runs == 1 and self.W is None and np.array_equal(self.index, np.arange(self.n_units)):
            W = matrix.T
        else:
            scale = np.ones(1, matrix.dtype) if self.W is None else self.W.reshape(runs, 1, k)
            blocks = np.broadcast_to(matrix.T * scale, (runs, m, k))
            indices = self.index.reshape(runs, k)
            is_once = (np.diff(np.sort(indices), axis=1) > 0).all()
            W = _zeros((runs * m, self.n_units), blocks.dtype if is_once else self.wide)
            for rows, index, block in zip(W.reshape(runs, m, self.n_units), indices, blocks):
                if is_once:
                    rows[:, index] = block
                else:
                    np.add.at(rows, (slice(None), index), block)
        return self._replace(W=W, b=b, index=None)

    def _replace(self, **changes):
        fields = {name: getattr(self, name) for name in ("n_units", "wide", "W", "b", "index")}
        return _Map(**{**fields, **changes})


def _zeros(shape, dtype):
    _admit_matrix(shape, math.prod(shape), _MAX_MATRIX_ELEMENTS)
    return np.zeros(shape, dtype)


def _admit_matrix(shape, n_elements, limit):
    if n_elements > limit:
        raise UnsupportedModelError(
            f"with a dense matrix of shape {shape}, there are {n_elements} weights to compute; "
            f"at most {limit} are taken"
        )


def _stack(maps):
    if len(maps) == 1:
        return maps[0]
    b = None
    if any(m.b is not None for m in maps):
        b = np.concatenate([np.zeros(m.size, np.float32) if m.b is None else m.b for m in maps])
    if all(m.index is not None for m in maps):
        W = None
        if any(m.W is not None for m in maps):
            W = np.concatenate([np.ones(m.size, np.float32) if m.W is None else m.W for m in maps])
        return maps[0]._replace(W=W, b=b, index=np.concatenate([m.index for m in maps]))
    return maps[0]._replace(W=np.concatenate([m.dense() for m in maps]), b=b, index=None)


def rounding_bound(source, output, points, unit_roundoff):
    """How far rounding may move the outputs when the graph is run as it was written.

    The running error analysis of Higham, *Accuracy and Stability of Numerical Algorithms*, chapter
    3: each operation carries the error of its operands on and adds its own, component by component.

    Parameters
    ----------
    points : ndarray of shape (n_points, n_in), float64
    unit_roundoff : float
        Of the arithmetic the graph is run in.

    Returns
    -------
    bound : ndarray of shape (n_points, n_out), float64
    """
    known = {source: (points, np.zeros_like(points))}
    with np.errstate(all="ignore"):
        for node in _live(output):
            if node is not source:
                known[node] = node.op.run(unit_roundoff, *(known[a] for a in node.args))
    return known[output][1]


class _Gather:
    """Elements of the joined operands, by position; all of them in order when `index` is None."""

    def __init__(self, index):
        self.index = index

    def lower(self, *maps):
        joined = _stack(maps)
        return joined if self.index is None else joined.take(self.index)

    def run(self, unit, *operands):
        values, errors = (np.concatenate(parts, axis=1) for parts in zip(*operands))
        return (values, errors) if self.index is None else (values[:, self.index], errors[:, self.index])


class _Scale:
    def __init__(self, scale):
        self.scale = scale

    def lower(self, x):
        return x.scaled(self.scale)

    def run(self, unit, operand):
        scale = self.scale.astype(float)
        value = operand[0] * scale
        return value, operand[1] * abs(scale) + 8 * unit * abs(value)


class _Shift:
    def __init__(self, shift):
        self.shift = shift

    def lower(self, x):
        return x.shifted(self.shift)

    def run(self, unit, operand):
        shift = self.shift.astype(float)
        value, error = operand
        return value + shift, error + 2 * unit * (abs(value) + abs(shift))


class _MatMul:
    def __init__(self, matrix):
        self.matrix = matrix

    def lower(self, x):
        return x.times(self.matrix)

    def run(self, unit, operand):
        matrix = self.matrix.astype(float)
        value, error = (a.reshape(len(a), -1, len(matrix)) for a in operand)
        n = np.count_nonzero(matrix, axis=0) + 2
        size = abs(value) @ abs(matrix)
        error = error @ abs(matrix) + n * unit / (1 - n * unit) * size
        return (value @ matrix).reshape(len(value), -1), error.reshape(len(value), -1)


class _Add:
    def lower(self, x, y):
        return x.plus(y)

    def run(self, unit, x, y):
        return x[0] + y[0], x[1] + y[1] + unit * (abs(x[0]) + abs(y[0]))


class _Fold:
    def __init__(self, slopes):
        self.slopes = slopes

    def run(self, unit, operand):
        value, error = operand
        slopes = self.slopes.astype(float)
        folded = np.where(value > 0, value, slopes * value)
        return folded, error * np.maximum(1, abs(slopes)) + unit * abs(folded)
