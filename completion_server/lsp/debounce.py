"""How long a request waits for the next key before the model is asked: not at all, unless keys overtake replies.

A fixed wait delays every suggestion. This one applies only while keys come faster than the model answers, and so
would end its work halfway: then it is as long as the typist's own gaps, and spares the passes of the keys between.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from statistics import median

from completion_server.request import CompletionRequest, TriggerKind

_NUM_GAPS = 5
_NUM_REPLIES = 9
_PAUSE_SECONDS = 1.0
"""A longer gap is no part of a burst."""
_PATIENCE = 1.5
"""Times the usual gap; of log-normal gaps (sigma 0.3 to 0.45) eight to nine of ten are shorter."""


class Debounce:
    """Learns from arrivals and replies. Not thread-safe; all instants and durations are seconds."""

    def __init__(self, max_seconds: float = 0.0) -> None:
        """``max_seconds``: the longest wait; 0: none."""
        self.max_seconds = max_seconds
        self._uri = ""
        self._last_key_at = float("-inf")
        self._gaps: deque[float] = deque(maxlen=_NUM_GAPS)
        self._replies: deque[float] = deque(maxlen=_NUM_REPLIES)

    def note_key(self, request: CompletionRequest) -> None:
        """A request has arrived, whether the model is needed for it or not."""
        if request.document.uri != self._uri:
            self._uri = request.document.uri
            self._gaps.clear()
        elif request.arrived_at - self._last_key_at < _PAUSE_SECONDS:
            self._gaps.append(request.arrived_at - self._last_key_at)
        else:
            self._gaps.clear()
        self._last_key_at = request.arrived_at

    def note_reply(self, seconds: float, *, is_whole: bool) -> None:
        """The model has worked for so long; not ``is_whole``: it was stopped, and would have needed longer."""
        if is_whole or seconds > _median(self._replies):
            self._replies.append(seconds)

    def due_at(self, request: CompletionRequest) -> float:
        """When the model may be asked; its arrival where there is nothing to wait for."""
        if not self.max_seconds or request.trigger is not TriggerKind.AUTOMATIC or not self._gaps:
            return request.arrived_at
        gap = _median(self._gaps)
        wait = gap * _PATIENCE
        is_overtaken = gap < _median(self._replies)
        return request.arrived_at + (wait if is_overtaken and wait <= self.max_seconds else 0.0)


def _median(values: Sequence[float]) -> float:
    """0 of none."""
    return median(values) if values else 0.0
