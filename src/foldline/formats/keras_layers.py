"""What the layers, operations and activations of Keras compute, on a `Tensor`.

Each is a function in a table, under the name of its class; `ACTIVATIONS` has those that Keras knows by name.
"""

import functools
import math
import operator

import numpy as np

from ..errors import UnsupportedModelError
from ..lowering import concat, maximum, minimum
from . import optional
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

__all__ = ["ACTIVATIONS", "FINAL", "FINAL_ACTIVATIONS", "LAYERS", "N_WEIGHTS", "OPERATIONS", "array"]

# Left out when asked, at the end: layers and operations, and activations.
FINAL = ("Softmax", "LogSoftmax", "Sigmoid", "Argmax")
FINAL_ACTIVATIONS = ("softmax", "log_softmax", "sigmoid")


def array(value):
    """A variable or a tensor of Keras as an array; None stays None."""
    return None if value is None else optional("keras").ops.convert_to_numpy(value)


def _relu(x, negative_slope=0.0, max_value=None, threshold=0.0):
    """``x`` from 0 to `max_value`, constant above, ``negative_slope * x`` below 0."""
    if threshold:
        raise UnsupportedModelError(f"with threshold {threshold}, which is a jump")
    y = x.fold(negative_slope)
    return y if max_value is None else y - (x - max_value).relu()


def _soft_shrink(x, threshold=0.5):
    return x - x.clip(-threshold, threshold)


ACTIVATIONS = {
    "hard_sigmoid": lambda x: (x / 6 + 0.5).clip(0.0, 1.0),
    "hard_tanh": lambda x: x.clip(-1.0, 1.0),
    "leaky_relu": lambda x: x.fold(0.2),
    "linear": lambda x: x,
    "relu": _relu,
    "relu6": lambda x: x.clip(0.0, 6.0),
    "soft_shrink": _soft_shrink,
    "sparse_sigmoid": lambda x: ((x + 1) / 2).clip(0.0, 1.0),
}


def _biased(layer, y):
    return y if layer.bias is None else y + array(layer.bias)


def _dense(layer, x):
    return _biased(layer, x @ array(layer.kernel))


def _batch_normalization(layer, x):
    if layer.moving_mean is None:
        raise UnsupportedModelError("with the statistics of the batch")
    mean, variance = array(layer.moving_mean), array(layer.moving_variance)
    gamma, beta = array(layer.gamma), array(layer.beta)
    y = x.rearrange(lambda a: np.moveaxis(a, layer.axis, 1))
    y = y.batch_norm(mean, variance, gamma, beta, layer.epsilon)
    return y.rearrange(lambda a: np.moveaxis(a, 1, layer.axis))


def _normalization(layer, x):
    wide = x.graph.wide
    mean = array(layer.mean)
    deviation = np.maximum(np.sqrt(array(layer.variance).astype(wide)), optional("keras").config.epsilon())
    return x * deviation + mean if layer.invert else (x - mean) / deviation


def _rescaling(layer, x):
    return x * np.asarray(layer.scale) + np.asarray(layer.offset)


def _merged(function):
    return lambda layer, tensors: functools.reduce(function, tensors)


def _average(layer, tensors):
    return functools.reduce(operator.add, tensors) / len(tensors)


def _flatten(layer, x):
    if layer.data_format == "channels_first":
        x = x.rearrange(lambda a: np.moveaxis(a, 1, -1))
    return x.reshape((1, -1))


def _repeat_vector(layer, x):
    x.graph.admit((layer.n, x.size))
    return x.rearrange(lambda a: np.repeat(a[:, None], layer.n, 1))


def _channels_last(function):
    """A function of a layer and a tensor (1, *space, channels), for layers of either data format."""

    def run(layer, x):
        if getattr(layer, "data_format", "channels_last") == "channels_last":
            return function(layer, x)
        return channels_last(functools.partial(function, layer), x)

    return run


def _windows(layer, x, size, dilation):
    space = x.shape[1:-1]
    widths = [(0, 0)] * len(size)
    if layer.padding == "same":
        widths = same_widths(space, size, layer.strides, dilation)
    elif layer.padding == "causal":
        widths = [((k - 1) * d, 0) for k, d in zip(size, dilation)]
    return Windows(space, size, layer.strides, dilation, widths)


