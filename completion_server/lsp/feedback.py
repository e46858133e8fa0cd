"""What becomes of a suggestion in the editor: shown, accepted, in part, passed over, still there later.

Lives on the event loop. Texts stay in memory only as long as they may be asked about; the log gets numbers.
Accepting is learned from the item's command, from the optional notifications ``textDocument/didShowCompletion``
and ``textDocument/didPartiallyAcceptCompletion`` (as Copilot's language server has them), or seen in the document;
turning down from ``textDocument/didRejectCompletion``, or from what comes in its place.
"""

from __future__ import annotations

import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from lsprotocol import types

from completion_server.document import LONG_LINE_CHARS, Document, Position
from completion_server.request import Completion, CompletionRequest
from completion_server.usage_log.store import ShownSuggestion, now
from completion_server.usage_log.writer import UsageWriter

ACCEPTED_COMMAND = "completionServer.accepted"
KEPT_AFTER_SECONDS = 30.0
_MAX_REMEMBERED = 64
_LINES_AROUND = 100
_MIN_SEEN_CHARS = 2  # a change of one character is typing


@dataclass
class _Suggestion:
    key: str
    uri: str
    position: Position
    texts: tuple[str, ...]
    num_typed_chars: int = 0
    """Of the first text; typed along before it was offered again."""
    is_settled: bool = False


class Feedback:
    """Follows the last suggestions of a connection."""

    def __init__(
        self,
        writer: UsageWriter,
        snapshot: Callable[[str], Document | None],
        call_later: Callable[[float, Callable[[], None]], object],
    ) -> None:
        """``snapshot(uri)`` is an open document now; ``call_later(seconds, call)`` runs on the event loop."""
        self._writer = writer
        self._snapshot = snapshot
        self._call_later = call_later
        self._session = uuid.uuid4().hex[:12]
        self._num_suggestions = 0
        self._suggestions: OrderedDict[str, _Suggestion] = OrderedDict()
        self._last: dict[str, _Suggestion] = {}

    def offer(
        self, request: CompletionRequest, completion: Completion, model: str, latency_ms: float
    ) -> str | None:
        """Note what is sent; the key of the suggestion, None where there is none.

        What is left of the last suggestion while it is typed along is still that suggestion.
        """
        if not completion.items:
            return None
        uri, texts = request.document.uri, tuple(item.text for item in completion.items)
        last = self._last.get(uri)
        if last is not None and not last.is_settled and last.texts[0].endswith(texts[0]):
            last.num_typed_chars = len(last.texts[0]) - len(texts[0])
            return last.key
        self._settle(uri)
        self._num_suggestions += 1
        key = f"{self._session}-{self._num_suggestions}"
        suggestion = _Suggestion(key, uri, request.position, texts)
        self._last[uri] = self._suggestions[key] = suggestion
        if len(self._suggestions) > _MAX_REMEMBERED:
            self._suggestions.popitem(last=False)
        score = completion.trace.get("gate_score")
        shown = ShownSuggestion(
            key,
            now(),
            request.document.language_id,
            model,
            request.trigger.name.lower(),
            score if isinstance(score, float) else None,
            len(texts[0]),
            texts[0].count("\n") + 1,
            latency_ms,
        )
        self._writer.write(lambda store: store.add(shown))
        return key

    def confirm(self, key: object) -> bool:
        """The editor has shown it; whether the key is known."""
        if not isinstance(key, str) or key not in self._suggestions:
            return False
        self._writer.write(lambda store: store.confirm(key))
        return True

    def accept(self, key: object, number: object = 0, num_chars: object = None, offered: object = None) -> bool:
        """Item ``number``, or its first ``num_chars`` characters, was taken over; whether the key is known.

        ``offered`` is the item's text as the editor has it: it may be what was left when some was typed along.
        """
        suggestion = self._suggestions.get(key) if isinstance(key, str) else None
        if suggestion is None:
            return False
        index = number if isinstance(number, int) and 0 <= number < len(suggestion.texts) else 0
        text = suggestion.texts[index]
        if isinstance(num_chars, int) and isinstance(offered, str) and text.endswith(offered):
            num_chars += len(text) - len(offered)
        is_part = isinstance(num_chars, int) and 0 <= num_chars < len(text)
        taken = text[:num_chars] if is_part and isinstance(num_chars, int) else text
        if suggestion.is_settled or not taken:
            return True
        suggestion.is_settled = not is_part
        self._writer.write(lambda store: store.accept(suggestion.key, len(taken), is_whole=not is_part))
        self._call_later(KEPT_AFTER_SECONDS, partial(self._check_kept, suggestion, taken))
        return True

    def reject(self, key: object) -> bool:
        """The user sent it away; whether the key is known. What was accepted stays accepted."""
        suggestion = self._suggestions.get(key) if isinstance(key, str) else None
        if suggestion is None:
            return False
        if not suggestion.is_settled:
            suggestion.is_settled = True
            self._writer.write(lambda store: store.ignore(suggestion.key))
        return True

    def see_change(self, uri: str, changes: Iterable[object]) -> None:
        """Take an edit that inserts just what is offered for accepting it: some editors run no command."""
        suggestion = self._last.get(uri)
        if suggestion is None or suggestion.is_settled:
            return
        offered = {
            text[suggestion.num_typed_chars if not number else 0 :]: number
            for number, text in enumerate(suggestion.texts)
        }
        for change in changes:
            text = getattr(change, "text", "").replace("\r\n", "\n")
            number = next((at for each, at in offered.items() if each.replace("\r\n", "\n") == text), None)
            if number is not None and len(text) >= _MIN_SEEN_CHARS:
                self.accept(suggestion.key, number)

    def close_document(self, uri: str) -> None:
        """Nothing more is going to happen there."""
        self._settle(uri)

    def command_for(self, key: str, number: int) -> types.Command:
        """What an editor runs when item ``number`` is accepted."""
        return types.Command("Accepted", ACCEPTED_COMMAND, arguments=[key, number])

    def _settle(self, uri: str) -> None:
        last = self._last.pop(uri, None)
        if last is not None and not last.is_settled:
            last.is_settled = True
            self._writer.write(lambda store: store.ignore(last.key))

    def _check_kept(self, suggestion: _Suggestion, taken: str) -> None:
        document = self._snapshot(suggestion.uri)
        if document is not None:
            num_chars = count_kept(taken, document, suggestion.position)
            self._writer.write(lambda store: store.keep(suggestion.key, num_chars))


def count_kept(text: str, document: Document, place: Position) -> int:
    """How many characters of the accepted ``text`` still stand near ``place``.

    By line, the longest head of it that is part of a line there; white space at both ends of a line counts with
    the rest of it.
    """
    first = max(place.column - LONG_LINE_CHARS // 2, 0)
    lines = document.lines[max(place.line - _LINES_AROUND, 0) : place.line + _LINES_AROUND]
    around = [
        (each if len(each) <= LONG_LINE_CHARS else each[first : first + LONG_LINE_CHARS]).strip() for each in lines
    ]
    return sum(_num_kept(each, around) for each in text.splitlines(keepends=True))


def _num_kept(line: str, around: list[str]) -> int:
    wanted = line.strip()
    if not wanted:
        return len(line)
    if any(wanted in each for each in around):
        return len(line)
    begin = wanted[:3]
    return max((_common_length(wanted, each[each.find(begin) :]) for each in around if begin in each), default=0)


def _common_length(first: str, second: str) -> int:
    pairs = zip(first, second, strict=False)
    return next((number for number, (a, b) in enumerate(pairs) if a != b), min(len(first), len(second)))
