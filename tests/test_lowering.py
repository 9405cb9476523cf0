"""Lowering gives a chain that computes what the graph computes, and changes nothing it need not."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foldline.errors import UnsupportedModelError
from foldline.lowering import Graph, concat, lower, rounding_bound

DTYPES = (np.float32, np.float64)


def run_chain(layers, slopes, points):
    a = points
    for (W, b), s in zip(layers, [*slopes, None]):
        a = a @ W.T.astype(float) + b
        if s is not None:
            a = np.where(a > 0, a, s * a)
    return a


def run_graph(build, points):
    """What `build` says, computed by NumPy on the points themselves."""
    return np.stack([np.ravel(build(Array(point[None]))) for point in points])


class Array(np.ndarray):
    """An ndarray that has the methods a `Tensor` has beyond those of one."""

    def __new__(cls, values):
        return np.asarray(values).view(cls)

    def relu(self):
        return np.where(self > 0, self, 0 * self).view(Array)

    def fold(self, slopes):
        return np.where(self > 0, self, slopes * self).view(Array)

    def maximum(self, other):
        return np.maximum(self, other)

    def minimum(self, other):
        return np.minimum(self, other)

    def clip(self, low, high):
        return np.minimum(np.maximum(self, -np.inf if low is None else low), np.inf if high is None else high)

    def rearrange(self, function):
        return function(self)


def join(values, axis):
    return np.concatenate(values, axis) if isinstance(values[0], np.ndarray) else concat(values, axis)


def check(build, n_in=3, dtype=np.float64):
    """Lower `build` and compare with NumPy; returns the chain."""
    graph = Graph(dtype)
    x = graph.input((1, n_in))
    y = build(x)
    layers, slopes = lower(x, y)
    points = np.random.default_rng(1).normal(size=(40, n_in)) * 3
    wanted = run_graph(build, points)
    unit = np.finfo(dtype).eps
    bound = rounding_bound(x, y, points, unit)
    assert (abs(run_chain(layers, slopes, points) - wanted) <= 8 * bound + 1e-300).all()
    assert all(W.dtype == b.dtype == dtype for W, b in layers) and all(s.dtype == dtype for s in slopes)
    return layers, slopes


RNG = np.random.default_rng(0)
A = RNG.normal(size=(3, 4))
B = RNG.normal(size=(4, 4))
C = RNG.normal(size=(4, 3))
v = RNG.normal(size=4)
WIDE = RNG.normal(size=(3, 20))


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_perceptron_keeps_its_weights_bit_for_bit(dtype):
    matrices = [m.astype(dtype) for m in (A, B, C)]
    matrices[1][0, 0] = -0.0
    matrices[0][1, 1] = np.finfo(dtype).smallest_subnormal
    biases = [RNG.normal(size=m.shape[1]).astype(dtype) for m in matrices]
    biases[1][2] = -0.0
    x = y = Graph(dtype).input((1, 3))
    for i, (m, b) in enumerate(zip(matrices, biases)):
        y = y @ m + b
        y = y.relu() if i < 2 else y
    layers, slopes = lower(x, y)
    assert [W.tobytes() for W, _ in layers] == [m.T.tobytes() for m in matrices]
    assert [b.tobytes() for _, b in layers] == [b.tobytes() for b in biases]
    assert [s.tolist() for s in slopes] == [[0.0] * 4] * 2


def test_shifting_by_zero_scaling_by_one_and_reshaping_leave_no_trace():
    def build(x):
        x = (x - np.zeros(3)) * np.ones((1, 3)) / 1.0
        x = x.rearrange(lambda a: a.reshape(3, 1)).rearrange(lambda a: a.reshape(1, 3))
        return (x @ A).relu() @ C

    (first, last), _ = check(build)
    assert np.array_equal(first[0], A.T) and np.array_equal(last[0], C.T)


def test_two_affine_maps_in_a_row_become_one():
    layers, slopes = check(lambda x: ((x * 2 - 1) @ A + v) @ B)
    assert len(layers) == 1 and slopes == []


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_scaled_weight_is_rounded_once(dtype):
    weights, scale, shift = (RNG.normal(size=s).astype(dtype) for s in ((3, 4), 3, 3))
    x = Graph(dtype).input((1, 3))
    ((W, b),), _ = lower(x, ((x - shift) / scale) @ weights)
    for i, j in np.ndindex(W.shape):
        exact = Fraction(float(weights[j, i])) / Fraction(float(scale[j]))
        assert abs(Fraction(float(W[i, j])) - exact) <= Fraction(float(np.spacing(abs(W[i, j])))) * Fraction(
            501, 1000
        )
    deviation, size = abs(b + weights.T @ (shift / scale)), abs(weights.T) @ abs(shift / scale)
    assert (deviation <= 4 * np.finfo(dtype).eps * size).all()


def test_a_residual_rides_on_pass_through_units_that_come_last():
    layers, slopes = check(lambda x: x + (x @ A).relu() @ C)
    assert [s.tolist() for s in slopes] == [[0, 0, 0, 0, 1, 1, 1]]
    assert np.array_equal(layers[0][0][4:], np.eye(3))


def test_a_trunk_of_residuals_does_not_grow_with_depth():
    def build(x):
        for _ in range(10):
            x = x + (x @ A).relu() @ C
        return x

    _, slopes = check(build)
    assert [len(s) for s in slopes] == [7] * 10


def test_only_the_units_still_needed_are_carried():
    def build(x):
        h = (x @ A).relu()
        return join([((h @ B).relu() @ B).relu(), x[:, :1]], 1)

    _, slopes = check(build)
    assert [(s == 1).sum() for s in slopes] == [1, 1, 1]


def test_a_wide_map_of_few_units_is_carried_as_those_units():
    def build(x):
        wide = x @ WIDE
        return (x @ A).relu() @ C @ WIDE + wide

    _, slopes = check(build)
    assert (slopes[0] == 1).sum() == 3


def test_a_narrow_map_of_many_units_is_carried_as_its_values():
    narrow = np.random.default_rng(4).normal(size=(9, 1))
    wide = np.random.default_rng(5).normal(size=(9, 2))
    _, slopes = check(lambda x: (x @ wide).relu() @ np.ones((2, 1)) + x @ narrow, n_in=9)
    assert (slopes[0] == 1).sum() == 1


def test_branches_of_one_depth_fold_in_one_layer():
    layers, slopes = check(lambda x: join([(x @ A).relu(), (x @ A[:, ::-1]).fold(-1.0), x.fold(0.25)], 1))
    assert [s.tolist() for s in slopes] == [[0] * 4 + [-1] * 4 + [0.25] * 3]


def test_a_fold_with_slope_one_is_no_fold():
    layers, slopes = check(lambda x: x.fold(1.0) @ A)
    assert len(layers) == 1


def test_slopes_may_differ_by_unit():
    _, slopes = check(lambda x: (x @ A).fold(np.array([0.0, 1.0, -1.0, 0.5])) @ B)
    assert slopes[0].tolist() == [0, 1, -1, 0.5]


@pytest.mark.parametrize(
    "low, high", [(0, 6), (-1, 1), (None, 2), (0.5, None), (-np.inf, 1), (2, -1), (1, 1)]
)
def test_clip_is_exact_in_structure(low, high):
    _, slopes = check(lambda x: (x @ A).clip(low, high) @ B)
    one_sided = low in (None, -np.inf) or high is None
    assert [len(s) for s in slopes] == [4 if one_sided else 8]


@pytest.mark.parametrize(
    "bounds", [(None, None), (-np.inf, np.inf), (-3.4028234663852886e38, 3.4028234663852886e38)]
)
def test_clip_without_effective_bounds_is_no_fold(bounds):
    layers, _ = check(lambda x: (x @ A).clip(*bounds), dtype=np.float32)
    assert len(layers) == 1


def test_maximum_and_minimum_of_two_tensors_and_with_constants():
    check(lambda x: (x @ A).maximum(x @ A[::-1]).minimum(1.5).maximum(v) @ B)


def test_the_sequential_maximum_matches_numpy():
    def build(x):
        m = x[:, :1]
        for i in range(1, 5):
            m = m.maximum(x[:, i : i + 1])
        return m

    check(build, n_in=5)


def test_tensors_broadcast_as_arrays_do():
    column = np.array([[1.0], [2.0]])
    check(lambda x: x + column)
    check(lambda x: (x * column).relu() - x)
    check(lambda x: 1.0 - x[0, :, None] * np.ones((1, 2)))


def test_products_from_either_side_and_of_any_rank():
    def stacked(x):
        return x.rearrange(lambda a: a.reshape(1, 2, 3))

    check(lambda x: (stacked(x) @ A).relu() @ B, n_in=6)
    check(lambda x: A.T @ x.rearrange(lambda a: a.reshape(3, 2)), n_in=6)
    check(lambda x: x.rearrange(lambda a: a[0]) @ A)
    check(lambda x: A.T @ x.rearrange(lambda a: a[0]))
    check(lambda x: x @ A[:, 0])
    check(lambda x: x @ A[None])
    check(lambda x: (stacked(x)[:, :, [0, 0, 2]] @ A).relu() * 3, n_in=6)


def test_a_rearranged_input_costs_no_arithmetic():
    ((W, _),), _ = check(lambda x: x[:, ::-1] @ A)
    assert np.array_equal(W, A[::-1].T)


def test_constants_are_joined_as_biases():
    x = Graph(np.float64).input((1, 2))
    ((W, b),), _ = lower(x, concat([x, np.array([[5.0, 6.0]])], 1))
    assert W.tolist() == [[1, 0], [0, 1], [0, 0], [0, 0]] and b.tolist() == [0, 0, 5, 6]


def test_batch_norm_is_its_formula():
    mean, var, scale, shift = (
        RNG.normal(size=4),
        RNG.uniform(0.5, 2, 4),
        RNG.normal(size=4),
        RNG.normal(size=4),
    )
    x = Graph(np.float64).input((1, 3))
    layers, slopes = lower(x, (x @ A).batch_norm(mean, var, scale, shift, 1e-5))
    points = RNG.normal(size=(5, 3))
    wanted = (points @ A - mean) / np.sqrt(var + 1e-5) * scale + shift
    assert np.allclose(run_chain(layers, slopes, points), wanted, rtol=1e-13, atol=1e-13)


def test_what_is_not_piecewise_linear_is_refused():
    x = Graph(np.float64).input((1, 3))
    for impossible in (lambda: x * x, lambda: x @ x, lambda: 1 / x, lambda: x / x):
        with pytest.raises(UnsupportedModelError, match="not piecewise linear"):
            impossible()


def test_shapes_that_do_not_fit_are_refused_with_both_shapes():
    x = Graph(np.float64).input((1, 3))
    with pytest.raises(ValueError, match=r"\(1, 3\).*\(4, 4\)"):
        x @ B
    with pytest.raises(ValueError):
        x + np.ones(2)


def test_absurd_sizes_are_refused_before_they_are_allocated():
    with pytest.raises(UnsupportedModelError, match="elements"):
        Graph(np.float32).input((1, 10**12))
    with pytest.raises(UnsupportedModelError, match="empty"):
        Graph(np.float32).input((1, 0))
    x = Graph(np.float32).input((1, 2**15))
    with pytest.raises(UnsupportedModelError, match="weights"):
        lower(x, x.relu())
    x = Graph(np.float32).input((1, 2))
    with pytest.raises(UnsupportedModelError, match="elements"):
        for _ in range(60):
            x = concat([x, x], 1)


def test_values_of_many_units_are_counted_before_they_are_repeated():
    x = Graph(np.float32).input((1, 2**13))
    y = (x @ np.ones((2**13, 2)))[:, np.zeros(2**14, int)]
    with pytest.raises(UnsupportedModelError, match=r"\(16384, 8192\), there are 134217728 weights"):
        lower(x, y)


def test_elements_that_a_product_takes_twice_need_no_matrix_of_all_it_takes():
    x = Graph(np.float64).input((1, 2**12))
    ((W, _),), _ = lower(x, x[:, np.arange(2**15) % 2**12] @ np.ones((2**15, 2)))
    assert W.shape == (2, 2**12) and (W == 8).all()


def test_zeros_in_a_product_round_nothing():
    x = Graph(np.float64).input((1, 4))
    points = RNG.normal(size=(5, 4))
    apart = concat([x[:, :2] @ A[:2], x[:, 2:] @ A[:2]], 1)
    together = x @ np.block([[A[:2], 0 * A[:2]], [0 * A[:2], A[:2]]])
    bounds = [rounding_bound(x, y, points, 2.0**-53) for y in (apart, together)]
    assert np.allclose(*bounds, rtol=1e-12, atol=0)


def test_a_chain_of_many_thousand_folds_is_lowered_without_recursion():
    x = y = Graph(np.float64).input((1, 1))
    for _ in range(5000):
        y = y.relu()
    layers, slopes = lower(x, y)
    assert len(slopes) == 5000


@st.composite
def programs(draw):
    """A random graph of three live tensors of width 4, as a list of steps."""
    step = st.tuples(
        st.sampled_from(["relu", "abs", "clip", "mix", "add", "sub", "max", "scale", "shift", "reverse"]),
        st.integers(0, 2),
        st.integers(0, 2),
        st.integers(0, 2),
    )
    return draw(st.lists(step, min_size=1, max_size=12))


@given(programs())
def test_any_graph_lowers_to_what_it_computes(program):
    def build(x):
        live = [x @ A, (x @ A)[:, ::-1], x @ A + v]
        for name, target, i, j in program:
            a, b = live[i], live[j]
            live[target] = {
                "relu": lambda a=a: a.relu(),
                "abs": lambda a=a: a.fold(-1.0),
                "clip": lambda a=a: a.clip(-1.0, 2.0),
                "mix": lambda a=a: a @ (B / 3),
                "add": lambda a=a, b=b: a + b,
                "sub": lambda a=a, b=b: a - b,
                "max": lambda a=a, b=b: a.maximum(b),
                "scale": lambda a=a: a * v,
                "shift": lambda a=a: a + v,
                "reverse": lambda a=a: a[:, ::-1],
            }[name]()
        return join(live, 1)

    check(build)
