"""Formulas that are read aloud must be true: against evaluation in fractions, and word for word."""

import itertools
import json
import math
import re
import time
import tracemalloc
from fractions import Fraction

import networks
import numpy as np
import pytest
from test_regions import integer_network, network

import foldline as fl
from foldline import cli
from foldline.demo import diabetes
from foldline.explanation import Explanation, HalfSpace, Piece
from foldline.frames import Frame
from foldline.wording import Writer

TWO_NEURONS = fl.Network([([[1.0, 2.0], [3.0, -1.0]], None), ([[2.0, -1.0]], None)])
SMALL = [k for k in networks.KNOWN if k.linear is not None and k.activation <= 40]


def output(net, point):
    """f(point) in fractions."""
    a = fractions(point)
    slopes = [*net.slopes, np.ones(net.n_out)]
    for w, b, s in zip(net.weights, net.biases, slopes):
        rows = [fractions(row) for row in np.column_stack([w, b]).tolist()]
        z = [sum(m * x for m, x in zip(row, [*a, 1])) for row in rows]
        a = [v if v > 0 else Fraction(k) * v for v, k in zip(z, s.tolist())]
    return a


def fractions(values):
    return [Fraction(v) for v in values]


def is_inside(part, point):
    return all(sum(c * x for c, x in zip(h.coefficients, point)) + h.constant > 0 for h in part)


def dyadic_points(low, high, n, d, seed=0):
    """Random points that are on no fold of small integers."""
    rng = np.random.default_rng(seed)
    steps = rng.integers(1, 2**30, (n, d))
    ends = list(zip(fractions(low), fractions(high)))
    return [[a + (b - a) * Fraction(s, 2**30) for (a, b), s in zip(ends, row)] for row in steps.tolist()]


def check_pieces(net, found, points, place=lambda point: point):
    """Each point, in the coordinates shown, is in one part of one piece, whose formula is the network."""
    for point in points:
        holding = [p for p in found.pieces for part in p.parts if is_inside(part, point)]
        assert len(holding) == 1
        for row, value in zip(holding[0].maps, output(net, place(point))):
            assert sum(c * x for c, x in zip(row, point)) + row[-1] == value


@pytest.mark.parametrize("known", SMALL, ids=lambda k: k.name)
def test_known_networks_have_their_linear_pieces_and_every_formula_is_the_network(known):
    net = network(*known.network)
    low, high = [known.low] * known.n_in, [known.high] * known.n_in
    found = fl.explain(net, fl.Box(low, high), most=1000)
    assert found.n_pieces == len(found.pieces) == known.linear
    assert found.n_regions == known.activation == sum(p.n_regions for p in found.pieces)
    assert math.isclose(sum(p.share for p in found.pieces), 1, rel_tol=1e-12)
    check_pieces(net, found, dyadic_points(low, high, 20, known.n_in))


@pytest.mark.parametrize("seed", range(6))
def test_on_small_integers_pieces_tile_the_domain_and_formulas_hold(seed):
    n_in = 1 + seed % 3
    net = integer_network(seed, (n_in, 4, 3, 2), bias=seed % 2 == 0)
    center = [0.5] * n_in
    found = fl.explain(net, fl.Ball(center, 1.5), most=1000)
    assert found.n_pieces == fl.count_regions(net, fl.Ball(center, 1.5), kind="linear").count
    check_pieces(net, found, dyadic_points([-1.0] * n_in, [2.0] * n_in, 30, n_in))


def test_slices_are_explained_in_the_inputs_that_vary_or_in_their_own_coordinates():
    net = integer_network(1, (3, 4, 3, 1))
    plane = fl.Plane([0.25, 1.0, 0.0], [0.0, 0.0, 2.0], [-0.5, 0.0, 0.0])
    found = fl.explain(net, plane, names=["a", "b", "c"], most=100)
    assert found.names == ("c", "a") and found.where == "on -2 < c < 2, -0.25 < a < 0.75, with b = 1"
    points = dyadic_points([-2.0, -0.25], [2.0, 0.75], 30, 2)
    check_pieces(net, found, points, lambda p: (p[1], 1, p[0]))
    found = fl.explain(net, fl.Plane([0, 0, 0], [1, 1, 0], [0, 0, 1]), most=100)
    assert found.names == ("s", "t")
    check_pieces(net, found, dyadic_points([-1, -1], [1, 1], 30, 2), lambda p: (p[0], p[0], p[1]))
    found = fl.explain(net, fl.Segment([-1, 1, 0.5], [3, 1, 0.5]), most=100)
    check_pieces(net, found, dyadic_points([-1], [3], 30, 1), lambda p: (p[0], 1, 0.5))
    ends = [max(part[0].coefficients) for p in found.pieces[:1] for part in p.parts]
    assert len(ends) == 1 and str(found).index("with x2 = 1, x3 = 0.5")


