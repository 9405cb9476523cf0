"""Keras models, alone and in files, give what the models give, and are left as they were."""

import copy
import importlib.util
import io
import json
import logging
import os
import sys
import zipfile

import numpy as np
import pytest

from foldline import Network
from foldline.errors import FormatError, UnsupportedModelError
from foldline.formats import from_keras, load
from foldline.formats.keras import import_keras
from foldline.formats.keras_files import parts
from foldline.formats.keras_layers import ACTIVATIONS, LAYERS, N_WEIGHTS, OPERATIONS

try:
    keras = import_keras()
except ImportError as reason:
    pytest.skip(str(reason), allow_module_level=True)
from keras import layers, ops  # noqa: E402

# Keras' own, of its own calls of NumPy.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword")


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(0)


@pytest.fixture(params=["float32", "float64"])
def policy(request):
    """What all layers made in the test are of."""
    keras.config.set_floatx(request.param)
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")


def sequential(*of, shape=(3,)):
    return randomized(keras.Sequential([keras.Input(shape), *of]))


def functional(function, shape=(3,), **options):
    x = keras.Input(shape, **options)
    return randomized(keras.Model(x, function(x)))


def randomized(model):
    """The model with weights that are not the initial ones."""
    rng = np.random.default_rng(1)
    for variable in model.weights:
        numbers = rng.normal(size=variable.shape)
        variable.assign(abs(numbers) + 0.1 if "variance" in variable.name else numbers)
    for layer in model.layers:
        if isinstance(layer, layers.Normalization) and layer.input_mean is None:
            layer.finalize_state()
    return model


def check(model, wanted=None, **options):
    """Import and compare with the model, or with another one; Keras computes parts of float64 in float32."""
    net = from_keras(model, **options)
    assert net.import_check.n_points == 64 and net.import_check.bound_share <= 1
    points = (np.random.default_rng(2).normal(size=(20, net.n_in)) * 3).astype(net.dtype)
    batch = ops.convert_to_tensor(points.reshape(-1, *model.inputs[0].shape[1:]))
    outputs = ops.convert_to_numpy((wanted or model)(batch)).reshape(20, -1)
    assert np.allclose(net(points), outputs, rtol=1e-4, atol=1e-4 * (1 + abs(outputs).max()))
    return net


def refused(model, match, **options):
    with pytest.raises(UnsupportedModelError, match=match) as caught:
        from_keras(model, **options)
    return caught.value.operators


def test_a_perceptron_keeps_its_weights_bit_for_bit(policy):
    model = sequential(layers.Dense(8, "relu"), layers.Dense(8, "relu", use_bias=False), layers.Dense(2))
    W0, b0, W1, W2, b2 = model.get_weights()
    net = check(model)
    assert net == Network([(W0.T, b0), (W1.T, None), (W2.T, b2)]).astype(policy)
    assert ("float32" in net.import_check.note) == (policy == "float64")


OF_VECTORS = [
    text.strip()
    for text in """
    ReLU()
    ReLU(max_value=0.7)
    ReLU(max_value=0.0)
    ReLU(max_value=0.7, negative_slope=0.3)
    LeakyReLU()
    LeakyReLU(negative_slope=0.1)
    PReLU()
    Activation(layers.LeakyReLU(negative_slope=0.4))
    Dense(3, layers.ReLU(max_value=1))
    BatchNormalization()
    BatchNormalization(center=False, scale=False, epsilon=0.1)
    Normalization()
    Normalization(axis=None, mean=2.0, variance=3.0)
    Normalization(mean=[1, 2, 3, 4], variance=[1, 0, 2, 4], invert=True)
    Rescaling(0.1)
    Rescaling([1, 2, 3, 4], offset=-0.7)
    Reshape((2, 2))
    Reshape((-1, 1))
    RepeatVector(3)
    Flatten()
    Dropout(0.5)
    AlphaDropout(0.5)
    GaussianDropout(0.5)
    GaussianNoise(1.0)
    ActivityRegularization(0.1)
    Identity()
    """.strip().splitlines()
]
OF_VECTORS += [f"{start}{name!r})" for start in ("Activation(", "Dense(5, ") for name in ACTIVATIONS]