def _convolved(layer, x, kernel, groups):
    return convolution(x, kernel, _windows(layer, x, kernel.shape[:-2], layer.dilation_rate), groups)


def _convolution(layer, x):
    return _biased(layer, _convolved(layer, x, array(layer.kernel), layer.groups))


def _by_channel(layer, x, kernel):
    """`kernel` is (*size, channels, multiplier)."""
    return _convolved(layer, x, kernel.reshape(*kernel.shape[:-2], 1, -1), x.shape[-1])


def _depthwise_convolution(layer, x):
    return _biased(layer, _by_channel(layer, x, array(layer.kernel)))


def _separable_convolution(layer, x):
    y = _by_channel(layer, x, array(layer.depthwise_kernel))
    pointwise = array(layer.pointwise_kernel)
    return _biased(layer, y @ pointwise.reshape(pointwise.shape[-2:]))


def _pooling(function):
    def run(layer, x):
        size = layer.pool_size
        return function(x, _windows(layer, x, size, (1,) * len(size)))

    return run


def _global_pooling(function):
    def run(layer, x):
        y = function(x)
        return y.reshape((1,) * (x.ndim - 1) + (-1,)) if layer.keepdims else y

    return run


def _zero_padding(layer, x):
    return padded(x, [(0, 0), *np.reshape(layer.padding, (-1, 2)).tolist(), (0, 0)])


def _cropping(layer, x):
    widths = np.reshape(layer.cropping, (-1, 2)).tolist()
    inside = [slice(start, n - end) for (start, end), n in zip(widths, x.shape[1:])]
    return x[(slice(None), *inside)]


def _up_sampling(layer, x):
    if getattr(layer, "interpolation", "nearest") != "nearest":
        raise UnsupportedModelError(f"interpolation {layer.interpolation}")
    for axis, n in enumerate(np.ravel(layer.size).tolist(), 1):
        x.graph.admit((n, x.size))
        x = x.rearrange(lambda a, axis=axis, n=n: np.repeat(a, n, axis))
    return x


def _ranked(name, function, ranks=(1, 2, 3)):
    return {f"{name}{rank}D": function for rank in ranks}


# Layers that do nothing at inference.
_IDENTITIES = """
    ActivityRegularization AlphaDropout Dropout GaussianDropout GaussianNoise Identity SpatialDropout1D
    SpatialDropout2D SpatialDropout3D
""".split()

LAYERS = {
    **dict.fromkeys(_IDENTITIES, lambda layer, x: x),
    **_ranked("AveragePooling", _channels_last(_pooling(average_pooling))),
    **_ranked("Conv", _channels_last(_convolution)),
    **_ranked("Cropping", _channels_last(_cropping)),
    **_ranked("DepthwiseConv", _channels_last(_depthwise_convolution), (1, 2)),
    **_ranked("GlobalAveragePooling", _channels_last(_global_pooling(average_of_all))),
    **_ranked("GlobalMaxPooling", _channels_last(_global_pooling(largest_of_all))),
    **_ranked("MaxPooling", _channels_last(_pooling(max_pooling))),
    **_ranked("SeparableConv", _channels_last(_separable_convolution), (1, 2)),
    **_ranked("UpSampling", _channels_last(_up_sampling)),
    **_ranked("ZeroPadding", _channels_last(_zero_padding)),
    "Activation": lambda layer, x: x,
    "Add": _merged(operator.add),
    "Average": _average,
    "BatchNormalization": _batch_normalization,
    "Concatenate": lambda layer, tensors: concat(tensors, layer.axis),
    "Dense": _dense,
    "Flatten": _flatten,
    "LeakyReLU": lambda layer, x: x.fold(layer.negative_slope),
    "Maximum": _merged(maximum),
    "Minimum": _merged(minimum),
    "Normalization": _normalization,
    "PReLU": lambda layer, x: x.fold(array(layer.alpha)),
    "Permute": lambda layer, x: x.rearrange(lambda a: np.transpose(a, (0, *layer.dims))),
    "ReLU": lambda layer, x: _relu(x, layer.negative_slope, layer.max_value, layer.threshold),
    "RepeatVector": _repeat_vector,
    "Rescaling": _rescaling,
    "Reshape": lambda layer, x: x.reshape((1, *layer.target_shape)),
    "Subtract": _merged(operator.sub),
}


