"""Files that are written whole or not at all."""

import contextlib
import glob
import os
import time

__all__ = ["replacing"]

# Nobody who still writes to a file leaves it alone for so many seconds.
_STALE = 86_400


@contextlib.contextmanager
def replacing(path):
    """A binary file that takes the place of `path` when all went well, and vanishes if not.

    Errors name `path`. A pipe or a device is written to as it is.
    """
    target = os.path.realpath(path)
    if os.path.exists(target) and not os.path.isfile(target) and not os.path.isdir(target):
        with open(target, "wb") as file:
            yield file
        return
    directory, name = os.path.split(target)
    _remove_stale(directory, name)
    partial = os.path.join(directory, f".{name}.{os.urandom(8).hex()}.part")
    try:
        with open(partial, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, target)
    except OSError as error:
        if error.filename == partial:
            raise OSError(error.errno, error.strerror, os.fspath(path)) from None
        raise
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(partial)


def _remove_stale(directory, name):
    """Remove what processes that were killed left of files of this name."""
    pattern = os.path.join(glob.escape(directory), f".{glob.escape(name)}.{'[0-9a-f]' * 16}.part")
    for partial in glob.glob(pattern):
        with contextlib.suppress(OSError):
            if time.time() - os.path.getmtime(partial) > _STALE:
                os.unlink(partial)