@pytest.mark.parametrize("layer", OF_VECTORS)
def test_each_layer_computes_what_keras_says(policy, layer):
    layer = eval(f"layers.{layer}")
    check(sequential(layers.Dense(4), layer, layers.Dense(2)))


OF_SPACE = {
    (4, 2): """
        Dense(3, 'relu')
        PReLU()
        PReLU(shared_axes=[1])
        BatchNormalization(axis=1)
        Normalization(axis=(1, 2))
        Permute((2, 1))
        SpatialDropout1D(0.5)
        UpSampling1D(3)
        Cropping1D((1, 2))
        ZeroPadding1D((1, 2))
        Flatten(FORMAT)
    """,
    (9, 4): """
        Conv1D(3, 2, 2, activation='relu', FORMAT)
        Conv1D(3, 2, padding='causal', dilation_rate=2)
        Conv1D(4, 3, padding='same', dilation_rate=2, groups=2, FORMAT)
        DepthwiseConv1D(3, 2, depth_multiplier=2, FORMAT)
        SeparableConv1D(3, 3, padding='same', depth_multiplier=2, FORMAT)
        MaxPooling1D(3, 2, FORMAT)
        AveragePooling1D(3, 3, padding='same', FORMAT)
        GlobalAveragePooling1D(FORMAT)
        GlobalMaxPooling1D(keepdims=True, FORMAT)
    """,
    (6, 5, 2): """
        Conv2D(3, (3, 2), activation='relu', FORMAT)
        Conv2D(3, 3, strides=2, padding='same', use_bias=False, FORMAT)
        DepthwiseConv2D(3, padding='same', activation='relu6', FORMAT)
        SeparableConv2D(3, 3, activation='relu')
        MaxPooling2D((2, 3), padding='same', FORMAT)
        MaxPooling2D(3, strides=2, padding='same', FORMAT)
        AveragePooling2D((1, 3), strides=1, padding='same', FORMAT)
        GlobalAveragePooling2D(keepdims=True, FORMAT)
        GlobalMaxPooling2D(FORMAT)
        UpSampling2D((2, 1), FORMAT)
        Cropping2D(((1, 2), (0, 1)), FORMAT)
        ZeroPadding2D(((1, 2), (0, 1)), FORMAT)
        SpatialDropout2D(0.5)
    """,
    (3, 4, 3, 2): """
        Conv3D(2, 2, padding='same', FORMAT)
        MaxPooling3D(2, FORMAT)
        AveragePooling3D(2, 1, FORMAT)
        GlobalAveragePooling3D(FORMAT)
        GlobalMaxPooling3D(FORMAT)
        UpSampling3D(2, FORMAT)
        Cropping3D(1, FORMAT)
        ZeroPadding3D(1, FORMAT)
        SpatialDropout3D(0.5)
    """,
}


def in_formats(shape, text):
    """The layer, or the two that it is in either data format, with the shapes of their inputs."""
    yield shape, text.replace("FORMAT", "data_format='channels_last'")
    if "FORMAT" in text:
        yield (shape[-1], *shape[:-1]), text.replace("FORMAT", "data_format='channels_first'")


OF_SPACE = [
    layer
    for shape, texts in OF_SPACE.items()
    for text in texts.strip().splitlines()
    for layer in in_formats(shape, text.strip())
]


@pytest.mark.parametrize("shape, layer", OF_SPACE)
def test_each_layer_of_space_computes_what_keras_says(shape, layer):
    check(sequential(eval(f"layers.{layer}"), shape=shape))


def test_average_pooling_leaves_padding_out_or_is_refused_where_keras_does_not():
    model = sequential(layers.AveragePooling2D((2, 3), strides=1, padding="same"), shape=(5, 4, 2))
    x = np.ones((1, 5, 4, 2), np.float32)
    x[0, -1] = 3
    last = ops.convert_to_numpy(model(x))[0, -1, 0, 0]
    if keras.config.backend() == "torch":
        refused(model, "not what its graph says")
    else:
        assert last == 3
        check(model)