def _clip(operation, x):
    if np.ndim(operation.x_min) or np.ndim(operation.x_max):
        raise UnsupportedModelError("with bounds that are tensors")
    return x.clip(operation.x_min, operation.x_max)


def _of_activation(name):
    return lambda operation, x: ACTIVATIONS[name](x)


# What ``keras.ops`` and the operators of tensors record, by the names of its classes.
OPERATIONS = {
    "Abs": lambda operation, x: x.fold(-1.0),
    "Absolute": lambda operation, x: x.fold(-1.0),
    "Add": lambda operation, x, y: x + y,
    "Clip": _clip,
    "Concatenate": lambda operation, tensors: concat(tensors, operation.axis),
    "Divide": lambda operation, x, y: x / y,
    "ExpandDims": lambda operation, x: x.rearrange(lambda a: np.expand_dims(a, operation.axis)),
    "GetItem": lambda operation, x, key: x[tuple(key) if isinstance(key, list) else key],
    "HardSigmoid": _of_activation("hard_sigmoid"),
    "HardTanh": _of_activation("hard_tanh"),
    "LeakyRelu": lambda operation, x: x.fold(operation.negative_slope),
    "Matmul": lambda operation, x, y: x @ y,
    "Maximum": lambda operation, x, y: maximum(x, y),
    "Minimum": lambda operation, x, y: minimum(x, y),
    "Multiply": lambda operation, x, y: x * y,
    "Negative": lambda operation, x: -x,
    "Relu": _of_activation("relu"),
    "Relu6": _of_activation("relu6"),
    "Reshape": lambda operation, x: x.reshape(operation.newshape),
    "SoftShrink": lambda operation, x: _soft_shrink(x, operation.threshold),
    "SparseSigmoid": _of_activation("sparse_sigmoid"),
    "Squeeze": lambda operation, x: x.rearrange(lambda a: np.squeeze(a, operation.axis)),
    "Subtract": lambda operation, x, y: x - y,
    "Transpose": lambda operation, x: x.rearrange(lambda a: np.transpose(a, operation.axes)),
    "TrueDivide": lambda operation, x, y: x / y,
}


def _product(*numbers):
    """With 0 taken as 1: of no inputs a layer still has a bias."""
    return math.prod(max(operator.index(n), 1) for n in numbers)


def _channels(config, shape):
    return shape[1 if config["data_format"] == "channels_first" else -1]


def _n_convolution(config, shape):
    kernel = _product(*config["kernel_size"], _channels(config, shape), config["filters"])
    return kernel // _product(config.get("groups", 1))


def _n_by_channel(config, shape):
    return _product(*config["kernel_size"], _channels(config, shape), config["depth_multiplier"])


def _n_separable(config, shape):
    pointwise = _product(_channels(config, shape), config["depth_multiplier"], config["filters"])
    return _n_by_channel(config, shape) + pointwise


def _n_normalization(config, shape):
    return _product(*(shape[axis] for axis in np.ravel(config["axis"]) if axis is not None))


def _n_prelu(config, shape):
    shared = config["shared_axes"] or ()
    return _product(*(n for axis, n in enumerate(shape) if axis and axis not in shared))


# How many weights a layer has at least, in its largest array, by its configuration and its input's shape.
N_WEIGHTS = {
    **_ranked("Conv", _n_convolution),
    **_ranked("DepthwiseConv", _n_by_channel, (1, 2)),
    **_ranked("SeparableConv", _n_separable, (1, 2)),
    "BatchNormalization": _n_normalization,
    "Dense": lambda config, shape: _product(shape[-1], config["units"]),
    "Normalization": _n_normalization,
    "PReLU": _n_prelu,
}
