"""Each case through trigger, stop rules and filters, as the server runs them. Cases: the ``*.toml`` files here.

``text`` is the document with what is shown between ``«`` and ``»``; nothing between them: nothing is shown. The
cursor is where they stand; ``replaced`` is the text after it that gives way to what is shown. ``raw`` is what the
model writes, ``why`` the trigger's reason, the stop rule or the filter that decides, if one does. ``is_partial``:
the clock ended it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from completion_server.candidates import stop_rules_for
from completion_server.document import line_body
from completion_server.engine.stopping import find_stop
from completion_server.postprocess.pipeline import postprocess
from completion_server.postprocess.place import Place
from completion_server.request import TriggerKind
from completion_server.trigger import CompletionMode, decide_trigger
from tests.support.marked import CURSOR, parse_marked

try:
    import tomllib
except ImportError:  # Python 3.10
    import tomli as tomllib

_FOLDER = Path(__file__).parent
_MIN_NUM_CASES = 290


@dataclass(frozen=True)
class Case:
    name: str
    language_id: str
    text: str
    raw: str
    why: str = ""
    is_partial: bool = False
    is_invoked: bool = False
    replaced: str = ""


def load_cases() -> list[Case]:
    cases = []
    for path in sorted(_FOLDER.glob("*.toml")):
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        cases += [Case(**{"language_id": path.stem, **case}) for case in content["case"]]
    return cases


CASES = load_cases()


def run(case: Case) -> tuple[str, str, set[str]]:
    """What is shown, what it replaces, and everything that had a say in it."""
    head, _, rest = case.text.partition("«")
    tail = rest.partition("»")[2]
    document, position = parse_marked(head + CURSOR + tail, language_id=case.language_id)
    kind = TriggerKind.INVOKED if case.is_invoked else TriggerKind.AUTOMATIC
    trigger = decide_trigger(document, position, kind)
    if trigger.mode is CompletionMode.NONE:
        return "", "", {trigger.reason}
    rules = stop_rules_for(trigger, document, position)
    stop = next((stop for end in range(1, len(case.raw) + 1) if (stop := find_stop(rules, case.raw[:end]))), None)
    place = Place.of(
        document,
        position,
        is_partial=case.is_partial and stop is None,
        is_single_line=trigger.mode is CompletionMode.LINE,
    )
    processed = postprocess(case.raw if stop is None else case.raw[: stop.num_kept_chars], place)
    replaced = document.line_suffix(position)[: processed.num_replaced]
    return processed.text, replaced, {trigger.reason, *processed.fired} | ({stop.rule} if stop else set())


@pytest.mark.parametrize("case", CASES, ids=[f"{case.language_id}: {case.name}" for case in CASES])
def test_golden(case: Case) -> None:
    shown, replaced, reasons = run(case)
    expected = case.text.partition("«")[2].partition("»")[0]
    assert (shown, replaced) == (expected, case.replaced), reasons
    if case.why:
        assert case.why in reasons


@pytest.mark.parametrize("case", CASES, ids=[f"{case.language_id}: {case.name}" for case in CASES])
def test_the_next_line_is_never_repeated(case: Case) -> None:
    shown, _, _ = run(case)
    after = case.text.partition("»")[2].splitlines()[1:]
    following = next((line.strip() for line in after if line.strip()), "")
    if len(following) > 2:
        assert following not in [line_body(line).strip() for line in shown.splitlines()[1:]]


def test_there_are_enough_cases_and_no_two_of_one_name() -> None:
    names = Counter((case.language_id, case.name) for case in CASES)
    assert len(CASES) >= _MIN_NUM_CASES
    assert max(names.values()) == 1
    assert len({case.language_id for case in CASES}) >= 60
