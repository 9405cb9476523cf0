"""What `regions` says of each region, against the forward pass and against the laws of geometry."""

import itertools

import networks
import numpy as np
import pytest
from test_regions import integer_network, network

import foldline as fl

DOMAINS = {
    1: fl.Box(-1, 1, n_in=1),
    2: fl.Polytope([[-1, 0], [0, -1], [1, 2], [2, 1]], [0.5, 0.5, 2, 2]),
    3: fl.Box([-1, -0.5, 0], [1, 1, 2]),
    4: fl.Box(-0.5, 1, n_in=4),
}
VOLUMES = {1: 2, 2: 0.25 + 2 * 0.5 * (5 / 4 - 0.5 / 2 + 5 / 4) / 2, 3: 6, 4: 1.5**4}


@pytest.fixture(params=itertools.product((1, 2, 3, 4), range(3)), ids=lambda p: f"{p[0]}-D, seed {p[1]}")
def case(request):
    d, seed = request.param
    net = integer_network(seed, (d, 4, 3, 2), bias=seed != 2)
    return net, DOMAINS[d], fl.regions(net, DOMAINS[d])


def test_there_are_as_many_as_are_counted_each_once(case):
    net, domain, found = case
    assert len(found) == fl.count_regions(net, domain).count
    assert len(np.unique(found.patterns, axis=0)) == len(found)
    assert found.status == "complete"


def test_each_interior_point_has_the_pattern_and_the_map_gives_its_output(case):
    net, _, found = case
    points = found.interior_points
    np.testing.assert_array_equal(net.patterns(points, exact=True), found.patterns)
    mapped = np.einsum("roi,ri->ro", found.A, points) + found.b
    np.testing.assert_allclose(mapped, net(points), rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(found.region_of(points), np.arange(len(found)))


def test_the_map_continues_to_the_vertices(case):
    net, _, found = case
    for a, b, corners in zip(found.A, found.b, found.vertices):
        np.testing.assert_allclose(corners @ a.T + b, net(corners), rtol=1e-9, atol=1e-9)


def test_volumes_add_up_to_the_domain(case):
    net, domain, found = case
    whole = fl.regions(network(*networks.AFFINE), domain) if net.n_in == 2 else None
    expected = whole.volumes.sum() if whole else VOLUMES[net.n_in]
    assert found.volumes.sum() == pytest.approx(expected, rel=1e-12)
    assert (found.volumes > 0).all()


def test_neighbours_have_one_map_on_their_common_facet(case):
    net, _, found = case
    for i, j in found.neighbours:
        assert i < j
        shared = {tuple(v) for v in found.vertices[i]} & {tuple(v) for v in found.vertices[j]}
        assert len(shared) >= net.n_in
        corners = np.array(sorted(shared))
        np.testing.assert_allclose(
            corners @ found.A[i].T + found.b[i], corners @ found.A[j].T + found.b[j], rtol=1e-9, atol=1e-9
        )


def test_all_regions_hang_together(case):
    _, _, found = case
    reached, edges = {0}, found.neighbours.tolist()
    for _ in range(len(found)):
        reached |= {b for a, b in edges if a in reached} | {a for a, b in edges if b in reached}
    assert len(reached) == len(found)


def test_the_plane_obeys_euler():
    net = integer_network(5, (2, 6, 4, 1))
    found = fl.regions(net, fl.Box(-1, 1, n_in=2))
    shoelace = [
        0.5 * np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y) for x, y in (v.T for v in found.vertices)
    ]
    np.testing.assert_allclose(shoelace, found.volumes, rtol=1e-12)
    corners = {tuple(v) for vertices in found.vertices for v in vertices}
    inner = len(found.neighbours)
    sides = sum(len(v) for v in found.vertices)
    assert len(corners) - (sides - inner) + len(found) == 1


def test_chunks_are_the_same_regions_in_the_same_order():
    net, box = integer_network(1, (2, 6, 4, 1)), fl.Box(-1, 1, n_in=2)
    whole = fl.regions(net, box)
    for chunk in (1, 7, len(whole), 10**6):
        parts = list(fl.iter_regions(net, box, chunk=chunk))
        assert all(len(part) <= chunk for part in parts)
        for name in ("patterns", "A", "b", "volumes", "interior_points"):
            joined = np.concatenate([getattr(part, name) for part in parts])
            np.testing.assert_array_equal(joined, getattr(whole, name))


def test_a_limit_and_bad_arguments_are_told():
    net, box = integer_network(1, (2, 6, 4, 1)), fl.Box(-1, 1, n_in=2)
    part = fl.regions(net, box, max_regions=3)
    assert (len(part), part.status) == (3, "limit")
    assert part.region_of(fl.regions(net, box).interior_points).tolist()[:5] == [0, 1, 2, -1, -1]
    with pytest.raises(ValueError, match="max_regions is 0"):
        fl.regions(net, box, max_regions=0)
    with pytest.raises(ValueError, match="chunk is 0"):
        fl.iter_regions(net, box, chunk=0)
    with pytest.raises(ValueError, match="all of space"):
        fl.regions(net, fl.Space(2))
    with pytest.raises(TypeError, match="wanted a Network"):
        fl.regions(None, box)


def test_a_vertex_where_more_facets_meet_is_one():
    net = fl.Network([([[1.0, -1.0, -1.0], [0.0, -1.0, 0.0]], None), ([[1.0, 1.0]], None)])
    box = fl.Box(-1, 3, n_in=3)
    found, exact = fl.regions(net, box), fl.regions(net, box, engine="exact")
    for ours, theirs in zip(found.vertices, exact.vertices):
        assert len(ours) == len(theirs)
        assert np.array_equal(np.unique(ours, axis=0), np.unique(theirs, axis=0))


def test_a_half_space_that_is_all_of_space_changes_nothing():
    net = fl.Network([([[1.0, -1.0]], None), ([[1.0]], None)])
    a, b = [[1, 0], [0, 1], [-1, 0], [0, -1], [0, 0]], [1, 1, 1, 1]
    for last in (0, 1):
        assert fl.count_regions(net, fl.Polytope(a, [*b, last])).count == 2
        assert fl.regions(net, fl.Polytope(a, [*b, last])).volumes.sum() == 4
    with pytest.raises(ValueError, match="empty or flat"):
        fl.count_regions(net, fl.Polytope(a, [*b, -1]))