def test_every_layer_of_the_table_is_tested():
    merging = {"Add", "Subtract", "Average", "Maximum", "Minimum", "Concatenate"}
    tested = {text.partition("(")[0] for text in OF_VECTORS + [text for _, text in OF_SPACE]}
    assert tested | merging == set(LAYERS)


FUNCTIONS = {
    "residual": lambda x, h: layers.Add()([h, layers.Dense(4, "relu")(h), layers.Dense(4)(x)]),
    "subtract": lambda x, h: layers.Subtract()([h, layers.Dense(4, "relu")(x)]),
    "average": lambda x, h: layers.Average()([h, layers.Dense(4)(h), layers.Dense(4)(x)]),
    "maximum": lambda x, h: layers.Maximum()([h, layers.Dense(4)(x), layers.Dense(4)(h)]),
    "minimum": lambda x, h: layers.Minimum()([h, layers.Dense(4)(x)]),
    "concatenate": lambda x, h: layers.Concatenate()([x, h, layers.Dense(2)(h)]),
    "arithmetic": lambda x, h: 2 * (h - 1) / 3 + 0.5 - h * np.float32([1, 2, 3, 4]) + (1 - h) + (-h),
    "abs": lambda x, h: abs(h) + ops.abs(h - 1) + ops.absolute(h),
    "clip": lambda x, h: ops.clip(h, -0.5, 1.0),
    "maximum of ops": lambda x, h: ops.maximum(h, layers.Dense(4)(x)) - ops.minimum(h, 0.3),
    "maximum with constants": lambda x, h: ops.maximum(0.2, h) + ops.minimum(np.float32([1, 2, 3, 4]), h),
    "activations": lambda x, h: ops.relu(h) + ops.relu6(h) + ops.leaky_relu(h, 0.3) + ops.hard_tanh(h),
    "more activations": lambda x, h: ops.hard_sigmoid(h) + ops.sparse_sigmoid(h) + ops.soft_shrink(h, 0.7),
    "shapes": lambda x, h: ops.squeeze(ops.transpose(ops.expand_dims(h, 2), (0, 2, 1)), 1),
    "reshape": lambda x, h: ops.reshape(h, (-1, 2, 2))[:, 1, :1],
    "indexing": lambda x, h: ops.concatenate([h[:, 1:3], x[..., :1], h], axis=1),
    "matmul": lambda x, h: ops.matmul(h, np.float32(np.arange(8).reshape(4, 2))) + h[:, :2],
    "true divide": lambda x, h: ops.true_divide(h, 3) + ops.divide(h, 7),
    "a layer twice": lambda x, h: (lambda twice: twice(twice(h)))(layers.Dense(4, "relu")),
    "dead ends": lambda x, h: (layers.Dense(3, "tanh")(h), layers.Dense(2)(h))[1],
    "not training": lambda x, h: layers.Dropout(0.5)(h, training=False),
}


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
def test_functional_models_compute_what_keras_says(function):
    check(functional(lambda x: function(x, layers.Dense(4, "relu")(x))))


def test_every_operation_of_the_table_is_tested():
    found = set()
    for function in FUNCTIONS.values():
        model = functional(lambda x, function=function: function(x, layers.Dense(4, "relu")(x)))
        found.update(type(operation).__name__ for operation in model.operations)
    assert {*OPERATIONS} - found <= {"Abs", "Relu6"}, "old and new names of the same"


def test_models_within_models_are_run_in_their_place():
    inner = sequential(layers.Dense(4, "relu"), layers.BatchNormalization())
    two = [keras.Input((4,)), keras.Input((3,))]
    joined = keras.Model(two, layers.Add()([two[0], layers.Dense(4, "leaky_relu")(two[1])]))
    model = functional(lambda x: layers.Dense(2)(joined([inner(x), x]) - inner(2 * x)))
    assert check(model).widths
    check(keras.Sequential([keras.Input((3,)), inner, keras.Sequential([layers.Dense(3)]), layers.ReLU()]))


def test_a_model_of_part_of_a_model_is_a_model_too():
    model = functional(lambda x: layers.Dense(2)(layers.Dense(4, "relu", name="hidden")(layers.Dense(3)(x))))
    check(keras.Model(model.inputs, model.get_layer("hidden").output))


