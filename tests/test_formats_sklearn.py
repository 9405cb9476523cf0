"""scikit-learn networks, alone and behind scalers, give what the estimator predicts."""

import pickle
import sys

import numpy as np
import pytest

from foldline.errors import UnsupportedModelError
from foldline.formats import from_sklearn

pytest.importorskip("sklearn")
from sklearn.exceptions import NotFittedError  # noqa: E402
from sklearn.linear_model import LinearRegression  # noqa: E402
from sklearn.neural_network import MLPClassifier, MLPRegressor  # noqa: E402
from sklearn.pipeline import Pipeline, make_pipeline  # noqa: E402
from sklearn.preprocessing import (  # noqa: E402
    MaxAbsScaler,
    MinMaxScaler,
    PolynomialFeatures,
    RobustScaler,
    StandardScaler,
)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
RNG = np.random.default_rng(0)
X = RNG.normal(size=(80, 3)) * [1, 10, 0.1] + [0, 2000, 5]
Y = np.column_stack([X.sum(axis=1), X[:, 0] ** 2])
LABELS = np.argmax(X - X.mean(axis=0), axis=1)


def regressor(**options):
    return MLPRegressor(**{"hidden_layer_sizes": (6, 5), "max_iter": 5, "random_state": 0, **options})


def classifier(**options):
    return MLPClassifier(**{"hidden_layer_sizes": (6, 5), "max_iter": 5, "random_state": 0, **options})


def agrees(estimator, wanted, link=lambda z: z):
    net = from_sklearn(estimator)
    assert net.import_check.n_points == 64 and net.import_check.bound_share <= 1
    assert net.import_check.source.startswith("scikit-learn ")
    got = link(net(X))
    assert np.allclose(got, np.reshape(wanted, got.shape), rtol=1e-9, atol=1e-9)
    return net


def test_a_regressor_keeps_its_weights_bit_for_bit():
    for target in (Y, Y[:, 0]):
        mlp = regressor().fit(X, target)
        net = agrees(mlp, mlp.predict(X))
        assert [W.tobytes() for W in net.weights] == [np.ascontiguousarray(c.T).tobytes() for c in mlp.coefs_]
        assert [b.tobytes() for b in net.biases] == [i.tobytes() for i in mlp.intercepts_]
        assert net.import_check.note == ""


def test_float32_coefficients_give_a_float32_network():
    mlp = regressor().fit(X.astype(np.float32), Y.astype(np.float32))
    assert from_sklearn(mlp).dtype == mlp.coefs_[0].dtype == np.float32


def test_identity_activation_is_one_affine_map():
    mlp = regressor(activation="identity").fit(X, Y)
    assert agrees(mlp, mlp.predict(X)).widths == ()


@pytest.mark.parametrize(
    "scaler",
    [
        StandardScaler(),
        StandardScaler(with_mean=False),
        StandardScaler(with_std=False),
        StandardScaler(with_mean=False, with_std=False),
        MinMaxScaler(),
        MinMaxScaler((-1, 3)),
        MaxAbsScaler(),
        RobustScaler(),
        RobustScaler(with_centering=False),
        RobustScaler(with_scaling=False),
        "passthrough",
        None,
    ],
    ids=str,
)
def test_a_scaler_is_folded_into_the_first_affine_map(scaler):
    pipeline = Pipeline([("scale", scaler), ("mlp", regressor())]).fit(X, Y)
    assert agrees(pipeline, pipeline.predict(X)).widths == (6, 5)


def test_scalers_may_follow_each_other_and_pipelines_nest():
    inner = make_pipeline(MinMaxScaler(), "passthrough")
    pipeline = make_pipeline(StandardScaler(), inner, regressor()).fit(X, Y)
    assert agrees(pipeline, pipeline.predict(X)).widths == (6, 5)


def test_a_clipping_scaler_becomes_neurons():
    pipeline = make_pipeline(MinMaxScaler(clip=True), regressor()).fit(X, Y)
    net = agrees(pipeline, pipeline.predict(X))
    assert net.widths == (6, 6, 5)
    outside = np.array([[50.0, -3000.0, 50.0]])
    assert np.allclose(net(outside), pipeline.predict(outside))


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def test_a_classifier_ends_at_its_logits_and_says_so():
    pipeline = make_pipeline(StandardScaler(), classifier()).fit(X, LABELS)
    net = agrees(pipeline, pipeline.predict_proba(X), softmax)
    assert net.n_out == 3 and "logits" in net.import_check.note and "softmax" in net.import_check.note
    assert (pipeline.classes_[net(X).argmax(axis=1)] == pipeline.predict(X)).all()


def test_two_classes_have_one_logit():
    pipeline = make_pipeline(StandardScaler(), classifier()).fit(X, LABELS > 0)
    net = agrees(pipeline, pipeline.predict_proba(X)[:, 1], sigmoid)
    assert net.n_out == 1 and "logistic" in net.import_check.note
    assert (pipeline.classes_[(net(X)[:, 0] > 0).astype(int)] == pipeline.predict(X)).all()


def test_several_labels_have_a_logit_each():
    pipeline = make_pipeline(StandardScaler(), classifier()).fit(X, Y > Y.mean(axis=0))
    assert agrees(pipeline, pipeline.predict_proba(X), sigmoid).n_out == 2


@pytest.mark.parametrize("activation", ["tanh", "logistic"])
def test_other_activations_are_refused(activation):
    with pytest.raises(UnsupportedModelError, match=f"'{activation}'; wanted 'relu' or 'identity'") as caught:
        from_sklearn(regressor(activation=activation).fit(X, Y))
    assert caught.value.operators == (activation,)


def test_an_output_function_that_is_not_piecewise_linear_is_refused():
    mlp = regressor().fit(X, Y)
    mlp.out_activation_ = "exp"
    with pytest.raises(UnsupportedModelError, match="'exp'"):
        from_sklearn(mlp)


def test_estimators_that_cannot_be_imported_are_all_named():
    pipeline = make_pipeline(PolynomialFeatures(), StandardScaler(), LinearRegression())
    with pytest.raises(UnsupportedModelError, match="PolynomialFeatures, LinearRegression") as caught:
        from_sklearn(pipeline)
    assert caught.value.operators == ("PolynomialFeatures", "LinearRegression")
    for other in (LinearRegression(), 3, None, StandardScaler(), make_pipeline("passthrough")):
        with pytest.raises(UnsupportedModelError):
            from_sklearn(other)


def test_an_estimator_that_is_not_fitted_says_so():
    for estimator in (regressor(), classifier(), make_pipeline(StandardScaler(), regressor())):
        with pytest.raises(NotFittedError, match="not fitted"):
            from_sklearn(estimator)
    with pytest.raises(NotFittedError, match="StandardScaler"):
        from_sklearn(make_pipeline(StandardScaler(), regressor().fit(X, Y)))


def test_the_estimator_is_left_alone():
    pipeline = make_pipeline(StandardScaler(), regressor()).fit(X, Y)
    before = pickle.dumps(pipeline)
    from_sklearn(pipeline)
    assert pickle.dumps(pipeline) == before


def test_without_scikit_learn_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ImportError, match="needs scikit-learn: pip install scikit-learn"):
        from_sklearn(None)
