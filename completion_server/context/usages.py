"""What the files beside a document write behind what stands before its cursor: ``chroma.MustNewStyle("a")``.

Where types cannot be followed this is all that is known of an expression's members; where they can it says which
are used, and how. Elsewhere the same beginning of a line is looked for, as long a piece of it as is found.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from completion_server.context.files import SourceText
from completion_server.context.place import SELF_NAMES, Place
from completion_server.snippet import Snippet, SnippetKind

_MAX_FILES, _MAX_FILE_CHARS = 12, 16_000
_MANY = 3
_MAX_LINES, _MAX_SHOWN_FILES = 6, 2
_TOKEN, _WORD = re.compile(r"\w+|\s+|[^\w\s]"), re.compile(r"[^\W\d]\w{2,}")
_DEFINES = re.compile(
    r"(?:pub(?:\([^)]*\))? |export |default |async |static )*(?:def|func|fn|function|class|impl|struct|enum)\b"
)
_MIN_TOKENS, _MAX_TOKENS = 2, 14
_MIN_LINE_CHARS, _MAX_LINE_CHARS = 8, 120


@dataclass(frozen=True)
class Usage:
    """A line that uses a member: its number, what it holds, and the member's name."""

    source: SourceText
    number: int
    text: str = field(repr=False)
    name: str


@dataclass(frozen=True)
class Usages:
    """``shares``: how often a member is used, from 0 to 1 for often; ``lines``: one for each, the first found."""

    shares: Mapping[str, float]
    lines: tuple[Usage, ...] = ()


def find_usages(place: Place, sources: Sequence[SourceText]) -> Usages:
    """Of what stands before the cursor, in the first of ``sources``."""
    texts = {source.path: source.text[:_MAX_FILE_CHARS] for source in sources[:_MAX_FILES]}
    name = place.qualifiers[0].steps[-1].removesuffix("()") if place.is_member else ""
    pattern = _behind(name) if name else _after(place.head, list(texts.values()))
    if pattern is None:
        return Usages({})
    counts: dict[str, int] = {}
    lines: dict[str, Usage] = {}
    for source in sources[:_MAX_FILES]:
        text = texts[source.path]
        found: dict[str, int] = {}
        for match in pattern.finditer(text):
            found.setdefault(match[1], match.start())
        for member, at in found.items():
            counts[member] = counts.get(member, 0) + 1
            if member not in lines and name not in SELF_NAMES:
                start, end = text.rfind("\n", 0, at) + 1, text.find("\n", at)
                line = text[start : end if end >= 0 else len(text)].strip()
                if _MIN_LINE_CHARS <= len(line) <= _MAX_LINE_CHARS and not _DEFINES.match(line):
                    lines[member] = Usage(source, text.count("\n", 0, start), line, member)
    shares = {member: min(count, _MANY) / _MANY for member, count in counts.items()}
    return Usages(shares, tuple(lines.values()))


def _behind(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(name)}(?:\(\))?(?:\?\.|\.|->|::)(\w+)")


def _after(head: str, texts: Sequence[str]) -> re.Pattern[str] | None:
    """What comes after the longest end of ``head`` that stands in ``texts``; None where only a short one does."""
    tokens = _TOKEN.findall(head)
    for start in range(max(len(tokens) - _MAX_TOKENS, 0), len(tokens)):
        tail = "".join(tokens[start:])
        words = _WORD.findall(tail)
        if len(tokens[start:]) < _MIN_TOKENS or not words:
            return None
        if tokens[start].strip() and any(tail in text for text in texts):
            return re.compile(rf"{re.escape(tail)}(\w+)")
    return None


def usage_snippets(usages: Usages, likeness: Callable[[str], float], max_chars: int) -> list[Snippet]:
    """Lines of one or two files, those whose members are most wanted."""
    ranked = sorted(usages.lines, key=lambda each: (-likeness(each.name), each.source.path, each.number))
    chosen: dict[str, dict[int, Usage]] = {}
    texts: set[str] = set()
    room = max_chars
    for each in ranked:
        path = each.source.path
        size = len(each.text) + 1 + (0 if path in chosen else len(path) + 4)
        is_file_allowed = path in chosen or len(chosen) < _MAX_SHOWN_FILES
        if len(texts) < _MAX_LINES and is_file_allowed and each.text not in texts and size <= room:
            chosen.setdefault(path, {})[each.number] = each
            texts.add(each.text)
            room -= size
    return [_snippet([lines[number] for number in sorted(lines)]) for lines in chosen.values()]


def _snippet(lines: Sequence[Usage]) -> Snippet:
    source = lines[0].source
    text = "".join(each.text + "\n" for each in lines)
    numbers = lines[0].number, lines[-1].number + 1
    return Snippet(source.path, source.language_id, *numbers, SnippetKind.SIMILAR, text)
