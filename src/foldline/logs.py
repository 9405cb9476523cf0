"""What foldline tells the standard library's `logging`, and nobody who has not asked for it."""

import logging

__all__ = ["log"]

log = logging.getLogger("foldline")
log.addHandler(logging.NullHandler())
