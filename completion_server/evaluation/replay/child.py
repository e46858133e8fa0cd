"""A peer's process: started with pipes, greeted by one JSON line, ended by the end of its stdin."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from completion_server.environment import for_child
from completion_server.errors import CompletionServerError

_START_SECONDS = 300.0
_LEAVE_SECONDS = 5.0
_MAX_STDERR_CHARS = 1500
_MAX_LINE_BYTES = 1 << 22


class ChildProcess:
    """A process that speaks JSON lines, at least one when it is ready."""

    def __init__(self, process: asyncio.subprocess.Process, greeting: dict[str, Any]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._stdin, self._stdout = process.stdin, process.stdout
        self.pid = process.pid
        self.greeting = greeting

    def send(self, value: object) -> None:
        """Write one line, without waiting."""
        self._stdin.write(json.dumps(value).encode() + b"\n")

    async def receive(self) -> dict[str, Any]:
        """The next line. Raises CompletionServerError when the process has ended."""
        line = await self._stdout.readline()
        if not line:
            raise CompletionServerError("the peer's process ended")
        value: dict[str, Any] = json.loads(line)
        return value


@asynccontextmanager
async def started_child(module: str, arguments: Sequence[str]) -> AsyncIterator[ChildProcess]:
    """Run ``module`` of this package with this interpreter until the block ends.

    Raises CompletionServerError with the process' last words when it does not get ready.
    """
    with tempfile.TemporaryFile() as stderr:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            module,
            *arguments,
            env=for_child(),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
            limit=_MAX_LINE_BYTES,
        )
        try:
            assert process.stdout is not None
            line = await asyncio.wait_for(process.stdout.readline(), _START_SECONDS)
            if not line:
                stderr.seek(0)
                said = stderr.read().decode("utf-8", "replace").strip()[-_MAX_STDERR_CHARS:]
                raise CompletionServerError(f"{module.rpartition('.')[2]} did not start:\n{said}")
            yield ChildProcess(process, json.loads(line))
        finally:
            await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.stdin is not None:
        process.stdin.close()
    with contextlib.suppress(asyncio.TimeoutError, TimeoutError):
        await asyncio.wait_for(process.wait(), _LEAVE_SECONDS)
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
