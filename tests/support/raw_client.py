"""A JSON-RPC client of bytes and dicts: sends exactly what a test says, valid or not."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
from pathlib import Path
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any

FAKE_SERVER = (sys.executable, "-m", "tests.support.fake_server")
HANG_GUARD_SECONDS = 60
_ROOT = Path(__file__).parents[2]
_NO_REPLY = object()

URI = "file:///work/sample.py"


class RawClient:
    """A server process and its two pipes. Replies are matched by id; everything else is kept in order."""

    def __init__(self, *command: str, env: dict[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            command or FAKE_SERVER,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=_ROOT,
            env=env,
        )
        self.replies: dict[Any, list[dict[str, Any]]] = {}
        self.notifications: list[dict[str, Any]] = []
        self.server_requests: list[dict[str, Any]] = []
        self.stderr = ""
        self.configuration: Any = None
        self.answers_requests = True
        self._inbox: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
        self._next_id = 1000
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._stderr_reader = threading.Thread(target=self._read_stderr, daemon=True)
        self._stderr_reader.start()

    def __enter__(self) -> RawClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.wait_for_exit()

    # sending

    def send_bytes(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def send_body(self, body: bytes) -> None:
        self.send_bytes(b"Content-Length: %d\r\n\r\n" % len(body) + body)

    def send(self, message: Any) -> None:
        self.send_bytes(frame(message))

    def notify(self, method: str, params: Any = None) -> None:
        self.send({"jsonrpc": "2.0", "method": method, "params": params})

    def start(self, method: str, params: Any = None, request_id: Any = None) -> Any:
        """Send a request and return its id without waiting."""
        if request_id is None:
            self._next_id += 1
            request_id = self._next_id
        self.send({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params})
        return request_id

    # receiving

    def reply(self, request_id: Any) -> dict[str, Any]:
        """The one reply to ``request_id``."""
        while not self.replies.get(request_id):
            self._receive()
        return self.replies[request_id][0]

    def call(self, method: str, params: Any = None) -> Any:
        """Send a request, wait, and return its result."""
        reply = self.reply(self.start(method, params))
        assert "error" not in reply, reply
        return reply["result"]

    def error_code(self, request_id: Any) -> int:
        return int(self.reply(request_id)["error"]["code"])

    def wait_for_notification(self, method: str, count: int = 1) -> list[dict[str, Any]]:
        while len(found := [n for n in self.notifications if n["method"] == method]) < count:
            self._receive()
        return found

    def sync(self) -> dict[str, Any]:
        """A round trip: whatever the server sent before its reply has been read afterwards."""
        return self.status()

    # LSP in short

    def initialize(self, capabilities: Any = None, options: Any = None, **params: Any) -> dict[str, Any]:
        """initialize and initialized."""
        result = self.call(
            "initialize",
            {
                "processId": None,
                "rootUri": None,
                "capabilities": capabilities or {},
                "initializationOptions": options,
                **params,
            },
        )
        self.notify("initialized", {})
        return result

    def ready(self, capabilities: Any = None, options: Any = None, **params: Any) -> RawClient:
        """Initialize and wait until the model is loaded (or could not be)."""
        self.initialize(capabilities, options, **params)
        self.status(wait=True)
        return self

    def status(self, **options: Any) -> dict[str, Any]:
        return self.command("status", options)

    def command(self, name: str, *arguments: Any) -> Any:
        params = {"command": f"completionServer.{name}", "arguments": list(arguments)}
        return self.call("workspace/executeCommand", params)

    def open(self, text: str, uri: str = URI, version: int = 1, language: str = "python") -> None:
        item = {"uri": uri, "languageId": language, "version": version, "text": text}
        self.notify("textDocument/didOpen", {"textDocument": item})

    def change(self, version: int, *changes: Any, uri: str = URI) -> None:
        params = {"textDocument": {"uri": uri, "version": version}, "contentChanges": list(changes)}
        self.notify("textDocument/didChange", params)

    def ask(
        self, line: int = 0, character: int = 0, *, uri: str = URI, trigger: int = 2, request_id: Any = None
    ) -> Any:
        """Send an inline completion request and return its id."""
        return self.start(
            "textDocument/inlineCompletion", inline_params(line, character, uri, trigger), request_id
        )

    def items(self, request_id: Any) -> list[str]:
        """Texts of the items of a reply, which must not be an error."""
        reply = self.reply(request_id)
        assert "error" not in reply, reply
        return [item["insertText"] for item in reply["result"]["items"]]

    def wait_until_running(self, uri: str = URI) -> None:
        while self.status()["running"] != uri:
            pass

    def wait_until_idle(self) -> dict[str, Any]:
        while (status := self.status())["running"] is not None or status["num_pending_jobs"]:
            pass
        return status

    # ending

    def wait_for_exit(self) -> int:
        code = self.process.wait(HANG_GUARD_SECONDS)
        self._reader.join(HANG_GUARD_SECONDS)
        self._stderr_reader.join(HANG_GUARD_SECONDS)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert stream is not None
            with contextlib.suppress(OSError):
                stream.close()
        return code

    def leave(self) -> int:
        """shutdown and exit; returns the exit code. Also checks that nothing was answered twice."""
        assert self.call("shutdown") is None
        self.notify("exit")
        code = self.wait_for_exit()
        self._drain()
        twice = {key: found for key, found in self.replies.items() if key is not None and len(found) > 1}
        assert not twice
        return code

    def _drain(self) -> None:
        while not self._inbox.empty():
            if (message := self._inbox.get()) is not None:
                self._sort(message)

    def _receive(self) -> None:
        try:
            message = self._inbox.get(timeout=HANG_GUARD_SECONDS)
        except Empty:
            raise AssertionError("the server does not answer; its stderr:\n" + self.stderr) from None
        if message is None:
            self._inbox.put(None)
            raise AssertionError("the server has ended; its stderr:\n" + self.stderr)
        self._sort(message)

    def _sort(self, message: dict[str, Any]) -> None:
        assert message["jsonrpc"] == "2.0"
        if "method" not in message:
            self.replies.setdefault(message["id"], []).append(message)
        elif "id" not in message:
            self.notifications.append(message)
        else:
            self.server_requests.append(message)
            if self.answers_requests:
                is_configuration = message["method"] == "workspace/configuration"
                result = [self.configuration] if is_configuration else None
                self.send({"jsonrpc": "2.0", "id": message["id"], "result": result})

    def _read(self) -> None:
        stream = self.process.stdout
        assert stream is not None
        while header := stream.readline():
            # Strict on purpose: anything else on stdout is a fault of the server.
            assert header.startswith(b"Content-Length: "), header
            assert stream.readline() == b"\r\n"
            self._inbox.put(json.loads(stream.read(int(header[16:]))))
        self._inbox.put(None)

    def _read_stderr(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.stderr += line.decode(errors="replace")


def frame(message: Any) -> bytes:
    """One message as it goes over the pipe."""
    body = json.dumps(message).encode()
    return b"Content-Length: %d\r\n\r\n" % len(body) + body


def inline_params(line: int = 0, character: int = 0, uri: str = URI, trigger: int = 2) -> dict[str, Any]:
    return {
        "textDocument": {"uri": uri},
        "position": {"line": line, "character": character},
        "context": {"triggerKind": trigger},
    }


def insertion(line: int, character: int, text: str) -> dict[str, Any]:
    place = {"line": line, "character": character}
    return {"range": {"start": place, "end": place}, "text": text}


def replacement(start: tuple[int, int], end: tuple[int, int], text: str) -> dict[str, Any]:
    first, last = ({"line": line, "character": character} for line, character in (start, end))
    return {"range": {"start": first, "end": last}, "text": text}
