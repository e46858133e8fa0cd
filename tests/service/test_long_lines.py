"""A line of any length: a window is shown, places are those of the document, and the cost does not grow."""

from __future__ import annotations

import dataclasses

import pytest

from completion_server.document import LONG_LINE_CHARS, Document, Position
from completion_server.line_window import LineWindow
from completion_server.request import (
    CancellationToken,
    Completion,
    CompletionItem,
    CompletionRequest,
    Deadline,
    FinishReason,
    SelectedCompletion,
    TriggerKind,
)
from tests.service.test_service import ScriptedEngine, make_service

_DATA = "alpha(beta); "
_KEY = "AKIA" + "Q7Z3M9X2B5N8V4C6"


def _request(
    text: str, position: Position, kind: TriggerKind = TriggerKind.AUTOMATIC, language_id: str = "javascript"
) -> CompletionRequest:
    document = Document.from_text(text, uri="file:///a.js", language_id=language_id)
    return CompletionRequest(document, position, kind, Deadline.never(), CancellationToken())


def _long(num_chars: int, data: str = _DATA) -> str:
    return (data * (num_chars // len(data) + 1))[:num_chars]


def _all_chars(document: Document) -> int:
    return max(map(len, document.lines))


@pytest.mark.parametrize("num_chars", [0, 1, 80, LONG_LINE_CHARS - 1])
def test_a_document_without_long_lines_is_left_as_it_is(num_chars: int) -> None:
    request = _request(f"a\n{_long(num_chars)}\nb\n", Position(1, num_chars))
    window = LineWindow.of(request)
    assert window.request is request
    completion = Completion((CompletionItem("x", Position(1, 0), Position(1, 0)),), FinishReason.STOP)
    assert window.moved_out(completion) is completion


@pytest.mark.parametrize("num_chars", [LONG_LINE_CHARS, 200_000, 5_000_000])
@pytest.mark.parametrize("share", [0.0, 0.0001, 0.3, 0.5, 0.999, 1.0])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", ""])
def test_of_the_cursors_line_a_window_is_kept(num_chars: int, share: float, line_end: str) -> None:
    line = _long(num_chars) + line_end
    column = int(num_chars * share)
    request = _request("first\n" + line, Position(1, column))
    window = LineWindow.of(request)
    document, position = window.request.document, window.request.position
    kept = document.lines[1]
    assert len(kept) <= LONG_LINE_CHARS
    assert document.lines[0] == "first\n"
    assert kept.endswith(line_end)
    before, after = kept[: position.column], kept[position.column :]
    assert line[:column].endswith(before)
    assert line[column:].startswith(after.removesuffix(line_end))
    assert len(before) >= min(column, 2_000)
    assert position.column + window.first_column == column


def test_the_window_keeps_still_while_somebody_types() -> None:
    line = _long(100_000)
    starts = set()
    for column in range(50_001, 50_990, 7):
        typed = line[:50_000] + line[: column - 50_000] + line[50_000:]
        starts.add(LineWindow.of(_request(typed, Position(0, column))).request.document.lines[0][:1_000])
    assert len(starts) == 1


def test_other_long_lines_are_empty_to_a_request() -> None:
    lines = ["a = 1\n", _long(20_000) + "\r\n", "b = ", "\n", _long(20_000)]
    window = LineWindow.of(_request("".join(lines), Position(2, 4)))
    assert window.request.document.lines == ("a = 1\n", "\r\n", "b = \n", "")
    assert window.request.position == Position(2, 4)
    assert window.first_column == 0


@pytest.mark.parametrize("kind", list(TriggerKind))
@pytest.mark.parametrize("column", [30_001, 199_999, 200_000])
@pytest.mark.parametrize("char", ["x", "é", "本", "😀"])
def test_an_item_stands_where_the_cursor_is(kind: TriggerKind, column: int, char: str) -> None:
    engine = ScriptedEngine("answer")
    service, prompts = make_service(engine)
    line = (char + " ") * 100_000
    completion = service.complete(_request(f"a\n{line}\n", Position(1, column), kind))
    (item,) = completion.items
    assert (item.start, item.end) == (Position(1, column), Position(1, column))
    shown, place = prompts.places[0]
    assert _all_chars(shown) <= LONG_LINE_CHARS
    assert shown.lines[1][: place.column] == line[column - place.column : column]


def test_what_a_suggestion_replaces_is_where_it_was() -> None:
    service, _ = make_service(ScriptedEngine("a).b()"))
    line = _long(50_000) + "; x = f("
    completion = service.complete(_request(f"{line})\n", Position(0, len(line))))
    (item,) = completion.items
    assert (item.text, item.start, item.end) == (
        "a).b()",
        Position(0, len(line)),
        Position(0, len(line) + 1),
    )


def test_the_same_is_suggested_as_in_a_document_of_only_the_window() -> None:
    line, column = _long(300_000) + "; x = f(", 300_008
    request = _request(f"a\n{line})\nb\n", Position(1, column))
    window = LineWindow.of(request)
    small = dataclasses.replace(window.request)
    whole_service, whole_prompts = make_service(ScriptedEngine("a).b()"))
    small_service, small_prompts = make_service(ScriptedEngine("a).b()"))
    whole, part = whole_service.complete(request), small_service.complete(small)
    assert [item.text for item in whole.items] == [item.text for item in part.items] == ["a).b()"]
    assert [document.lines for document, _ in whole_prompts.places] == [
        document.lines for document, _ in small_prompts.places
    ]


def test_a_suggestion_in_a_long_line_is_typed_along_and_found_again() -> None:
    engine = ScriptedEngine("foo(bar)")
    service, _ = make_service(engine)
    line = _long(80_000) + "x = "
    service.complete(_request(line + "\n", Position(0, len(line))))
    for typed, rest in (("", "foo(bar)"), ("f", "oo(bar)"), ("foo(b", "ar)")):
        known = service.recall(_request(f"{line}{typed}\n", Position(0, len(line) + len(typed))))
        assert known is not None
        (item,) = known.items
        assert (item.text, item.start) == (rest, Position(0, len(line) + len(typed)))
    assert engine.num_calls == 1


def test_places_that_follow_are_prepared_for_in_a_long_line() -> None:
    engine = ScriptedEngine("foo(a)")
    service, prompts = make_service(engine)
    line = _long(80_000) + "; x = "
    request = _request(line + "\n", Position(0, len(line)))
    shown = service.complete(request)
    engine.texts = ["next"]
    service.look_ahead(request, shown)
    befores = [document.line_prefix(position) for document, position in prompts.places]
    assert any(before.endswith("; x = foo(a)") for before in befores)
    assert all(_all_chars(document) <= LONG_LINE_CHARS + 10 for document, _ in prompts.places)


@pytest.mark.parametrize("first", [-6, -1, 0])
def test_the_entry_selected_in_a_list_keeps_its_place(first: int) -> None:
    service, _ = make_service(ScriptedEngine("(a)"))
    line = _long(80_000) + "x = console.lo"
    column = len(line)
    selected = SelectedCompletion(Position(0, column + first), Position(0, column), "log")
    request = dataclasses.replace(_request(line + "\n", Position(0, column)), selected=selected)
    (item,) = service.complete(request).items
    assert (item.text, item.start, item.end) == ("log(a)", selected.start, selected.end)


@pytest.mark.parametrize("end", [Position(0, 200_000), Position(1, 90_000)])
def test_an_entry_that_reaches_out_of_the_window_is_no_trouble(end: Position) -> None:
    service, _ = make_service(ScriptedEngine("(a)"))
    line = _long(100_000)
    selected = SelectedCompletion(Position(0, 60_000), end, "log")
    request = _request(f"{line}{line}\n{line}\n", Position(0, 60_000), TriggerKind.INVOKED)
    for item in service.complete(dataclasses.replace(request, selected=selected)).items:
        assert item.start == Position(0, 60_000)


@pytest.mark.parametrize("offset", range(-24, 4, 3))
def test_no_part_of_a_secret_is_left_at_the_beginning_of_the_window(offset: int) -> None:
    line = _long(60_000)
    begin = 50_000 + offset  # the window of column 53,500 begins at 50,000
    line = f"{line[:begin]} {_KEY} {line[begin:]}"
    window = LineWindow.of(_request(line + "\n", Position(0, 53_500)))
    kept = window.request.document.lines[0]
    is_whole = _KEY in kept
    assert is_whole or not any(_KEY[at : at + 6] in kept for at in range(len(_KEY) - 6))
    assert window.first_column + window.request.position.column == 53_500


@pytest.mark.parametrize(
    "language_id", ["json", "javascript", "markdown", "plaintext", "html", "unknown", "python"]
)
@pytest.mark.parametrize(
    "data", ["a", "(", '"', "'", "`", "\\", "{[(", "eyJ-", "   ", "\t", "é😀", "lambda:", "<!--"]
)
def test_any_long_line_is_answered(language_id: str, data: str) -> None:
    service, prompts = make_service(ScriptedEngine("x"))
    line = _long(1_000_000, data)
    for position in (Position(0, 500_000), Position(0, 1_000_000), Position(1, 0)):
        request = _request(f"{line}\n\n{line}", position, TriggerKind.INVOKED, language_id)
        service.complete(request)
    assert all(_all_chars(document) <= LONG_LINE_CHARS for document, _ in prompts.places)
