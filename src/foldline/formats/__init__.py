"""Model formats: one file each, imported when it is used.

A file format's module has ``read(path, drop_final)``, which returns a `Network`, and, where
networks are written too, ``write(net, file)`` for a file open in binary mode. Adding a format is
adding the module and its line in `_MODULES`.
"""

import importlib
import os

from ..checks import check_flag, check_path
from ..errors import UnsupportedModelError
from ..files import replacing

__all__ = ["from_keras", "from_onnx", "from_sklearn", "from_torch", "load", "save"]

_MODULES = {
    ".json": "json",
    ".keras": "keras",
    ".nnet": "nnet",
    ".npz": "npz",
    ".onnx": "onnx",
    ".safetensors": "safetensors",
}


def load(path, drop_final=False):
    """Read a network from a file, by its ending.

    Parameters
    ----------
    path : str or os.PathLike
        ``.npz`` (keys ``W0, b0, W1, b1, ...``, optionally ``slopes0, ...``), ``.json``, ``.onnx``,
        ``.nnet``, ``.keras`` or ``.safetensors`` (the same keys, or ``*.weight`` and ``*.bias`` of linear
        layers in the order of their names: that ReLU lies between is assumed then, and a UserWarning says
        so). Nothing is ever unpickled, no code in a file is run, and no file but this one is read.
    drop_final : bool, default False
        Leave out a softmax, log-softmax, sigmoid or argmax at the very end of an ONNX or Keras model.
        The other formats have none.

    Returns
    -------
    Network

    Raises
    ------
    FormatError
        The file is truncated, inconsistent or not what its ending says.
    UnsupportedModelError
        The model has operators that are not continuous piecewise linear, or not supported.
    ValueError
        The ending is not a known one.
    ImportError
        The optional library that reads the format is not installed.

    Examples
    --------
    >>> import os, tempfile
    >>> import foldline as fl
    >>> net = fl.Network([([[1.0], [-1.0]], [0.0, 0.0]), ([[1.0, 1.0]], [0.0])])
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     path = os.path.join(directory, "abs.npz")
    ...     net.save(path)
    ...     load(path) == net
    True
    """
    path = check_path("path", path)
    check_flag("drop_final", drop_final)
    return _module(path, "read", "reads").read(path, drop_final)


def save(net, path):
    """Write `net` to `path`: ``.npz``, ``.json`` or ``.safetensors``, by the ending.

    The file appears whole or not at all: it is written beside its place and then moved there.

    Raises
    ------
    ValueError
        The ending is not one that is written.
    """
    path = check_path("path", path)
    module = _module(path, "write", "writes")
    with replacing(path) as file:
        module.write(net, file)


def from_keras(model, drop_final=False):
    """Import a Keras 3 model, as it computes at inference, on whatever backend Keras is set to.

    The model is left alone. Layers: Dense, Conv, DepthwiseConv, SeparableConv, pooling (average or maximum,
    global or not), ZeroPadding, Cropping, UpSampling (nearest), BatchNormalization, Normalization, Rescaling,
    ReLU, LeakyReLU, PReLU, Activation, Flatten, Reshape, Permute, RepeatVector, Add, Subtract, Average,
    Maximum, Minimum, Concatenate, Identity, and those that do nothing at inference, as Dropout and
    GaussianNoise. Activations: linear, relu, relu6, leaky_relu, hard_tanh, hard_sigmoid, sparse_sigmoid,
    soft_shrink, or a layer. Arithmetic, indexing, and functions of ``keras.ops`` that do the same. Models may
    be within the model. Convolutions and pooling become dense matrices, of at most 2**26 weights.

    `load` gives ``.keras`` files to Keras with ``safe_mode=True``, once everything they name is known to be
    one of these. Where KERAS_BACKEND is not set and Keras' own choice, TensorFlow, is not installed, Keras is
    imported with PyTorch or JAX, in this process only.

    Parameters
    ----------
    model : keras.Model
        Sequential, with a known shape of its input, or Functional. One input, of shape (batch, ...), and one
        output. The input and all layers are float32, or all float64.
    drop_final : bool, default False
        Leave out a softmax, log-softmax, sigmoid or argmax at the very end: a layer or an activation.

    Returns
    -------
    Network
        In the model's dtype; points and outputs flattened. Its ``import_check`` says how far it is from the
        model's own outputs, on the CPU; float64 is compared to the precision of float32, in which Keras
        computes parts of it, most of them on backends other than TensorFlow. Layers that do not compute what
        their class says, as average pooling with ``padding="same"`` on PyTorch may, are refused for that
        difference.

    Raises
    ------
    UnsupportedModelError
        Lists every layer that is not continuous piecewise linear, or not supported.
    ValueError
        The weights are not finite.
    TypeError
        `model` is not a keras.Model.
    ImportError
        keras, or the backend that it is set to, is not installed.

    Examples
    --------
    >>> import keras
    >>> from keras import layers
    >>> x = keras.Input((2,))
    >>> hidden = layers.Dense(8, activation="relu", name="hidden")(x)
    >>> from_keras(keras.Model(x, layers.Dense(1)(hidden)))
    Network(2-8-1, float32, 8 neurons)
    >>> from_keras(keras.Model(x, layers.Dense(1, "tanh", name="y")(hidden)))
    Traceback (most recent call last):
        ...
    foldline.errors.UnsupportedModelError: not piecewise linear, or not supported: Dense ('y'): tanh
    """
    check_flag("drop_final", drop_final)
    return importlib.import_module(".keras", __name__).from_keras(model, drop_final)


