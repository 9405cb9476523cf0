"""Bad input: one clear error that says what came and what was wanted, and nothing half-written."""

import re
from contextlib import contextmanager
from decimal import Decimal

import numpy as np
import pytest
from networks import random_network, random_points

import foldline as fl
from foldline import _core

CALLS = {
    "call": lambda net, points, **how: net(points, **how),
    "forward": lambda net, points, **how: net.forward(points, **how),
    "patterns": lambda net, points, **how: net.patterns(points, **how),
    "exact patterns": lambda net, points, **how: net.patterns(points, exact=True, **how),
    "evaluate": lambda net, points, **how: net.evaluate(points, **how),
    "preactivations": lambda net, points, **how: net.preactivations(points, **how),
    "local_affine": lambda net, points, **how: net.local_affine(points, **how),
    "linear_radius": lambda net, points, **how: fl.linear_radius(net, points, **how),
    "count_patterns": lambda net, points, **how: fl.count_patterns(net, points, **how),
}
every_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


@pytest.fixture
def net(dtype):
    return fl.Network(*random_network(50, (2, 9, 8, 3), dtype))


@contextmanager
def raises(error, *words):
    """The error is raised, and its message has all these words."""
    with pytest.raises(error) as refused:
        yield
    missing = [word for word in words if word not in str(refused.value)]
    assert not missing, f"{missing} not in the message: {refused.value}"


# Points -------------------------------------------------------------------------------------------


@every_call
@pytest.mark.parametrize("shape", [(), (2,), (0,), (5, 3), (5, 1), (0, 3), (2, 0), (4, 2, 1)], ids=str)
def test_points_of_the_wrong_shape_are_refused(call, shape, net, dtype):
    with raises(ValueError, "points", str(shape), "(n_points, 2)"):
        call(net, np.zeros(shape, dtype))


@every_call
@pytest.mark.parametrize(
    "kind", ["complex64", "complex128", "bool", "object", "U3", "S3", "M8[s]", "m8[s]", "V4", "float16"]
)
def test_points_that_are_not_real_numbers_are_refused(call, kind, net):
    points = np.zeros((5, 2), kind)
    with raises(TypeError, "points", str(points.dtype)):
        call(net, points)


@every_call
def test_points_of_the_other_precision_are_refused(call, net, dtype):
    for other in (np.float64 if dtype is np.float32 else np.float32, np.longdouble):
        with pytest.raises(TypeError, match="points") as refused:
            call(net, np.zeros((5, 2), other))
        assert np.dtype(other).name in str(refused.value)
        assert np.dtype(dtype).name in str(refused.value)


@every_call
@pytest.mark.parametrize(
    "points",
    [
        [["a", "b"]],
        [[None, 1.0]],
        [[1 + 2j, 1]],
        [[Decimal(1), Decimal(2)]],
        [[10**400, 1]],
        [[True, False]],
        None,
        {"x": 1},
        "points",
        object(),
    ],
    ids=repr,
)
def test_things_that_are_not_points_are_refused(call, points, net):
    with pytest.raises(TypeError, match="points"):
        call(net, points)


@every_call
def test_a_mask_is_not_ignored(call, net, dtype):
    for mask in (False, [[True, False]] * 5):
        with raises(TypeError, "points", "masked array", "filled"):
            call(net, np.ma.masked_array(np.zeros((5, 2), dtype), mask))


@every_call
@pytest.mark.parametrize("points", [[[1.0, 2.0], [3.0]], [[1, 2], 3], [[[1], [2]], [[3, 4], [5]]]], ids=repr)
def test_ragged_points_are_refused(call, points, net):
    with pytest.raises(ValueError, match="points"):
        call(net, points)


