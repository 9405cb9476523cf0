"""ONNX models, as exporters write them and as nobody should, imported or refused in one clear error."""

import logging
import os
import pickle
import sys
from unittest import mock

import numpy as np
import pytest

from foldline import Network
from foldline.errors import FormatError, UnsupportedModelError
from foldline.formats import from_onnx, load

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from onnx.reference import ReferenceEvaluator  # noqa: E402

RNG = np.random.default_rng(0)
FLOAT, DOUBLE = TensorProto.FLOAT, TensorProto.DOUBLE


def node(kind, inputs, outputs="y", name="", **attributes):
    return helper.make_node(kind, inputs.split(), outputs.split(), name=name, **attributes)


def model(nodes, constants=(), shape=("N", 3), *, kind=FLOAT, opset=17, output="y", as_inputs=False, **more):
    """A model from nodes and a dict of constants; the input is ``x``, the output ``y``."""
    initializers = [numpy_helper.from_array(np.asarray(v), k) for k, v in dict(constants).items()]
    inputs = [helper.make_tensor_value_info("x", kind, shape)]
    if as_inputs:
        inputs += [helper.make_tensor_value_info(t.name, t.data_type, t.dims) for t in initializers]
        inputs.reverse()
    outputs = [helper.make_tensor_value_info(output, kind, None)]
    graph = helper.make_graph(list(nodes), "g", inputs, outputs, initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8, **more)


def array(*shape, dtype=np.float32):
    return RNG.normal(size=shape).astype(dtype)


def check(made, n_in=3, **options):
    """Import and compare with the reference evaluator of onnx, point by point."""
    net = from_onnx(made, **options)
    assert net.import_check.n_points == 64
    assert net.import_check.bound_share <= 1
    points = (RNG.normal(size=(20, n_in)) * 3).astype(net.dtype)
    evaluator = ReferenceEvaluator(made)
    shape = [
        d.dim_value or 1
        for d in next(i for i in made.graph.input if i.name == "x").type.tensor_type.shape.dim
    ]
    if not options:
        wanted = np.stack([evaluator.run(None, {"x": p.reshape(shape)})[0].ravel() for p in points])
        tolerance = 1e-4 if net.dtype == np.float32 else 1e-12
        assert np.allclose(net(points), wanted, rtol=tolerance, atol=tolerance * (1 + abs(wanted).max()))
    return net


W, V = array(3, 4), array(4, 2)
B, C = array(4), array(2)
MLP = {"W": W, "B": B, "V": V, "C": C}
MLP_NODES = (
    node("MatMul", "x W", "a"),
    node("Add", "a B", "b"),
    node("Relu", "b", "c"),
    node("MatMul", "c V", "d"),
    node("Add", "d C", "y"),
)
PLAIN = Network([(W.T, B), (V.T, C)])


# What exporters write -------------------------------------------------------------------------------


def test_matmul_and_add_give_the_weights_bit_for_bit():
    assert check(model(MLP_NODES, MLP)) == PLAIN
    swapped = [node("MatMul", "x W", "a"), node("Add", "B a", "b"), *MLP_NODES[2:4], node("Add", "C d", "y")]
    assert check(model(swapped, MLP)) == PLAIN


def test_gemm_gives_the_weights_bit_for_bit():
    nodes = [node("Gemm", "x T B", "b", transB=1), node("Relu", "b", "c"), node("Gemm", "c V C", "y")]
    assert check(model(nodes, {**MLP, "T": np.ascontiguousarray(W.T)})) == PLAIN


def test_double_models_give_float64_networks():
    constants = {k: v.astype(float) for k, v in MLP.items()}
    net = check(model(MLP_NODES, constants, kind=DOUBLE))
    assert net == PLAIN.astype(np.float64)


def test_initializers_listed_as_inputs_are_not_inputs():
    assert check(model(MLP_NODES, MLP, as_inputs=True)) == PLAIN


@pytest.mark.parametrize("batch", [1, "N", None])
def test_a_batch_dimension_of_one_takes_any_batch(batch):
    net = check(model(MLP_NODES, MLP, shape=(batch, 3)))
    assert net == PLAIN and net(np.zeros((5, 3), np.float32)).shape == (5, 2)


def test_a_point_without_a_batch_dimension_is_a_point():
    assert check(model(MLP_NODES, MLP, shape=(3,))) == PLAIN


def test_the_form_of_the_acas_xu_files():
    sizes = [5, 50, 50, 50, 50, 50, 50, 5]
    constants, nodes = {"mean": np.zeros((1, 1, 1, 5), np.float32)}, [node("Sub", "x mean", "x_Sub")]
    nodes.append(node("Flatten", "x_Sub", "h0", axis=1))
    for i, (n, m) in enumerate(zip(sizes, sizes[1:])):
        constants[f"W{i}"], constants[f"B{i}"] = array(n, m) * np.float32(0.3), array(m)
        nodes += [node("MatMul", f"h{i} W{i}", f"m{i}"), node("Add", f"m{i} B{i}", f"a{i}" if i < 6 else "y")]
        nodes += [node("Relu", f"a{i}", f"h{i + 1}")] if i < 6 else []
    made = model(nodes, constants, (1, 1, 1, 5), opset=8, as_inputs=True)
    made.ir_version = 3
    net = check(made, n_in=5)
    assert net == Network([(constants[f"W{i}"].T, constants[f"B{i}"]) for i in range(7)])


def test_the_form_of_the_mnist_files():
    constants = {"W": array(6, 12), "B": array(6), "V": array(2, 6), "C": array(2)}
    nodes = [node("Flatten", "x", "f"), node("Gemm", "f W B", "g", alpha=1.0, beta=1.0, transB=1)]
    nodes += [node("Relu", "g", "r"), node("Gemm", "r V C", "y", alpha=1.0, beta=1.0, transB=1)]
    net = check(model(nodes, constants, (1, 12, 1), opset=9), n_in=12)
    assert net == Network([(constants["W"], constants["B"]), (constants["V"], constants["C"])])


