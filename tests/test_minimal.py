"""Enough to trust a wheel: one file that needs NumPy and pytest and nothing beside it."""

import pickle
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

import foldline as fl

SIZES = (0, 1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129)
SHAPES = ((3, 2), (1, 1, 1), (2, 7, 3), (2, 16, 16, 1), (3, 50, 9, 8, 2), (33, 6, 70, 65, 12, 10))
every_shape = pytest.mark.parametrize("widths", SHAPES, ids=lambda w: "-".join(map(str, w)))


@pytest.fixture(params=[np.float32, np.float64], ids=["float32", "float64"])
def dtype(request):
    return request.param


def random_network(widths, dtype, seed=0):
    """(layers, slopes): slopes of every kind, 1 among them."""
    rng = np.random.default_rng(seed)
    layers = [
        ((rng.standard_normal((n, m)) / np.sqrt(m)).astype(dtype), rng.standard_normal(n).astype(dtype))
        for m, n in pairwise(widths)
    ]
    return layers, [rng.choice([0, 0, 0.01, -1, 1], n).astype(dtype) for n in widths[1:-1]]


def random_points(n_points, n_in, dtype, seed=1):
    return np.random.default_rng(seed).standard_normal((n_points, n_in)).astype(dtype)


def exact(layers, slopes, point):
    """Bits and outputs of a point in rational arithmetic, and how far floats may be from the outputs.

    The bound is gamma_(n+2) (|W| |a| + |b|) + |W| e for a layer of n inputs whose activations a are
    off by at most e, in which one more rounding is granted to the fold.
    """
    unit = Fraction(float(np.finfo(layers[0][0].dtype).eps)) / 2
    a, e, bits = [Fraction(float(x)) for x in point], [Fraction(0)] * len(point), []
    for i, (w, b) in enumerate(layers):
        rounding = (len(a) + 3) * unit
        z, error = [], []
        for row, c in zip(w.tolist(), b.tolist()):
            row, c = [Fraction(v) for v in row], Fraction(c)
            z.append(sum((v * x for v, x in zip(row, a)), c))
            size = sum((abs(v) * (abs(x) + d) for v, x, d in zip(row, a, e)), abs(c))
            error.append(rounding * size + sum(abs(v) * d for v, d in zip(row, e)))
        if i == len(slopes):
            return bits, z, error
        slope = [Fraction(s) for s in slopes[i].tolist()]
        bits += [x > 0 for x, s in zip(z, slope) if s != 1]
        a = [x if x > 0 else s * x for x, s in zip(z, slope)]
        e = [max(1, abs(s)) * d * (1 + unit) + abs(s) * unit * abs(x) for x, d, s in zip(z, error, slope)]


@every_shape
def test_outputs_are_right_and_certain_bits_are_exact(widths, dtype):
    layers, slopes = random_network(widths, dtype)
    net = fl.Network(layers, slopes)
    points = random_points(10, widths[0], dtype)
    outputs, _ = net.evaluate(points)
    patterns, certain = net.patterns(points, return_certain=True)
    proved = fl.unpack_patterns(net.patterns(points, exact=True), net.n_neurons)
    found = fl.unpack_patterns(patterns, net.n_neurons)
    assert certain.sum() >= 7
    for i, point in enumerate(points):
        bits, wanted, bound = exact(layers, slopes, point)
        assert proved[i].tolist() == bits
        assert not certain[i] or found[i].tolist() == bits
        for got, value, allowed in zip(outputs[i].tolist(), wanted, bound, strict=True):
            assert abs(Fraction(got) - value) <= allowed


@every_shape
def test_the_same_bits_for_every_batch_and_any_workers(widths, dtype):
    net = fl.Network(*random_network(widths, dtype))
    points = random_points(5000, widths[0], dtype)
    outputs, patterns = net.evaluate(points)
    maps, offsets = net.local_affine(points[:129])
    assert net(points).tobytes() == outputs.tobytes()
    assert net.patterns(points).tobytes() == patterns.tobytes()
    assert net.forward(points, workers=2).tobytes() == outputs.tobytes()
    assert net.patterns(points, workers=2).tobytes() == patterns.tobytes()
    for size in SIZES:
        for part in (slice(size), slice(129 - size, 129)):
            some = net.evaluate(points[part])
            assert some[0].tobytes() == outputs[part].tobytes()
            assert some[1].tobytes() == patterns[part].tobytes()
            a, b = net.local_affine(points[part])
            assert a.tobytes() == maps[part].tobytes()
            assert b.tobytes() == offsets[part].tobytes()
    for i in range(130):
        assert net(points[i : i + 1]).tobytes() == outputs[i].tobytes()