@every_call
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf], ids=str)
@pytest.mark.parametrize("workers", [1, 2])
def test_points_that_are_not_finite_are_refused_and_the_first_is_named(call, value, workers, net, dtype):
    for n_points, row, column in [(1, 0, 1), (3, 2, 0), (64, 63, 1), (65, 64, 0), (5000, 3077, 1)]:
        points = random_points(51, n_points, 2, dtype)
        points[row, column] = value
        if row + 100 < n_points:
            points[row + 100 :, 0] = np.nan if np.isinf(value) else np.inf
        for laid_out in (points, np.asfortranarray(points), points[::-1].copy()[::-1]):
            with pytest.raises(ValueError, match="points") as refused:
                call(net, laid_out, workers=workers)
            message = str(refused.value)
            assert re.search(rf"\b{row}\b.*\b{column}\b", message), message
            assert re.search(rf"(?<![\w-]){value}\b", message), message


def test_the_error_says_what_one_point_looks_like_and_how_to_convert(net, dtype):
    with raises(ValueError, "takes (n_points, 2)", "one point is [[0, 1]]"):
        net.local_affine([0, 1])
    other = np.dtype(np.float64 if dtype == np.float32 else np.float32)
    with pytest.raises(TypeError, match=rf"points.astype\(np.{net.dtype}\) converts") as refused:
        net(np.zeros((1, 2), other))
    assert ("net.astype(np.float64)" in str(refused.value)) == (dtype == np.float32)


def test_the_error_says_how_to_allow_points_that_are_not_finite(net, dtype):
    with raises(ValueError, "allow_nonfinite"):
        net(np.full((1, 2), np.nan, dtype))


@every_call
def test_lists_that_are_not_finite_in_the_networks_dtype_are_refused(call, net, dtype):
    for value in (np.nan, 1e39) if dtype is np.float32 else (np.nan, np.inf):
        with pytest.raises(ValueError, match="points"):
            call(net, [[0.0, 1.0], [value, 0.0]])


@pytest.mark.parametrize("workers", [1, 2])
def test_nothing_is_written_when_a_point_is_refused(workers, net, dtype):
    points = random_points(52, 5000, 2, dtype)
    points[4999, 1] = np.nan
    out = np.full((5000, 3), 7, dtype)
    with pytest.raises(ValueError, match="4999"):
        net.forward(points, out=out, workers=workers)
    assert (out == 7).all()


@every_call
def test_a_call_after_an_error_is_right(call, net, dtype):
    points = random_points(52, 70, 2, dtype)
    before = net(points)
    for bad in (np.full((70, 2), np.nan, dtype), points[:, :1], points.astype(complex)):
        with pytest.raises((ValueError, TypeError)):
            call(net, bad)
    assert net(points).tobytes() == before.tobytes()


# out= ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(5, 2), (4, 3), (6, 3), (15,), (3, 5), (5, 3, 1), (1, 5, 3), ()], ids=str)
def test_out_of_the_wrong_shape_is_refused(shape, net, dtype):
    out = np.full(shape, 7, dtype)
    with raises(ValueError, "out", str(shape), "(5, 3)"):
        net.forward(random_points(53, 5, 2, dtype), out=out)
    assert (out == 7).all()


@pytest.mark.parametrize("kind", ["float16", "int64", "complex128", "object", "bool", "other", "swapped"])
def test_out_of_the_wrong_dtype_is_refused(kind, net, dtype):
    other = {"other": "f8" if dtype is np.float32 else "f4", "swapped": np.dtype(dtype).newbyteorder()}
    out = np.ones((5, 3), other.get(kind, kind))
    with raises(TypeError, "out", str(out.dtype), np.dtype(dtype).name):
        net.forward(random_points(53, 5, 2, dtype), out=out)
    assert (out == 1).all()


@pytest.mark.parametrize("out", [[[0.0] * 3] * 5, (), "out", 7, True, memoryview(bytearray(120))], ids=str)
def test_out_that_is_no_array_is_refused(out, net, dtype):
    with raises(TypeError, "out", type(out).__name__):
        net.forward(random_points(53, 5, 2, dtype), out=out)


