"""A language server over stdio whose model is a script. Run as ``python -m tests.support.fake_server``.

Words on the cursor's line steer it:
  WAIT   runs "forward passes" until it is cancelled (or for a very long time)
  LIMIT  runs until the deadline of the request, then says so
  BOOM   raises
  MANY   three items
  STALL  blocks the event loop for ever
  ECHO   one item made of the characters before the cursor, reversed
  PAIR   ``a).b()`` as post-processing leaves it there
Otherwise one item, ``fake_completion()``. Counters are in ``model`` of the status command.

Words in the model's name steer loading: FAIL raises ModelNotFoundError, CRASH an unforeseen error,
GATE waits until the file that the settings name as ``model.cacheDir`` exists, CHATTY reports ten steps.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from completion_server.config import Settings
from completion_server.document import Position
from completion_server.errors import ModelNotFoundError
from completion_server.logs import configure_logging
from completion_server.lsp.job import ReportProgress
from completion_server.lsp.server import leave, run_stdio, run_tcp
from completion_server.lsp.tcp import parse_address
from completion_server.postprocess.pipeline import postprocess
from completion_server.postprocess.place import Place
from completion_server.request import Completion, CompletionItem, CompletionRequest, FinishReason

_PAUSE_SECONDS = 0.002
_MAX_PASSES = 30_000


class FakeService:
    """Does what the text says and counts."""

    num_loads = 0

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._counts = dict.fromkeys(
            (
                "completed",
                "cancelled",
                "passes",
                "warmed",
                "warmsCancelled",
                "prefilled",
                "cleared",
                "applied",
                "clashes",
            ),
            0,
        )
        self._changed_files: list[str] = []
        self._places: list[list[object]] = []
        self._busy = threading.Lock()
        self._main_thread = threading.get_ident()

    def complete(self, request: CompletionRequest) -> Completion:
        with self._alone():
            self._counts["completed"] += 1
            line = request.document.lines[request.position.line]
            if "BOOM" in line:
                raise RuntimeError("the scripted failure")
            if "WAIT" in line:
                return self._run_passes(request, until_deadline=False)
            if "LIMIT" in line:
                return self._run_passes(request, until_deadline=True)
            return self._answer(request, line)

    def warm(self, request: CompletionRequest) -> None:
        with self._alone():
            self._counts["warmed"] += 1
            if "FOREVER" in request.document.lines[request.position.line]:
                self._run_passes(request, until_deadline=False)
                self._counts["warmsCancelled"] += request.cancellation.is_cancelled

    def recall(self, request: CompletionRequest) -> Completion | None:
        while "STALL" in request.document.lines[request.position.line]:
            pass
        return None

    def look_ahead(self, request: CompletionRequest, completion: Completion) -> None:
        pass

    def prefill(self, request: CompletionRequest) -> None:
        with self._alone():
            self._counts["prefilled"] += 1

    def prefill_place(self, request: CompletionRequest) -> None:
        with self._alone():
            line = request.document.lines[request.position.line]
            self._places.append([line, request.position.column])

    def apply_settings(self, settings: Settings) -> None:
        with self._alone():
            self._counts["applied"] += 1
            self._settings = settings

    def clear_caches(self) -> None:
        with self._alone():
            self._counts["cleared"] += 1

    def forget(self, uri: str) -> None:
        pass

    def note_file_changes(self, uris: Sequence[str]) -> None:
        self._changed_files += uris

    def close(self) -> None:
        pass

    def status(self) -> dict[str, object]:
        return {
            **self._counts,
            "changedFiles": self._changed_files,
            "places": self._places,
            "loads": FakeService.num_loads,
            "name": self._settings.model.name,
            "temperature": self._settings.generation.temperature,
            "torch": "torch" in sys.modules,
            "warnings": ["of no known family"] if self._settings.model.name == "WARN" else [],
        }

    def _answer(self, request: CompletionRequest, line: str) -> Completion:
        place = request.position
        start, end = place, place
        texts = ["fake_completion()"]
        if "MANY" in line:
            texts = ["one()", "two()", "three()", "four()"]
        if "ECHO" in line:
            texts = [line[: place.column][::-1]]
        if "PAIR" in line:
            shown = postprocess("a).b()", Place.of(request.document, place, is_partial=False, is_single_line=True))
            texts, end = [shown.text], Position(place.line, place.column + shown.num_replaced)
        if request.selected is not None:
            start, end = request.selected.start, request.selected.end
            texts = [request.selected.text + "_extended", "unrelated"]
        items = tuple(CompletionItem(text, start, end) for text in texts[: request.max_items])
        trace = {"others": len(request.workspace.documents), "root": request.workspace.root_uri}
        return Completion(items, FinishReason.STOP, dict(trace))

    def _run_passes(self, request: CompletionRequest, until_deadline: bool) -> Completion:
        pause = threading.Event()
        for _ in range(_MAX_PASSES):
            if request.cancellation.is_cancelled:
                self._counts["cancelled"] += 1
                return Completion.empty(FinishReason.CANCELLED)
            if until_deadline and request.deadline.has_passed:
                partial = CompletionItem("partial", request.position, request.position)
                return Completion((partial,), FinishReason.DEADLINE)
            self._counts["passes"] += 1
            pause.wait(_PAUSE_SECONDS)
        raise AssertionError("never cancelled")

    def _alone(self) -> threading.Lock:
        """Counts calls that overlap or come from another thread: there must be none."""
        if self._busy.locked() or threading.get_ident() != self._main_thread:
            self._counts["clashes"] += 1
        return self._busy


def build_service(settings: Settings, progress: ReportProgress) -> FakeService:
    FakeService.num_loads += 1
    name = settings.model.name
    if "FAIL" in name:
        raise ModelNotFoundError("no such model; run: completion-server models list")
    if "CRASH" in name:
        raise ZeroDivisionError("an unforeseen error")
    if "CHATTY" in name:
        for step in range(10):
            progress(f"step {step}", step / 10)
    if "GATE" in name:
        pause = threading.Event()
        while not Path(settings.model.cache_dir).exists():
            pause.wait(_PAUSE_SECONDS)
    # Over stdio a stray print must not harm the protocol.
    print("a stray print")  # noqa: T201
    return FakeService(settings)


def main() -> None:
    configure_logging("info")
    if len(sys.argv) > 1:
        host, port = parse_address(sys.argv[1])
        token = sys.argv[2] if len(sys.argv) > 2 else None
        leave(run_tcp(build_service, host, port, on_listening=_announce, token=token))
    leave(run_stdio(build_service))


def _announce(host: str, port: int) -> None:
    sys.stderr.write(f"listening on {host}:{port}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
