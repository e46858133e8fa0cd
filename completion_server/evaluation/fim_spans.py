"""Holes in source files, shaped like what an editor asks for: rest of a line, whole lines, a block, any range.

Used by training and by evaluation, so that scores are of the task that was learned. Spans are of characters, not
tokens: a cursor may stand inside a word (Bavarian et al. 2022, arXiv 2207.14255, section 4.4).
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from enum import Enum

from completion_server.document import Document, Position
from completion_server.evaluation.fim_blocks import find_blocks

_MAX_TRIES = 12
_MIN_LINE_CHARS = 4
_MAX_RANDOM_CHARS = 240
_MAX_BLOCK_LINES = 12
_MAX_BLOCK_CHARS = 600
_WORD_START = re.compile(r"(?<!\w)\w|(?<=\s)\S|(?<=[(\[{,.=])\S")
_CLOSERS = re.compile(r"[)\]}>\"'`;,:]+$")
_LEAVE_CLOSERS = 0.35
"""How often brackets and quotes at the line's end are already there, as editors put them in pairs."""
_AT_WORD_START = 0.5
_FROM_LINE_END = 0.3
"""How often lines or a block are asked for at the end of the line before, and not on their own first line."""
_LINE_COUNTS = (1, 1, 1, 1, 2, 2, 3, 4)


class SpanKind(Enum):
    """What is missing."""

    REST_OF_LINE = "rest-of-line"
    WHOLE_LINE = "whole-line"
    BLOCK = "block"
    RANDOM = "random"


@dataclass(frozen=True)
class Span:
    """A hole: ``text[start:end]`` is the middle."""

    kind: SpanKind
    start: int
    end: int


@dataclass(frozen=True)
class Hole:
    """A document without its middle, the place where it belongs, and the middle."""

    document: Document
    position: Position
    middle: str


def cut_hole(text: str, span: Span, *, uri: str = "", language_id: str = "") -> Hole:
    """``text`` as it was before somebody typed ``text[span.start:span.end]``."""
    prefix, suffix = text[: span.start], text[span.end :]
    line_start = prefix.rfind("\n") + 1
    position = Position(prefix.count("\n"), len(prefix) - line_start)
    document = Document.from_text(prefix + suffix, uri=uri, language_id=language_id)
    return Hole(document, position, text[span.start : span.end])


def pick_span(text: str, language: str, kind: SpanKind, rng: random.Random) -> Span | None:
    """A random hole of ``kind`` in ``text``; None where a dozen tries found none. The middle is never empty."""
    pick = {
        SpanKind.REST_OF_LINE: _rest_of_line,
        SpanKind.WHOLE_LINE: _whole_lines,
        SpanKind.BLOCK: _block,
        SpanKind.RANDOM: _random_range,
    }[kind]
    if kind is SpanKind.BLOCK:
        found = _block(text, language, rng)
    else:
        found = next((span for _ in range(_MAX_TRIES) if (span := pick(text, language, rng)) is not None), None)
    return None if found is None else Span(kind, *found)


def _written_line(text: str, rng: random.Random) -> tuple[int, int] | None:
    """Start and end (before the line end and white space) of a line that holds something."""
    at = rng.randrange(len(text))
    start = text.rfind("\n", 0, at) + 1
    end = text.find("\n", at)
    body = text[start : len(text) if end < 0 else end].rstrip()
    return (start, start + len(body)) if len(body.strip()) >= _MIN_LINE_CHARS else None


def _rest_of_line(text: str, _language: str, rng: random.Random) -> tuple[int, int] | None:
    line = _written_line(text, rng)
    if line is None:
        return None
    start, end = line
    body = text[start:end]
    indent = len(body) - len(body.lstrip())
    column = rng.randrange(indent, len(body))
    if rng.random() < _AT_WORD_START:
        starts = [found.start() for found in _WORD_START.finditer(body) if found.start() > indent]
        column = rng.choice(starts) if starts else column
    closers = _CLOSERS.search(body)
    if closers is not None and closers.start() > column and rng.random() < _LEAVE_CLOSERS:
        end = start + closers.start()
    return start + column, end


def _whole_lines(text: str, _language: str, rng: random.Random) -> tuple[int, int] | None:
    line = _written_line(text, rng)
    if line is None:
        return None
    start, end = line
    for _ in range(rng.choice(_LINE_COUNTS) - 1):
        following = text.find("\n", end)
        if following < 0:
            break
        next_end = text.find("\n", following + 1)
        body = text[following + 1 : len(text) if next_end < 0 else next_end]
        if not body.strip():
            break
        end = following + 1 + len(body.rstrip())
    first = start + len(text[start:end]) - len(text[start:end].lstrip())
    return _begin(text, first, rng), end


def _block(text: str, language: str, rng: random.Random) -> tuple[int, int] | None:
    blocks = [
        (start, end)
        for start, end in find_blocks(text, language)
        if end - start <= _MAX_BLOCK_CHARS and text.count("\n", start, end) < _MAX_BLOCK_LINES
    ]
    if not blocks:
        return None
    start, end = rng.choice(blocks)
    return _begin(text, start, rng), end


def _begin(text: str, start: int, rng: random.Random) -> int:
    """Where the cursor is: at ``start``, after its indentation, or at the end of the line above."""
    head = text[:start].rstrip(" \t")
    is_first_on_line = head.endswith("\n") and bool(head.strip())
    if is_first_on_line and rng.random() < _FROM_LINE_END and not head[:-1].endswith("\n"):
        return len(head) - 1
    return start


def _random_range(text: str, _language: str, rng: random.Random) -> tuple[int, int] | None:
    start = rng.randrange(len(text))
    length = round(2 ** rng.uniform(0, _MAX_RANDOM_CHARS.bit_length()))
    end = min(start + length, len(text))
    return (start, end) if text[start:end].strip() else None
