"""Networks whose answers are known, and networks made to be difficult.

Everything is a pair (layers, slopes): a list of (W, b) and an array of slopes for each hidden
layer, all in one dtype. The weights of the known families are dyadic, so both dtypes hold them
exactly. No builder here uses the product.
"""

from dataclasses import dataclass
from itertools import combinations, pairwise
from math import comb, factorial, prod

import numpy as np

DTYPES = (np.float32, np.float64)
# Around the lanes of each instruction set (4 to 16) and the block of points (64).
SIZES = (0, 1, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 127, 129)


def chain(*layers, slopes=None, dtype=np.float64):
    """(layers, slopes) from lists; ReLU where no slopes are given, zero where b is None."""
    arrays = []
    for w, b in layers:
        w = np.array(w, dtype, ndmin=2)
        arrays.append((w, np.zeros(len(w), dtype) if b is None else np.array(b, dtype)))
    widths = [len(b) for _, b in arrays[:-1]]
    slopes = [0] * len(widths) if slopes is None else slopes
    return arrays, [np.full(n, s, dtype) for n, s in zip(widths, slopes)]


def in_dtype(network, dtype):
    """The same network, rounded."""
    layers, slopes = network
    return [(w.astype(dtype), b.astype(dtype)) for w, b in layers], [s.astype(dtype) for s in slopes]


# Known families -----------------------------------------------------------------------------------


def arrangement(rows, offsets=None):
    """One hidden layer, ReLU of ``rows x + offsets``, summed: its folds are these hyperplanes."""
    return chain((rows, offsets), (np.ones((1, len(rows))), None))


def dyadic_parameters(n, at_most=1):
    """n distinct dyadic numbers in (0, at_most), at_most being a power of two."""
    return (np.arange(n) + 1.0) / 2 ** int(n).bit_length() * at_most


def moment_rows(n, d):
    """Rows (1, t, ..., t^(d-1)) of n hyperplanes in general position, and the biases t^d.

    They meet, d at a time, where the coordinates are elementary symmetric functions of -t: inside
    [-1, 1]^d, because every sum of d of these t is below 1.
    """
    t = dyadic_parameters(n, at_most=1 / 2 ** (d - 1).bit_length())
    return t[:, None] ** np.arange(d), t**d


def generic_affine(n, d):
    return arrangement(*moment_rows(n, d))


def generic_central(n, d):
    return arrangement(moment_rows(n, d)[0])


def grid(counts):
    """counts[i] parallel hyperplanes across axis i, all of them inside (-1, 1)."""
    rows, offsets = [], []
    for axis, count in enumerate(counts):
        for t in dyadic_parameters(count):
            rows.append(np.eye(len(counts))[axis])
            offsets.append(1 - 2 * t)
    return arrangement(rows, offsets)


def differences(n, signs=(-1,)):
    """Rows x_i + s x_j for i < j and every s in signs."""
    unit = np.eye(n)
    return [unit[i] + s * unit[j] for i, j in combinations(range(n), 2) for s in signs]


def braid(n, shifts=(0,)):
    """x_i - x_j in shifts, i < j. Shi: (0, 1/16); Catalan: (-1/16, 0, 1/16)."""
    rows = [row for row in differences(n) for _ in shifts]
    return arrangement(rows, [-s for _ in differences(n) for s in shifts])


def type_b(n):
    return arrangement([*differences(n, (1, -1)), *np.eye(n)])


def type_d(n):
    return arrangement(differences(n, (1, -1)))


def tent(n_layers):
    """The sawtooth: g(x) = 2 relu(x) - 4 relu(x - 1/2), n_layers times."""
    first, again = ([[1], [1]], [0, -0.5]), ([[2, -4], [2, -4]], [0, -0.5])
    return chain(first, *[again] * (n_layers - 1), ([[2, -4]], None))


