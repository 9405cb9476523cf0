"""What follows from the columns of `Regions`, against exact cells and laws; and what is saved comes back."""

import functools
import itertools
import pickle
import sys
import zipfile
from fractions import Fraction

import networks
import numpy as np
import pytest
from test_bounds import exact_sums, placed
from test_regions import integer_network, network

import foldline as fl
from foldline import cells, facets, inscribed
from foldline.errors import FormatError

SMALL = [k for k in networks.KNOWN if k.activation <= 16]


def random_case(d, seed):
    rng = np.random.default_rng(seed)
    net = network(*networks.random_network(seed, (d, 5, 4, 2), slopes=(0, "mixed")[seed % 2]))
    low, high = np.sort(rng.normal(size=(2, d)), axis=0)
    corners = np.vstack([np.eye(d), -np.eye(d), np.ones(d)])
    return net, (
        fl.Box(low, high + 0.1),
        fl.Ball(low, 0.7),
        fl.Polytope(corners, [*(low + 0.9), *(0.3 - low), low.sum() + 0.1]),
        fl.Segment(low, high + 0.1),
        fl.Plane(low, *rng.normal(size=(2, d))) if d > 1 else fl.Box(-1, 1, n_in=1),
    )


CASES = {f"{d}-D, seed {seed}": random_case(d, seed) for d, seed in ((1, 0), (2, 0), (2, 1), (3, 0), (4, 1))}
RANDOM = {
    f"{name}, {type(domain).__name__}": (net, domain) for name, (net, of) in CASES.items() for domain in of
}
DEGENERATE = {
    **{k.name: (network(*k.network), fl.Box(k.low, k.high, n_in=k.n_in)) for k in SMALL},
    **{
        f"integers, {d}-D, seed {seed}": (
            integer_network(seed, (d, 4, 3, 2), bias=seed != 2),
            fl.Box(-1, 1, n_in=d),
        )
        for d in (1, 2, 3, 4)
        for seed in range(3)
    },
}


@functools.cache
def regions_of(name):
    return fl.regions(*(RANDOM | DEGENERATE)[name])


@pytest.fixture(params=[*RANDOM, *DEGENERATE])
def found(request):
    return regions_of(request.param)


def square():
    """Four squares around 0 in the plane, the map of each being its own."""
    net = fl.Network([([[1.0, 0.0], [0.0, 1.0]], None), ([[1.0, 2.0]], None)])
    return fl.regions(net, fl.Box(-1, 1, n_in=2))


# Half-spaces


def rank(rows):
    """Of rows of Fractions."""
    rows, found = [list(row) for row in rows], 0
    for k in range(len(rows[0]) if rows else 0):
        pivot = next((i for i in range(found, len(rows)) if rows[i][k]), None)
        if pivot is None:
            continue
        rows[found], rows[pivot] = rows[pivot], rows[found]
        for row in rows[found + 1 :]:
            factor = row[k] / rows[found][k]
            row[k:] = [a - factor * b for a, b in zip(row[k:], rows[found][k:])]
        found += 1
    return found


def exact_facets(net, domain, cell):
    """Corners of each facet of a cell, and the neurons that are zero on them; None for domain faces."""
    corners = [[Fraction(x, v[-1]) for x in v[:-1]] for v in cell.vertices]
    sums = [exact_sums(net, placed(domain, u))[: net.n_neurons] for u in corners]
    found = {}
    for j, values in enumerate(zip(*sums)):
        on = tuple(i for i, z in enumerate(values) if z == 0)
        if on and rank([[*corners[i], Fraction(1)] for i in on]) == len(corners[0]):
            found.setdefault(on, []).append(j)
    return sorted(found.values())


def test_the_neurons_of_each_facet_are_those_that_are_zero_on_it(found):
    chain = cells.ExactChain(found.net, found.domain)
    spaces = found.half_spaces
    for i, (_, cell, _) in enumerate(cells.iter_cells(chain)):
        made = [n.tolist() for n in spaces.neurons[spaces.starts[i] : spaces.starts[i + 1]] if len(n)]
        assert sorted(made) == exact_facets(found.net, found.domain, cell)


