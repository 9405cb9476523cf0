"""What this build of foldline is and uses."""

from typing import NamedTuple

__all__ = ["__version__", "fma_peak", "show_config"]

__version__ = "0.1.0"


class Config(NamedTuple):
    """Version, and the instruction sets in use and available, best first."""

    version: str
    isa: str
    isa_available: tuple

    def __repr__(self):
        return f"foldline {self.version}: using {self.isa} (available: {', '.join(self.isa_available)})"


def show_config():
    """The version and the instruction set in use; FOLDLINE_ISA forces another of those available.

    Examples
    --------
    >>> import foldline as fl
    >>> fl.show_config().isa in fl.show_config().isa_available
    True
    """
    from ._core import isa_available, isa_in_use

    return Config(__version__, isa_in_use(), tuple(isa_available()))


def fma_peak(dtype, seconds=0.01):
    """Floating-point operations a second that one thread reaches in multiply-adds on registers."""
    import time

    import numpy as np

    from .network import Network

    core = Network([(np.ones((1, 1), dtype), None)])._core
    n_steps = 1000
    while True:
        start = time.perf_counter()
        n_operations = core.multiply_add(n_steps)
        elapsed = time.perf_counter() - start
        if elapsed >= seconds:
            return n_operations / elapsed
        n_steps *= 2
