"""The network: an immutable chain of affine maps and per-neuron folds."""

import numbers
from functools import cached_property

import numpy as np

from . import evaluation
from ._core import Core
from .checks import check_real
from .frozen import Frozen
from .wording import counted

__all__ = ["Network"]

_NAMED_SLOPES = {"relu": 0.0, "leaky_relu": 0.01, "abs": -1.0, "identity": 1.0}
_DTYPES = (np.dtype(np.float32), np.dtype(np.float64))


class Network(Frozen):
    """A continuous piecewise-linear network in canonical form.

    The network is ``n_layers`` affine maps ``z = W a + b``. Between two of them every unit folds
    its own way, ``a = z if z > 0 else slope * z``; nothing follows the last. A unit with slope 1
    passes through: it has no fold and no bit in a pattern. All other units are called neurons.

    Parameters
    ----------
    layers : sequence of (W, b)
        ``W`` of shape (n_out, n_in) and ``b`` of shape (n_out,), or None for no bias. Floating
        arrays must share one dtype, float32 or float64; lists and integer arrays follow it
        (float64 when there is nothing to follow).
    activation : str, float or sequence, default "relu"
        The fold between layers: ``"relu"`` (slope 0), ``"leaky_relu"`` (0.01), ``"abs"`` (-1),
        ``"identity"`` (1) or a slope. A sequence gives one of these, or an array with a slope
        per unit, for each of the ``n_layers - 1`` hidden layers.

    Attributes
    ----------
    n_in, n_out : int
        Width of a point and of an output.
    widths : tuple of int
        Number of units in each hidden layer, pass-through units included.
    n_neurons : int
        Number of units with a fold; a pattern has this many bits.
    dtype : numpy.dtype
        float32 or float64: of weights, points and outputs.
    digest : str
        SHA-256 of dtype, shapes, weights and slopes, in hexadecimal. Networks with one digest are
        equal and hash alike.
    weights, biases, slopes : tuple of ndarray
        Read-only. ``slopes`` has one array for each hidden layer.
    import_check : ImportCheck or None
        How far the network is from the model it was imported from, on random points.

    Raises
    ------
    ValueError
        Layers that are empty, ragged or do not fit together; NaN or infinite weights.
    TypeError
        Arrays that are not real numbers, or float32 and float64 mixed.

    Examples
    --------
    >>> import foldline as fl
    >>> net = fl.Network([([[1.0, 0.0], [0.0, 1.0]], [0.0, 0.0]), ([[1.0, -2.0]], [0.5])])
    >>> net
    Network(2-2-1, float64, 2 neurons)
    >>> net([[1.0, 3.0], [-1.0, 1.0]])
    array([[-4.5],
           [-1.5]])
    """

    def __init__(self, layers, activation="relu", *, import_check=None):
        layers, arrays = _layer_arrays(layers)
        dtype = _common_dtype(layers, arrays)
        weights, biases = _checked_layers(arrays, dtype)
        slopes = _checked_slopes(activation, [len(b) for b in biases[:-1]], dtype)
        super().__init__(
            weights=tuple(weights),
            biases=tuple(biases),
            slopes=tuple(slopes),
            digest=_digest(dtype, weights, biases, slopes),
            import_check=import_check,
            _core=Core(weights, biases, slopes),
        )

    @classmethod
    def from_knots(cls, x, y):
        """The network of one input that interpolates points linearly, as ``numpy.interp`` does.

        Parameters
        ----------
        x : array_like, shape (n_knots,), increasing
        y : array_like, shape (n_knots,) or (n_knots, n_out)

        Returns
        -------
        Network
            float64: ``y[0] + sum over i of c[i] relu(x - x[i])`` with the changes ``c`` of the slope;
            constant before the first and after the last knot. Values at the knots are off by the
            rounding of this sum.

        Examples
        --------
        >>> import foldline as fl
        >>> hat = fl.Network.from_knots([0, 1, 2], [0, 1, 0])
        >>> hat([[-1], [0.5], [1.75], [3]]).ravel()
        array([0.  , 0.5 , 0.25, 0.  ])
        """
        x, y = (check_real(name, value).astype(np.float64) for name, value in (("x", x), ("y", y)))
        columns = y[:, None] if y.ndim == 1 else y
        if x.ndim != 1 or not len(x) or columns.ndim != 2 or len(columns) != len(x):
            raise ValueError(
                f"x has shape {x.shape}, y {y.shape}; wanted (n_knots,), and (n_knots,) or (n_knots, n_out)"
            )
        if not (np.isfinite(x).all() and np.isfinite(columns).all()):
            raise ValueError("x or y has NaN or infinity; wanted finite values")
        if not (x[:-1] < x[1:]).all():
            i = int(np.flatnonzero(~(x[:-1] < x[1:]))[0])
            raise ValueError(f"x[{i}] is {x[i]}, x[{i + 1}] is {x[i + 1]}; wanted increasing values")
        flat = np.zeros((1, columns.shape[1]))
        with np.errstate(over="ignore", invalid="ignore"):
            slopes = np.diff(columns, axis=0) / np.diff(x)[:, None]
            changes = np.diff(np.concatenate([flat, slopes, flat]), axis=0)
        if not np.isfinite(changes).all():
            i = int(np.flatnonzero(~np.isfinite(changes).all(axis=1))[0])
            raise ValueError(f"the slope at x[{i}], {x[i]}, changes by more than floats hold; wanted less")
        return cls([(np.ones((len(x), 1)), -x), (changes.T, columns[0])])

    @property
    def n_in(self):
        return self.weights[0].shape[1]

    @property
    def n_out(self):
        return self.weights[-1].shape[0]

    @property
    def widths(self):
        return tuple(len(s) for s in self.slopes)

    @property
    def n_neurons(self):
        return self._core.n_neurons

    @property
    def dtype(self):
        return self.weights[0].dtype

    def astype(self, dtype):
        """The same network with weights rounded to `dtype` (float32 to float64 is exact)."""
        given = dtype
        try:
            dtype = np.dtype(given)
        except (TypeError, ValueError):
            dtype = np.dtype(object)
        if dtype not in _DTYPES:
            raise TypeError(f"dtype is {given!r}; wanted float32 or float64")
        if dtype == self.dtype:
            return self
        with np.errstate(over="ignore"):
            weights, biases, slopes = (
                [array.astype(dtype) for array in arrays]
                for arrays in (self.weights, self.biases, self.slopes)
            )
        return Network(list(zip(weights, biases)), slopes)

    def save(self, path):
        """Write the network to `path`: ``.npz`` or ``.json``, by the ending. `load` reads it back."""
        from .formats import save

        save(self, path)

    def __eq__(self, other):
        return self.digest == other.digest if isinstance(other, Network) else NotImplemented

    def __hash__(self):
        return hash(self.digest)

    def __reduce__(self):
        layers = list(zip(self.weights, self.biases))
        return _rebuild, (layers, list(self.slopes), self.import_check)

    def __repr__(self):
        shape = "-".join(str(n) for n in (self.n_in, *self.widths, self.n_out))
        return f"Network({shape}, {self.dtype}, {counted(self.n_neurons, 'neuron')})"

    @cached_property
    def _in_float64(self):
        """The same function in float64: for bits that float32 leaves open."""
        return self.astype(np.float64)

    @cached_property
    def _in_float32(self):
        """The network rounded to float32, for patterns that are verified later.

        Or this network, where rounding leaves the range of float32 or turns a slope to 1.
        """
        try:
            narrow = self.astype(np.float32)
        except ValueError:
            return self
        return narrow if narrow.n_neurons == self.n_neurons else self

    __call__ = evaluation.forward
    forward = evaluation.forward
    patterns = evaluation.patterns
    evaluate = evaluation.evaluate
    preactivations = evaluation.preactivations
    local_affine = evaluation.local_affine
    linear_radius = evaluation.linear_radius


