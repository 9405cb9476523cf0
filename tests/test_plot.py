"""Pictures: what is drawn is what was found."""

import sys

import matplotlib

matplotlib.use("Agg")

import networks
import numpy as np
import pytest
from matplotlib import pyplot as plt
from test_regions import integer_network

import foldline as fl


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


@pytest.fixture
def found():
    return fl.regions(integer_network(5, (2, 6, 4, 1)), fl.Box(-1, 1, n_in=2))


def pixels(ax):
    """What is drawn inside the axes."""
    ax.figure.canvas.draw()
    low, high = ax.get_window_extent().get_points().round().astype(int)
    rows = np.asarray(ax.figure.canvas.buffer_rgba())[::-1]
    return rows[low[1] + 2 : high[1] - 2, low[0] + 2 : high[0] - 2, :3].astype(int)


def most_that_shines_through(ax, set_color):
    """Of what takes a colour by `set_color`: 1 where nothing is drawn over it."""
    ax.figure.canvas.draw()
    ax.figure.set_layout_engine("none")
    set_color("white")
    white = pixels(ax)
    set_color("black")
    assert white.size
    return abs(pixels(ax) - white).max() / 255


def background(ax):
    ax.patch.set_visible(False)
    return most_that_shines_through(ax, ax.figure.set_facecolor)


@pytest.mark.parametrize("color_by", ["region", "slope", "output", "layer"])
@pytest.mark.parametrize("net", [(5, (2, 6, 4, 1)), (1, (2, 30, 30, 1))], ids=["some regions", "many"])
def test_every_region_is_drawn_and_no_gap_is_left(net, color_by):
    found = fl.regions(integer_network(*net), fl.Box(-1, 1, n_in=2))
    ax = fl.plot.regions(found, color_by=color_by)
    assert len(ax.collections[0].get_paths()) == len(found)
    assert ax.get_title() == f"{len(found):,} activation regions, proved"
    assert background(ax) == 0
    # k regions that share a pixel leave at most (1 - 1/k)^k < 1/e of what is under them.
    assert most_that_shines_through(ax, ax.patches[0].set_facecolor) < 0.38


def test_a_missing_region_is_a_gap(found):
    ax = fl.plot.regions(found)
    ax.collections[0].set_verts(found.vertices[1:])
    assert most_that_shines_through(ax, ax.patches[0].set_facecolor) == 1


def test_neighbours_have_different_colors(found):
    colors = fl.plot.regions(found).collections[0].get_facecolor()
    assert len(np.unique(colors, axis=0)) > 2
    assert all((colors[a] != colors[b]).any() for a, b in found.neighbours)


def test_nine_colors_are_enough_for_a_region_with_many_neighbours():
    rim = [(0, i) for i in range(1, 40)] + [(i, i % 39 + 1) for i in range(1, 40)]
    colors = fl.plot._coloring(40, np.sort(rim, axis=1))
    assert set(colors) <= set(range(9))
    assert all(colors[a] != colors[b] for a, b in rim)


def test_folds_are_drawn_once_under_the_layer_that_makes_them(found):
    ax = fl.plot.regions(found, color_by="layer")
    assert sum(len(lines.get_segments()) for lines in ax.collections[1:]) == len(found.neighbours)
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["layer 1", "layer 2"]
    for layer, lines in zip((2, 1), ax.collections[1:]):
        assert lines.get_label() == f"layer {layer}"
        z = found.net.preactivations(np.mean(lines.get_segments(), axis=1))
        first = z[:, :6] if layer == 1 else z[:, 6:]
        assert (abs(first).min(axis=1) < 1e-9).all()


def test_the_edges_that_are_drawn_are_those_of_both_neighbours(found):
    edges = fl.plot._common_edges(found)
    for (a, b), ends in zip(found.neighbours, edges):
        for region in (a, b):
            assert all(abs(found.vertices[region] - end).sum(axis=1).min() < 1e-12 for end in ends)
        assert abs(ends[0] - ends[1]).max() > 0


def test_one_steep_region_does_not_hide_the_others_and_the_colorbar_says_so():
    cliff = fl.Network([([[1.0, 0.0], [1.0, 0.0]], [0.0, -0.01]), ([[1000.0, -999.0]], None)])
    cells = fl.plot.regions(fl.regions(cliff, fl.Box(-1, 1, n_in=2)), color_by="slope").collections[0]
    assert cells.get_clim() == (0, 1) and cells.get_array().max() == 1000
    assert cells.colorbar.extend == "max"


