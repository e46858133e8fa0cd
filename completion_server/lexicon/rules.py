"""What a lexicon is: the delimiters of one language, as data. A rule says what begins at a character."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

CLOSER_OF = {"(": ")", "[": "]", "{": "}"}
_MIRROR = {**CLOSER_OF, "<": ">"}
_LOOK_BACK = 48

Holes = tuple[tuple[str, str], ...]
"""What begins code inside of text, and what ends it there."""


@lru_cache(maxsize=2048)
def compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


@dataclass(frozen=True)
class Rule:
    """Something that begins at one of the characters ``first`` where the expression ``opener`` matches.

    ``behind`` has to match the end of what stands before it. ``unfinished`` matches all of a text from there on
    that may yet become an opener as it grows.
    """

    first: str
    opener: str
    behind: str = ""
    unfinished: str = ""

    def match(self, text: str, at: int) -> re.Match[str] | None:
        if self.behind and not compiled(self.behind).search(text[max(at - _LOOK_BACK, 0) : at]):
            return None
        return compiled(self.opener).match(text, at)


@dataclass(frozen=True)
class Atom(Rule):
    """Something without an inside: a character literal, an escaped bracket."""


@dataclass(frozen=True)
class Text(Rule):
    """A string, a comment or an expression of patterns: all of it is text, up to its end, but for its holes.

    ``end`` may name groups of ``opener``; ``mirrors``: a bracket in it becomes its closer, and brackets nest.
    ``end`` "" is the end of the line. ``literals``: what looks like an end or a hole and is text.
    """

    end: str = ""
    kind: Literal["string", "comment"] = "string"
    is_multi_line: bool = False
    escape: str = "\\"
    holes: Holes = ()
    literals: tuple[str, ...] = ()
    mirrors: bool = False
    nests: bool = False
    has_sets: bool = False
    """``[...]`` in it is text, as in a regular expression."""
    hole_language: str = ""
    """The language in the holes; "" is that of the code around."""

    @property
    def sign(self) -> str:
        """The opener as it is written, without its conditions."""
        return self.opener.split("(?")[0].replace("\\", "")

    def end_for(self, found: re.Match[str]) -> str:
        end = found.expand(self.end) if "\\" in self.end else self.end
        return _MIRROR.get(end, end) if self.mirrors else end


@dataclass(frozen=True)
class HereDocument(Text):
    """Text that begins with the next line, and ends with a line that is the word ``end`` only."""


@dataclass(frozen=True)
class Hole(Rule):
    """Code of another language, or of the same, up to ``end``."""

    end: str = ""
    language: str = ""


@dataclass(frozen=True)
class Block(Rule):
    """Words in pairs, as ``\\begin{a}`` and ``\\end{a}``: ``end`` names groups of ``opener``."""

    end: str = ""


@dataclass(frozen=True)
class BlockEnd(Rule):
    """What ends the ``Block`` whose ``end`` is the text that is matched."""


@dataclass(frozen=True)
class Tag(Rule):
    """``<name``, the beginning of a tag: group 1 is the name."""


@dataclass(frozen=True)
class TagEnd(Rule):
    """``</name>``: group 1 is the name."""


@dataclass(frozen=True)
class Markup:
    """How elements are read: ``tag`` is the language of a tag, ``content`` that between the tags."""

    tag: str
    content: str
    void: frozenset[str] = frozenset()
    """Elements without an end."""
    optional: frozenset[str] = frozenset()
    """Elements that end with the one around."""
    raw: Mapping[str, str] = None  # type: ignore[assignment]
    """The languages of elements whose content is no markup."""


@dataclass(frozen=True, eq=False)
class Lexicon:
    """The delimiters of one language. Of the ``rules`` for a character the first that matches counts.

    ``angle_after``: ``<`` is a bracket of types behind what this matches; ``angle_inside``: and such a character.
    """

    name: str = ""
    rules: tuple[Rule, ...] = ()
    brackets: str = "([{"
    angle_after: str = ""
    angle_inside: str = ""
    lone: str = ""
    """Closers that need no opener."""
    markup: Markup | None = None
    is_prose: bool = False
    """Brackets need not be in pairs."""
    is_tolerant: bool = False
    """The grammar, if there is one, takes what is left open for no error."""

    @cached_property
    def rules_at(self) -> dict[str, tuple[Rule, ...]]:
        """The rules by the character that they begin with."""
        firsts = {char for rule in self.rules for char in rule.first}
        return {char: tuple(rule for rule in self.rules if char in rule.first) for char in firsts}

    @cached_property
    def closers(self) -> str:
        return "".join(CLOSER_OF[bracket] for bracket in self.brackets)

    @cached_property
    def line_comments(self) -> tuple[str, ...]:
        """What a comment of one line begins with."""
        return tuple(rule.sign for rule in self._comments if not rule.end)

    @cached_property
    def comments(self) -> tuple[str, ...]:
        """What a comment begins with."""
        return tuple(rule.sign for rule in self._comments)

    @property
    def _comments(self) -> list[Text]:
        return [rule for rule in self.rules if isinstance(rule, Text) and rule.kind == "comment"]

    @lru_cache(maxsize=8)  # noqa: B019 - lexicons live as long as the process
    def marks(self, also: str) -> re.Pattern[str]:
        """Finds the characters that can mean anything, and those in ``also``."""
        angles = "<>;&|" if self.angle_after else ""
        brackets = self.brackets + self.closers
        return re.compile(f"[{re.escape(brackets + angles + ''.join(self.rules_at) + also)}\r\n]")
