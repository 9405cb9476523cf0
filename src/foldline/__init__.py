"""foldline takes continuous piecewise-linear (ReLU) networks apart."""

from .config import __version__, show_config
from .domains import Ball, Box, Plane, Polytope, Segment, Space
from .errors import FormatError, UnsupportedModelError
from .evaluation import linear_radius, unpack_patterns
from .formats import from_onnx, from_sklearn, from_torch, load
from .knots import Knots, knots
from .network import Network
from .regions import RegionCount, Regions, count_regions, iter_regions, regions
from .sampling import PatternCount, count_patterns

__all__ = [
    "Regions",
    "iter_regions",
    "regions",
    "Knots",
    "knots",
    "count_regions",
    "Space",
    "Segment",
    "RegionCount",
    "Polytope",
    "Plane",
    "Box",
    "Ball",
    "FormatError",
    "Network",
    "PatternCount",
    "UnsupportedModelError",
    "__version__",
    "count_patterns",
    "from_onnx",
    "from_sklearn",
    "from_torch",
    "linear_radius",
    "load",
    "show_config",
    "unpack_patterns",
]