def from_onnx(model, drop_final=False):
    """Import an ONNX model: perceptrons and convolutional networks as exporters write them, with residuals.

    Operators: Gemm, MatMul, Conv, AveragePool, MaxPool (of one output), GlobalAveragePool, GlobalMaxPool, Pad
    (with a constant), BatchNormalization, Relu, LeakyRelu, PRelu, Abs, Clip, HardSigmoid, Max, Min, Add, Sum,
    Sub, Neg, Mul and Div by constants, and those that move elements or compute shapes.

    Convolutions and pooling become dense matrices from all elements to all elements; those that are too
    large, of more than 2**26 weights, are refused.

    Parameters
    ----------
    model : onnx.ModelProto, bytes, str or os.PathLike
        The model, its serialisation or a file of it. One input and one output. The first
        dimension of the input is the batch; it is free or 1, and free of consequence: the network
        takes any number of points. Tensors stored in other files are refused.
    drop_final : bool, default False
        Leave out a softmax, log-softmax, sigmoid or argmax at the very end.

    Returns
    -------
    Network
        In the model's dtype, float32 or float64; points and outputs flattened. Its
        ``import_check`` says how far it is from the model's own outputs, computed by onnxruntime
        where installed, else by onnx itself.

    Raises
    ------
    FormatError
        The model is truncated, inconsistent or not ONNX.
    UnsupportedModelError
        Lists every operator that is not continuous piecewise linear, or not supported.
    ImportError
        onnx is not installed.

    Examples
    --------
    >>> from onnx import parser
    >>> model = parser.parse_model('''
    ...     <ir_version: 8, opset_import: ["" : 17]>
    ...     example (float[N, 2] x) => (float[N, 2] y) {
    ...         magnitude = Abs (x)
    ...         y = Add (x, magnitude)
    ...     }''')
    >>> net = from_onnx(model)
    >>> net([[1, -3]])
    array([[2., 0.]], dtype=float32)
    >>> net.import_check.max_deviation
    0.0
    """
    check_flag("drop_final", drop_final)
    return importlib.import_module(".onnx", __name__).from_onnx(model, drop_final)


