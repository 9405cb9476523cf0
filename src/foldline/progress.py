"""Telling how far a long run is: to a program, or to a person."""

import contextlib

__all__ = ["Share", "reporter"]


@contextlib.contextmanager
def reporter(progress, unit, total=None):
    """A function of how many there are so far and, where it is known, the share of the work done.

    Parameters
    ----------
    progress : None, bool or callable
        True: a bar on stderr, by tqdm, once two seconds have passed. A callable is called with the number.
    unit : str
        What is counted.
    total : int, optional
    """
    if progress is None or progress is False:
        yield _ignore
    elif callable(progress):
        yield lambda n, share=None: progress(n)
    elif progress is True:
        from .formats import optional

        tqdm = optional("tqdm")
        with tqdm.tqdm(total=total, unit=f" {unit}", unit_scale=True, delay=2.0) as bar:

            def report(n, share=None):
                if share is not None:
                    bar.set_postfix_str(f"about {share:.0%} done", refresh=False)
                bar.update(n - bar.n)

            yield report
    else:
        raise TypeError(f"progress is {progress!r}; wanted True or a callable")


def _ignore(n, share=None):
    pass


class Share:
    """An estimate of the share of volume that walks are done with, as if every fold halved its cell.

    It never falls, and comes to 1.
    """

    def __init__(self, walks):
        self.done = 0.0
        self._open = {(walk, walk.root): 1 / len(walks) for walk in walks}

    def add(self, walk, part):
        """A part of a walk: what it left lies on the other sides of the folds it came through."""
        share = sum(self._open.pop((walk, prefix), 0.0) for prefix in part.taken)
        for prefix in sorted(part.left, key=lambda prefix: prefix.length):
            share /= 2
            self._open[walk, prefix] = share
        self.done += share
