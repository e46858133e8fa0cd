"""A text whose end is arbitrary is cut back to where a reader would expect one."""

from __future__ import annotations

import re

from completion_server.postprocess.place import Place

_UNFINISHED_WORD = re.compile(r"\w+$")


def cut_to_clean_end(text: str, place: Place) -> str:
    """After the clock or the length ended it: whole lines if there are several, else whole words.

    The last word may have been about to go on (``self.conf`` of ``self.config``): it is not shown.
    """
    if not place.is_partial:
        return text
    head, line_end, _last_line = text.rpartition("\n")
    if line_end and head.strip():
        return head
    return _UNFINISHED_WORD.sub("", text)
