"""A closer that stands behind the cursor goes to a line of its own when the text before it has several."""

from __future__ import annotations

from completion_server.lexicon import Frame, Kind
from completion_server.postprocess.place import Place


def put_closer_on_own_line(text: str, place: Place) -> str:
    """``{|}`` with several lines in it: the closer is indented as the line of its opener."""
    if "\n" not in text.strip(" \t") or not place.frames:
        return text
    frame = place.frames[-1]
    rest = place.after_on_line.lstrip()
    if not _is_around_cursor(frame, place) or not rest.startswith(frame.closer):
        return text
    if (frame.closer != "}" or frame.kind is not Kind.BRACKET) and not text.startswith("\n"):
        return text  # what is aligned with the opener ends on its last line
    frames = place.read(text).frames
    if len(frames) != len(place.frames) or frames[-1] != frame:
        return text
    line = place.before_on_line
    indent = line[: len(line) - len(line.lstrip(" \t"))]
    return f"{text.rstrip()}\n{indent}"


def _is_around_cursor(frame: Frame, place: Place) -> bool:
    """Whether ``frame`` was opened right before the cursor, on its line."""
    before = place.before_on_line.rstrip()
    if frame.kind is Kind.ELEMENT:
        return before.endswith(">") and frame.at >= len(place.window_before) - len(place.before_on_line)
    is_last = frame.at == len(place.window_before.rstrip()) - len(frame.opener)
    return frame.kind in (Kind.BRACKET, Kind.HOLE) and bool(before) and is_last
