"""The code and the messages of ``editor-clients/any-client.md``, as they stand there, against the real server."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "editor-clients" / "any-client.md").read_text(encoding="utf-8")
RAW_CLIENT, FIVE_LINES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
(MESSAGES,) = re.findall(r"```jsonl\n(.*?)```", PAGE, re.DOTALL)
(REPLY,) = map(json.loads, re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL))

pytestmark = pytest.mark.default_model


def run(code: str, folder: Path, given: str = "") -> str:
    """What ``code`` prints, with the server on PATH and no hurry."""
    server = folder / "completion-server"
    server.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m completion_server "$@"\n')
    server.chmod(0o755)
    env = {
        **os.environ,
        "PATH": os.pathsep.join([str(folder), os.environ["PATH"]]),
        "PYTHONPATH": str(ROOT),
        "COMPLETION_SERVER_LATENCY_AUTOMATIC_TIMEOUT_MS": "20000",
    }
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, input=given, cwd=folder, env=env, stdout=subprocess.PIPE, text=True, check=True, timeout=240
    ).stdout


def document_text() -> str:
    sent = [json.loads(line) for line in MESSAGES.splitlines()]
    text: str = next(
        message["params"]["textDocument"]["text"] for message in sent if message["method"].endswith("didOpen")
    )
    return text


def test_the_messages_and_the_client_without_packages(tmp_path: Path) -> None:
    replies: list[dict[str, Any]] = [json.loads(line) for line in run(RAW_CLIENT, tmp_path, MESSAGES).splitlines()]
    assert [reply["id"] for reply in replies] == [1, 2, 3, 4]
    initialized, status, completed, shut_down = (reply["result"] for reply in replies)
    assert initialized["capabilities"]["positionEncoding"] == "utf-16"
    assert initialized["capabilities"]["inlineCompletionProvider"] == {}
    assert status["state"] == "ready"
    assert shut_down is None
    assert completed["items"][0]["insertText"].startswith("load")
    (item,), (shown,) = completed["items"], REPLY["result"]["items"]
    item["insertText"] = shown["insertText"]
    assert isinstance(item["command"]["arguments"].pop(0), str)  # new each time
    shown["command"]["arguments"].pop(0)
    assert completed == REPLY["result"]


def test_the_five_lines(tmp_path: Path) -> None:
    printed = run(FIVE_LINES, tmp_path)
    assert printed.startswith(document_text() + "load")


def test_the_five_lines_are_five() -> None:
    body = FIVE_LINES.partition("async def main():\n")[2].partition("\n\n")[0]
    assert len(body.splitlines()) == 5
