"""The ordered list of filters between a generation and what the editor shows. Pure text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from completion_server.postprocess.closing import close_what_is_open
from completion_server.postprocess.indentation import drop_doubled_indent, match_indentation
from completion_server.postprocess.partial import cut_to_clean_end
from completion_server.postprocess.place import Place
from completion_server.postprocess.repetition import (
    cut_repeated_lines,
    drop_repeated_block_above,
    drop_repeated_line_above,
)
from completion_server.postprocess.suffix_overlap import drop_lines_that_follow, drop_rest_of_line
from completion_server.postprocess.syntax_trim import trim_to_syntax
from completion_server.postprocess.usefulness import drop_useless
from completion_server.postprocess.whitespace import drop_blank, drop_trailing_white_space, match_line_ends

Filter = Callable[[str, Place], str]

FILTERS: tuple[Filter, ...] = (
    cut_to_clean_end,
    drop_doubled_indent,
    cut_repeated_lines,
    drop_lines_that_follow,
    drop_rest_of_line,
    drop_repeated_line_above,
    drop_repeated_block_above,
    match_indentation,
    drop_trailing_white_space,
    drop_blank,
    trim_to_syntax,
    close_what_is_open,
    drop_useless,
    match_line_ends,
)


@dataclass(frozen=True)
class Processed:
    """Text to show ("" for nothing) and the names of the filters that changed it."""

    text: str
    fired: tuple[str, ...]


def postprocess(text: str, place: Place) -> Processed:
    """Run all filters in order; stop when nothing is left."""
    fired: list[str] = []
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    for apply in FILTERS:
        changed = apply(text, place)
        if changed != text:
            fired.append(apply.__name__)
        text = changed
        if not text:
            break
    return Processed(text, tuple(fired))