def _rebuild(layers, slopes, import_check):
    return Network(layers, slopes, import_check=import_check)


def _layer_arrays(layers):
    try:
        pairs = [tuple(pair) for pair in layers]
    except TypeError:
        raise TypeError(f"layers is {type(layers).__name__}; wanted a sequence of (W, b) pairs") from None
    if not pairs:
        raise ValueError("layers is empty; a network has at least one (W, b)")
    arrays = []
    for i, pair in enumerate(pairs):
        if len(pair) != 2:
            raise ValueError(f"layer {i} has {len(pair)} items; wanted the pair (W, b)")
        arrays.append((_real_array(pair[0], f"W of layer {i}"), _real_array(pair[1], f"b of layer {i}")))
    return pairs, arrays


def _real_array(value, what):
    if value is None and what.startswith("b"):
        return None
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{what} is not a rectangular array: {error}") from None
    if array.dtype.kind not in "iuf":
        raise TypeError(f"{what} has dtype {array.dtype}; wanted float32 or float64")
    return array


def _common_dtype(layers, arrays):
    """The dtype of the floating arrays that were given; lists have none of their own."""
    found = {
        array.dtype.newbyteorder("=")
        for given, pair in zip(layers, arrays)
        for value, array in zip(given, pair)
        if isinstance(value, np.ndarray) and array.dtype.kind == "f"
    }
    if not found:
        return np.dtype(np.float64)
    if len(found) > 1 or found.isdisjoint(_DTYPES):
        names = ", ".join(sorted(d.name for d in found))
        raise TypeError(f"weights have dtype {names}; wanted float32 throughout or float64 throughout")
    return found.pop()


