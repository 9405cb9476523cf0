"""Exit codes."""

__all__ = ["BAD_INPUT", "DONE", "INTERRUPTED", "LIMIT", "NO"]

DONE, NO, BAD_INPUT, LIMIT, INTERRUPTED = 0, 1, 2, 3, 130
