"""The command line: exit codes, one JSON document, one line for an error, whole files or none."""

import io
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest

import foldline as fl
from foldline import bench, cli, reports
from foldline.cli import talk
from foldline.counting import RegionCount


@pytest.fixture
def net():
    rng = np.random.default_rng(0)
    layers = [(rng.standard_normal(s), rng.standard_normal(s[0])) for s in ((5, 3), (9, 5), (2, 9))]
    return fl.Network(layers, ["relu", np.array([0, 0, 0, 0.01, 0.5, -1, -1, 1, 1])])


@pytest.fixture
def model(net, tmp_path):
    path = tmp_path / "net.npz"
    net.save(path)
    return str(path)


@pytest.fixture
def model32(net, tmp_path):
    path = tmp_path / "net32.npz"
    net.astype(np.float32).save(path)
    return str(path)


@pytest.fixture
def points():
    return np.random.default_rng(1).uniform(-1, 1, (20, 3))


@pytest.fixture
def points_file(points, tmp_path):
    path = tmp_path / "points.npy"
    np.save(path, points)
    return str(path)


def run(*arguments):
    """Exit code of ``foldline arguments``, in this process."""
    try:
        return cli.main([str(a) for a in arguments])
    except SystemExit as stop:
        return stop.code


def document(capsys, *arguments):
    """The JSON document that ``foldline arguments --json`` prints, and nothing but it."""
    assert run(*arguments, "--json") == 0
    out, err = capsys.readouterr()

    def refuse(token):
        raise AssertionError(f"{token} is not JSON")

    assert err == ""
    return json.loads(out, parse_constant=refuse)


def error(capsys, *arguments):
    """The one line on stderr of a call that must fail with exit code 2."""
    assert run(*arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"foldline: error: [^\n]+\n", err)
    return err


def python_m_foldline(*arguments, **options):
    command = [sys.executable, "-m", "foldline", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, **options)


# info


def test_info_tells_shape_folds_parameters_and_digest(capsys, model, net):
    facts = document(capsys, "info", model)
    assert (facts["n_in"], facts["widths"], facts["n_out"]) == (3, [5, 9], 2)
    assert facts["dtype"] == "float64"
    assert facts["n_neurons"] == 12
    assert facts["folds"] == {"relu": 8, "leaky": 2, "abs": 2, "pass-through": 2}
    assert sum(facts["folds"].values()) == 5 + 9
    assert facts["parameters"] == 15 + 5 + 45 + 9 + 18 + 2
    assert facts["digest"] == net.digest
    assert facts["import_check"] is None
    assert facts["isa"] == fl.show_config().isa


def test_info_as_text_says_the_same(capsys, model, net):
    assert run("info", model) == 0
    out = capsys.readouterr().out
    assert "3-5-9-2, float64" in out
    assert net.digest in out
    assert "2 pass-through" in out
    assert f"with {fl.show_config().isa} instructions" in out


def test_info_of_an_affine_network_has_no_folds(capsys, tmp_path):
    path = tmp_path / "affine.npz"
    fl.Network([([[1.0, 2.0]], [0.5])]).save(path)
    assert document(capsys, "info", path)["folds"] == dict.fromkeys(
        ("relu", "leaky", "abs", "pass-through"), 0
    )
    assert run("info", path) == 0
    assert "affine" in capsys.readouterr().out


def test_info_reports_the_import_check_of_a_foreign_model(capsys, tmp_path):
    onnx = pytest.importorskip("onnx")
    path = tmp_path / "net.onnx"
    onnx.save(bench._as_onnx(bench.random_network("3-8-2")), path)
    check = document(capsys, "info", path)["import_check"]
    assert check["n_points"] > 0
    assert 0 <= check["max_deviation"] < 1e-4
    assert "onnx" in check["source"]


def test_what_is_assumed_of_a_foreign_file_of_weights_is_one_line_and_in_info(capsys, tmp_path):
    from safetensors.numpy import save_file

    path = tmp_path / "state.safetensors"
    save_file({f"{k}.weight": np.eye(2, dtype=np.float32) for k in (0, 2)}, path)
    assert run("info", path) == 0
    out, err = capsys.readouterr()
    assert err.startswith(f"foldline: note: {path} has weights without activations") and err.count("\n") == 1
    assert "not compared with its model (assumed to be linear layers" in out


# eval


def test_eval_prints_outputs_that_read_back_bit_for_bit(capsys, model, points_file, net, points):
    assert run("eval", model, points_file) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert np.array_equal(np.loadtxt(io.StringIO(out), delimiter=","), net(points))


def test_eval_of_a_float32_network_reads_back_too(capsys, model32, net):
    assert run("eval", model32, "--random", 50) == 0
    out = capsys.readouterr().out
    net32 = net.astype(np.float32)
    points = bench.random_points(50, 3, np.float32)
    assert np.array_equal(np.loadtxt(io.StringIO(out), np.float32, delimiter=","), net32(points))


def test_eval_as_json_holds_the_outputs(capsys, model, points_file, net, points):
    facts = document(capsys, "eval", model, points_file)
    assert np.array_equal(facts["outputs"], net(points))
    assert facts["n_points"] == 20


@pytest.mark.parametrize("ending", ["npy", "csv"])
def test_eval_writes_a_file(capsys, tmp_path, model, points_file, net, points, ending):
    path = tmp_path / f"out.{ending}"
    assert document(capsys, "eval", model, points_file, "-o", path)["output"] == str(path)
    y = np.load(path) if ending == "npy" else np.loadtxt(path, delimiter=",")
    assert np.array_equal(y, net(points))
    assert y.dtype == net.dtype


def test_eval_in_many_blocks_and_with_two_workers_gives_the_same_file(
    tmp_path, model, net, monkeypatch
):
    monkeypatch.setattr("foldline.cli.points.BLOCK_BYTES", 1)
    path = tmp_path / "out.npy"
    assert run("eval", model, "--random", 10_000, "-o", path, "--workers", 2) == 0
    assert np.array_equal(np.load(path), net(bench.random_points(10_000, 3, np.float64)))


