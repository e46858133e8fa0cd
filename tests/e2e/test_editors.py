"""The server as real editors' capabilities see it, through pytest-lsp's own client."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_lsp
from lsprotocol import types
from pytest_lsp import ClientServerConfig, LanguageClient, client_capabilities

URI = "file:///work/sample.py"
ROOT = str(Path(__file__).parents[2])
COMMAND = [
    sys.executable,
    "-c",
    f"import sys; sys.path.insert(0, {ROOT!r}); from tests.support.fake_server import main; main()",
]


@pytest_lsp.fixture(  # type: ignore[misc]
    params=["visual_studio_code", "neovim", "emacs"],
    config=ClientServerConfig(server_command=COMMAND),
)
async def editor(request, lsp_client: LanguageClient) -> AsyncIterator[None]:  # type: ignore[no-untyped-def]
    capabilities = client_capabilities(request.param)
    lsp_client.set_configuration({"model": {"name": "pulled"}}, section="completionServer")
    lsp_client.feature(types.CLIENT_REGISTER_CAPABILITY)(lambda _params: None)
    params = types.InitializeParams(capabilities=capabilities, root_uri="file:///work")
    result = await lsp_client.initialize_session(params)
    assert result.capabilities.inline_completion_provider is not None
    lsp_client.text_document_did_open(
        types.DidOpenTextDocumentParams(types.TextDocumentItem(URI, "python", 1, "x = \nMANY\n"))
    )
    yield
    await lsp_client.shutdown_session()


async def ask(editor: LanguageClient, line: int, kind: types.InlineCompletionTriggerKind) -> list[str]:
    reply = await editor.text_document_inline_completion_async(
        types.InlineCompletionParams(
            context=types.InlineCompletionContext(kind),
            text_document=types.TextDocumentIdentifier(URI),
            position=types.Position(line, 4),
        )
    )
    assert isinstance(reply, types.InlineCompletionList)
    assert all(item.range is not None for item in reply.items)
    return [str(item.insert_text) for item in reply.items]


async def test_open_type_ask_and_close(editor: LanguageClient) -> None:
    command = types.ExecuteCommandParams("completionServer.status", [{"wait": True}])
    status = await editor.workspace_execute_command_async(command)
    assert status["state"] == "ready"
    workspace = editor.capabilities.workspace if editor.capabilities else None
    if workspace and workspace.configuration:
        assert status["model_name"] == "pulled"
    assert await ask(editor, 0, types.InlineCompletionTriggerKind.Automatic) == ["fake_completion()"]
    place = types.Position(1, 4)
    change = types.TextDocumentContentChangePartial(range=types.Range(place, place), text=" ")
    identifier = types.VersionedTextDocumentIdentifier(version=2, uri=URI)
    editor.text_document_did_change(types.DidChangeTextDocumentParams(identifier, [change]))
    assert await ask(editor, 1, types.InlineCompletionTriggerKind.Invoked) == ["one()", "two()", "three()"]
    editor.text_document_did_close(types.DidCloseTextDocumentParams(types.TextDocumentIdentifier(URI)))
    assert await ask(editor, 0, types.InlineCompletionTriggerKind.Automatic) == []
    assert editor.messages == []