def fold_then_cut(p, d, n_layers, n_cuts):
    """Every coordinate of (0, 1)^d folded p times, n_layers times over, then generic cuts.

    p is a power of two: on (0, 1), relu(p x) - 2 relu(p x - 1) + 2 relu(p x - 2) - ... goes to and
    fro p times.
    """
    spread = np.kron(np.eye(d), np.full((p, 1), float(p)))
    offsets = np.tile(-np.arange(float(p)), d)
    zigzag = np.array([[1.0] + [2.0 * (-1) ** k for k in range(1, p)]])
    gather = np.kron(np.eye(d), zigzag)
    rows, cut_offsets = unit_cube_cuts(n_cuts, d)
    middle = [(spread @ gather, offsets)] * (n_layers - 1)
    return chain((spread, offsets), *middle, (rows @ gather, cut_offsets), (np.ones((1, n_cuts)), None))


def unit_cube_cuts(n, d):
    """n generic hyperplanes through the middle part of (0, 1)^d."""
    rows, offsets = moment_rows(n, d)
    return rows, offsets / 4 - rows.sum(axis=1) / 2


def orthant_fold(rows, offsets):
    """abs of every coordinate, then the arrangement."""
    d = np.shape(rows)[1]
    return chain((np.eye(d), None), (rows, offsets), (np.ones((1, len(rows))), None), slopes=[-1, 0])


def sequential_max(n):
    """max(x_1, ..., x_n), one comparison a layer; pass-through units carry the rest along.

    The units of a layer are relu(m - x_i), x_i, x_(i+1), ..., x_n; the next m is x_i plus the first.
    """
    layers, slopes = [], []
    state = np.eye(n)  # rows that give m, x_2, ..., x_n from the units of the layer before
    for left in range(n - 1, 0, -1):
        layers.append((np.vstack([state[0] - state[1], state[1:]]), None))
        slopes.append(np.array([0.0] + [1.0] * left))
        state = np.zeros((left, left + 1))
        state[0, :2] = 1
        state[1:, 2:] = np.eye(left - 1)
    return chain(*layers, (state, None), slopes=slopes)


def sequential_max_of_relus(n):
    """The same, where a value x is carried along as relu(x) - relu(-x): those neurons fold too."""
    layers, slopes = sequential_max(n)
    split, join = [], np.eye(n)
    for (w, _), slope in zip(layers, slopes):
        rows, columns = [], []
        for j, s in enumerate(slope):
            unit = np.eye(len(slope))[:, j]
            rows += [unit] if s == 0 else [unit, -unit]
            columns += [unit] if s == 0 else [unit, -unit]
        split.append((np.array(rows) @ w @ join, None))
        join = np.array(columns).T
    return chain(*split, (layers[-1][0] @ join, None))


def two_neurons(w1, w2, v):
    """y = v1 relu(w1.x) + v2 relu(w2.x), without biases."""
    return chain(([w1, w2], None), ([v], None))


# Definitions told apart, in the order of the table.
MAX_MIN = chain(([[1, 0], [0, 1], [0, -1]], None), ([[1, 0, 0], [1, -1, 1]], None), ([[-1, 1]], None))
THREE_RIDGES = chain(([[1, 0], [0, 1], [1, 1]], None), ([[1, 1, -1]], None))
HAT = chain(([[1], [1], [1]], [0, -1, -2]), ([[1, -2, 1]], None))
MIN_OF_RELUS = chain(([[1, 0], [0, 1]], None), ([[1, 0], [1, -1]], None), ([[1, -1]], None))
IDENTITY = chain(([[1], [-1]], None), ([[1, -1]], None))

