"""One thing that a source file offers to others, and how it is shown: a head, and members as there is room."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

_INDENT = "    "
_ROW_CHARS = 90
_SHARE_OF_LINES = 0.65


@dataclass(frozen=True)
class Member:
    """A method, field or constant: its name and its lines, indented; with a ``separator`` several share one."""

    name: str
    text: str = field(repr=False)
    separator: str = ""

    @property
    def first_line(self) -> str:
        """The signature, without a docstring."""
        return self.text if self.separator else self.text.partition("\n")[0] + "\n"


@dataclass(frozen=True)
class Definition:
    """One thing that a file defines at its top level. Lines are zero-based, ``end_line`` exclusive."""

    name: str
    head: str = field(repr=False)
    first_line: int = 0
    end_line: int = 0
    members: tuple[Member, ...] = field(default=(), repr=False)
    tail: str = field(default="", repr=False)
    names: frozenset[str] = frozenset()
    """Names by which it is reached: its own, and all that one declaration declares."""
    owner: str = ""
    """The type that it is a method of, where that stands elsewhere (Go, C++, prototypes of JavaScript)."""

    @property
    def is_named(self) -> bool:
        """Whether it is reached by its name alone, and is no method or ``impl`` block."""
        return not self.owner and not self.head.startswith("impl")

    @property
    def signature(self) -> str:
        """The first line of the head alone, for one of many."""
        return self.head.partition("\n")[0].removesuffix(" {") + "\n"

    def render(self, wanted: Collection[str], max_chars: int) -> str:
        """The head and as many members as fit, the most wanted first; "" when nothing fits.

        ``wanted`` are names, or names with their weights; less than none is not wanted at all. Members stay in the
        order of the file; the docstrings are those of wanted ones. Where not all fit, bare names of some follow.
        """
        head = self.head
        if len(head) + sum(len(each.first_line) for each in self.members) + len(self.tail) > max_chars:
            head = head[: head.find("\n") + 1]  # no room for its docstring
        frame = len(head) + len(self.tail)
        if frame > max_chars:
            return ""
        weights = wanted if isinstance(wanted, Mapping) else dict.fromkeys(wanted, 1.0)
        chosen = self._chosen(weights, max_chars - frame)
        while True:
            body = _joined([chosen[each] for each in sorted(chosen)])
            if frame + len(body) <= max_chars or not chosen:
                return head + body + self.tail if body or head else ""
            chosen.popitem()  # lines shared by several cost a little more than was counted

    def _chosen(self, weights: Mapping[str, float], room: int) -> dict[tuple[bool, int], tuple[str, str]]:
        """The most wanted first: (whether it is a bare name, number of the member) -> its text and separator."""
        by_use = sorted(range(len(self.members)), key=lambda each: -weights.get(self.members[each].name, 0.0))
        by_use = [each for each in by_use if weights.get(self.members[each].name, 0.0) >= 0.0]
        is_tight = sum(len(self.members[each].first_line) for each in by_use) > room
        for_lines = int(room * _SHARE_OF_LINES) if is_tight else room
        chosen: dict[tuple[bool, int], tuple[str, str]] = {}
        used = 0
        for index in by_use:
            member = self.members[index]
            weight = weights.get(member.name, 0.0)
            limit = room if weight >= 1.0 or member.separator else for_lines
            texts = [(member.text, member.separator)] if weight >= 1.0 else []
            for text, separator in [*texts, (member.first_line, member.separator)]:
                size = len(text) + 2 * bool(separator)
                if used + size <= limit:
                    chosen[False, index] = text, separator
                    used += size
                    break
            else:
                size = len(member.name) + 2
                if is_tight and not member.separator and used + size <= room:
                    chosen[True, index] = member.name, ","
                    used += size
        return chosen


def _joined(chosen: Sequence[tuple[str, str]]) -> str:
    """Texts with their separators, one after the other; short ones next to each other on lines of some length."""
    lines: list[str] = []
    row = ""
    for text, separator in chosen:
        if row and (not separator or len(row) + len(text) > _ROW_CHARS):
            lines.append(row.rstrip() + "\n")
            row = ""
        if separator:
            row = (row or _INDENT) + text + separator + " "
        else:
            lines.append(text)
    lines.append(row and row.rstrip() + "\n")
    return "".join(lines)


def row_of(names: Sequence[str], max_chars: int) -> str:
    """As many of ``names`` as fit, several on a line."""
    while names:
        text = _joined([(name, ",") for name in names])
        if len(text) <= max_chars:
            return text
        names = names[: min(len(names) * max_chars // len(text), len(names) - 1)]
    return ""
