"""Two neurons without biases: ``y = v1 relu(w1.x) + v2 relu(w2.x)`` for x in the plane.

"Every case I write out by hand is linear. So is the network a linear regression?" No: each cone of
the plane has a linear formula, and each has its own.
"""

import numpy as np

from ..network import Network
from ..wording import Writer, input_names
from .prose import paragraph

__all__ = ["facts", "text"]

W = np.array([[1.0, 2.0], [3.0, -1.0]])
V = np.array([2.0, -1.0])


def facts():
    net = Network([(W, None), (V[None, :], None)])
    inside = _point_in_each_cone(W)
    maps, _ = net.local_affine(inside)
    active = W @ inside.T > 0
    cones = [
        {"active": on.tolist(), "interior_point": point.tolist(), "U": (u + 0.0).tolist()}
        for on, point, u in zip(active.T, inside, maps[:, 0, :])
    ]
    x = np.array([[1.0, 0.0], [-1.0, 0.0]])

    points = np.random.default_rng(0).uniform(-1, 1, (4000, 2))
    same_cone = (net.patterns(points) == net.patterns(inside[:1])).all(axis=1)
    mirrored, _ = Network([([W[0], -W[0]], None), ([[V[0], -V[0]]], None)]).local_affine(inside)
    return {
        "w": W.tolist(),
        "v": V.tolist(),
        "cones": cones,
        "linear": bool((maps == maps[0]).all()),
        "witness": {"points": x.tolist(), "outputs": net(x)[:, 0].tolist()},
        "regression_in_first_cone": _regression(net, points[same_cone]),
        "regression_in_the_plane": _regression(net, points),
        "mirrored_pair_is_linear": bool((mirrored == mirrored[0]).all()),
    }


def text(facts):
    writer = Writer(input_names(2))
    z1, z2 = (writer.formula(w) for w in facts["w"])
    outer = Writer([f"relu({z1})", f"relu({z2})"])
    why = ["v1 w1 + v2 w2", "v1 w1", "v2 w2", "0"]
    (x, minus_x), (y, minus_y) = facts["witness"]["points"], facts["witness"]["outputs"]
    cone, plane = facts["regression_in_first_cone"], facts["regression_in_the_plane"]
    lines = [
        "1. Is a ReLU network linear?",
        "",
        f"   y = {outer.formula(facts['v'])}      two neurons, no biases",
        "",
        "   Where both signs are fixed, relu is gone and y = U1 x1 + U2 x2. But the two",
        "   lines cut the plane into four cones, and each cone has a U of its own:",
        "",
        f"   {z1:>11}{z2:>12}    there",
    ]
    for cell, reason in zip(facts["cones"], why):
        first, second = (">  0" if on else "<= 0" for on in cell["active"])
        lines.append(f"   {first:>11}{second:>12}    y = {writer.formula(cell['U']):<14}U = {reason}")
    lines += [
        "",
        paragraph(f"""
            So it is not linear: y({_comma(x)}) = {y:g}, and if it were, y({_comma(minus_x)}) would
            be {-y:g}; it is {minus_y:g}. U = v w holds on each cone, with a U of its own. If all your
            data lie in one cone, the model is linear regression on those data: least squares on
            {cone["n_points"]:,} points of the first cone finds U = ({_comma(cone["U"])}), R2 =
            {cone["R2"]:.6f}; on {plane["n_points"]:,} points of the whole plane, R2 =
            {plane["R2"]:.2f}."""),
    ]
    if facts["mirrored_pair_is_linear"]:
        lines.append("   Only special weights are linear everywhere: relu(z) - relu(-z) = z.")
    return "\n".join(lines)


def _point_in_each_cone(w):
    """Points where w x has the signs ++, +-, -+, --; integers when the weights are."""
    signs = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]])
    return np.round(np.linalg.solve(w, signs.T).T * abs(np.linalg.det(w)), 9) + 0.0


def _regression(net, points):
    y = net(points)[:, 0]
    u = np.linalg.lstsq(points, y)[0]
    r2 = 1 - np.sum((y - points @ u) ** 2) / np.sum((y - y.mean()) ** 2)
    return {"n_points": len(points), "U": np.round(u, 9).tolist(), "R2": float(r2)}


def _comma(values):
    return ", ".join(f"{v:g}" for v in values)
