"""The largest ball inside each region."""

from typing import NamedTuple

import numpy as np

__all__ = ["InscribedBalls", "inscribed_balls"]

_FLAT = 1e-12


class InscribedBalls(NamedTuple):
    """A largest ball (2-norm) inside each region; where several are as large, one of them.

    Attributes
    ----------
    centers : ndarray of float64, shape (n_regions, dimension)
    radii : ndarray of float64, shape (n_regions,)
        The least distance of the centre from a facet.
    """

    centers: np.ndarray
    radii: np.ndarray


def inscribed_balls(half_spaces, interior_points):
    """The `InscribedBalls` of bounded cells, from their `HalfSpaces` and a point inside each."""
    centers, radii = np.empty_like(interior_points), np.empty(len(interior_points))
    starts = half_spaces.starts
    for i, (start, stop) in enumerate(zip(starts, starts[1:])):
        G, h = half_spaces.G[start:stop], half_spaces.h[start:stop]
        centers[i] = _center(G, h, interior_points[i])
        radii[i] = (h - G @ centers[i]).min()
    centers.flags.writeable = radii.flags.writeable = False
    return InscribedBalls(centers, radii)


def _center(G, h, start):
    """Maximise r under G c + r <= h, by an active-set method from a point inside.

    It walks up the projection of the r axis on the constraints that hold with equality, until the
    next one does; where nothing goes up, a constraint with a negative multiplier is let go, the first
    one (Bland), which does not cycle. Any point is valid, with the radius that is measured there: a
    step that only rounding suggests, and that makes it smaller, is not taken.
    """
    rows = np.concatenate([G, np.ones((len(h), 1))], axis=1)
    up = np.zeros(rows.shape[1])
    up[-1] = 1.0
    center, radius = start, (h - G @ start).min()
    tight = []
    for _ in range(50 * len(h)):
        direction, multipliers = _projected(up, rows[tight])
        length = np.linalg.norm(direction)
        if length < _FLAT:
            released = [j for j, m in zip(tight, multipliers) if m < -_FLAT]
            if not released:
                break
            tight.remove(min(released))
            continue
        # Once more, since what is left of a short one is rounding (Kahan's "twice is enough").
        direction, _ = _projected(direction / length, rows[tight])
        speed = rows @ direction
        speed[tight] = 0
        ahead = np.flatnonzero(speed > _FLAT)
        if not len(ahead):
            break
        steps = np.maximum(h - G @ center - radius, 0.0)[ahead] / speed[ahead]
        nearest = int(np.argmin(steps))
        next_center = center + steps[nearest] * direction[:-1]
        next_radius = (h - G @ next_center).min()
        if next_radius >= radius:
            center, radius = next_center, next_radius
        tight.append(int(ahead[nearest]))
    return center


def _projected(vector, rows):
    """The vector without its part in the span of the rows, and that part's coefficients."""
    if not len(rows):
        return vector, np.empty(0)
    coefficients = np.linalg.lstsq(rows.T, vector, rcond=None)[0]
    return vector - rows.T @ coefficients, coefficients
