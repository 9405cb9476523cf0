"""The plain-text ``.nnet`` format of the ACAS Xu networks.

After comment lines (``//``) come the sizes, bounds and normalisation, then for each layer the rows of
its weights and its biases, one a line. The network is read as the weights have it: its points and
outputs are the normalised ones. The minima, maxima, means and ranges of the header are checked to be
there, and are not applied. All layers but the last are ReLU; the dtype is float64.
"""

import math

import numpy as np

from ..errors import FormatError
from ..network import Network

__all__ = ["read"]


def read(path, drop_final=False):
    with open(path, "rb") as file:
        data = file.read()
    try:
        return _network(_Lines(data.decode()))
    except (ValueError, TypeError, OverflowError) as error:
        raise FormatError(f"{path}: {error}") from None


class _Lines:
    """The lines of numbers, one by one, and what they must be."""

    def __init__(self, text):
        lines = enumerate(text.splitlines(), 1)
        self.lines = [(i, line) for i, line in lines if line.strip() and not line.lstrip().startswith("//")]
        self.lines.reverse()

    def numbers(self, what, count=None):
        if not self.lines:
            raise FormatError(f"ends where {what} should be")
        line, text = self.lines.pop()
        fields = text.strip().rstrip(",").split(",")
        if count is not None and len(fields) != count:
            raise FormatError(f"line {line} has {len(fields)} numbers; {what} has {count}")
        try:
            values = [float(field) for field in fields]
        except ValueError:
            raise FormatError(f"line {line} is {text.strip()[:60]!r}; wanted {what}, numbers") from None
        if not all(map(math.isfinite, values)):
            raise FormatError(f"line {line} has a number that is not finite, in {what}")
        return values

    def sizes(self, what, count):
        values = self.numbers(what, count)
        if not all(v.is_integer() and 0 < v <= len(self.lines) + 2**16 for v in values):
            raise FormatError(f"{what} is {values}; wanted positive integers that fit the file")
        return [int(v) for v in values]


def _network(lines):
    n_layers, n_in, n_out, _ = lines.sizes(
        "the line of number of layers, inputs, outputs and largest size", 4
    )
    sizes = lines.sizes("the line of layer sizes", n_layers + 1)
    if sizes[0] != n_in or sizes[-1] != n_out:
        raise FormatError(f"has {n_in} inputs and {n_out} outputs, and the layer sizes {sizes}")
    lines.numbers("the unused line after the layer sizes")
    for what, count in (("minima", n_in), ("maxima", n_in), ("means", n_in + 1), ("ranges", n_in + 1)):
        lines.numbers(f"the line of {what}", count)
    layers = []
    for i, (width_in, width) in enumerate(zip(sizes, sizes[1:])):
        W = [lines.numbers(f"row {row} of the weights of layer {i}", width_in) for row in range(width)]
        b = [lines.numbers(f"bias {row} of layer {i}", 1)[0] for row in range(width)]
        layers.append((np.array(W), np.array(b)))
    if lines.lines:
        raise FormatError(f"has {len(lines.lines)} more lines of numbers than its sizes say")
    return Network(layers)
