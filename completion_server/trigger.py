"""Whether to complete at a place, and how much: nothing, the rest of the line, or a block.

Works on the text around the cursor alone, the same for every language; the reason goes to the trace.

Rules, first match wins:
1. Asked for by hand: never nothing.
2. The cursor is inside a word (a letter, digit or underscore follows): nothing.
3. Code follows on the line, other than closing brackets, quotes and separators: the rest of the line.
4. The line so far, or the last line before an empty one, opens a block (ends with ``:``, ``{``, ``(``, ``[``,
   ``=>`` or ``->``, ``then``, ``do``, ``begin``): a block.
5. Otherwise the rest of the line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from completion_server.document import Document, Position
from completion_server.request import TriggerKind

_ONLY_CLOSERS = re.compile(r"[\s)\]}>\"'`;,:]*")
_OPENS_BLOCK = re.compile(r"(?:[:{(\[]|=>|->|\b(?:then|do|begin|else))\s*$")
_MAX_LINES_BACK = 50


class CompletionMode(Enum):
    """How much is asked of the model."""

    NONE = "none"
    LINE = "line"
    BLOCK = "block"


@dataclass(frozen=True)
class Trigger:
    """The decision and the rule behind it."""

    mode: CompletionMode
    reason: str
    block_indent: int = 0
    """Columns below which a line is no longer part of the block (BLOCK only)."""


def decide_trigger(document: Document, position: Position, kind: TriggerKind) -> Trigger:
    """Apply the rules above at ``position``."""
    before, after = document.line_prefix(position), document.line_suffix(position)
    is_invoked = kind is TriggerKind.INVOKED
    if after and (after[0].isalnum() or after[0] == "_") and not is_invoked:
        return Trigger(CompletionMode.NONE, "inside_word")
    if not _ONLY_CLOSERS.fullmatch(after):
        return Trigger(CompletionMode.LINE, "code_after_cursor")
    if before.strip():
        if opens_block(before) and not after.strip():
            return Trigger(CompletionMode.BLOCK, "line_opens_block", indent_width(before) + 1)
        return Trigger(CompletionMode.LINE, "inside_line")
    return _decide_on_empty_line(document, position, before, is_invoked)


def _decide_on_empty_line(document: Document, position: Position, before: str, is_invoked: bool) -> Trigger:
    opener = _last_written_line(document, position.line)
    if opener is not None and opens_block(opener):
        return Trigger(CompletionMode.BLOCK, "after_block_opener", max(indent_width(opener) + 1, 1))
    if is_invoked:
        return Trigger(CompletionMode.BLOCK, "invoked_on_empty_line", indent_width(before))
    return Trigger(CompletionMode.LINE, "empty_line")


def _last_written_line(document: Document, line: int) -> str | None:
    for number in range(line - 1, max(line - 1 - _MAX_LINES_BACK, -1), -1):
        if document.lines[number].strip():
            return document.lines[number].rstrip()
    return None


def opens_block(line: str) -> bool:
    """Whether the line after ``line`` belongs to a block that it opens."""
    return _OPENS_BLOCK.search(line) is not None


def indent_width(line: str, tab_width: int = 4) -> int:
    """Columns of leading white space; a tab reaches to the next multiple of ``tab_width``."""
    return len(line[: len(line) - len(line.lstrip(" \t"))].expandtabs(tab_width))