def test_eval_reads_text_with_a_header_comments_and_either_separator(
    capsys, tmp_path, model, net, points
):
    commas = tmp_path / "points.csv"
    np.savetxt(commas, points, delimiter=",", header="a,b,c", comments="", fmt="%.17g")
    spaces = tmp_path / "points.txt"
    np.savetxt(spaces, points, header="made by hand", fmt="%.17g")
    for path in (commas, spaces):
        assert np.array_equal(document(capsys, "eval", model, path)["outputs"], net(points))


def test_eval_reads_text_from_stdin(capsys, model, net, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("0.5,1,2\n-1,0,0\n"))
    facts = document(capsys, "eval", model, "-")
    assert np.array_equal(facts["outputs"], net(np.array([[0.5, 1, 2], [-1, 0, 0]])))


@pytest.mark.parametrize("text", ["", "a,b,c\n", "# nothing\n\n"])
def test_no_points_give_no_outputs(capsys, tmp_path, model, text):
    path = tmp_path / "points.csv"
    path.write_text(text)
    out = tmp_path / "out.npy"
    assert run("eval", model, path, "--json") == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["outputs"] == []
    assert said.err == f"foldline: note: {path} holds no points\n"
    assert run("eval", model, path, "-o", out) == 0
    assert np.load(out).shape == (0, 2)
    assert run("eval", model, "--random", 0) == 0


def test_points_may_stand_behind_options(capsys, model, points_file):
    assert run("eval", model, "--workers", "2", points_file) == 0
    behind = capsys.readouterr().out
    assert run("eval", model, points_file, "--workers", "2") == 0
    assert capsys.readouterr().out == behind != ""
    assert run("eval", model, "--workers", "2", points_file, "more") == 2
    assert "unrecognized arguments: more" in capsys.readouterr().err
    assert run("info", model, points_file) == 2


def test_random_points_fill_the_box_that_was_asked_for(capsys, tmp_path):
    path = tmp_path / "identity.npz"
    fl.Network([(np.eye(2), None)]).save(path)
    box = ("--low=10,-1", "--high=20,0", "--seed", 3)
    outputs = np.array(document(capsys, "eval", path, "--random", 500, *box)["outputs"])
    assert (outputs >= [10, -1]).all() and (outputs <= [20, 0]).all()
    assert np.ptp(outputs[:, 0]) > 9 and np.ptp(outputs[:, 1]) > 0.9
    again = document(capsys, "eval", path, "--random", 500, *box)["outputs"]
    assert np.array_equal(outputs, again)


def test_json_has_null_where_a_float_overflows(capsys, tmp_path):
    path = tmp_path / "huge.npz"
    fl.Network([(np.array([[1e300, 1e300]]), None)]).save(path)
    (tmp_path / "points.csv").write_text("1e300,1e300\n")
    assert document(capsys, "eval", path, tmp_path / "points.csv")["outputs"] == [[None]]


def test_float64_points_for_a_float32_network_need_cast(capsys, model32, points_file, net, points):
    assert "--cast" in error(capsys, "eval", model32, points_file)
    facts = document(capsys, "eval", model32, points_file, "--cast")
    expected = net.astype(np.float32)(points.astype(np.float32))
    assert np.array_equal(np.array(facts["outputs"], np.float32), expected)


# patterns and count


def test_patterns_are_those_of_the_library_packed_or_not(capsys, model, points_file, net, points):
    p, certain = net.patterns(points, return_certain=True)
    facts = document(capsys, "patterns", model, points_file)
    assert np.array_equal(facts["patterns"], p)
    assert facts["n_certain"] == np.count_nonzero(certain)
    assert facts["certain"] == certain.tolist()
    facts = document(capsys, "patterns", model, points_file, "--unpack")
    assert np.array_equal(facts["patterns"], fl.unpack_patterns(p, net.n_neurons))


def test_patterns_on_stdout_are_rows_and_the_summary_is_not_among_them(
    capsys, model, points_file, net, points
):
    assert run("patterns", model, points_file, "--unpack") == 0
    out, err = capsys.readouterr()
    bits = np.loadtxt(io.StringIO(out), np.uint8, delimiter=",")
    assert np.array_equal(bits, fl.unpack_patterns(net.patterns(points), net.n_neurons))
    assert re.fullmatch(r"foldline: 20 patterns of 12 bits, \d+ certain in every bit\n", err)


def test_patterns_write_a_file_and_say_how_many_rows_are_certain(
    capsys, tmp_path, model, points_file, net, points
):
    path = tmp_path / "patterns.npy"
    assert run("patterns", model, points_file, "-o", path) == 0
    assert "certain" in capsys.readouterr().out
    assert np.array_equal(np.load(path), net.patterns(points))
    assert np.load(path).dtype == np.uint8


def test_exact_patterns_are_certain_in_every_row(capsys, tmp_path, model):
    path = tmp_path / "on_the_fold.csv"
    path.write_text("0,0,0\n1e-300,0,0\n")
    facts = document(capsys, "patterns", model, path, "--exact")
    assert facts["exact"] is True
    assert facts["n_certain"] == 2


def test_count_says_it_is_a_lower_bound(capsys, model, net):
    points = bench.random_points(1000, 3, np.float64, seed=5)
    seen = len(np.unique(net.patterns(points), axis=0))
    facts = document(capsys, "count", model, "--random", 1000, "--seed", 5)
    assert facts["distinct"] == seen
    assert "lower bound" in facts["note"]
    assert 0 <= facts["coverage"] <= 1
    assert run("count", model, "--random", 1000, "--seed", 5) == 0
    out = capsys.readouterr().out
    assert f"{seen} distinct patterns among 1,000 points" in out
    assert "a lower bound on the number of regions, never a count" in out