def from_torch(module, drop_final=False, input_shape=None):
    """Import a PyTorch module, as it computes in evaluation mode.

    The module is copied, traced with ``torch.fx`` and left alone: its training flags, buffers and
    gradients stay as they are. Layers: Linear, Conv (padded with zeros), AvgPool, MaxPool (without
    indices), AdaptiveAvgPool (to sizes that divide those of its input), ZeroPad, ConstantPad and
    BatchNorm, of 1 to 3 dimensions, ReLU, ReLU6, LeakyReLU, PReLU, Hardtanh, Hardsigmoid, Flatten,
    Dropout, Identity, in any nesting; and in ``forward`` their functional forms, ``abs``, ``clamp``,
    ``maximum``, ``minimum``, ``cat``, sums and differences of tensors (residuals), arithmetic with
    constants, indexing and reshaping.

    Convolutions and pooling become dense matrices from all elements to all elements; those that are
    too large, of more than 2**26 weights, are refused.

    Parameters
    ----------
    module : torch.nn.Module
        Parameters float32 throughout or float64 throughout, on any device.
    drop_final : bool, default False
        Leave out a softmax, log-softmax, sigmoid or argmax at the very end.
    input_shape : tuple of int, optional
        Shape of one point, without the batch dimension: (channels, height, width) for a Conv2d. Found
        from the first layer when None, for points that are vectors.

    Returns
    -------
    Network
        In the module's dtype; points and outputs flattened. Its ``import_check`` says how far it
        is from the module's own outputs. A module that does what its trace does not show (hooks,
        operations in place on a tensor that is used again) is refused for that difference.

    Raises
    ------
    UnsupportedModelError
        Lists everything that is not continuous piecewise linear, or not supported.
    ValueError
        The weights are not finite.
    TypeError
        `module` is not a torch.nn.Module.
    ImportError
        torch is not installed.

    Examples
    --------
    >>> from torch import nn
    >>> from_torch(nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1)))
    Network(2-8-1, float32, 8 neurons)
    >>> convolutional = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 1))
    >>> from_torch(convolutional, input_shape=(1, 4, 4))
    Network(16-8-1, float32, 8 neurons)
    >>> from_torch(nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1)))
    Traceback (most recent call last):
        ...
    foldline.errors.UnsupportedModelError: not piecewise linear, or not supported: Tanh ('1')
    """
    check_flag("drop_final", drop_final)
    return importlib.import_module(".torch", __name__).from_torch(module, drop_final, input_shape)


def from_sklearn(estimator):
    """Import a fitted scikit-learn network, with the scalers before it.

    Parameters
    ----------
    estimator : MLPRegressor, MLPClassifier or Pipeline
        With activation ``"relu"`` or ``"identity"``. In a Pipeline it comes last, after
        StandardScaler, MinMaxScaler, MaxAbsScaler, RobustScaler, ``"passthrough"`` or None, all of
        which are folded into the first affine map (a clipping MinMaxScaler becomes neurons).

    Returns
    -------
    Network
        In the dtype of ``coefs_``. The network of a classifier ends at its logits, before the
        softmax or logistic function; with two classes that is one number, positive for
        ``classes_[1]``. Its ``import_check`` says how far the network is from ``predict``, or,
        behind that function, from ``predict_proba``.

    Raises
    ------
    UnsupportedModelError
        Another estimator, another activation or another loss's output function.
    sklearn.exceptions.NotFittedError
        The estimator, or a step of it, is not fitted.
    ValueError
        The weights are not finite.
    ImportError
        scikit-learn is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.neural_network import MLPRegressor
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> X = np.arange(8.0).reshape(4, 2)
    >>> mlp = MLPRegressor(hidden_layer_sizes=(5,), solver="lbfgs", random_state=0)
    >>> from_sklearn(make_pipeline(StandardScaler(), mlp).fit(X, X.sum(axis=1)))
    Network(2-5-1, float64, 5 neurons)
    """
    return importlib.import_module(".sklearn", __name__).from_sklearn(estimator)


def optional(name, package=None):
    """Import the module `name` of an optional library; without it, the error says what to install."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        package = package or name.partition(".")[0]
        raise ImportError(f"this needs {package}: pip install {package}") from error


def unsupported(reasons, not_yet=None):
    """One error for all that stands in a model's way: pairs of an operator and why, which may be empty. Those
    whose reason is `not_yet` are listed by themselves, after the others."""
    reasons = list(reasons)
    others = "; ".join(f"{operator}{': ' * bool(why)}{why}" for operator, why in reasons if why != not_yet)
    later = "; ".join(operator for operator, why in reasons if why == not_yet)
    lists = {"not piecewise linear, or not supported": others, not_yet: later}
    text = "; and ".join(f"{what}: {operators}" for what, operators in lists.items() if operators)
    return UnsupportedModelError(text, [operator for operator, _ in reasons])


def _module(path, function, does):
    ending = os.path.splitext(path)[1].lower()
    modules = {}
    if ending in _MODULES:
        module = importlib.import_module(f".{_MODULES[ending]}", __name__)
        if hasattr(module, function):
            return module
    for known, name in _MODULES.items():
        module = importlib.import_module(f".{name}", __name__)
        if hasattr(module, function):
            modules[known] = module
    message = f"{path!r} ends in {ending!r}; foldline {does} {', '.join(modules)}"
    if function == "read":
        live = "fl.from_torch(module), fl.from_keras(model) and fl.from_sklearn(estimator)"
        message += f"; {live} take live models"
    raise ValueError(message)
