"""What a sample of patterns says of the number of regions."""

from typing import NamedTuple

__all__ = ["PatternCount"]


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
    of : {"points", "pieces"}
    loss : str
        Why not all points that were asked for were looked at, where workers were lost; else empty.
    status : str
        "complete", or "limit" where there was a loss: all is true of the `n_points` points then.

    Notes
    -----
    From the counts follow `coverage`, `chao1_lower`, `inverse_simpson` and `saturated`.
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
        about = f"{self.distinct:,}"
        if self.standard_error:
            about = f"about {about} (± {self.standard_error:.1%})"
        lines = [
            f"{about} distinct patterns among {self.n_points:,} {self.of}, {self.singletons:,} seen once.",
            "This is a lower bound on the number of regions, never a count of them.",
        ]
        if self.saturated:
            lines.append(
                f"Most {self.of} fell in a region of their own: the number says how large the sample is,\n"
                "not how many regions there are. More would show more."
            )
        else:
            what = "the volume is in a region" if self.of == "points" else "further pieces are in a region"
            lines.append(f"About {_share(self.coverage)} of {what} seen here.")
        if self.chao1_lower > 1.005 * self.distinct:
            chao = f"{self.chao1_lower:,.0f}"
            lines.append(f"There seem to be {chao} or more (Chao's lower bound, an estimate).")
        return "\n".join(lines + lost)


def _share(x):
    """A percentage that does not say 100% of what is less."""
    return "99.99% or more" if 0.9999 <= x else f"{x:.2%}"
