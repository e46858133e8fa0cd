"""Nothing is suggested that only says again what was just said."""

from __future__ import annotations

from completion_server.postprocess.place import Place

_MIN_LINE = 6
_MAX_LINE_REPEATS = 2


def drop_repeated_line_above(text: str, place: Place) -> str:
    """A single line that makes the cursor's line equal to the one above it says nothing new."""
    first = text.split("\n", 1)[0]
    completed = (place.before_on_line + first).strip()
    if place.lines_before and completed == place.lines_before[0] and len(completed) >= _MIN_LINE:
        return ""
    return text


def drop_repeated_block_above(text: str, place: Place) -> str:
    """Several lines that are the last ones before the cursor's line, once more."""
    lines = [line.strip() for line in (place.before_on_line + text).split("\n") if line.strip()]
    above = place.lines_before[: len(lines)][::-1]
    return "" if len(lines) > 1 and tuple(lines) == above else text


def cut_repeated_lines(text: str, place: Place) -> str:  # noqa: ARG001 - one signature for all filters
    """Cut where a line comes for the third time in a row."""
    lines = text.split("\n")
    run = 1
    for number in range(1, len(lines)):
        same = lines[number].strip() and lines[number] == lines[number - 1]
        run = run + 1 if same else 1
        if run > _MAX_LINE_REPEATS:
            return "\n".join(lines[:number])
    return text