def test_inputs_of_other_structures_and_a_batch_of_one_are_taken():
    x = keras.Input((3,), name="x")
    y = layers.Dense(2, "relu")(x)
    for model in (keras.Model([x], [y]), keras.Model({"x": x}, {"y": y})):
        assert from_keras(model) == check(keras.Model(x, y))
        assert from_keras(model).import_check.n_points == 64
    one = functional(layers.Dense(2, "relu"), batch_size=1)
    assert from_keras(one).import_check.n_points == 64
    refused(functional(layers.Dense(2), batch_size=5), r"\(5, 3\); wanted \(batch, \.\.\.\)")
    refused(functional(layers.Dense(2), (None, 3)), r"\(None, None, 3\)")


def test_final_functions_are_dropped_only_when_asked(policy):
    hidden, logits = layers.Dense(4, "relu"), layers.Dense(3)
    wanted = sequential(hidden, logits)
    activated = [layers.Dense(3, end) for end in ("softmax", "sigmoid", "log_softmax", layers.Softmax())]
    tails = [
        [logits, layers.Softmax()],
        [logits, layers.Activation("softmax")],
        [logits, layers.Activation("sigmoid")],
        [keras.Sequential([logits, layers.Softmax()])],
        *([layer] for layer in activated),
        [keras.Sequential([keras.Input((4,)), activated[0]])],
    ]
    models = [keras.Sequential([keras.Input((3,)), hidden, *tail]) for tail in tails]
    x = keras.Input((3,))
    z = logits(hidden(x))
    ends = (ops.softmax(z), ops.log_softmax(z), ops.sigmoid(z), ops.argmax(activated[0](hidden(x)), axis=1))
    models += [keras.Model(x, end) for end in ends]
    for layer in activated:
        layer.set_weights(logits.get_weights())
    for model in models:
        refused(model, "drop_final=True leaves it out")
        assert check(model, wanted, drop_final=True) == from_keras(wanted)
    assert from_keras(wanted, drop_final=True) == from_keras(wanted)
    assert activated[0].activation is keras.activations.softmax


def test_a_final_function_inside_is_not_dropped():
    shared = layers.Dense(3, "sigmoid", name="shared")
    part = keras.Sequential([keras.Input((3,)), layers.Dense(3, "softmax", name="part")])
    for model in (
        sequential(layers.Dense(3, "sigmoid", name="shared"), layers.Dense(2)),
        sequential(layers.Dense(3), layers.Softmax(name="shared"), layers.Dense(2)),
        functional(lambda x: shared(shared(x))),
    ):
        operators = refused(model, "shared", drop_final=True)
        assert [name.split()[1] for name in operators] == ["('shared')"]
    refused(functional(lambda x: part(part(x))), r"Dense \('part'\): softmax$", drop_final=True)


def test_everything_unsupported_is_listed_once():
    inner = [layers.Dense(3, "gelu", name="a"), layers.ELU(name="b"), layers.LayerNormalization(name="c")]
    inner = sequential(*inner)
    model = functional(
        lambda x: ops.exp(layers.Dense(1, "tanh", name="e")(inner(inner(layers.Lambda(abs, name="d")(x)))))
    )
    operators = refused(model, "Lambda.*Dense.*gelu.*ELU.*LayerNormalization.*Dense.*tanh.*Exp")
    assert operators == (
        "Lambda ('d')",
        "Dense ('a')",
        "ELU ('b')",
        "LayerNormalization ('c')",
        "Dense ('e')",
        operators[-1],
    )
    assert operators[-1].startswith("Exp ('exp")


