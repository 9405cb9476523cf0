"""How the demo sets its sentences."""

import textwrap

__all__ = ["paragraph"]


def paragraph(text):
    """`text` in lines of at most 80 characters, three of them margin."""
    margin = " " * 3
    return textwrap.fill(
        " ".join(text.split()), 80, initial_indent=margin, subsequent_indent=margin
    )
