"""Pictures of regions and knots, with matplotlib (``pip install matplotlib``)."""

import importlib
import os

import numpy as np

from .checks import check_choice, check_int, check_names, check_net
from .domains import Plane
from .files import replacing
from .frames import Frame
from .region_tables import Regions
from .sample import _bounding_box
from .wording import counted, output_names

__all__ = ["check_name", "knots", "new_axes", "regions", "save"]

_KINDS = ("pdf", "png", "svg")
_COLORS = ("region", "slope", "output", "layer")
# Light colours that people with any kind of colour vision tell apart: P. Tol, Colour Schemes, 2021, "light".
_LIGHT = ("#77AADD", "#EE8866", "#EEDD88", "#FFAABB", "#99DDFF", "#44BB99", "#BBCC33", "#AAAA00", "#DDDDDD")
_SIZE = (7.0, 6.0)  # inches
_PIXELS = 600
_LEAST_WITH_ARROW = 1 / 400  # of the area
_MOST_IN_TITLE = 50  # letters


def regions(result, ax=None, color_by="region", output=0, names=None):
    """Draw the regions of a two-dimensional domain. The title says how many, and where a slice holds the
    inputs that do not vary, if that is short.

    Parameters
    ----------
    result : Regions
        From `foldline.regions` on a Box of two inputs, a Ball, a Polytope or a Plane.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure's if None.
    color_by : {"region", "slope", "output", "layer"}
        A color for each region, unlike its neighbours'; how steep the output is on each, with arrows that
        point uphill; the output at each point; or the folds only, colored by the first layer with a neuron
        that flips there.
    output : int
        Which output "slope" and "output" speak of, numbered from 0.
    names : sequence of str, optional
        Of the inputs; x1, x2, ... if not given. Axes that are not along one input each are s and t.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ImportError
        Without matplotlib.
    TypeError
        What is not a Regions; names that are not strings.
    ValueError
        Regions that are not two-dimensional or have no vertices, an unknown `color_by` or output; names that
        are not as many as inputs, or not different.

    Examples
    --------
    >>> import foldline as fl
    >>> net = fl.Network([([[1.0, 0.5], [0.5, -1.0]], None), ([[1.0, 1.0]], None)])
    >>> ax = fl.plot.regions(fl.regions(net, fl.Box(-1, 1, n_in=2)))
    >>> ax.get_title()
    '4 activation regions, proved'
    """
    if not isinstance(result, Regions):
        kind = type(result).__name__
        raise TypeError(f"result is {kind}; wanted Regions, of foldline.regions(net, domain)")
    if result.domain.dimension != 2:
        dimension = result.domain.dimension
        raise ValueError(f"the regions have {dimension} dimensions; wanted 2 (a Plane is a slice)")
    if not all(map(len, result.vertices)):
        raise ValueError("the regions have no vertices: engine 'lp' keeps none; wanted another's")
    check_choice("color_by", color_by, _COLORS)
    output = check_int("output", output, 0, result.net.n_out - 1)
    frame = Frame(result.domain, check_names(names, result.net.n_in))
    ax = _shown_axes() if ax is None else ax
    from matplotlib.collections import PolyCollection
    from matplotlib.patches import PathPatch

    (left, bottom), (right, top) = _bounding_box(result.domain)
    ax.set(xlim=(left, right), ylim=(bottom, top))
    # Regions that share a pixel do not quite cover it: what shines through is grey then, as folds are.
    below = PathPatch(_outlines(result), linewidth=0, facecolor="0.97" if color_by == "layer" else "0.5")
    ax.add_artist(below)
    cells = PolyCollection(result.vertices, linewidths=0, facecolors="0.97", zorder=1)
    ax.add_collection(cells)
    if color_by == "region":
        cells.set_facecolor(np.array(_LIGHT)[_coloring(len(result), result.neighbours)].tolist())
        about = "one linear formula on each; colours only tell neighbours apart"
        ax.text(1, -0.09, about, transform=ax.transAxes, ha="right", va="top", fontsize="small", color="0.35")
    elif color_by == "slope":
        _color_by_slope(cells, result, output)
    elif color_by == "output":
        _draw_output(ax, result, output)
    width = _line_width(ax, len(result))
    if color_by == "layer":
        _draw_folds_by_layer(ax, result, 3 * width)
    else:
        ax.add_collection(_lines(_common_edges(result), colors="0.1", linewidths=width))
    ax.set_aspect("equal", adjustable="box")
    for k, axis in enumerate((ax.xaxis, ax.yaxis)):
        axis.set_label_text(frame.names[k])
        _show_inputs(axis, frame, k)
    count = counted(len(result), "activation region")
    title = f"{count}, proved" if result.status == "complete" else f"{count}, and there are more"
    ax.set_title("\n".join(filter(None, (title, frame.held(_MOST_IN_TITLE)))))
    return ax


