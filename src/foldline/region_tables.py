"""The table of a network's regions: one row each, and what follows from the columns."""

import operator
from functools import cached_property
from typing import NamedTuple

import numpy as np

from . import exports, facets, inscribed
from .checks import check_path
from .evaluation import unpack_patterns
from .frozen import Frozen

__all__ = ["Jumps", "Region", "Regions"]

_COLUMNS = ("patterns", "A", "b", "interior_points", "vertices", "volumes", "neighbours")


class Region(NamedTuple):
    """One row of `Regions`, in its coordinates u."""

    pattern: np.ndarray
    A: np.ndarray
    b: np.ndarray
    interior_point: np.ndarray
    vertices: np.ndarray
    volume: float


class Jumps(NamedTuple):
    """How the map changes from the first region of each pair of neighbours to the second.

    Attributes
    ----------
    A, b : ndarray of float64, shapes (n_pairs, n_out, dimension) and (n_pairs, n_out)
        Zero where the neighbours have one map: no fold is seen in the output.
    """

    A: np.ndarray
    b: np.ndarray


def _are_equal(a, b):
    """With NaN, such as of volumes that are not computed, as equal."""
    return np.array_equal(a, b, equal_nan=a.dtype.kind == b.dtype.kind == "f")


class Regions(Frozen):
    """The activation regions of a network on a domain, one row each, in the order of their patterns.

    Coordinates are the domain's own: those of the input space for boxes, polytopes and all of space,
    (s, t) for a Plane, t for a Segment, and distances from the centre for a Ball.

    Attributes
    ----------
    net, domain : Network and domain
        What was asked about.
    status : str
        "complete", or "limit" where `max_regions` ended the run.
    patterns : ndarray of uint8, shape (n_regions, ceil(n_neurons / 8))
        Packed, little bit order, as `Network.patterns` has them.
    A, b : ndarray of float64, shapes (n_regions, n_out, dimension) and (n_regions, n_out)
        The map on each region, ``A u + b``.
    interior_points : ndarray of float64, shape (n_regions, dimension)
        The mean of each region's vertices.
    vertices : tuple of ndarray, each (n_vertices, dimension)
        In no particular order; in the plane counterclockwise.
    volumes : ndarray of float64, shape (n_regions,)
        Lengths, areas, volumes in the domain's coordinates.
    neighbours : ndarray of int64, shape (n_pairs, 2)
        Pairs of regions that share a facet, the smaller number first.
    flips : tuple of ndarray of int64
        The neurons whose bits differ, for each pair of neighbours: several can.
    jumps : Jumps
        The jump of the map across each pair's facet.
    half_spaces : HalfSpaces
        The facets of each region, ``G u <= h``, and the neurons that make them.
    inscribed_balls : InscribedBalls
        A largest ball inside each region.

    The last four are computed when asked for, and kept. ``regions[i]`` is row i, a `Region`, and a loop goes
    over the rows.
    """

    def __init__(
        self, net, domain, status, *, patterns, A, b, interior_points, vertices, volumes, neighbours
    ):
        columns = (patterns, A, b, interior_points, tuple(vertices), volumes, neighbours)
        super().__init__(net=net, domain=domain, status=status, **dict(zip(_COLUMNS, columns)))

    def __len__(self):
        return len(self.patterns)

    def __getitem__(self, i):
        try:
            i = range(len(self))[operator.index(i)]
        except TypeError:
            raise TypeError(f"regions[{i!r}]: wanted the number of a row") from None
        except IndexError:
            raise IndexError(f"regions[{i}]: there are {len(self)}, from 0") from None
        row = self.patterns[i], self.A[i], self.b[i], self.interior_points[i], self.vertices[i]
        return Region(*row, float(self.volumes[i]))

    def __repr__(self):
        return f"Regions({len(self):,} of {self.net!r} on {self.domain!r}, {self.status})"

    def __eq__(self, other):
        if not isinstance(other, Regions):
            return NotImplemented
        same = (self.net, self.domain, self.status) == (other.net, other.domain, other.status)
        return same and len(self) == len(other) and all(map(_are_equal, self._arrays(), other._arrays()))

    __hash__ = None

    def __getstate__(self):
        """Without what is computed when asked for."""
        return {name: getattr(self, name) for name in ("net", "domain", "status", *_COLUMNS)}

    def _arrays(self):
        columns = [getattr(self, name) for name in _COLUMNS if name != "vertices"]
        return (*columns, *self.vertices)

    @cached_property
    def flips(self):
        first, second = self.neighbours.T
        differ = unpack_patterns(self.patterns[first] ^ self.patterns[second], self.net.n_neurons)
        pairs, neurons = np.nonzero(differ)
        neurons.flags.writeable = False
        return tuple(np.split(neurons, np.searchsorted(pairs, np.arange(1, len(differ))))[: len(differ)])

    @cached_property
    def jumps(self):
        first, second = self.neighbours.T
        with np.errstate(invalid="ignore"):  # of maps that overflow
            jumps = Jumps(self.A[second] - self.A[first], self.b[second] - self.b[first])
        for array in jumps:
            array.flags.writeable = False
        return jumps

    @cached_property
    def half_spaces(self):
        return facets.half_spaces(self)

    @cached_property
    def inscribed_balls(self):
        return inscribed.inscribed_balls(self.half_spaces, self.interior_points)

    def region_of(self, points):
        """The row of each point of the input space, by its exact pattern; -1: not among these regions.

        Parameters
        ----------
        points : array_like, shape (n_points, n_in)

        Returns
        -------
        ndarray of int64, shape (n_points,)
            Points on a fold belong to the region whose pattern they have, if it has an interior.
            Whether a point lies in the domain is not looked at.
        """
        rows = {pattern.tobytes(): i for i, pattern in enumerate(self.patterns)}
        found = self.net.patterns(points, exact=True)
        return np.array([rows.get(pattern.tobytes(), -1) for pattern in found], np.int64)

    def to_arrow(self):
        """The regions as a `pyarrow.Table`, one row each (``pip install pyarrow``).

        Columns ``pattern``, ``A``, ``b``, ``interior_point``, ``vertices``, ``volume`` and ``neighbours``,
        the numbers of the rows that share a facet. The schema's metadata has the network's digest, the
        number of neurons, the domain and the status.

        Raises
        ------
        ImportError
            Without pyarrow.
        """
        return exports.to_arrow(self)

    def to_parquet(self, path):
        """Write one Parquet file, whole or not at all (``pip install pyarrow``).

        Columns are those of `to_arrow`, and ``region``, the row's number. `foldline.write_regions` writes
        more than memory holds.
        """
        from . import parquet

        parquet.write(self, check_path("path", path))

    def to_networkx(self):
        """The graph of regions that share a facet (``pip install networkx``).

        Nodes are the rows, with their ``volume`` and ``interior_point``; edges have ``flips``, the neurons
        whose bits differ.

        Raises
        ------
        ImportError
            Without networkx.
        """
        return exports.to_networkx(self)

    def to_shapely(self):
        """The regions of a two-dimensional domain as polygons (``pip install shapely``).

        Returns
        -------
        ndarray of shapely.Polygon, shape (n_regions,)

        Raises
        ------
        ValueError
            Regions that are not two-dimensional.
        ImportError
            Without shapely.
        """
        return exports.to_shapely(self)

    def save(self, path):
        """Write the regions, their network and their domain to an ``.npz`` file: whole or not at all."""
        from . import region_files  # when used, so that the import stays light

        region_files.write(self, path)

    @classmethod
    def load(cls, path):
        """Read regions that were saved. Nothing is ever unpickled.

        Raises
        ------
        FormatError
            The file is truncated, inconsistent or not one of regions.

        Examples
        --------
        >>> import os, tempfile
        >>> import foldline as fl
        >>> net = fl.Network([([[1.0, 1.0]], None), ([[1.0]], None)])
        >>> r = fl.regions(net, fl.Box(-1, 1, n_in=2))
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     path = os.path.join(directory, "regions.npz")
        ...     r.save(path)
        ...     fl.Regions.load(path) == r
        True
        """
        from . import region_files

        return cls(**region_files.read(path))
