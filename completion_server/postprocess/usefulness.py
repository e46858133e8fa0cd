"""A suggestion must be worth the look."""

from __future__ import annotations

import re

from completion_server.postprocess.place import Place

_MIN_PUNCTUATION = 3  # characters
_PLACEHOLDER = re.compile(
    r"\W*(?:(?:todo|fixme|xxx|your code (?:goes )?here|(?:add|write|insert|put) your code here|implement me"
    r"|implementation (?:goes )?here|placeholder)\W*|lorem ipsum[^\n]*(?:\n\W*)?)",
    re.IGNORECASE,
)


def drop_useless(text: str, place: Place) -> str:  # noqa: ARG001 - one signature for all filters
    """Nothing but a bracket or two, which is typed faster than read, or words that stand in for code."""
    stripped = text.strip()
    if _PLACEHOLDER.fullmatch(stripped):
        return ""
    is_punctuation = not any(char.isalnum() or char == "_" for char in stripped)
    num_chars = len("".join(stripped.split()))
    return "" if is_punctuation and num_chars < _MIN_PUNCTUATION else text