@pytest.mark.parametrize(
    "function, match",
    [
        (lambda x: x * x, "product of two computed"),
        (lambda x: layers.Multiply()([x, x]), "Multiply"),
        (lambda x: 1 / x, "division by a computed"),
        (lambda x: layers.ReLU(threshold=0.5)(x), "threshold 0.5, which is a jump"),
        (lambda x: layers.Dropout(0.5)(x, training=True), "training=True"),
        (lambda x: layers.BatchNormalization()(x, training=True), "training=True"),
        (lambda x: sequential(layers.Dropout(0.5))(x, training=True), "training=True"),
        (lambda x: layers.Activation("hard_shrink")(x), r"Activation \('.*'\): hard_shrink"),
        (lambda x: layers.Dense(2, lambda z: ops.relu(z))(x), "<lambda>"),
        (lambda x: layers.Masking()(x[:, None]), "Masking"),
        (lambda x: layers.UpSampling2D(interpolation="bilinear")(x[:, None, :, None]), "bilinear"),
        (lambda x: ops.clip(x, [0.0, 0, 0], 1.0), "bounds that are tensors"),
        (lambda x: keras.Model(x, [x, layers.ReLU()(x)])(x)[1], "with 2 outputs"),
        (lambda x: ops.mean(x, 1), "Mean"),
        (lambda x: layers.RepeatVector(2**40)(x), "elements together"),
        (lambda x: layers.ZeroPadding1D(2**40)(x[:, None]), "elements together"),
    ],
)
def test_models_that_cannot_be_imported_say_why(function, match):
    x = keras.Input((3,))
    refused(keras.Model(x, function(x)), match)


def test_models_without_a_graph_of_one_input_and_one_output_are_refused():
    class Written(keras.Model):
        def call(self, x):
            return x

    refused(Written(name="mine"), r"Written \('mine'\) has no graph")
    refused(keras.Sequential([layers.Dense(2)]), "knows the shape of its input")
    refused(sequential(Written(name="mine")), r"Written \('mine'\)|no graph")
    x, z = keras.Input((3,)), keras.Input((3,))
    refused(keras.Model([x, z], layers.Add()([x, z])), "2 inputs; wanted one")
    refused(keras.Model(x, [layers.ReLU()(x), layers.Dense(2)(x)]), "2 outputs; wanted one")


@pytest.mark.parametrize("name", ["float16", "bfloat16", "mixed_float16", "mixed_bfloat16"])
def test_other_dtypes_are_refused(name):
    refused(sequential(layers.Dense(2, dtype=name)), f"float32, {name}|{name}, float32")


def test_mixed_dtypes_are_refused():
    refused(sequential(layers.Dense(2), layers.Dense(2, dtype="float64")), "float32, float64; wanted")
    refused(functional(layers.Dense(2), dtype="int32"), "float32, int32; wanted")
    inner = sequential(layers.Dense(3, dtype="float64"))
    refused(sequential(inner, layers.Dense(2)), "float32, float64")


def test_float64_layers_are_taken_whatever_the_default_is():
    x = keras.Input((3,), dtype="float64")
    assert check(keras.Model(x, layers.Dense(2, "relu", dtype="float64")(x))).dtype == np.float64


def test_what_is_no_keras_model_is_a_type_error():
    for value in (None, layers.Dense(1), keras.Model, "model.keras"):
        with pytest.raises(TypeError, match=r"wanted a keras\.Model"):
            from_keras(value)
    with pytest.raises(TypeError, match="drop_final"):
        from_keras(sequential(layers.Dense(1)), drop_final=1)


def test_the_model_is_never_changed():
    model = sequential(layers.Dense(4), layers.BatchNormalization(), layers.Dropout(0.5), layers.Softmax())
    model.compile("sgd", "mse")
    x, y = np.ones((8, 3), np.float32), np.ones((8, 4), np.float32)
    if keras.config.backend() != "numpy":
        model.fit(x, y, verbose=0)
    before, config = model.get_weights(), model.get_config()
    nodes = [len(operation._outbound_nodes) for operation in model._functional.operations]
    random = copy.deepcopy(np.random.get_state()[1])
    from_keras(model, drop_final=True)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights()))
    assert model.get_config() == config
    assert [len(operation._outbound_nodes) for operation in model._functional.operations] == nodes
    assert np.array_equal(np.random.get_state()[1], random)


class Doubled(layers.Dense):
    """Says that it is a Dense, and is not."""

    def call(self, x):
        return 2 * super().call(x)


class Renamed(layers.Dense):
    pass


def test_layers_derived_from_those_of_keras_are_held_to_what_they_compute():
    check(sequential(Renamed(4, "relu")))
    with pytest.raises(UnsupportedModelError, match="not what its graph says"):
        from_keras(sequential(Doubled(4, "relu")))


