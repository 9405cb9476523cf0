"""Pictures of regions and knots, with matplotlib (``pip install foldline[plot]``)."""

import numpy as np

__all__ = ["knots", "regions"]

_COLORS = ("region", "slope", "output", "layer")


def regions(result, ax=None, color_by="region", output=0):
    """Draw the regions of a two-dimensional domain.

    Parameters
    ----------
    result : Regions
        From `foldline.regions` on a Box of two inputs, a Ball, a Polytope or a Plane.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure's if None.
    color_by : {"region", "slope", "output", "layer"}
        A color for each region, unlike its neighbours'; the length of the gradient; the mean
        output; or one color, with folds colored by the first layer that flips there.
    output : int
        Which output "slope" and "output" speak of.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ImportError
        Without matplotlib.
    ValueError
        Regions that are not two-dimensional, an unknown `color_by` or output.

    Examples
    --------
    >>> import foldline as fl
    >>> net = fl.Network([([[1.0, 0.5], [0.5, -1.0]], None), ([[1.0, 1.0]], None)])
    >>> ax = fl.plot.regions(fl.regions(net, fl.Box(-1, 1, n_in=2)))
    >>> ax.get_title()
    '4 regions'
    """
    plt = _pyplot()
    from matplotlib.collections import LineCollection, PolyCollection

    if result.A.shape[2] != 2:
        raise ValueError(f"the regions have {result.A.shape[2]} dimensions; wanted 2 (a Plane is a slice)")
    if color_by not in _COLORS:
        raise ValueError(f"color_by is {color_by!r}; wanted one of {', '.join(map(repr, _COLORS))}")
    if not 0 <= output < result.A.shape[1]:
        raise ValueError(f"output is {output}; this network has {result.A.shape[1]}")
    ax = plt.subplots(figsize=(6, 5))[1] if ax is None else ax
    cells = PolyCollection(result.vertices, linewidths=0.4, edgecolors="white")
    label = None
    if color_by == "region":
        cells.set_facecolor(plt.get_cmap("tab20")(_coloring(len(result), result.neighbours) % 20))
    elif color_by == "slope":
        cells.set_array(np.linalg.norm(result.A[:, output], axis=1))
        label = "length of the gradient"
    elif color_by == "output":
        cells.set_array((result.A[:, output] * result.interior_points).sum(axis=1) + result.b[:, output])
        label = "output, mean of the corners"
    else:
        cells.set(facecolor="0.96", edgecolor="none")
    # Neighbours overlap by a hair's breadth, so that no background shines through between them.
    if color_by in ("slope", "output"):
        cells.set_edgecolor("face")
    ax.add_collection(cells)
    if color_by == "layer":
        lines, layers = _fold_lines(result)
        for layer in np.unique(layers):
            segments = [line for line, at in zip(lines, layers) if at == layer]
            ax.add_collection(
                LineCollection(segments, colors=[f"C{layer}"], linewidths=0.8, label=f"layer {layer + 1}")
            )
        if lines:
            ax.legend(title="folds of", loc="upper left", bbox_to_anchor=(1.02, 1), frameon=False)
    elif label:
        ax.figure.colorbar(cells, ax=ax, label=label)
    corners = np.concatenate(result.vertices)
    ax.set_xlim(corners[:, 0].min(), corners[:, 0].max())
    ax.set_ylim(corners[:, 1].min(), corners[:, 1].max())
    ax.set_aspect("equal", adjustable="box")
    names = ("s", "t") if type(result.domain).__name__ == "Plane" else ("x1", "x2")
    ax.set(xlabel=names[0], ylabel=names[1])
    more = "" if result.status == "complete" else " or more"
    ax.set_title(f"{len(result):,}{more} regions")
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
    '3 knots'
    """
    from .knots import knots as find_knots

    plt = _pyplot()
    if not 0 <= output < net.n_out:
        raise ValueError(f"output is {output}; this network has {net.n_out}")
    start, stop = np.asarray(start, float), np.asarray(stop, float)
    found = find_knots(net, start, stop)
    t = np.unique(found.t[found.is_knot])
    ends = np.concatenate([[0.0], t, [1.0]])
    values = net((start + ends[:, None] * (stop - start)).astype(net.dtype))[:, output]
    ax = plt.subplots(figsize=(6, 4))[1] if ax is None else ax
    ax.plot(ends, values, linewidth=1.2)
    ax.plot(ends[1:-1], values[1:-1], "o", markersize=4, color="C1")
    ax.set(xlabel="t", ylabel=f"output {output}", title=f"{len(t)} knot{'s' * (len(t) != 1)}")
    return ax


def _pyplot():
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        raise ImportError("pictures need matplotlib: pip install 'foldline[plot]'") from None
    return plt


def _coloring(n, pairs):
    """A number for each region, unlike its neighbours' wherever 20 are enough."""
    around = [[] for _ in range(n)]
    for a, b in pairs:
        around[a].append(b)
        around[b].append(a)
    colors = np.full(n, -1)
    for i in range(n):
        taken = {int(colors[j]) for j in around[i]}
        colors[i] = next((c for c in ((i * 7 + k) % 20 for k in range(20)) if c not in taken), i % 20)
    return colors


def _fold_lines(result):
    """The common edges of neighbours, and the first layer with a neuron that flips there."""
    from .evaluation import unpack_patterns

    layer_of = np.repeat(range(len(result.net.slopes)), [np.count_nonzero(s != 1) for s in result.net.slopes])
    bits = unpack_patterns(result.patterns, result.net.n_neurons)
    lines, layers = [], []
    for a, b in result.neighbours:
        corners = {tuple(v) for v in result.vertices[b]}
        lines.append([v for v in result.vertices[a] if tuple(v) in corners])
        layers.append(int(layer_of[np.flatnonzero(bits[a] != bits[b])[0]]))
    return lines, layers
