"""Where a question is asked: boxes, polytopes, slices and all of space."""

import numpy as np

__all__ = ["Ball", "Box", "Plane", "Polytope", "Segment", "Space"]


class Domain:
    """A bounded set with interior in its own coordinates u, placed in input space by x = M u + p.

    Every domain is a box in u, open, or all of u-space, cut by half-spaces; the placement is exact.
    """

    #: n_in of the networks it fits, and the number of its own coordinates
    n_in = dimension = 0

    def _bounds(self):
        """(low, high) of u, or None: unbounded."""

    def _half_spaces(self):
        """Arrays A (n, dimension) and b (n,): A u <= b."""
        return np.empty((0, self.dimension)), np.empty(0)

    def _placement(self):
        """(M, p) with x = M u + p, or None where x = u."""

    def _scale(self):
        """The form, (dimension + 1,), that biases are multiplied by: 1."""
        scale = np.zeros(self.dimension + 1)
        scale[-1] = 1
        return scale

    def _charts(self):
        """Domains of this one's dimension with the same patterns, together; each bounded."""
        return [self]

    def __eq__(self, other):
        return self._key() == other._key() if isinstance(other, Domain) else NotImplemented

    def __hash__(self):
        return hash(self._key())

    def _key(self):
        return type(self), *(tuple(np.ravel(value).tolist()) for value in self.__dict__.values())

    def __repr__(self):
        values = ", ".join(f"{name}={_short(value)}" for name, value in self.__dict__.items())
        return f"{type(self).__name__}({values})"


class Box(Domain):
    """The box ``low < x < high``.

    Parameters
    ----------
    low, high : float or array_like, shape (n_in,)
    n_in : int, optional
        The dimension, where both are scalars.

    Examples
    --------
    >>> import foldline as fl
    >>> fl.Box(-1, 1, n_in=2)
    Box(low=[-1.0, -1.0], high=[1.0, 1.0])
    """

    def __init__(self, low, high, n_in=None):
        given = low, high
        low, high = _numbers("low", low), _numbers("high", high)
        if n_in is None:
            n_in = max(low.size if low.ndim else 0, high.size if high.ndim else 0)
            if not n_in:
                raise ValueError("low and high are scalars; wanted n_in= as well, or arrays")
        try:
            self.low, self.high = (np.broadcast_to(a, (n_in,)).copy() for a in (low, high))
        except ValueError:
            raise ValueError(
                f"low has shape {low.shape}, high has shape {high.shape}; wanted ({n_in},)"
            ) from None
        flat = np.flatnonzero(~(self.low < self.high))
        if flat.size:
            k = int(flat[0])
            a, b = (np.broadcast_to(np.asarray(end), (n_in,))[k].item() for end in given)
            if a < b:
                raise ValueError(
                    f"the box is flat: low[{k}] is {a}, high[{k}] is {b}; both round to {self.low[k]}"
                )
            raise ValueError(
                f"the box is empty or flat: low[{k}] is {self.low[k]}, high[{k}] is {self.high[k]}; "
                "wanted low < high (a Plane or a Segment asks about a slice)"
            )
        _freeze(self)

    @property
    def n_in(self):
        return len(self.low)

    dimension = n_in

    def _bounds(self):
        return self.low, self.high


class Ball(Domain):
    """The inf-norm ball ``|x - center| < radius``: a cube, centred without rounding.

    Parameters
    ----------
    center : array_like, shape (n_in,)
    radius : float

    Examples
    --------
    >>> import foldline as fl
    >>> fl.Ball([0.5, 0.25], 0.125)
    Ball(center=[0.5, 0.25], radius=0.125)
    """

    def __init__(self, center, radius):
        self.center = _vector("center", center)
        self.radius = float(_numbers("radius", radius, ndim=0))
        if not self.radius > 0:
            raise ValueError(f"radius is {self.radius}; wanted more than 0")
        _freeze(self)

    @property
    def n_in(self):
        return len(self.center)

    dimension = n_in

    def _bounds(self):
        return np.full(self.n_in, -self.radius), np.full(self.n_in, self.radius)

    def _placement(self):
        return np.eye(self.n_in), self.center


