"""``completion-server try``: the terminal editor over the real server, which starts while one types."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path

from completion_server.cli.edited_file import EditedFile
from completion_server.cli.file_position import language_id_of
from completion_server.cli.option import CommonOptions
from completion_server.cli.server_process import started_server
from completion_server.cli.terminal_editor import TerminalEditor
from completion_server.errors import CompletionServerError


def run(path: Path, options: CommonOptions) -> None:
    """Edit ``path``. Raises CompletionServerError."""
    file = EditedFile(path)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise CompletionServerError("the editor needs a terminal; `completion-server complete` does not")
    asyncio.run(_edit(file, options))


async def _edit(file: EditedFile, options: CommonOptions) -> None:
    editor = TerminalEditor(file, file.path.as_uri())
    serving = asyncio.ensure_future(_serve(editor, file, options))
    try:
        await editor.run()
    finally:
        serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving


async def _serve(editor: TerminalEditor, file: EditedFile, options: CommonOptions) -> None:
    """Keep a server beside ``editor``; what goes wrong is said in its status bar, and editing goes on."""

    def show(message: str, fraction: float | None) -> None:
        editor.show_state(message if fraction is None else f"{message} {fraction:.0%}")

    try:
        async with started_server(options, show) as (client, model):
            uri = file.path.as_uri()
            client.open(uri, editor.buffer.text, language_id_of(file.path))
            editor.connect(client)
            editor.show_state(f"{model.get('name')} {model.get('device')} {model.get('dtype')}")
            await asyncio.Event().wait()
    except CompletionServerError as error:
        editor.show_state(f"no suggestions: {str(error).splitlines()[0]}")
