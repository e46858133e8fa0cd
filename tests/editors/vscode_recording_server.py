"""The real server with its conversation written down: one JSON line per message, with the wall clock in ms.

usage: python vscode_recording_server.py LOG ARGUMENTS...     (as ``completion-server ARGUMENTS...``)

Stands where an editor looks for ``completion-server``. Keeps methods, ids and settings, not the text of documents.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from typing import Any, BinaryIO

SERVER = [sys.executable, "-m", "completion_server"]


def read_message(stream: BinaryIO) -> bytes | None:
    """The next message with its header, or None at the end."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = stream.readline()
        if not line:
            return None
        head += line
    length = next(int(line[15:]) for line in head.splitlines() if line.lower().startswith(b"content-length:"))
    return head + stream.read(length)


class Recorder:
    """Writes down what passes in one direction or the other."""

    def __init__(self, path: str) -> None:
        self._file = open(path, "a", encoding="utf-8")  # noqa: SIM115 - as long as the process lives
        self._lock = threading.Lock()
        self._asked: dict[Any, str] = {}

    def record(self, way: str, message: bytes) -> None:
        """``way`` is "in" (editor to server) or "out"."""
        body = json.loads(message.partition(b"\r\n\r\n")[2])
        entry: dict[str, Any] = {"at": time.time() * 1000, "way": way, "id": body.get("id")}
        with self._lock:
            if "method" in body:
                entry["method"] = body["method"]
                self._asked[(way, body.get("id"))] = body["method"]
                entry |= _facts(body)
            else:
                entry["reply_to"] = self._asked.get(("out" if way == "in" else "in", body.get("id")))
                entry |= _outcome(entry["reply_to"], body)
            self._file.write(json.dumps(entry) + "\n")
            self._file.flush()


def _facts(body: dict[str, Any]) -> dict[str, Any]:
    method, params = body["method"], body.get("params") or {}
    if method == "initialize":
        return {"options": params.get("initializationOptions"), "recorder": os.getpid()}
    if method == "workspace/executeCommand":
        return {"command": params.get("command")}
    return {}


def _outcome(method: str | None, body: dict[str, Any]) -> dict[str, Any]:
    if "error" in body:
        return {"error": body["error"].get("code")}
    result = body.get("result")
    if method == "textDocument/inlineCompletion":
        return {"items": [item["insertText"] for item in (result or {}).get("items", [])]}
    if method == "workspace/configuration":
        return {"settings": result}
    return {}


def forward(source: BinaryIO, target: BinaryIO, way: str, recorder: Recorder) -> None:
    """Every message is written down and goes on, in this order, as a reply may come at once."""
    try:
        while (message := read_message(source)) is not None:
            recorder.record(way, message)
            target.write(message)
            target.flush()
    except (OSError, ValueError):
        pass
    finally:
        target.close()


def main(log: str, arguments: list[str]) -> int:
    if arguments[:1] != ["serve"]:
        os.execv(SERVER[0], [*SERVER, *arguments])
    server = subprocess.Popen([*SERVER, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert server.stdin is not None
    assert server.stdout is not None
    recorder = Recorder(log)
    to_server = (sys.stdin.buffer, server.stdin, "in", recorder)
    threading.Thread(target=forward, args=to_server, daemon=True).start()
    forward(server.stdout, sys.stdout.buffer, "out", recorder)
    return server.wait()


if __name__ == "__main__":
    code = main(sys.argv[1], sys.argv[2:])
    sys.stderr.flush()
    os._exit(code)