def test_count_leaves_out_points_whose_pattern_is_not_certain(capsys, tmp_path):
    path, points = tmp_path / "diagonal.npz", tmp_path / "points.csv"
    fl.Network([([[1.0, -1.0]], None), ([[1.0]], None)]).save(path)
    points.write_text("1,0\n0,1\n0.1,0.1\n")
    facts = document(capsys, "count", path, points)
    assert (facts["distinct"], facts["n_points"], facts["n_uncertain"]) == (2, 2, 1)
    assert run("count", path, points) == 0
    assert "Left out: 1 of the points" in capsys.readouterr().out


@pytest.mark.parametrize("sampler", ["uniform", "sobol", "lines"])
def test_count_samples_the_box_without_storing_points(capsys, model, net, sampler):
    box = fl.Box(-1, [0.5] * net.n_in, n_in=net.n_in)
    found = fl.count_patterns(net, getattr(fl.sample, sampler)(box, 3000, 5))
    high = ",".join(["0.5"] * net.n_in)
    options = ["--sample", "3e3", "--seed", 5, "--high", high, "--workers", 2]
    facts = document(capsys, "count", model, *options, "--sampler", sampler)
    assert facts["distinct"] == found.distinct and facts["n_points"] == found.n_points
    assert facts["note"] == str(found)
    assert document(capsys, "count", model, *options, "--sketch", "--sampler", sampler)["of"] == found.of
    assert run("count", model, *options, "--sampler", sampler, "--memory-limit", 1 << 20) == 0
    assert capsys.readouterr().out == f"{found}\n"


def test_counts_with_a_checkpoint_go_on(capsys, tmp_path, model, net):
    for how in (["--exact"], ["--sample", 5000]):
        journal = tmp_path / f"{how[0]}.journal"
        first = document(capsys, "count", model, *how, "--checkpoint", journal)
        size = journal.stat().st_size
        again = document(capsys, "count", model, *how, "--checkpoint", journal, "--workers", 2)
        assert journal.stat().st_size == size
        for facts in (first, again):
            facts.pop("stats", None)
        assert first == again
        assert run("count", model, *how, "--checkpoint", journal) == 0
        assert capsys.readouterr().out.endswith(f"\nOf this, all was in the journal {journal}.\n")
    assert "answers another question" in error(capsys, "count", model, "--exact", "--checkpoint", journal)
    part = tmp_path / "part.journal"
    assert run("count", model, "--exact", "--checkpoint", part, "--max-regions", 2) == 3
    assert "journal" not in capsys.readouterr().out
    assert run("count", model, "--exact", "--checkpoint", part) == 0
    assert f"Of this, a part was in the journal {part}.\n" in capsys.readouterr().out


def test_options_of_count_that_do_not_go_together_are_one_line(capsys, model, points_file):
    for arguments, message in [
        (["--exact", "--sample", 5], "wanted one of --exact, --sample"),
        (["--sample", 5, points_file], "wanted one of --exact, --sample"),
        ([], "wanted --exact, which counts the regions of the box, or --sample N"),
        (["--exact", "--sketch"], "--sketch wants a sample"),
        ([points_file, "--checkpoint", "x"], "--checkpoint wants --exact or --sample"),
        ([points_file, "--sampler", "lines"], "--sampler wants --sample"),
        (["--sample", "1.5"], "'1.5' is not a whole number"),
        (["--sample", 5, "--memory-limit", 5], "memory_limit is 5 bytes"),
        (["--exact", "--dask", "tcp://127.0.0.1:1"], "no Dask scheduler answers at tcp://127.0.0.1:1"),
    ]:
        assert message in error(capsys, "count", model, *arguments)


def test_regions_go_to_parquet_files(capsys, tmp_path, model, net):
    facts = document(capsys, "regions", model, "--parquet", tmp_path / "set")
    assert facts["count"] == fl.count_regions(net, fl.Box(-1, 1, n_in=net.n_in)).count
    assert "holds 2 files" in error(capsys, "regions", model, "--parquet", tmp_path / "set")
    assert run("regions", model, "--parquet", tmp_path / "part", "--max-regions", 2) == 3
    assert "there are more" in capsys.readouterr().out


def test_count_exact_counts_the_regions_of_a_box(capsys, tmp_path):
    path = tmp_path / "cross.npz"
    net = fl.Network([([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]], [0, 0, -2.0]), ([[1.0, 1.0, 1.0]], None)])
    net.save(path)
    facts = document(capsys, "count", path, "--exact")
    assert (facts["count"], facts["status"], facts["certified"]) == (4, "complete", "exact")
    assert facts["digest"] == net.digest
    assert document(capsys, "count", path, "--exact", "--low", "1,-1", "--high", "4,1")["count"] == 4
    assert document(capsys, "count", path, "--exact", "--kind", "affine", "--high", "3,1")["count"] == 6
    assert run("count", path, "--exact") == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == "4 activation regions, proved in doubles, every rounding bounded."
    rate = r"4 cells walked in .* s, .*/s \(engine polygons\); no sign needed rationals\."
    assert re.fullmatch(rate, second)


def test_count_exact_says_when_a_limit_ended_it_and_takes_no_points(capsys, tmp_path):
    path = tmp_path / "cross.npz"
    fl.Network([([[1.0, 0.0], [0.0, 1.0]], None), ([[1.0, 1.0]], None)]).save(path)
    assert run("count", path, "--exact", "--max-regions", 3) == 3
    assert "3 activation regions, a proved lower bound" in capsys.readouterr().out
    assert run("count", path, "--exact", "--random", 10) == 2
    assert "--exact takes no points" in capsys.readouterr().err
    assert run("count", path, "--exact", "--low", "0,0,0") == 2
    assert "wanted (2,)" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["activation", "linear"])
