"""Certificates and witnesses of linearity: checked in exact arithmetic, kept in files of JSON.

In a file every number is a string with all of its decimal digits: floats, and what is computed from
them here, are integers over powers of two, so the digits end.
"""

import hashlib
import json
import re
import sys
from dataclasses import dataclass, field, replace
from fractions import Fraction

from .cells import quotient
from .checks import check_net, check_path
from .errors import FormatError
from .files import replacing
from .network import Network
from .proofs import Chain, Place, Refused, about, largest_deviation
from .wording import counted

__all__ = ["Certificate", "Witness", "load_proof", "midpoint", "plain_domain"]

_NUMBER = re.compile(r"-?[0-9]{1,2000}(\.[0-9]{1,4000})?")
_PATTERN = re.compile(r"[01*]*")
_MOST_DIGITS = 4000
# Of the fields of each kind of domain, the number of nested lists.
_DOMAINS = {
    "Box": {"low": 1, "high": 1},
    "Ball": {"center": 1, "radius": 0},
    "Polytope": {"A": 2, "b": 1},
    "Plane": {"origin": 1, "u": 1, "v": 1, "extent": 0},
    "Segment": {"start": 1, "stop": 1},
    "Space": {"n_in": None},
}


class _Proof:
    """What certificates and witnesses have in common."""

    def verify(self, net=None):
        """Whether it holds, recomputed in exact arithmetic; `refusal` tells why not.

        Parameters
        ----------
        net : Network, optional
            Wanted where the proof was loaded from a file.
        """
        return self.refusal(net) is None

    def refusal(self, net=None):
        """Why it does not hold, or None: it does."""
        net = self._network(net)
        if net.digest != self.digest:
            return f"it is about the network {self.digest[:16]}..., this one is {net.digest[:16]}..."
        if not self.intact:
            return "it was changed since it was written: its checksum does not fit"
        try:
            if not self.outputs or not all(0 <= k < net.n_out for k in self.outputs):
                raise Refused(f"it is about outputs {list(self.outputs)}; the network has {net.n_out}")
            place = Place(**self.domain)
            if place.n_in != net.n_in:
                raise Refused(f"its domain has {place.n_in} inputs; the network takes {net.n_in}")
            chain = Chain(net.weights, net.biases, net.slopes, self.outputs)
            self._check(chain, place)
        except Refused as refused:
            return str(refused)
        return None

    def _network(self, net):
        net = self.net if net is None else net
        if net is None:
            raise ValueError("a proof from a file has no network with it; wanted verify(net)")
        check_net(net)
        return net

    def save(self, path):
        """Write it to a file of JSON, whole or not at all; `load_proof` reads it back."""
        document = _document(self)
        document["checksum"] = _checksum(document)
        with replacing(check_path("path", path)) as file:
            file.write(json.dumps(document, indent=1).encode())


@dataclass(frozen=True, repr=False)
class Certificate(_Proof):
    """Proof that outputs of a network are affine on a domain, or within `tol` of an affine map.

    Attributes
    ----------
    digest : str
        Of the network.
    domain : dict
        Its kind, and what defines it, as Fractions.
    outputs : tuple of int
    A, b : tuples of Fraction
        The map, ``A x + b``; on a Plane or a Segment in the domain's own coordinates.
    tol : Fraction
        0: the outputs are this map.
    patterns : tuple of str
        For every cell a mark for each neuron: ``1`` positive on it, ``0`` not, ``*`` either, but it
        cancels with other neurons of the same fold. Verifying proves that the cells with these patterns
        cover the domain, and compares the map of each.
    intact : bool
        False for a file that was changed since it was written.
    net : Network or None

    Examples
    --------
    >>> import foldline as fl
    >>> net = fl.Network([([[1.0], [-1.0]], None), ([[1.0, -1.0]], None)])    # relu(x) - relu(-x)
    >>> certificate = fl.check_affine(net, fl.Box(-1, 1, n_in=1)).certificate
    >>> certificate.A, certificate.patterns, certificate.verify()
    (((Fraction(1, 1),),), ('**',), True)
    """

    digest: str
    domain: dict
    outputs: tuple
    A: tuple
    b: tuple
    tol: Fraction
    patterns: tuple
    intact: bool = True
    net: Network = field(default=None, compare=False)

    def __repr__(self):
        within = f" within {float(self.tol):g}" if self.tol else ""
        return f"Certificate(affine{within}, {self.domain['kind']}, {counted(len(self.patterns), 'pattern')})"

    def deviation(self, net=None, deadline=float("inf")):
        """The largest distance of an output from the map, anywhere on the domain: exact, a Fraction.

        Raises
        ------
        ValueError
            The patterns do not cover the domain.
        """
        net = self._network(net)
        chain = Chain(net.weights, net.biases, net.slopes, self.outputs)
        place = Place(**self.domain)
        try:
            return self._check(chain, place, float("inf"), deadline)
        except Refused as refused:
            raise ValueError(f"the certificate does not hold: {refused}") from None

    def _check(self, chain, place, tol=None, deadline=float("inf")):
        claim = [[*row, c] for row, c in zip(self.A, self.b)]
        sizes = {place.dimension + 1} | {len(row) for row in claim}
        if len(self.A) != len(self.outputs) or len(self.b) != len(self.outputs) or len(sizes) != 1:
            raise Refused("its map does not have the shape of the network's on the domain")
        if self.tol < 0:
            raise Refused("its tolerance is negative")
        return largest_deviation(
            chain, place, claim, self.patterns, self.tol if tol is None else tol, deadline
        )


