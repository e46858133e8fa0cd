"""Ends the process when its client is gone and it does not leave, whatever the event loop is doing.

The countdown runs in a C thread (``faulthandler``). Once begun it needs neither event loop nor interpreter lock.
"""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import sys
import threading
import time
from collections.abc import Callable

import psutil

from completion_server.lsp.stdio import ByteChannel

log = logging.getLogger(__name__)

GRACE_SECONDS = 10.0
"""Longer than an orderly end takes: what is queued is written for 2 s, and the model thread is waited for 1 s."""
_PARENT_CHECK_SECONDS = 3.0


def end_soon(grace_seconds: float = GRACE_SECONDS) -> None:
    """End the process in ``grace_seconds``, with all threads' tracebacks on stderr, if it still runs then."""
    with contextlib.suppress(RuntimeError, ValueError, OSError):  # stderr may be closed
        faulthandler.dump_traceback_later(grace_seconds, exit=True, file=sys.stderr)


def ending_with_its_input(channel: ByteChannel, on_end: Callable[[], None] = end_soon) -> ByteChannel:
    """``channel``, with ``on_end`` called on the reading thread when there is nothing more to read."""

    def read(size: int) -> bytes:
        try:
            data = channel.read(size)
        except OSError:
            on_end()
            raise
        if not data:
            on_end()
        return data

    return ByteChannel(read, channel.write, channel.close)


def watch_process(process_id: int, on_gone: Callable[[], None]) -> None:
    """Call ``on_gone`` on a thread of its own when the process has ended.

    A process that cannot be seen (the editor is outside of our container) is not watched.
    """
    try:
        process = psutil.Process(process_id)
    except (psutil.Error, OverflowError, ValueError):
        log.debug("process %d is not visible and not watched", process_id)
        return

    def wait() -> None:
        while _is_alive(process):
            time.sleep(_PARENT_CHECK_SECONDS)
        log.warning("the process that started this server is gone; leaving")
        on_gone()

    threading.Thread(target=wait, name="lsp-parent", daemon=True).start()


def _is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
