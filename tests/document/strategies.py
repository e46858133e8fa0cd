"""Texts and edits that go wrong in editors, and a model of LSP's text rules on plain strings."""

from __future__ import annotations

import re
from dataclasses import dataclass

from hypothesis import strategies as st

from completion_server.document import PositionEncoding

PIECES = [
    "a",
    "b",
    " ",
    "\n",
    "\n",
    "\r\n",
    "\r",
    "\f",
    "\v",
    "\x1c",
    "\x85",
    "é",
    "字",
    "😋",
    "\u2028",
    "\u2029",
    "\ud83d",
]
texts = st.lists(st.sampled_from(PIECES), max_size=16).map("".join)
short_texts = st.lists(st.sampled_from(PIECES), max_size=4).map("".join)
encodings = st.sampled_from(PositionEncoding)
# Also places that do not exist: lines and characters past the end, or inside a surrogate pair.
places = st.tuples(st.integers(0, 8), st.integers(0, 12))


@dataclass(frozen=True)
class Edit:
    start: tuple[int, int]
    end: tuple[int, int]
    text: str


edits = st.builds(Edit, places, places, short_texts)


def model_lines(text: str) -> list[str]:
    """Lines with their ends by LSP's rule, the simple way."""
    lines = re.findall(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z", text)
    return lines if lines and lines[-1][-1] not in "\r\n" else [*lines, ""]


def units(text: str, encoding: PositionEncoding) -> int:
    if encoding is PositionEncoding.UTF32:
        return len(text)
    codec = "utf-8" if encoding is PositionEncoding.UTF8 else "utf-16-le"
    return len(text.encode(codec, "surrogatepass")) // (1 if encoding is PositionEncoding.UTF8 else 2)


def model_offset(text: str, place: tuple[int, int], encoding: PositionEncoding) -> int:
    """Code-point offset of a client position, found by trying one code point after the other."""
    line, character = place
    lines = model_lines(text)
    if line >= len(lines):
        return len(text)
    body = lines[line].rstrip("\r\n")
    column = 0
    while column < len(body) and units(body[: column + 1], encoding) <= character:
        column += 1
    return sum(map(len, lines[:line])) + column


def model_edit(text: str, edit: Edit, encoding: PositionEncoding) -> str:
    start, end = sorted(model_offset(text, place, encoding) for place in (edit.start, edit.end))
    return text[:start] + edit.text + text[end:]