def test_the_output_is_drawn_as_the_network_has_it(found):
    (image,) = fl.plot.regions(found, color_by="output").images
    values = image.get_array()
    n = len(values)
    at = -1 + (2 * np.array([[10, 20], [n - 1, 0]]) + 1) / n
    np.testing.assert_allclose([values[20, 10], values[0, n - 1]], found.net(at)[:, 0])


@pytest.mark.parametrize(
    ("domain", "names"),
    [
        (fl.Box(-1, 1, n_in=2), ("x1", "x2")),
        (fl.Ball([1, 1], 1), ("x1", "x2")),
        (fl.Plane([3, 0, 0], [0, 0, 1], [0, 1, 0]), ("x3", "x2")),
        (fl.Plane([3, 0, 0], [1, 0, 0], [0, 2, 0]), ("x1", "x2")),
        (fl.Plane([0, 0], [1, 0], [1, 1]), ("s", "t")),
        (fl.Plane([0, 0, 0], [1, 0, 0], [0, 1, 1]), ("s", "t")),
    ],
)
def test_axes_have_the_name_of_the_input_that_they_are(domain, names):
    found = fl.regions(integer_network(0, (domain.n_in, 3, 1)), domain)
    ax = fl.plot.regions(found, color_by="output")
    assert (ax.get_xlabel(), ax.get_ylabel()) == names


@pytest.mark.parametrize(
    ("plane", "said"),
    [
        (fl.Plane([9, 0, 0, 0, 9], [0, 0, 0, 0, 1], [1, 0, 0, 0, 0]), "b = c = d = 0"),
        (fl.Plane([0, 0.5, 0, -1, 0.5], [1, 0, 0, 0, 0], [0, 0, 1, 0, 0]), "b = e = 0.5, d = -1"),
        (fl.Plane([0, 0, 0, 3, 1 / 3], [1, 0, 0, 0, 0], [1, 1, 1, 0, 0]), "d = 3, e = 0.333"),
        (fl.Plane(np.zeros(5), np.ones(5), np.eye(5)[0]), None),
        (fl.Plane(np.ones(60), *np.eye(60)[:2]), "all other inputs = 1"),
        (fl.Plane(np.arange(60), *np.eye(60)[:2]), None),
    ],
)
def test_the_title_of_a_slice_says_where_it_holds_the_other_inputs_if_that_is_short(plane, said):
    found = fl.regions(integer_network(0, (plane.n_in, 3, 1)), plane)
    ax = fl.plot.regions(found, names=list("abcde") if plane.n_in == 5 else None)
    first, *others = ax.get_title().split("\n")
    assert first.endswith("proved") and others == ([said] if said else [])


def test_axes_can_be_named(found):
    ax = fl.plot.regions(found, names=("dose", "age"))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("dose", "age")
    with pytest.raises(ValueError, match="wanted 2 different ones"):
        fl.plot.regions(found, names=("dose",))


def test_ticks_are_values_of_the_inputs():
    plane = fl.Plane([0, 1500, 60], [0, 0, -15], [0, 2, 0])
    ax = fl.plot.regions(fl.regions(integer_network(0, (3, 3, 1)), plane))
    for axis, start, step in ((ax.xaxis, 60, -15), (ax.yaxis, 1500, 2)):
        shown = [float(label.get_text()) for label in axis.get_ticklabels()]
        assert len(shown) > 3
        np.testing.assert_allclose(start + step * axis.get_ticklocs(), shown)


def test_arrows_tell_opposite_slopes_apart():
    net = fl.Network([([[1.0, 1.0], [-1.0, -1.0]], None), ([[1.0, 1.0]], None)])  # |x1 + x2|
    ax = fl.plot.regions(fl.regions(net, fl.Box(-1, 1, n_in=2)), color_by="slope")
    (arrows,) = (c for c in ax.collections if hasattr(c, "U"))
    uphill = np.stack([arrows.U, arrows.V], axis=1) * np.sqrt(2)
    np.testing.assert_allclose(uphill, np.sign(arrows.get_offsets().sum(axis=1))[:, None] * [[1, 1]])