def knots(net, start, stop, ax=None, output=0):
    """Draw one output of a network along a segment, with its knots.

    Parameters
    ----------
    net : Network
    start, stop : array_like, shape (n_in,)
    ax : matplotlib.axes.Axes, optional
    output : int

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> import foldline as fl
    >>> ax = fl.plot.knots(fl.Network.from_knots([0, 1, 2], [0, 1, 0]), [-1.0], [3.0])
    >>> ax.get_title()
    '3 knots, proved'
    """
    from .knots import knots as find_knots

    check_net(net)
    output = check_int("output", output, 0, net.n_out - 1)
    start, stop = np.asarray(start, float), np.asarray(stop, float)
    found = find_knots(net, start, stop)
    t = np.unique(found.t[found.is_knot])
    ends = np.concatenate([[0.0], t, [1.0]])
    values = net.astype(np.float64)(start + ends[:, None] * (stop - start))[:, output]
    ax = _shown_axes() if ax is None else ax
    ax.plot(ends, values, linewidth=1.2, color="#4477AA")
    size = float(np.clip(120 / (len(t) + 1), 1.5, 5))
    ax.plot(t, values[1:-1], "o", markersize=size, color="#EE6677", label="knot: the slope changes")
    others = np.setdiff1d(found.t, t)
    if len(others):
        at = np.interp(others, ends, values)
        ax.plot(others, at, "|", markersize=8, color="0.4", label="a neuron flips, the slope stays")
    if len(found):
        ax.legend(frameon=False)
    ax.set(xlabel="t, from start (0) to stop (1)", ylabel=output_names(net.n_out)[output], xlim=(0, 1))
    ax.set_title(f"{counted(len(t), 'knot')}, proved")
    return ax


def new_axes():
    """Axes of a figure of their own that no window shows: to draw on, and to `save`."""
    return _imported("matplotlib.figure").Figure(figsize=_SIZE, layout="compressed").subplots()


def save(ax, path, **metadata):
    """Write the picture that `ax` is part of: .png, .pdf or .svg; whole or not at all."""
    kind = check_name(path)
    with replacing(path) as file:
        ax.figure.savefig(file, format=kind, dpi=200, metadata=metadata or None)


def check_name(path):
    """The kind of picture that a file's name asks for, or raise."""
    kind = os.path.splitext(path)[1][1:].lower()
    if kind not in _KINDS:
        raise ValueError(f"the picture's name is {path}; wanted one that ends in .{', .'.join(_KINDS)}")
    return kind


def _shown_axes():
    return _imported("matplotlib.pyplot").subplots(figsize=_SIZE, layout="compressed")[1]


def _imported(name):
    try:
        return importlib.import_module(name)
    except ImportError:
        raise ImportError("pictures need matplotlib: pip install matplotlib") from None


def _show_inputs(axis, frame, k):
    """Ticks at round numbers of the input that an axis is, where it is not from 0 or in another unit."""
    from matplotlib.ticker import MaxNLocator

    start, step = frame.points(np.array([[0.0, 0.0], [1.0, 1.0]]))[:, k]
    step -= start
    if (start, step) == (0, 1):
        return
    ends = start + step * np.array(axis.get_view_interval())
    values = MaxNLocator(steps=[1, 2, 5, 10]).tick_values(*ends)
    values = values[(ends.min() <= values) & (values <= ends.max())]
    axis.set_ticks((values - start) / step, [f"{value:.10g}" for value in values])


def _color_by_slope(cells, result, output):
    """Colours for all but the steepest 2% of the area: else one cliff makes all others look flat."""
    gradients, of_what = result.A[:, output], f"the gradient of {output_names(result.net.n_out)[output]}"
    if isinstance(result.domain, Plane):
        of_what += " by s and t"
    slopes, areas = np.linalg.norm(gradients, axis=1), result.volumes
    order = np.argsort(slopes)
    below = np.cumsum(areas[order])
    most = slopes[order[np.searchsorted(below, 0.98 * below[-1])]]
    cells.set(array=slopes, cmap="YlOrRd", clim=(slopes.min(), most))
    label = f"length of {of_what}; arrows point uphill"
    extend = "max" if most < slopes.max() else "neither"
    cells.axes.figure.colorbar(cells, ax=cells.axes, label=label, extend=extend)
    shown = (slopes > 0) & (areas > _LEAST_WITH_ARROW * below[-1])
    if shown.any():
        middles = np.array([result.vertices[i].mean(axis=0) for i in np.flatnonzero(shown)])
        uphill = gradients[shown] / slopes[shown, None]
        style = {"angles": "xy", "pivot": "mid", "scale": 25, "width": 0.004, "color": "0.25"}
        cells.axes.quiver(*middles.T, *uphill.T, **style)


def _draw_output(ax, result, output):
    """The network's own values at the pixels' centres, within the regions."""
    low, high = np.array([ax.get_xlim(), ax.get_ylim()]).T
    x, y = low[:, None] + (high - low)[:, None] * (np.arange(_PIXELS) + 0.5) / _PIXELS
    points = np.stack(np.meshgrid(x, y), axis=2).reshape(-1, 2)
    points = result.domain._inputs(points)
    values = result.net(points.astype(result.net.dtype))[:, output].reshape(_PIXELS, _PIXELS)
    extent = (low[0], high[0], low[1], high[1])
    image = ax.imshow(values, extent=extent, origin="lower", cmap=_viridis_without_its_darkest(), zorder=1)
    image.set_clip_path(_outlines(result), ax.transData)
    ax.figure.colorbar(image, ax=ax, label=output_names(result.net.n_out)[output])