def test_a_read_only_out_is_refused(net, dtype):
    out = np.full((5, 3), 7, dtype)
    out.flags.writeable = False
    with raises(ValueError, "out", "read-only"):
        net.forward(random_points(53, 5, 2, dtype), out=out)
    assert (out == 7).all()


def test_an_out_that_is_not_aligned_is_refused(net, dtype):
    raw = np.full(1 + 15 * np.dtype(dtype).itemsize, 7, np.uint8)
    with raises(ValueError, "out", "aligned"):
        net.forward(random_points(53, 5, 2, dtype), out=raw[1:].view(dtype).reshape(5, 3))
    assert (raw == 7).all()


@pytest.mark.parametrize("n_points", [5, 64, 200])
def test_an_out_that_overlaps_the_points_is_refused(n_points, dtype):
    net = fl.Network(*random_network(54, (3, 9, 3), dtype))
    memory = np.arange(8.0 * n_points).astype(dtype)
    points = memory[: 3 * n_points].reshape(n_points, 3)
    for start in (0, 1, 3, 3 * n_points - 1):
        part = memory[start : start + 3 * n_points]
        out = part.reshape(n_points, 3)
        for view in (out, out[::-1], out[:, ::-1], part.reshape(3, n_points).T):
            with raises(ValueError, "out", "overlap"):
                net.forward(points, out=view)
    assert (memory == np.arange(8.0 * n_points)).all()
    beside = memory[3 * n_points : 6 * n_points].reshape(n_points, 3)
    wanted = net.forward(points)
    assert (net.forward(points, out=beside) == wanted).all()


def test_an_out_that_overlaps_itself_is_refused(net, dtype):
    memory = np.full(21, 7, dtype)
    item = memory.itemsize
    for strides in ((0, item), (item, item), (2 * item, item), (4 * item, 2 * item), (item, 4 * item)):
        out = np.lib.stride_tricks.as_strided(memory, (5, 3), strides)
        with raises(ValueError, "out", "overlap"):
            net.forward(random_points(53, 5, 2, dtype), out=out)
    assert (memory == 7).all()


# workers, norms, patterns, words ------------------------------------------------------------------


@every_call
@pytest.mark.parametrize("workers", [0, -1, -(2**70)], ids=str)
def test_fewer_than_one_worker_is_refused(call, workers, net, dtype):
    with raises(ValueError, "workers", str(workers)):
        call(net, np.zeros((5, 2), dtype), workers=workers)


@every_call
@pytest.mark.parametrize("workers", [1.5, 2.0, "2", None, [2], 1j, object], ids=str)
def test_workers_that_are_no_integer_and_no_executor_are_refused(call, workers, net, dtype):
    with raises(TypeError, "workers"):
        call(net, np.zeros((5, 2), dtype), workers=workers)


@every_call
def test_a_misspelt_option_is_refused(call, net, dtype):
    with raises(TypeError, "worker"):
        call(net, np.zeros((5, 2), dtype), worker=2)


@pytest.mark.parametrize("norm", ["inf ", "L2", "", 3, 0, -1, np.nan, -np.inf, None, 1.5], ids=repr)
def test_an_unknown_norm_is_refused_and_the_known_ones_are_named(norm, net, dtype):
    with raises((ValueError, TypeError), "norm", "inf", "1", "2"):
        fl.linear_radius(net, np.zeros((5, 2), dtype), norm=norm)


@pytest.mark.parametrize("function", [fl.linear_radius, fl.count_patterns], ids=lambda f: f.__name__)
@pytest.mark.parametrize("thing", [None, 1, [([[1.0]], [0.0])], fl.Network], ids=str)
def test_things_that_are_not_networks_are_refused(function, thing):
    with raises(TypeError, "Network"):
        function(thing, np.zeros((5, 2)))


