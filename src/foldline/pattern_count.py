"""What a sample of patterns says of the number of regions."""

import math
from typing import NamedTuple

from .wording import counted

__all__ = ["PatternCount"]

_CONFIDENCE = 0.95
# Shares of the points, at most 1/2, and values of s, among which `coverage_lower` finds its m and s.
_LEFT_OUT = tuple(2.0**-k for k in (1, 3, 5, 7, 9))
_TILTS = tuple(2.0 * 4.0**-k for k in range(7))


class PatternCount(NamedTuple):
    """What `count_patterns` found. Frozen; two of the same sample are equal to the bit.

    Attributes
    ----------
    distinct : int
        Number of different patterns seen: with certain bits, a lower bound on the number of activation
        regions, never a count of them. A sketch estimates how many the sample has.
    n_points : int
        Points looked at; of a sample of lines, the pieces that they were cut into.
    singletons, doubletons : int
        Patterns seen exactly once, exactly twice.
    pairs : int
        The sum of ``n (n - 1)`` over the times n that each pattern was seen.
    standard_error : float
        Of `distinct`, relative to it, where a sketch estimates it; 0 where it is exact.
    of : {"points", "Sobol points", "pieces"}
    loss : str
        Why not all points that were asked for were looked at, where workers were lost; else empty.
    status : str
        "complete", or "limit" where there was a loss: all is true of the `n_points` points then.

    Notes
    -----
    From the counts follow `coverage`, `coverage_lower`, `chao1_lower`, `inverse_simpson` and `saturated`.
    """

    distinct: int
    n_points: int
    singletons: int
    doubletons: int
    pairs: int
    standard_error: float = 0.0
    of: str = "points"
    loss: str = ""

    @property
    def status(self):
        return "limit" if self.loss else "complete"

    @property
    def coverage(self):
        """Good and Turing's estimate ``1 - singletons / n_points`` of the share of volume (for lines: of
        further pieces) whose patterns were seen (I. J. Good, Biometrika 40, 1953); NaN without points."""
        return 1 - self.singletons / self.n_points if self.n_points else float("nan")

    @property
    def coverage_lower(self):
        """What `coverage` stands for is at least this, with 95% confidence, if the points are independent: of
        any distribution, however many regions there are. 0 where nothing is sure: too few points, pieces of
        lines and points of a Sobol sequence, which are not independent, and the estimates of a sketch.

        Notes
        -----
        Leave m of the points out: T of them have patterns that the others lack. Given the others, T is
        binomial, with a probability that is at least M, the share that all points leave unseen. So
        ``E[exp(-s T) (1 - (1 - exp(-s)) M)**-m] <= 1`` for all s > 0; also in the mean over which m points
        they are, where ``exp(-s T)`` becomes at least ``exp(-s t)`` with t the mean of T. Markov's inequality
        then gives ``M <= (1 - exp(-(log(1 / d) + s t) / m)) / (1 - exp(-s))`` with confidence 1 - d. This is
        the smallest for some m and s, which share d. Where few patterns were seen once it is far below the
        bound ``singletons / n + (2 sqrt(2) + sqrt(3)) sqrt(log(3 / d) / n)`` of D. McAllester and R. Schapire
        (On the convergence rate of Good-Turing estimators, COLT 2000).
        """
        if self.standard_error or self.of != "points":
            return 0.0
        once, twice = self.singletons, self.doubletons
        doubt = math.log(len(_LEFT_OUT) * len(_TILTS) / (1 - _CONFIDENCE))
        missing = 1.0
        for share in _LEFT_OUT:
            m = math.floor(share * self.n_points)
            # All k points of a pattern are among the m with probability at most share**k, and
            # k share**k <= 3 share**3 from k = 3 on.
            t = share * once + 2 * share**2 * twice + 3 * share**3 * (self.distinct - once - twice)
            for s in _TILTS if m else ():
                missing = min(missing, math.expm1(-(doubt + s * t) / m) / math.expm1(-s))
        return 1 - missing

    @property
    def chao1_lower(self):
        """Estimate of a lower bound on the number of regions that a sample like this could ever show, not of
        their number (A. Chao, Scand. J. Statist. 11, 1984; the bias-corrected form)."""
        n, once, twice = self.n_points, self.singletons, self.doubletons
        return self.distinct + (n - 1) / n * once * (once - 1) / (2 * (twice + 1)) if n else 0.0

    @property
    def inverse_simpson(self):
        """The number of regions of equal volume in which two points share a region as often as here (E. H.
        Simpson, Nature 163, 1949); infinite where no two did, NaN for fewer than two points."""
        if self.n_points < 2:
            return float("nan")
        return self.n_points * (self.n_points - 1) / self.pairs if self.pairs else float("inf")

    @property
    def saturated(self):
        """Whether the sample's size, not the network, sets the number: most points have a region of their
        own, and twice as many would show about twice as many."""
        return 2 * self.singletons > self.n_points

    def __repr__(self):
        return (
            f"PatternCount(distinct={self.distinct}, n_points={self.n_points}, "
            f"singletons={self.singletons}, coverage={self.coverage:.6g}"
            + (f", loss={self.loss!r})" if self.loss else ")")
        )

    def __str__(self):
        """Sentences for a person."""
        lost = [f"Not all {self.of} were looked at: {self.loss}."] if self.loss else []
        if not self.n_points:
            return "\n".join(["No points: nothing is known.", *lost])
        about = counted(self.distinct, "distinct pattern")
        if self.standard_error:
            about = f"about {self.distinct:,} (± {self.standard_error:.1%}) distinct patterns"
        lines = [
            f"{about} among {counted(self.n_points, self.of[:-1])}, {self.singletons:,} seen once.",
            "This is a lower bound on the number of regions, never a count of them.",
        ]
        if self.saturated:
            lines.append(
                f"Most {self.of} fell in a region of their own: the number says how large the sample is,\n"
                "not how many regions there are."
            )
        else:
            lines.append(self._coverage_sentence())
        chao = math.floor(self.chao1_lower)
        if chao > 1.005 * self.distinct and self.of == "points" and not self.saturated:
            lines.append(f"There seem to be {chao:,} or more (Chao's lower bound, an estimate).")
        return "\n".join(lines + lost)

    def _coverage_sentence(self):
        if self.of != "points" or self.standard_error:
            what = "further pieces are" if self.of == "pieces" else "the volume is"
            share = _share(min(self.coverage, 1 - 1 / self.n_points))  # finer than 1 / n it cannot tell
            about = f"About {share} of {what} in a region seen here: an estimate, without a bound."
            if self.of == "Sobol points":
                about += "\nSobol points are not independent, so no confidence is given."
            return about
        if not self.coverage_lower:
            return "They are too few to say how much of the volume is in a region seen here."
        return (
            f"At least {_share(self.coverage_lower)} of the volume is in a region seen here: with "
            f"{_CONFIDENCE:.0%} confidence,\nif the points are independent and uniform."
        )


def _share(x):
    """A percentage, rounded down, so that it does not say 100% of what is less."""
    return f"{min(math.floor(1e4 * x), 9999) / 1e4:.2%}"
