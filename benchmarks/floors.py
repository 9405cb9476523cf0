"""The floors that figures are held to. One that misses its own is marked, and the script exits with 1."""

_missed = []


def at_least(value, floor, text="{:.1f} ({:g})"):
    """``3.6 (3)``; where the floor is missed, ``! 3.6 (5)``."""
    return _held(value >= floor, text.format(value, floor))


def at_most(value, limit, text="{:.1f} ({:g})"):
    """``3.6 (5)``; where the limit is exceeded, ``! 3.6 (3)``."""
    return _held(value <= limit, text.format(value, limit))


def exit_code():
    """1 where anything was missed so far, else 0."""
    return int(bool(_missed))


def _held(is_met, figure):
    if is_met:
        return figure
    _missed.append(figure)
    return f"! {figure}"
