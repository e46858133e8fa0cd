"""Fenced code blocks of Markdown: which lines are code, and in which language. CommonMark 0.31, section 4.5.

One pass over the lines above the cursor. A line without a fence's characters costs a substring search, except
inside of a list item or a block quote, where the fence ends with its container.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass

from completion_server.document import Document
from completion_server.syntax import LANGUAGE_ID_OF_ENDING

MARKDOWN_IDS = frozenset({"markdown", "mdx", "quarto", "rmd", "pandoc"})
_MAX_LINES, _MAX_LINES_BACK = 50_000, 500
_QUOTE = re.compile(r" {0,3}> ?")
_LIST_MARKER = re.compile(r"(?:[-+*]|\d{1,9}[.)])(?= |$)")
_OPENING = re.compile(r"(`{3,})[ ]*([^`]*)$|(~{3,})[ ]*(.*)$")
_NO_PARAGRAPH = re.compile(r"`{3}|~{3}|#|>|[-+*](?: |$)|\d{1,9}[.)](?: |$)")
_LANGUAGE_ID_OF_NAME = {
    **LANGUAGE_ID_OF_ENDING,
    "bash": "shellscript", "c#": "csharp", "c++": "cpp", "console": "shellscript", "golang": "go",
    "json5": "jsonc", "md": "markdown", "node": "javascript", "pycon": "python", "python3": "python",
    "shell": "shellscript", "shell-session": "shellscript", "text": "plaintext", "txt": "plaintext",
    "yml": "yaml", "zsh": "shellscript",
}  # fmt: skip
_LANGUAGE_NAME = re.compile(r"\{?\.?([\w+#-]+)")


@dataclass(frozen=True)
class Fence:
    """A fenced code block around a line."""

    start: int
    """The line that opens it."""
    info: str
    """What the opening line says after its marker."""
    marker: str
    """The characters that open it; at least as many of them close it."""
    num_quotes: int = 0
    """Block quotes that it stands in."""
    indent: int = 0
    """Columns at which the content of its list item begins, 0 outside of lists."""

    @property
    def language_id(self) -> str:
        """The editor's id for the language that the info string names, "" where it names none."""
        found = _LANGUAGE_NAME.match(self.info)
        name = found[1].lower() if found else ""
        return _LANGUAGE_ID_OF_NAME.get(name, name)

    def is_left_by(self, line: str) -> bool:
        """Whether ``line`` stands outside of the quote or list item that holds the fence."""
        if not self.num_quotes and not self.indent:
            return False
        num_quotes, rest = _without_quotes(line, self.num_quotes)
        return num_quotes < self.num_quotes or (bool(rest.strip()) and _indent(rest) < self.indent)

    def is_closed_by(self, line: str) -> bool:
        """Whether ``line`` is the closing fence."""
        rest = _without_quotes(line, self.num_quotes)[1].rstrip()
        text = rest.lstrip(" ")
        char = self.marker[0]
        return (
            len(text) >= len(self.marker)
            and not text.strip(char)
            and 0 <= len(rest) - len(text) - self.indent <= 3
        )


def fence_around(document: Document, line: int) -> Fence | None:
    """The fenced code block that ``line`` is inside of; None in prose and on the fences themselves."""
    scan = _Scan(document.lines, max(line - _MAX_LINES, 0))
    for number in range(scan.begin, line):
        scan.step(number)
    if scan.fence is not None:
        here = scan.text(line)
        if scan.fence.is_left_by(here) or scan.fence.is_closed_by(here):
            return None
    return scan.fence


def without_prose(document: Document, line: int) -> Document:
    """The document itself, or only the fenced block of a Markdown document that ``line`` is inside of.

    The other lines are empty, so positions mean the same, and its language is the block's.
    """
    fence = fence_around(document, line) if document.language_id in MARKDOWN_IDS else None
    if fence is None:
        return document
    begin, end = fence.start + 1, fence_end(document, fence, line)
    code = document.lines[begin:end]
    lines = ("\n",) * begin + code + ("\n",) * (len(document.lines) - end)
    return dataclasses.replace(document, language_id=fence.language_id, lines=lines)


def closing_fence(document: Document, line: int) -> str:
    """The characters that close the fenced block around ``line``, "" outside of one."""
    fence = fence_around(document, line) if document.language_id in MARKDOWN_IDS else None
    return "" if fence is None else fence.marker


