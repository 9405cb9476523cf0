"""What is asked about the outputs of a network on a domain, and the verdict."""

import math
import time
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np

from .certificates import Certificate, Witness, midpoint, plain_domain
from .domains import Ball, Space
from .exact import ExactMaps, integers, rounded
from .network import Network
from .proofs import Chain, Place
from .rounding import float_above
from .walk import MOST_DIMENSIONS_OF_VERTICES

__all__ = ["Question", "Verdict"]


@dataclass(frozen=True, eq=False)
class Verdict:
    """What `check_affine` found; true when it says yes.

    Attributes
    ----------
    status : str
        "affine", "not_affine" or "undecided".
    reason : str
        How that was found, or what ended the search.
    A, b : ndarray of float64, shapes (n_outputs, n) and (n_outputs,), or None
        The map where `status` is "affine": exact in the certificate, rounded here. In the inputs x; on a
        Plane or a Segment in its own coordinates.
    certificate : Certificate or None
        Of "affine"; ``certificate.verify()`` proves it again in exact arithmetic.
    witness : Witness or None
        Of "not_affine": three points on a line, likewise.
    outputs : tuple of int
    tol : float
    deviation : tuple of float
        Bounds of the largest distance of an output from the affine map nearest to it, proved.
    n_regions : int
        Regions that were looked at one by one; 0 where something quicker decided.
    volume_proved : float
        The share of the domain on which the outputs are known to be one map; NaN where that was not
        measured (polytopes, all of space, more than 6 dimensions).
    slope_change : float
        The largest difference seen between entries of A in the first and another of these regions.
    seconds : float
    """

    status: str
    reason: str
    outputs: tuple
    tol: float
    A: np.ndarray | None = None
    b: np.ndarray | None = None
    certificate: Certificate | None = None
    witness: Witness | None = None
    deviation: tuple = (0.0, math.inf)
    n_regions: int = 0
    volume_proved: float = math.nan
    slope_change: float = 0.0
    seconds: float = 0.0

    def __bool__(self):
        return self.status == "affine"

    def __repr__(self):
        return f"Verdict({self.status}: {self.reason})"

    def verify(self, net=None):
        """Whether the certificate or the witness holds, recomputed in exact arithmetic; False without one."""
        proof = self.certificate or self.witness
        return proof is not None and proof.verify(net)


# Large networks take a while to become integers, and many domains may be asked about.
@lru_cache(maxsize=2)
def _maps_of_inputs(net):
    return ExactMaps(net)


@lru_cache(maxsize=2)
def _chain(net, outputs):
    return Chain(net.weights, net.biases, net.slopes, outputs)


class Question:
    """A network with the outputs asked about, in float64, and a domain.

    Points are in the coordinates of certificates: the inputs, or a slice's own.
    """

    def __init__(self, net, domain, outputs, tol, deadline, end):
        self.net, self.domain, self.outputs, self.tol = net, domain, outputs, tol
        self.deadline, self.end = deadline, end  # of the search, and of what is made of it
        layers = [(w.astype(np.float64), b.astype(np.float64)) for w, b in zip(net.weights, net.biases)]
        layers[-1] = tuple(array[list(outputs)] for array in layers[-1])
        self.asked = Network(layers, [s.astype(np.float64) for s in net.slopes])
        self._is_placed = domain._is_placed and not isinstance(domain, Ball)
        self.maps = ExactMaps(self.asked, domain) if self._is_placed else _maps_of_inputs(self.asked)
        self.plain = plain_domain(domain)
        self.place = Place(**self.plain)
        self.stable = None  # (active, inactive), where bounds were computed
        self._known, self._is_put_off = {}, False

    @property
    def n_coordinates(self):
        return self.domain.dimension

    @property
    def has_corners(self):
        """Whether regions are kept with their corners, all of them points."""
        return self.n_coordinates <= MOST_DIMENSIONS_OF_VERTICES and not isinstance(self.domain, Space)

    def verdict(self, status, reason, **found):
        return Verdict(status, reason, self.outputs, self.tol, **found)

    def certificate(self, rows, patterns):
        """For a map given as rows of Fractions, each of A with its b."""
        return Certificate(
            self.net.digest,
            self.plain,
            self.outputs,
            tuple(tuple(row[:-1]) for row in rows),
            tuple(row[-1] for row in rows),
            Fraction(self.tol),
            tuple(patterns),
            net=self.net,
        )

    def affine(self, reason, certificate, nearest=0.0, deviation=Fraction(0), **found):
        """The verdict where no affine map is nearer than `nearest`, and the certificate's deviates so."""
        A = np.array([[rounded(x) for x in row] for row in certificate.A])
        b = np.array([rounded(x) for x in certificate.b])
        A.flags.writeable = b.flags.writeable = False
        return self.verdict(
            "affine",
            reason,
            A=A,
            b=b,
            certificate=certificate,
            deviation=(nearest, float_above(deviation)),
            **{**found, "volume_proved": 1.0},
        )

    def same_map(self, reason, forms, patterns, **found):
        """The verdict where regions with these patterns have one map, given in integers."""
        return self.affine(reason, self.certificate(self.maps.fractions(forms), patterns), **found)

    def not_affine(self, witness, **found):
        reason = "three points on a line that no affine map has"
        if self.tol:
            reason += " within tol"
        gap = float(abs(witness.gap)) if abs(witness.gap) < 1e308 else math.inf
        found |= {"witness": witness, "deviation": (np.nextafter(gap, 0).item() / 4, math.inf)}
        return self.verdict("not_affine", reason, **found)

    def inputs(self, points):
        """Points of the input space, rounded."""
        return self.domain._inputs(points) if self._is_placed else points

    def box(self):
        """(low, high) of the coordinates in integers, and their scale; None: unbounded, or a polytope."""
        if isinstance(self.domain, Ball):
            (center, radius), scale = integers(np.stack([self.domain.center, 0 * self.domain.center]))
            (radius,), own = integers(np.array([self.domain.radius]))
            common = max(scale, own)
            center, radius = center * (common // scale), radius * (common // own)
            return center - radius, center + radius, common
        ends = self.domain._bounds()
        return None if ends is None else (*(both := integers(np.stack(ends)))[0], both[1])

    def at(self, point):
        """The exact outputs and bits at a point, a tuple of Fractions."""
        if point not in self._known:
            chain = _chain(self.net, self.outputs)
            self._known[point] = chain.outputs_and_bits(self.place.inputs(point))
        return self._known[point]

    def gaps(self, x, y):
        """f(x) + f(y) - 2 f(z), for each output."""
        values = [self.at(point)[0] for point in (x, y, midpoint(x, y))]
        return [a + b - 2 * c for a, b, c in zip(*values)]

    def folding(self, x, y):
        """The neurons whose bits are not the same at x, y and z."""
        bits = (self.at(point)[1] for point in (x, y, midpoint(x, y)))
        return tuple(j for j, of_neuron in enumerate(zip(*bits)) if len(set(of_neuron)) > 1)

    def is_bent(self, x, y):
        return max(map(abs, self.gaps(x, y))) > 4 * Fraction(self.tol)

    def late(self):
        return time.monotonic() >= self.deadline

    def put_off(self, seconds):
        """Allow so much more, once, where it is late."""
        if self.late() and not self._is_put_off:
            self.deadline = self.end = time.monotonic() + seconds
            self._is_put_off = True