@dataclass(frozen=True, repr=False)
class Witness(_Proof):
    """Proof that an output is not affine on a domain: three points on a line.

    An affine map has ``f(x) + f(y) = 2 f(z)`` where z is the midpoint; one within tol of it is off by at
    most ``4 tol``.

    Attributes
    ----------
    digest, domain, tol, intact, net
        As for `Certificate`.
    outputs : tuple of int
        The output that bends, alone.
    points : tuple of tuple of Fraction
        x and y, in the domain's own coordinates on a Plane or a Segment.
    gap : Fraction
        ``f(x) + f(y) - 2 f(z)``, exactly.
    neurons : tuple of int
        Those whose bits are not the same at x, y and z: they make the fold.
    x, y, z : list of float
        The points in the input space, rounded.

    Examples
    --------
    >>> import foldline as fl
    >>> net = fl.Network([([[1.0], [-1.0]], None), ([[1.0, 1.0]], None)])    # |x|
    >>> witness = fl.check_affine(net, fl.Box(-1, 1, n_in=1)).witness
    >>> witness.gap > 0, witness.neurons, witness.verify()
    (True, (0, 1), True)
    """

    digest: str
    domain: dict
    outputs: tuple
    tol: Fraction
    points: tuple
    gap: Fraction
    neurons: tuple
    intact: bool = True
    net: Network = field(default=None, compare=False)

    def __repr__(self):
        within = f" within {float(self.tol):g}" if self.tol else ""
        return f"Witness(not affine{within}, {self.domain['kind']}, output {self.outputs[0]})"

    @property
    def x(self):
        return self._inputs(self.points[0])

    @property
    def y(self):
        return self._inputs(self.points[1])

    @property
    def z(self):
        return self._inputs(midpoint(*self.points))

    def _inputs(self, point):
        return [quotient(*value.as_integer_ratio()) for value in Place(**self.domain).inputs(point)]

    def _check(self, chain, place):
        if len(self.outputs) != 1 or self.tol < 0:
            raise Refused("it does not name one output and a tolerance")
        if len(self.points) != 2 or any(len(point) != place.dimension for point in self.points):
            raise Refused("its points do not have the dimension of its domain")
        if not all(place.holds(point) for point in self.points):
            raise Refused("a point lies outside the domain")
        gap, neurons = _gap(chain, place, self.points)
        if gap != self.gap:
            raise Refused(f"the gap is {about(gap)}, it says {about(self.gap)}")
        if abs(gap) <= 4 * self.tol:
            raise Refused(f"a gap of {about(gap)} proves nothing")
        if neurons != self.neurons:
            raise Refused(f"the neurons that fold are {list(neurons)}, it says {list(self.neurons)}")


def plain_domain(domain):
    """A domain as a certificate has it: its kind, and floats as Fractions."""
    kind = type(domain).__name__
    fields = {name: _fractions(getattr(domain, name)) for name in _DOMAINS[kind]}
    return {"kind": kind, **fields}


