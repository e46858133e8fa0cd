"""What the text around a cursor is about: the names used there, and the pieces of other files that are like it.

Likeness is Jaccard's coefficient of the sets of names, as in the retrieval of RepoCoder (Zhang et al. 2023, arXiv
2303.12570), over pieces that end where statements of the outermost level do.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from completion_server.document import Document, Position

_NAME = re.compile(r"[^\W\d]\w+")
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_LINES_BEFORE, _LINES_AFTER = 30, 6
_SEEN_BEFORE, _SEEN_AFTER = 70, 25
_MAX_LINE_CHARS = 400
_SIMILAR_LINES_BEFORE = 16
_PIECE_LINES, _MAX_PIECE_LINES = 8, 20
_COMMON_NAMES = frozenset({
    "self", "cls", "this", "super", "return", "def", "class", "import", "from", "export", "const", "let", "var",
    "function", "func", "fn", "pub", "use", "mod", "impl", "struct", "enum", "if", "elif", "else", "for",
    "while", "in", "not", "and", "or", "is", "None", "True", "False", "null", "nil", "true", "false", "new",
    "public", "private", "protected", "static", "final", "void", "int", "str", "bool", "float", "string", "try",
    "except", "catch", "finally", "raise", "throw", "throws", "with", "as", "async", "await", "yield", "lambda",
    "pass", "break", "continue", "type", "interface", "package", "include", "define", "extends", "implements",
    "match", "case", "switch", "default",
})  # fmt: skip


@dataclass(frozen=True)
class Piece:
    """Lines ``first_line`` to ``end_line`` (exclusive) of a file, and the names in them."""

    first_line: int
    end_line: int
    names: frozenset[str] = field(repr=False)


def names_near(document: Document, position: Position) -> dict[str, float]:
    """Names around the cursor with their weights: 1 on its own line, less with every line away.

    A word that touches the cursor is left out: it may be the beginning of any other.
    """
    weights: dict[str, float] = {}
    first = max(position.line - _LINES_BEFORE, 0)
    end = min(position.line + 1 + _LINES_AFTER, len(document.lines))
    for number in range(first, end):
        line = document.lines[number]
        distance = abs(number - position.line) * (1 if number <= position.line else 2)
        weight = 1 / (1 + 0.2 * distance)
        start = max(position.column - _MAX_LINE_CHARS // 2, 0) if number == position.line else 0
        for match in _NAME.finditer(line, start, start + _MAX_LINE_CHARS):
            touches = number == position.line and match.start() <= position.column <= match.end()
            if not touches and match[0] not in _COMMON_NAMES:
                weights[match[0]] = max(weights.get(match[0], 0.0), weight)
    return weights


def names_seen(document: Document, position: Position) -> frozenset[str]:
    """Names in about as many lines around the cursor as a short prompt shows."""
    first = max(position.line - _SEEN_BEFORE, 0)
    lines = document.lines[first : position.line + 1 + _SEEN_AFTER]
    return frozenset(_NAME.findall("".join(line[:_MAX_LINE_CHARS] for line in lines)))


@lru_cache(maxsize=50_000)
def parts_of(name: str) -> tuple[str, ...]:
    """The words that ``name`` is made of, in lower case: ``parseURLPath`` -> parse, url, path."""
    return tuple(dict.fromkeys(part.lower() for part in _PART.findall(name) if len(part) > 1))


def names_in(text: str) -> frozenset[str]:
    """All names in ``text`` that say something about it."""
    return frozenset(_NAME.findall(text)) - _COMMON_NAMES


def names_before(document: Document, position: Position) -> frozenset[str]:
    """The names in the lines just before the cursor's: what a similar piece is looked for with.

    Not those of the cursor's own line, which change with every key.
    """
    lines = document.lines[max(position.line - _SIMILAR_LINES_BEFORE, 0) : position.line]
    return names_in("".join(line[:_MAX_LINE_CHARS] for line in lines))


def pieces_of(lines: Sequence[str]) -> list[Piece]:
    """``lines`` cut into pieces of some ``_PIECE_LINES``, where an outermost line begins if possible."""
    pieces: list[Piece] = []
    start = 0
    for number in range(1, len(lines) + 1):
        num_lines = number - start
        is_end = number == len(lines) or num_lines >= _MAX_PIECE_LINES
        if is_end or (num_lines >= _PIECE_LINES and _begins_statement(lines, number)):
            body = lines[start:number]
            names = names_in("".join(line[:_MAX_LINE_CHARS] for line in body))
            if names:
                pieces.append(Piece(start, number, names))
            start = number
    return pieces


def _begins_statement(lines: Sequence[str], number: int) -> bool:
    """Whether a piece may begin at line ``number``: after a blank line, or outermost and no closing bracket."""
    line = lines[number]
    return not lines[number - 1].strip() or (line[:1].isalpha() and not line.startswith(("else", "except", "end")))


def most_similar(
    names: frozenset[str], pieces: Mapping[str, Sequence[Piece]], min_likeness: float
) -> list[tuple[float, str, Piece]]:
    """(likeness, key, piece) of all that are alike enough, the most alike first; the order is always the same."""
    found = []
    for key, group in pieces.items():
        for piece in group:
            num_shared = len(names & piece.names)
            likeness = num_shared / (len(names) + len(piece.names) - num_shared) if num_shared else 0.0
            if likeness >= min_likeness:
                found.append((likeness, key, piece))
    return sorted(found, key=lambda each: (-each[0], each[1], each[2].first_line))