def test_corners_lie_on_or_below_every_half_space_and_on_as_many_as_there_are_dimensions(found):
    spaces, d = found.half_spaces, found.domain.dimension
    assert spaces.starts[0] == 0 and spaces.starts[-1] == len(spaces.G) == len(spaces.neurons)
    np.testing.assert_allclose(np.linalg.norm(spaces.G, axis=1), 1)
    for i, corners in enumerate(found.vertices):
        rows = slice(spaces.starts[i], spaces.starts[i + 1])
        below = spaces.h[rows] - corners @ spaces.G[rows].T
        assert (below > -1e-9).all() and (spaces.h[rows] > spaces.G[rows] @ found.interior_points[i]).all()
        assert ((below < 1e-9).sum(axis=1) >= d).all() and ((below < 1e-9).sum(axis=0) >= d).all()


def test_every_facet_inside_the_domain_is_between_two_neighbours(found):
    spaces = found.half_spaces
    inside = ~spaces.on_boundary
    assert inside.sum() == 2 * len(found.neighbours)
    assert all(len(neurons) for neurons, within in zip(spaces.neurons, inside) if within)
    owner = np.repeat(np.arange(len(found)), np.diff(spaces.starts))
    made = {(i, tuple(n.tolist())) for i, n, within in zip(owner, spaces.neurons, inside) if within}
    bits = fl.unpack_patterns(found.patterns, found.net.n_neurons)
    for pair, flips in zip(found.neighbours.tolist(), found.flips):
        for i in pair:  # an inactive neuron may be 0 on its whole region
            active = {k for k in flips.tolist() if bits[i, k]}
            assert any(owner == i and active <= set(neurons) for owner, neurons in made)