def test_the_form_of_the_convolutional_mnist_files():
    constants = {"K": array(3, 1, 5, 5), "L": array(3), "M": array(4, 3, 4, 4), "N": array(4)}
    constants |= {"W": array(6, 16), "B": array(6), "V": array(2, 6), "C": array(2)}
    constants |= {"zero": np.array(0), "rest": np.array(-1)}
    nodes = [
        node("Conv", "x K L", "a", kernel_shape=[5, 5], pads=[2, 2, 2, 2], strides=[2, 2], group=1),
        node("Relu", "a", "b"),
        node("Conv", "b M N", "c", kernel_shape=[4, 4], pads=[1, 1, 1, 1], strides=[2, 2], dilations=[1, 1]),
        node("Relu", "c", "d"),
        node("Shape", "d", "s"),
        node("Gather", "s zero", "n", axis=0),
        node("Unsqueeze", "n", "n1", axes=[0]),
        node("Unsqueeze", "rest", "m1", axes=[0]),
        node("Concat", "n1 m1", "t", axis=0),
        node("Reshape", "d t", "f"),
        node("Gemm", "f W B", "g", transB=1),
        node("Relu", "g", "h"),
        node("Gemm", "h V C", "y", transB=1),
    ]
    assert check(model(nodes, constants, (1, 1, 8, 8), opset=9), 64).widths == (48, 16, 6)


def test_weights_on_the_left_of_a_column():
    nodes = [
        node("Transpose", "x", "t"),
        node("MatMul", "T t", "m"),
        node("Add", "m B", "a"),
        node("Relu", "a", "y"),
    ]
    assert check(model(nodes, {"T": array(4, 3), "B": array(4, 1)})).widths == (4,)


@pytest.mark.parametrize(
    "nodes, constants",
    [
        ([node("Gemm", "x W B", transA=0, alpha=0.5, beta=-2.0)], {"W": W, "B": B}),
        ([node("Gemm", "x W B", beta=0.0)], {"W": W, "B": B}),
        ([node("Gemm", "x W")], {"W": W}),
        ([node("Transpose", "x", "t", perm=[1, 0]), node("Gemm", "t W B", transA=1)], {"W": W, "B": B}),
        (
            [node("Mul", "x s", "a"), node("Div", "a s2", "b"), node("Sub", "c b", "y")],
            {"s": array(3), "s2": array(1, 3), "c": array(3)},
        ),
        ([node("Neg", "x")], {}),
        ([node("Identity", "x", "a"), node("Dropout", "a", "b mask"), node("Cast", "b", "y", to=FLOAT)], {}),
        ([node("LeakyRelu", "x", alpha=0.2)], {}),
        ([node("LeakyRelu", "x")], {}),
        ([node("PRelu", "x s")], {"s": array(3)}),
        ([node("PRelu", "x s")], {"s": array(1)}),
        ([node("PRelu", "x s")], {"s": np.float32(0.3)}),
        ([node("Abs", "x")], {}),
        ([node("Clip", "x lo hi")], {"lo": np.float32(-1), "hi": np.float32(2)}),
        ([helper.make_node("Clip", ["x", "", "hi"], ["y"])], {"hi": np.float32(0.5)}),
        ([node("Clip", "x lo")], {"lo": np.float32(-0.5)}),
        ([node("Clip", "x")], {}),
        ([node("HardSigmoid", "x", alpha=0.3)], {}),
        ([node("Max", "x s")], {"s": array(3)}),
        ([node("Min", "s x t")], {"s": array(3), "t": array(1)}),
        ([node("Abs", "x", "a"), node("Neg", "a", "b"), node("Max", "x b", "c"), node("Min", "c a")], {}),
        (
            [node("BatchNormalization", "x s b m v", epsilon=1e-3)],
            {"s": array(3), "b": array(3), "m": array(3), "v": abs(array(3))},
        ),
        ([node("Relu", "x", "a"), node("Add", "a x")], {}),
        ([node("Relu", "x", "a"), node("Sub", "x a")], {}),
        ([node("Relu", "x", "a"), node("Sum", "a x a")], {}),
        ([node("Relu", "x", "a"), node("Concat", "a x s", axis=1)], {"s": array(1, 2)}),
        ([node("Reshape", "x s")], {"s": np.array([-1])}),
        (
            [node("Reshape", "x s", "a"), node("Relu", "a", "b"), node("Reshape", "b t")],
            {"s": np.array([0, 1, 3]), "t": np.array([0, -1])},
        ),
        ([node("Unsqueeze", "x a", "b"), node("Squeeze", "b a")], {"a": np.array([1])}),
        ([node("Unsqueeze", "x a", "b"), node("Squeeze", "b")], {"a": np.array([0, 3])}),
        ([node("Slice", "x s e a")], {"s": np.array([1]), "e": np.array([2**62]), "a": np.array([1])}),
        (
            [node("Slice", "x s e a t")],
            {"s": np.array([-1]), "e": np.array([-(2**62)]), "a": np.array([-1]), "t": np.array([-1])},
        ),
        (
            [node("Split", "x s", "a b", axis=1), node("Relu", "a", "c"), node("Concat", "b c", axis=1)],
            {"s": np.array([1, 2])},
        ),
        ([node("Gather", "x i", axis=1)], {"i": np.array([2, 0, 2])}),
        (
            [
                node("Shape", "x", "s"),
                node("Gather", "s i", "n"),
                node("Concat", "n m", "t", axis=0),
                node("Reshape", "x t"),
            ],
            {"i": np.array([0]), "m": np.array([-1])},
        ),
        (
            [
                helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(array(3))),
                node("Add", "c x"),
            ],
            {},
        ),
        ([helper.make_node("Constant", [], ["c"], value_floats=[1.0, 2.0, 3.0]), node("Add", "x c")], {}),
        ([node("ConstantOfShape", "n", "c"), node("Max", "x c")], {"n": np.array([3])}),
        ([helper.make_node("Constant", [], ["c"], value_float=2.0), node("Mul", "x c")], {}),
        ([node("Mul", "W s", "V"), node("MatMul", "x V")], {"W": W, "s": array(4)}),
    ],
    ids=lambda value: "-".join(n.op_type for n in value) if isinstance(value, list) else "",
)
def test_each_operator_computes_what_onnx_says(nodes, constants):
    check(model(nodes, constants))