# Networks that are easily counted wrong.
ABSOLUTE = chain(([[1], [-1]], None), ([[1, 1]], None))
DOUBLED = chain(([[1, 2], [1, 2], [3, -1]], [0, 0, 1]), ([[1, 1, 1]], None))
SLAB = chain(([[1], [1]], [0, -(2.0**-26)]), ([[1, -1]], None))
NESTED_DIFFERENCE = chain(([[1], [-1]], None), ([[1, -1]], None), ([[1]], None))
NESTED = chain(([[1]], None), ([[1]], None), ([[1]], None))
DEAD = chain(([[1, 0], [0, 0], [0, 0]], [0, -1, 0]), ([[1, 1, 1]], [0.5]))
ALL_ZERO = chain((np.zeros((9, 3)), None), (np.zeros((5, 9)), None), (np.zeros((2, 5)), None))
NO_FOLDS = chain(([[1, 2], [3, 4], [5, 6]], [1, 0, -1]), ([[1, 1, 1]], None), slopes=[1])
AFFINE = chain(([[1, -2], [0.5, 0.25]], [1, 0]))


@dataclass(frozen=True)
class Known:
    """A network and its numbers of regions on the open box (low, high)^n_in, None where not listed.

    sampled: a few thousand uniform points of the box meet every region.
    """

    name: str
    network: tuple
    activation: int
    linear: int | None = None
    affine: int | None = None
    low: float = -1
    high: float = 1
    sampled: bool = True

    @property
    def n_in(self):
        return self.network[0][0][0].shape[1]

    def grid(self, dtype, steps=8):
        """Points of the box on a dyadic grid, many of them exactly on folds."""
        axis = np.linspace(self.low, self.high, steps + 1, dtype=dtype)
        return np.stack(np.meshgrid(*[axis] * self.n_in, indexing="ij"), axis=-1).reshape(-1, self.n_in)

    def points(self, n_points, dtype, seed=0):
        """Uniform random points of the box."""
        rng = np.random.default_rng(seed)
        return rng.uniform(self.low, self.high, (n_points, self.n_in)).astype(dtype)


def _catalan(n):
    return comb(2 * n, n) // (n + 1)