@every_shape
def test_bits_are_the_signs_of_preactivations_lowest_bit_first(widths, dtype):
    net = fl.Network(*random_network(widths, dtype))
    points = random_points(70, widths[0], dtype)
    z = net.preactivations(points)
    assert z.shape == (70, net.n_neurons)
    patterns = net.patterns(points)
    assert patterns.shape == (70, (net.n_neurons + 7) // 8)
    assert (np.packbits(z > 0, axis=1, bitorder="little") == patterns).all()
    assert (fl.unpack_patterns(patterns, net.n_neurons) == (z > 0)).all()


def test_points_and_out_may_lie_anywhere(dtype):
    net = fl.Network(*random_network((3, 50, 9, 8, 2), dtype))
    points = random_points(130, 3, dtype)
    outputs = net(points)
    spread = np.full((260, 9), np.nan, dtype)[::-2, ::3]
    spread[...] = points
    raw = np.frombuffer(b"\0" + points.tobytes(), np.uint8)[1:].view(dtype).reshape(130, 3)
    for laid_out in (np.asfortranarray(points), spread, raw, points[::-1].copy()[::-1]):
        assert net(laid_out).tobytes() == outputs.tobytes()
    around = np.zeros((132, 8), dtype)
    out = around[1:-1, 6:1:-3]
    assert net.forward(points, out=out) is out
    assert (out == outputs).all()
    out[...] = 0
    assert not around.any(), "only out is written"


def test_the_sawtooth_is_exact(dtype):
    first, again, last = ([[1], [1]], [0, -0.5]), ([[2, -4], [2, -4]], [0, -0.5]), ([[2, -4]], [0])
    layers = [(np.array(w, dtype), np.array(b, dtype)) for w, b in (first, *[again] * 5, last)]
    net = fl.Network(layers)
    points = np.arange(129, dtype=dtype)[:, None] / 128
    outputs, patterns = net.evaluate(points)
    assert outputs[:, 0].tolist() == [0, 0.5, 1, 0.5] * 32 + [0]
    assert (patterns == net.patterns(points, exact=True)).all()
    between = points[:-1:2] + dtype(1 / 128)
    count = fl.count_patterns(net, np.concatenate([between, between[:10]]))
    assert (count.distinct, count.n_points, count.singletons) == (64, 74, 54)
    a, b = net.local_affine(between)
    assert abs(a).ravel().tolist() == [64] * 64
    assert (a[:, :, 0] * between + b == 0.5).all()


def test_the_distance_to_the_nearest_fold(dtype):
    first = np.array([[3, 4], [1, 0]], dtype), np.array([0, -10], dtype)
    net = fl.Network([first, (np.ones((1, 2), dtype), None)])
    for norm, distance in {"2": 1, "inf": 5 / 7, "1": 5 / 4}.items():
        radius = fl.linear_radius(net, np.array([[1, 0.5]], dtype), norm=norm)[0]
        assert 0.999 * distance <= radius <= distance


def test_zero_is_inactive_and_doubtful_signs_are_not_certain(dtype):
    tiny = np.finfo(dtype).eps / 4
    net = fl.Network([(np.ones((1, 3), dtype), None), (np.ones((1, 1), dtype), None)])
    points = np.array([[0, 0, 0], [1, tiny, -1], [1, -tiny, -1], [1, 1, 1], [-1, -1, -1]], dtype)
    _, certain = net.patterns(points, return_certain=True)
    assert certain.tolist() == [True, False, False, True, True]
    assert net.patterns(points, exact=True).ravel().tolist() == [0, 1, 0, 1, 0]


def test_networks_survive_pickling(dtype):
    net = fl.Network(*random_network((3, 50, 9, 8, 2), dtype))
    again = pickle.loads(pickle.dumps(net))
    points = random_points(9, 3, dtype)
    assert again == net
    assert hash(again) == hash(net)
    assert again(points).tobytes() == net(points).tobytes()


def test_bad_input_is_refused(dtype):
    net = fl.Network(*random_network((3, 5, 2), dtype))
    points = random_points(9, 3, dtype)
    other = np.float64 if dtype is np.float32 else np.float32
    for bad in (points[:, :2], points[0], points[None], np.where(points > 0, dtype(np.nan), points)):
        with pytest.raises(ValueError, match="points"):
            net(bad)
    for bad in (points.astype(other), points.astype(complex), points.astype(object), points > 0, "points"):
        with pytest.raises(TypeError, match="points"):
            net(bad)
    memory = np.zeros((9, 5), dtype)
    for out in (np.empty((9, 3), dtype), np.broadcast_to(dtype(0), (9, 2)), memory[:, 2:4]):
        with pytest.raises(ValueError, match="out"):
            net.forward(memory[:, :3], out=out)
    with pytest.raises(TypeError, match="out"):
        net.forward(points, out=np.empty((9, 2), other))
    with pytest.raises(ValueError, match="workers"):
        net(points, workers=0)
    with pytest.raises(ValueError):
        fl.Network([(np.full((1, 1), np.nan), None)])
