"""Whether a key press costs more in a long file: one function typed into 500 lines and into many more."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from completion_server.document import Position, split_lines
from completion_server.evaluation.replay.session import Place, Session
from completion_server.evaluation.replay.source import SourceFile

_FILLER_BLOCK = 960
"""Lines are added in multiples of this: prompt windows are anchored at blocks of lines, and so stay the same."""


def lengthened(session: Session, fillers: Sequence[SourceFile], num_lines: int) -> Session:
    """``session`` with its file in the middle of about ``num_lines`` lines of other code."""
    num_missing = max(num_lines - len(split_lines(session.text)), 0)
    num_before = num_missing // 2 // _FILLER_BLOCK * _FILLER_BLOCK
    before = _lines(fillers, num_before)
    after = _lines(fillers, num_missing - num_before)
    places = tuple(
        Place(Position(place.position.line + num_before, place.position.column), place.text)
        for place in session.places
    )
    text = "".join(before) + session.text.rstrip("\n") + "\n" + "".join(after)
    return dataclasses.replace(session, name=f"{session.name}+{num_missing}", text=text, places=places)


def shortened(session: Session, num_lines: int) -> Session:
    """``session`` with only the ``num_lines`` of its file around the first place, whole lines."""
    lines = split_lines(session.text)
    line = session.places[0].position.line
    start = max(min(line - num_lines // 2, len(lines) - num_lines), 0)
    places = tuple(
        Place(Position(place.position.line - start, place.position.column), place.text) for place in session.places
    )
    text = "".join(lines[start : start + num_lines])
    return dataclasses.replace(session, text=text, places=places)


def _lines(fillers: Sequence[SourceFile], num_lines: int) -> list[str]:
    lines = [line for source in fillers for line in split_lines(source.text) if line.endswith("\n")]
    return (lines * (num_lines // len(lines) + 1))[:num_lines]