@pytest.mark.parametrize(
    "nodes, opset",
    [
        ([node("Clip", "x", min=-1.0, max=0.5)], 8),
        ([node("Clip", "x")], 8),
        ([node("Unsqueeze", "x", "a", axes=[1]), node("Squeeze", "a", axes=[1])], 8),
        ([node("Slice", "x", starts=[1], ends=[3], axes=[1])], 8),
        ([node("Slice", "x", starts=[0, 1], ends=[1, 100])], 8),
        ([node("Dropout", "x", ratio=0.3)], 8),
        ([node("Split", "x", "a b", split=[1, 2], axis=1), node("Concat", "b a", axis=1)], 8),
        ([node("Split", "x", "a b c", axis=1), node("Concat", "c b a", axis=1)], 8),
    ],
    ids=lambda value: value[0].op_type if isinstance(value, list) else "",
)
def test_the_attribute_forms_of_older_opsets(nodes, opset):
    check(model(nodes, opset=opset))


# Windows: the shape of a point, and one of what passes over it, with its kernel's shape where it has one.
LINE, PLANE, SPACE = (2, 9), (2, 6, 5), (2, 3, 4, 3)
WINDOWS = [
    (LINE, "Conv", dict(), (3, 2, 3)),
    (LINE, "Conv", dict(strides=[2], pads=[1, 2], dilations=[3]), (3, 2, 2)),
    (LINE, "Conv", dict(group=2, auto_pad="SAME_UPPER", strides=[2]), (4, 1, 4)),
    (LINE, "AveragePool", dict(kernel_shape=[3], pads=[0, 2], strides=[2]), None),
    (LINE, "MaxPool", dict(kernel_shape=[3], dilations=[2], pads=[1, 2]), None),
    (LINE, "GlobalAveragePool", dict(), None),
    (LINE, "GlobalMaxPool", dict(), None),
    (PLANE, "Conv", dict(kernel_shape=[3, 2]), (3, 2, 3, 2)),
    (PLANE, "Conv", dict(pads=[1, 0, 2, 3], strides=[2, 1], group=2), (2, 1, 3, 2)),
    (PLANE, "Conv", dict(auto_pad="SAME_LOWER", strides=[1, 2]), (1, 2, 2, 4)),
    (PLANE, "Conv", dict(auto_pad="VALID", strides=[3, 2]), (3, 2, 2, 2)),
    (PLANE, "Conv", dict(pads=[4, 4, 4, 4], strides=[7, 7]), (1, 2, 5, 5)),
    (PLANE, "AveragePool", dict(kernel_shape=[2, 3]), None),
    (PLANE, "AveragePool", dict(kernel_shape=[3, 3], pads=[1, 0, 1, 2], strides=[2, 1]), None),
    (PLANE, "AveragePool", dict(kernel_shape=[3, 3], pads=[1, 0, 1, 2], count_include_pad=1), None),
    (PLANE, "AveragePool", dict(kernel_shape=[3, 2], auto_pad="SAME_LOWER", strides=[2, 2]), None),
    (PLANE, "AveragePool", dict(kernel_shape=[2, 2], auto_pad="SAME_UPPER"), None),
    (PLANE, "AveragePool", dict(kernel_shape=[2, 3], strides=[3, 2], ceil_mode=1), None),
    (PLANE, "MaxPool", dict(kernel_shape=[2, 2], strides=[2, 2]), None),
    (PLANE, "MaxPool", dict(kernel_shape=[3, 2], pads=[1, 0, 2, 1], strides=[2, 1]), None),
    (PLANE, "MaxPool", dict(kernel_shape=[3, 3], dilations=[2, 1], pads=[1, 1, 1, 1]), None),
    (PLANE, "MaxPool", dict(kernel_shape=[3, 2], auto_pad="SAME_UPPER", strides=[2, 2]), None),
    (PLANE, "MaxPool", dict(kernel_shape=[3, 2], auto_pad="SAME_LOWER", strides=[2, 2]), None),
    (PLANE, "MaxPool", dict(kernel_shape=[2, 2], strides=[3, 3], ceil_mode=1), None),
    (PLANE, "MaxPool", dict(kernel_shape=[2, 2], auto_pad="VALID", storage_order=1), None),
    (PLANE, "GlobalAveragePool", dict(), None),
    (PLANE, "GlobalMaxPool", dict(), None),
    (SPACE, "Conv", dict(strides=[1, 2, 1], pads=[1, 1, 0, 1, 1, 0]), (2, 2, 3, 2, 1)),
    (SPACE, "AveragePool", dict(kernel_shape=[2, 2, 2], pads=[1, 0, 0, 0, 1, 1]), None),
    (SPACE, "MaxPool", dict(kernel_shape=[2, 2, 2], strides=[2, 1, 2]), None),
    (SPACE, "GlobalAveragePool", dict(), None),
]


def check_of_space(made, n_in):
    """Import and compare with onnxruntime, as windows of onnx's own evaluator do not all lie right."""
    runtime = pytest.importorskip("onnxruntime")
    net = from_onnx(made)
    assert net.import_check.source.startswith("onnxruntime") and net.import_check.n_points == 64
    session = runtime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    shape = [1, *session.get_inputs()[0].shape[1:]]
    points = (RNG.normal(size=(20, n_in)) * 3).astype(np.float32)
    wanted = np.stack([session.run(None, {"x": p.reshape(shape)})[0].ravel() for p in points])
    assert np.allclose(net(points), wanted, rtol=1e-4, atol=1e-4 * (1 + abs(wanted).max()))
    return net