def load_proof(path):
    """Read a `Certificate` or a `Witness` that was saved.

    Raises
    ------
    FormatError
        The file is truncated, not one of these, or about no domain that there is. One whose numbers were
        changed is read, and refused when it is verified.

    Examples
    --------
    >>> import os, tempfile
    >>> import foldline as fl
    >>> net = fl.Network([([[1.0], [-1.0]], None), ([[1.0, -1.0]], None)])
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     path = os.path.join(directory, "proof.json")
    ...     fl.check_affine(net, fl.Box(-1, 1, n_in=1)).certificate.save(path)
    ...     fl.load_proof(path).verify(net)
    True
    """
    path = check_path("path", path)
    with open(path, "rb") as file:
        data = file.read()
    try:
        return _proof(_parsed(data))
    except RecursionError:
        raise FormatError(f"{path}: nested too deeply") from None
    except (UnicodeDecodeError, json.JSONDecodeError):
        raise FormatError(f"{path} is not a proof file, or not a whole one") from None
    except (ValueError, TypeError, OverflowError) as error:
        raise FormatError(f"{path}: {error}") from None


def _gap(chain, place, points):
    """f(x) + f(y) - 2 f(z), and the neurons whose bits are not the same."""
    values, bits = zip(*(chain.outputs_and_bits(place.inputs(p)) for p in (*points, midpoint(*points))))
    gap = values[0][0] + values[1][0] - 2 * values[2][0]
    return gap, tuple(j for j, of_neuron in enumerate(zip(*bits)) if len(set(of_neuron)) > 1)


def midpoint(x, y):
    return tuple((a + b) / 2 for a, b in zip(x, y))


def _fractions(value):
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list):
        return [_fractions(item) for item in value]
    return value if isinstance(value, int) else Fraction(value)


# Files --------------------------------------------------------------------------------------------

# Of the fields beside these, the number of nested lists.
_HEAD = {"format": "foldline proof", "version": 1}
_FIELDS = {
    Certificate: {"A": 2, "b": 1},
    Witness: {"points": 2, "gap": 0},
}
_CLAIMS = {"affine": Certificate, "not affine": Witness}


def _document(proof):
    claim = next(name for name, kind in _CLAIMS.items() if isinstance(proof, kind))
    domain = {k: v if k in ("kind", "n_in") else _text(v) for k, v in proof.domain.items()}
    document = {**_HEAD, "claim": claim, "digest": proof.digest, "domain": domain}
    document |= {"outputs": list(proof.outputs), "tol": _text(proof.tol)}
    document |= {name: _text(getattr(proof, name)) for name in _FIELDS[type(proof)]}
    if isinstance(proof, Certificate):
        return {**document, "patterns": list(proof.patterns)}
    return {**document, "neurons": list(proof.neurons)}


