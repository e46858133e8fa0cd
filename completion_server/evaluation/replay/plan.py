"""Makes typing sessions out of source files: what is taken out of a file and how a person would type it again.

The same seed gives the same sessions on every machine with the same sources.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from completion_server.document import Document, LineBuffer, Position, line_body, split_lines
from completion_server.errors import DocumentError
from completion_server.evaluation.replay.rhythm import Rhythm
from completion_server.evaluation.replay.session import Place, Session, Step, StepKind
from completion_server.evaluation.replay.source import SourceFile
from completion_server.evaluation.typing_session import split_keys

_HEADER = re.compile(r"(\s*)(?:(?:async )?def .*:|.*\{)\s*$")
_ARGUMENTS = re.compile(r"(?<=\w)\(([^()\n\"'#]{6,60})\)")
_COMMENT = re.compile(r"\s*(#|//|\*|\"\"\"|def |class )")
_MIN_LINES_APART = 40


@dataclass(frozen=True)
class _Hole:
    """A piece of a file, ``start`` to ``end``, that is going to be typed."""

    start: Position
    end: Position
    text: str


def make_session(kind: str, sources: Sequence[SourceFile], num_keys: int, seed: int) -> Session:
    """A session of ``kind`` with about ``num_keys`` key presses. Raises DocumentError where no source fits."""
    rng = random.Random(f"{kind}/{seed}")
    for source in rng.sample(sources, len(sources)):
        session = _MAKERS[kind](source, num_keys, rng)
        if session is not None:
            return session
    raise DocumentError(f"no source file has a place for a typing session of the kind {kind!r}")


def make_sessions(
    kinds: Iterable[str], sources: Sequence[SourceFile], num_keys: int, seed: int
) -> tuple[Session, ...]:
    """One session of each kind."""
    return tuple(make_session(kind, sources, num_keys, seed) for kind in kinds)


def _function(source: SourceFile, num_keys: int, rng: random.Random) -> Session | None:
    return _typed_bodies("function", source, num_keys, rng, lambda keys, rhythm: _plain_steps(keys, rhythm))


def _delete(source: SourceFile, num_keys: int, rng: random.Random) -> Session | None:
    def steps(keys: Sequence[_Key], rhythm: Rhythm) -> list[Step]:
        """Types some keys, takes the last few back and types them again."""
        made: list[Step] = []
        done = 0
        while done < len(keys):
            end = min(done + rng.randint(6, 18), len(keys))
            made += _plain_steps(keys[done:end], rhythm)
            num_back = min(rng.randint(1, 7), end)
            again = keys[end - num_back : end]
            for number, key in enumerate(reversed(again)):
                made.append(
                    Step(StepKind.BACKSPACE, rhythm.backspace(is_first=number == 0), 0, key.start, key.end)
                )
            made += _plain_steps(again, rhythm)
            done = end
        return made

    return _typed_bodies("delete", source, num_keys * 2 // 3, rng, steps)


def _accept(source: SourceFile, num_keys: int, rng: random.Random) -> Session | None:
    def steps(keys: Sequence[_Key], rhythm: Rhythm) -> list[Step]:
        """Looks at the suggestion every few keys and after a line end, and takes what is right of it."""
        made: list[Step] = []
        countdown = rng.randint(3, 6)
        for key in keys:
            made += _plain_steps([key], rhythm)
            countdown -= 1
            if countdown <= 0 or "\n" in key.text:
                made.append(Step(StepKind.ACCEPT, rhythm.look()))
                countdown = rng.randint(4, 10)
        return made

    return _typed_bodies("accept", source, num_keys, rng, steps)


def _along(source: SourceFile, num_keys: int, rng: random.Random) -> Session | None:
    def steps(keys: Sequence[_Key], rhythm: Rhythm) -> list[Step]:
        """Types along the suggestion now and then, and goes on with what was to be typed."""
        made: list[Step] = []
        countdown = rng.randint(3, 6)
        for key in keys:
            made += _plain_steps([key], rhythm)
            countdown -= 1
            if countdown <= 0:
                made.append(Step(StepKind.ALONG, rhythm.look(), count=rng.randint(3, 12)))
                countdown = rng.randint(6, 12)
        return made

    return _typed_bodies("along", source, num_keys * 2 // 3, rng, steps)


def _jump(source: SourceFile, num_keys: int, rng: random.Random) -> Session | None:
    lines = split_lines(source.text)
    holes = _fitting(_function_bodies(lines, num_keys // 2), num_keys // 2)
    rng.shuffle(holes)
    for first in holes:
        far = [hole for hole in holes if abs(hole.start.line - first.start.line) >= _MIN_LINES_APART]
        if far:
            pair = sorted([first, far[0]], key=lambda hole: hole.start)
            return _session("jump", source, pair, _alternating_steps(pair, rng))
    return None


def _alternating_steps(holes: Sequence[_Hole], rng: random.Random) -> list[Step]:
    """A few keys here, a few keys there, until both are typed."""
    rhythm = Rhythm(rng)
    waiting = [_keys(hole.text) for hole in holes]
    made: list[Step] = []
    place = 0
    while any(waiting):
        if waiting[place]:
            count = rng.randint(6, 16)
            made.append(Step(StepKind.JUMP, rhythm.jump(), place))
            made += _plain_steps(waiting[place][:count], rhythm, place)
            waiting[place] = waiting[place][count:]
        place = 1 - place
    return made


def _line(source: SourceFile, num_keys: int, rng: random.Random) -> Session | None:
    """Arguments of calls within a page or two are typed anew, each in its own line."""
    lines = split_lines(source.text)
    holes = _arguments(lines)
    if not holes:
        return None
    first = rng.randrange(max(len(holes) * 3 // 4, 1))
    chosen: list[_Hole] = []
    for hole in holes[first:]:
        if sum(len(each.text) for each in chosen) + len(hole.text) > max(num_keys, len(holes[first].text)):
            break
        chosen.append(hole)
    rhythm, made = Rhythm(rng), list[Step]()
    for place, hole in enumerate(chosen):
        made.append(Step(StepKind.JUMP, rhythm.jump(), place))
        made += _plain_steps(_keys(hole.text), rhythm, place)
    return _session("line", source, chosen, made)


_MAKERS: Mapping[str, Callable[[SourceFile, int, random.Random], Session | None]] = {
    "function": _function,
    "line": _line,
    "delete": _delete,
    "jump": _jump,
    "accept": _accept,
    "along": _along,
}
KINDS = tuple(_MAKERS)


@dataclass(frozen=True)
class _Key:
    text: str
    start: int
    end: int


def _keys(text: str) -> list[_Key]:
    """Key presses that write ``text``, each with its place in it."""
    keys, start = [], 0
    for key in split_keys(text):
        keys.append(_Key(key, start, start + len(key)))
        start += len(key)
    return keys


def _plain_steps(keys: Iterable[_Key], rhythm: Rhythm, place: int = 0) -> list[Step]:
    return [Step(StepKind.KEY, rhythm.key(key.text), place, key.start, key.end) for key in keys]


def _typed_bodies(
    kind: str,
    source: SourceFile,
    num_keys: int,
    rng: random.Random,
    make_steps: Callable[[Sequence[_Key], Rhythm], list[Step]],
) -> Session | None:
    """A session that types one function body in the middle of the file."""
    holes = _function_bodies(split_lines(source.text), num_keys)
    if not holes:
        return None
    hole = rng.choice(_fitting(holes, num_keys))
    return _session(kind, source, [hole], make_steps(_keys(hole.text), Rhythm(rng)))


def _fitting(holes: Sequence[_Hole], num_keys: int) -> list[_Hole]:
    """Those with about ``num_keys`` key presses; in a file without such, the one that comes nearest."""

    def distance(hole: _Hole) -> int:
        return abs(len(split_keys(hole.text)) - num_keys)

    return [hole for hole in holes if distance(hole) <= num_keys // 4] or sorted(holes, key=distance)[:1]


def _session(kind: str, source: SourceFile, holes: Sequence[_Hole], steps: Sequence[Step]) -> Session:
    buffer = LineBuffer(source.text)
    places: list[Place] = []
    num_removed_lines = 0
    for hole in holes:
        places.append(Place(Position(hole.start.line - num_removed_lines, hole.start.column), hole.text))
        num_removed_lines += hole.end.line - hole.start.line
    for hole in reversed(holes):
        buffer.replace(hole.start, hole.end, "")
    return Session(source.name, kind, source.language_id, buffer.text, tuple(places), tuple(steps))


def _function_bodies(lines: Sequence[str], num_keys: int) -> list[_Hole]:
    """Bodies in the middle half of the file, each cut at the last line end within ``num_keys`` key presses."""
    document = Document("", "", 0, tuple(lines))
    found = []
    for number in range(len(lines) // 4, len(lines) * 3 // 4):
        header = _HEADER.match(lines[number])
        if header is None:
            continue
        end = _end_of_body(lines, number, len(header[1]), num_keys)
        if end is None:
            continue
        start = Position(number, len(line_body(lines[number])))
        stop = Position(end, len(line_body(lines[end])))
        found.append(_Hole(start, stop, _between(document, start, stop)))
    return found


def _end_of_body(lines: Sequence[str], header: int, indent: int, num_keys: int) -> int | None:
    """The line of the body whose end comes nearest to ``num_keys`` key presses; None for an empty body."""
    ends: list[tuple[int, int]] = []
    num_chars = 0
    for number in range(header + 1, len(lines)):
        body = line_body(lines[number])
        if (body.strip() and len(body) - len(body.lstrip()) <= indent) or num_chars > num_keys:
            break
        num_chars += len(body.strip()) + 1
        if body.strip():
            ends.append((abs(num_chars - num_keys), number))
    return min(ends)[1] if ends else None


def _arguments(lines: Sequence[str]) -> list[_Hole]:
    """What is between the last brackets of lines that are code, one per line, in the middle half of the file."""
    found = []
    for number in range(len(lines) // 4, len(lines) * 3 // 4):
        matches = [] if _COMMENT.match(lines[number]) else list(_ARGUMENTS.finditer(lines[number]))
        if matches:
            start, end = matches[-1].span(1)
            found.append(_Hole(Position(number, start), Position(number, end), matches[-1][1]))
    return found


def _between(document: Document, start: Position, end: Position) -> str:
    text = document.text_after(start, end.line + 1)
    return text[: len(text) - (len(document.lines[end.line]) - end.column)]
