"""A typing session as plain data: a file with gaps in it, and the timed steps that fill them.

Every place knows its whole text from the start, so a step names a stretch of that text and not characters. That
makes accepting a suggestion part of a recording: it covers a stretch, and the key presses in it fall away.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

from completion_server.document import LineBuffer, Position
from completion_server.evaluation.typing_session import position_after


class StepKind(Enum):
    """What the person at the keyboard does."""

    KEY = "key"
    """Types ``start`` to ``end`` of the place's text."""
    BACKSPACE = "backspace"
    """Takes ``start`` to ``end`` away again."""
    JUMP = "jump"
    """Moves the cursor to ``place``; changes nothing."""
    ACCEPT = "accept"
    """Takes of the suggestion on the screen what agrees with what was to be typed; nothing where none does."""
    ALONG = "along"
    """Types up to ``count`` characters of the suggestion, right or wrong, then removes what was wrong."""


@dataclass(frozen=True)
class Step:
    """One action, ``gap_ms`` after the one before."""

    kind: StepKind
    gap_ms: float
    place: int = 0
    start: int = 0
    end: int = 0
    count: int = 0


@dataclass(frozen=True)
class Place:
    """A gap in the file, in coordinates of the file as it is opened, and the text that belongs there."""

    position: Position
    text: str


@dataclass(frozen=True)
class Session:
    """``text`` is the file as opened. After all steps every place holds its whole text."""

    name: str
    kind: str
    language_id: str
    text: str
    places: tuple[Place, ...]
    steps: tuple[Step, ...]

    @property
    def num_keys(self) -> int:
        """Steps that change the text when no suggestion is ever taken."""
        return sum(step.kind in (StepKind.KEY, StepKind.BACKSPACE) for step in self.steps)

    @property
    def final_text(self) -> str:
        """The file when all places are filled."""
        buffer = LineBuffer(self.text)
        for place in sorted(self.places, key=lambda each: each.position, reverse=True):
            buffer.replace(place.position, place.position, place.text)
        return buffer.text

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values, for keeping a session."""
        value = asdict(self)
        for step in value["steps"]:
            step["kind"] = step["kind"].value
        return value

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Session:
        """The inverse of ``as_dict``."""
        places = tuple(Place(Position(**each["position"]), each["text"]) for each in value["places"])
        steps = tuple(Step(**{**each, "kind": StepKind(each["kind"])}) for each in value["steps"])
        return cls(value["name"], value["kind"], value["language_id"], value["text"], places, steps)


@dataclass(frozen=True)
class Edit:
    """One change of the text as an editor sends it."""

    start: Position
    end: Position
    text: str
    expected: str
    """What is typed next, after this edit; empty while something wrong is being typed."""
    gap_ms: float = 0.0
    """Time after the edit before, where one step makes several."""


class Typist:
    """Where the cursor of each place stands, and what a step does to the text."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._starts = [place.position for place in session.places]
        self._num_typed = [0] * len(session.places)
        self._current = 0

    @property
    def position(self) -> Position:
        """The cursor."""
        return self._position_of(self._num_typed[self._current])

    @property
    def expected(self) -> str:
        """What is going to be typed at the cursor, to the end of the place."""
        return self._session.places[self._current].text[self._num_typed[self._current] :]

    def is_done_already(self, step: Step) -> bool:
        """Whether an accepted suggestion has brought the text that ``step`` would type."""
        return step.kind is StepKind.KEY and self._num_typed[step.place] >= step.end

    def edits(self, step: Step, suggestion: str) -> list[Edit]:
        """The changes that ``step`` makes while ``suggestion`` is on the screen; they count as made."""
        self._current = step.place
        if step.kind is StepKind.KEY:
            text = self._session.places[step.place].text[self._num_typed[step.place] : step.end]
            return [self._type(text)] if text else []
        if step.kind is StepKind.BACKSPACE:
            return self._remove_to(step.start)
        if step.kind is StepKind.ACCEPT:
            agreed = agreeing_head(suggestion, self.expected)
            return [self._type(agreed)] if agreed else []
        if step.kind is StepKind.ALONG:
            return self._type_along(suggestion, step)
        return []

    def _type(self, text: str, gap_ms: float = 0.0) -> Edit:
        position = self.position
        self._num_typed[self._current] += len(text)
        self._shift_later_places(text.count("\n"))
        return Edit(position, position, text, self.expected, gap_ms)

    def _remove_to(self, num_kept: int) -> list[Edit]:
        """What an accepted suggestion brought beyond the recording is not there to be removed."""
        end, num_removed = self.position, self._num_typed[self._current] - num_kept
        if num_removed <= 0:
            return []
        removed = self._session.places[self._current].text[num_kept : num_kept + num_removed]
        self._num_typed[self._current] = num_kept
        self._shift_later_places(-removed.count("\n"))
        return [Edit(self.position, end, "", self.expected)]

    def _type_along(self, suggestion: str, step: Step) -> list[Edit]:
        """Within the line: an editor's own indentation after a line end is not the suggestion's."""
        followed = suggestion.split("\n", 1)[0].rstrip("\r")[: step.count]
        agreed = common_head(followed, self.expected)
        gap_ms = step.gap_ms / 2
        edits = [self._type(character, gap_ms) for character in agreed]
        if len(agreed) == len(followed):
            return edits
        start = position = self.position
        for character in followed[len(agreed) :]:
            edits.append(Edit(position, position, character, "", gap_ms))
            position = position_after(position, character)
        return [*edits, Edit(start, position, "", self.expected, step.gap_ms)]

    def _position_of(self, num_typed: int) -> Position:
        text = self._session.places[self._current].text[:num_typed]
        return position_after(self._starts[self._current], text)

    def _shift_later_places(self, num_lines: int) -> None:
        """Places are on different lines, so only whole lines ever move."""
        here = self._starts[self._current]
        self._starts = [
            Position(start.line + num_lines, start.column) if start.line > here.line else start
            for start in self._starts
        ]


def common_head(first: str, second: str) -> str:
    """The longest text that both begin with."""
    length = 0
    for one, other in zip(first, second, strict=False):
        if one != other:
            break
        length += 1
    return first[:length]


def agreeing_head(suggestion: str, expected: str) -> str:
    """What a user takes of ``suggestion``: all of it, or its first words (accept word) while they are right."""
    agreed = common_head(suggestion, expected)
    if agreed != suggestion:
        # Back to the end of a word: an editor accepts by words, not by letters.
        length = len(agreed)
        while length and (_is_inside_word(suggestion, length) or _is_inside_word(expected, length)):
            length -= 1
        agreed = agreed[:length].rstrip()
    return agreed


def _is_inside_word(text: str, index: int) -> bool:
    before, after = text[index - 1], text[index : index + 1]
    return (before.isalnum() or before == "_") and (after.isalnum() or after == "_")