def test_a_limit_before_the_first_region_says_that_nothing_is_known_and_what_takes_less(kind):
    found = RegionCount(0, kind, "limit", "lower_bound", {"engine": "lp", "cells": 0, "seconds": 2.5}, "")
    said = reports.count_sentences(found)
    assert said.startswith(f"No {kind} region was finished") and "proved" not in said
    assert "fl.Ball" in said and "--sample N" in said


def test_regions_that_a_limit_left_without_any_says_so_too(capsys, model, monkeypatch):
    one = fl.regions(fl.load(model), fl.Box(-1, 1, n_in=3), max_regions=1)
    names = ("patterns", "A", "b", "interior_points", "vertices", "volumes", "neighbours")
    none = fl.Regions(one.net, one.domain, "limit", **{name: getattr(one, name)[:0] for name in names})
    monkeypatch.setattr(fl, "regions", lambda *arguments, **options: none)
    assert run("regions", model) == 3
    out, err = capsys.readouterr()
    assert out.startswith("No activation region was finished before the limit") and err == ""
    assert run("regions", model, "--json") == 3
    facts = json.loads(capsys.readouterr().out)
    assert (facts["count"], facts["smallest_volume"]) == (0, None)


@pytest.fixture
def degenerate(tmp_path):
    """Three folds through one point."""
    path = tmp_path / "three.npz"
    fl.Network([([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], None), ([[1.0, 1.0, -1.0]], None)]).save(path)
    return str(path)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "6 activation regions, proved in doubles where their rounding bound suffices, else in exact"),
        (("--kind", "affine"), "5 affine regions, proved in doubles where their rounding bound suffices"),
        (("--engine", "exact"), "6 activation regions, proved in exact arithmetic.\n6 cells walked in"),
        (("--engine", "lp", "--workers", 2), "6 activation regions, proved in"),
        (("--no-certify",), "activation regions, not proved: signs are as rounding left them.\n"),
        (("--high=-0.5,-0.5"), "1 activation region, proved in doubles, every rounding bounded.\n"),
    ],
)
def test_count_exact_says_how_it_is_proved(capsys, degenerate, options, said):
    options = (options,) if isinstance(options, str) else options
    assert run("count", degenerate, "--exact", *options) == 0
    assert said in capsys.readouterr().out


def test_count_exact_says_how_much_needed_rationals(capsys, degenerate):
    stats = document(capsys, "count", degenerate, "--exact")["stats"]
    assert stats["by_rationals"] > 0
    assert run("count", degenerate, "--exact") == 0
    assert f"{stats['by_rationals']} part" in capsys.readouterr().out


def test_a_limit_without_proof_is_no_bound(capsys, degenerate):
    assert run("count", degenerate, "--exact", "--no-certify", "--max-regions", 2) == 3
    out = capsys.readouterr().out
    assert "rationals" not in out
    assert "not proved" in out and "a limit ended the count" in out and "bound:" not in out


def test_options_of_exact_counts_want_exact(capsys, model):
    assert "--engine wants --exact" in error(capsys, "count", model, "--random", 9, "--engine", "lp")
    assert "--no-certify wants" in error(capsys, "count", model, "--random", 9, "--no-certify")
    assert "wants 1" in error(capsys, "count", model, "--exact", "--engine", "sweep")


# regions and slice


def test_regions_lists_the_largest_and_saves_all(capsys, tmp_path, model, net):
    path = tmp_path / "regions.npz"
    facts = document(capsys, "regions", model, "--save", path, "--largest", 3, "--workers", 2)
    found = fl.Regions.load(path)
    assert found == fl.regions(net, fl.Box(-1, 1, n_in=3))
    assert (facts["count"], facts["status"], facts["certified"]) == (len(found), "complete", "exact")
    assert facts["smallest_volume"] == found.volumes.min() and facts["volume"] == 8
    rows = [each["region"] for each in facts["largest"]]
    assert [each["volume"] for each in facts["largest"]] == sorted(found.volumes, reverse=True)[:3]
    assert [each["A"] for each in facts["largest"]] == found.A[rows].tolist()
    assert [each["share"] for each in facts["largest"]] == (found.volumes[rows] / 8).tolist()
    assert run("regions", model, "--largest", 3, "--of-output", 1) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == f"{len(found)} activation regions, proved."
    assert out[3].split()[:3] == ["y2", "is", "about"]
    assert [int(line.split()[-1]) for line in out[4:]] == rows
    assert run("regions", model, "--names", "dose,age,bmi") == 0
    out = capsys.readouterr().out
    assert "dose" in out and "bmi" in out and "x0" not in out and "x1" not in out


def test_regions_says_when_a_limit_ended_it_and_where_volumes_are(capsys, tmp_path, model):
    assert run("regions", model, "--max-regions", 2) == 3
    assert capsys.readouterr().out.startswith("2 activation regions, a proved lower bound: a limit ended")
    wide = tmp_path / "wide.npz"
    fl.Network([(np.eye(7)[:2], None), ([[1.0, 1.0]], None)]).save(wide)
    facts = document(capsys, "regions", wide)
    assert facts["count"] == 4 and facts["smallest_volume"] is None
    assert run("regions", wide) == 0
    assert "--engine exact" in capsys.readouterr().out
    assert document(capsys, "regions", wide, "--engine", "exact")["smallest_volume"] == 32


def test_regions_refuses_bad_input(capsys, tmp_path, model):
    assert "wanted low < high" in error(capsys, "regions", model, "--low", 1)
    assert "this network has 2 outputs" in error(capsys, "regions", model, "--of-output", 2)
    assert "no/such" in error(capsys, "regions", model, "--save", tmp_path / "no" / "such" / "file.npz")


