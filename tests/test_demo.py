"""What the demo says is true of the networks it shows."""

import json
import os
import sys

import numpy as np
import pytest

import foldline as fl
from foldline import bench, cli, demo
from foldline.cli import talk
from foldline.demo import diabetes, plane, prose
from foldline.wording import Writer, input_names


@pytest.fixture(scope="module")
def facts():
    return demo.facts(n_points=20_000)


def test_each_cone_has_the_map_that_its_neurons_say(facts):
    two = facts["two_neurons"]
    w, v = np.array(two["w"]), np.array(two["v"])
    assert len(two["cones"]) == 4
    assert {tuple(cone["active"]) for cone in two["cones"]} == {
        (True, True), (True, False), (False, True), (False, False)
    }  # fmt: skip
    for cone in two["cones"]:
        point, active = np.array(cone["interior_point"]), np.array(cone["active"])
        assert np.array_equal(w @ point > 0, active)
        assert (w @ point != 0).all()
        assert np.array_equal(cone["U"], (v * active) @ w)


def test_the_two_neurons_are_not_linear_and_the_witness_shows_it(facts):
    two = facts["two_neurons"]
    assert two["linear"] is False
    w, v = np.array(two["w"]), np.array(two["v"])
    x, minus_x = np.array(two["witness"]["points"])
    assert np.array_equal(x, -minus_x)
    assert two["witness"]["outputs"] == [v @ np.maximum(w @ x, 0), v @ np.maximum(w @ minus_x, 0)]
    assert sum(two["witness"]["outputs"]) != 0


def test_regression_recovers_the_map_of_one_cone_and_fails_on_the_plane(facts):
    two = facts["two_neurons"]
    assert np.allclose(two["regression_in_first_cone"]["U"], two["cones"][0]["U"])
    assert two["regression_in_first_cone"]["R2"] > 1 - 1e-12
    assert two["regression_in_the_plane"]["R2"] < 0.9
    assert two["mirrored_pair_is_linear"] is True


def test_formulas_read_as_one_writes_them():
    writer = Writer(input_names(2))
    assert writer.formula([-1.0, 5.0]) == "-x1 + 5 x2"
    assert writer.formula([2.0, -1.0]) == "2 x1 - x2"
    assert writer.formula([0.0, -0.5]) == "-0.5 x2"
    assert writer.formula([0.0, 0.0]) == "0"


def test_the_shipped_network_is_the_one_its_metadata_describe():
    net, metadata = diabetes.load()
    assert net.digest == metadata["digest"]
    assert (net.n_in, net.widths, net.n_out) == (10, (32, 32), 1)
    assert net.dtype == np.float32
    assert len(metadata["features"]) == len(metadata["low"]) == len(metadata["high"]) == 10


def test_the_formula_at_the_mean_gives_the_output_there(facts):
    net, metadata = diabetes.load()
    formula = facts["diabetes"]["formula_at_the_mean"]
    y = formula["constant"] + np.dot(list(formula["coefficients"].values()), metadata["mean"])
    assert y == pytest.approx(float(net(np.array([metadata["mean"]], np.float32))[0, 0]), rel=1e-4)
    assert 25 < y < 350


def test_the_score_on_held_out_patients_is_the_recorded_one():
    pytest.importorskip("sklearn")
    from sklearn.datasets import load_diabetes
    from sklearn.metrics import r2_score
    from sklearn.model_selection import train_test_split

    net, metadata = diabetes.load()
    patients, target = load_diabetes(return_X_y=True, scaled=False)
    _, x, _, y = train_test_split(patients, target, test_size=0.25, random_state=0)
    assert len(x) == metadata["n_held_out"]
    assert r2_score(y, net(x.astype(np.float32))[:, 0]) == pytest.approx(
        metadata["r2_held_out"], abs=1e-3
    )
    assert np.allclose(patients.min(axis=0), metadata["low"])
    assert np.allclose(patients.max(axis=0), metadata["high"])


def test_counts_of_the_real_network_are_those_of_its_patterns(facts):
    net, metadata = diabetes.load()
    points = bench.random_points(20_000, 10, np.float32, metadata["low"], metadata["high"])
    patterns, certain = net.patterns(points, return_certain=True)
    assert facts["diabetes"]["n_points"] == 20_000
    assert facts["diabetes"]["n_certain"] == np.count_nonzero(certain)
    distinct = len(np.unique(patterns[certain], axis=0))
    assert facts["diabetes"]["distinct_patterns_at_least"] == distinct


