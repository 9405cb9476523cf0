"""Certificates and witnesses: verified, kept in files, and refused when anything in them is not true."""

import ast
import copy
import hashlib
import inspect
import json
import pickle
from fractions import Fraction

import networks
import numpy as np
import pytest
from networks import chain, random_network

import foldline as fl
from foldline import proofs

NESTED = chain(([[1, 2], [1, 2], [3, -1]], [0, 0, 1]), ([[1, 0, 0], [0, 1, 0]], None), ([[1, -1]], [0.375]))
PROOFS = {
    "no folds": (random_network(1, (2, 4, 4, 2)), fl.Box(0.125, 0.1251, n_in=2), {}),
    "cancelling": (
        chain(([[1, 2], [-1, -2], [3, 1]], [1, -1, 9]), ([[1, -1, 0.5]], [3])),
        fl.Ball([0, 0], 1),
        {},
    ),
    "several regions": (NESTED, fl.Box(-1, 1, n_in=2), {}),
    "a polytope": (NESTED, fl.Polytope([[-1, 0], [0, -1], [1, 1]], [1, 1, 1]), {}),
    "all of space": (NESTED, fl.Space(2), {}),
    "a plane": (NESTED, fl.Plane([0, 0.5], [1, 0], [1, 1]), {}),
    "a segment": (NESTED, fl.Segment([-1, 0.5], [1, -0.25]), {}),
    "within a tolerance": (random_network(5, (2, 3, 2, 1), slopes=0), fl.Box(-1, 1, n_in=2), {"tol": 8}),
    "not affine": (networks.THREE_RIDGES, fl.Box(-1, 1, n_in=2), {}),
    "not affine on a segment": (networks.HAT, fl.Segment([-1], [3]), {}),
    "not within a tolerance": (networks.HAT, fl.Box(-1, 3, n_in=1), {"tol": 0.125}),
}


def proof(name):
    network, domain, how = PROOFS[name]
    verdict = fl.check_affine(fl.Network(*network), domain, **how)
    assert (verdict.witness is not None) == name.startswith("not")
    return verdict.certificate or verdict.witness


@pytest.fixture(params=PROOFS)
def found(request):
    return proof(request.param)


def test_a_proof_is_the_same_after_a_file_and_a_pickle(found, tmp_path):
    found.save(tmp_path / "proof.json")
    loaded = fl.load_proof(tmp_path / "proof.json")
    assert loaded == found
    assert loaded.net is None
    assert loaded.verify(found.net)
    assert pickle.loads(pickle.dumps(found)).verify()
    with pytest.raises(ValueError, match="verify\\(net\\)"):
        loaded.verify()
    with pytest.raises(TypeError, match="net is str"):
        loaded.verify("net")


def test_a_proof_for_another_network_is_refused_by_digest(found):
    weights = [w.copy() for w in found.net.weights]
    weights[0][0, 0] = np.nextafter(weights[0][0, 0], 9)
    other = fl.Network(list(zip(weights, found.net.biases)), list(found.net.slopes))
    assert not found.verify(other)
    assert "network" in found.refusal(other)


# Mutations ----------------------------------------------------------------------------------------


def numbers(document, path=()):
    """The paths of all strings and numbers, but those that say what the file is."""
    if isinstance(document, dict):
        for key, value in document.items():
            if key not in ("format", "version", "claim", "checksum", "kind"):
                yield from numbers(value, (*path, key))
    elif isinstance(document, list):
        for i, value in enumerate(document):
            yield from numbers(value, (*path, i))
    else:
        yield path


def changed(document, path):
    """A copy in which one number, mark or letter is another."""
    document = copy.deepcopy(document)
    place = document
    for key in path[:-1]:
        place = place[key]
    value = place[path[-1]]
    if path[0] == "patterns":
        others = [(i, mark) for i, c in enumerate(value) for mark in "01*" if mark != c]
        value = [value[:i] + mark + value[i + 1 :] for i, mark in others]
    elif path[0] == "digest":
        value = [value.replace(value[0], "0" if value[0] != "0" else "1")]
    elif isinstance(value, int):
        value = [value + 1]
    else:
        digit = next(i for i, c in enumerate(value) if c.isdigit())
        value = [value[:digit] + str((int(value[digit]) + 1) % 10) + value[digit + 1 :]]
    for other in value:
        place[path[-1]] = other
        yield copy.deepcopy(document)


def loaded(document, path):
    path.write_text(json.dumps(document))
    return fl.load_proof(path)


