"""What the demo says is true of the networks it shows."""

import json
import os

import numpy as np
import pytest

import foldline as fl
from foldline import bench, cli, demo
from foldline.demo import diabetes, two_neurons


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
    assert two_neurons._formula([-1.0, 5.0]) == "-x1 + 5 x2"
    assert two_neurons._formula([2.0, -1.0]) == "2 x1 - x2"
    assert two_neurons._formula([0.0, -0.5]) == "-0.5 x2"
    assert two_neurons._formula([0.0, 0.0]) == "0"


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


def test_the_page_is_short_narrow_and_plain(facts):
    page = demo.text(facts)
    lines = page.splitlines()
    assert len(lines) <= 50
    assert max(map(len, lines)) <= 80
    assert page.isascii()
    assert "not linear" in page
    assert "one cone" in page
    assert "NumPy" in page


def test_the_page_can_be_made_from_the_json_document(facts):
    assert demo.text(json.loads(json.dumps(cli._plain(facts), allow_nan=False))) == demo.text(facts)


def test_the_command_prints_the_same_facts(capsys, facts, monkeypatch):
    for name, value in bench.ONE_THREAD.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(demo, "facts", lambda progress: facts)
    assert cli.main(["demo", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["two_neurons"] == facts["two_neurons"]
    assert cli.main(["demo"]) == 0
    assert capsys.readouterr().out == demo.text(facts) + "\n"


def test_training_writes_a_network_and_metadata_like_those_that_ship(tmp_path, capsys):
    pytest.importorskip("sklearn")
    from foldline.demo import train

    train.main(tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["metadata.json", "network.npz"]
    metadata = json.loads((tmp_path / "metadata.json").read_text())
    assert fl.load(tmp_path / "network.npz").digest == metadata["digest"]
    assert metadata.keys() == diabetes.load()[1].keys()
    assert 0.3 < metadata["r2_held_out"] < 0.6