def test_patterns_that_do_not_fit_are_refused():
    good = np.zeros((5, 2), np.uint8)
    for n_neurons in (0, 8, 17, 100):
        with raises(ValueError, "patterns", "(5, 2)", str(n_neurons)):
            fl.unpack_patterns(good, n_neurons)
    for shape in [(2,), (), (5, 2, 1)]:
        with raises(ValueError, "patterns", str(shape)):
            fl.unpack_patterns(np.zeros(shape, np.uint8), 12)
    for kind in ("int8", "int64", "bool", "float32", "object"):
        with raises(TypeError, "patterns", kind, "uint8"):
            fl.unpack_patterns(good.astype(kind), 12)
    with raises(ValueError, "n_neurons", "-1"):
        fl.unpack_patterns(good, -1)
    for n_neurons in (12.0, "12", None):
        with raises(TypeError, "n_neurons"):
            fl.unpack_patterns(good, n_neurons)


def test_a_count_refuses_blocks_that_do_not_fit(net, dtype):
    good = np.zeros((5, 2), dtype)
    with raises(ValueError, "points", "(5, 3)", "(n_points, 2)"):
        fl.count_patterns(net, iter([good, np.zeros((5, 3), dtype)]))
    with raises(TypeError, "points", "complex128"):
        fl.count_patterns(net, iter([good, good.astype(complex)]))
    with pytest.raises(ValueError, match="points"):
        fl.count_patterns(net, iter([good, good * np.nan]))


def test_an_error_of_the_callers_own_iterable_comes_through(net, dtype):
    def blocks():
        yield np.zeros((5, 2), dtype)
        raise KeyError("theirs")

    with raises(KeyError, "theirs"):
        fl.count_patterns(net, blocks())


# Numbers ------------------------------------------------------------------------------------------

NET = fl.Network(*random_network(55, (2, 5, 3), np.float64))
BOX = fl.Box(-1, 1, n_in=2)
INTS = {
    "chunk": lambda n: next(fl.iter_regions(NET, BOX, chunk=n)),
    "digits": lambda n: str(fl.explain(NET, BOX, digits=n)),
    "feature": lambda n: fl.check_monotone(NET, BOX, n),
    "most": lambda n: fl.explain(NET, BOX, most=n),
    "n": lambda n: fl.test_affine(NET, BOX, n=n),
    "n_in": lambda n: fl.Space(n),
    "n_neurons": lambda n: fl.unpack_patterns(np.zeros((1, 1), np.uint8), n),
    "output": lambda n: fl.plot.knots(NET, [0, 0], [1, 1], output=n),
    "seed": lambda n: fl.sample.uniform(BOX, 10, seed=n),
    "sign": lambda n: fl.check_monotone(NET, BOX, 0, sign=n),
    "workers": lambda n: NET(np.zeros((5, 2)), workers=n),
}


@pytest.mark.parametrize("name", INTS)
def test_ints_of_any_kind_are_taken_and_nothing_else_is(name):
    if name == "output":
        pytest.importorskip("matplotlib").use("Agg")
    for one in (1, np.int64(1), np.uint8(1)):
        INTS[name](one)
    for other in (True, np.True_, 1.0, np.float64(1), "1", [1], None, Decimal(1)):
        with raises(TypeError, f"{name} is ", repr(other), "wanted an int"):
            INTS[name](other)
    with raises(ValueError, f"{name} is -7", "wanted"):
        INTS[name](-7)


def test_a_time_limit_is_a_positive_number():
    for value in (5, 5.0, np.int64(5), np.float32(5), np.inf):
        assert fl.count_regions(NET, BOX, time_limit=value).count > 0
    for value in (0, -1, np.nan):
        with raises(ValueError, f"time_limit is {value}", "wanted more than 0"):
            fl.count_regions(NET, BOX, time_limit=value)
    for value in (True, "5", [5], 5j):
        with raises(TypeError, f"time_limit is {value!r}", "wanted a number"):
            fl.count_regions(NET, BOX, time_limit=value)


