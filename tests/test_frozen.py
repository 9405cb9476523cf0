"""Results and domains cannot be changed, and are what they were after a copy or a pickle."""

import copy
import dataclasses
import inspect
import pickle

import numpy as np
import pytest

import foldline as fl

BENT = fl.Network([([[1.0, 2.0], [-1.0, 1.0]], [0.0, 0.5]), ([[1.0, -1.0]], [0.0])])
FLAT = fl.Network([([[1.0, 0.0], [-1.0, 0.0]], None), ([[1.0, -1.0]], None)])
HAT = fl.Network.from_knots([0, 1, 2], [0, 1, 0])
BOX = fl.Box(-1, 1, n_in=2)

RESULTS = {
    "AffineRadius": lambda: fl.affine_radius(BENT, [[0.1, 0.2], [0.5, 0.5]]),
    "AffineTest": lambda: fl.test_affine(BENT, BOX, n=50),
    "Bounds": lambda: fl.bounds(BENT, BOX),
    "Certificate": lambda: fl.check_affine(FLAT, BOX).certificate,
    "Config": fl.show_config,
    "DataLinearity": lambda: fl.is_linear_on_data(BENT, [[0.1, 0.2], [-0.5, 0.5]]),
    "Explanation": lambda: fl.explain(BENT, BOX),
    "Folds": lambda: fl.folds(BENT, BOX),
    "HalfSpaces": lambda: fl.regions(BENT, BOX).half_spaces,
    "InscribedBalls": lambda: fl.regions(BENT, BOX).inscribed_balls,
    "Jumps": lambda: fl.regions(BENT, BOX).jumps,
    "Knots": lambda: fl.knots(HAT, [[-2.0], [0.0]], [[2.0], [3.0]]),
    "Lipschitz": lambda: fl.lipschitz(BENT, BOX),
    "NotConvex": lambda: fl.check_convex(BENT, BOX).witness,
    "NotMonotone": lambda: fl.check_monotone(HAT, fl.Box(-1, 3, n_in=1), 0).witness,
    "PatternCount": lambda: fl.count_patterns(BENT, [[0.1, 0.2], [-0.5, 0.5]]),
    "Region": lambda: fl.regions(BENT, BOX)[0],
    "RegionCount": lambda: fl.count_regions(BENT, BOX),
    "Regions": lambda: fl.regions(BENT, BOX),
    "ShapeVerdict": lambda: fl.check_convex(BENT, BOX),
    "Steepest": lambda: fl.lipschitz(BENT, BOX).steepest,
    "Verdict": lambda: fl.check_affine(FLAT, BOX),
    "Witness": lambda: fl.check_affine(BENT, BOX).witness,
}
every_result = pytest.mark.parametrize("name", RESULTS)
every_copy = pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))],
    ids=["copy", "deepcopy", "pickle"],
)


def assert_same(found, wanted):
    """Equal in type and in every field, NaN equal to NaN."""
    assert type(found) is type(wanted)
    if isinstance(wanted, np.ndarray):
        assert found.dtype == wanted.dtype
        np.testing.assert_array_equal(found, wanted)
    elif isinstance(wanted, (tuple, list)):
        assert len(found) == len(wanted)
        for pair in zip(found, wanted):
            assert_same(*pair)
    elif type(wanted).__name__ in RESULTS:
        fields = found.__getstate__(), wanted.__getstate__()
        assert_same(*(list(state) for state in fields))
        assert_same(*(list(state.values()) for state in fields))
    else:
        assert found == wanted or found != found and wanted != wanted


def test_every_public_type_of_result_is_here():
    others = {"Network", "PatternCounter", "Box", "Ball", "Plane", "Polytope", "Segment", "Space"}
    public = {name for name in fl.__all__ if inspect.isclass(getattr(fl, name))}
    assert {name for name in public - others if not issubclass(getattr(fl, name), Exception)} <= set(RESULTS)


@every_result
@every_copy
def test_a_copy_is_equal_in_every_field(name, copied):
    result = RESULTS[name]()
    assert type(result).__name__ == name
    again = copied(result)
    assert_same(again, result)
    assert repr(again) == repr(result)


@every_result
@every_copy
def test_neither_a_result_nor_a_copy_can_be_changed(name, copied):
    result = RESULTS[name]()
    if dataclasses.is_dataclass(result):
        field = dataclasses.fields(result)[0].name
    else:
        field = next(iter(getattr(result, "_fields", None) or vars(result)))
    for frozen in (result, copied(result)):
        before = getattr(frozen, field)
        with pytest.raises(AttributeError):
            setattr(frozen, field, None)
        with pytest.raises(AttributeError):
            delattr(frozen, field)
        assert getattr(frozen, field) is before


@pytest.mark.parametrize("name", ["Bounds", "Knots", "Regions"])
@every_copy
def test_the_arrays_of_a_copy_cannot_be_written(name, copied):
    for value in vars(copied(RESULTS[name]())).values():
        for array in value if isinstance(value, tuple) else (value,):
            assert not isinstance(array, np.ndarray) or not array.flags.writeable


def test_what_regions_computed_when_asked_is_not_in_a_pickle():
    regions = fl.regions(BENT, BOX)
    size = len(pickle.dumps(regions))
    regions.half_spaces, regions.flips, regions.jumps, regions.inscribed_balls  # noqa: B018
    assert len(pickle.dumps(regions)) == size


# Domains ------------------------------------------------------------------------------------------

DOMAINS = [
    BOX,
    fl.Ball([0.5, 0.25], 0.125),
    fl.Polytope([[-1, 0], [0, -1], [1, 1]], [0, 0, 1]),
    fl.Plane([0, 0, 0], [1, 0, 0], [0, 1, 0], extent=2),
    fl.Segment([0, 0], [1, 2]),
    fl.Space(2),
]
every_domain = pytest.mark.parametrize("domain", DOMAINS, ids=lambda domain: type(domain).__name__)


@every_domain
@every_copy
def test_a_domain_and_its_copies_are_equal_and_cannot_be_changed(domain, copied):
    again = copied(domain)
    assert again == domain and hash(again) == hash(domain) and repr(again) == repr(domain)
    for frozen in (domain, again):
        for name in (*vars(domain), "something"):
            with pytest.raises(AttributeError, match=f"{type(domain).__name__} .*frozen.*'{name}'"):
                setattr(frozen, name, 7)
            with pytest.raises(AttributeError, match=f"{type(domain).__name__} .*frozen.*'{name}'"):
                delattr(frozen, name)
        for value in vars(frozen).values():
            assert not isinstance(value, np.ndarray) or not value.flags.writeable
