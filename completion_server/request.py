"""What crosses between the event loop and the model thread: frozen values and one cancellation token.

Knows nothing of LSP types, prompts or tensors.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from completion_server.document import Document, Position


class TriggerKind(Enum):
    """Why the editor asks (LSP 3.18 ``InlineCompletionTriggerKind``)."""

    INVOKED = 1
    AUTOMATIC = 2


class FinishReason(Enum):
    """Why a generation or a completion ended."""

    STOP = "stop"
    LENGTH = "length"
    DEADLINE = "deadline"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"
    ERROR = "error"


@dataclass(frozen=True)
class Deadline:
    """A monotonic instant (seconds) after which no further forward pass starts."""

    at: float
    clock: Callable[[], float] = field(default=time.monotonic, repr=False, compare=False)

    @classmethod
    def after_ms(
        cls, timeout_ms: float, *, since: float | None = None, clock: Callable[[], float] = time.monotonic
    ) -> Deadline:
        """``timeout_ms`` after ``since`` (an instant of ``clock``; default: now)."""
        return cls((clock() if since is None else since) + timeout_ms / 1000, clock)

    @classmethod
    def never(cls) -> Deadline:
        return cls(float("inf"))

    @property
    def remaining_ms(self) -> float:
        return (self.at - self.clock()) * 1000

    @property
    def has_passed(self) -> bool:
        return self.clock() >= self.at


class CancellationToken:
    """Set once from any thread, looked at by the model thread between forward passes."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], object]] = []

    def cancel(self) -> None:
        with self._lock:
            self._event.set()
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    def on_cancel(self, callback: Callable[[], object]) -> None:
        """Call ``callback`` once when this is cancelled, on the thread that cancels; at once if it was before.

        For who waits for something else than the model; it must not take time.
        """
        with self._lock:
            if not self._event.is_set():
                self._callbacks.append(callback)
                return
        callback()

    @property
    def is_cancelled(self) -> bool:
        return self._event.is_set()


@dataclass(frozen=True)
class SelectedCompletion:
    """The entry chosen in the editor's own completion list; an item must start with ``text``.

    ``start`` and ``end`` enclose what that entry would replace (LSP 3.18 ``SelectedCompletionInfo``).
    """

    start: Position
    end: Position
    text: str


@dataclass(frozen=True)
class RecentEdit:
    """A line of an open document that was changed not long ago."""

    uri: str
    line: int


@dataclass(frozen=True)
class WorkspaceView:
    """The other open documents at the moment of the request, most recently used first."""

    documents: tuple[Document, ...] = ()
    root_uri: str | None = None
    recent_edits: tuple[RecentEdit, ...] = ()
    """Places in ``documents``, the latest first."""


@dataclass(frozen=True)
class CompletionRequest:
    """One question: what could be typed at ``position`` of ``document``?"""

    document: Document
    position: Position
    trigger: TriggerKind
    deadline: Deadline
    cancellation: CancellationToken
    selected: SelectedCompletion | None = None
    workspace: WorkspaceView = WorkspaceView()
    max_items: int = 1
    arrived_at: float = field(default_factory=time.monotonic)
    request_id: str = ""


@dataclass(frozen=True)
class Insertion:
    """Text for the cursor, in place of ``num_replaced`` characters right of it on its line."""

    text: str
    num_replaced: int = 0


@dataclass(frozen=True)
class CompletionItem:
    """Text that replaces what lies between ``start`` and ``end`` of the request's document."""

    text: str
    start: Position
    end: Position


@dataclass(frozen=True)
class Completion:
    """The answer: items, best first, and why there are no more of them.

    ``trace`` is the explanation sent to users: stage times in ms, counts and reasons, never source text.
    """

    items: tuple[CompletionItem, ...]
    finish_reason: FinishReason
    trace: dict[str, object] = field(default_factory=dict, compare=False)

    @classmethod
    def empty(cls, reason: FinishReason, trace: dict[str, object] | None = None) -> Completion:
        return cls((), reason, trace or {})
