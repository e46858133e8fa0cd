"""Places for filters, from marked text."""

from __future__ import annotations

from completion_server.postprocess.place import Place
from tests.support.marked import parse_marked


def place_at(marked: str, *, is_partial: bool = False, language_id: str = "python") -> Place:
    """The place of the cursor in ``marked``."""
    return Place.of(*parse_marked(marked, language_id=language_id), is_partial=is_partial, is_single_line=False)
