"""A piece of work for the model thread, and what that thread works on."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from typing import Protocol

from completion_server.config import Settings
from completion_server.request import (
    CancellationToken,
    Completion,
    CompletionRequest,
    Deadline,
    FinishReason,
)

log = logging.getLogger(__name__)

_WELL_FINISHED = frozenset({FinishReason.STOP, FinishReason.LENGTH})


class Service(Protocol):
    """``completion_server.service.CompletionService`` as this thread uses it."""

    def complete(self, request: CompletionRequest) -> Completion: ...

    def recall(self, request: CompletionRequest) -> Completion | None: ...

    def warm(self, request: CompletionRequest) -> None: ...

    def look_ahead(self, request: CompletionRequest, completion: Completion) -> None: ...

    def prefill(self, request: CompletionRequest) -> None: ...

    def prefill_place(self, request: CompletionRequest) -> None: ...

    def apply_settings(self, settings: Settings) -> None: ...

    def clear_caches(self) -> None: ...

    def status(self) -> dict[str, object]: ...

    def forget(self, uri: str) -> None: ...

    def note_file_changes(self, uris: Sequence[str]) -> None:
        """From any thread."""
        ...

    def close(self) -> None: ...


ReportProgress = Callable[[str, "float | None"], None]
"""Takes what is going on, and the fraction done (0 to 1) where it is known."""

BuildService = Callable[[Settings, ReportProgress], Service]
"""Loads the model; takes seconds, runs on the model thread, may raise."""


@dataclasses.dataclass(frozen=True)
class IdleWork:
    """Something to do while nobody asks; ``token`` ends it."""

    run: Callable[[Service], None]
    token: CancellationToken


def reading(request: CompletionRequest) -> IdleWork:
    """Read ``request``'s document before anybody asks for a place in it."""
    return IdleWork(lambda service: service.prefill(request), request.cancellation)


def returning(request: CompletionRequest) -> IdleWork:
    """Read the prompt for ``request``'s place, which somebody is going to return to."""
    return IdleWork(lambda service: service.prefill_place(request), request.cancellation)


def following(request: CompletionRequest, completion: Completion) -> IdleWork | None:
    """What an answered request leaves to do: finish what its deadline cut off, or look ahead from its answer."""
    if request.cancellation.is_cancelled:
        return None
    token = CancellationToken()
    unlimited = dataclasses.replace(request, cancellation=token, deadline=Deadline.never())
    if completion.finish_reason is FinishReason.DEADLINE:
        return IdleWork(lambda service: service.warm(unlimited), token)
    if completion.finish_reason in _WELL_FINISHED:
        return IdleWork(lambda service: service.look_ahead(unlimited, completion), token)
    return None


class Job:
    """One submitted request and the future of its completion."""

    def __init__(self, request: CompletionRequest) -> None:
        self.request = request
        self.future: Future[Completion] = Future()
        self.started_at: float | None = None
        self.withdrawn_at: float | None = None
        self.follow_up: IdleWork | None = None
        """What to do when the answer has been sent; set before the future is."""

    @property
    def uri(self) -> str:
        return self.request.document.uri

    def resolve(self, completion: Completion) -> None:
        """Answer; only the first answer counts."""
        try:
            self.future.set_result(completion)
        except InvalidStateError:
            log.debug("request %s was answered before", self.request.request_id)

    def withdraw(self, reason: str) -> None:
        """Answer with nothing and let a running forward pass be the last."""
        self.withdrawn_at = time.monotonic()
        self.request.cancellation.cancel()
        self.resolve(Completion.empty(FinishReason.CANCELLED, {"reason": reason}))
