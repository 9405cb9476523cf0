"""Checks of arguments that several functions take.

Their messages say what came and what was wanted. A wrong value is a `ValueError`, a wrong kind of thing a
`TypeError`.
"""

import math
import operator
import os

import numpy as np

from .wording import input_names

__all__ = [
    "check_choice",
    "check_finite",
    "check_fit",
    "check_flag",
    "check_int",
    "check_limit",
    "check_names",
    "check_net",
    "check_norm",
    "check_number",
    "check_path",
    "check_points",
    "check_real",
]

# Some points at a time, so that no mask of many is made.
_ROWS_AT_ONCE = 65_536


def check_net(net):
    """Raise unless this is a Network."""
    from .network import Network  # whose methods check points here

    if not isinstance(net, Network):
        how = "fl.from_torch(module), fl.from_keras(model) and fl.load(path) make"
        raise TypeError(f"net is {type(net).__name__}; wanted a Network, as {how} one")


def check_int(name, value, least=-math.inf, most=math.inf):
    """`value` as an int, if it is one from `least` to `most`; bools are none."""
    try:
        number = operator.index(None if isinstance(value, bool) else value)
    except TypeError:
        raise TypeError(f"{name} is {value!r}; wanted {_an_int(least, most)}") from None
    if not least <= number <= most:
        raise ValueError(f"{name} is {number}; wanted {_an_int(least, most)}")
    return number


def check_number(name, value, least=-math.inf):
    """`value` as a float, if it is a finite number, at least `least`."""
    wanted = "a finite number" + (f", at least {least}" if least > -math.inf else "")
    if not _is_number(value):
        raise TypeError(f"{name} is {value!r}; wanted {wanted}")
    if not (math.isfinite(value) and value >= least):
        raise ValueError(f"{name} is {value}; wanted {wanted}")
    return float(value)


def check_limit(name, value):
    """Raise unless this is a number above 0, infinite or not."""
    if not _is_number(value):
        raise TypeError(f"{name} is {value!r}; wanted a number")
    if not value > 0:
        raise ValueError(f"{name} is {value}; wanted more than 0")


def check_choice(name, value, choices):
    """Raise unless this is one of some strings."""
    if not (isinstance(value, str) and value in choices):
        one_of = "one of " if len(choices) > 1 else ""
        raise ValueError(f"{name} is {value!r}; wanted {one_of}{', '.join(map(repr, choices))}")


def check_norm(norm, choices=("inf", "1", "2")):
    """The name of a norm, which may be given as a number."""
    name = {1: "1", 2: "2", math.inf: "inf"}.get(norm, norm) if _is_number(norm) else norm
    if name is norm or name not in choices:
        check_choice("norm", norm, choices)
    return name


def check_points(net, points):
    """Points as an array (n_points, n_in) of the network's dtype or of integers."""
    given = points
    if isinstance(points, np.ndarray) and hasattr(points, "mask"):  # without the import of numpy.ma
        raise TypeError("points is a masked array; wanted all values, as points.filled(...) has them")
    if not isinstance(points, np.ndarray):
        points = _array("points", points)
        from_list = isinstance(given, (list, tuple)) and points.dtype == np.float64
        if from_list or points.ndim == 2 and points.size == 0:
            with np.errstate(over="ignore"):
                points = points.astype(net.dtype)
    check_fit(net, points)
    return points


def check_fit(net, points):
    """Raise unless an array, of NumPy or Dask, has the dtype and the shape of points for the network."""
    if points.dtype.kind not in "iu" and points.dtype.newbyteorder("=") != net.dtype:
        message = f"points has dtype {points.dtype}; this network takes {net.dtype}, or integers"
        if points.dtype.kind == "f":
            message += f"; points.astype(np.{net.dtype}) converts"
        if points.dtype == np.float64:
            message += ", or net.astype(np.float64)"
        raise TypeError(message)
    if points.ndim != 2 or points.shape[1] != net.n_in:
        message = f"points has shape {points.shape}; this network takes (n_points, {net.n_in})"
        if isinstance(points, np.ndarray) and points.shape == (net.n_in,):
            message += f"; one point is {[points.tolist()] if net.n_in <= 6 else '[points]'}"
        raise ValueError(message)


def check_finite(points, first_row=0):
    """Raise for the first NaN or infinity, if there is one; row numbers start at `first_row`."""
    for start in range(0, len(points), _ROWS_AT_ONCE):
        finite = np.isfinite(points[start : start + _ROWS_AT_ONCE])
        if not finite.all():
            row, column = (int(i) for i in np.argwhere(~finite)[0])
            raise ValueError(
                f"points has {points[start + row, column]} in row {first_row + start + row}, "
                f"column {column}; wanted finite values (or allow_nonfinite=True)"
            )


def check_real(name, value):
    """`value` as an array of real numbers."""
    array = _array(name, value)
    if array.dtype.kind not in "iuf":
        raise TypeError(f"{name} has dtype {array.dtype}; wanted real numbers")
    return array


def check_flag(name, value):
    """Raise unless this is True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} is {value!r}; wanted True or False")


def check_path(name, path):
    """A path as a str."""
    found = os.fspath(path) if isinstance(path, (str, os.PathLike)) else None
    if not isinstance(found, str):
        raise TypeError(f"{name} is {path!r}; wanted a path, as a str or an os.PathLike")
    return found


def check_names(names, n_in):
    """Names of the inputs, as a tuple; x1, x2, ... for None."""
    if names is None:
        return input_names(n_in)
    if isinstance(names, str):
        raise TypeError(f"names is {names!r}; wanted a sequence of {n_in} strings")
    names = tuple(names)
    if not all(isinstance(name, str) and name.strip() for name in names):
        raise TypeError(f"names is {names!r}; wanted strings, none of them empty")
    if len(names) != n_in or len(set(names)) != n_in:
        raise ValueError(f"names is {names!r}; wanted {n_in} different ones, one for each input")
    return names


def _an_int(least, most):
    if most < math.inf:
        return f"an int from {least} to {most}"
    return "an int" if least == -math.inf else f"an int, at least {least}"


def _array(name, value):
    try:
        return np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name} is not a rectangular array: {error}") from None


def _is_number(value):
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
