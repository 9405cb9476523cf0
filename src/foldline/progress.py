"""Telling how far a long run is: to a program, or to a person."""

import contextlib
import logging

__all__ = ["log", "reporter"]

log = logging.getLogger("foldline")
log.addHandler(logging.NullHandler())


@contextlib.contextmanager
def reporter(progress, unit, total=None):
    """A function to call with how many there are so far.

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
        yield progress
    elif progress is True:
        from .formats import optional

        tqdm = optional("tqdm", "progress")
        with tqdm.tqdm(total=total, unit=f" {unit}", unit_scale=True, delay=2.0) as bar:
            yield lambda n: bar.update(n - bar.n)
    else:
        raise TypeError(f"progress is {progress!r}; wanted True or a callable")


def _ignore(n):
    pass