def test_arrows_and_colours_on_a_slice_are_by_its_own_coordinates():
    net = fl.Network([([[1.0, 0.0, 0.0]], None), ([[1.0]], None)])  # max(x1, 0), and x1 = 3 s + 4 t
    plane = fl.Plane([0, 0, 0], [3, 1, 0], [4, 0, 1])
    ax = fl.plot.regions(fl.regions(net, plane), color_by="slope")
    (arrows,) = (c for c in ax.collections if hasattr(c, "U"))
    np.testing.assert_allclose([*arrows.U, *arrows.V], [0.6, 0.8])
    assert sorted(ax.collections[0].get_array()) == pytest.approx([0, 5])


def test_a_part_of_the_regions_is_drawn_as_a_part(found):
    part = fl.regions(found.net, found.domain, max_regions=3)
    ax = fl.plot.regions(part, color_by="output")
    assert ax.get_title() == "3 activation regions, and there are more"
    assert ax.get_xlim() == ax.get_ylim() == (-1, 1)
    assert background(ax) == 1


def test_pictures_are_saved_whole_or_not_at_all(found, tmp_path):
    ax = fl.plot.regions(found, ax=fl.plot.new_axes())
    assert not plt.get_fignums()
    for kind, begins in (("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")):
        path = tmp_path / f"picture.{kind}"
        fl.plot.save(ax, path)
        assert path.read_bytes().startswith(begins)
    with pytest.raises(ValueError, match=r"wanted one that ends in .*\.png"):
        fl.plot.save(ax, tmp_path / "picture.docx")
    assert len(list(tmp_path.iterdir())) == 3


def test_without_matplotlib_the_error_says_what_to_install(found, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match="pip install matplotlib"):
        fl.plot.regions(found)


def test_axes_that_are_given_are_drawn_on(found):
    ax = plt.subplots()[1]
    assert fl.plot.regions(found, ax=ax) is ax
    net = fl.Network.from_knots([0, 1, 2], [0, 1, 0])
    assert fl.plot.knots(net, [-1.0], [3.0], ax=ax) is ax


def test_the_knots_that_are_drawn_lie_on_the_network():
    net = fl.Network.from_knots([0, 1, 2], [0, 1, 0])
    line, dots = fl.plot.knots(net, [-1.0], [3.0]).lines
    np.testing.assert_allclose(dots.get_xydata(), [[0.25, 0], [0.5, 1], [0.75, 0]])
    np.testing.assert_allclose(line.get_ydata(), [0, 0, 1, 0, 0])


def test_crossings_that_are_no_knots_are_told_apart():
    net = fl.Network([([[1.0], [-1.0], [1.0]], [0.0, 0.0, -1.0]), ([[1.0, -1.0, 1.0]], None)])
    ax = fl.plot.knots(net, [-2.0], [2.0])
    _, dots, ticks = ax.lines
    np.testing.assert_allclose(dots.get_xydata(), [[0.75, 1]])
    np.testing.assert_allclose(ticks.get_xydata(), [[0.5, 0]], atol=1e-15)
    assert ax.get_title() == "1 knot, proved"
    assert len(ax.get_legend().get_texts()) == 2


def test_what_cannot_be_drawn_is_refused(found):
    solid = fl.regions(integer_network(0, (3, 2, 1)), fl.Box(-1, 1, n_in=3))
    with pytest.raises(ValueError, match="3 dimensions"):
        fl.plot.regions(solid)
    with pytest.raises(TypeError, match=r"wanted Regions, of foldline.regions\(net, domain\)"):
        fl.plot.regions(solid.net, solid.domain)
    with pytest.raises(ValueError, match="no vertices"):
        layers, slopes = networks.random_network(0, (2, 3, 1))
        net = fl.Network(layers, activation=slopes)
        fl.plot.regions(fl.regions(net, found.domain, engine="lp"))
    with pytest.raises(ValueError, match="color_by is 'size'"):
        fl.plot.regions(found, color_by="size")
    with pytest.raises(ValueError, match="output is 1"):
        fl.plot.regions(found, color_by="output", output=1)
    with pytest.raises(ValueError, match="output is 2"):
        layers, slopes = networks.random_network(0, (1, 3, 1))
        fl.plot.knots(fl.Network(layers, activation=slopes), [0.0], [1.0], output=2)
