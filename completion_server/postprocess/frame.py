"""What a part of a long file is inside of: the heads of a class, function or list, without which it is all errors.

``fail(text) {`` is a method in a class and a mistake at the top level; a thousand strings are a list only between
brackets.
"""

from __future__ import annotations

import re

from completion_server.document import Document
from completion_server.lexicon import CLOSER_OF, Kind, Lexicon, lexicon_of, scan
from completion_server.syntax import HoledText
from completion_server.trigger import indent_width

_MAX_LINES_BACK, _MAX_CHARS_BACK = 4_000, 400_000
_MAX_CHARS = 800
_MIN_ERRORS_OF_NOISE = 16
_LINES_PER_ERROR_OF_NOISE = 3
_NO_HEADS = re.compile(
    r"\* |\*/|#\s*(?:if|ifdef|ifndef|elif|else|endif|define|undef|include|pragma|region|endregion)\b"
)
"""The inner lines of a block comment, the preprocessor's: they stand at any column, as comments do."""


def heads_above(document: Document, line: int) -> str:
    """The lines before ``line`` that it is inside of by their indentation, outermost first; "" at the top level.

    A bracket on a line of its own brings the line before it along.
    """
    lines = document.lines
    written = (lines[number] for number in range(line, len(lines)) if lines[number].strip())
    width = indent_width(next(written, ""))
    lexicon = lexicon_of(document.language_id)
    heads: list[str] = []
    num_chars, room = 0, _MAX_CHARS_BACK
    for number in range(line - 1, max(line - _MAX_LINES_BACK, 0) - 1, -1):
        room -= len(lines[number])
        if width == 0 or room < 0:
            break
        text = lines[number].strip()
        if not text or indent_width(lines[number]) >= width or _is_no_head(text, lexicon):
            continue
        width = indent_width(lines[number])
        # "} else {" is inside of what "if" is inside of; here it is enough that something opens.
        shown = [text.lstrip(")]} ") if text[0] in ")]}" else text]
        if text in CLOSER_OF and number > 0 and indent_width(lines[number - 1]) == width:
            shown.insert(0, lines[number - 1].strip())
        num_chars += sum(len(each) + 1 for each in shown)
        if num_chars > _MAX_CHARS:
            return ""
        heads[:0] = shown
    return "".join(each + "\n" for each in heads)


def _is_no_head(text: str, lexicon: Lexicon) -> bool:
    return text.startswith(lexicon.comments) or _NO_HEADS.match(text) is not None


def parsed_part(language_id: str, heads: str, before: str, after: str, *, is_cut_below: bool) -> HoledText:
    """The tree of a part of a file, inside of ``heads`` where that leaves fewer errors.

    Where a third of the lines are errors a tree says nothing of one more, so there is none.
    """
    closers = _closers(language_id, heads, before + after) if heads and is_cut_below else ""
    part = HoledText(language_id, heads + before, after + closers)
    # Tried first where there are heads: it is usually without errors, and recovering from many takes long.
    if heads and part.num_errors != 0:
        alone = HoledText(language_id, before, after)
        if part.num_errors is None or (alone.num_errors or 0) <= part.num_errors:
            part = alone
    num_errors = part.num_errors
    num_lines = before.count("\n") + after.count("\n")
    is_noise = num_errors is not None and num_errors >= max(
        _MIN_ERRORS_OF_NOISE, num_lines // _LINES_PER_ERROR_OF_NOISE
    )
    return HoledText("", before, after) if is_noise else part


def _closers(language_id: str, heads: str, part: str) -> str:
    """What closes the brackets that ``heads`` opens and ``part``, which follows, leaves open."""
    lexicon = lexicon_of(language_id)
    if not scan(lexicon, heads).stack:
        return ""
    frames = scan(lexicon, heads + part).frames
    return "".join(frame.closer for frame in reversed(frames) if frame.kind is Kind.BRACKET) + "\n"