def test_the_check_is_logged(caplog):
    with caplog.at_level(logging.INFO, logger="foldline"):
        net = from_keras(sequential(layers.Dense(2)))
    assert str(net.import_check) in caplog.text
    assert net.import_check.source == f"keras {keras.__version__} on {keras.config.backend()}"


def test_weights_that_are_not_finite_are_refused(tmp_path):
    model = sequential(layers.Dense(1))
    model.set_weights([np.full((3, 1), np.nan), np.zeros(1)])
    with pytest.raises(ValueError, match="nan"):
        from_keras(model)
    model.save(tmp_path / "a.keras")
    with pytest.raises(FormatError, match="a.keras.*nan"):
        load(tmp_path / "a.keras")


# Files ----------------------------------------------------------------------------------------------


def saved(path, model):
    model.save(path)
    return path


def test_a_file_gives_the_network_of_its_model(tmp_path, policy):
    inner = sequential(layers.Dense(4, layers.LeakyReLU(negative_slope=0.1)), layers.BatchNormalization())
    inner.compile("adam", "mse", metrics=["mae"])
    model = functional(
        lambda x: (lambda h: ops.relu(layers.Dense(4, kernel_regularizer="l2")(h)) + h[:, :1] * 2)(inner(x))
    )
    model.compile("adam", "mse")
    net = load(saved(tmp_path / "a.keras", model))
    assert net == check(model) and net.dtype == policy
    assert net.import_check.n_points == 64


def test_a_file_of_each_layer_is_read(tmp_path):
    of_vectors = [eval(f"layers.{text}") for text in OF_VECTORS]
    built = [sequential(layers.Dense(4), layer, layers.Dense(2)) for layer in of_vectors]
    built += [sequential(eval(f"layers.{text}"), shape=shape) for shape, text in OF_SPACE]
    for model in built:
        assert load(saved(tmp_path / "a.keras", model)) == from_keras(model)


def test_weights_are_counted_as_keras_makes_them():
    counted = set()
    for shape, text in [((4,), text) for text in OF_VECTORS] + OF_SPACE:
        layer = eval(f"layers.{text}")
        name = type(layer).__name__
        if name in N_WEIGHTS and sequential(layer, shape=shape).weights:
            bias = getattr(layer, "bias", None)
            sizes = [int(np.prod(w.shape)) for w in layer.weights if w is not bias]
            config = json.loads(json.dumps(layer.get_config()))
            n = N_WEIGHTS[name](config, layer.get_build_config()["input_shape"])
            assert n == (sum(sizes) if name.startswith("Separable") else max(sizes)), text
            counted.add(name)
    assert counted == set(N_WEIGHTS)


def test_an_upper_case_ending_and_drop_final_are_taken(tmp_path):
    model = sequential(layers.Dense(4, "relu"), layers.Dense(3, "softmax"))
    saved(tmp_path / "a.keras", model).rename(tmp_path / "A.KERAS")
    with pytest.raises(UnsupportedModelError, match=r"A\.KERAS: .*softmax, drop_final=True leaves it out"):
        load(tmp_path / "A.KERAS")
    assert load(tmp_path / "A.KERAS", drop_final=True) == from_keras(model, drop_final=True)


def file_error(path, match=None, error=FormatError):
    with pytest.raises(error, match=match) as caught:
        load(path)
    assert str(path) in str(caught.value) and len(str(caught.value)) < len(str(path)) + 500
    return caught.value


def test_a_truncated_or_flipped_file_is_refused_or_read(tmp_path):
    data = saved(tmp_path / "a.keras", sequential(layers.Dense(2, "relu"))).read_bytes()
    path = tmp_path / "b.keras"
    for end in range(0, len(data), 1013):
        path.write_bytes(data[:end])
        file_error(path, "not a whole .keras file")
    rng = np.random.default_rng(0)
    for position in range(0, len(data), 331):
        flipped = bytearray(data)
        flipped[position] ^= int(rng.integers(1, 256))
        path.write_bytes(flipped)
        try:
            load(path)
        except (FormatError, UnsupportedModelError) as error:
            assert str(path) in str(error)


