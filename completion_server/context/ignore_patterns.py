"""Patterns of ignore files, matched in polynomial time whatever they say. gitignore(5), "PATTERN FORMAT".

A pattern becomes a regular expression whose wildcards take the first place where what follows them fits and never
give it back (atomic groups), as in Python's ``fnmatch``. So ``*a*a*a*b`` costs no more than its length times the
path's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import regex

MAX_PATTERNS, MAX_PATTERN_CHARS = 10_000, 500
_STARS = re.compile(r"\*+")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_CLASS_NAME = re.compile(r"\[:(\w+):\]")
_CLASS_NAMES = frozenset(
    {"alnum", "alpha", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "xdigit"}
)


@dataclass(frozen=True)
class Pattern:
    """One line of an ignore file."""

    regex: regex.Pattern[str]
    is_negated: bool
    is_directory_only: bool


@dataclass(frozen=True)
class PatternList:
    """The patterns of one file, in its order. ``num_left_out``: lines that are too long or too many."""

    patterns: tuple[Pattern, ...]
    num_left_out: int = 0

    @classmethod
    def from_lines(cls, lines: Iterable[str]) -> PatternList:
        """Lines that are no patterns are left out."""
        patterns: list[Pattern] = []
        num_left_out = 0
        for line in lines:
            if len(line) > MAX_PATTERN_CHARS or len(patterns) >= MAX_PATTERNS:
                num_left_out += 1
            elif (pattern := parse_pattern(line)) is not None:
                patterns.append(pattern)
        return cls(tuple(patterns), num_left_out)

    def verdict(self, path: str) -> bool | None:
        """Whether ``path`` is ignored, a directory's ending with a slash; None where no pattern speaks of it."""
        is_directory = path.endswith("/")
        text = path.rstrip("/")
        for pattern in reversed(self.patterns):
            if (is_directory or not pattern.is_directory_only) and pattern.regex.fullmatch(text):
                return not pattern.is_negated
        return None


def parse_pattern(line: str) -> Pattern | None:
    """The pattern that ``line`` is; None for a comment, an empty line, and what matches nothing."""
    text = _ESCAPED.sub(_slash_or_same, _without_trailing_spaces(line.rstrip("\r\n")))
    if not text or text.startswith("#"):
        return None
    is_negated = text.startswith("!")
    text = text[is_negated:]
    is_directory_only = text.endswith("/")
    text = text.removesuffix("/")
    is_anchored = "/" in text
    segments = text.removeprefix("/").split("/")
    if not text or not all(segments):
        return None
    if not is_anchored:
        segments = ["**", *segments]
    try:
        return Pattern(regex.compile(_path_expression(segments)), is_negated, is_directory_only)
    except regex.error:
        return None


def _without_trailing_spaces(text: str) -> str:
    """Spaces at the end do not count, unless a backslash stands before them."""
    stripped = text.rstrip(" ")
    num_backslashes = len(stripped) - len(stripped.rstrip("\\"))
    return stripped + " " if num_backslashes % 2 and len(stripped) < len(text) else stripped


def _slash_or_same(escaped: re.Match[str]) -> str:
    """A slash separates names with a backslash before it too."""
    return "/" if escaped[1] == "/" else escaped[0]


def _path_expression(segments: list[str]) -> str:
    """``**`` stands for any number of directories; at the end, for everything below."""
    chunks: list[list[str]] = [[]]
    for segment in segments:
        if segment == "**":
            chunks.append([])
        else:
            chunks[-1].append(_segment_expression(segment))
    last = len(chunks) - 1
    parts = []
    for number, chunk in enumerate(chunks):
        inner = "/".join(chunk)
        if number == 0:
            parts.append(inner + "/" if chunk and last else inner)
        elif number < last:
            parts.append(f"(?>(?:[^/]+/)*?{inner}/)" if chunk else "")
        else:
            parts.append(f"(?:[^/]+/)*?{inner}" if chunk else ".+")
    return "(?s)" + "".join(parts)


def _segment_expression(segment: str) -> str:
    """One name between slashes. ``*`` takes any characters of it, ``?`` one, ``[...]`` one of a set."""
    literals = _split_at_stars(segment)
    if len(literals) == 1:
        return literals[0]
    first, *middle, last = literals
    inner = "".join(f"(?>[^/]*?{literal})" for literal in middle if literal)
    # Nothing may follow the last one in its segment, so it stands at the segment's end.
    return f"{first}{inner}[^/]*{last}(?=/|\\Z)" if last else f"{first}{inner}[^/]*"


def _split_at_stars(segment: str) -> list[str]:
    """Expressions without a wildcard of any length, in between of which the stars stand."""
    parts, current, at = [], "", 0
    while at < len(segment):
        char = segment[at]
        if stars := _STARS.match(segment, at):
            parts.append(current)
            current, at = "", stars.end()
        elif char == "?":
            current, at = current + "[^/]", at + 1
        elif char == "[":
            expression, at = _set_expression(segment, at)
            current += expression
        elif char == "\\":
            if at + 1 == len(segment):
                raise regex.error("a backslash at the end")
            current, at = current + regex.escape(segment[at + 1]), at + 2
        else:
            current, at = current + regex.escape(char), at + 1
    return [*parts, current]


def _set_expression(segment: str, start: int) -> tuple[str, int]:
    """The set that begins at ``start``, and where the text after it begins. Raises for one that does not end."""
    at = start + 1
    is_negated = segment[at : at + 1] in ("!", "^")
    at += is_negated
    items: list[str] = []
    is_first = True
    while at < len(segment) and (segment[at] != "]" or is_first):
        is_first = False
        if (name := _CLASS_NAME.match(segment, at)) and name[1] in _CLASS_NAMES:
            items.append(name.group())
            at = name.end()
            continue
        low, at = _set_character(segment, at)
        if segment[at : at + 1] == "-" and segment[at + 1 : at + 2] not in ("]", ""):
            high, at = _set_character(segment, at + 1)
            if low <= high:
                items.append(f"{_in_set(low)}-{_in_set(high)}")
            continue
        items.append(_in_set(low))
    if at >= len(segment):
        raise regex.error("a set without an end")
    inner = "".join(items)
    if not inner:
        return ("[^/]" if is_negated else r"(?!)"), at + 1
    return (f"(?!/)[^{inner}]" if is_negated else f"(?!/)[{inner}]"), at + 1


def _set_character(segment: str, at: int) -> tuple[str, int]:
    if segment[at] == "\\" and at + 1 < len(segment):
        return segment[at + 1], at + 2
    return segment[at], at + 1


def _in_set(char: str) -> str:
    return "\\" + char if not char.isalnum() and char.isascii() else char
