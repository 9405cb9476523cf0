"""foldline takes continuous piecewise-linear (ReLU) networks apart."""

from . import sample
from .affine_radius import AffineRadius, affine_radius
from .blackbox import AffineTest, test_affine
from .bounds import Bounds, bounds
from .certificates import Certificate, Witness, load_proof
from .config import __version__, show_config
from .counting import RegionCount, count_regions
from .domains import Ball, Box, Plane, Polytope, Segment, Space
from .errors import FormatError, UnsupportedModelError
from .evaluation import linear_radius, unpack_patterns
from .explain import explain
from .explanation import Explanation
from .folds import Folds, folds
from .formats import from_onnx, from_sklearn, from_torch, load
from .knots import Knots, breakpoints, knots
from .linear_data import DataLinearity, is_linear_on_data
from .linearity import check_affine
from .lipschitz import Lipschitz, lipschitz
from .network import Network
from .parquet import write_regions
from .pattern_count import PatternCount
from .pattern_counter import PatternCounter
from .questions import Verdict
from .region_tables import Region, Regions
from .regions import iter_regions, regions
from .sampling import count_patterns
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


def __dir__():
    return sorted(__all__)


def __getattr__(name):
    if name == "plot":  # imported when used
        import importlib

        return importlib.import_module("foldline.plot")
    raise AttributeError(f"module 'foldline' has no attribute {name!r}")
