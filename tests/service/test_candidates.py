"""Which of several generations become suggestions."""

from __future__ import annotations

import pytest

from completion_server.candidates import make_candidates
from completion_server.engine.engine import GenerationResult, GenerationStats
from completion_server.engine.writing import Generation
from completion_server.metrics import RequestTrace
from completion_server.request import FinishReason, TriggerKind
from completion_server.trigger import decide_trigger
from tests.support.marked import parse_marked

WHOLE, LATE, LONG = FinishReason.STOP, FinishReason.DEADLINE, FinishReason.LENGTH


def texts_of(marked: str, *generations: tuple[str, FinishReason], language_id: str = "javascript") -> list[str]:
    document, position = parse_marked(marked, language_id=language_id)
    made = tuple(Generation(text, (1,), (-float(n),), reason) for n, (text, reason) in enumerate(generations))
    result = GenerationResult(made, made[0].finish_reason, GenerationStats())
    trigger = decide_trigger(document, position, TriggerKind.INVOKED)
    return [each.text for each in make_candidates(result, document, position, trigger, RequestTrace("1", 0.0))]


@pytest.mark.parametrize(
    ("generations", "expected"),
    [
        ([("a.b();", WHOLE), ("Math.floor(", LATE), ("!user.", LATE)], ["a.b();"]),
        ([("Math.floor(", LATE), ("a.b();", WHOLE)], ["a.b();"]),
        ([("a.b();", WHOLE), ("Math.floor(", LONG)], ["a.b();"]),
        ([("a.b();", WHOLE), ("c.d();", WHOLE), ("e", LATE)], ["a.b();", "c.d();"]),
        ([("a.b(c); de", LATE)], ["a.b(c);"]),
        ([("a.b(c); de", LATE), ("f.g(h); ij", LATE)], ["a.b(c);"]),
    ],
)
def test_a_stub_is_no_alternative(generations: list[tuple[str, FinishReason]], expected: list[str]) -> None:
    assert texts_of("const x = ˇ\n", *generations) == expected


def test_an_alternative_of_several_lines_may_lack_the_last() -> None:
    late = ("a.b();\n  c.d();\n  e.f", LATE)
    assert texts_of("function f() {\n  ˇ\n}\n", ("x();", WHOLE), late) == ["x();", "a.b();\n  c.d();"]