def _checked_layers(arrays, dtype):
    weights, biases = [], []
    for i, (w, b) in enumerate(arrays):
        if w.ndim != 2 or 0 in w.shape:
            raise ValueError(f"W of layer {i} has shape {w.shape}; wanted (n_out, n_in), neither zero")
        if weights and w.shape[1] != len(biases[-1]):
            raise ValueError(
                f"W of layer {i} has shape {w.shape}; layer {i - 1} gives {len(biases[-1])} values, "
                f"so (n_out, {len(biases[-1])}) was wanted"
            )
        if b is None:
            b = np.zeros(len(w), dtype)
        if b.shape != (len(w),):
            raise ValueError(f"b of layer {i} has shape {b.shape}; wanted ({len(w)},)")
        weights.append(_finite_copy(w, dtype, f"W of layer {i}"))
        biases.append(_finite_copy(b, dtype, f"b of layer {i}"))
    return weights, biases


def _finite_copy(array, dtype, what):
    with np.errstate(over="ignore"):
        copy = np.array(array, dtype, order="C")
    finite = np.isfinite(copy)
    if not finite.all():
        where = tuple(int(i) for i in np.argwhere(~finite)[0])
        raise ValueError(f"{what} has {array[where]} at {where}; weights must be finite {dtype}")
    return copy


def _checked_slopes(activation, widths, dtype):
    if isinstance(activation, (str, numbers.Real)):
        activation = [_slope(activation)] * len(widths)
    if not hasattr(activation, "__len__"):
        raise TypeError(f"activation is {activation!r}; wanted a name, a slope, or one for each hidden layer")
    if len(activation) != len(widths):
        raise ValueError(f"activation has {len(activation)} items; there are {len(widths)} hidden layers")
    return [_slope_array(a, n, i, dtype) for i, (a, n) in enumerate(zip(activation, widths))]


def _slope(activation):
    """The slope that a name stands for; what is no name as it is."""
    if not isinstance(activation, str):
        return activation
    if activation not in _NAMED_SLOPES:
        raise ValueError(f"activation {activation!r}; wanted one of {', '.join(_NAMED_SLOPES)}, or a slope")
    return _NAMED_SLOPES[activation]


def _slope_array(activation, width, layer, dtype):
    slopes = _real_array(_slope(activation), f"activation of layer {layer}")
    if slopes.ndim == 0:
        slopes = np.full(width, slopes)
    if slopes.shape != (width,):
        raise ValueError(f"activation of layer {layer} has shape {slopes.shape}; wanted ({width},)")
    return _finite_copy(slopes, dtype, f"activation of layer {layer}")


def _digest(dtype, weights, biases, slopes):
    import hashlib  # when used: loading OpenSSL is a tenth of numpy's import

    digest = hashlib.sha256(f"foldline network {dtype.name}".encode())
    for array in (*weights, *biases, *slopes):
        digest.update(repr(array.shape).encode())
        digest.update(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())
    return digest.hexdigest()
