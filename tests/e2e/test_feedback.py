"""The real server and its log: what an editor does with a suggestion is counted, and none of its text is kept."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from completion_server.usage_log.place import DATABASE_NAME, TRACES_NAME
from completion_server.usage_log.store import read_rows
from completion_server.usage_log.traces import read_traces
from tests.support.raw_client import FAKE_SERVER, URI, RawClient, inline_params


def start(tmp_path: Path, **environment: str) -> RawClient:
    return RawClient(*FAKE_SERVER, env={**os.environ, "XDG_STATE_HOME": str(tmp_path), **environment})


@contextmanager
def suggestion(tmp_path: Path, **environment: str) -> Iterator[tuple[RawClient, dict[str, Any]]]:
    """A client, and the one item that it was sent; the server has left afterwards."""
    with start(tmp_path, **environment) as raw:
        client = raw.ready()
        client.open("x = \n")
        (item,) = client.call("textDocument/inlineCompletion", inline_params(0, 4))["items"]
        yield client, item
        assert client.leave() == 0


def test_what_becomes_of_a_suggestion_is_counted(tmp_path: Path) -> None:
    with suggestion(tmp_path) as (client, item):
        client.notify("textDocument/didShowCompletion", {"item": item})
        client.notify("textDocument/didPartiallyAcceptCompletion", {"item": item, "acceptedLength": 4})
        for nonsense in (None, [], {"item": 3}, {"item": {"command": {"arguments": [1]}}, "acceptedLength": "x"}):
            client.notify("textDocument/didPartiallyAcceptCompletion", nonsense)
            client.notify("textDocument/didRejectCompletion", nonsense)
        command = item["command"]
        params = {"command": command["command"], "arguments": command["arguments"]}
        assert client.call("workspace/executeCommand", params) == {"recorded": True}
        assert client.command("accepted", "unknown") == {"recorded": False}
    folder = tmp_path / "completion-server"
    (row,) = read_rows(folder / DATABASE_NAME)
    assert (row["outcome"], row["num_accepted_chars"], row["is_confirmed"]) == ("accepted", 17, 1)
    assert (row["language"], row["kind"]) == ("python", "automatic")
    (trace,) = read_traces(folder / TRACES_NAME, 5)
    assert (trace["uri"], trace["num_items"]) == (URI, 1)
    assert "fake_completion" not in str((row, trace))


def test_what_is_sent_away_is_counted(tmp_path: Path) -> None:
    with suggestion(tmp_path) as (client, item):
        client.notify("textDocument/didRejectCompletion", {"item": item})
    (row,) = read_rows(tmp_path / "completion-server" / DATABASE_NAME)
    assert row["outcome"] == "ignored"


def test_switched_off_nothing_is_written(tmp_path: Path) -> None:
    off = {"COMPLETION_SERVER_LOG_ACCEPTANCE": "false", "COMPLETION_SERVER_LOG_TRACES": "false"}
    with suggestion(tmp_path, **off) as (_, item):
        assert "command" not in item
    assert list(tmp_path.iterdir()) == []


def test_a_log_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "completion-server").write_text("a file where the folder should be")
    with start(tmp_path) as raw:
        client = raw.ready()
        client.open("x = \n")
        assert client.items(client.ask()) == ["fake_completion()"]
        assert client.leave() == 0
