from __future__ import annotations

import json
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from completion_server.document import LineBuffer, Position
from completion_server.evaluation.replay.plan import KINDS, make_session
from completion_server.evaluation.replay.session import (
    Place,
    Session,
    Step,
    StepKind,
    Typist,
    agreeing_head,
)
from completion_server.evaluation.replay.source import SourceFile

FUNCTION = '''def part_{0}(first, second):
    """Adds {0}."""
    total = combine(first, second + {0})
    if total > limit_of(second, "x"):
        return call(total, first, {0})

    return total


'''
SOURCE = SourceFile("parts.py", "python", "".join(FUNCTION.format(number) for number in range(80)))
SUGGESTIONS = st.lists(st.sampled_from(["", "total", "re", "x = 1", "right", "right and more", "\n    if total"]))
kinds, seeds = st.sampled_from(KINDS), st.integers(0, 10_000)


@cache
def session(kind: str, seed: int) -> Session:
    return make_session(kind, (SOURCE,), 40, seed)


def replay(played: Session, suggestions: list[str]) -> str:
    """The text after all steps, with ``suggestions`` on the screen in turn; "right" stands for what comes next."""
    typist, buffer = Typist(played), LineBuffer(played.text)
    for number, step in enumerate(played.steps):
        if typist.is_done_already(step):
            continue
        shown = suggestions[number % len(suggestions)] if suggestions else ""
        if shown.startswith("right"):
            shown = typist.expected[: 1 + number % 9] + shown[len("right") :]
        for edit in typist.edits(step, shown):
            buffer.replace(edit.start, edit.end, edit.text)
    return buffer.text


@given(kinds, seeds, SUGGESTIONS)
def test_every_session_ends_with_the_real_text(kind: str, seed: int, suggestions: list[str]) -> None:
    played = session(kind, seed)
    assert played.text != SOURCE.text
    assert replay(played, suggestions) == played.final_text == SOURCE.text


@given(kinds, seeds)
def test_a_session_is_json_and_the_same_on_every_run(kind: str, seed: int) -> None:
    made = session(kind, seed)
    assert Session.from_dict(json.loads(json.dumps(made.as_dict()))) == made
    assert make_session(kind, (SOURCE,), 40, seed) == made


@given(kinds, seeds)
def test_steps_are_timed_and_about_as_many_as_asked_for(kind: str, seed: int) -> None:
    made = session(kind, seed)
    assert 5 <= made.num_keys <= 120
    assert all(20 < step.gap_ms <= 3000 for step in made.steps)


def test_kinds_do_what_their_names_say() -> None:
    used = {kind: {step.kind for step in session(kind, 1).steps} for kind in KINDS}
    assert used["function"] == {StepKind.KEY}
    assert StepKind.BACKSPACE in used["delete"]
    assert StepKind.ACCEPT in used["accept"]
    assert StepKind.ALONG in used["along"]
    assert len(session("jump", 1).places) == 2
    assert all("\n" not in place.text for place in session("line", 1).places)


def two_places() -> Session:
    places = (Place(Position(0, 2), "b\n  c\n  d"), Place(Position(1, 1), "yz"))
    steps = (
        Step(StepKind.JUMP, 900.0, 1),
        Step(StepKind.KEY, 100.0, 1, 0, 1),
        Step(StepKind.JUMP, 900.0, 0),
        Step(StepKind.KEY, 100.0, 0, 0, 9),
        Step(StepKind.BACKSPACE, 100.0, 0, 5, 9),
        Step(StepKind.KEY, 100.0, 0, 5, 9),
        Step(StepKind.JUMP, 900.0, 1),
        Step(StepKind.KEY, 100.0, 1, 1, 2),
    )
    return Session("a", "jump", "python", "a \nx!\n", places, steps)


def test_places_below_move_with_the_lines_above() -> None:
    assert replay(two_places(), []) == two_places().final_text == "a b\n  c\n  d\nxyz!\n"


def test_accepting_takes_what_is_right_and_the_keys_for_it_fall_away() -> None:
    steps = (
        Step(StepKind.ACCEPT, 400.0),
        Step(StepKind.KEY, 100.0, 0, 0, 1),
        Step(StepKind.KEY, 100.0, 0, 1, 6),
    )
    played = Session("a", "accept", "python", "", (Place(Position(0, 0), "ab = c"),), steps)
    typist = Typist(played)
    accepted = typist.edits(steps[0], "ab = different")
    assert [(edit.text, edit.expected) for edit in accepted] == [("ab =", " c")]
    assert typist.is_done_already(steps[1])
    assert not typist.is_done_already(steps[2])
    assert [edit.text for edit in typist.edits(steps[2], "")] == [" c"]


def test_typing_along_a_wrong_suggestion_is_taken_back() -> None:
    step = Step(StepKind.ALONG, 400.0, count=5)
    played = Session("a", "along", "python", "", (Place(Position(0, 0), "abcdef"),), (step,))
    typist = Typist(played)
    edits = typist.edits(step, "abXYZW")
    assert [(edit.text, edit.expected) for edit in edits] == [
        ("a", "bcdef"),
        ("b", "cdef"),
        ("X", ""),
        ("Y", ""),
        ("Z", ""),
        ("", "cdef"),
    ]
    assert (edits[-1].start, edits[-1].end) == (Position(0, 2), Position(0, 5))
    assert typist.edits(step, "") == []


@pytest.mark.parametrize(
    ("suggestion", "expected", "head"),
    [
        ("abc", "abcdef", "abc"),
        ("self.value)", "self.values)", "self."),
        ("x, y)", "x, z)", "x,"),
        ("wrong", "right", ""),
        ("", "right", ""),
    ],
)
def test_words_are_accepted_as_far_as_they_are_right(suggestion: str, expected: str, head: str) -> None:
    assert agreeing_head(suggestion, expected) == head
