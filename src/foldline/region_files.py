"""Files of regions: one archive with the network, the domain and the columns; nothing is unpickled."""

import numpy as np

from . import archives, domains
from .checks import check_path
from .errors import FormatError
from .files import replacing
from .formats import npz

__all__ = ["read", "write"]

_COLUMNS = ("patterns", "A", "b", "interior_points", "vertices", "vertex_starts", "volumes", "neighbours")
_STATUSES = ("complete", "limit")
_DTYPES = tuple(map(np.dtype, (np.float32, np.float64, np.int64, np.uint8)))
_WANTED = f"a network, a domain and {', '.join(_COLUMNS)}, status"


def write(regions, path):
    starts = np.cumsum([0, *map(len, regions.vertices)], dtype=np.int64)
    corners = np.concatenate([np.empty((0, regions.domain.dimension)), *regions.vertices])
    columns = {name: getattr(regions, name) for name in _COLUMNS if name != "vertex_starts"}
    columns |= {"vertices": corners, "vertex_starts": starts}
    kind = type(regions.domain).__name__
    domain = {f"{kind}.{name}": np.asarray(value) for name, value in vars(regions.domain).items()}
    status = np.frombuffer(regions.status.encode(), np.uint8)
    with replacing(check_path("path", path)) as file:
        np.savez(file, **npz.network_arrays(regions.net), **domain, **columns, status=status)


def read(path):
    """What `Regions` takes, by name."""
    return archives.read(check_path("path", path), _regions, _is_key, _WANTED, _DTYPES)


def _is_key(name):
    return npz.is_key(name) or name in _COLUMNS or name == "status" or _is_domain_key(name)


def _is_domain_key(name):
    kind, _, field = name.partition(".")
    return kind in domains.__all__ and field.isidentifier()


def _regions(arrays):
    missing = [name for name in (*_COLUMNS, "status") if name not in arrays]
    if missing:
        raise FormatError(f"lacks {', '.join(missing)}; wanted {_WANTED}")
    net = npz.network_from({name: array for name, array in arrays.items() if npz.is_key(name)})
    domain = _domain({name: array for name, array in arrays.items() if _is_domain_key(name)}, net.n_in)
    domains.check_domain(net, domain)
    status = arrays["status"].tobytes().decode()
    if status not in _STATUSES:
        raise FormatError(f"status is {status!r}; wanted {' or '.join(_STATUSES)}")
    columns = {name: arrays[name] for name in _COLUMNS}
    _check_columns(net, domain, columns)
    starts, corners = columns.pop("vertex_starts"), columns["vertices"]
    columns["vertices"] = [corners[start:stop].copy() for start, stop in zip(starts, starts[1:])]
    return {"net": net, "domain": domain, "status": status, **columns}


def _domain(arrays, n_in):
    kinds = {name.partition(".")[0] for name in arrays}
    if len(kinds) != 1:
        raise FormatError(f"has {len(kinds)} domains; wanted one")
    fields = {name.partition(".")[2]: array for name, array in arrays.items()}
    if not np.array_equal(fields.get("n_in", n_in), n_in):  # before that many bounds are made
        raise FormatError(f"the domain has n_in {fields['n_in']}; the network has {n_in} inputs")
    return getattr(domains, kinds.pop())(
        **{name: array.item() if array.ndim == 0 else array for name, array in fields.items()}
    )


def _check_columns(net, domain, columns):
    n, n_corners, n_pairs = (sum(columns[name].shape[:1]) for name in ("patterns", "vertices", "neighbours"))
    d = domain.dimension
    wanted = {
        "patterns": (np.uint8, (n, (net.n_neurons + 7) // 8)),
        "A": (np.float64, (n, net.n_out, d)),
        "b": (np.float64, (n, net.n_out)),
        "interior_points": (np.float64, (n, d)),
        "vertices": (np.float64, (n_corners, d)),
        "vertex_starts": (np.int64, (n + 1,)),
        "volumes": (np.float64, (n,)),
        "neighbours": (np.int64, (n_pairs, 2)),
    }
    for name, (dtype, shape) in wanted.items():
        found = columns[name]
        if found.dtype != dtype or found.shape != shape:
            raise FormatError(
                f"{name} has dtype {found.dtype} and shape {found.shape}; "
                f"wanted {np.dtype(dtype)} and {shape}"
            )
    starts, pairs = columns["vertex_starts"], columns["neighbours"]
    if starts[0] != 0 or starts[-1] != n_corners or (np.diff(starts) < 0).any():
        raise FormatError(f"vertex_starts do not go from 0 up to {n_corners}, the number of vertices")
    if pairs.size and not (0 <= pairs.min() and pairs.max() < n):
        raise FormatError(f"neighbours are {pairs.min()} to {pairs.max()}; there are {n} regions")