KNOWN = (
    *(
        Known(f"generic affine {n} in R^{d}", generic_affine(n, d), count, sampled=False)
        for (n, d), count in {(5, 2): 16, (8, 2): 37, (6, 3): 42, (7, 3): 64, (6, 4): 57}.items()
    ),
    *(
        Known(f"generic central {n} in R^{d}", generic_central(n, d), count, sampled=False)
        for (n, d), count in {(5, 2): 10, (5, 3): 22, (7, 3): 44, (6, 4): 52}.items()
    ),
    *(Known(f"grid {k}", grid(k), prod(i + 1 for i in k)) for k in [(2, 3), (2, 2, 2)]),
    *(Known(f"braid {n}", braid(n), factorial(n)) for n in (2, 3, 4, 5)),
    *(Known(f"type B {n}", type_b(n), 2**n * factorial(n)) for n in (2, 3, 4)),
    *(Known(f"type D {n}", type_d(n), 2 ** (n - 1) * factorial(n)) for n in (3, 4)),
    *(Known(f"Shi {n}", braid(n, (0, 1 / 16)), (n + 1) ** (n - 1), sampled=n < 3) for n in (2, 3, 4)),
    *(
        Known(f"Catalan {n}", braid(n, (-1 / 16, 0, 1 / 16)), factorial(n) * _catalan(n), sampled=n < 3)
        for n in (2, 3, 4)
    ),
    *(Known(f"tent^{n}", tent(n), 2**n, 2**n, low=0) for n in (1, 2, 3, 6)),
    Known("fold then cut", fold_then_cut(2, 2, 2, 3), 16 * 7, low=0, sampled=False),
    Known("orthant fold", orthant_fold(*unit_cube_cuts(3, 2)), 4 * 7, sampled=False),
    *(Known(f"sequential max of {n}", sequential_max(n), 2 ** (n - 1), n, n) for n in (2, 3, 4, 5)),
    *(
        Known(f"maximum of {n}, only ReLU", sequential_max_of_relus(n), (3**n - 1) // 2, n, n, sampled=n < 5)
        for n in (2, 3, 4, 5)
    ),
    Known("max of minus y and min(0, -x)", MAX_MIN, 5, 3, 3),
    Known("three ridges", THREE_RIDGES, 6, 6, 5),
    Known("hat", HAT, 4, 4, 3, low=-1, high=3),
    Known("min of two relus", MIN_OF_RELUS, 5, 3, 3),
    Known("relu(x) - relu(-x)", IDENTITY, 2, 1, 1),
    Known("two neurons, independent", two_neurons([1, 2], [-1, 1], [1, 1]), 4, 4, 4),
    Known("two neurons, same direction", two_neurons([1, 2], [2, 4], [1, 1]), 2, 2, 2),
    Known("two neurons, same direction, cancelling", two_neurons([1, 2], [2, 4], [2, -1]), 2, 1, 1),
    Known("two neurons, opposite", two_neurons([1, 2], [-2, -4], [1, 1]), 2, 2, 2),
    Known("two neurons, opposite, cancelling", two_neurons([1, 2], [-2, -4], [2, -1]), 2, 1, 1),
    Known("two neurons, one dead", two_neurons([1, 2], [0, 0], [1, 1]), 2, 2, 2),
    Known("two neurons, both dead", two_neurons([0, 0], [0, 0], [1, 1]), 1, 1, 1),
    Known("|x| as two relus", ABSOLUTE, 2, 2, 2),
    Known("a doubled neuron", DOUBLED, 4, 4, 4),
    Known("relu(relu(x) - relu(-x))", NESTED_DIFFERENCE, 2, 2, 2),
    Known("relu(relu(x))", NESTED, 2, 2, 2),
    Known("a slab 2^-26 wide", SLAB, 3, 3, 3, low=-(2.0**-20), high=2.0**-20),
    Known("dead neurons", DEAD, 2, 2, 2),
    Known("all weights zero", ALL_ZERO, 1, 1, 1),
    Known("no folds", NO_FOLDS, 1, 1, 1),
    Known("no hidden layer", AFFINE, 1, 1, 1),
)


# Random networks ----------------------------------------------------------------------------------


def random_network(seed, widths, dtype=np.float64, slopes="mixed", scale=1.0, bias=0.5):
    """Normal weights that keep activations near `scale`, for widths (n_in, hidden ..., n_out).

    slopes: a number, or "mixed" for each unit's own of 0 (half of them), 0.01, -1 and 1.
    """
    rng = np.random.default_rng(seed)
    layers = []
    for n_in, n_out in pairwise(widths):
        gain = scale if not layers else 1.0
        w = rng.standard_normal((n_out, n_in)) * gain * np.sqrt(2 / n_in)
        layers.append((w.astype(dtype), (bias * scale * rng.standard_normal(n_out)).astype(dtype)))
    if slopes == "mixed":
        folds = [rng.choice([0, 0, 0, 0.01, -1, 1], n).astype(dtype) for n in widths[1:-1]]
    else:
        folds = [np.full(n, slopes, dtype) for n in widths[1:-1]]
    return layers, folds


def random_points(seed, n_points, n_in, dtype=np.float64, scale=1.0):
    return (scale * np.random.default_rng(seed).standard_normal((n_points, n_in))).astype(dtype)


# Hidden widths around the tiles of the kernels, narrow, wide and deep: (n_in, hidden ..., n_out).
SHAPES = (
    (1, 1),
    (3, 2),
    (1, 1, 1),
    (2, 7, 1),
    (2, 16, 16, 1),
    (5, 9, 8, 7, 3),
    (17, 33, 2),
    (2, 64, 65, 1),
    (3, 1, 50, 1, 4),
    (1, 300, 1),
    (31, 13, 6, 12, 11, 5, 4, 3, 10),
    (4, 5, 5, 5, 5, 5, 5, 5, 5, 2),
)


def with_dead_and_doubled_units(seed, widths, dtype=np.float64):
    """A random network in which some units are 0 everywhere and some appear twice."""
    layers, slopes = random_network(seed, widths, dtype)
    rng = np.random.default_rng(seed)
    for (w, b), slope in zip(layers, slopes):
        n = len(b)
        for dead in rng.integers(n, size=1 + n // 4):
            w[dead], b[dead] = 0, 0
        for copy, original in rng.integers(n, size=(1 + n // 4, 2)):
            w[copy], b[copy], slope[copy] = w[original], b[original], slope[original]
    return layers, slopes


def cancelling(seed, widths, dtype=np.float64):
    """Integer weights without biases, each row followed by its negative: on the fold everywhere."""
    rng = np.random.default_rng(seed)
    layers = []
    for n_in, n_out in pairwise(widths):
        half = rng.integers(-3, 4, size=((n_out + 1) // 2, n_in))
        layers.append((np.vstack([half, -half])[:n_out], None))
    return chain(*layers, dtype=dtype)


def degenerate(rng):
    """Small integers, most neurons with a mirror image, many of which cancel."""
    d, n_layers = int(rng.integers(1, 4)), int(rng.integers(1, 4))
    widths = [d, *rng.integers(1, 6, n_layers), int(rng.integers(1, 3))]
    layers, slopes = [], []
    for i, (n, m) in enumerate(zip(widths, widths[1:])):
        w, b = rng.integers(-2, 3, (m, n)).astype(float), 1.0 * rng.integers(-1, 2, m) * rng.integers(0, 2, m)
        layers.append((w, b))
        if i < n_layers:
            slopes.append(rng.choice([0, 0, 0, -1, 1, 0.5], m) if rng.random() < 0.4 else np.zeros(m))
    for i in range(n_layers):
        k = widths[i + 1] // 2
        if k and rng.random() < 0.7:
            (w, b), above, size = layers[i], layers[i + 1][0], rng.choice([-1, 1, 2], k)
            w[-k:], b[-k:], slopes[i][-k:] = w[:k] * size[:, None], b[:k] * size, slopes[i][:k]
            above[:, :k] *= 2
            if rng.random() < 0.8:
                above[:, -k:] = -above[:, :k] / abs(size)
    return layers, slopes


def difficult(dtype):
    """{name: (network, scale of its points)}: every scale and degeneracy that has a name."""
    info = np.finfo(dtype)
    biases_only = chain((np.zeros((9, 3)), np.arange(9) - 4), (np.ones((2, 9)), None))
    small, subnormal, huge = 1e-12, float(info.tiny) * 4, float(np.sqrt(info.max)) / 64
    widths = (3, 9, 17, 2)
    return {
        "weights of 1e-12": (random_network(1, widths, dtype, scale=small), 1.0),
        "weights of 1e30": (random_network(2, widths, dtype, scale=1e30), 1.0),
        "points of 1e-12": (random_network(3, widths, dtype, bias=0), 1e-12),
        "points of 1e30": (random_network(4, widths, dtype), 1e30),
        "subnormal sums": (random_network(5, widths, dtype, scale=subnormal), 2.0**-6),
        "subnormal points": (random_network(6, widths, dtype, bias=0), float(info.smallest_subnormal) * 50),
        "huge weights, tiny points": (random_network(7, widths, dtype, scale=huge, bias=0), 1 / huge),
        "dead and doubled units": (with_dead_and_doubled_units(8, (3, 9, 17, 8, 2), dtype), 1.0),
        "biases only": (in_dtype(biases_only, dtype), 1.0),
        "all weights zero": (in_dtype(ALL_ZERO, dtype), 1.0),
        "cancelling rows": (cancelling(9, (3, 8, 9, 4, 1), dtype), 1.0),
        "pass-through only": (random_network(10, (3, 5, 5, 2), dtype, slopes=1), 1.0),
        "absolute values": (random_network(11, (3, 5, 5, 2), dtype, slopes=-1), 1.0),
        "steep slopes": (random_network(12, (3, 9, 9, 2), dtype, slopes=-3), 1.0),
    }


def overflowing(dtype):
    """Finite weights whose sums leave the range of the dtype in every layer but the first."""
    big = float(np.finfo(dtype).max) / 4
    layers, slopes = random_network(13, (3, 9, 9, 9, 2), dtype)
    return [layers[0], *((w * dtype(big / 8), b) for w, b in layers[1:])], slopes
