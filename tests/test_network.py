"""A Network is checked, immutable, and equal to its copies."""

import copy
import pickle

import networks
import numpy as np
import pytest
from networks import random_network, random_points

import foldline as fl

LAYERS = [([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], [0.0, 0.5, -1.0]), ([[1.0, -2.0, 1.0]], [0.5])]


def arrays_of(net):
    return (*net.weights, *net.biases, *net.slopes)


# What it says about itself ------------------------------------------------------------------------


def test_shapes_and_counts_are_those_of_the_layers(dtype):
    net = fl.Network(*random_network(60, (5, 9, 8, 7, 3), dtype, slopes=0))
    assert (net.n_in, net.n_out, net.widths, net.n_neurons) == (5, 3, (9, 8, 7), 24)
    assert net.dtype == np.dtype(dtype)
    assert [w.shape for w in net.weights] == [(9, 5), (8, 9), (7, 8), (3, 7)]
    assert [b.shape for b in net.biases] == [(9,), (8,), (7,), (3,)]
    assert all(type(n) is int for n in (net.n_in, net.n_out, net.n_neurons, *net.widths))


def test_weights_are_kept_to_the_last_bit(dtype):
    layers, slopes = random_network(61, (5, 9, 3), dtype)
    net = fl.Network(layers, slopes)
    for kept, given in zip(net.weights, layers, strict=True):
        assert (kept.dtype, kept.tobytes()) == (given[0].dtype, given[0].tobytes())
    for kept, given in zip(net.biases, layers, strict=True):
        assert kept.tobytes() == given[1].tobytes()
    assert net.slopes[0].tobytes() == slopes[0].tobytes()


def test_units_with_slope_one_are_units_and_no_neurons():
    net = fl.Network(*networks.sequential_max(4))
    assert net.widths == (4, 3, 2)
    assert net.n_neurons == 3
    assert fl.Network(*networks.NO_FOLDS).n_neurons == 0


def test_a_network_may_have_no_hidden_layer():
    net = fl.Network([([[1.0, 2.0]], [3.0])])
    assert (net.n_in, net.n_out, net.widths, net.n_neurons, net.slopes) == (2, 1, (), 0, ())
    assert net([[1.0, 1.0]]).tolist() == [[6.0]]


def test_the_repr_tells_shape_dtype_and_neurons():
    assert repr(fl.Network(LAYERS)) == "Network(2-3-1, float64, 3 neurons)"


def test_the_definition_of_active_leaves_zero_out():
    net = fl.Network([([[1.0]], [0.0]), ([[1.0]], [0.0])])
    points = np.array([[-1], [-5e-324], [-0.0], [0], [5e-324], [1]])
    assert net.patterns(points).ravel().tolist() == [0, 0, 0, 0, 1, 1]


def test_a_missing_bias_is_zero(dtype):
    w = np.ones((2, 3), dtype)
    assert fl.Network([(w, None)]) == fl.Network([(w, np.zeros(2, dtype))])


@pytest.mark.parametrize(
    "activation, outputs",
    [
        ("relu", [0, 3]),
        ("leaky_relu", [-0.02, 3]),
        ("abs", [2, 3]),
        ("identity", [-2, 3]),
        (0.5, [-1, 3]),
        (-3, [6, 3]),
        (np.float64(0.25), [-0.5, 3]),
        (["abs"], [2, 3]),
        ([0.5], [-1, 3]),
        ([[0.5]], [-1, 3]),
        ([np.array([0.5])], [-1, 3]),
        (np.array([[0.5]]), [-1, 3]),
    ],
    ids=str,
)
def test_an_activation_is_a_name_a_slope_or_one_for_each_unit(activation, outputs):
    net = fl.Network([([[1.0]], None), ([[1.0]], None)], activation)
    assert net([[-2.0], [3.0]]).ravel().tolist() == outputs


def test_each_layer_and_each_unit_may_have_a_slope_of_its_own():
    net = fl.Network([(np.eye(3), None), (np.eye(3), None), (np.eye(3), None)], ["relu", [1.0, 0.5, -1.0]])
    assert net.n_neurons == 5
    assert net([[1.0, 1.0, 1.0], [-1.0, -1.0, -1.0]]).tolist() == [[1, 1, 1], [0, 0, 0]]
    net = fl.Network([(np.eye(3), None), (np.eye(3), None)], [[1.0, 0.5, -1.0]])
    assert net([[-1.0, -1.0, -1.0]]).tolist() == [[-1, -0.5, 1]]


# dtype --------------------------------------------------------------------------------------------


def test_lists_and_integers_follow_the_floats_beside_them():
    w32 = np.ones((2, 3), np.float32)
    assert fl.Network([(w32, [0, 1]), ([[1, 2]], None)]).dtype == np.float32
    assert fl.Network([(w32, [0.5, 1.5]), ([[1.0, 2.0]], [0.1])]).dtype == np.float32
    assert fl.Network([(w32, np.array([0, 1])), (np.array([[1, 2]]), None)]).dtype == np.float32
    assert fl.Network([([[1, 2]], [3])]).dtype == np.float64
    assert fl.Network([(np.array([[1, 2]]), None)]).dtype == np.float64