@pytest.mark.parametrize("shape, kind, attributes, kernel", WINDOWS)
def test_windows_lie_where_onnx_has_them(shape, kind, attributes, kernel):
    constants = {"W": array(*kernel), "B": array(kernel[0])} if kernel else {}
    for names in [["x", "W"], ["x", "W", "B"]] if kernel else [["x"]]:
        used = {name: constants[name] for name in names[1:]}
        made = model([node(kind, " ".join(names), **attributes)], used, (1, *shape))
        check_of_space(made, int(np.prod(shape)))


def network_of_space(dtype=np.float32):
    pads = [1, 1, 1, 1]
    nodes = [
        node("Conv", "x W B", "a", pads=pads),
        node("Relu", "a", "b"),
        node("MaxPool", "b", "c", kernel_shape=[3, 3], strides=[2, 2], pads=pads),
        node("AveragePool", "c", "d", kernel_shape=[2, 2], pads=pads, count_include_pad=1),
        node("GlobalAveragePool", "d", "e"),
        node("Flatten", "e", "y"),
    ]
    return nodes, {"W": array(3, 2, 3, 3, dtype=dtype), "B": array(3, dtype=dtype)}, ("N", 2, 6, 5)


@pytest.mark.parametrize("opset", [7, 10, 11, 18, 19, 22])
def test_windows_are_the_same_in_all_opsets(opset):
    assert check_of_space(model(*network_of_space(), opset=opset), 60).n_out == 3


def test_windows_of_doubles_give_float64_networks():
    assert check(model(*network_of_space(float), kind=DOUBLE), 60).dtype == np.float64


PADS = np.array([0, 0, 1, 2, 0, 0, 0, 3])


@pytest.mark.parametrize(
    "inputs, opset, attributes",
    [
        ("x", 10, dict(pads=PADS.tolist())),
        ("x", 7, dict(pads=PADS.tolist(), mode="constant", value=0.5)),
        ("x pads", 11, dict()),
        ("x pads value", 13, dict(mode="constant")),
        ("x pads value axes", 18, dict()),
        ("x cut", 17, dict()),
    ],
)
def test_padding_in_the_forms_of_all_opsets(inputs, opset, attributes):
    constants = {"pads": PADS, "value": np.float32(-2), "axes": np.array([1, -1])}
    constants["cut"] = np.array([0, 1, -1, 0, 0, 0, 2, -2])
    if "axes" in inputs:
        constants["pads"] = np.array([1, 2, 0, 1])
    used = {name: constants[name] for name in inputs.split()[1:]}
    check_of_space(model([node("Pad", inputs, **attributes)], used, (1, 2, 3, 4), opset=opset), 24)


def test_padding_in_the_form_of_exporters():
    zero = numpy_helper.from_array(np.array([0]))
    constants = {"pads": np.array([1, 2, 0, 3]), "n": np.array([4]), "pairs": np.array([-1, 2])}
    constants |= {"from": np.array([-1]), "to": np.array([-(2**63)]), "at": np.array([0])}
    nodes = [
        node("ConstantOfShape", "n", "zeros", value=zero),
        node("Concat", "pads zeros", "a", axis=0),
        node("Reshape", "a pairs", "b"),
        node("Slice", "b from to at from", "c"),
        node("Transpose", "c", "d", perm=[1, 0]),
        node("Reshape", "d from", "e"),
        node("Cast", "e", "f", to=TensorProto.INT64),
        node("Pad", "x f", "h"),
        node("Sum", "h h", "y"),
    ]
    assert check_of_space(model(nodes, constants, (1, 1, 2, 3)), 6).n_out == 30


def test_a_convolution_keeps_its_weights_bit_for_bit():
    W = array(1, 1, 3)
    net = check(model([node("Conv", "x W", pads=[1, 1])], {"W": W}, (1, 1, 3)))
    a, b, c = W.ravel()
    assert np.array_equal(net.weights[0], [[b, c, 0], [a, b, c], [0, a, b]])


def test_batch_normalisation_is_folded_into_the_weights():
    statistics = {"s": array(4), "b": array(4), "m": array(4), "v": abs(array(4)) + np.float32(0.1)}
    nodes = [
        MLP_NODES[0],
        node("Add", "a B", "h"),
        node("BatchNormalization", "h s b m v", "b2"),
        node("Relu", "b2", "c"),
        *MLP_NODES[3:],
    ]
    net = check(model(nodes, {**MLP, **statistics}))
    assert net.widths == (4,)
    scale = statistics["s"] / np.sqrt(statistics["v"].astype(float) + np.float32(1e-5))
    assert np.array_equal(net.weights[0], (W.astype(float) * scale).T.astype(np.float32))


def test_batch_normalisation_with_channels_and_a_length():
    statistics = {"s": array(3), "b": array(3), "m": array(3), "v": abs(array(3))}
    made = model(
        [node("BatchNormalization", "x s b m v", "a"), node("PRelu", "a p")],
        {**statistics, "p": array(3, 1)},
        (1, 3, 2),
    )
    check(made, n_in=6)


def test_a_linear_map_of_the_last_axis_acts_on_every_row():
    net = check(model(MLP_NODES, MLP, (1, 2, 3)), n_in=6)
    assert net.widths == (8,) and net.n_out == 4


def test_residual_blocks_ride_on_pass_through_units():
    nodes = [*MLP_NODES[:3], node("MatMul", "c U", "d"), node("Add", "x d", "e"), node("Relu", "e", "y")]
    net = check(model(nodes, {"W": W, "B": B, "U": array(4, 3)}))
    assert net.widths == (7, 3) and net.n_neurons == 7


def test_a_dropped_final_operator_leaves_the_logits():
    for tail in (["Softmax"], ["LogSoftmax"], ["Sigmoid"], ["Softmax", "Identity"], ["Identity", "Sigmoid"]):
        nodes, name = list(MLP_NODES[:4]) + [node("Add", "d C", "t0")], "t0"
        for i, kind in enumerate(tail):
            nodes.append(node(kind, name, "y" if i == len(tail) - 1 else f"t{i + 1}"))
            name = f"t{i + 1}"
        made = model(nodes, MLP)
        with pytest.raises(UnsupportedModelError, match="drop_final=True leaves it out"):
            from_onnx(made)
        assert check(made, drop_final=True) == PLAIN


