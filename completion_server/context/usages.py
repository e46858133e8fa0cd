"""What the files beside a document write behind the expression at its cursor: ``chroma.MustNewStyle("a")``.

Where types cannot be followed this is all that is known of an expression's members; where they can it says which
are used, and how.
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
_MAX_LINES = 6
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
    """Of the expression that ``place`` stands behind, in the first of ``sources``; nothing elsewhere."""
    if not place.is_member:
        return Usages({})
    name = place.qualifiers[0].steps[-1].removesuffix("()")
    pattern = re.compile(rf"(?<!\w){re.escape(name)}(?:\(\))?(?:\?\.|\.|->|::)(\w+)")
    counts: dict[str, int] = {}
    lines: dict[str, Usage] = {}
    for source in sources[:_MAX_FILES]:
        text = source.text[:_MAX_FILE_CHARS]
        found: dict[str, int] = {}
        for match in pattern.finditer(text):
            found.setdefault(match[1], match.start())
        for member, at in found.items():
            counts[member] = counts.get(member, 0) + 1
            if member not in lines and name not in SELF_NAMES:
                start, end = text.rfind("\n", 0, at) + 1, text.find("\n", at)
                line = text[start : end if end >= 0 else len(text)].strip()
                if _MIN_LINE_CHARS <= len(line) <= _MAX_LINE_CHARS:
                    lines[member] = Usage(source, text.count("\n", 0, start), line, member)
    shares = {member: min(count, _MANY) / _MANY for member, count in counts.items()}
    return Usages(shares, tuple(lines.values()))


def usage_snippet(usages: Usages, likeness: Callable[[str], float], max_chars: int) -> Snippet | None:
    """Lines of one file, those whose members are most wanted; None where there are none."""
    ranked = sorted(usages.lines, key=lambda each: (-likeness(each.name), each.source.path, each.number))
    if not ranked:
        return None
    by_path: dict[str, list[Usage]] = {}
    for each in ranked[:_MAX_LINES]:
        by_path.setdefault(each.source.path, []).append(each)
    first = ranked[0]
    room = max_chars - len(first.source.path) - 4
    chosen: dict[int, str] = {}
    for each in [*by_path[first.source.path], *ranked]:
        is_new = each.text not in chosen.values()
        if is_new and len(each.text) < room and len(chosen) < _MAX_LINES and each.source is first.source:
            chosen[each.number] = each.text
            room -= len(each.text) + 1
    if not chosen:
        return None
    numbers = sorted(chosen)
    text = "".join(chosen[number] + "\n" for number in numbers)
    source = first.source
    return Snippet(source.path, source.language_id, numbers[0], numbers[-1] + 1, SnippetKind.SIMILAR, text)