NETWORKS_FIRST = {
    "affine_radius": lambda net: fl.affine_radius(net, [[0.0, 0.0]]),
    "bounds": lambda net: fl.bounds(net, BOX),
    "breakpoints": lambda net: fl.breakpoints(net, 0, 1),
    "check_affine": lambda net: fl.check_affine(net, BOX),
    "check_convex": lambda net: fl.check_convex(net, BOX),
    "check_monotone": lambda net: fl.check_monotone(net, BOX, 0),
    "count_patterns": lambda net: fl.count_patterns(net, [[0.0, 0.0]]),
    "count_regions": lambda net: fl.count_regions(net, BOX),
    "explain": lambda net: fl.explain(net, BOX),
    "folds": lambda net: fl.folds(net, BOX),
    "is_linear_on_data": lambda net: fl.is_linear_on_data(net, [[0.0, 0.0]]),
    "iter_regions": lambda net: fl.iter_regions(net, BOX),
    "knots": lambda net: fl.knots(net, [0, 0], [1, 1]),
    "linear_radius": lambda net: fl.linear_radius(net, [[0.0, 0.0]]),
    "lipschitz": lambda net: fl.lipschitz(net, BOX),
    "plot.knots": lambda net: fl.plot.knots(net, [0, 0], [1, 1]),
    "regions": lambda net: fl.regions(net, BOX),
    "verify": lambda net: fl.check_affine(NET, BOX).witness.verify(net),
    "write_regions": lambda net: fl.write_regions(net, BOX, "regions"),
}


@pytest.mark.parametrize("name", NETWORKS_FIRST)
@pytest.mark.parametrize("thing", [5, "net.npz", fl.Network, BOX], ids=str)
def test_what_is_no_network_is_refused_in_the_same_words_everywhere(name, thing):
    with raises(TypeError, f"net is {type(thing).__name__}; wanted a Network", "fl.from_torch(module)"):
        NETWORKS_FIRST[name](thing)


# Flags, paths and other things --------------------------------------------------------------------

FLAGS = {
    "allow_nonfinite": lambda flag: NET(np.zeros((5, 2)), allow_nonfinite=flag),
    "certify": lambda flag: fl.count_regions(NET, BOX, certify=flag),
    "drop_final": lambda flag: fl.load("net.npz", drop_final=flag),
    "exact": lambda flag: NET.patterns(np.zeros((5, 2)), exact=flag),
    "extend": lambda flag: fl.knots(NET, [0, 0], [1, 1], extend=flag),
    "return_certain": lambda flag: NET.patterns(np.zeros((5, 2)), return_certain=flag),
    "sketch": lambda flag: fl.PatternCounter(NET, sketch=flag),
}


@pytest.mark.parametrize("name", FLAGS)
@pytest.mark.parametrize("flag", ["no", "", None, 1, 0.0, [True]], ids=repr)
def test_what_is_neither_true_nor_false_is_not_taken_for_it(name, flag):
    with raises(TypeError, f"{name} is {flag!r}; wanted True or False"):
        FLAGS[name](flag)


def test_flags_of_numpy_are_flags():
    assert fl.count_regions(NET, BOX, certify=np.False_).certified == "none"
    assert fl.count_regions(NET, BOX, certify=np.True_).certified == "exact"


PATHS = {
    "load": lambda path: fl.load(path),
    "load_proof": lambda path: fl.load_proof(path),
    "save": lambda path: NET.save(path),
    "Regions.load": lambda path: fl.Regions.load(path),
    "Regions.save": lambda path: fl.regions(NET, BOX).save(path),
    "Certificate.save": lambda path: fl.check_affine(NET, BOX).witness.save(path),
    "checkpoint": lambda path: fl.count_regions(NET, BOX, checkpoint=path),
}


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize("path", [3, b"net.npz", ["net.npz"], object], ids=repr)
def test_what_is_no_path_is_refused(name, path):
    argument = "checkpoint" if name == "checkpoint" else "path"
    with raises(TypeError, f"{argument} is {path!r}; wanted a path"):
        PATHS[name](path)


