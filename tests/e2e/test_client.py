from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from completion_server.document import Position
from completion_server.errors import CompletionServerError
from completion_server.lsp.client import EditorClient
from completion_server.request import TriggerKind
from tests.support.raw_client import FAKE_SERVER

URI = "file:///sample.py"


async def test_typing_and_asking(tmp_path: Path) -> None:
    seen: list[tuple[str, float | None]] = []
    gate = tmp_path / "gate"
    options = {"model": {"name": "CHATTY GATE", "cacheDir": str(gate)}}
    with (tmp_path / "stderr").open("w") as stderr:
        async with EditorClient.start(
            FAKE_SERVER,
            initialization_options=options,
            on_progress=lambda message, fraction: seen.append((message, fraction)),
            root=tmp_path,
            stderr=stderr,
        ) as editor:
            waiting = asyncio.ensure_future(editor.wait_until_loaded())
            while not seen:
                await editor.execute_command("completionServer.status")
            gate.touch()
            assert (await waiting)["state"] == "ready"
            editor.open(URI, "ECHO😋\n")
            editor.insert(URI, Position(0, 5), "ab")
            editor.delete(URI, Position(0, 5), Position(0, 6))
            reply = await editor.inline_completion(URI, Position(0, 6))
            assert [item.text for item in reply.items] == ["b😋OHCE"]
            assert reply.items[0].start == reply.items[0].end == Position(0, 6)
            assert reply.elapsed_ms > 0
            editor.change(URI, Position(0, 0), Position(1, 0), "MANY")
            reply = await editor.inline_completion(URI, Position(0, 4), TriggerKind.INVOKED)
            assert len(reply.items) == 3
            editor.close(URI)
            assert (await editor.inline_completion(URI, Position(0, 4))).items == ()
    assert "a stray print" in (tmp_path / "stderr").read_text()
    assert any("is ready" in message for message in editor.log_messages)


async def test_cancelling_the_task_cancels_the_request() -> None:
    async with EditorClient.start(FAKE_SERVER, stderr=None) as editor:
        await editor.wait_until_loaded()
        editor.open(URI, "WAIT")
        task = asyncio.ensure_future(editor.inline_completion(URI, Position(0, 0)))
        while (await editor.execute_command("completionServer.status"))["running"] is None:
            pass
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        while (status := await editor.execute_command("completionServer.status"))["running"] is not None:
            pass
        assert status["model"]["cancelled"] == 1


async def test_changed_settings_reach_the_server() -> None:
    async with EditorClient.start(FAKE_SERVER) as editor:
        await editor.wait_until_loaded()
        editor.configure({"model": {"name": "other"}})
        while (status := await editor.wait_until_loaded())["model"].get("name") != "other":
            pass
        assert status["model_name"] == "other"


async def test_a_server_that_cannot_be_started() -> None:
    with pytest.raises(CompletionServerError, match="cannot start"):
        async with EditorClient.start(["/nonexistent/server"]):
            pass


async def test_a_server_that_ends_at_once() -> None:
    with pytest.raises(CompletionServerError, match="the server ended"):
        async with EditorClient.start([sys.executable, "-c", "pass"]):
            pass


async def test_a_server_that_dies_in_between() -> None:
    async with EditorClient.start(FAKE_SERVER) as editor:
        await editor.wait_until_loaded()
        editor.open(URI, "WAIT")
        task = asyncio.ensure_future(editor.inline_completion(URI, Position(0, 0)))
        await editor.execute_command("completionServer.status")
        editor._process.kill()
        with pytest.raises(CompletionServerError, match="the server ended"):
            await task
        with pytest.raises(CompletionServerError, match="the server ended"):
            await editor.execute_command("completionServer.status")


async def test_a_server_that_does_not_leave_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("completion_server.lsp.client._LEAVE_SECONDS", 0.1)
    program = (
        "import sys, json, threading\n"
        "line = sys.stdin.buffer.readline(); sys.stdin.buffer.readline(); sys.stdin.buffer.readline()\n"
        "body = json.dumps({'jsonrpc': '2.0', 'id': 1, 'result': {'capabilities': {}}})\n"
        "sys.stdout.write(f'Content-Length: {len(body)}\\r\\n\\r\\n{body}'); sys.stdout.flush()\n"
        "threading.Event().wait()\n"
    )
    async with EditorClient.start([sys.executable, "-c", program]) as editor:
        assert editor.initialize_result is not None
    assert editor._process.returncode != 0