@pytest.mark.parametrize(
    ("slope", "offset", "text"),
    [
        ([1, 0, -2], 0.5, "x1 - 2 x3 + 0.5"),
        ([-1, 0], 0, "-x1"),
        ([0, 0], 0, "0"),
        ([0.125, 3], -1, "0.125 x1 + 3 x2 - 1"),
        ([1 / 3, -2 / 3], 1e-9, "0.333 x1 - 0.667 x2 + 1e-09"),
        ([np.inf, 1], -np.inf, "inf x1 + x2 - inf"),
        ([1, 2, 3, 4, 5, 6, 0, 7], 0, "4 x4 + 5 x5 + 6 x6 + 7 x8 ... 3 more"),
    ],
)
def test_formulas_are_written_as_one_would(slope, offset, text):
    assert reports.formula(np.array(slope, float), float(offset)) == text


PLANES = {
    ("--axes", "0,2"): fl.Plane([0, 0, 0], [1, 0, 0], [0, 0, 1]),
    ("--axes", "2,1", "--origin", "-.5,.25,1", "--extent", "0.5"): fl.Plane(
        [-0.5, 0.25, 1], [0, 0, 1], [0, 1, 0], extent=0.5
    ),
    ("--axes", "c,a", "--names", "a,b,c"): fl.Plane([0, 0, 0], [0, 0, 1], [1, 0, 0]),
    ("--u", "-1,0,1", "--v", "0,1,-.5"): fl.Plane([0, 0, 0], [-1, 0, 1], [0, 1, -0.5]),
    ("--through", "1,0,0", "-1,0,1", "0,-2,0"): fl.Plane.through([1, 0, 0], [-1, 0, 1], [0, -2, 0]),
}


@pytest.mark.parametrize("options", PLANES, ids=" ".join)
def test_slice_counts_the_regions_of_the_plane_that_was_named(capsys, model, net, options):
    plane = PLANES[options]
    facts = document(capsys, "slice", model, *options)
    assert facts["count"] == fl.count_regions(net, plane).count
    assert facts["certified"] == "exact" and facts["domain"] == "Plane"
    assert {name: facts[name] for name in vars(plane)} == talk.plain(vars(plane))
    assert run("slice", model, *options) == 0
    assert capsys.readouterr().out.startswith(f"{facts['count']} activation regions, proved in doubles")


@pytest.mark.parametrize("color_by", ["region", "layer"])
def test_slice_draws_a_picture(capsys, tmp_path, model, color_by):
    pytest.importorskip("matplotlib")
    path = tmp_path / "slice.png"
    assert run("slice", model, "--axes", "0,1", "--picture", path, "--color-by", color_by) == 0
    assert re.search(rf"\n{path}: \d+ activation regions drawn\.\n$", capsys.readouterr().out)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert run("slice", model, "--axes", "0,1", "--picture", path, "--kind", "linear") == 0
    assert "drawn, of which neighbours may have one map." in capsys.readouterr().out
    partly = document_of_limit(capsys, "slice", model, "--axes", "0,1", "--max-regions", 3, "--picture", path)
    assert (partly["count"], partly["status"], partly["picture"]) == (3, "limit", str(path))


def document_of_limit(capsys, *arguments):
    assert run(*arguments, "--json") == 3
    return json.loads(capsys.readouterr().out)