def _text(value):
    """Fractions over powers of two, with all digits."""
    if isinstance(value, (list, tuple)):
        return [_text(item) for item in value]
    places = value.denominator.bit_length() - 1
    if value.denominator != 1 << places:
        raise ValueError(f"a number of the proof is a fraction over {value.denominator}, not a power of two")
    digits = abs(value.numerator) * 5**places
    if max(places, digits.bit_length() // 3) > _MOST_DIGITS:
        raise ValueError(f"a number of the proof has more than {_MOST_DIGITS} digits; no file can hold it")
    text = str(digits).rjust(places + 1, "0")
    sign = "-" if value < 0 else ""
    return sign + (f"{text[:-places]}.{text[-places:]}" if places else text)


def _checksum(document):
    content = {name: value for name, value in document.items() if name != "checksum"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _parsed(data):
    def no_duplicates(pairs):
        if len(dict(pairs)) < len(pairs):
            raise FormatError("has a key twice")
        return dict(pairs)

    document = json.loads(data.decode(), object_pairs_hook=no_duplicates)
    if not isinstance(document, dict) or any(document.get(k) != v for k, v in _HEAD.items()):
        raise FormatError("is not a foldline proof, version 1")
    return document


def _proof(document):
    kind = _CLAIMS.get(document.get("claim") if isinstance(document.get("claim"), str) else None)
    if kind is None:
        raise FormatError(f"the claim is none of {', '.join(map(repr, _CLAIMS))}")
    last = "patterns" if kind is Certificate else "neurons"
    wanted = {*_HEAD, "claim", "digest", "domain", "outputs", "tol", *_FIELDS[kind], last, "checksum"}
    if set(document) != wanted:
        raise FormatError(f"has the wrong keys; wanted {', '.join(sorted(wanted))}")
    values = {name: _numbers(document[name], depth, name) for name, depth in _FIELDS[kind].items()}
    values["outputs"] = _whole_numbers(document["outputs"], "outputs")
    if kind is Certificate:
        values["patterns"] = tuple(_pattern(text) for text in _list(document["patterns"], "patterns"))
    else:
        values["neurons"] = _whole_numbers(document["neurons"], "neurons")
    domain, dimension = _domain(document["domain"])
    tol = _in_range(_numbers(document["tol"], 0, "tol"), "tol")
    if kind is Witness:
        _check_points(_in_range(values["points"], "points"), dimension)
        if len(values["outputs"]) != 1:
            raise FormatError(f"outputs are {list(values['outputs'])}; a witness is about one")
    proof = kind(digest=_string(document["digest"], "digest"), domain=domain, tol=tol, **values)
    return replace(proof, intact=document["checksum"] == _checksum(document))


def _check_points(points, dimension):
    sizes = [len(point) for point in points]
    if sizes != [dimension, dimension]:
        raise FormatError(f"points have {sizes} coordinates; wanted {[dimension, dimension]}")


def _domain(fields):
    """A domain as `plain_domain` gives it, and its dimension."""
    kind = fields.get("kind") if isinstance(fields, dict) else None
    wanted = _DOMAINS.get(kind if isinstance(kind, str) else None)
    if wanted is None or set(fields) != {"kind", *wanted}:
        raise FormatError(f"the domain is not one of {', '.join(_DOMAINS)} with what defines it")
    if kind == "Space":
        (n_in,) = _whole_numbers([fields["n_in"]], "n_in")
        if not 1 <= n_in <= 2**20:
            raise FormatError(f"the domain has {n_in} inputs")
        return {"kind": kind, "n_in": n_in}, n_in
    domain = {name: _in_range(_numbers(fields[name], depth, name), name) for name, depth in wanted.items()}
    lists = [value for value in domain.values() if isinstance(value, tuple)]
    if kind == "Polytope":
        widths = {len(row) for row in domain["A"]}
        fits = len(domain["A"]) == len(domain["b"]) and len(widths) == 1 and min(widths) > 0
    else:
        fits = len({len(value) for value in lists}) == 1 and len(lists[0]) > 0
    if not fits:
        raise FormatError(f"what defines the {kind} has lengths that do not fit together")
    domain = {"kind": kind, **{k: _listed(v) for k, v in domain.items()}}
    try:
        return domain, Place(**domain).dimension
    except Refused as refused:
        raise FormatError(str(refused)) from None


def _listed(value):
    return [_listed(item) for item in value] if isinstance(value, tuple) else value


def _numbers(value, depth, name):
    if depth:
        return tuple(_numbers(item, depth - 1, name) for item in _list(value, name))
    if not isinstance(value, str) or not _NUMBER.fullmatch(value):
        raise FormatError(f"{name} has what is not a string of decimal digits")
    number = Fraction(value)
    if number.denominator & (number.denominator - 1):
        raise FormatError(f"{name} has a number that is not over a power of two")
    return number


def _in_range(value, name):
    """`value`, which was a float and is not computed, if it is in the range of floats."""
    if isinstance(value, tuple):
        for item in value:
            _in_range(item, name)
    elif abs(value) > sys.float_info.max:
        raise FormatError(f"{name} has a number beyond the range of floats")
    return value


def _whole_numbers(value, name):
    items = _list(value, name)
    if not all(type(item) is int and 0 <= item < 2**31 for item in items):
        raise FormatError(f"{name} has what is not a whole number")
    return tuple(items)


def _pattern(text):
    if not _PATTERN.fullmatch(_string(text, "patterns")):
        raise FormatError("patterns have other marks than 0, 1 and *")
    return text


def _list(value, name):
    if not isinstance(value, list):
        raise FormatError(f"{name} is not a list")
    return value


def _string(value, name):
    if not isinstance(value, str):
        raise FormatError(f"{name} is not a string")
    return value
