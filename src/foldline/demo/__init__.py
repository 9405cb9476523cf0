"""What ``foldline demo`` shows: a question settled by hand, and a real network taken apart.

``network.npz`` and ``metadata.json`` were written by ``train.py`` beside them, from the diabetes
data that scikit-learn bundles; the data themselves are not shipped.
"""

from . import diabetes, two_neurons

__all__ = ["facts", "text"]


def facts(n_points=1_000_000, progress=None):
    """Everything the demo says, as numbers, strings and lists."""
    return {
        "two_neurons": two_neurons.facts(),
        "diabetes": diabetes.facts(n_points, progress),
    }


def text(facts):
    """The same as a page to read."""
    return f"{two_neurons.text(facts['two_neurons'])}\n\n{diabetes.text(facts['diabetes'])}"