def test_every_half_space_that_is_listed_is_needed():
    net = fl.Network([([[1.0, 0.0], [1.0, 1.0], [1.0, 4.0]], [0.0, 0.0, 8.0]), ([[1.0, 1.0, 1.0]], None)])
    found = fl.explain(net, fl.Box(-1, 1, n_in=2))
    # The third fold is outside the box; each of the others cuts every piece.
    assert [[len(part) for part in p.parts] for p in found.pieces] == [[2]] * 4


def test_pieces_that_are_not_convex_are_unions_of_convex_parts():
    text = str(fl.explain(network(*networks.MIN_OF_RELUS), fl.Box(-1, 1, n_in=2)))
    assert text == """\
3 linear pieces on -1 < x1, x2 < 1:

75.0%  y = 0   where  x1 < 0
               or     x1 > 0 and x2 < 0
12.5%  y = x1  where  x1 > 0 and x1 - x2 < 0
12.5%  y = x2  where  x2 > 0 and x1 - x2 > 0"""


def test_two_neurons_on_a_box_and_with_names():
    text = str(fl.explain(TWO_NEURONS, fl.Box(-1, 1, n_in=2), names=["dose", "age"]))
    assert "22.9%  y = 2 dose + 4 age  where  dose + 2 age > 0 and 3 dose - age < 0" in text
    assert "rounded" not in text


def test_opposite_neurons_that_cancel_are_one_formula():
    net = network(*networks.two_neurons([1, 2], [-2, -4], [2, -1]))
    text = str(fl.explain(net, fl.Space(2)))
    assert text == "One formula on all of space:\n\ny = 2 x1 + 4 x2  everywhere"


def test_what_is_rounded_says_so_and_small_numbers_never_become_zero():
    writer = Writer(("x", "z"))
    assert writer.formula((Fraction(3, 2), Fraction(-1)), Fraction(1, 64)) == "1.5 x - z + 0.015625"
    assert writer.number(Fraction(0.1)) == "0.1" and not writer.rounded
    assert writer.number(Fraction(1, 3)) == "0.333" and writer.rounded
    nearly_1, tiny = Fraction(2999999999, 3 * 10**9), Fraction(-1, 3 * 10**12)
    assert writer.formula((nearly_1, tiny)) == "1.00 x - 3.33e-13 z"
    assert writer.number(Fraction(123456789, 1000)) == "123457"
    assert writer.number(Fraction(10**400)) == "1.00e+400"
    assert Writer(("x", "z"), latex=True).number(Fraction(-1, 3 * 10**12)) == r"-3.33 \cdot 10^{-13}"
    text = str(fl.explain(fl.Network([([[1.0]], None), ([[np.pi]], None)]), fl.Box(-1, 1, n_in=1)))
    assert "y = 3.14 x1" in text and "rounded to 3 digits, or to a whole" in text


def test_a_number_stays_on_the_line_of_its_variable():
    net = fl.Network(*networks.random_network(0, (12, 2, 1), slopes=0))
    lines = str(fl.explain(net, fl.Box(-1, 1, n_in=12), max_regions=4)).splitlines()
    assert max(map(len, lines)) <= 96 and sum("x12" in line for line in lines) > 4
    assert not any(re.search(r"[-+\d]\n *x", "\n".join(pair)) for pair in itertools.pairwise(lines))


def test_half_spaces_in_json_are_exact():
    big, third = 2**200 + 1, Fraction(1, 3)
    part = (HalfSpace((Fraction(big), third), Fraction(1, 2)),)
    piece = Piece(((Fraction(1), Fraction(0)),), 1.0, 1, (part,))
    found = Explanation((piece,), 1, 1, 0, ("x1",), "", 3, None)
    assert found.to_dict()["pieces"][0]["parts"] == [[{"coefficients": [big, "1/3"], "constant": 0.5}]]


def test_parallel_half_spaces_make_one_condition_and_integers_stay_integers():
    forms = [(2, 4, 3), (-1, -2, 5), (0, Fraction(-1, 2), Fraction(1, 8)), (Fraction(1, 3), Fraction(0.7), 1)]
    conditions = Writer(("x", "z")).half_spaces(forms)
    assert conditions[:2] == ["-3 < 2 x + 4 z < 10", "z < 0.25"]
    assert conditions[2] == "0.476 x + z > -1.43"