@pytest.mark.parametrize("name", [n for n in RANDOM if "seed 0" in n])
def test_in_general_position_floats_are_enough_and_agree_with_integers(name, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(facets, "_facets", lambda *_: None)
        exact = facets.half_spaces(regions_of(name))
    monkeypatch.setattr(facets, "exact_facets", None)
    found = facets.half_spaces(regions_of(name))
    assert list(map(list, found.neurons)) == list(map(list, exact.neurons))
    np.testing.assert_array_equal(found.starts, exact.starts)
    np.testing.assert_array_equal(found.on_boundary, exact.on_boundary)
    np.testing.assert_allclose(found.G, exact.G, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found.h, exact.h, rtol=1e-9, atol=1e-9)


def test_folds_that_floats_cannot_tell_apart_are_told_apart():
    """Two folds that differ by less than a rounding at the far corners; the nearer one makes the facet."""
    tilt = 2.0**-60
    net = fl.Network([([[1.0, 0.0], [1.0, tilt]], [0.0, -(2.0**-58)]), ([[1.0, 1.0]], None)])
    found = fl.regions(net, fl.Box(-1, 1, n_in=2))
    assert len(found) == 3
    assert [n.tolist() for n in found.half_spaces.neurons if len(n)] == [[0], [0], [1], [1]]


def test_a_fold_on_the_boundary_is_a_face_of_the_domain_too():
    net = fl.Network([([[1.0]], [1.0]), ([[1.0]], None)])
    spaces = fl.regions(net, fl.Box(-1, 1, n_in=1)).half_spaces
    assert spaces.on_boundary.all()
    assert sorted(n.tolist() for n in spaces.neurons) == [[], [0]]


# Flips and jumps


def test_flips_are_the_bits_that_differ_and_jumps_vanish_on_the_facet(found):
    bits = fl.unpack_patterns(found.patterns, found.net.n_neurons)
    assert len(found.flips) == len(found.neighbours) == len(found.jumps.A) == len(found.jumps.b)
    for (i, j), flips, a, b in zip(found.neighbours, found.flips, *found.jumps):
        assert flips.tolist() == [k for k in range(found.net.n_neurons) if bits[i, k] != bits[j, k]]
        assert len(flips)
        np.testing.assert_array_equal(a, found.A[j] - found.A[i])
        near = np.abs(found.vertices[i][:, None] - found.vertices[j][None]).max(axis=2) < 1e-9
        shared = found.vertices[i][near.any(axis=1)]
        assert len(shared) >= found.domain.dimension
        np.testing.assert_allclose(shared @ a.T + b, 0, atol=1e-9)


def test_regions_without_neighbours_have_no_flips_and_no_jumps():
    one = fl.regions(network(*networks.AFFINE), fl.Box(-1, 1, n_in=2))
    assert one.flips == () and one.jumps.A.shape == (0, 2, 2) and one.jumps.b.shape == (0, 2)
    assert len(one.half_spaces.G) == 4 and one.half_spaces.on_boundary.all()


# Inscribed balls


def largest_radius(G, h):
    """The best of all points at equal distance from d + 1 facets, by trying them all."""
    rows = np.concatenate([G, np.ones((len(h), 1))], axis=1)
    best = 0
    for subset in itertools.combinations(range(len(h)), rows.shape[1]):
        square, right = rows[list(subset)], h[list(subset)]
        if abs(np.linalg.det(square)) > 1e-9:
            *center, radius = np.linalg.solve(square, right)
            if radius > best and (G @ center + radius <= h + 1e-9).all():
                best = radius
    return best


def test_no_ball_in_a_region_is_larger_than_the_inscribed_one(found):
    centers, radii = found.inscribed_balls
    spaces = found.half_spaces
    for i, (center, radius) in enumerate(zip(centers, radii)):
        rows = slice(spaces.starts[i], spaces.starts[i + 1])
        G, h = spaces.G[rows], spaces.h[rows]
        assert radius > 0 and (h - G @ center >= radius).all()
        assert radius == pytest.approx(largest_radius(G, h), rel=1e-6)


def test_the_inscribed_balls_of_squares_are_known():
    centers, radii = square().inscribed_balls
    np.testing.assert_allclose(abs(centers), 0.5)
    np.testing.assert_allclose(radii, 0.5)


@pytest.mark.parametrize("angle", [1.0, 1e-3, 1e-6, 1e-9])
def test_needles_have_their_inscribed_ball_at_the_thick_end(angle):
    sine, cosine = np.sin(angle), np.cos(angle)
    needle = facets.HalfSpaces(
        np.array([0, 3]),
        np.array([[-sine, cosine], [-sine, -cosine], [1, 0]]),
        np.array([0, 0, 1.0]),
        (np.array([0]), np.array([1]), np.array([])),
        np.array([False, False, True]),
    )
    _, radii = inscribed.inscribed_balls(needle, np.array([[2 / 3, 0]]))
    assert radii[0] == pytest.approx(sine / (1 + sine), rel=1e-6)


# Other libraries


def test_arrow_tables_hold_the_columns(found):
    table = found.to_arrow()
    assert table.num_rows == len(found)
    assert [bytes(p) for p in table["pattern"].to_pylist()] == [p.tobytes() for p in found.patterns]
    for name, column in {
        "A": found.A,
        "b": found.b,
        "interior_point": found.interior_points,
        "volume": found.volumes,
    }.items():
        assert table[name].to_pylist() == column.tolist()
    assert table["vertices"].to_pylist() == [v.tolist() for v in found.vertices]
    pairs = {(i, j) for i, row in enumerate(table["neighbours"].to_pylist()) for j in row}
    assert pairs == {pair for i, j in found.neighbours.tolist() for pair in ((i, j), (j, i))}
    assert table.schema.metadata[b"network"].decode() == found.net.digest
    assert table.schema.metadata[b"status"] == b"complete"


def test_graphs_have_a_node_a_region_and_an_edge_a_facet(found):
    import networkx

    graph = found.to_networkx()
    assert networkx.is_connected(graph)
    assert [volume for _, volume in graph.nodes(data="volume")] == found.volumes.tolist()
    flips = {(min(i, j), max(i, j)): neurons for i, j, neurons in graph.edges(data="flips")}
    assert flips == {tuple(p): f.tolist() for p, f in zip(found.neighbours.tolist(), found.flips)}


def test_polygons_have_the_areas_of_their_regions_and_tile_the_domain():
    import shapely

    found = regions_of("3-D, seed 0, Plane")
    polygons = found.to_shapely()
    np.testing.assert_allclose(shapely.area(polygons), found.volumes)
    assert shapely.is_valid(polygons).all() and shapely.is_ccw(shapely.get_exterior_ring(polygons)).all()
    assert shapely.area(shapely.union_all(polygons, grid_size=1e-9)) == pytest.approx(found.volumes.sum())
    with pytest.raises(ValueError, match="3 dimensions; polygons have 2"):
        regions_of("3-D, seed 0, Box").to_shapely()


@pytest.mark.parametrize(
    ("method", "library"), [("to_arrow", "pyarrow"), ("to_networkx", "networkx"), ("to_shapely", "shapely")]
)
def test_without_the_library_the_error_says_what_to_install(method, library, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ImportError, match=f"needs {library}: pip install {library}"):
        getattr(square(), method)()


# Files


def test_what_is_saved_comes_back_equal(found, tmp_path):
    found.save(tmp_path / "regions.npz")
    again = fl.Regions.load(tmp_path / "regions.npz")
    assert again == found and again.net == found.net and again.domain == found.domain
    assert repr(again) == repr(found)
    assert [p.name for p in tmp_path.iterdir()] == ["regions.npz"]
    assert pickle.loads(pickle.dumps(found)) == found


def test_parts_and_float32_networks_come_back_too(tmp_path, dtype):
    net = network(*networks.random_network(3, (2, 9, 9, 1), dtype), dtype)
    part = fl.regions(net, fl.Box(-1, 1, n_in=2), max_regions=5)
    for regions in (part, *fl.iter_regions(net, fl.Box(-1, 1, n_in=2), chunk=7)):
        regions.save(str(tmp_path / "regions.npz"))
        again = fl.Regions.load(str(tmp_path / "regions.npz"))
        assert again == regions and again.status == regions.status and again.net.dtype == dtype
    assert part != regions and part != 5


def test_different_regions_are_not_equal():
    one, net = square(), square().net
    assert one == square()
    assert one != fl.regions(net, fl.Box(-1, 2, n_in=2))
    assert one != fl.regions(net, fl.Ball([0, 0], 1))
    assert one != fl.regions(net, fl.Box(-1, 1, n_in=2), max_regions=3)
    assert one != fl.regions(fl.Network([(net.weights[0], None), ([[1.0, 1.0]], None)]), one.domain)


def test_a_row_has_the_columns_of_its_region(found):
    rows = list(found)
    assert len(rows) == len(found)
    for i, row in enumerate(rows):
        for name, column in (("A", found.A), ("b", found.b), ("pattern", found.patterns)):
            np.testing.assert_array_equal(getattr(row, name), column[i])
        np.testing.assert_array_equal(row.interior_point, found.interior_points[i])
        np.testing.assert_array_equal(row.vertices, found.vertices[i])
        np.testing.assert_equal(row.volume, found.volumes[i])
    np.testing.assert_array_equal(found[-1].A, found.A[-1])
    with pytest.raises(IndexError, match=f"there are {len(found)}, from 0"):
        found[len(found)]
    with pytest.raises(TypeError, match="wanted the number of a row"):
        found["A"]


def test_results_are_frozen():
    regions = square()
    with pytest.raises(AttributeError, match="frozen"):
        regions.A = 0
    for array in (
        *(regions.patterns, regions.A, regions.vertices[0], regions.half_spaces.G, regions.flips[0]),
        *(regions.jumps.A, regions.inscribed_balls.radii, regions.half_spaces.neurons[0]),
    ):
        assert not array.flags.writeable


def saved(regions, tmp_path):
    path = tmp_path / "regions.npz"
    regions.save(path)
    return path


def refused(path, match=None):
    with pytest.raises(FormatError, match=match) as caught:
        fl.Regions.load(path)
    assert str(path) in str(caught.value)


def test_a_truncated_or_damaged_file_is_refused_or_read_whole(tmp_path):
    path = saved(square(), tmp_path)
    whole = path.read_bytes()
    for length in range(0, len(whole), 97):
        path.write_bytes(whole[:length])
        refused(path)
    rng = np.random.default_rng(0)
    for at in rng.integers(0, len(whole), 150):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << rng.integers(8)]) + whole[at + 1 :])
        try:
            assert len(fl.Regions.load(path)) == 4
        except FormatError as error:
            assert str(path) in str(error)


