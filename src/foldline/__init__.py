"""foldline takes continuous piecewise-linear (ReLU) networks apart."""

import importlib

from . import sample
from .affine_radius import AffineRadius, affine_radius
from .bounds import Bounds, bounds
from .config import __version__, show_config
from .counting import RegionCount, count_regions
from .domains import Ball, Box, Plane, Polytope, Segment, Space
from .errors import FormatError, UnsupportedModelError
from .evaluation import linear_radius, unpack_patterns
from .explain import explain
from .explanation import Explanation
from .folds import Folds, folds
from .formats import from_keras, from_onnx, from_sklearn, from_torch, load
from .knots import Knots, breakpoints, knots
from .lipschitz import Lipschitz, lipschitz
from .network import Network
from .region_tables import Region, Regions
from .regions import iter_regions, regions
from .shape import ShapeVerdict, check_convex, check_monotone

__all__ = [
    "AffineTest",
    "AffineRadius",
    "Ball",
    "Bounds",
    "Box",
    "Certificate",
    "DataLinearity",
    "Explanation",
    "Folds",
    "FormatError",
    "Knots",
    "Lipschitz",
    "Network",
    "PatternCount",
    "PatternCounter",
    "Plane",
    "Polytope",
    "RegionCount",
    "Region",
    "Regions",
    "Segment",
    "ShapeVerdict",
    "Space",
    "UnsupportedModelError",
    "Verdict",
    "Witness",
    "__version__",
    "affine_radius",
    "bounds",
    "breakpoints",
    "check_affine",
    "check_convex",
    "check_monotone",
    "count_patterns",
    "count_regions",
    "explain",
    "folds",
    "from_keras",
    "from_onnx",
    "from_sklearn",
    "from_torch",
    "is_linear_on_data",
    "iter_regions",
    "knots",
    "linear_radius",
    "lipschitz",
    "load",
    "load_proof",
    "plot",
    "regions",
    "sample",
    "show_config",
    "test_affine",
    "unpack_patterns",
    "write_regions",
]


# The other half of the time an import would take. Names of modules that a function is named after,
# such as `bounds`, cannot wait: whoever imports the module first would put it in the function's place.
_WHEN_ASKED = {
    "AffineTest": "blackbox",
    "Certificate": "certificates",
    "DataLinearity": "linear_data",
    "PatternCount": "pattern_count",
    "PatternCounter": "pattern_counter",
    "Verdict": "questions",
    "Witness": "certificates",
    "check_affine": "linearity",
    "count_patterns": "sampling",
    "is_linear_on_data": "linear_data",
    "load_proof": "certificates",
    "plot": "plot",
    "test_affine": "blackbox",
    "write_regions": "parquet",
}


def __dir__():
    return sorted(__all__)


def __getattr__(name):
    module = _WHEN_ASKED.get(name)
    if module is None:
        raise AttributeError(f"module 'foldline' has no attribute {name!r}")
    found = importlib.import_module(f"foldline.{module}")
    value = globals()[name] = found if name == module else getattr(found, name)
    return value
