"""scikit-learn: fitted multilayer perceptrons, and the scalers before them in a Pipeline."""

import numpy as np

from ..errors import UnsupportedModelError
from ..lowering import Graph
from . import optional
from .check import checked_network, sample

__all__ = ["from_sklearn"]


def from_sklearn(estimator):
    sklearn = optional("sklearn", "scikit-learn")
    steps = _steps(estimator)
    *scalers, mlp = steps
    problems = [_name(s) for s in scalers if type(s).__name__ not in _SCALERS or not _is_sklearn(s)]
    if not _is_sklearn(mlp) or type(mlp).__name__ not in ("MLPRegressor", "MLPClassifier"):
        problems.append(_name(mlp))
    if problems:
        raise UnsupportedModelError(
            f"cannot import {', '.join(problems)}; wanted an MLPRegressor or MLPClassifier, on its own "
            f"or last in a Pipeline after {', '.join(_SCALERS)} or 'passthrough'",
            problems,
        )
    check_is_fitted = optional("sklearn.utils.validation", "scikit-learn").check_is_fitted
    for step in steps:
        check_is_fitted(step)
    return _network(estimator, scalers, mlp, f"scikit-learn {sklearn.__version__}")


def _steps(estimator):
    if _is_sklearn(estimator) and type(estimator).__name__ == "Pipeline":
        steps = [s for _, step in estimator.steps if step not in (None, "passthrough") for s in _steps(step)]
        if not steps:
            raise UnsupportedModelError("the Pipeline has no estimator")
        return steps
    return [estimator]


def _is_sklearn(estimator):
    return type(estimator).__module__.startswith("sklearn.")


def _name(estimator):
    return type(estimator).__name__


def _network(estimator, scalers, mlp, name):
    if mlp.activation not in ("relu", "identity"):
        raise UnsupportedModelError(
            f"{_name(mlp)} has activation {mlp.activation!r}; wanted 'relu' or 'identity'", [mlp.activation]
        )
    if mlp.out_activation_ not in _LINKS or (mlp.out_activation_ == "identity") == (
        _name(mlp) == "MLPClassifier"
    ):
        raise UnsupportedModelError(
            f"{_name(mlp)} ends in {mlp.out_activation_!r}, which is not piecewise linear",
            [mlp.out_activation_],
        )
    x = y = Graph(np.asarray(mlp.coefs_[0]).dtype).input((1, [*scalers, mlp][0].n_features_in_))
    for scaler in scalers:
        y = _SCALERS[_name(scaler)](scaler, y)
    for i, (coefficients, intercept) in enumerate(zip(mlp.coefs_, mlp.intercepts_)):
        y = y @ coefficients + intercept
        if i < len(mlp.coefs_) - 1 and mlp.activation == "relu":
            y = y.relu()
    points = sample(x.size, np.float64)
    for scaler in reversed(scalers):
        points = scaler.inverse_transform(points)
    link, said = _LINKS[mlp.out_activation_]
    run = estimator.predict if link is None else estimator.predict_proba
    note = "" if link is None else f"the network ends at the logits, before the {said}; compared behind it"
    return checked_network(x, y, _two_columns(run, mlp), name=name, points=points, link=link, note=note)


def _two_columns(run, mlp):
    """`predict_proba` of two classes has both probabilities; the network has the second one's logit."""
    if mlp.out_activation_ == "logistic" and mlp.n_outputs_ == 1:
        return lambda points: run(points)[:, 1]
    return run


def _logistic(z):
    return 0.5 * (1 + np.tanh(0.5 * z))


def _softmax(z):
    exponentials = np.exp(z - z.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


_LINKS = {
    "identity": (None, ""),
    "logistic": (_logistic, "logistic function"),
    "softmax": (_softmax, "softmax"),
}


def _standard(scaler, x):
    if scaler.mean_ is not None and scaler.with_mean:
        x = x - scaler.mean_
    return x if scaler.scale_ is None else x / scaler.scale_


def _min_max(scaler, x):
    x = x * scaler.scale_ + scaler.min_
    return x.clip(*scaler.feature_range) if scaler.clip else x


def _max_abs(scaler, x):
    x = x / scaler.scale_
    return x.clip(-1.0, 1.0) if getattr(scaler, "clip", False) else x


def _robust(scaler, x):
    if scaler.center_ is not None:
        x = x - scaler.center_
    return x if scaler.scale_ is None else x / scaler.scale_


_SCALERS = {
    "MaxAbsScaler": _max_abs,
    "MinMaxScaler": _min_max,
    "RobustScaler": _robust,
    "StandardScaler": _standard,
}
