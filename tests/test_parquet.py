"""Parquet data sets hold the regions, in files that are whole."""

import json

import networks
import numpy as np
import pyarrow.dataset
import pyarrow.parquet
import pytest

import foldline as fl

NET = fl.Network(*networks.random_network(31, (2, 12, 10, 1), slopes=0, bias=0.5))
BOX = fl.Box(-1, 1, n_in=2)


@pytest.mark.parametrize("chunk", [1, 10, 10**6])
def test_a_data_set_has_the_rows_of_all_chunks_in_order(tmp_path, chunk):
    whole = fl.regions(NET, BOX)
    told = []
    found = fl.write_regions(NET, BOX, tmp_path / "regions", chunk=chunk, progress=told.append)
    files = -(-len(whole) // chunk)
    assert found == {"count": len(whole), "status": "complete", "files": files, "digest": NET.digest}
    assert told[-1] == len(whole)
    summary = json.loads((tmp_path / "regions" / "_foldline.json").read_text())
    assert summary == found | {"domain": repr(BOX)}
    table = pyarrow.dataset.dataset(tmp_path / "regions").to_table().sort_by("region")
    assert table["region"].to_pylist() == list(range(len(whole)))
    assert table["pattern"].to_pylist() == [row.tobytes() for row in whole.patterns]
    np.testing.assert_array_equal(np.array(table["A"].to_pylist()), whole.A)
    np.testing.assert_allclose(np.array(table["volume"].to_pylist()), whole.volumes, rtol=1e-12)
    around = {(min(i, j), max(i, j)) for i, row in enumerate(table["neighbours"].to_pylist()) for j in row}
    wanted = {(i, j) for i, j in whole.neighbours.tolist() if i // chunk == j // chunk}
    assert around == wanted


def test_a_limit_is_written_down(tmp_path):
    found = fl.write_regions(NET, BOX, tmp_path, chunk=4, max_regions=10)
    assert (found["count"], found["status"], found["files"]) == (10, "limit", 3)


def test_a_network_without_folds_is_one_row(tmp_path):
    net = fl.Network([([[1.0, 2.0]], None)])
    assert fl.write_regions(net, BOX, tmp_path / "regions")["count"] == 1
    assert pyarrow.dataset.dataset(tmp_path / "regions").to_table()["pattern"].to_pylist() == [b""]


def test_a_bad_chunk_makes_no_directory(tmp_path):
    with pytest.raises(ValueError, match="chunk is 0"):
        fl.write_regions(NET, BOX, tmp_path / "regions", chunk=0)
    assert not (tmp_path / "regions").exists()


def test_one_file_has_one_table(tmp_path):
    regions = fl.regions(NET, BOX)
    regions.to_parquet(tmp_path / "all.parquet")
    table = pyarrow.parquet.read_table(tmp_path / "all.parquet")
    assert table.drop_columns("region").equals(regions.to_arrow())
    assert table.schema.metadata[b"network"].decode() == NET.digest


def test_a_directory_that_holds_something_is_refused(tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(FileExistsError, match=r"1 files, as letter\.txt; wanted a new directory"):
        fl.write_regions(NET, BOX, tmp_path)


def test_a_run_that_fails_leaves_whole_files_and_no_summary(tmp_path):
    def stop(n):
        if n >= 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fl.write_regions(NET, BOX, tmp_path, chunk=4, progress=stop)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["part-00000.parquet", "part-00001.parquet"]
    assert pyarrow.dataset.dataset(tmp_path).count_rows() == 8
