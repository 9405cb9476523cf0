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
    one (Bland), which does not cycle. Steps that only rounding suggests end it: any point is valid,
    the radius is measured there.
    """
    rows = np.concatenate([G, np.ones((len(h), 1))], axis=1)
    up = np.zeros(rows.shape[1])
    up[-1] = 1.0
    at = np.append(start, (h - G @ start).min())
    tight = []
    for _ in range(50 * len(h)):
        multipliers = np.linalg.lstsq(rows[tight].T, up, rcond=None)[0] if tight else np.empty(0)
        direction = up - rows[tight].T @ multipliers
        if direction[-1] < _FLAT:  # |direction|^2
            released = [j for j, m in zip(tight, multipliers) if m < -_FLAT]
            if not released:
                break
            tight.remove(min(released))
            continue
        speed = rows @ direction
        speed[tight] = 0
        ahead = np.flatnonzero(speed > _FLAT)
        steps = (h - rows @ at)[ahead] / speed[ahead]
        nearest = int(np.argmin(steps))
        at = at + max(steps[nearest], 0.0) * direction
        tight.append(int(ahead[nearest]))
    return at[:-1]
