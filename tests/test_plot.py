"""Pictures: what is drawn is what was found."""

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


def background_pixels(ax):
    """Pixels inside the axes that no region covers, for a background that is pure magenta."""
    ax.set_facecolor("magenta")
    ax.set_axis_off()
    ax.patch.set_visible(True)
    ax.set_frame_on(True)
    ax.figure.canvas.draw()
    pixels = np.asarray(ax.figure.canvas.buffer_rgba())[:, :, :3]
    return int((pixels == (255, 0, 255)).all(axis=2).sum())


@pytest.mark.parametrize("color_by", ["region", "slope", "output", "layer"])
def test_every_region_is_drawn_and_no_gap_is_left(found, color_by):
    ax = fl.plot.regions(found, color_by=color_by)
    assert len(ax.collections[0].get_paths()) == len(found)
    assert ax.get_title() == f"{len(found)} regions"
    assert background_pixels(ax) == 0


def test_neighbours_have_different_colors(found):
    colors = fl.plot.regions(found).collections[0].get_facecolor()
    assert all((colors[a] != colors[b]).any() for a, b in found.neighbours)


def test_folds_are_drawn_once_under_the_layer_that_makes_them(found):
    ax = fl.plot.regions(found, color_by="layer")
    assert sum(len(lines.get_segments()) for lines in ax.collections[1:]) == len(found.neighbours)
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["layer 1", "layer 2"]


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


def test_what_cannot_be_drawn_is_refused(found):
    solid = fl.regions(integer_network(0, (3, 2, 1)), fl.Box(-1, 1, n_in=3))
    with pytest.raises(ValueError, match="3 dimensions"):
        fl.plot.regions(solid)
    with pytest.raises(ValueError, match="color_by is 'size'"):
        fl.plot.regions(found, color_by="size")
    with pytest.raises(ValueError, match="output is 1"):
        fl.plot.regions(found, color_by="output", output=1)
    with pytest.raises(ValueError, match="output is 2"):
        layers, slopes = networks.random_network(0, (1, 3, 1))
        fl.plot.knots(fl.Network(layers, activation=slopes), [0.0], [1.0], output=2)