@pytest.mark.parametrize("norm", [[1], {}, np.array([1, 2]), True, object], ids=repr)
@pytest.mark.parametrize("function", ["linear_radius", "lipschitz", "affine_radius"])
def test_things_that_name_no_norm_are_refused(function, norm):
    about = BOX if function == "lipschitz" else [[0.0, 0.0]]
    with raises(ValueError, f"norm is {norm!r}; wanted ", "'inf'"):
        getattr(fl, function)(NET, about, norm=norm)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: fl.plot.regions(3), TypeError, ["result is int; wanted Regions"]),
        (lambda: fl.Network.from_knots("a", "b"), TypeError, ["x has dtype <U1; wanted real numbers"]),
        (lambda: fl.Network.from_knots([0, 1], "b"), TypeError, ["y has dtype <U1; wanted real numbers"]),
        (lambda: fl.Network.from_knots([0, [1]], [0, 1]), ValueError, ["x is not a rectangular array"]),
        (lambda: NET.astype("foo"), TypeError, ["dtype is 'foo'; wanted float32 or float64"]),
        (lambda: NET.astype("int64"), TypeError, ["dtype is 'int64'; wanted float32 or float64"]),
        (lambda: NET.astype(3), TypeError, ["dtype is 3; wanted float32 or float64"]),
        (lambda: fl.Box(0, 1, n_in="a"), TypeError, ["n_in is 'a'; wanted an int, at least 1"]),
        (lambda: fl.Box(0, 1, n_in=2.0), TypeError, ["n_in is 2.0; wanted an int, at least 1"]),
        (lambda: fl.Box(0, 1, n_in=-1), ValueError, ["n_in is -1; wanted an int, at least 1"]),
        (lambda: fl.Box(0, 1, n_in=0), ValueError, ["n_in is 0; wanted an int, at least 1"]),
        (lambda: fl.Box("a", 1, n_in=1), TypeError, ["low has dtype <U1; wanted real numbers"]),
        (lambda: fl.Box([0, [1]], 1), ValueError, ["low is not a rectangular array"]),
        (lambda: fl.breakpoints(NET, "a", 1), ValueError, ["net has 2 inputs; wanted 1"]),
        (
            lambda: fl.breakpoints(fl.Network.from_knots([0, 1], [0, 1]), "a", 1),
            TypeError,
            ["low is 'a'; wanted a finite number"],
        ),
    ],
)
def test_other_things_are_one_clear_error(call, error, words):
    with raises(error, *words):
        call()


# The instruction set ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["avx3", "AVX2", "baseline ", "sse", "avx512,avx2", "\u00e9"], ids=ascii)
def test_a_misspelt_instruction_set_is_a_loud_error_that_lists_the_names(name, run_python):
    names = run_python("from foldline import _core; print(*_core.isa_available())").stdout.split()
    assert "baseline" in names
    failed = run_python("import foldline as fl; fl.Network([([[1.0]], None)]); print('built')", isa=name)
    assert failed.returncode != 0
    assert "built" not in failed.stdout
    message = failed.stderr.strip().splitlines()[-1]
    assert re.match(r"(ValueError|ImportError)\b", message), failed.stderr
    assert "FOLDLINE_ISA" in message
    assert name in message or ascii(name)[1:-1] in message
    assert all(known in message for known in names)
    failed = run_python("import sys, foldline.cli; sys.exit(foldline.cli.main(['demo']))", isa=name)
    assert failed.returncode == 2
    assert failed.stderr.startswith("foldline: ") and failed.stderr.count("\n") == 1


# The core -----------------------------------------------------------------------------------------


def test_every_status_of_the_core_but_success_is_an_exception():
    assert set(_core.STATUS_ERRORS) == set(range(1, _core.STATUS_COUNT))
    assert all(issubclass(kind, Exception) and message for kind, message in _core.STATUS_ERRORS.values())