def test_weights_of_either_byte_order_and_any_strides_are_taken():
    layers, slopes = random_network(62, (5, 9, 3))
    swapped = [(w.astype(">f8"), b.astype(">f8")) for w, b in layers]
    strided = [(np.asfortranarray(w), b[::-1].copy()[::-1]) for w, b in layers]
    wanted = fl.Network(layers, slopes)
    for given in (swapped, strided):
        net = fl.Network(given, slopes)
        assert net == wanted
        assert all(array.dtype.isnative and array.flags.c_contiguous for array in arrays_of(net))


def test_astype_rounds_and_is_exact_upwards(dtype):
    layers, slopes = random_network(63, (5, 9, 3))
    net = fl.Network(layers, slopes)
    narrow = net.astype(np.float32)
    assert narrow.dtype == np.float32
    assert narrow == fl.Network(*networks.in_dtype((layers, slopes), np.float32))
    wide = narrow.astype("float64")
    assert wide.dtype == np.float64
    assert wide != net
    assert all((a == b).all() for a, b in zip(arrays_of(wide), arrays_of(narrow)))
    assert wide.astype(np.float32) == narrow
    assert net.astype(np.float64) == net


@pytest.mark.parametrize("kind", [np.float16, np.int64, complex, object, "U3", np.longdouble], ids=str)
def test_astype_refuses_other_dtypes(kind):
    with pytest.raises(TypeError, match="float32 or float64"):
        fl.Network(LAYERS).astype(kind)


def test_astype_refuses_weights_that_would_become_infinite():
    net = fl.Network([([[1e300]], None)])
    with pytest.raises(ValueError, match="finite float32"):
        net.astype(np.float32)


# Immutable ----------------------------------------------------------------------------------------


def test_nothing_can_be_set_or_deleted():
    net = fl.Network(LAYERS)
    for name in ("weights", "biases", "slopes", "digest", "import_check", "dtype", "n_in", "something"):
        with pytest.raises(AttributeError):
            setattr(net, name, None)
        with pytest.raises(AttributeError):
            delattr(net, name)


def test_the_arrays_cannot_be_written():
    net = fl.Network(LAYERS)
    for array in arrays_of(net):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0
    assert isinstance(net.weights, tuple)
    assert isinstance(net.biases, tuple)
    assert isinstance(net.slopes, tuple)


def test_the_callers_arrays_are_copied_and_stay_writeable(dtype):
    layers, slopes = random_network(64, (3, 5, 2), dtype)
    net = fl.Network(layers, slopes)
    points = random_points(65, 9, 3, dtype)
    before, digest = net(points), net.digest
    for array in [*(array for pair in layers for array in pair), *slopes]:
        array[...] = 7
    assert (net(points) == before).all()
    assert net.digest == digest == fl.Network(*random_network(64, (3, 5, 2), dtype)).digest


def test_a_refused_network_leaves_the_callers_arrays_as_they_were():
    layers, slopes = random_network(55, (3, 5, 2))
    layers[1][0][1, 2] = np.nan
    with pytest.raises(ValueError):
        fl.Network(layers, slopes)
    assert all(array.flags.writeable for array in [*(array for pair in layers for array in pair), *slopes])


# Equality -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "duplicate",
    [
        copy.copy,
        copy.deepcopy,
        *(lambda net, p=p: pickle.loads(pickle.dumps(net, p)) for p in range(2, pickle.HIGHEST_PROTOCOL + 1)),
    ],
)
def test_copies_are_equal_and_compute_the_same(duplicate, dtype):
    net = fl.Network(*random_network(66, (3, 9, 8, 2), dtype))
    again = duplicate(net)
    assert again == net
    assert hash(again) == hash(net)
    assert again.digest == net.digest
    assert not any(array.flags.writeable for array in arrays_of(again))
    points = random_points(67, 70, 3, dtype)
    for a, b in zip(again.evaluate(points), net.evaluate(points)):
        assert a.tobytes() == b.tobytes()


def test_a_network_without_folds_can_be_copied():
    for network in (networks.AFFINE, networks.NO_FOLDS):
        net = fl.Network(*network)
        assert pickle.loads(pickle.dumps(net)) == net


def test_the_digest_is_a_sha256_that_does_not_change():
    net = fl.Network(LAYERS)
    assert len(net.digest) == 64
    assert int(net.digest, 16) >= 0
    assert net.digest == fl.Network(copy.deepcopy(LAYERS)).digest


