"""Loading shown in the editor's progress bar. A client that refuses or never answers changes nothing.

Bypasses pygls' Progress, which keeps every token for ever. LSP 3.18, "Server Initiated Progress".
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from typing import TYPE_CHECKING

from lsprotocol import types

if TYPE_CHECKING:
    from completion_server.lsp.protocol import ServerProtocol

_TITLE = "Completion model"
_MAX_WAIT_SECONDS = 10.0


class LoadingProgress:
    """One progress bar, from ``begin`` to ``end``. Lives on the event loop."""

    def __init__(self, protocol: ServerProtocol) -> None:
        self._protocol = protocol
        self._token = str(uuid.uuid4())
        self._message = ""
        self._percentage: int | None = None
        self._changed = asyncio.Event()
        self._ended = False
        self._task: asyncio.Task[None] | None = None

    def begin(self, message: str) -> None:
        """Ask the client for a bar and show ``message`` on it."""
        self._message = message
        self._task = asyncio.ensure_future(self._show())

    def report(self, message: str, fraction: float | None) -> None:
        """Show ``message`` and, where it is known, the fraction done (0 to 1), which never goes back."""
        percentage = self._percentage
        if fraction is not None:
            percentage = max(percentage or 0, min(100, int(fraction * 100)))
        if (message, percentage) != (self._message, self._percentage):
            self._message, self._percentage = message, percentage
            self._changed.set()

    def end(self, message: str) -> None:
        """Close the bar with a last message."""
        self._message, self._ended = message, True
        self._changed.set()

    async def _show(self) -> None:
        try:
            params = types.WorkDoneProgressCreateParams(token=self._token)
            reply = self._protocol.send_request_async(types.WINDOW_WORK_DONE_PROGRESS_CREATE, params)
            await asyncio.wait_for(reply, _MAX_WAIT_SECONDS)
        except Exception:  # noqa: BLE001 - a refusal of any kind: then there is no bar
            return
        if self._ended:
            return  # it was quicker than the client's answer
        self._notify(
            types.WorkDoneProgressBegin(
                title=_TITLE, message=self._message, percentage=self._percentage or 0, cancellable=False
            )
        )
        while not self._ended:
            await self._changed.wait()
            self._changed.clear()
            if not self._ended:
                self._notify(types.WorkDoneProgressReport(message=self._message, percentage=self._percentage))
        self._notify(types.WorkDoneProgressEnd(message=self._message))

    def _notify(
        self, value: types.WorkDoneProgressBegin | types.WorkDoneProgressReport | types.WorkDoneProgressEnd
    ) -> None:
        with contextlib.suppress(OSError):
            self._protocol.notify(types.PROGRESS, types.ProgressParams(token=self._token, value=value))
