"""Regions as a Parquet data set: a directory of files, a chunk each (``pip install pyarrow``)."""

import json
import os

from .checks import check_path
from .files import replacing
from .formats import optional
from .logs import log
from .progress import reporter
from .regions import iter_regions

__all__ = ["write_regions"]

_SUMMARY = "_foldline.json"  # readers of data sets leave out what begins with an underscore


def write_regions(
    net, domain, path, *, chunk=65536, engine="auto", max_regions=None, workers=1, progress=None
):
    """Describe every activation region in a directory of Parquet files, in the memory of a chunk.

    Parameters
    ----------
    net, domain, chunk, engine, max_regions, workers
        As for `iter_regions`: a file holds a chunk.
    path : path
        The directory: new or empty.
    progress : True or callable, optional
        As for `count_regions`.

    Returns
    -------
    dict
        "count", "status" ("complete" or "limit"), "files", and the network's "digest". It is written last, to
        ``_foldline.json``: a directory without that is not whole.

    Raises
    ------
    FileExistsError
        The directory holds something.
    ImportError
        Without pyarrow.

    Notes
    -----
    Columns are those of `Regions.to_arrow`, and ``region``, the number of the row among all; ``neighbours``
    has such numbers, of those in the same file. pandas, Polars, Dask and pyarrow read the directory.

    Examples
    --------
    >>> import tempfile
    >>> import foldline as fl
    >>> net = fl.Network([([[1.0, 0.0], [0.0, 1.0]], None), ([[1.0, 1.0]], None)])
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     found = fl.write_regions(net, fl.Box(-1, 1, n_in=2), directory, chunk=3)
    >>> found["count"], found["status"], found["files"]
    (4, 'complete', 2)
    """
    optional("pyarrow.parquet")
    chunks = iter_regions(net, domain, chunk=chunk, engine=engine, max_regions=max_regions, workers=workers)
    path = check_path("path", path)
    os.makedirs(path, exist_ok=True)
    there = os.listdir(path)
    if there:
        raise FileExistsError(f"{path} holds {len(there)} files, as {there[0]}; wanted a new directory")
    count = files = 0
    status = "complete"
    with reporter(progress, "regions") as report:
        for regions in chunks:
            write(regions, os.path.join(path, f"part-{files:05d}.parquet"), first=count)
            count, files, status = count + len(regions), files + 1, regions.status
            log.debug("%s: %d regions in %d files", path, count, files)
            report(count)
    found = {"count": count, "status": status, "files": files, "digest": net.digest}
    with replacing(os.path.join(path, _SUMMARY)) as file:
        file.write(json.dumps(found | {"domain": repr(domain)}).encode())
    return found


def write(regions, path, first=0):
    """One file, whole or not at all; its rows are numbered from `first`."""
    pa, parquet = optional("pyarrow"), optional("pyarrow.parquet")
    table = regions.to_arrow()
    about = table.schema.metadata
    if not regions.net.n_neurons:  # Parquet has no items of no bytes
        table = table.set_column(0, "pattern", table.column(0).cast(pa.binary()))
    if first:
        at = table.schema.get_field_index("neighbours")
        column = table.column(at).combine_chunks()
        moved = optional("pyarrow.compute").add(column.values, first)
        table = table.set_column(at, "neighbours", pa.ListArray.from_arrays(column.offsets, moved))
    table = table.add_column(0, "region", pa.array(range(first, first + len(regions)), pa.int64()))
    with replacing(path) as file:
        parquet.write_table(table.replace_schema_metadata(about), file)