def test_a_file_with_one_number_changed_is_refused(found, tmp_path):
    path = tmp_path / "proof.json"
    found.save(path)
    document = json.loads(path.read_text())
    paths = list(numbers(document))
    assert len(paths) >= 6
    for where in paths:
        for mutant in changed(document, where):
            try:
                mutated = loaded(mutant, path)
            except fl.FormatError:
                continue  # the box became flat
            assert not mutated.verify(found.net), where


def test_a_claim_that_is_not_true_is_refused_with_any_checksum(found, tmp_path):
    path = tmp_path / "proof.json"
    found.save(path)
    document = json.loads(path.read_text())
    exact = {"A", "b", "patterns", "points", "gap", "neurons", "digest"}
    if document["tol"] != "0":
        exact -= {"A", "b"}  # a map nearby may do
    for where in numbers(document):
        if where[0] not in exact:
            continue
        for mutant in changed(document, where):
            del mutant["checksum"]
            mutant["checksum"] = hashlib.sha256(json.dumps(mutant, sort_keys=True).encode()).hexdigest()
            mutated = loaded(mutant, path)
            assert mutated.intact
            assert not mutated.verify(found.net), where


def test_a_cell_left_out_or_made_up_is_refused():
    certificate = proof("several regions")
    assert len(certificate.patterns) > 1
    made = vars(certificate) | {"net": certificate.net}
    for i in range(len(certificate.patterns)):
        fewer = certificate.patterns[:i] + certificate.patterns[i + 1 :]
        assert not fl.Certificate(**made | {"patterns": fewer}).verify()
    present = set(certificate.patterns)
    absent = [f"{k:05b}" for k in range(32) if f"{k:05b}" not in present]
    assert absent
    for pattern in absent:
        assert not fl.Certificate(**made | {"patterns": (*certificate.patterns, pattern)}).verify()
    twice = (*certificate.patterns, certificate.patterns[0])
    assert not fl.Certificate(**made | {"patterns": twice}).verify()
    assert not fl.Certificate(**made | {"patterns": ()}).verify()


def test_a_true_certificate_does_not_hold_on_a_larger_domain():
    net = fl.Network(*chain(([[1.0]], [-1]), ([[1]], None)))
    certificate = fl.check_affine(net, fl.Box(-1, 1, n_in=1)).certificate
    assert certificate.verify()
    wider = {"kind": "Box", "low": [Fraction(-1)], "high": [Fraction(1) + Fraction(1, 2**200)]}
    assert not fl.Certificate(**vars(certificate) | {"domain": wider}).verify()


def test_a_tolerance_that_is_just_too_small_is_refused():
    certificate = proof("within a tolerance")
    deviation = certificate.deviation()
    assert 0 < deviation < 8
    exactly = vars(certificate) | {"tol": deviation}
    assert fl.Certificate(**exactly).verify()
    assert not fl.Certificate(**exactly | {"tol": deviation - Fraction(1, 2**300)}).verify()


def test_a_witness_outside_its_domain_is_refused():
    witness = proof("not affine")
    far = tuple(tuple(2**9 * value for value in point) for point in witness.points)
    refused = fl.Witness(**vars(witness) | {"points": far}).refusal()
    assert "outside" in refused


