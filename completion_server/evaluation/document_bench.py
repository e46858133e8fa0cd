"""What a key press costs in the document layer, against pygls' own text document in the same run."""

from __future__ import annotations

import itertools
import json
import statistics
import time
from collections.abc import Callable, Sequence
from typing import NoReturn, TypeVar

from lsprotocol import types
from pygls.workspace import TextDocument

from completion_server.document import Position
from completion_server.line_window import LineWindow
from completion_server.lsp.documents import DocumentStore
from completion_server.lsp.server import create_server
from completion_server.request import CancellationToken, CompletionRequest, Deadline, TriggerKind
from completion_server.trigger import decide_trigger

SIZES = (1_000, 10_000, 50_000)
LONG_LINE_CHARS = 5_000_000
_LINE = "    result = some_function(argument_one, argument_two)  # comment {}\n"
_Event = TypeVar("_Event")
_URI = "file:///bench.py"
_NUM_KEY_PRESSES = 300
_NUM_SLOW_KEY_PRESSES = 30
_NUM_COLUMNS = 40


def run() -> dict[str, object]:
    """Times in ms (p10, median, p90) per number of lines, and for one line of LONG_LINE_CHARS characters.

    A key press in the document alone, with the snapshot that a request takes, a new line with its snapshot, the
    window of a request with the decision what to ask, a key press from the message's bytes on, and the key press
    in pygls' document.
    """
    by_size = {
        str(num_lines): _measure("".join(map(_LINE.format, range(num_lines))), num_lines // 2, 4)
        for num_lines in SIZES
    }
    piece = "call(argument_one, 'ä');"
    line = piece * (LONG_LINE_CHARS // len(piece))
    return {**by_size, f"1 of {len(line):,} characters": _measure(line + "\n", 0, len(line) - _NUM_COLUMNS)}


def _measure(text: str, line: int, column: int) -> dict[str, dict[str, float]]:
    store = DocumentStore()
    store.open(types.TextDocumentItem(_URI, "python", 1, text))
    theirs = TextDocument(_URI, text, version=1, language_id="python")
    is_long = column > _NUM_COLUMNS
    num_keys = _NUM_SLOW_KEY_PRESSES if is_long else _NUM_KEY_PRESSES
    key_presses = [_insertion(line, column + number % _NUM_COLUMNS, "x") for number in range(num_keys)]
    new_lines = [_insertion(line, 4, "\n")] * num_keys

    versions = itertools.count(2)

    def change(event: types.TextDocumentContentChangePartial) -> None:
        store.change(_URI, next(versions), [event])

    def change_and_snapshot(event: types.TextDocumentContentChangePartial) -> None:
        change(event)
        store.snapshot(_URI)

    def ask(event: types.TextDocumentContentChangePartial) -> None:
        document = store.snapshot(_URI)
        assert document is not None
        place = document.clamp(Position(event.range.start.line, event.range.start.character))
        kind, deadline = TriggerKind.AUTOMATIC, Deadline.never()
        window = LineWindow.of(CompletionRequest(document, place, kind, deadline, CancellationToken())).request
        decide_trigger(window.document, window.position, kind)

    return {
        "change": _time_each(change, key_presses),
        "changeAndSnapshot": _time_each(change_and_snapshot, key_presses),
        "windowAndTrigger": _time_each(ask, key_presses),
        "newLineAndSnapshot": _time_each(change_and_snapshot, new_lines),
        "messageBytes": _time_each(_message_handler(text), _messages(line, column, num_keys)),
        "pyglsChange": _time_each(theirs.apply_change, key_presses[: 4 if is_long else _NUM_SLOW_KEY_PRESSES]),
    }


def _insertion(line: int, character: int, text: str) -> types.TextDocumentContentChangePartial:
    place = types.Position(line, character)
    return types.TextDocumentContentChangePartial(range=types.Range(place, place), text=text)


def _messages(line: int, column: int, num_keys: int) -> list[bytes]:
    """The key presses as a client sends them, without the header."""
    bodies = []
    for number in range(num_keys):
        place = {"line": line, "character": column + number % _NUM_COLUMNS}
        change = {"range": {"start": place, "end": place}, "text": "x"}
        document = {"uri": _URI, "version": number + 2}
        params = {"textDocument": document, "contentChanges": [change]}
        bodies.append(_encode("textDocument/didChange", params))
    return bodies


def _message_handler(text: str) -> Callable[[bytes], object]:
    """An initialized server with the document open, as a function of a message's body."""
    protocol = create_server(_no_service).protocol
    protocol.receive(_encode("initialize", {"processId": None, "rootUri": None, "capabilities": {}}, 1), 0.0)
    item = {"uri": _URI, "languageId": "python", "version": 1, "text": text}
    protocol.receive(_encode("textDocument/didOpen", {"textDocument": item}), 0.0)
    return lambda body: protocol.receive(body, 0.0)


def _no_service(_settings: object, _progress: object) -> NoReturn:
    raise AssertionError("this server is never told to load a model")


def _encode(method: str, params: object, request_id: int | None = None) -> bytes:
    message: dict[str, object] = {"jsonrpc": "2.0", "method": method, "params": params}
    return json.dumps(message if request_id is None else {**message, "id": request_id}).encode()


def _time_each(function: Callable[[_Event], object], events: Sequence[_Event]) -> dict[str, float]:
    function(events[0])
    times = []
    for event in events[1:]:
        started_at = time.perf_counter()
        function(event)
        times.append((time.perf_counter() - started_at) * 1000)
    deciles = statistics.quantiles(times, n=10)
    return {"p10": deciles[0], "median": statistics.median(times), "p90": deciles[-1]}
