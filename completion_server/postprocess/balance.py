"""Whether brackets, quotes, tags and blocks stay in pairs. The scanner says so, where no grammar can."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import Enum

from completion_server.lexicon import Event, Frame, Kind, Scanner

_MAX_CHARS_AFTER = 3_000
_MAX_ERRORS = 8  # more of them say that the scanner does not understand the text


class Verdict(Enum):
    """What a text does to the pairs."""

    FINE = "fine"
    OPEN = "open"
    """It leaves more open than was before."""
    BROKEN = "broken"
    """It closes what is not open, or something after the cursor no longer closes what it closed."""


@dataclass(frozen=True)
class _Reading:
    """What the scanner saw; places are counted from the end of the text."""

    closed: Counter[tuple[int, str]]
    errors: Counter[tuple[int, str]]
    num_open: int

    @property
    def damage(self) -> int:
        return sum(self.errors.values()) + self.num_open


class Balance:
    """Compares the text around a place as it is with what it becomes."""

    def __init__(self, before: Scanner, after: str, line_start: int, *, cut: tuple[bool, bool]) -> None:
        """``cut``: whether the document begins before ``before``, and whether it goes on after ``after``."""
        self._is_cut_above, is_cut_below = cut
        self._before = before
        self._after = after
        if len(after) > _MAX_CHARS_AFTER:
            self._after = after[: after.rfind("\n", 0, _MAX_CHARS_AFTER) + 1] or after[:_MAX_CHARS_AFTER]
            is_cut_below = True
        self.is_cut_below = is_cut_below
        self._bases = [self._read("", 0)]
        finished = self._read("", 0, line_start)
        if finished.damage < self._bases[0].damage or self._is_in_open_string(line_start):
            self._bases.append(finished)
        self._is_noise = sum(self._bases[-1].errors.values()) > _MAX_ERRORS
        self._verdicts: dict[tuple[str, int], Verdict] = {}

    def _is_in_open_string(self, line_start: int) -> bool:
        """Whether the cursor is in a string that begins on its line, and does not end there."""
        scanner = self._before.fork()
        scanner.extend(self._before.text + self._after.split("\n", 1)[0])
        scanner.finish()
        frames = [frame for frame in scanner.frames if frame.kind is Kind.TEXT]
        return any(line_start <= frame.at < scanner.begin for frame in frames)

    def judge(self, text: str, num_replaced: int = 0) -> Verdict:
        """What ``text`` does that takes the place of so many characters after the cursor."""
        if self._before.lexicon.is_prose or self._is_noise:
            return Verdict.FINE
        key = text, num_replaced
        if key not in self._verdicts:
            self._verdicts[key] = self._judge(text, num_replaced)
        return self._verdicts[key]

    def _judge(self, text: str, num_replaced: int) -> Verdict:
        reading = self._read(text, num_replaced)
        num_left = len(self._after) - num_replaced
        if any(at > num_left for at, _ in reading.errors):
            return Verdict.BROKEN
        verdicts = {_compare(base, reading, num_left) for base in self._bases}
        return next(verdict for verdict in Verdict if verdict in verdicts)

    def _ends_earlier(self, scanner: Scanner, event: Event) -> bool:
        """Whether ``event`` may close a block that begins before the text that is scanned."""
        is_block = event.closer == "}" or event.closer.startswith("</")
        line = scanner.text[scanner.text.rfind("\n", 0, event.at) + 1 : event.at]
        return self._is_cut_above and is_block and event.at in scanner.unopened and not line.strip()

    def _read(self, text: str, num_replaced: int, line_start: int | None = None) -> _Reading:
        """What is open and closed with ``text``, as if all had been closed that opened since ``line_start``."""
        scanner = self._before.fork()
        whole = self._before.text + text + self._after[num_replaced:]
        if line_start is not None:
            scanner.finish()
            scanner.frames = [frame for frame in scanner.frames if frame.at < line_start]
        scanner.extend(whole)
        scanner.finish()
        end = len(whole)
        return _Reading(
            Counter((end - event.at, event.closer) for event in scanner.closed),
            Counter(
                (end - event.at, event.closer)
                for event in scanner.errors
                if not self._ends_earlier(scanner, event)
            ),
            sum(_counts(frame) for frame in scanner.frames)
            + sum(scanner.begin <= frame.at < scanner.begin + len(text) for frame in scanner.omitted),
        )


def _counts(frame: Frame) -> bool:
    return frame.closer != "" and (frame.kind is Kind.ELEMENT or not frame.is_weak)


def _compare(base: _Reading, reading: _Reading, num_left: int) -> Verdict:
    if reading.damage < base.damage:
        return Verdict.FINE  # it ends what was open: a string that took in all that follows
    expected = Counter({key: number for key, number in base.closed.items() if key[0] <= num_left})
    if reading.errors - base.errors or expected - reading.closed:
        return Verdict.BROKEN
    return Verdict.OPEN if reading.num_open > base.num_open else Verdict.FINE