def test_proofs_are_checked_without_the_code_that_finds_them():
    tree = ast.parse(inspect.getsource(proofs))
    nodes = list(ast.walk(tree))
    imported = {node.module or "." for node in nodes if isinstance(node, ast.ImportFrom)}
    imported |= {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    assert imported == {"fractions", "itertools", "math", "numpy", "time"}


# Files that are not proofs ------------------------------------------------------------------------

WHOLE = json.dumps({"format": "foldline proof", "version": 1, "claim": "affine"})
HOSTILE = {
    "empty": "",
    "not JSON": "proof",
    "truncated": WHOLE[:-9],
    "a list": "[]",
    "another format": '{"format": "proof"}',
    "another version": '{"format": "foldline proof", "version": 2}',
    "no fields": WHOLE,
    "a key twice": '{"format": "foldline proof", "format": "foldline proof"}',
    "deeply nested": "[" * 200_000,
    "not text": "\udcff",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_one_clear_error(name, tmp_path):
    path = tmp_path / "proof.json"
    path.write_bytes(HOSTILE[name].encode("utf-8", "surrogateescape"))
    with pytest.raises(fl.FormatError, match="proof.json"):
        fl.load_proof(path)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("tol", "1e999999999"),
        ("tol", "0x10"),
        ("tol", "0.1"),
        ("tol", 0.5),
        ("tol", None),
        ("tol", "9" * 100_000),
        ("tol", "nan"),
        ("A", []),
        ("A", "1"),
        ("A", [["1", "1", "1"]]),
        ("A", [[["1"]]]),
        ("b", ["1", "2"]),
        ("outputs", [10**30]),
        ("outputs", [True]),
        ("outputs", []),
        ("outputs", [1]),
        ("outputs", [0, 0]),
        ("outputs", {}),
        ("patterns", "01"),
        ("patterns", ["2" * 3]),
        ("patterns", [["0"]]),
        ("patterns", ["0" * 100_000]),
        ("digest", 1),
        ("domain", {"kind": "Box", "low": ["0"], "high": ["1"]}),
        ("domain", {"kind": "Box", "low": ["0", "0"], "high": ["0", "1"]}),
        ("domain", {"kind": "Box", "low": ["0", "0"], "high": ["1"]}),
        ("domain", {"kind": "Box", "low": [], "high": []}),
        ("domain", {"kind": "Space", "n_in": 10**12}),
        ("domain", {"kind": "Space", "n_in": -1}),
        ("domain", {"kind": "Polytope", "A": [["1", "0"], ["1"]], "b": ["1", "1"]}),
        ("domain", {"kind": "Polytope", "A": [["1", "0"]], "b": ["1"]}),
        ("domain", {"kind": ["Box"]}),
        ("domain", {"kind": "Chart"}),
        ("domain", ["Box"]),
        ("claim", ["affine"]),
        ("claim", "not affine"),
        ("checksum", None),
        ("extra", 1),
    ],
    ids=lambda v: str(v)[:40],
)
def test_a_field_that_is_wrong_is_refused_without_much_ado(field, value, tmp_path):
    certificate = proof("several regions")
    path = tmp_path / "proof.json"
    certificate.save(path)
    document = json.loads(path.read_text()) | {field: value}
    document.pop("checksum") if field != "checksum" else None
    if field != "checksum":
        document["checksum"] = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
    try:
        refused = loaded(document, path).refusal(certificate.net)
    except fl.FormatError as error:
        refused = str(error)
    assert refused


def with_checksum(document):
    document = {name: value for name, value in document.items() if name != "checksum"}
    checksum = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
    return document | {"checksum": checksum}


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("outputs", [], "outputs are"),
        ("outputs", [0, 0], "outputs are"),
        ("tol", "1" * 401, "tol has a number beyond"),
        ("points", [["0", "0"]], "points have"),
        ("points", [["0", "0"], ["1"]], "points have"),
        ("points", [["1" * 401, "0"], ["0", "0"]], "points has a number beyond"),
        ("domain", {"kind": "Box", "low": ["0", "0"], "high": ["1", "0"]}, "flat"),
        ("domain", {"kind": "Box", "low": ["0", "0"], "high": ["1", "1" * 401]}, "high has a number beyond"),
        ("domain", {"kind": "Ball", "center": ["0", "0"], "radius": "-1"}, "flat"),
    ],
    ids=lambda v: str(v)[:40],
)
def test_a_witness_that_has_no_meaning_is_refused_when_it_is_loaded(field, value, message, tmp_path):
    path = tmp_path / "proof.json"
    proof("not affine").save(path)
    document = with_checksum(json.loads(path.read_text()) | {field: value})
    with pytest.raises(fl.FormatError, match=f"proof.json: .*{message}"):
        loaded(document, path)


def test_a_gap_beyond_floats_is_refused_in_words(tmp_path):
    witness, path = proof("not affine"), tmp_path / "proof.json"
    witness.save(path)
    for gap, words in (("1" * 401, "more than 1e308"), ("-" + "1" * 401, "less than -1e308")):
        refused = loaded(with_checksum(json.loads(path.read_text()) | {"gap": gap}), path)
        assert words in refused.refusal(witness.net)
        assert repr(refused) == repr(witness) and refused.z == witness.z


def test_every_truncation_of_a_file_is_an_error(tmp_path):
    path = tmp_path / "proof.json"
    proof("not affine").save(path)
    whole = path.read_bytes()
    for size in range(0, len(whole) - 1, 37):
        path.write_bytes(whole[:size])
        with pytest.raises(fl.FormatError):
            fl.load_proof(path)


def test_saving_fails_as_a_whole(tmp_path):
    with pytest.raises(OSError, match="nowhere"):
        proof("not affine").save(tmp_path / "nowhere" / "proof.json")
    assert not list(tmp_path.iterdir())