def _viridis_without_its_darkest():
    """Dark folds are seen on all of it."""
    import matplotlib
    from matplotlib.colors import ListedColormap

    return ListedColormap(matplotlib.colormaps["viridis"](np.linspace(0.2, 1, 256)))


def _outlines(result):
    """All regions as one path, which leaves no gaps when it is filled."""
    from matplotlib.path import Path

    steps = np.full(sum(map(len, result.vertices)), Path.LINETO)
    steps[np.cumsum([0, *map(len, result.vertices[:-1])])] = Path.MOVETO
    return Path(np.concatenate(result.vertices), steps)


def _line_width(ax, n):
    """In points: a small part of a region's size."""
    box = ax.get_window_extent()
    size = np.sqrt(box.width * box.height / n) * 72 / ax.figure.dpi
    return float(np.clip(size / 25, 0.1, 0.8))


def _lines(ends, **style):
    from matplotlib.collections import LineCollection

    return LineCollection(ends, capstyle="round", **style)


def _draw_folds_by_layer(ax, result, width):
    import matplotlib

    lines, layers = _common_edges(result), _first_layers(result)
    found = np.unique(layers).tolist()
    colors = matplotlib.colormaps["plasma"](np.linspace(0, 0.85, len(found)))
    # The first layer's folds, which bend those of the others, on top.
    for layer, color in reversed(list(zip(found, colors))):
        at = layers == layer
        folds = _lines(lines[at], colors=[color], linewidths=min(width, 1.5), label=f"layer {layer + 1}")
        ax.add_collection(folds)
    if found:
        handles = ax.get_legend_handles_labels()[0][::-1]
        place = {"loc": "upper left", "bbox_to_anchor": (1.02, 1)}
        legend = ax.legend(handles=handles, title="folds of", frameon=False, **place)
        for line in legend.get_lines():
            line.set_linewidth(3)


def _coloring(n, pairs):
    """A number below 9 for each region, unlike its neighbours'.

    A planar graph has a node with at most 5 neighbours, and still has one without that node. Nodes are taken
    away like that, and get their colours in the opposite order, when at most 5 neighbours have theirs.
    """
    around = [[] for _ in range(n)]
    for a, b in pairs.tolist():
        around[a].append(b)
        around[b].append(a)
    degrees = [len(neighbours) for neighbours in around]
    removed = [i for i in range(n) if degrees[i] <= 5]
    for i in removed:  # which grows
        for j in around[i]:
            degrees[j] -= 1
            if degrees[j] == 5:
                removed.append(j)
    colors = [-1] * n
    for i in reversed(removed):
        taken = {colors[j] for j in around[i]}
        colors[i] = next(c for c in ((i + k) % len(_LIGHT) for k in range(len(_LIGHT))) if c not in taken)
    return colors


def _common_edges(result):
    """The edge that each pair of neighbours share, (n_pairs, 2, 2): of all two, those whose ends are nearest,
    as one's corners may be rounded otherwise than the other's."""
    n_corners = np.array([len(v) for v in result.vertices])
    corners, starts = np.concatenate(result.vertices), np.cumsum(n_corners) - n_corners
    following = np.arange(1, len(corners) + 1)
    following[starts + n_corners - 1] = starts
    first, second = result.neighbours.T
    n_tries = n_corners[first] * n_corners[second]
    pair = np.repeat(np.arange(len(first)), n_tries)
    begins = np.cumsum(n_tries) - n_tries
    k = np.arange(len(pair)) - begins[pair]
    i = starts[first[pair]] + k // n_corners[second[pair]]
    j = starts[second[pair]] + k % n_corners[second[pair]]
    apart = abs(corners[i] - corners[following[j]]).sum(axis=1)
    apart += abs(corners[following[i]] - corners[j]).sum(axis=1)
    nearest = np.flatnonzero(apart == np.minimum.reduceat(apart, begins)[pair])
    i = i[nearest[np.diff(pair[nearest], prepend=-1) > 0]]
    return np.stack([corners[i], corners[following[i]]], axis=1)


def _first_layers(result):
    """For each pair of neighbours, the layer of the first neuron that flips between them."""
    slopes = result.net.slopes
    layer_of = np.repeat(range(len(slopes)), [np.count_nonzero(s != 1) for s in slopes])
    first, second = result.neighbours.T
    differ = result.patterns[first] ^ result.patterns[second]
    byte = (differ != 0).argmax(axis=1)
    bits = np.unpackbits(differ[np.arange(len(byte)), byte][:, None], axis=1, bitorder="little")
    return layer_of[8 * byte + bits.argmax(axis=1)]