class Polytope(Domain):
    """The interior of ``A x <= b``; bounded, with interior.

    Parameters
    ----------
    A : array_like, shape (n_half_spaces, n_in)
    b : array_like, shape (n_half_spaces,)

    Examples
    --------
    >>> import foldline as fl
    >>> triangle = fl.Polytope([[-1, 0], [0, -1], [1, 1]], [0, 0, 1])
    >>> fl.count_regions(fl.Network([([[1.0, -1.0]], None), ([[1.0]], None)]), triangle).count
    2
    """

    def __init__(self, A, b):
        self.A, self.b = _numbers("A", A, ndim=2), _vector("b", b)
        if self.A.shape[0] != len(self.b) or not self.A.size:
            raise ValueError(f"A has shape {self.A.shape}, b {self.b.shape}; wanted (n, n_in) and (n,)")
        _freeze(self)

    @property
    def n_in(self):
        return self.A.shape[1]

    dimension = n_in

    def _half_spaces(self):
        return self.A, self.b


class Space(Domain):
    """All of R^n_in.

    Examples
    --------
    >>> import foldline as fl
    >>> fl.Space(2)
    Space(n_in=2)
    """

    def __init__(self, n_in):
        if isinstance(n_in, bool) or not isinstance(n_in, int) or n_in < 1:
            raise ValueError(f"n_in is {n_in!r}; wanted an int, at least 1")
        self.n_in = n_in

    @property
    def dimension(self):
        return self.n_in

    def _charts(self):
        faces = [(0, 1), *((k, sign) for k in range(1, self.n_in + 1) for sign in (-1, 1))]
        return [_Chart(self.n_in, *face) for face in faces]


class _Chart(Domain):
    """Where the cone over R^n meets one face of a box: a bounded picture of a part of all of space.

    With a further input x_0 that biases are multiplied by, regions of R^n become cones, those with
    x_0 > 0 of a bias-free network, and a cone meets the boundary of the box -1 < x_1, ..., x_n < 1,
    0 < x_0 < 1 in the inside of some face that has x_0 > 0. The face has x_fixed = sign; its own
    coordinates are the others, in order.
    """

    def __init__(self, n_in, fixed, sign):
        self.n_in, self.fixed, self.sign = n_in, fixed, sign

    @property
    def dimension(self):
        return self.n_in

    def _bounds(self):
        low = np.full(self.n_in, -1.0)
        if self.fixed:
            low[0] = 0.0
        return low, np.ones(self.n_in)

    def _forms(self):
        """x_0, ..., x_n as forms of u."""
        rest = np.insert(np.eye(self.n_in), self.fixed, 0.0, axis=0)
        constants = np.zeros(self.n_in + 1)
        constants[self.fixed] = self.sign
        return rest, constants

    def _placement(self):
        rest, constants = self._forms()
        return rest[1:], constants[1:]

    def _scale(self):
        rest, constants = self._forms()
        return np.append(rest[0], constants[0])


class Segment(Domain):
    """The points ``start + t (stop - start)``, 0 < t < 1.

    Parameters
    ----------
    start, stop : array_like, shape (n_in,)

    Examples
    --------
    >>> import foldline as fl
    >>> fl.Segment([0, 0], [1, 2])
    Segment(start=[0.0, 0.0], stop=[1.0, 2.0])
    """

    dimension = 1

    def __init__(self, start, stop):
        self.start, self.stop = _vector("start", start), _vector("stop", stop)
        _same_length("start", self.start, "stop", self.stop)
        if (self.start == self.stop).all():
            raise ValueError(f"start and stop are both {_short(self.start)}; wanted two points")
        _freeze(self)

    @property
    def n_in(self):
        return len(self.start)

    def _bounds(self):
        return np.zeros(1), np.ones(1)

    def _placement(self):
        return (self.stop, self.start), self.start  # M is a difference: taken exactly, later


