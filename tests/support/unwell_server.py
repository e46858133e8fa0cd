"""The scripted server with a fault that only a long run shows. Run as ``python -m tests.support.unwell_server``.

The argument names it: memory, descriptors and threads are lost at every request; cpu keeps a thread busy;
silence answers every fifth request never; echo answers every fifth twice; none is well.
"""

from __future__ import annotations

import os
import sys
import threading
from typing import Any

from completion_server.config import Settings
from completion_server.logs import configure_logging
from completion_server.lsp.job import ReportProgress
from completion_server.lsp.protocol import ServerProtocol
from completion_server.lsp.server import leave, run_stdio
from completion_server.request import Completion, CompletionRequest
from tests.support.fake_server import FakeService

FAULT = sys.argv[1] if len(sys.argv) > 1 else "none"
_LOST: list[Any] = []
_LOST_BYTES = 200_000


class UnwellService(FakeService):
    def complete(self, request: CompletionRequest) -> Completion:
        if FAULT == "memory":
            _LOST.append(b"x" * _LOST_BYTES)
        elif FAULT == "descriptors":
            _LOST.append(os.open(os.devnull, os.O_RDONLY))
        elif FAULT == "threads" and len(_LOST) < 100:
            threading.Thread(target=threading.Event().wait, daemon=True).start()
            _LOST.append(None)
        return super().complete(request)


def build_service(settings: Settings, progress: ReportProgress) -> UnwellService:
    if FAULT == "cpu":
        threading.Thread(target=_burn, daemon=True).start()
    return UnwellService(settings)


def _burn() -> None:
    while True:
        sum(range(10_000))


def _spoil_replies() -> None:
    send, num_replies = ServerProtocol._reply, 0

    def reply(self: ServerProtocol, message_id: Any, result: Any) -> None:
        nonlocal num_replies
        num_replies += hasattr(result, "items")
        is_fifth = hasattr(result, "items") and num_replies % 5 == 0
        for _ in range({"silence": 0, "echo": 2}.get(FAULT, 1) if is_fifth else 1):
            send(self, message_id, result)

    ServerProtocol._reply = reply  # type: ignore[method-assign]


if __name__ == "__main__":
    configure_logging("error")
    _spoil_replies()
    leave(run_stdio(build_service))
