"""The workspace's file, read beside the event loop, and the user's agreement to what it asks for.

Owns when the file is looked at, and one question per folder and content. Nothing waits for the answer: until there
is one, the settings that need it are ignored.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from lsprotocol import types

from completion_server.trust import how_to_allow, question, read_with_agreement, remember
from completion_server.workspace_file import WorkspaceFile

if TYPE_CHECKING:
    from completion_server.lsp.server import CompletionLanguageServer

log = logging.getLogger(__name__)

USE = "Use these settings"
IGNORE = "Ignore"


class WorkspaceTrust:
    """Lives on the event loop; files are read and written on threads that end with the process."""

    def __init__(self, server: CompletionLanguageServer) -> None:
        self._server = server
        self._num_looks = 0
        self._told: set[tuple[Path, str]] = set()

    def look(self) -> asyncio.Future[None]:
        """Read the file again; what is new in it is put to use. The future is done when that has happened."""
        self._num_looks += 1
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        configuration = self._server.configuration
        folder = configuration.workspace
        if folder is None or not configuration.trusts_workspace():
            self._take(None, self._num_looks, done)
        else:
            arguments = (folder, self._num_looks, done)
            threading.Thread(target=self._read, args=arguments, name="workspace file", daemon=True).start()
        return done

    def tell(self, file: WorkspaceFile, withheld: tuple[str, ...]) -> None:
        """Say once what of ``file`` is ignored, and ask whether it shall be used where the client can ask."""
        key = (file.folder, file.digest)
        if key in self._told:
            return
        self._told.add(key)
        message = how_to_allow(file, withheld)
        self._server.log_to_client(types.MessageType.Warning, message)
        if file.agreed is False:
            return
        window = self._server.protocol.client_capabilities.window
        if window is not None and window.show_message is not None:
            self._server.spawn(self._ask(file, question(file, withheld)))
        else:
            self._server.show_once(types.MessageType.Warning, message)

    def _read(self, folder: Path, number: int, done: asyncio.Future[None]) -> None:
        self._server.post(self._take, read_with_agreement(folder), number, done)

    def _take(self, file: WorkspaceFile | None, number: int, done: asyncio.Future[None]) -> None:
        if number == self._num_looks and file != self._server.configuration.workspace_file:
            self._server.configuration.workspace_file = file
            self._server.configure()
        if not done.done():
            done.set_result(None)

    async def _ask(self, file: WorkspaceFile, message: str) -> None:
        actions = [types.MessageActionItem(title=title) for title in (USE, IGNORE)]
        params = types.ShowMessageRequestParams(type=types.MessageType.Info, message=message, actions=actions)
        try:
            answer = await self._server.protocol.send_request_async(types.WINDOW_SHOW_MESSAGE_REQUEST, params)
        except Exception as error:  # noqa: BLE001 - whatever the client answers, it is no agreement
            log.info("the client did not ask the user: %s", error)
            return
        title = getattr(answer, "title", None)
        if title in (USE, IGNORE):
            self._take_answer(file, is_allowed=title == USE)

    def _take_answer(self, file: WorkspaceFile, *, is_allowed: bool) -> None:
        arguments = (file, is_allowed)
        threading.Thread(target=self._keep, args=arguments, name="workspace file", daemon=True).start()
        if self._server.configuration.workspace_file == file:
            self._server.configuration.workspace_file = dataclasses.replace(file, agreed=is_allowed)
            self._server.configure()

    def _keep(self, file: WorkspaceFile, is_allowed: bool) -> None:
        try:
            remember(file, is_allowed=is_allowed)
        except OSError as error:
            log.warning("the answer counts until the server ends, for it cannot be kept: %s", error)
