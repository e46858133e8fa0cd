"""The server inside of Neovim (``neovim_lua``), which answers when, and what, the test says."""

from __future__ import annotations

from typing import Any

from tests.editors.neovim_session import NeovimSession

SCRIPTED = "require('neovim_scripted')"


def start_scripted(
    neovim: NeovimSession, text: str, encoding: str = "utf-16", name: str = "a.py", **options: Any
) -> None:
    """Open a file of that text with that server."""
    neovim.lua(f"{SCRIPTED}.setup(...)", encoding, {"client": "own", **options})
    neovim.edit(text, name)
    neovim.wait_until_ready()


def wait_for_request(neovim: NeovimSession) -> dict[str, Any]:
    """Wait for the request for the text and the cursor as they are; what it asks."""
    neovim.wait(f"{SCRIPTED}.is_asked()")
    params: dict[str, Any] = neovim.lua(f"local all = {SCRIPTED}.requests return all[#all].params")
    return params


def answer(neovim: NeovimSession, *texts: str, left: int = 0, right: int = 0, index: int | None = None) -> None:
    """Answer the last request (the one of that number), with a range of so many characters beside the cursor."""
    number = [] if index is None else [index]
    neovim.lua(f"{SCRIPTED}.answer(...)", list(texts), left, right, *number)