def test_argmax_is_dropped_and_nothing_is_dropped_where_nothing_ends():
    nodes = [
        *MLP_NODES[:4],
        node("Add", "d C", "t"),
        node("ArgMax", "t", "u", axis=1),
        node("Cast", "u", "y", to=FLOAT),
    ]
    assert check(model(nodes, MLP), drop_final=True) == PLAIN
    assert check(model(MLP_NODES, MLP), drop_final=True) == PLAIN


def test_a_sigmoid_inside_is_not_dropped():
    made = model([node("Sigmoid", "x", "a", name="inside"), node("Relu", "a")])
    with pytest.raises(UnsupportedModelError, match="inside") as caught:
        from_onnx(made, drop_final=True)
    assert "drop_final" not in str(caught.value)


def test_a_model_is_taken_as_an_object_as_bytes_and_as_a_path(tmp_path):
    made = model(MLP_NODES, MLP)
    before = made.SerializeToString()
    onnx.save(made, tmp_path / "a.onnx")
    sources = [made, before, bytearray(before), tmp_path / "a.onnx", str(tmp_path / "a.onnx")]
    assert all(from_onnx(s) == PLAIN for s in sources)
    assert load(tmp_path / "a.onnx") == PLAIN
    assert made.SerializeToString() == before
    with pytest.raises(TypeError, match="int; wanted an onnx.ModelProto"):
        from_onnx(3)


# The import check -----------------------------------------------------------------------------------


def test_the_check_says_what_it_compared_with_and_is_logged(caplog):
    with caplog.at_level(logging.INFO, logger="foldline"):
        report = from_onnx(model(MLP_NODES, MLP)).import_check
    assert report.source.startswith("onnx") and report.n_points == 64
    assert 0 <= report.max_deviation <= 1e-4 and 1 < report.scale < 1e3
    assert "one point at a time" in report.note
    assert [r.levelname for r in caplog.records] == ["INFO"] and str(report) in caplog.text


def test_the_check_travels_with_a_pickled_network():
    net = from_onnx(model(MLP_NODES, MLP))
    assert pickle.loads(pickle.dumps(net)).import_check == net.import_check


def test_a_model_that_cannot_be_run_is_imported_and_says_that_it_was_not_compared():
    made = model(MLP_NODES, MLP)
    made.ir_version = 10**6
    made.opset_import.append(helper.make_opsetid("unknown", 10**6))
    made.graph.node[0].name = "a node of an unknown kind"
    made.graph.node.append(helper.make_node("Unknown", ["x"], ["unused"], domain="unknown"))
    net = from_onnx(made)
    assert net == PLAIN and net.import_check.n_points == 0
    assert np.isnan(net.import_check.max_deviation) and "not compared" in str(net.import_check)