CHANGES = {
    "lacks volumes": {"volumes": None},
    "lacks .*status": {"status": None},
    "status is 'done'; wanted complete or limit": {"status": np.frombuffer(b"done", np.uint8)},
    r"A has dtype float64 and shape \(4, 1, 3\); wanted float64 and \(4, 1, 2\)": {"A": np.zeros((4, 1, 3))},
    "b has dtype float32": {"b": np.zeros((4, 1), np.float32)},
    r"patterns has dtype uint8 and shape \(\)": {"patterns": np.array(1, np.uint8)},
    "vertex_starts do not go": {"vertex_starts": np.array([0, 8, 4, 12, 16])},
    "neighbours are 0 to 4; there are 4 regions": {"neighbours": np.array([[0, 4]])},
    "volumes has dtype object": {"volumes": np.array([{}] * 4)},
    "has 2 domains": {"Ball.radius": np.array(1.0)},
    "has 0 domains": {"Box.low": None, "Box.high": None},
    "the box is empty or flat": {"Box.low": np.array([-1.0, 1])},
    "the domain has 3 inputs": {"Box.low": np.zeros(3), "Box.high": np.ones(3)},
    "missing 1 required positional argument": {"Box.high": None},
    "unexpected keyword": {"Box.extent": np.ones(2)},
    "wanted the keys W0": {"W0": None},
    "a member 'W0.x.npy'": {"W0.x": np.ones(2)},
    "a member '__class__.npy'": {"__class__": np.ones(2)},
}


