"""Every import is compared with its source before it is handed out."""

from typing import NamedTuple

import numpy as np

from ..errors import UnsupportedModelError
from ..logs import log
from ..lowering import lower, rounding_bound
from ..network import Network

__all__ = ["ImportCheck", "checked_network", "sample"]

_N_POINTS = 64


class ImportCheck(NamedTuple):
    """How far an imported network is from its source, on random points.

    Attributes
    ----------
    source : str
        What gave the outputs to compare with, and its version.
    n_points : int
        Number of points compared; 0 when the source could not be run, as `note` then says.
    max_deviation : float
        Largest absolute difference of an output; NaN when nothing was compared.
    scale : float
        Largest absolute output of the source.
    bound_share : float
        Largest quotient of a difference and what rounding alone may make it. At most 1: an
        import beyond it is refused.
    note : str
        What else is worth knowing about the import.
    """

    source: str
    n_points: int
    max_deviation: float
    scale: float
    bound_share: float
    note: str = ""

    def __str__(self):
        text = f"largest deviation {self.max_deviation:.3g} from {self.source} on {self.n_points} points"
        text = (
            f"{text}, outputs up to {self.scale:.3g}" if self.n_points else f"not compared with {self.source}"
        )
        return f"{text} ({self.note})" if self.note else text


def sample(n_in, dtype):
    """Points to compare on: normal, at several scales, always the same; shape (64, n_in)."""
    rng = np.random.default_rng(0)
    scales = np.resize([0.25, 1.0, 4.0, 16.0], (_N_POINTS, 1))
    return (scales * rng.standard_normal((_N_POINTS, n_in))).astype(dtype)


def checked_network(source, output, run, *, name, points=None, link=None, note="", arithmetic=None):
    """Lower a graph to a `Network` and compare it with the model the graph came from.

    Parameters
    ----------
    source, output : Tensor
        Input and output of the graph.
    run : callable
        The model itself: points (n_points, n_in) to outputs, n_points first. Any exception
        means that it cannot be run here, which is noted, not raised.
    name : str
        Name and version of what `run` runs on.
    points : ndarray, optional
        Where to compare, in place of `sample`.
    link : callable, optional
        What the model does to the network's outputs; no component may grow a difference.
    arithmetic : numpy.dtype, optional
        What `run` computes in, where that is not the network's dtype.

    Raises
    ------
    UnsupportedModelError
        The outputs differ by more than rounding explains.
    ValueError
        The network's weights are not finite.
    """
    layers, slopes = lower(source, output)
    net = Network(layers, slopes)
    points = sample(net.n_in, net.dtype) if points is None else points.astype(net.dtype)
    try:
        wanted = np.asarray(run(points), float)
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        note = f"{note}; {reason}" if note else reason
        check = ImportCheck(name, 0, np.nan, np.nan, np.nan, note)
    else:
        got = net(points).astype(float)
        tolerance = _tolerance(source, output, net, points, arithmetic or net.dtype)
        check = _compare(got, wanted, tolerance, link, name, note)
    log.info("imported %r: %s", net, check)
    return Network(layers, slopes, import_check=check)


def _compare(got, wanted, tolerance, link, name, note):
    got = got if link is None else link(got)
    if wanted.size != got.size:
        raise UnsupportedModelError(
            f"the model gives {wanted.size // len(got)} outputs for a point, its import {got.shape[1]}; "
            "something in it is not what its graph says"
        )
    wanted = wanted.reshape(got.shape)
    finite = np.isfinite(wanted).all(axis=1) & np.isfinite(tolerance).all(axis=1)
    got, wanted, tolerance = got[finite], wanted[finite], tolerance[finite]
    if not len(got):
        return ImportCheck(name, 0, np.nan, np.nan, np.nan, note or "no finite output to compare with")
    deviation = abs(got - wanted)
    share = deviation / tolerance
    worst = np.unravel_index(np.argmax(share), share.shape)
    if not share[worst] <= 1:
        raise UnsupportedModelError(
            f"the import gives {got[worst]:.9g} where the model ({name}) gives {wanted[worst]:.9g}, and "
            f"rounding explains at most {tolerance[worst]:.3g}; something in the model is not what its "
            "graph says"
        )
    scale = abs(wanted).max()
    return ImportCheck(name, len(got), float(deviation.max()), float(scale), float(share[worst]), note)


def _tolerance(source, output, net, points, arithmetic):
    """Twice what rounding may do to the source and to `net` together: (n_points, n_out)."""
    points = points.astype(float)
    bound = rounding_bound(source, output, points, _unit(arithmetic))
    bound += _chain_bound(net, points, _unit(net.dtype))
    return 2 * bound + float(np.finfo(arithmetic).tiny)


def _unit(dtype):
    return float(np.finfo(dtype).eps) / 2


def _chain_bound(net, points, unit):
    a, error = points, np.zeros_like(points)
    with np.errstate(all="ignore"):
        for i, (W, b) in enumerate(zip(net.weights, net.biases)):
            W, b = W.astype(float), b.astype(float)
            n = W.shape[1] + 3
            error = error @ abs(W).T + n * unit / (1 - n * unit) * (abs(a) @ abs(W).T + abs(b))
            a = a @ W.T + b
            if i < len(net.slopes):
                slopes = net.slopes[i].astype(float)
                a = np.where(a > 0, a, slopes * a)
                error = error * np.maximum(1, abs(slopes)) + unit * abs(a)
    return error
