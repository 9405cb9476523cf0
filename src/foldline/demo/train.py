"""Train the network of the demo: ``python -m foldline.demo.train [directory]``.

Needs scikit-learn, whose `load_diabetes` bundles the data (Efron, Hastie, Johnstone and Tibshirani,
Least Angle Regression, Annals of Statistics 32, 2004). A quarter of the patients is held out; a part
of the others decides when training stops; penalty, rate and batch were chosen by cross-validation
without the held-out patients. Standardisation of features and target is folded into the
first and the last layer, so that the network takes the measurements as they are written down. The
same seeds and library versions give the same network.

Writes ``network.npz``, and ``metadata.json`` with what the demo has to know about it: names and
ranges of the features, the mean patient, and the score on the held-out patients. The data
themselves are not shipped.
"""

import json
import sys
from pathlib import Path

import numpy as np

from foldline import Network

FEATURES = {
    "age": "age, years",
    "sex": "sex, coded 1 or 2",
    "bmi": "body mass index, kg/m2",
    "bp": "mean blood pressure, mm Hg",
    "tc": "total serum cholesterol, mg/dl",
    "ldl": "low-density lipoproteins, mg/dl",
    "hdl": "high-density lipoproteins, mg/dl",
    "tch": "total cholesterol / HDL",
    "ltg": "logarithm of serum triglycerides",
    "glu": "blood sugar, mg/dl",
}


def train():
    """The trained network and its metadata."""
    import sklearn
    from sklearn.datasets import load_diabetes
    from sklearn.linear_model import LinearRegression
    from sklearn.metrics import r2_score
    from sklearn.model_selection import train_test_split
    from sklearn.neural_network import MLPRegressor

    patients, target = load_diabetes(return_X_y=True, scaled=False)
    x_train, x_test, y_train, y_test = train_test_split(
        patients, target, test_size=0.25, random_state=0
    )
    mean, deviation = x_train.mean(axis=0), x_train.std(axis=0)
    y_mean, y_deviation = y_train.mean(), y_train.std()

    model = MLPRegressor(
        hidden_layer_sizes=(32, 32),
        alpha=1.0,
        batch_size=32,
        learning_rate_init=0.003,
        early_stopping=True,
        validation_fraction=0.2,
        n_iter_no_change=20,
        max_iter=1000,
        random_state=0,
    )
    model.fit((x_train - mean) / deviation, (y_train - y_mean) / y_deviation)

    weights = [w.T for w in model.coefs_]
    biases = list(model.intercepts_)
    weights[0] = weights[0] / deviation
    biases[0] = biases[0] - weights[0] @ mean
    weights[-1] = weights[-1] * y_deviation
    biases[-1] = biases[-1] * y_deviation + y_mean
    net = Network(list(zip(weights, biases))).astype(np.float32)

    def r2(x, y):
        return round(float(r2_score(y, net(x.astype(np.float32))[:, 0])), 3)

    linear = LinearRegression().fit(x_train, y_train)
    metadata = {
        "data": "sklearn.datasets.load_diabetes(scaled=False)",
        "target": "how far the disease has progressed one year later",
        "features": FEATURES,
        "low": patients.min(axis=0).tolist(),
        "high": patients.max(axis=0).tolist(),
        "mean": np.round(patients.mean(axis=0), 2).tolist(),
        "n_train": len(x_train),
        "n_held_out": len(x_test),
        "r2_train": r2(x_train, y_train),
        "r2_held_out": r2(x_test, y_test),
        "r2_held_out_linear_regression": round(float(linear.score(x_test, y_test)), 3),
        "scikit_learn": sklearn.__version__,
        "digest": net.digest,
    }
    return net, metadata


def main(directory=Path(__file__).parent):
    """Train, and write both files into `directory`."""
    net, metadata = train()
    net.save(Path(directory) / "network.npz")
    (Path(directory) / "metadata.json").write_text(json.dumps(metadata, indent=2) + "\n")
    print(f"{net}: R2 {metadata['r2_train']} in training, {metadata['r2_held_out']} held out")


if __name__ == "__main__":
    main(*sys.argv[1:2])
