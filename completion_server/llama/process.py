"""One run of llama.cpp's server: started, awaited, watched, ended with whoever holds it."""

from __future__ import annotations

import contextlib
import json
import logging
import re
import secrets
import subprocess
import sys
import threading
import weakref
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import replace
from pathlib import Path
from typing import IO

import completion_server
from completion_server.environment import for_child
from completion_server.errors import ModelError
from completion_server.llama.child import LLAMA_CHILD, LlamaOptions

_LEAVE_SECONDS = 2.0
_MAX_LINES = 200
_MAX_REASON_CHARS = 400
# As in: 0.00.004.319 E llama_model_load: error loading model: unknown model architecture
_ERROR_LINE = re.compile(r"^[\d.]+ E +(?:(?:srv|cmn) +)?(?:\w+: )?(?:error loading model: )?(?P<what>.+)$")
_SAYS_NOTHING = ("failed to load model", "trying to fit params", "exiting due to", "cleaning up")

_log = logging.getLogger(__name__)


class LlamaProcess:
    """A child process with the server in it, which only holders of ``api_key`` may ask."""

    def __init__(self, options: LlamaOptions) -> None:
        """Starts it; does not wait until it is ready. Raises ModelError when there can be no process."""
        self.api_key = secrets.token_urlsafe(32)
        # The package's own place: ``-m`` looks into the working directory first, and that may be anybody's.
        home = Path(completion_server.__file__).parents[1]
        command = [sys.executable, "-m", LLAMA_CHILD, replace(options, has_key=True).to_argument()]
        pipe = subprocess.PIPE
        try:
            process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, cwd=home, env=for_child())
        except OSError as error:
            raise ModelError(f"llama.cpp's server cannot be started: {error}") from error
        self._process = process
        self._address: Future[str] = Future()
        self._lines: deque[str] = deque(maxlen=_MAX_LINES)
        threads = [
            threading.Thread(target=target, args=args, name="llama", daemon=True)
            for target, args in (
                (_read_address, (process.stdout, self._address)),
                (_read_lines, (process.stderr, self._lines)),
            )
        ]
        for thread in threads:
            thread.start()
        self._readers = threads
        self._finalizer = weakref.finalize(self, _end, process, threads)
        with contextlib.suppress(OSError):  # it has ended already, which is seen below
            assert process.stdin is not None
            process.stdin.write(self.api_key.encode() + b"\n")
            process.stdin.flush()

    @property
    def pid(self) -> int:
        return self._process.pid

    def address(self, wait_seconds: float = 0.0) -> str | None:
        """Where the server is, None while the model is being loaded. Raises ModelError once it has ended."""
        try:
            address = self._address.result(wait_seconds)
        except FutureTimeoutError:
            return None
        if address and self._process.poll() is None:
            return address
        raise ModelError(self._why_ended())

    def stop(self) -> None:
        """End the process; waits until it is gone."""
        self._finalizer()

    def _why_ended(self) -> str:
        status = self._process.wait()
        self._readers[1].join(_LEAVE_SECONDS)
        said = why_refused(list(self._lines))
        if said:
            return f"llama.cpp: {said}"
        how = f"signal {-status}" if status < 0 else f"exit status {status}"
        return f"llama.cpp's server ended ({how})"


def why_refused(lines: Sequence[str]) -> str:
    """llama.cpp's own words for why it does not take a file, from its log; "" where it says nothing."""
    found = [match["what"].strip() for line in lines if (match := _ERROR_LINE.match(line))]
    telling = [what for what in found if not any(phrase in what for phrase in _SAYS_NOTHING)]
    return (telling or found or [""])[0][:_MAX_REASON_CHARS]


def _read_address(stdout: IO[bytes], address: Future[str]) -> None:
    """The first line is the greeting; what else comes is nothing to us, but must not fill the pipe."""
    found = ""
    for line in stdout:
        if not found and line.startswith(b"{"):
            with contextlib.suppress(ValueError, KeyError):
                found = str(json.loads(line)["address"])
                address.set_result(found)
    if not found:
        address.set_result("")


def _read_lines(stderr: IO[bytes], lines: deque[str]) -> None:
    for line in stderr:
        text = line.decode("utf-8", "replace").rstrip()
        if text:
            lines.append(text)
            _log.debug("llama.cpp: %s", text)


def _end(process: subprocess.Popen[bytes], threads: Sequence[threading.Thread]) -> None:
    with contextlib.suppress(OSError):
        if process.stdin is not None:
            process.stdin.close()
    try:
        process.wait(_LEAVE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for thread in threads:
        thread.join(_LEAVE_SECONDS)
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()
