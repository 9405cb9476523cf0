"""Regions for other libraries: Arrow tables, graphs, polygons."""

import numpy as np

from .formats import optional

__all__ = ["to_arrow", "to_networkx", "to_shapely"]


def to_arrow(regions):
    pa = optional("pyarrow")

    def nested(array):
        """Lists of fixed sizes, as deep as the array has dimensions after the first."""
        values = pa.array(array.reshape(-1))
        for size in reversed(array.shape[1:]):
            values = pa.FixedSizeListArray.from_arrays(values, size)
        return values

    def ragged(parts, values):
        return pa.ListArray.from_arrays(np.cumsum([0, *map(len, parts)], dtype=np.int32), values)

    n_bytes = regions.patterns.shape[1]
    packed = pa.py_buffer(np.ascontiguousarray(regions.patterns))
    around = [[] for _ in range(len(regions))]
    for i, j in regions.neighbours.tolist():
        around[i].append(j)
        around[j].append(i)
    corners = np.concatenate([np.empty((0, regions.domain.dimension)), *regions.vertices])
    columns = {
        "pattern": pa.FixedSizeBinaryArray.from_buffers(pa.binary(n_bytes), len(regions), [None, packed]),
        "A": nested(regions.A),
        "b": nested(regions.b),
        "interior_point": nested(regions.interior_points),
        "vertices": ragged(regions.vertices, nested(corners)),
        "volume": pa.array(regions.volumes),
        "neighbours": ragged(around, pa.array([j for row in around for j in row], pa.int64())),
    }
    about = {
        "network": regions.net.digest,
        "n_neurons": str(regions.net.n_neurons),
        "domain": repr(regions.domain),
        "status": regions.status,
    }
    return pa.table(columns).replace_schema_metadata(about)


def to_networkx(regions):
    nx = optional("networkx")
    graph = nx.Graph(status=regions.status)
    volumes, points = regions.volumes.tolist(), regions.interior_points.tolist()
    graph.add_nodes_from(
        (i, {"volume": volume, "interior_point": point})
        for i, (volume, point) in enumerate(zip(volumes, points))
    )
    graph.add_edges_from(
        (i, j, {"flips": flips.tolist()})
        for (i, j), flips in zip(regions.neighbours.tolist(), regions.flips)
    )
    return graph


def to_shapely(regions):
    shapely = optional("shapely")
    if regions.domain.dimension != 2:
        raise ValueError(
            f"the regions have {regions.domain.dimension} dimensions; polygons have 2 (a Plane is a slice)"
        )
    corners = np.concatenate([np.empty((0, 2)), *regions.vertices])
    rows = np.repeat(np.arange(len(regions)), [len(v) for v in regions.vertices])
    return shapely.polygons(shapely.linearrings(corners, indices=rows))