def test_the_largest_pieces_of_a_larger_network_come_first_and_tell_what_they_leave_out():
    net = network(*networks.random_network(3, (2, 12, 8, 1), slopes=0))
    found, r = fl.explain(net, fl.Box(-1, 1, n_in=2), most=3), fl.regions(net, fl.Box(-1, 1, n_in=2))
    np.testing.assert_allclose([p.share for p in found.pieces], np.sort(r.volumes)[:-4:-1] / 4)
    left = 1 - found.share
    assert f"{len(r) - 3} smaller pieces are left out, {left:.1%} of the domain." in str(found)


@pytest.mark.parametrize("limit", [{}, {"max_regions": 5}])
def test_where_not_all_are_found_a_sample_ranks_them_and_formulas_are_exact_all_the_same(limit):
    n_in = 3 if limit else 8
    net = network(*networks.random_network(4, (n_in, 8, 4, 1), slopes=0))
    box = fl.Box(-1, 1, n_in=n_in)
    found = fl.explain(net, box, most=4, **limit)
    assert found.n_pieces is None and found.n_samples == 2**18
    points = np.random.default_rng(5).uniform(-1, 1, (3000, n_in))
    held = [[p for p in found.pieces if is_inside(p.parts[0], fractions(x))] for x in points.tolist()]
    assert abs(np.mean([bool(h) for h in held]) - found.share) < 0.05
    for x, pieces in [(x, h) for x, h in zip(points.tolist(), held) if h][:20]:
        (row,) = pieces[0].maps
        assert sum(c * Fraction(v) for c, v in zip(row, x)) + row[-1] == output(net, x)[0]
    words = " ".join(str(found).split())
    assert "Shares are estimated from 262,144 random points" in words
    assert f"there may be more. {1 - found.share:.1%} of the points are in none listed." in words
    assert str(found).startswith("The 4 largest pieces seen by a sample of 262,144 points on -1 < x1, ")


