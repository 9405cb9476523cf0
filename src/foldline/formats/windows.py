"""Windows that pass over a tensor: the padding, convolutions and pooling of all formats.

Tensors are (1, *space, channels); `channels_last` gives such to a function where channels come before space.
Windows are (1, *places, channels, *size), and of each there is a product with a matrix, a sum or a maximum.
"""

import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ..errors import UnsupportedModelError
from ..lowering import concat

__all__ = [
    "Windows",
    "average_of_all",
    "average_pooling",
    "channels_last",
    "convolution",
    "largest_of_all",
    "max_pooling",
    "padded",
    "same_widths",
]


class Windows:
    """How windows lie in a space of some dimensions.

    Parameters
    ----------
    space, size, strides, dilation : sequence of int
        One for each dimension.
    widths : sequence of (int, int)
        How far each dimension is padded, before it and behind it.
    ceil : bool, default False
        Whether a last window may pass the padding, where it does not begin behind the space.
    """

    def __init__(self, space, size, strides, dilation, widths, ceil=False):
        of_dimensions = {"size": size, "strides": strides, "dilation": dilation, "padding": widths}
        for name, values in of_dimensions.items():
            if len(values) != len(space) or np.min(values, initial=1) < (name != "padding"):
                raise ValueError(f"windows with {name} {list(values)} in a space of shape {tuple(space)}")
        self.space, self.size, self.strides, self.dilation = map(tuple, (space, size, strides, dilation))
        self.widths = [tuple(pair) for pair in widths]
        self.spans = tuple((k - 1) * d + 1 for k, d in zip(size, dilation))
        self.places, self.passed = [], []
        for n, s, span, (before, behind) in zip(space, strides, self.spans, self.widths):
            room = n + before + behind - span
            last = -(-room // s) if ceil else room // s
            if ceil and last * s >= n + before:
                last -= 1
            if last < 0:
                raise ValueError(f"a window of {span} in {n} places, padded by {before} and {behind}")
            self.places.append(last + 1)
            self.passed.append((0, max(last * s - room, 0)))

    @property
    def reach(self):
        """How far all windows together pass the space on each side of it."""
        return [(before, behind + more) for (before, behind), (_, more) in zip(self.widths, self.passed)]

    def of(self, a):
        """The windows of an array (1, *padded space, channels)."""
        windows = sliding_window_view(a, self.spans, tuple(range(1, a.ndim - 1)))
        places = [slice(0, (n - 1) * s + 1, s) for n, s in zip(self.places, self.strides)]
        return windows[(slice(None), *places, slice(None), *(slice(None, None, d) for d in self.dilation))]

    def counts(self, with_padding=False):
        """How many elements of each window are of the space, or of it and its padding: (1, *places, 1)."""
        ones = np.pad(np.ones((1, *self.space, 1)), _around(self.widths), constant_values=float(with_padding))
        counts = self.of(np.pad(ones, _around(self.passed))).sum(tuple(range(-len(self.size), 0)))
        if not counts.all():
            raise UnsupportedModelError("with a window of nothing but padding")
        return counts

    def admit(self, x):
        x.graph.admit([n + sum(w) for n, w in zip(x.shape, _around(self.reach))])
        x.graph.admit((x.shape[0], *self.places, x.shape[-1], *self.size))


def same_widths(space, size, strides, dilation, more_before=False):
    """The least padding for ceil(n / stride) windows, halved; what is odd goes behind, or before."""
    widths = []
    for n, k, s, d in zip(space, size, strides, dilation, strict=True):
        total = max((-(-n // s) - 1) * s + (k - 1) * d + 1 - n, 0)
        before = (total + more_before) // 2
        widths.append((before, total - before))
    return widths


def channels_last(function, x, *args):
    """`function` of a tensor (1, channels, *space)."""
    y = function(x.rearrange(lambda a: np.moveaxis(a, 1, -1)), *args)
    return y.rearrange(lambda a: np.moveaxis(a, -1, 1))


def padded(x, widths, value=0.0):
    """`value` before and behind each axis; where a width is negative, elements are cut off."""
    if not math.isfinite(value):
        raise UnsupportedModelError(f"padding with {value}")
    if np.min(widths, initial=0) < 0:
        x = x[tuple(slice(max(-start, 0), n - max(-end, 0)) for n, (start, end) in zip(x.shape, widths))]
    widths = [(max(start, 0), max(end, 0)) for start, end in widths]
    if not np.any(widths):
        return x
    x.graph.admit([n + sum(w) for n, w in zip(x.shape, widths, strict=True)])
    inside = np.pad(np.ones(x.shape), widths)
    y = x.rearrange(lambda a: np.pad(a, widths, "edge")) * inside
    return y + value * (1 - inside) if value else y


def convolution(x, kernel, at, groups=1, bias=None):
    """`kernel` is (*size, channels / groups, filters), `bias` (filters,)."""
    *_, depth, filters = kernel.shape
    if depth * groups != x.shape[-1] or filters % groups:
        raise ValueError(
            f"{filters} filters of {depth} channels in {groups} groups, for {x.shape[-1]} channels"
        )
    if bias is not None and bias.shape != (filters,):
        raise ValueError(f"a bias of shape {bias.shape} for {filters} filters")
    matrix = np.moveaxis(kernel, -2, 0).reshape(-1, filters)
    if groups > 1:
        x.graph.admit((groups, *matrix.shape))
        matrix = _block_diagonal(matrix.reshape(len(matrix), groups, -1))
    y = _summed(x, at).reshape((x.shape[0], *at.places, -1)) @ matrix
    return y if bias is None else y + bias


def _block_diagonal(matrices):
    n_rows, n, n_columns = matrices.shape
    blocks = np.zeros((n, n_rows, n, n_columns), matrices.dtype)
    blocks[np.arange(n), :, np.arange(n)] = np.moveaxis(matrices, 1, 0)
    return blocks.reshape(n * n_rows, n * n_columns)


def average_pooling(x, at, count_padding=False, divisor=None):
    """The sum of each window by how many elements it has, or by `divisor`."""
    windows = _summed(x, at)
    n = at.counts(count_padding) if divisor is None else divisor
    return _sum_of_last(windows.reshape((*windows.shape[: x.ndim], -1))) / n


def _summed(x, at):
    """Windows in which padding is 0."""
    at.admit(x)
    return padded(x, _around(at.reach)).rearrange(at.of)


def max_pooling(x, at):
    at.admit(x)
    at.counts()

    def of_space(positions):
        """Windows in which an element of the same window stands for padding."""
        windows = at.of(np.pad(positions, _around(at.reach), constant_values=-1))
        windows = windows.reshape((*windows.shape[: x.ndim], -1))
        return np.where(windows < 0, windows.max(-1, keepdims=True), windows)

    return _largest_of_last(x.rearrange(of_space))


def average_of_all(x):
    """Of each channel: (1, channels)."""
    places = _by_channel(x)
    return _sum_of_last(places) / places.shape[-1]


def largest_of_all(x):
    """Of each channel: (1, channels)."""
    return _largest_of_last(_by_channel(x))


def _by_channel(x):
    return x.rearrange(lambda a: np.swapaxes(a.reshape(len(a), -1, a.shape[-1]), 1, 2))


def _sum_of_last(x):
    return x @ np.ones(x.shape[-1])


def _largest_of_last(x):
    while x.shape[-1] > 1:
        half = x.shape[-1] // 2
        larger = x[..., :half].maximum(x[..., half : 2 * half])
        x = concat([larger, x[..., 2 * half :]], -1) if x.shape[-1] % 2 else larger
    return x[..., 0]


def _around(widths):
    """Of space, for all axes."""
    return [(0, 0), *widths, (0, 0)]