def test_what_is_no_keras_file_is_refused(tmp_path):
    path = tmp_path / "a.keras"
    with pytest.raises(FileNotFoundError):
        load(path)
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    file_error(path, "not a whole .keras file")
    np.savez(tmp_path / "a.npz", W0=np.ones((1, 1)))
    (tmp_path / "a.npz").rename(path)
    file_error(path, r"has W0\.npy; wanted config\.json and model\.weights\.h5")
    path.unlink()
    path.mkdir()
    with pytest.raises(IsADirectoryError):
        load(path)


def rewritten(path, change=None, weights=None):
    """The file with another configuration, or other weights."""
    config, old = parts(str(path))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps((change or (lambda c: c))(config)))
        archive.writestr("model.weights.h5", old if weights is None else weights)
    return path


def first_layer(config):
    return config["config"]["layers"][1]


def changed(path, **changes):
    """The file with a first layer of a changed configuration."""

    def change(config):
        first_layer(config)["config"].update(changes)
        return config

    return rewritten(path, change)


@pytest.fixture
def path(tmp_path):
    return saved(tmp_path / "a.keras", sequential(layers.Dense(4, "relu", name="first"), layers.Dense(2)))


def test_a_zip_bomb_is_refused_by_its_directory(tmp_path):
    path = tmp_path / "a.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", "{}")
        with archive.open("model.weights.h5", "w", force_zip64=True) as stream:
            for _ in range(8):
                stream.write(bytes(2**24))
    file_error(path, "declares 1342.* bytes")


def test_layers_with_more_weights_than_the_file_are_refused_before_they_are_made(path):
    file_error(changed(path, units=10**9), r"3000000008 weights in \d+ bytes of model\.weights\.h5")


@pytest.mark.parametrize("units", [-1, 0, 1.5, "4", "4" * 1000, None, [4], True, 5])
def test_layers_of_impossible_sizes_are_refused(path, units):
    file_error(changed(path, units=units), "weights|Keras cannot load it")


def test_a_layer_of_no_inputs_has_a_bias(path):
    def emptied(config):
        first_layer(config)["config"]["units"] = 10**9
        first_layer(config)["build_config"]["input_shape"] = [None, 0]
        return config

    file_error(rewritten(path, emptied), r"1000000008 weights in \d+ bytes")


def test_layers_are_counted_together(path):
    def repeated(config):
        config["config"]["layers"] += [first_layer(config)] * 10_000
        return config

    file_error(rewritten(path, repeated), r"120020 weights in \d+ bytes")


def test_layers_that_hide_their_sizes_are_refused(path):
    def without(config):
        del first_layer(config)["build_config"]
        return config

    file_error(rewritten(path, without), r"Dense \('first'\) has no shape of its weights")


def test_lambdas_are_refused_and_listed_with_the_rest(tmp_path):
    ran = tmp_path / "ran"
    code = f"lambda x: (open({str(ran)!r}, 'w'), x)[1]"
    model = sequential(layers.Lambda(eval(code), name="a", output_shape=(3,)), layers.ELU(name="b"))
    path = saved(tmp_path / "a.keras", model)
    ran.unlink(missing_ok=True)
    error = file_error(path, r"Lambda \('a'\)", UnsupportedModelError)
    assert "Lambda ('a')" in error.operators and "ELU ('b')" in error.operators
    assert not ran.exists()


@pytest.mark.parametrize(
    "item",
    [
        {"class_name": "__lambda__", "config": {"value": ["4wAA", None, None]}},
        {"class_name": "function", "module": "os", "config": "system", "registered_name": "function"},
        {"class_name": "Popen", "module": "subprocess", "config": {"args": "true"}, "registered_name": None},
        {"class_name": "Dense", "module": "mine", "config": {"name": "x"}, "registered_name": None},
        {"class_name": "Dense", "module": "keras.layers", "config": {}, "registered_name": "Mine>Dense"},
        {"class_name": "TorchModuleWrapper", "module": "keras.layers", "config": {"name": "x"}},
        {"class_name": "TFSMLayer", "module": "keras.layers", "config": {"filepath": "/etc/passwd"}},
        {"class_name": "StringLookup", "module": "keras.layers", "config": {"vocabulary": "/etc/passwd"}},
        {"class_name": "get_file", "module": "keras.utils", "config": {"origin": "http://127.0.0.1/"}},
        {"class_name": ["Dense"], "module": "keras.layers", "config": {}},
    ],
    ids=lambda item: str(item["class_name"]),
)
def test_objects_that_are_not_known_are_never_made(path, item):
    for key in ("activation", "kernel_initializer", "name", "surprise"):
        file_error(changed(path, **{key: item}), "not supported", UnsupportedModelError)


