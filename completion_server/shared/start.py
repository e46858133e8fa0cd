"""Starts the shared engine of an address, or waits for the one that another window is starting."""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from socket import socket
from typing import IO

import msgspec

import completion_server
from completion_server.config import Settings
from completion_server.environment import for_child
from completion_server.errors import ModelError, SharedEngineError
from completion_server.settings_schema import settings_as_dict
from completion_server.shared.address import EngineAddress, EngineFile, absolute_model, address_of

log = logging.getLogger(__name__)

LISTENING, OCCUPIED = "listening", "occupied"
"""What a started engine says on its stdout, once: that it serves, or that another one holds the lock."""

_START_SECONDS = 60.0  # for a Python that starts on a machine that does much else
_CONNECT_SECONDS = 5.0
_MAX_LOG_BYTES = 1 << 20
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.5


def connect_or_start(
    address: EngineAddress, settings: Settings, stop: threading.Event
) -> tuple[socket, EngineFile]:
    """A connection to the engine of ``address``, which is started if need be.

    Two windows that start one at once get the same: the second engine finds the lock taken and leaves. Raises
    SharedEngineError when there is none in the end, or ``stop`` is set; ModelError when the model is not that of
    ``address`` any more.
    """
    give_up_at = time.monotonic() + _START_SECONDS
    pause = _FIRST_PAUSE
    while True:
        with contextlib.suppress(SharedEngineError):
            return address.connect(_CONNECT_SECONDS)
        if address_of(settings.model, address.directory).fingerprint != address.fingerprint:
            raise ModelError("the files of the model have changed or are gone; restart the language server")
        said = start_engine(address, settings)
        if said == LISTENING:
            return address.connect(_CONNECT_SECONDS)
        # Another one holds the lock: it is about to listen, or about to leave.
        if time.monotonic() > give_up_at or stop.wait(pause):
            raise SharedEngineError(f"the shared engine neither listens nor leaves; see {address.log_path}")
        pause = min(2 * pause, _LONGEST_PAUSE)


def start_engine(address: EngineAddress, settings: Settings) -> str:
    """Start an engine that outlives this process; LISTENING or OCCUPIED. Raises SharedEngineError."""
    wanted = msgspec.structs.replace(settings, model=absolute_model(settings.model))
    content = msgspec.json.encode(settings_as_dict(wanted))
    command = [sys.executable, "-m", "completion_server", "engine", "--detached", str(address.directory)]
    try:
        descriptor = os.open(address.log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        if os.fstat(descriptor).st_size > _MAX_LOG_BYTES:
            os.ftruncate(descriptor, 0)
        with os.fdopen(descriptor, "wb") as log_file, _popen(command, log_file) as process:
            said = _talk(process, content)
    except OSError as error:
        raise SharedEngineError(f"the shared engine cannot be started: {error}") from error
    if said not in {LISTENING, OCCUPIED}:
        raise SharedEngineError(f"the shared engine did not start; see {address.log_path}")
    return said


def _popen(command: list[str], log_file: IO[bytes]) -> subprocess.Popen[bytes]:
    # Not in the workspace: it would be imported from, and could not be removed or unmounted.
    directory = Path(completion_server.__file__).parents[1]
    flags = 0
    if sys.platform == "win32":
        flags = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log_file,
        cwd=directory,
        env=for_child(),
        start_new_session=True,
        creationflags=flags,
    )


def _talk(process: subprocess.Popen[bytes], content: bytes) -> str:
    """Hand over the settings; the one line that comes back, empty when the process ended before."""
    assert process.stdin is not None
    assert process.stdout is not None
    guard = threading.Timer(_START_SECONDS, process.kill)
    guard.daemon = True
    guard.start()
    try:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(content)
            process.stdin.close()
        return process.stdout.readline().decode("ascii", "replace").strip()
    finally:
        guard.cancel()
