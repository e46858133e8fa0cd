"""The ordered list of filters between a generation and what the editor shows. Pure text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from completion_server.postprocess.balance import Verdict
from completion_server.postprocess.closer_line import put_closer_on_own_line
from completion_server.postprocess.closing import close_what_is_open
from completion_server.postprocess.dangling import cut_dangling_end
from completion_server.postprocess.indentation import drop_doubled_indent, match_indentation
from completion_server.postprocess.partial import cut_to_clean_end
from completion_server.postprocess.place import Place
from completion_server.postprocess.repetition import (
    cut_repeated_lines,
    drop_repeated_block_above,
    drop_repeated_line_above,
)
from completion_server.postprocess.replaced import find_replaced, without_replaced
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
    cut_dangling_end,
    trim_to_syntax,
    close_what_is_open,
    drop_useless,
    put_closer_on_own_line,
    match_line_ends,
)


@dataclass(frozen=True)
class Processed:
    """Text to show ("" for nothing), the names of the filters that changed it, and what it replaces."""

    text: str
    fired: tuple[str, ...]
    num_replaced: int = 0
    """Characters after the cursor that the text takes the place of."""


def postprocess(text: str, place: Place) -> Processed:
    """Run all filters in order; stop when nothing is left.

    A text that goes on behind closers that stand after the cursor replaces them, if that much of it is left and
    all stays in pairs.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    found = find_replaced(text, place)
    if found.num_chars:
        processed = _filtered(found.text, place.replacing(found.num_chars))
        is_left = processed.text.startswith(text[: found.end]) and processed.text[found.end :].strip()
        if is_left and place.balance.judge(processed.text, found.num_chars) is not Verdict.BROKEN:
            return Processed(processed.text, ("replace_closers", *processed.fired), found.num_chars)
    kept = without_replaced(text, place)
    processed = _filtered(kept, place)
    fired = () if kept == text else ("drop_closers_that_follow",)
    return Processed(processed.text, (*fired, *processed.fired))


def _filtered(text: str, place: Place) -> Processed:
    fired: list[str] = []
    for apply in FILTERS:
        changed = apply(text, place)
        if changed != text:
            fired.append(apply.__name__)
        text = changed
        if not text:
            break
    return Processed(text, tuple(fired))