@pytest.mark.parametrize(
    "config", [None, [], {}, 3, "x", {"class_name": "Sequential"}, {"class_name": "Sequential", "config": {}}]
)
def test_configurations_of_no_model_are_refused(path, config):
    file_error(rewritten(path, lambda _: config))


def test_configurations_that_are_no_json_are_refused(tmp_path):
    for text in ("", "{", "[" * 100_000, "\xff", '{"a": ' * 50_000):
        with zipfile.ZipFile(tmp_path / "a.keras", "w") as archive:
            archive.writestr("config.json", text.encode("latin-1"))
            archive.writestr("model.weights.h5", b"")
        file_error(tmp_path / "a.keras")


def test_weights_that_are_not_those_of_the_model_are_refused(path, tmp_path):
    other = sequential(layers.Dense(5, "relu"), layers.Dense(2))
    _, weights = parts(str(saved(tmp_path / "other.keras", other)))
    _, own = parts(str(path))
    for wrong in (weights, b"", own[: len(own) // 2], bytes(len(own))):
        file_error(rewritten(path, weights=wrong), "Keras cannot load it|weights in")


def test_weights_that_lie_in_another_file_are_never_read(path, tmp_path):
    import h5py

    (tmp_path / "secret").write_bytes(np.ones(12, np.float32).tobytes())
    _, weights = parts(str(path))
    for link in (False, True):
        buffer = io.BytesIO(weights)
        with h5py.File(buffer, "r+") as file:
            group = file["layers/dense/vars"]
            del group["0"]
            if link:
                group["0"] = h5py.ExternalLink(str(tmp_path / "secret"), "/x")
            else:
                secret = [(str(tmp_path / "secret"), 0, 48)]
                group.create_dataset("0", (3, 4), np.float32, external=secret)
        file_error(rewritten(path, weights=buffer.getvalue()), "Keras cannot load it")


# The library ----------------------------------------------------------------------------------------


def test_without_keras_the_error_says_what_to_install(monkeypatch, path):
    monkeypatch.setitem(sys.modules, "keras", None)
    with pytest.raises(ImportError, match="needs keras: pip install keras"):
        from_keras(None)
    with pytest.raises(ImportError, match="needs keras: pip install keras"):
        load(path)


IMPORT = """
import os, sys
import foldline as fl
assert "keras" not in sys.modules
before = dict(os.environ)
try:
    print(fl.load(sys.argv[1]), sys.modules["keras"].config.backend())
except ImportError as error:
    print("ImportError", error)
assert "KERAS_BACKEND" not in set(os.environ) ^ set(before)
"""


def test_a_backend_that_is_installed_is_taken_where_none_is_chosen(path, tmp_path, monkeypatch, run_python):
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    for settings in ("{}", '{"backend": "openvino"}'):
        (tmp_path / "keras.json").write_text(settings)
        result = run_python(IMPORT, path)
        assert result.returncode == 0, result.stderr
        assert result.stdout.startswith("Network(3-4-2, float32, 4 neurons) "), result.stdout
        assert (tmp_path / "keras.json").read_text() == settings


def test_a_backend_that_is_chosen_and_not_installed_is_named(path, monkeypatch, run_python):
    missing = "nonsense" if importlib.util.find_spec("tensorflow") else "tensorflow"
    monkeypatch.setenv("KERAS_BACKEND", missing)
    result = run_python(IMPORT, path)
    assert result.stdout.startswith(f"ImportError keras cannot be imported with its backend '{missing}'")
    assert os.environ["KERAS_BACKEND"] == missing