def test_in_very_many_dimensions_memory_is_small_and_a_time_limit_kept():
    net = network(*networks.random_network(5, (784, 20, 8, 1), slopes=0))
    begin = time.monotonic()
    found = fl.explain(net, fl.Box(0, 1, n_in=784), most=2, time_limit=1.0)
    assert time.monotonic() - begin < 3
    assert found.n_pieces is None and 1 <= len(found.pieces) <= 2
    tracemalloc.start()
    fl.explain(net, fl.Box(0, 1, n_in=784), most=1, time_limit=1.0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 200 * 2**20


def test_markdown_has_a_row_a_piece_and_latex_a_case_for_each():
    found = fl.explain(TWO_NEURONS, fl.Box(-1, 1, n_in=2))
    rows = [line for line in found._repr_markdown_().splitlines() if line.startswith("|")]
    assert rows[0] == "| share | formula | where |" and len(rows) == 2 + 4
    assert rows[2] == "| 27.1% | `y = 0` | `x1 + 2 x2 < 0 and 3 x1 - x2 < 0` |"
    latex = found._repr_latex_()
    assert latex.startswith("$\\displaystyle y = \\begin{cases}\n0 & x_{1} + 2\\,x_{2} < 0,\\ 3\\,x_{1}")
    assert latex.count(r"\\") == 3 and latex.count("{") == latex.count("}")
    two = fl.explain(integer_network(0, (2, 3, 2)), fl.Box(-1, 1, n_in=2), names=["a b", "c_1"])
    assert r"\mathrm{a\ b}" in two.to_latex() and two.to_latex().count("cases") == 4
    assert "y1 = " in str(two) and "<br>`y2 = " in two.to_markdown()


def test_many_conditions_are_cut_short_and_counted():
    angles = np.arange(11) * 2 * np.pi / 11
    rows = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    net = fl.Network([(rows, np.full(11, 0.5)), (np.arange(1.0, 12)[None], None)])
    found = fl.explain(net, fl.Box(-1, 1, n_in=2), most=1)
    assert len(found.pieces[0].parts[0]) == 11
    conditions = str(found).split("where")[1].split("\n\n")[0]
    assert conditions.count(" and") == 5 and conditions.endswith("and 6 more")


def test_bad_questions_say_what_came_and_what_was_wanted():
    net, box = TWO_NEURONS, fl.Box(-1, 1, n_in=2)
    for arguments, message in (
        ({"names": ["a"]}, r"names is \('a',\); wanted 2 different ones"),
        ({"names": ["a", "a"]}, "wanted 2 different ones"),
        ({"most": 0}, "most is 0; wanted an int, at least 1"),
        ({"digits": 0}, "digits is 0"),
        ({"max_regions": -1}, "max_regions is -1; wanted an int, at least 1"),
    ):
        with pytest.raises(ValueError, match=message):
            fl.explain(net, box, **arguments)
    for names in ("ab", [1, 2], ["a", ""]):
        with pytest.raises(TypeError, match="names is"):
            fl.explain(net, box, names)
    with pytest.raises(TypeError, match="digits is 2.5; wanted an int, at least 1"):
        fl.explain(net, box, digits=2.5)
    with pytest.raises(ValueError, match=r"layer 1 has biases.*wanted a bounded domain, such as fl.Box"):
        fl.explain(network(*networks.HAT), fl.Space(1))
    with pytest.raises(ValueError, match="the domain has 3 inputs; this network takes 2"):
        fl.explain(net, fl.Box(-1, 1, n_in=3))


def test_polytopes_are_said_in_words():
    triangle = fl.Polytope([[-1, 0], [0, -1], [1, 1]], [0, 0, 1])
    assert Frame(triangle, ("x1", "x2")).where(3) == "on x1 > 0, x2 > 0, x1 + x2 < 1"
    found = fl.explain(TWO_NEURONS, triangle)
    check_pieces(TWO_NEURONS, found, [[Fraction(1, 7), Fraction(i, 11)] for i in range(1, 9)])


def test_the_demo_network_is_explained_along_one_measurement():
    net, metadata = diabetes.load()
    names = list(metadata["features"])
    k = names.index("bmi")
    ends = np.array([metadata["mean"]] * 2)
    ends[:, k] = metadata["low"][k], metadata["high"][k]
    found = fl.explain(net, fl.Segment(*ends), names, most=5)
    assert found.names == ("bmi",) and re.search(r"y = \d\.\d\d bmi [+-] \d", str(found))
    x = np.float32(ends[:1])
    for p in found.pieces:
        (h, *_) = p.parts[0]
        x[0, k] = float(-h.constant / h.coefficients[0]) + (1e-3 if h.coefficients[0] > 0 else -1e-3)
        assert abs(p.A[0, 0] * x[0, k] + p.b[0] - net(x)[0, 0]) < 1e-2


@pytest.fixture
def model(tmp_path):
    TWO_NEURONS.save(tmp_path / "net.npz")
    return str(tmp_path / "net.npz")


def test_the_command_prints_text_markdown_latex_or_json(capsys, model):
    assert cli.main(["explain", model, "--space", "--names", "a,b"]) == 0
    assert "y = -a + 5 b   where  a + 2 b > 0 and 3 a - b > 0" in capsys.readouterr().out
    for name, start in (("markdown", "4 linear pieces"), ("latex", "y = \\begin{cases}")):
        assert cli.main(["explain", model, "--format", name]) == 0
        assert capsys.readouterr().out.startswith(start)
    assert cli.main(["explain", model, "--json", "--low=-1,-2"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["n_pieces"] == 4 and math.isclose(facts["share"], 1)
    assert {tuple(itertools.chain(*p["A"])) for p in facts["pieces"]} == {(0, 0), (-1, 5), (-3, 1), (2, 4)}
    assert cli.main(["explain", model, "--max-regions", "2"]) == 3


def test_the_command_explains_slices_of_the_box(capsys, model):
    assert cli.main(["explain", model, "--vary", "x2", "--at", "1,0", "--high", "3"]) == 0
    assert "on -1 < x2 < 3, with x1 = 1" in capsys.readouterr().out
    assert cli.main(["explain", model, "--vary", "x2,x1"]) == 0
    assert "on -1 < x2, x1 < 1:" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--vary", "z"], "--vary is z; wanted one or two different ones of x1,x2"),
        (["--vary", "x1,x1"], "wanted one or two different ones"),
        (["--at", "1,2"], "wanted --vary as well"),
        (["--vary", "x1", "--at", "1"], "--at has 1 values; wanted 2"),
        (["--space", "--vary", "x1"], "it takes no --vary"),
        (["--names", "a"], "wanted 2 different ones"),
    ],
)
def test_the_command_refuses_what_makes_no_sense(capsys, model, arguments, message):
    assert cli.main(["explain", model, *arguments]) == 2
    assert message in capsys.readouterr().err


def test_networks_without_neurons_are_sampled_too():
    net = fl.Network([([[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]], [0.5])])
    assert "y = x1 + 2 x2" in str(fl.explain(net, fl.Box(-1, 1, n_in=7)))
