"""Files that are written whole or not at all."""

import contextlib
import os

__all__ = ["replacing"]


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
