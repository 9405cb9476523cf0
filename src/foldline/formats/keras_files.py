"""``.keras`` files: zip archives of a configuration, of which Keras makes the model, and its weights.

Keras gets a copy of these two, once all that the configuration names is known to be a part of a model that is
imported, and to have no more weights than the file.
"""

import json
import os
import tempfile
import zipfile

from .. import archives
from ..errors import FormatError
from . import unsupported
from .keras_layers import FINAL, LAYERS, N_WEIGHTS, OPERATIONS

__all__ = ["loaded", "parts"]

_CONFIG, _WEIGHTS = "config.json", "model.weights.h5"
_MODELS = ("Functional", "Sequential")

# What a configuration names besides layers and operations, and that neither runs code nor opens files.
_SAFE_CLASSES = (
    "DTypePolicy", "InputLayer", "__ellipsis__", "__keras_tensor__", "__numpy__", "__slice__", "__tensor__"
)
_SAFE_MODULES = ("keras.constraints", "keras.initializers", "keras.regularizers")


def parts(path):
    """The configuration of a file, without what only training wants, and the bytes of the weights."""
    return archives.opened(path, ".keras", _parts)


def _parts(archive, members):
    names = [member.filename for member in members]
    if _CONFIG not in names or _WEIGHTS not in names:
        found = ", ".join(sorted(names)[:20]) or "nothing"
        raise FormatError(f"has {found}; wanted {_CONFIG} and {_WEIGHTS}")
    config = json.loads(archive.read(_CONFIG))
    for item in _objects(config):
        item.pop("compile_config", None)
    return config, archive.read(_WEIGHTS)


def _objects(value):
    """Every object in a configuration, that is, all with the name of a class, from the outside in."""
    if isinstance(value, dict):
        if "class_name" in value:
            yield value
        value = list(value.values())
    for item in value if isinstance(value, list) else ():
        yield from _objects(item)


def loaded(keras, config, weights):
    """The model of a configuration and weights.

    Raises
    ------
    UnsupportedModelError
        Lists every object that is not known.
    FormatError
        The configuration wants more weights than there are, or Keras cannot make the model of it.
    """
    _admit_objects(config)
    _admit_weights(config, len(weights))
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "model.keras")
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(_CONFIG, json.dumps(config))
            archive.writestr(_WEIGHTS, weights)
        try:
            with keras.device("cpu"):
                return keras.saving.load_model(path, compile=False, safe_mode=True)
        except Exception as error:  # Keras fails in many ways on a configuration that is not its own
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise FormatError(f"Keras cannot load it: {archives.brief(reason)}") from None


def _admit_objects(config):
    known = {*LAYERS, *OPERATIONS, *FINAL, *_MODELS, *_SAFE_CLASSES}
    unknown = {}
    for item in _objects(config):
        name, module = str(item["class_name"]), str(item.get("module") or "keras")
        is_of_keras = module.partition(".")[0] == "keras" and item.get("registered_name") in (None, name)
        if not (is_of_keras and (name in known or module in _SAFE_MODULES)):
            unknown[_described(item)] = ""
    if unknown:
        raise unsupported(unknown.items())


def _described(item):
    inner = item.get("config")
    name = inner.get("name") if isinstance(inner, dict) else inner
    return archives.brief(f"{item['class_name']} ({name!r})")


def _admit_weights(config, n_bytes):
    n_weights = 0
    for item in _objects(config):
        if item["class_name"] in N_WEIGHTS:
            try:
                n = N_WEIGHTS[item["class_name"]](item["config"], item["build_config"]["input_shape"])
            except (LookupError, TypeError, AttributeError) as error:
                raise FormatError(f"{_described(item)} has no shape of its weights: {error!r}") from None
            n_weights += max(n, 0)
    if n_weights > n_bytes:
        raise FormatError(f"has layers of {n_weights} weights in {n_bytes} bytes of {_WEIGHTS}")