@pytest.mark.parametrize("message", CHANGES)
def test_a_file_that_contradicts_itself_is_one_clear_error(message, tmp_path):
    path = saved(square(), tmp_path)
    with np.load(path) as file:
        arrays = dict(file)
    arrays |= CHANGES[message]
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    refused(path, message)


def test_another_archive_is_refused(tmp_path):
    path = tmp_path / "net.npz"
    square().net.save(path)
    refused(path, "lacks patterns")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("patterns.npy", b"no array")
    refused(path, "not a NumPy array")


def test_a_failed_save_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = saved(square(), tmp_path)
    before = path.read_bytes()

    def fail(file, **arrays):
        file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez", fail)
    with pytest.raises(OSError, match="disk full"):
        square().save(path)
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_regions_without_volumes_equal_themselves(tmp_path):
    net = fl.Network([(np.arange(16.0).reshape(2, 8) - 7.5, None), ([[1.0, 1.0]], None)])
    found = fl.regions(net, fl.Box(-1, 1, n_in=8))
    assert np.isnan(found.volumes).all() and found == found
    found.save(tmp_path / "regions.npz")
    assert fl.Regions.load(tmp_path / "regions.npz") == found


def test_a_domain_of_other_inputs_is_refused_before_it_is_made(tmp_path):
    path = tmp_path / "regions.npz"
    fl.regions(fl.Network([([[1.0, 2.0]], None)]), fl.Box(-1, 1, n_in=2)).save(path)
    arrays = dict(np.load(path))
    for name in [name for name in arrays if name.startswith("Box.")]:
        del arrays[name]
    np.savez(path, **arrays, **{"Box.low": -1.0, "Box.high": 1.0, "Box.n_in": 10**18})
    with pytest.raises(fl.errors.FormatError, match="n_in 1000000000000000000; the network has 2 inputs"):
        fl.Regions.load(path)