def test_slice_without_matplotlib_says_what_to_install_before_it_counts(capsys, model, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setattr(fl, "count_regions", None)
    said = error(capsys, "slice", model, "--axes", "0,1", "--picture", "slice.png")
    assert "pip install matplotlib" in said
    assert "ends in" in error(capsys, "slice", model, "--axes", "0,1", "--picture", "slice.docx")


def test_slice_refuses_bad_planes(capsys, model):
    for options in ((), ("--u", "1,0,0"), ("--axes", "0,1", "--u", "1,0,0", "--v", "0,1,0")):
        assert "wanted --axes" in error(capsys, "slice", model, *options)
    assert "wanted --axes" in error(
        capsys, "slice", model, "--through", "1,0,0", "0,1,0", "0,0,1", "--origin", "0,0,0"
    )
    for axes in ("0,3", "0.5,1", "0", "0,-1"):
        assert "inputs 0 to 2" in error(capsys, "slice", model, "--axes", axes)
    assert "as in dose,age" in error(capsys, "slice", model, "--axes", "dose,x2", "--names", "dose,age,bmi")
    assert "--axes is 1,1; wanted two different" in error(capsys, "slice", model, "--axes", "1,1")
    assert "takes 3" in error(capsys, "slice", model, "--u", "1,0", "--v", "0,1", "--origin", "0,0")
    assert "extent is" in error(capsys, "slice", model, "--axes", "0,1", "--extent", "0")
    assert "has 2 outputs" in error(capsys, "slice", model, "--axes", "0,1", "--of-output", "5")


# knots


def test_knots_lists_crossings_and_slopes(capsys, model, net):
    ends = ("--start", "-2,1,0.5", "--stop", "2,-1.5,1")
    found = fl.knots(net, [-2, 1, 0.5], [2, -1.5, 1])
    facts = document(capsys, "knots", model, *ends)
    assert facts["n_crossings"] == found.n_crossings == len(found) > 3
    assert facts["n_knots"] == np.count_nonzero(found.is_knot)
    assert facts["first_slope"] == found.first_slope[0].tolist()
    for name in ("t", "t_error", "neuron", "is_knot", "slope_before", "slope_after"):
        assert facts[name] == getattr(found, name).tolist()
    assert facts["stats"] == found.stats and facts["digest"] == net.digest
    on_the_line = document(capsys, "knots", model, *ends, "--extend")["t"]
    assert min(on_the_line) < 0 or max(on_the_line) > 1
    assert run("knots", model, *ends) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{found!r}, proved in float64.\n")
    assert out.count("\n") == 3 + len(found)


def test_knots_says_how_ties_were_decided_and_that_there_are_none(capsys, tmp_path):
    path = tmp_path / "tied.npz"
    fl.Network([([[1.0]], None), ([[1.0]], None), ([[0.5]], None)]).save(path)
    assert run("knots", path, "--start=-1", "--stop=1") == 0
    assert "(1 crossing, 1 knot), proved in rationals.\nThe slope begins as 0." in capsys.readouterr().out
    assert run("knots", path, "--start", 1, "--stop", 2) == 0
    said = "Knots(0 crossings, 0 knots), proved in float64.\nThe slope begins as 0.5.\n"
    assert capsys.readouterr().out == said


def test_knots_refuses_bad_ends(capsys, model):
    assert "wanted both (3,)" in error(capsys, "knots", model, "--start", "1,2", "--stop", "1,2")
    assert "wanted two points" in error(capsys, "knots", model, "--start", "1,2,3", "--stop", "1,2,3")
    assert "not a finite number" in error(capsys, "knots", model, "--start", "1,nan,3", "--stop", "1,2,3")
    assert "--stop" in error(capsys, "knots", model, "--start", "1,2,3")


# bench


def test_bench_measures_and_finds_that_all_agree(capsys, model, monkeypatch):
    for name, value in bench.ONE_THREAD.items():
        monkeypatch.setenv(name, value)
    facts = document(capsys, "bench", model, "--seconds", 0, "--points", 500)
    assert facts["agree"] is True
    assert facts["peak_flops_per_second"] > 0
    measured = {(row["name"], row["job"]): row for row in facts["rows"]}
    assert {("foldline", bench.BOTH), ("NumPy", bench.OUTPUTS), ("NumPy", bench.BOTH)} <= set(
        measured
    )
    assert all(row["seconds"] > 0 for row in facts["rows"])
    assert measured["NumPy", bench.BOTH]["foldline_is_times_as_fast"] > 0


def test_bench_says_what_is_not_installed(capsys, model, monkeypatch):
    for name, value in bench.ONE_THREAD.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(bench, "torch_peer", lambda net: None)
    assert run("bench", model, "--seconds", 0, "--points", 100) == 0
    assert "\ntorch: not installed\n" in capsys.readouterr().out


def test_bench_runs_itself_on_one_thread(model):
    environment = {k: v for k, v in os.environ.items() if k not in bench.ONE_THREAD}
    done = python_m_foldline("bench", model, "--seconds", 0, "--points", 100, env=environment)
    assert done.returncode == 0, done.stderr
    assert "x as fast" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_bench_says_no_when_results_disagree(capsys, model, monkeypatch):
    for name, value in bench.ONE_THREAD.items():
        monkeypatch.setenv(name, value)
    evaluate = bench.NumpyPeer.evaluate
    monkeypatch.setattr(
        bench.NumpyPeer,
        "evaluate",
        lambda self, x: (evaluate(self, x)[0] + 1e-9, evaluate(self, x)[1]),
    )
    assert run("bench", model, "--seconds", 0, "--points", 100) == 1
    assert "NumPy" in capsys.readouterr().out


def test_the_bound_of_bench_holds_and_is_not_idle():
    net = bench.random_network("5-50x6-5", "float32")
    points = bench.random_points(300, 5, np.float32)
    y, bound = bench.evaluate_with_bound(net, points)
    deviation = np.abs(net(points) - y)
    assert (deviation <= bound).all()
    assert deviation.max() > 0
    assert (bound < 0.1 * np.abs(y).max()).all()


def test_numpy_peer_gives_patterns_of_networks_with_pass_through_units(net, points):
    y, p = bench.NumpyPeer(net).evaluate(points)
    assert bench.check_agreement(net, points, {"NumPy": y}, {"NumPy": p}) > 0


# errors


def test_bad_arguments_are_one_line(capsys, model):
    error(capsys)
    error(capsys, "nonsense")
    error(capsys, "eval")
    error(capsys, "eval", model)
    error(capsys, "eval", model, "points.npy", "--random", 3)
    error(capsys, "eval", model, "--random", -1)
    error(capsys, "eval", model, "--random", "many")
    error(capsys, "eval", model, "--random", 3, "--low", "nan")
    error(capsys, "eval", model, "--random", 3, "--low=1,2")
    error(capsys, "eval", model, "--random", 3, "--workers", 0)
    error(capsys, "bench", model, "--seconds", -1)


def test_a_missing_or_broken_model_is_one_line(capsys, tmp_path):
    assert "nowhere.npz" in error(capsys, "info", tmp_path / "nowhere.npz")
    broken = tmp_path / "broken.npz"
    broken.write_bytes(b"PK\x03\x04 and then nothing")
    error(capsys, "info", broken)
    error(capsys, "info", tmp_path / "model.docx")
    error(capsys, "info", tmp_path)


def test_bad_text_points_are_one_line(capsys, tmp_path, model):
    path = tmp_path / "points.csv"
    for text in (
        "1,2,x\n",
        "1,2,3\n4,5\n",
        "1,2\n",
        "1,2,3,4\n",
        "1,2,nan\n",
        "1,2,1e999\n",
        "\xff",
    ):
        path.write_bytes(text.encode("latin-1"))
        error(capsys, "eval", model, path)
    assert "points.csv has shape (1, 2)" in error_of(capsys, model, path, "1,2\n")


def error_of(capsys, model, path, text):
    path.write_text(text)
    return error(capsys, "eval", model, path)


def test_bad_npy_points_are_one_line_and_are_never_unpickled(capsys, tmp_path, model):
    path = tmp_path / "points.npy"
    arrays = [
        np.zeros((4, 2)),
        np.zeros(3),
        np.zeros((4, 3), complex),
        np.full((4, 3), "a"),
        np.full((4, 3), np.inf),
        np.array([[{}, {}, {}]], object),
    ]
    for array in arrays:
        np.save(path, array, allow_pickle=True)
        error(capsys, "eval", model, path)
        error(capsys, "eval", model, path, "--cast")
    np.save(path, np.zeros((4, 3)))
    path.write_bytes(path.read_bytes()[:-8])
    error(capsys, "eval", model, path)
    path.write_bytes(b"not an array")
    assert "not a .npy file" in error(capsys, "eval", model, path)
    error(capsys, "eval", model, tmp_path / "nowhere.npy")


def test_a_file_that_holds_no_points_is_said_to_hold_none(capsys, model):
    assert "net.npz holds no points" in error(capsys, "eval", model, model)


def test_a_failed_call_leaves_the_output_file_as_it_was(capsys, tmp_path, model):
    points, out = tmp_path / "points.npy", tmp_path / "out.npy"
    np.save(points, np.array([[0.0, 0, 0]] * 5 + [[np.nan, 0, 0]]))
    out.write_text("before")
    error(capsys, "eval", model, points, "-o", out)
    assert out.read_text() == "before"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["net.npz", "out.npy", "points.npy"]


def test_an_output_that_cannot_be_written_is_one_line(capsys, tmp_path, model):
    missing = tmp_path / "no" / "such" / "out.npy"
    assert str(missing) in error(capsys, "eval", model, "--random", 3, "-o", missing)
    error(capsys, "eval", model, "--random", 3, "-o", tmp_path)


def test_running_out_of_memory_is_a_limit(capsys, model, monkeypatch):
    def exhausted(*arguments, **options):
        raise MemoryError("no room for 1 TB")

    monkeypatch.setattr(bench, "random_points", exhausted)
    assert run("eval", model, "--random", 3) == 3
    assert capsys.readouterr().err == "foldline: error: no room for 1 TB\n"


def test_an_interrupt_is_130_and_says_so(capsys, model, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(fl, "load", interrupted)
    assert run("info", model) == 130
    assert capsys.readouterr().err == "foldline: interrupted\n"


@pytest.mark.parametrize(
    ("command", "function", "what"),
    [
        (["count", "--exact"], "count_regions", "counting regions, 1,234 so far"),
        (["count", "--sample", "9872"], "count_patterns", "counting points, 1,234 of 9,872 (12%)"),
        (["count", "--sample", "9", "--sampler", "lines"], "count_patterns", "counting pieces, 1,234 so far"),
        (["regions"], "regions", "describing regions, 1,234 so far"),
    ],
)
def test_an_interrupt_says_how_far_it_came_and_what_goes_on(
    capsys, model, monkeypatch, command, function, what
):
    def interrupted(*arguments, progress, **options):
        progress(1234)
        raise KeyboardInterrupt

    monkeypatch.setattr(fl, function, interrupted)
    assert run(*command, model) == 130
    said = f"foldline: interrupted while {what}"
    assert capsys.readouterr() == ("", f"{said}\n")
    if command[0] == "count":
        assert run(*command, model, "--checkpoint", "run.journal") == 130
        assert capsys.readouterr().err == f"{said}; the same command goes on from run.journal\n"


# processes


def test_python_m_foldline_is_the_command(model, net):
    done = python_m_foldline("eval", model, "--random", 3)
    expected = net(bench.random_points(3, 3, np.float64))
    assert done.returncode == 0
    assert np.array_equal(np.loadtxt(io.StringIO(done.stdout), delimiter=","), expected)
    failed = python_m_foldline("info", "nowhere.npz")
    assert (failed.returncode, failed.stdout) == (2, "")
    assert failed.stderr.startswith("foldline: error: nowhere.npz")
    assert python_m_foldline("--version").stdout == f"foldline {fl.__version__}\n"


@pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX")
def test_a_reader_that_goes_away_is_met_with_silence(model):
    command = [sys.executable, "-m", "foldline", "eval", model, "--random", "200000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline().count(b",") == 1
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


@pytest.mark.skipif(os.name != "posix", reason="a shell's redirections")
@pytest.mark.parametrize(("redirection", "says"), [(">&-", False), ("2>&-", True), (">&- 2>&-", False)])
def test_a_stream_that_is_closed_takes_nothing_and_nothing_fails(model, redirection, says):
    for command in (f"info '{model}'", "--help", f"patterns --random 3 '{model}'"):
        line = f"'{sys.executable}' -m foldline {command} {redirection}"
        done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=60)
        assert (done.returncode, bool(done.stdout)) == (0, says)
        assert "Traceback" not in done.stderr


def test_progress_is_for_terminals_and_for_the_patient(monkeypatch, capsys):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(talk.Progress, "PATIENCE", 0.01)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with talk.Progress("working") as progress:
        progress(0.5)
        for _ in range(500):
            if "working 50%" in terminal.getvalue():
                break
            progress._over.wait(0.01)
    assert "working 50%" in terminal.getvalue()
    assert terminal.getvalue().endswith("\r")
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with talk.Progress("working"):
        pass
    assert sys.stderr.getvalue() == ""


def test_importing_foldline_imports_no_part_of_the_command_line():
    code = "import sys, foldline; print([m for m in sys.modules if m.startswith('foldline')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for module in ("foldline.cli", "foldline.bench", "foldline.demo"):
        assert module not in done.stdout


# check and verify


@pytest.fixture
def cancelling(tmp_path):
    path = tmp_path / "cancelling.npz"
    fl.Network([([[1.0, 2.0], [-1.0, -2.0]], None), ([[1.0, -1.0], [1.0, 1.0]], None)]).save(path)
    return str(path)


def test_regions_and_explain_write_the_same_formulas(capsys, tmp_path):
    path = tmp_path / "net.npz"
    fl.Network([([[1.0, 2.0], [3.0, -1.0]], None), ([[2.0, -1.0]], None)]).save(path)
    formulas, written = ("-3 x1 + x2", "2 x1 + 4 x2", "-x1 + 5 x2"), []
    for command in ("regions", "explain"):
        assert run(command, path) == 0
        lines = capsys.readouterr().out.splitlines()
        written.append({formula for formula in formulas if any(formula in line for line in lines)})
        assert not any("x0" in line for line in lines)
    assert written == [set(formulas)] * 2


def test_check_says_affine_with_the_map_and_exit_code_0(capsys, cancelling):
    assert run("check", "--affine", cancelling, "--outputs", 0) == 0
    out = capsys.readouterr().out
    assert "Affine: neurons that fold cancel." in out
    assert "  y1 = x1 + 2 x2\n" in out
    facts = document(capsys, "check", "--affine", cancelling, "--outputs", 0, "--low=-2", "--high", "1,2")
    assert (facts["status"], facts["outputs"], facts["A"], facts["b"]) == ("affine", [0], [[1, 2]], [0])
    assert (facts["low"], facts["high"], facts["witness"]) == ([-2, -2], [1, 2], None)


def test_check_says_no_with_a_witness_and_exit_code_1(capsys, cancelling):
    assert run("check", cancelling) == 1
    assert "f(x) + f(y) - 2 f(z)" in capsys.readouterr().out
    assert run("check", "--affine", cancelling, "--json") == 1
    witness = json.loads(capsys.readouterr().out)["witness"]
    assert witness["outputs"] == [1] and witness["neurons"] == [0, 1] and witness["gap"] != 0
    assert run("check", "--affine", cancelling, "--tol", "5") == 0


def test_a_gap_beyond_floats_is_said_in_words_and_null(capsys, tmp_path):
    path = tmp_path / "net.npz"
    fl.Network([([[1e200], [1e200]], [0, 1]), ([[1e200, -0.5]], None)]).save(path)
    assert run("check", "--affine", path) == 1
    assert "= more than 1e308 in y;" in capsys.readouterr().out
    assert run("check", "--affine", path, "--json") == 1
    assert json.loads(capsys.readouterr().out)["witness"]["gap"] is None


def test_check_that_meets_a_limit_is_undecided_with_exit_code_3(capsys, tmp_path):
    w = np.random.default_rng(0).integers(-8, 9, (6, 2)) / 8
    doubled, keep = np.repeat(w, 2, axis=0), np.kron(np.eye(6), [[1.0, 0.0], [0.5, 0.5]])
    path = tmp_path / "net.npz"
    fl.Network([(doubled, None), (keep, None), (np.tile([1.0, -1.0], 6)[None], None)]).save(path)
    saved = tmp_path / "proof.json"
    assert run("check", "--affine", path, "--max-regions", 2, "--save", saved) == 3
    out = capsys.readouterr().out
    assert "Undecided" in out and "no proof to save" in out
    assert not saved.exists()


@pytest.mark.parametrize("outputs", ["0", "0,1"])
def test_verify_checks_a_saved_proof_in_another_process(capsys, cancelling, model, tmp_path, outputs):
    saved = tmp_path / "proof.json"
    assert run("check", "--affine", cancelling, "--outputs", outputs, "--save", saved) == len(outputs) // 2
    assert str(saved) in capsys.readouterr().out
    done = python_m_foldline("verify", saved, cancelling)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Verified in exact arithmetic: ")
    assert run("verify", saved, model) == 1
    assert "Refused: it is about the network" in capsys.readouterr().out
    facts = document(capsys, "verify", saved, cancelling)
    assert facts["holds"] and facts["refusal"] is None
    text = saved.read_text().replace('"tol": "0"', '"tol": "1"')
    saved.write_text(text)
    assert run("verify", saved, cancelling, "--json") == 1
    assert not json.loads(capsys.readouterr().out)["holds"]


def test_errors_advise_options_not_python(capsys, tmp_path, cancelling):
    points = tmp_path / "points.csv"
    points.write_text("1,nan\n")
    assert "allow_nonfinite" not in error(capsys, "eval", cancelling, points)
    assert "Plane" not in error(capsys, "check", cancelling, "--low", "1")
    biased = tmp_path / "biased.npz"
    fl.Network([([[1.0]], [1.0]), ([[1.0]], None)]).save(biased)
    assert "fl." not in error(capsys, "explain", biased, "--space")
    assert run("check", "--help") == 0
    assert "Exit codes: 0 done, 1 the answer is no, 2 bad input, 3" in capsys.readouterr().out


def test_options_may_come_before_the_points_on_stdin(capsys, monkeypatch, cancelling):
    monkeypatch.setattr(sys, "stdin", io.StringIO("1,2\n"))
    assert run("eval", cancelling, "--cast", "-") == 0


def test_check_and_verify_refuse_bad_input(capsys, cancelling, tmp_path):
    for files in ((cancelling, cancelling), (__file__, cancelling)):
        assert "is not a proof file" in error(capsys, "verify", *files)
    assert "low < high" in error(capsys, "check", "--affine", cancelling, "--low", "1")
    assert "0 to 1" in error(capsys, "check", "--affine", cancelling, "--outputs", "2")
    assert "tolerance" in error(capsys, "check", "--affine", cancelling, "--tol=-1")
    assert "nowhere" in error(capsys, "check", "--affine", cancelling, "--save", tmp_path / "nowhere" / "p")
    hostile = tmp_path / "proof.json"
    hostile.write_text('{"format": "foldline proof"')
    assert "proof.json" in error(capsys, "verify", hostile, cancelling)
    assert "missing" in error(capsys, "verify", tmp_path / "missing", cancelling)


def test_a_first_line_that_is_neither_points_nor_their_header_is_an_error(capsys, cancelling, tmp_path):
    for text in ("1;2;3", "hello"):
        points = tmp_path / "points.csv"
        points.write_text(text + "\n")
        assert f"the first line is {text}; wanted" in error(capsys, "eval", cancelling, points)


def test_random_points_want_low_below_high(capsys, cancelling):
    swapped = ("--random", "2", "--low", "1", "--high", "-1")
    assert "wanted low < high" in error(capsys, "eval", cancelling, *swapped)
