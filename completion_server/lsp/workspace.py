"""The client's folders, and what it tells of files that are not open. LSP 3.18, "Workspace Features".

Owns which folder a document belongs to. Reads no files: the service does, when there is time.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from lsprotocol import types

from completion_server.syntax import LANGUAGE_ID_OF_ENDING

if TYPE_CHECKING:
    from completion_server.lsp.server import CompletionLanguageServer

log = logging.getLogger(__name__)

_IGNORE_FILES = ("**/.gitignore", "**/.completionignore")


class Folders:
    """URIs of the folders that are open in the client, in its order."""

    def __init__(self) -> None:
        self._uris: list[str] = []

    def start(self, params: types.InitializeParams) -> None:
        """Take over what ``initialize`` names: folders, or one root."""
        named = [folder.uri for folder in params.workspace_folders or ()]
        self._uris = named or ([params.root_uri] if params.root_uri else [])

    def change(self, event: types.WorkspaceFoldersChangeEvent) -> None:
        """Folders were opened or closed."""
        closed = {folder.uri for folder in event.removed}
        kept = [uri for uri in self._uris if uri not in closed]
        self._uris = list(dict.fromkeys([*kept, *(folder.uri for folder in event.added)]))

    def root_of(self, uri: str) -> str | None:
        """The innermost folder that holds the document ``uri``; for one outside of all, the first folder."""
        around = [each for each in self._uris if uri.startswith(each.rstrip("/") + "/")]
        return max(around, key=len, default=self._uris[0] if self._uris else None)


def did_change_watched_files(server: CompletionLanguageServer, params: types.DidChangeWatchedFilesParams) -> None:
    """Files changed on disk."""
    server.worker.note_file_changes([change.uri for change in params.changes])


def did_change_workspace_folders(
    server: CompletionLanguageServer, params: types.DidChangeWorkspaceFoldersParams
) -> None:
    """Folders were opened or closed in the client."""
    server.folders.change(params.event)


def did_save(server: CompletionLanguageServer, params: types.DidSaveTextDocumentParams) -> None:
    """The text on disk is another, for clients that watch no files; and the user is likely to go on typing."""
    server.worker.note_file_changes([params.text_document.uri])
    server.prepare_place(params.text_document.uri)


async def register_for_file_changes(server: CompletionLanguageServer) -> None:
    """Ask to be told of source files and ignore files; others need not be watched by the client."""
    workspace = server.protocol.client_capabilities.workspace
    support = workspace.did_change_watched_files if workspace else None
    if not (support and support.dynamic_registration):
        return
    sources = "**/*.{" + ",".join(sorted(LANGUAGE_ID_OF_ENDING)) + "}"
    watchers = [types.FileSystemWatcher(glob_pattern=pattern) for pattern in (sources, *_IGNORE_FILES)]
    registration = types.Registration(
        id="files",
        method=types.WORKSPACE_DID_CHANGE_WATCHED_FILES,
        register_options=types.DidChangeWatchedFilesRegistrationOptions(watchers=watchers),
    )
    try:
        params = types.RegistrationParams(registrations=[registration])
        await server.protocol.send_request_async(types.CLIENT_REGISTER_CAPABILITY, params)
    except Exception as error:  # noqa: BLE001 - then changes are found when the files are looked at again
        log.info("the client will not tell when files change: %s", error)