def test_the_slice_shows_two_measurements_of_the_average_patient_in_their_ranges(facts):
    net, metadata = diabetes.load()
    names, slice = list(metadata["features"]), plane._plane(metadata)
    bmi, bp = names.index("bmi"), names.index("bp")
    corners = np.array([slice.origin + s * slice.u + t * slice.v for s in (-1, 1) for t in (-1, 1)])
    expected = np.tile(metadata["mean"], (4, 1))
    expected[:, bmi] = np.repeat([metadata[end][bmi] for end in ("low", "high")], 2)
    expected[:, bp] = np.tile([metadata[end][bp] for end in ("low", "high")], 2)
    np.testing.assert_allclose(corners, expected)
    assert [metadata["features"][name] for name in plane.AXES] == list(plane.AXES.values())
    said = facts["diabetes"]["plane"]
    assert said["certified"] == "exact"
    assert said["regions"] == fl.count_regions(net, slice, engine="exact").count > 100
    assert f"exactly {said['regions']} regions. That is proved" in " ".join(demo.text(facts).split())


def test_the_picture_is_saved_and_only_ours_is_replaced(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert demo.save_picture().endswith("in foldline-demo.png in this directory.")
        assert (tmp_path / plane.PICTURE).read_bytes().startswith(b"\x89PNG")
    (tmp_path / plane.PICTURE).write_text("somebody's")
    assert "is not this demo's" in demo.save_picture()
    assert (tmp_path / plane.PICTURE).read_text() == "somebody's"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_picture_that_cannot_be_made_is_one_line(tmp_path, monkeypatch):
    assert "cannot be written here (No such file or directory)" in demo.save_picture(tmp_path / "nowhere")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    said = demo.save_picture(tmp_path)
    assert said == "No picture: pictures need matplotlib: pip install matplotlib."
    assert len(prose.paragraph(said).splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_the_axes_of_the_picture_are_in_the_units_of_the_measurements():
    plot = pytest.importorskip("matplotlib") and fl.plot
    net, metadata = diabetes.load()
    ax = plot.new_axes()
    plane._draw(ax, net, metadata)
    assert (ax.get_xlabel(), ax.get_ylabel()) == tuple(plane.AXES.values())
    names = list(metadata["features"])
    for axis, name in ((ax.xaxis, "bmi"), (ax.yaxis, "bp")):
        low, high = (metadata[end][names.index(name)] for end in ("low", "high"))
        for at, label in zip(axis.get_ticklocs(), axis.get_ticklabels()):
            assert float(label.get_text()) == pytest.approx(low + (at + 1) / 2 * (high - low))
            assert -1 <= at <= 1


def test_the_page_is_short_narrow_and_plain(facts):
    page = demo.text(facts | {"picture": f"It is drawn, with all its folds, in {plane.PICTURE} here."})
    assert page.startswith(demo.text(facts))
    assert page.splitlines()[-1] == "   It is drawn, with all its folds, in foldline-demo.png here."
    lines = page.splitlines()
    assert len(lines) <= 50
    assert max(map(len, lines)) <= 80
    assert page.isascii()
    assert "not linear" in page
    assert "one cone" in page
    assert "NumPy" in page


def test_the_page_can_be_made_from_the_json_document(facts):
    assert demo.text(json.loads(json.dumps(talk.plain(facts), allow_nan=False))) == demo.text(facts)


def test_the_command_prints_the_same_facts_and_saves_a_picture(capsys, facts, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name, value in bench.ONE_THREAD.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(demo, "facts", lambda progress: dict(facts))
    assert cli.main(["demo", "--json", "--no-picture"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["two_neurons"] == facts["two_neurons"] and said["picture"] is None
    assert cli.main(["demo", "--no-picture"]) == 0
    assert capsys.readouterr().out == demo.text(facts) + "\n"
    assert not list(tmp_path.iterdir())
    pytest.importorskip("matplotlib")
    assert cli.main(["demo"]) == 0
    assert plane.PICTURE in capsys.readouterr().out.splitlines()[-1]
    assert [path.name for path in tmp_path.iterdir()] == [plane.PICTURE]


def test_training_writes_a_network_and_metadata_like_those_that_ship(tmp_path, capsys):
    pytest.importorskip("sklearn")
    from foldline.demo import train

    train.main(tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["metadata.json", "network.npz"]
    metadata = json.loads((tmp_path / "metadata.json").read_text())
    assert fl.load(tmp_path / "network.npz").digest == metadata["digest"]
    assert metadata.keys() == diabetes.load()[1].keys()
    assert 0.3 < metadata["r2_held_out"] < 0.6
