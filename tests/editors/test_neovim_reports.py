"""What Neovim tells of a suggestion: the real plugin, the scripted server, and the log that the server keeps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from completion_server.usage_log.place import DATABASE_NAME
from completion_server.usage_log.store import read_rows
from tests.editors.neovim_session import FAKE_SERVER, NeovimSession, find_native_neovim, find_neovim

GHOST = "fake_completion()"
CLIENTS = {"own": find_neovim, "auto": find_native_neovim}


def rows_after(tmp_path: Path, client: str, keys: list[str]) -> list[dict[str, Any]]:
    """The log after ``x = `` has been typed, a suggestion was shown, and ``keys``."""
    find: Callable[[], Path] = CLIENTS[client]
    with NeovimSession(find(), tmp_path, client=client) as neovim:
        neovim.start("\n", FAKE_SERVER)
        neovim.type("ix = ")
        neovim.wait_for_ghost()
        for key in keys:
            neovim.type(key)
        neovim.assert_server_has_the_text()
        first = neovim.lua("return require('completion_server.server').client().id")
        neovim.command("CompletionServer restart")  # ends the server, which then has written its log
        neovim.wait("(require('completion_server.server').client() or { id = a[1] }).id ~= a[1]", first)
    return read_rows(tmp_path / "state" / "completion-server" / DATABASE_NAME)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(
    ("keys", "outcome", "num_chars"),
    [
        (["<M-Right>"], "partial", len("fake_completion")),
        (["f", "a", "<M-Right>"], "partial", len("fake_completion")),  # typed along before
        (["<Tab>"], "accepted", len(GHOST)),
    ],
)
def test_what_was_accepted_is_counted(
    tmp_path: Path, client: str, keys: list[str], outcome: str, num_chars: int
) -> None:
    row, *_ = rows_after(tmp_path, client, keys)
    assert (row["outcome"], row["num_accepted_chars"]) == (outcome, num_chars)
    # Neovim's own client tells nobody what it shows.
    assert row["is_confirmed"] == (client == "own")


def test_what_was_sent_away_is_counted_before_anything_comes_in_its_place(tmp_path: Path) -> None:
    row, *others = rows_after(tmp_path, "own", ["<C-]>"])
    assert (row["outcome"], others) == ("ignored", [])