class Plane(Domain):
    """The slice ``origin + s u + t v``, ``|s|, |t| < extent``, of any input space.

    Parameters
    ----------
    origin, u, v : array_like, shape (n_in,)
        u and v are not parallel.
    extent : float, default 1

    Examples
    --------
    >>> import foldline as fl
    >>> net = fl.Network([([[1.0, 2.0, 3.0]], None), ([[1.0]], None)])
    >>> fl.count_regions(net, fl.Plane([0, 0, 0], [1, 0, 0], [0, 1, 0])).count
    2
    """

    dimension = 2

    def __init__(self, origin, u, v, extent=1.0):
        self.origin, self.u, self.v = _vector("origin", origin), _vector("u", u), _vector("v", v)
        _same_length("origin", self.origin, "u", self.u)
        _same_length("origin", self.origin, "v", self.v)
        self.extent = float(_numbers("extent", extent, ndim=0))
        if not self.extent > 0:
            raise ValueError(f"extent is {self.extent}; wanted more than 0")
        if _parallel(self.u, self.v):
            raise ValueError(
                f"u is {_short(self.u)} and v is {_short(self.v)}: parallel, or zero; wanted two directions"
            )
        _freeze(self)

    @classmethod
    def through(cls, a, b, c):
        """The plane through three points: a is the origin, b - a and c - a its axes, rounded."""
        a, b, c = _vector("a", a), _vector("b", b), _vector("c", c)
        _same_length("a", a, "b", b)
        _same_length("a", a, "c", c)
        return cls(a, b - a, c - a)

    @property
    def n_in(self):
        return len(self.origin)

    def _bounds(self):
        return np.full(2, -self.extent), np.full(2, self.extent)

    def _placement(self):
        return np.stack([self.u, self.v], axis=1), self.origin


def check_domain(net, domain):
    """`domain` if it is one for `net`; raise if not."""
    if not isinstance(domain, Domain):
        raise TypeError(
            f"domain is {type(domain).__name__}; wanted a Box, Ball, Polytope, Plane, Segment or Space"
        )
    if domain.n_in != net.n_in:
        raise ValueError(f"the domain has {domain.n_in} inputs; this network takes {net.n_in}")
    return domain


def _numbers(name, value, ndim=None):
    array = np.asarray(value)
    if array.dtype.kind not in "iufb":
        raise TypeError(f"{name} has dtype {array.dtype}; wanted real numbers")
    array = np.array(array, dtype=np.float64)
    if ndim is not None and array.ndim != ndim:
        raise ValueError(f"{name} has shape {array.shape}; wanted {ndim} dimensions")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} is {_short(array)}; wanted finite values")
    return array


def _vector(name, value):
    array = _numbers(name, value, ndim=1)
    if not array.size:
        raise ValueError(f"{name} is empty; wanted shape (n,), n at least 1")
    return array


def _same_length(a_name, a, b_name, b):
    if len(a) != len(b):
        raise ValueError(f"{a_name} has {len(a)} values, {b_name} has {len(b)}; wanted as many")


def _parallel(u, v):
    """Whether all 2x2 minors are zero, exactly."""
    from fractions import Fraction

    u, v = ([Fraction(x) for x in a.tolist()] for a in (u, v))
    k = next((i for i, x in enumerate(u) if x), None)
    return k is None or all(u[k] * y == v[k] * x for x, y in zip(u, v))


def _short(value):
    return value.tolist() if isinstance(value, np.ndarray) else value


def _freeze(domain):
    for value in domain.__dict__.values():
        if isinstance(value, np.ndarray):
            value.flags.writeable = False