def test_without_onnxruntime_the_check_uses_onnx_itself(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    report = from_onnx(model(MLP_NODES, MLP)).import_check
    assert report.source == f"onnx {onnx.__version__}" and report.n_points == 64


def test_a_wrong_import_is_refused(monkeypatch):
    from foldline.formats import onnx as reader

    monkeypatch.setitem(reader._OPERATORS, "LeakyRelu", lambda attributes, x: x.relu())
    with pytest.raises(UnsupportedModelError, match="rounding explains at most"):
        from_onnx(model([node("LeakyRelu", "x")]))


def test_cancellation_in_the_source_is_rounding_and_not_a_wrong_import():
    constants = {"W": W, "B": B + np.float32(1e6), "D": np.full(4, 1e6, np.float32)}
    nodes = [node("MatMul", "x W", "a"), node("Add", "a B", "b"), node("Sub", "b D", "y")]
    assert from_onnx(model(nodes, constants)).import_check.max_deviation > 1e-3


# Refusals -------------------------------------------------------------------------------------------


def refused(made, match, error=UnsupportedModelError, **options):
    with pytest.raises(error, match=match) as caught:
        from_onnx(made, **options)
    return caught.value


def test_every_operator_that_is_not_piecewise_linear_is_listed():
    nodes = [
        node("Sigmoid", "x", "a", name="first"),
        node("Relu", "a", "b"),
        node("Tanh", "b", "c"),
        node("Mul", "x x", "d", name="square"),
        node("Add", "c d", "e"),
        node("Softmax", "e", "y", name="end"),
    ]
    error = refused(model(nodes), "first.*Tanh.*square.*end")
    assert [o.split()[0] for o in error.operators] == ["Sigmoid", "Tanh", "Mul", "Softmax"]
    assert "Relu" not in str(error)


def test_custom_operators_are_named():
    nodes = [
        node("ConvTranspose", "x k", "a", name="conv1"),
        helper.make_node("Gelu", ["a"], ["b"], domain="com.microsoft"),
        node("MaxPool", "b", "y", name="pool", kernel_shape=[1]),
        node("LpPool", "y", "z", name="end", kernel_shape=[1]),
    ]
    not_yet = "; and piecewise linear, but not read from ONNX yet: .*conv1"
    made = model(nodes, {"k": array(1, 1, 1)}, (1, 1, 3), output="z")
    error = refused(made, f"not piecewise linear, or not supported: com.microsoft.Gelu.*end.*{not_yet}")
    assert [o.split()[0] for o in error.operators] == ["ConvTranspose", "com.microsoft.Gelu", "LpPool"]


def test_what_is_piecewise_linear_is_not_said_not_to_be():
    made = model([node("DepthToSpace", "x", "y", blocksize=1)], shape=(1, 1, 3, 3))
    assert "not piecewise" not in str(refused(made, "piecewise linear, but not read from ONNX yet"))
    made = model([helper.make_node("Conv", ["x"], ["y"], domain="mine")], shape=(1, 1, 3))
    assert "but not read" not in str(refused(made, "or not supported: mine.Conv"))
    from foldline.formats import onnx as module

    assert all(onnx.defs.has(name) for name in module._PIECEWISE_LINEAR)
    assert not module._OPERATORS.keys() & set(module._PIECEWISE_LINEAR)


def test_operators_that_do_not_reach_the_output_do_not_matter():
    nodes = [node("Sigmoid", "x", "unused"), *MLP_NODES]
    assert from_onnx(model(nodes, MLP)) == PLAIN


@pytest.mark.parametrize(
    "nodes, match",
    [
        ([node("Mul", "x x")], "product of two computed"),
        ([node("Div", "s x")], "division by a computed"),
        ([node("MatMul", "x x")], "product of two computed"),
        ([node("Dropout", "x r t")], "training"),
        ([node("BatchNormalization", "x s s s s", "y m v", training_mode=1)], "training"),
        ([node("Cast", "x", to=DOUBLE)], "float64"),
        ([node("Cast", "x", to=TensorProto.INT64)], "int64"),
        ([node("PRelu", "x x")], "slopes that depend on the input"),
        ([node("Add", "s s")], "does not depend on the input"),
        ([node("Add", "x h")], "FLOAT16"),
        ([node("Add", "x w")], "float64 where the model's input is float32"),
        ([node("Add", "x i")], "INT8"),
    ],
    ids=lambda value: value[0].op_type if isinstance(value, list) else "",
)
def test_uses_that_are_not_piecewise_linear_say_why(nodes, match):
    constants = {
        "s": array(3),
        "r": np.float32(0.5),
        "t": np.array(True),
        "h": array(3).astype(np.float16),
        "w": array(3).astype(float),
        "i": np.ones(3, np.int8),
    }
    refused(model(nodes, constants), match)


@pytest.mark.parametrize("kind", ["FLOAT16", "BFLOAT16", "INT32", "INT64", "STRING", "BOOL", "UINT8"])
def test_inputs_that_are_not_float_or_double_are_refused(kind):
    refused(model(MLP_NODES, MLP, kind=TensorProto.DataType.Value(kind)), f"{kind}; wanted FLOAT or DOUBLE")


@pytest.mark.parametrize(
    "shape, match",
    [
        ((2000, 3), "batch of fixed size 2000"),
        (("N", "M"), "'M'.*must be fixed"),
        ((1, None), "must be fixed"),
        ((1, 0), "must be fixed"),
        ((1, -5), "must be fixed"),
        (("N",), "must be fixed"),
        ((), "no shape"),
        (None, "no shape"),
        ((1, 2**40), "elements"),
        ((1, 2**62, 2**62), "elements"),
    ],
)
def test_shapes_that_are_dynamic_missing_or_absurd_are_refused(shape, match):
    refused(model([node("Relu", "x")], shape=shape), match)


def test_several_inputs_or_outputs_are_refused_and_named():
    made = model([node("Add", "x z")])
    made.graph.input.append(helper.make_tensor_value_info("z", FLOAT, (1, 3)))
    refused(made, "2 inputs: 'x', 'z'; wanted one")
    made = model([node("Relu", "x")])
    made.graph.output.append(helper.make_tensor_value_info("x", FLOAT, (1, 3)))
    refused(made, "2 outputs: 'y', 'x'; wanted one")
    del made.graph.output[:]
    refused(made, "0 outputs; wanted one")
    del made.graph.input[:]
    refused(made, "0 inputs; wanted one")


@pytest.mark.parametrize(
    "opset, match", [(6, "opset 6"), (0, "opset 0"), (-3, "opset -3"), (10**6, "opset 1000000")]
)
def test_opsets_that_are_too_old_or_unknown_are_refused(opset, match):
    refused(model(MLP_NODES, MLP, opset=opset), match)


def test_a_model_without_or_with_two_opsets_is_refused():
    made = model(MLP_NODES, MLP)
    made.opset_import.append(helper.make_opsetid("ai.onnx", 9))
    refused(made, "2 versions", FormatError)
    del made.opset_import[:]
    refused(made, "0 versions", FormatError)


def test_external_data_is_never_read(tmp_path):
    secret = tmp_path / "secret.bin"
    secret.write_bytes(array(3, 4).tobytes())
    made = model(MLP_NODES, MLP)
    tensor = made.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "secret.bin"
    path = tmp_path / "a.onnx"
    path.write_bytes(made.SerializeToString())
    with (
        mock.patch("builtins.open", wraps=open) as opened,
        pytest.raises(UnsupportedModelError, match="another file"),
    ):
        load(path)
    assert all("secret" not in str(call) for call in opened.call_args_list)
    hidden = helper.make_node("Constant", [], ["c"], value=tensor)
    branch = helper.make_graph([hidden], "b", [], [helper.make_tensor_value_info("c", FLOAT, None)])
    condition = numpy_helper.from_array(np.array(True), "k")
    unused = [node("If", "k", "unused", then_branch=branch, else_branch=branch), *MLP_NODES]
    nested = model(unused, MLP)
    nested.graph.initializer.append(condition)
    refused(nested, "another file")


def test_sparse_initializers_and_local_functions_are_refused():
    made = model(MLP_NODES, MLP)
    made.graph.sparse_initializer.add()
    refused(made, "sparse")
    made = model([helper.make_node("F", ["x"], ["y"], domain="local")])
    made.functions.append(helper.make_function("local", "F", ["x"], ["y"], [node("Relu", "x")], []))
    refused(made, "functions")


@pytest.mark.parametrize(
    "nodes, match",
    [
        ([node("Add", "x missing")], "needs 'missing', which is missing"),
        ([node("Add", "x b", "a"), node("Relu", "a", "b"), node("Relu", "b")], "needs 'b'.*a cycle"),
        ([node("Relu", "y")], "needs 'y'.*a cycle"),
        ([node("Relu", "x"), node("Abs", "x")], "two values named 'y'"),
        ([node("Relu", "x", "x"), node("Relu", "x")], "two values named 'x'"),
        ([node("Relu", "x", "s"), node("Relu", "x")], "two values named 's'"),
        ([node("Relu", "x", "z")], "output needs 'y'"),
        ([node("Relu", "")], "Relu.* has 0 inputs; wanted 1"),
        ([node("Relu", "x x")], "Relu.* has 2 inputs"),
        ([node("MatMul", "x s")], r"\(1, 3\).*\(2, 2\)"),
        ([node("Add", "x s")], "Add"),
        ([node("Flatten", "x", axis=9)], "axis 9"),
        ([node("Transpose", "x", perm=[0, 0])], "Transpose"),
        ([node("Transpose", "x", perm=[0, 7])], "Transpose"),
        ([node("Concat", "x x", axis=5)], "Concat"),
        ([node("Reshape", "x r")], "Reshape"),
        ([node("Reshape", "x q")], "Reshape"),
        ([node("Squeeze", "x q")], "Squeeze"),
        ([node("Gather", "x r", axis=1)], "Gather"),
        ([node("Slice", "x r q")], "Slice"),
        ([node("LeakyRelu", "x", alpha="a")], "alpha"),
        ([node("Clip", "x nan")], "clip between nan"),
        ([node("Clip", "x s")], "Clip"),
        ([node("Gemm", "x t")], "wanted two matrices"),
        ([node("Mul", "x nan")], "nan"),
        ([node("Div", "x zero")], "inf"),
        ([node("Dropout", "x", "a mask"), node("Add", "x mask")], "needs 'mask'"),
        ([node("BatchNormalization", "x s s s s")], "BatchNormalization"),
    ],
    ids=lambda value: value[0].op_type if isinstance(value, list) else "",
)
def test_models_that_contradict_themselves_are_refused(nodes, match):
    constants = {
        "s": array(2, 2),
        "r": np.array([5, -1]),
        "q": np.array([2, 2, 2]),
        "t": array(3, 3, 1),
        "nan": np.float32(np.nan),
        "zero": np.float32(0),
    }
    refused(model(nodes, constants), match, FormatError)


@pytest.mark.parametrize(
    "nodes, match",
    [
        ([node("MaxPool", "x", "y at", kernel_shape=[2, 2])], "second output"),
        ([node("Pad", "x pads", mode="reflect")], "with mode 'reflect'"),
        ([node("Pad", "x pads infinite")], "padding with -inf"),
        ([node("Pad", "x pads one")], "with a value that depends|FLOAT"),
        ([node("Conv", "k x")], "with weights that depend on the input"),
        ([node("Conv", "k k", "a"), node("Add", "a x")], "of a constant"),
        ([node("MaxPool", "x", kernel_shape=[1, 1], pads=[2**40] * 4)], "elements together"),
        ([node("Pad", "x huge")], "elements together"),
        ([node("Conv", "x k", pads=[2**12] * 4)], "elements together"),
        ([node("Conv", "x k", pads=[60] * 4), node("MaxPool", "y", "z", kernel_shape=[9, 9])], "weights to"),
    ],
    ids=lambda value: value[0].op_type if isinstance(value, list) else "",
)
def test_windows_that_cannot_be_imported_say_why(nodes, match):
    constants = {
        "k": array(2, 2, 3, 3),
        "pads": np.ones(8, int),
        "huge": np.full(8, 2**40),
        "infinite": np.float32(-np.inf),
        "one": np.float16(1),
    }
    refused(model(nodes, constants, (1, 2, 6, 5), output=nodes[-1].output[0]), match)


@pytest.mark.parametrize(
    "kind, attributes, match",
    [
        ("Conv", dict(kernel_shape=[3, 2]), "kernel_shape is not that of its weights"),
        ("Conv", dict(group=2), "2 filters of 2 channels in 2 groups, for 2 channels"),
        ("Conv", dict(group=0), "in 0 groups"),
        ("Conv", dict(group=-1), "in -1 groups"),
        ("Conv", dict(strides=[0, 1]), r"with strides \[0, 1\]"),
        ("Conv", dict(strides=[1]), r"with strides \[1\] in a space of shape \(6, 5\)"),
        ("Conv", dict(dilations=[1, -1]), r"with dilation \[1, -1\]"),
        ("Conv", dict(dilations=[9, 1]), "a window of 19 in 6 places"),
        ("Conv", dict(pads=[1, 1]), r"with padding"),
        ("Conv", dict(pads=[1, 1, 1]), "Conv"),
        ("Conv", dict(pads=[-1, 0, 0, 0]), r"with padding \[\(-1, 0\), \(0, 0\)\]"),
        ("Conv", dict(auto_pad="SAME"), "auto_pad is 'SAME'"),
        ("Conv", dict(auto_pad=1), "auto_pad is 1; wanted a text"),
        ("Conv", dict(auto_pad="SAME_UPPER", strides=[0, 0]), "Conv"),
        ("MaxPool", dict(), r"with size \[\]"),
        ("MaxPool", dict(kernel_shape=[2]), r"with size \[2\] in a space of shape \(6, 5\)"),
        ("MaxPool", dict(kernel_shape=[0, 2]), r"with size \[0, 2\]"),
        ("AveragePool", dict(kernel_shape=[7, 1]), "a window of 7 in 6 places"),
        ("Pad", dict(), "Pad"),
        ("Pad", dict(mode=1), "mode is 1; wanted a text"),
    ],
)
def test_windows_that_contradict_themselves_are_refused(kind, attributes, match):
    constants = {"k": array(2, 2, 3, 3)} if kind == "Conv" else {}
    made = model([node(kind, " ".join(["x", *constants]), **attributes)], constants, (1, 2, 6, 5))
    refused(made, match, FormatError)


def test_biases_and_tensors_that_do_not_fit_a_convolution_are_refused():
    constants = {"k": array(2, 2, 3, 3), "b": array(1), "f": array(2, 2)}
    refused(model([node("Conv", "x k b")], constants, (1, 2, 6, 5)), r"shape \(1,\) for 2", FormatError)
    refused(model([node("Conv", "x k")], constants, (1, 60)), r"\(1, 60\); wanted the batch", FormatError)
    refused(model([node("Conv", "x f")], constants, (1, 2, 6, 5)), r"with size \[\]", FormatError)


def test_windows_pass_over_each_point_of_a_batch_apart():
    nodes = [node("Reshape", "x s", "a"), node("Conv", "a k", "b")]
    nodes += [node("MaxPool", "b", "c", kernel_shape=[2]), node("GlobalMaxPool", "c", "d")]
    nodes += [node("Reshape", "d t")]
    constants = {"s": np.array([3, 2, 5]), "t": np.array([1, -1]), "k": array(4, 2, 3)}
    assert check_of_space(model(nodes, constants, (1, 30)), 30).n_out == 12


def test_windows_of_nothing_but_padding_are_refused():
    for kind in ("AveragePool", "MaxPool"):
        made = model([node(kind, "x", kernel_shape=[1], pads=[2, 0])], shape=(1, 1, 3))
        refused(made, "a window of nothing but padding")


@pytest.mark.parametrize(
    "nodes",
    [
        [node("Add", "row column", "big")],
        [node("MatMul", "column row", "big")],
        [node("Gather", "row zeros", "big", axis=0)],
        [node("ConstantOfShape", "sizes", "big")],
        [node("Max", "row column", "big")],
        [node("Sum", "row row column", "big")],
    ],
    ids=lambda value: value[0].op_type,
)
def test_small_constants_with_a_huge_product_are_refused(nodes):
    n = 2**20
    constants = {"row": np.zeros((1, n), np.float32), "column": np.zeros((n, 1), np.float32)}
    constants["zeros"] = np.zeros(n, np.int64)
    constants["sizes"] = np.array([n, n])
    refused(model([*nodes, node("Add", "x big")], constants), "elements")


@pytest.mark.parametrize("value", [1.0, [1.0], "text"])
def test_a_constant_that_is_not_a_tensor_is_refused(value):
    constant = helper.make_node("Constant", [], ["c"], value=value)
    refused(model([constant, node("Add", "x c")]), "neither a tensor nor numbers")


def test_duplicate_initializers_and_attributes_are_refused():
    made = model(MLP_NODES, MLP)
    made.graph.initializer.append(made.graph.initializer[0])
    refused(made, "two initializers named 'W'", FormatError)
    made = model([node("LeakyRelu", "x", alpha=0.1)])
    made.graph.node[0].attribute.append(made.graph.node[0].attribute[0])
    refused(made, "two attributes named 'alpha'", FormatError)


@pytest.mark.parametrize("dims", [[3, 5], [10**9, 10**9], [2**40, 2**40, 2**40], [-3, -4], [0, 4], []])
@pytest.mark.parametrize("raw", [True, False])
def test_tensors_whose_shape_is_not_their_size_are_refused(dims, raw):
    made = model(MLP_NODES, MLP)
    tensor = made.graph.initializer[0]
    if not raw:
        tensor.CopyFrom(helper.make_tensor("W", FLOAT, W.shape, W.ravel().tolist()))
    del tensor.dims[:]
    tensor.dims.extend(dims)
    refused(made, "'W' of shape .* wants", FormatError)


def test_a_deeply_nested_model_is_refused():
    inner = helper.make_graph([node("Relu", "x")], "g", [], [])
    for _ in range(25):
        outer = helper.make_graph([], "g", [], [])
        outer.node.append(node("If", "x", then_branch=inner))
        inner = outer
    data = onnx.ModelProto(graph=inner).SerializeToString()
    made = model([node("If", "x", then_branch=inner)])
    with pytest.raises((FormatError, UnsupportedModelError)):
        from_onnx(made)
    with pytest.raises((FormatError, UnsupportedModelError)):
        from_onnx(data)
    # A graph field within a node's attribute within a graph, far beyond what protobuf nests.
    data = b""
    for _ in range(5000):
        data = b"\x32" + varint(len(data)) + data
        data = b"\x2a" + varint(len(data)) + data
        data = b"\x0a" + varint(len(data)) + data
    with pytest.raises(FormatError):
        from_onnx(b"\x3a" + varint(len(data)) + data)


def varint(n):
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes(out + bytes([n]))


def test_a_model_truncated_anywhere_is_refused(tmp_path):
    data = model(MLP_NODES, MLP).SerializeToString()
    path = tmp_path / "a.onnx"
    outcomes = set()
    for end in range(0, len(data), 5):
        path.write_bytes(data[:end])
        outcomes.add(outcome(path))
    assert Network not in outcomes


def test_a_flipped_byte_gives_a_network_or_one_of_the_two_errors(tmp_path):
    original = model(MLP_NODES, MLP).SerializeToString()
    rng = np.random.default_rng(0)
    path = tmp_path / "a.onnx"
    for position in range(0, len(original), 2):
        data = bytearray(original)
        data[position] ^= int(rng.integers(1, 256))
        path.write_bytes(data)
        outcome(path)


def test_random_bytes_are_refused(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "a.onnx"
    for size in range(0, 300):
        path.write_bytes(rng.bytes(size))
        assert outcome(path) is not Network


def outcome(path):
    try:
        return type(load(path))
    except (FormatError, UnsupportedModelError) as error:
        assert str(path) in str(error)
        return type(error)


def test_weights_that_are_not_finite_are_refused():
    refused(model(MLP_NODES, {**MLP, "B": np.array([1, np.nan, 2, 3], np.float32)}), "nan", FormatError)
    overflowing = {"W": W, "B": np.full(4, 3e38, np.float32)}
    refused(model([node("Gemm", "x W B", beta=10.0)], overflowing), "inf", FormatError)


def test_without_onnx_the_error_says_what_to_install(monkeypatch, tmp_path):
    (tmp_path / "a.onnx").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "onnx", None)
    for call in (lambda: load(tmp_path / "a.onnx"), lambda: from_onnx(b""), lambda: from_onnx(object())):
        with pytest.raises(ImportError, match="needs onnx: pip install onnx"):
            call()


def test_a_model_file_that_is_not_there_is_said_to_be_missing(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "a.onnx")
    with pytest.raises(FileNotFoundError):
        from_onnx(os.fspath(tmp_path / "a.onnx"))