def fence_end(document: Document, fence: Fence, line: int) -> int:
    """The first line after ``line``, which is inside of ``fence``, that is no longer code."""
    for number in range(line + 1, len(document.lines)):
        text = _plain(document.lines[number])
        if fence.is_left_by(text) or fence.is_closed_by(text):
            return number
    return len(document.lines)


class _Scan:
    """A pass over the lines of a document; ``fence`` is the one that is open after the last of them."""

    def __init__(self, lines: Sequence[str], begin: int) -> None:
        self.begin = begin
        self.fence: Fence | None = None
        self._lines = lines
        self._start_of: dict[int, int] = {}
        """Last line of a fenced block -> its first line."""

    def text(self, number: int) -> str:
        return _plain(self._lines[number])

    def step(self, number: int) -> None:
        line, fence = self._lines[number], self.fence
        if fence is None:
            if "```" in line or "~~~" in line:
                self.fence = self._opened_by(number)
            return
        text = _plain(line)
        if fence.is_left_by(text):
            self._start_of[number - 1] = fence.start
            self.fence = self._opened_by(number)
        elif fence.marker in text and fence.is_closed_by(text):
            self._start_of[number] = fence.start
            self.fence = None

    def _opened_by(self, number: int) -> Fence | None:
        num_quotes, rest = _without_quotes(self.text(number))
        indent = 0
        # A fence may follow list markers on their own line.
        while (marker := _LIST_MARKER.match(rest.lstrip(" "))) and _indent(rest) - indent <= 3:
            width = _marker_width(rest.lstrip(" "), marker)
            indent = _indent(rest) + width
            rest = " " * indent + rest.lstrip(" ")[width:]
        found = _OPENING.match(rest.strip(" "))
        if found is None:
            return None
        if indent == 0 and _indent(rest) > 1:
            indent = self._list_item_indent(number, num_quotes, _indent(rest))
        if not 0 <= _indent(rest) - indent <= 3:
            return None
        marker_text, info = (found[1], found[2]) if found[1] else (found[3], found[4])
        return Fence(number, info.strip(), marker_text, num_quotes, indent)

    def _list_item_indent(self, number: int, num_quotes: int, indent: int) -> int:
        """Where the content of the innermost list item begins that holds something at ``indent``; 0 for none."""
        bound, above = indent, number - 1
        last = max(number - _MAX_LINES_BACK, self.begin)
        while above >= last and bound > 0:
            is_fence = above in self._start_of
            above = self._start_of.get(above, above)
            quotes, rest = _without_quotes(self.text(above), num_quotes)
            if quotes < num_quotes:
                return 0
            if rest.strip() and _indent(rest) < bound:
                if offset := _content_offset(rest, bound):
                    return offset
                # A paragraph's later lines need not be indented.
                if is_fence or above == last or not self._goes_on(above - 1, rest.strip(), num_quotes):
                    bound = _indent(rest)
            above -= 1
        return 0

    def _goes_on(self, above: int, text: str, num_quotes: int) -> bool:
        """Whether ``text`` continues the paragraph that the line above is part of (section 5.1, "laziness")."""
        if above in self._start_of:
            return False
        line = _without_quotes(self.text(above), num_quotes)[1].strip()
        while marker := _LIST_MARKER.match(line):
            line = line[marker.end() :].strip()
        return bool(line) and not any(map(_NO_PARAGRAPH.match, (line, text)))


def _content_offset(line: str, bound: int) -> int:
    """Where the content of the innermost list item begins that ``line`` opens at or before ``bound``; 0: none."""
    text, at, offset = line.lstrip(" "), _indent(line), 0
    while (marker := _LIST_MARKER.match(text)) and at + _marker_width(text, marker) <= bound:
        width = _marker_width(text, marker)
        at += width
        offset, text = at, text[width:]
    return offset


def _marker_width(text: str, marker: re.Match[str]) -> int:
    """Columns of a list marker and the spaces after it; five and more begin an indented code block."""
    behind = text[marker.end() :]
    num_spaces = _indent(behind) if behind.strip() else 1
    return marker.end() + (num_spaces if 1 <= num_spaces <= 4 else 1)


def _plain(line: str) -> str:
    return line.expandtabs(4).rstrip("\r\n")


def _without_quotes(line: str, limit: int = 20) -> tuple[int, str]:
    """How many block quote markers ``line`` begins with, at most ``limit``, and what follows them."""
    number = 0
    while number < limit and (found := _QUOTE.match(line)):
        line, number = line[found.end() :], number + 1
    return number, line


def _indent(text: str) -> int:
    return len(text) - len(text.lstrip(" "))