def test_any_difference_makes_networks_unequal(dtype):
    layers, slopes = random_network(68, (3, 4, 2), dtype)
    net = fl.Network(layers, slopes)
    found = {net}
    for i, pair in enumerate(layers):
        for j, array in enumerate(pair):
            for where in np.ndindex(array.shape):
                changed = [list(pair) for pair in layers]
                changed[i][j] = array.copy()
                changed[i][j][where] = np.nextafter(array[where], dtype(np.inf))
                found.add(fl.Network(changed, slopes))
    for where in range(4):
        changed = slopes[0].copy()
        changed[where] += 1
        found.add(fl.Network(layers, [changed]))
    found.add(net.astype(np.float64 if dtype is np.float32 else np.float32))
    assert len(found) == 1 + (4 * 3 + 4) + (2 * 4 + 2) + 4 + 1


def test_shapes_with_the_same_numbers_are_different_networks():
    wide, tall = fl.Network([(np.zeros((2, 3)), None)]), fl.Network([(np.zeros((4, 1)), None)])
    assert sum(a.size for a in arrays_of(wide)) == sum(a.size for a in arrays_of(tall))
    assert wide != tall


def test_a_network_is_equal_to_nothing_but_a_network():
    net = fl.Network(LAYERS)
    assert net != LAYERS
    assert net != net.digest
    assert {net: 1}[fl.Network(LAYERS)] == 1


# Refused ------------------------------------------------------------------------------------------

ONE = np.ones((1, 1))


@pytest.mark.parametrize(
    "layers, words",
    [
        ([], ["empty"]),
        ([()], ["layer 0", "0 items"]),
        ([(ONE,)], ["layer 0", "1 items"]),
        ([(ONE, [0.0]), (ONE, [0.0], "relu")], ["layer 1", "3 items"]),
        ([(np.ones(3), [0.0])], ["W of layer 0", "(3,)", "(n_out, n_in)"]),
        ([(1.0, [0.0])], ["W of layer 0", "()"]),
        ([(np.ones((1, 1, 1)), [0.0])], ["W of layer 0", "(1, 1, 1)"]),
        ([(np.ones((0, 3)), np.ones(0))], ["W of layer 0", "(0, 3)"]),
        ([(np.ones((3, 0)), np.ones(3))], ["W of layer 0", "(3, 0)"]),
        ([(np.ones((3, 2)), np.ones(2))], ["b of layer 0", "(2,)", "(3,)"]),
        ([(np.ones((3, 2)), np.ones((3, 1)))], ["b of layer 0", "(3, 1)", "(3,)"]),
        ([(np.ones((3, 2)), 0.0)], ["b of layer 0", "()", "(3,)"]),
        ([(np.ones((3, 2)), None), (np.ones((1, 4)), None)], ["W of layer 1", "(1, 4)", "(n_out, 3)"]),
        ([([[1.0, 2.0], [3.0]], None)], ["W of layer 0", "rectangular"]),
        ([(ONE, [[1.0], [2.0, 3.0]])], ["b of layer 0", "rectangular"]),
        ([(ONE * np.nan, None)], ["W of layer 0", "nan", "(0, 0)"]),
        ([(ONE, None), ([[1.0], [-np.inf]], None)], ["W of layer 1", "-inf", "(1, 0)"]),
        ([(ONE, [np.inf])], ["b of layer 0", "inf", "(0,)"]),
    ],
    ids=str,
)
def test_layers_that_do_not_fit_are_refused(layers, words):
    with pytest.raises(ValueError) as refused:
        fl.Network(layers)
    assert all(word in str(refused.value) for word in words), str(refused.value)


@pytest.mark.parametrize(
    "layers",
    [
        None,
        7,
        [7],
        [None],
        [(None, [0.0])],
        [(ONE + 0j, None)],
        [(ONE > 0, None)],
        [(ONE.astype(object), None)],
        [([["1.0"]], None)],
        [(ONE, ["0.0"])],
        [(ONE, [None])],
        [(ONE.astype(np.float16), None)],
        [(ONE.astype(np.longdouble), None)],
        [(ONE.astype(np.float32), np.zeros(1))],
        [(ONE, None), (ONE.astype(np.float32), None)],
    ],
    ids=repr,
)
def test_things_that_are_no_layers_are_refused(layers):
    with pytest.raises(TypeError):
        fl.Network(layers)


def test_a_name_is_checked_where_there_is_nothing_to_activate():
    with pytest.raises(ValueError, match="activation 'tanh'"):
        fl.Network([(ONE, None)], "tanh")


@pytest.mark.parametrize(
    "activation, error",
    [
        ("gelu", ValueError),
        ("ReLU", ValueError),
        (["relu", "relu"], ValueError),
        ([], ValueError),
        ([[0.0, 0.0]], ValueError),
        ([np.zeros((1, 1, 1))], ValueError),
        (np.nan, ValueError),
        ([[np.inf]], ValueError),
        (1j, TypeError),
        (None, TypeError),
        ([None], TypeError),
        ([["relu"]], TypeError),
        (True, TypeError),
    ],
    ids=str,
)
def test_activations_that_do_not_fit_are_refused(activation, error):
    with pytest.raises(error, match="activation"):
        fl.Network([(ONE, None), (ONE, None)], activation)
