"""Windows on the document that fit the token budget and keep still while the user types.

The start of the prefix window moves in blocks of lines, the end of the suffix window too, so that the head of the
prompt stays the same, token for token, over many key presses. Values that look like secrets are blotted out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from completion_server.document import Document, Position
from completion_server.secrets_filter import redact

_CHARS_PER_TOKEN = 4  # an upper guess for code; the exact count decides afterwards
_SUFFIX_BLOCK_LINES = 16
_FEW_TOKENS = 100  # a window of a few lines: moving in blocks would lose most of it

Encode = Callable[[str], list[int]]


@dataclass(frozen=True)
class Window:
    """A piece of the document, its tokens, and whether it begins (prefix) or ends (suffix) with the document."""

    text: str
    token_ids: list[int]
    is_at_edge: bool


def prefix_window(document: Document, position: Position, max_tokens: int, encode: Encode) -> Window:
    """Text before ``position`` in at most ``max_tokens`` tokens, from an anchored line."""
    block = max(max_tokens // 16, 4 if max_tokens >= _FEW_TOKENS else 1)
    first = _anchored_line(document, position, max_tokens * _CHARS_PER_TOKEN, block)
    while first < position.line or position.column <= max_tokens * _CHARS_PER_TOKEN:
        text = redact(document.text_before(position, first))
        token_ids = encode(text)
        if len(token_ids) <= max_tokens:
            return Window(text, token_ids, first == 0)
        if first == position.line:
            break
        first = min(first + block, position.line)
    return _end_of_long_line(redact(document.line_prefix(position)), max_tokens, encode)


def suffix_window(document: Document, position: Position, max_tokens: int, encode: Encode) -> Window:
    """Text after ``position`` in at most ``max_tokens`` tokens, to an anchored line."""
    if max_tokens == 0:
        return Window("", [], False)
    max_chars = max_tokens * _CHARS_PER_TOKEN
    end, num_chars = position.line + 1, len(document.lines[position.line]) - position.column
    while end < len(document.lines) and num_chars + len(document.lines[end]) <= max_chars:
        num_chars += len(document.lines[end])
        end += 1
    is_at_edge = end == len(document.lines)
    # Counted from the end of the document: what is typed before the suffix moves no line of it.
    num_lines_after = len(document.lines) - end
    anchored = end - -num_lines_after % _SUFFIX_BLOCK_LINES
    if not is_at_edge and anchored > position.line:
        end = anchored
    text = redact(document.text_after(position, end))[:max_chars]
    token_ids = encode(text)
    return Window(text, token_ids[:max_tokens], is_at_edge and len(token_ids) <= max_tokens)


def _anchored_line(document: Document, position: Position, max_chars: int, block: int) -> int:
    """The first line of the window: as far back as ``max_chars`` reach, moved forward to a block's start."""
    line, num_chars = position.line, position.column
    while line > 0 and num_chars + len(document.lines[line - 1]) <= max_chars:
        line -= 1
        num_chars += len(document.lines[line])
    if line == 0:
        return 0
    anchored = -(-line // block) * block
    return anchored if anchored <= position.line else line


def _end_of_long_line(text: str, max_tokens: int, encode: Encode) -> Window:
    """The cursor's own line is over the budget: its end, from the last anchored column that fits."""
    num_chars = max_tokens * _CHARS_PER_TOKEN
    while True:
        step = max(num_chars // 2, 1)
        start = max(-(-(len(text) - num_chars) // step) * step, 0)
        token_ids = encode(text[start:])
        if len(token_ids) <= max_tokens or num_chars == 1:
            return Window(text[start:], token_ids[-max_tokens:], False)
        num_chars = max(num_chars // 2, 1)
