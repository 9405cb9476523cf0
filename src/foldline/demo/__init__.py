"""What ``foldline demo`` shows: a question settled by hand, and a real network taken apart.

``network.npz`` and ``metadata.json`` were written by ``train.py`` beside them, from the diabetes
data that scikit-learn bundles; the data themselves are not shipped.
"""

from . import diabetes, plane, two_neurons
from .prose import paragraph

__all__ = ["facts", "save_picture", "text"]


def facts(n_points=1_000_000, progress=None):
    """Everything the demo says, as numbers, strings and lists; there is no picture yet."""
    return {
        "two_neurons": two_neurons.facts(),
        "diabetes": diabetes.facts(n_points, progress),
        "picture": None,
    }


def save_picture(directory="."):
    """Draw the plane that the demo speaks of, if that can be done; a sentence says what became of it."""
    return plane.save_picture(*diabetes.load(), directory)


def text(facts):
    """The same as a page to read."""
    page = f"{two_neurons.text(facts['two_neurons'])}\n\n{diabetes.text(facts['diabetes'])}"
    return f"{page}\n{paragraph(facts['picture'])}" if facts["picture"] else page
