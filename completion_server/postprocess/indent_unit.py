"""What one level of indentation is: in a file, and in a text that the model wrote with another unit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_ONLY_TABS = frozenset({"go", "makefile", "make"})
_USUAL_WIDTHS = (4, 2, 8, 3)
_MIN_SHARE = 0.8
"""Of the lines that a unit of spaces has to explain; the others continue a line or belong to a heredoc."""


def indent_unit(language_id: str, lines: Iterable[str]) -> str:
    """A tab or some spaces, as most of ``lines`` begin with; "" where none is indented.

    ``make`` accepts only tabs and ``gofmt`` writes only tabs, whatever stands around.
    """
    if language_id in _ONLY_TABS:
        return "\t"
    indents = [line[: len(line) - len(line.lstrip(" \t"))] for line in lines if line.strip()]
    num_tabs = sum(indent.startswith("\t") for indent in indents)
    widths = [len(indent) for indent in indents if indent.startswith("  ")]
    if num_tabs > len(widths):
        return "\t"
    if not widths or num_tabs == len(widths):
        return ""  # neither is the file's own
    return " " * _unit_of(widths)


def _unit_of(widths: Sequence[int]) -> int:
    """The largest unit that most of ``widths`` are multiples of."""
    needed = _MIN_SHARE * len(widths)
    units = sorted({min(widths), *_USUAL_WIDTHS}, reverse=True)
    fitting = [unit for unit in units if unit > 1 and sum(width % unit == 0 for width in widths) >= needed]
    return fitting[0] if fitting else min(widths)


def written_unit(width: int, level: int) -> int:
    """Columns of one level in a text of spaces, a line of which has ``width`` columns and belongs at ``level``."""
    return min(_USUAL_WIDTHS, key=lambda unit: abs(width / unit - max(level, 1)))
