"""What the scanner has open, and what it saw closed."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from completion_server.lexicon.rules import Lexicon, Rule


class Kind(Enum):
    """What a frame is."""

    BRACKET = "bracket"
    ANGLE = "angle"
    """``<`` of type arguments, unless what follows says that it was a comparison."""
    TEXT = "text"
    HOLE = "hole"
    BLOCK = "block"
    TAG = "tag"
    ELEMENT = "element"


class Frame(NamedTuple):
    """Something that is open: how it began and where, what ends it, and how its inside is read."""

    kind: Kind
    opener: str
    closer: str
    at: int
    lexicon: Lexicon
    rule: Rule | None = None
    outer: str = ""
    """What ends the code, whatever else is open in it."""

    @property
    def is_weak(self) -> bool:
        """It ends without a closer when something around it ends."""
        if self.kind is Kind.ELEMENT:
            markup = self.lexicon.markup
            return markup is not None and self.opener[1:].lower() in markup.optional
        return self.kind is Kind.ANGLE or self.closer == "?>"  # a file may end in PHP


class Event(NamedTuple):
    """A closer that was read."""

    at: int
    closer: str
