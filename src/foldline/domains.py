"""Where a question is asked: boxes, polytopes, slices and all of space."""

import numpy as np

from .cells import integers
from .checks import check_int, check_limit, check_net, check_real
from .frozen import Frozen
from .rounding import two_sum

__all__ = ["Ball", "Box", "Plane", "Polytope", "Segment", "Space"]


class Domain(Frozen):
    """A bounded set with interior in its own coordinates u, placed in input space by x = M u + p.

    Every domain is a box in u, open, or all of u-space, cut by half-spaces; the placement is exact.
    """

    #: n_in of the networks it fits, and the number of its own coordinates
    n_in = dimension = 0
    #: whether these are others than the inputs
    _is_placed = False

    def _bounds(self):
        """(low, high) of u, or None: unbounded."""

    def _half_spaces(self):
        """Arrays A (n, dimension) and b (n,): A u <= b."""
        return np.empty((0, self.dimension)), np.empty(0)

    def _forms(self):
        """[M | p], the inputs as forms of (u, 1), rounded: (n_in, dimension + 1)."""
        return np.eye(self.n_in, self.dimension + 1)

    def _forms_error(self):
        """What each entry of these is off by at most."""
        return np.zeros((self.n_in, self.dimension + 1))

    def _exact_forms(self):
        """(integers, exponent) with [M | p] = integers * 2**exponent."""
        return integers(self._forms())

    def _inputs(self, u):
        """The points x of the input space, rounded, of points u, (n_points, dimension)."""
        if not self._is_placed:
            return u
        forms = self._forms()
        return u @ forms[:, :-1].T + forms[:, -1]

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
        n_in = check_int("n_in", n_in, 1)
        try:
            low, high = (np.broadcast_to(a, (n_in,)).copy() for a in (low, high))
        except ValueError:
            raise ValueError(
                f"low has shape {low.shape}, high has shape {high.shape}; wanted ({n_in},)"
            ) from None
        flat = np.flatnonzero(~(low < high))
        if flat.size:
            k = int(flat[0])
            a, b = (np.broadcast_to(np.asarray(end), (n_in,))[k].item() for end in given)
            if a < b:
                raise ValueError(
                    f"the box is flat: low[{k}] is {a}, high[{k}] is {b}; both round to {low[k]}"
                )
            raise ValueError(
                f"the box is empty or flat: low[{k}] is {low[k]}, high[{k}] is {high[k]}; "
                "wanted low < high (a Plane or a Segment asks about a slice)"
            )
        super().__init__(low=low, high=high)

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

    _is_placed = True

    def __init__(self, center, radius):
        center, radius = _vector("center", center), float(_numbers("radius", radius, ndim=0))
        if not radius > 0:
            raise ValueError(f"radius is {radius}; wanted more than 0")
        super().__init__(center=center, radius=radius)

    @property
    def n_in(self):
        return len(self.center)

    dimension = n_in

    def _bounds(self):
        return np.full(self.n_in, -self.radius), np.full(self.n_in, self.radius)

    def _forms(self):
        return np.column_stack([np.eye(self.n_in), self.center])

    def _inputs(self, u):
        return u + self.center


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
        A, b = _numbers("A", A, ndim=2), _vector("b", b)
        if A.shape[0] != len(b) or not A.size:
            raise ValueError(f"A has shape {A.shape}, b {b.shape}; wanted (n, n_in) and (n,)")
        super().__init__(A=A, b=b)

    @property
    def n_in(self):
        return self.A.shape[1]

    dimension = n_in

    def _half_spaces(self):
        tells = self.A.any(axis=1) | (self.b < 0)  # 0 <= b does not
        return self.A[tells], self.b[tells]


class Space(Domain):
    """All of R^n_in.

    Examples
    --------
    >>> import foldline as fl
    >>> fl.Space(2)
    Space(n_in=2)
    """

    def __init__(self, n_in):
        super().__init__(n_in=check_int("n_in", n_in, 1))

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

    _is_placed = True

    def __init__(self, n_in, fixed, sign):
        super().__init__(n_in=n_in, fixed=fixed, sign=sign)

    @property
    def dimension(self):
        return self.n_in

    def _bounds(self):
        low = np.full(self.n_in, -1.0)
        if self.fixed:
            low[0] = 0.0
        return low, np.ones(self.n_in)

    def _cone_forms(self):
        """x_0, ..., x_n as forms of (u, 1)."""
        forms = np.insert(np.eye(self.n_in, self.n_in + 1), self.fixed, 0.0, axis=0)
        forms[self.fixed, -1] = self.sign
        return forms

    def _forms(self):
        return self._cone_forms()[1:]

    def _scale(self):
        return self._cone_forms()[0]


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
    _is_placed = True

    def __init__(self, start, stop):
        start, stop = _vector("start", start), _vector("stop", stop)
        _same_length("start", start, "stop", stop)
        if (start == stop).all():
            raise ValueError(f"start and stop are both {_short(start)}; wanted two points")
        super().__init__(start=start, stop=stop)

    @property
    def n_in(self):
        return len(self.start)

    def _bounds(self):
        return np.zeros(1), np.ones(1)

    def _forms(self):
        return np.column_stack([self.stop - self.start, self.start])

    def _forms_error(self):
        with np.errstate(over="ignore", invalid="ignore"):
            _, rest = two_sum(self.stop, -self.start)
        return np.column_stack([abs(rest), np.zeros(self.n_in)])

    def _exact_forms(self):
        (stop, start), exponent = integers(np.stack([self.stop, self.start]))
        return np.column_stack([stop - start, start]), exponent


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
    _is_placed = True

    def __init__(self, origin, u, v, extent=1.0):
        origin, u, v = _vector("origin", origin), _vector("u", u), _vector("v", v)
        _same_length("origin", origin, "u", u)
        _same_length("origin", origin, "v", v)
        extent = float(_numbers("extent", extent, ndim=0))
        if not extent > 0:
            raise ValueError(f"extent is {extent}; wanted more than 0")
        if _parallel(u, v):
            raise ValueError(
                f"u is {_short(u)} and v is {_short(v)}: parallel, or zero; wanted two directions"
            )
        super().__init__(origin=origin, u=u, v=v, extent=extent)

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

    def _forms(self):
        return np.column_stack([self.u, self.v, self.origin])


def check_question(net, domain, *, max_regions=None, time_limit=None):
    """Raise unless this is a network, a domain for it, and limits that are positive or None."""
    check_net(net)
    check_domain(net, domain)
    if max_regions is not None:
        check_int("max_regions", max_regions, 1)
    if time_limit is not None:
        check_limit("time_limit", time_limit)


def check_domain(net, domain):
    """Raise unless this is a domain for the network."""
    if not isinstance(domain, Domain):
        raise TypeError(
            f"domain is {type(domain).__name__}; wanted a Box, Ball, Polytope, Plane, Segment or Space"
        )
    if domain.n_in != net.n_in:
        raise ValueError(f"the domain has {domain.n_in} inputs; this network takes {net.n_in}")


def _numbers(name, value, ndim=None):
    array = np.array(check_real(name, value), dtype=np.float64)
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
