"""Line ends as in the document, no trailing white space, nothing that is only white space."""

from __future__ import annotations

import re

from completion_server.postprocess.place import Place


def match_line_ends(text: str, place: Place) -> str:
    """Write line ends the way the document does."""
    return re.sub(r"\r\n|\r|\n", place.line_end, text)


def drop_trailing_white_space(text: str, place: Place) -> str:
    """Keep one trailing space only where more code follows on the line."""
    stripped = text.rstrip()
    if (
        place.after_on_line.strip()
        and text[len(stripped) :].startswith(" ")
        and not place.after_on_line[0].isspace()
    ):
        return stripped + " "
    return stripped


def drop_blank(text: str, place: Place) -> str:  # noqa: ARG001 - one signature for all filters
    """A suggestion of white space only is none."""
    return text if text.strip() else ""
