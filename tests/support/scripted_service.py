"""A language server with the real service and the real index; only the model is a script.

Run as ``python -m tests.support.scripted_service``. What the model writes is always ``answer()``.
"""

from __future__ import annotations

import sys

from completion_server.bounded_parse import parse_bounded
from completion_server.config import Settings
from completion_server.context.collect import ContextCollector
from completion_server.document import Document, Position
from completion_server.logs import configure_logging
from completion_server.lsp.job import ReportProgress
from completion_server.lsp.server import leave, run_stdio
from completion_server.model import Prompt
from completion_server.prompt.budget import prefix_window, suffix_window
from completion_server.service import CompletionService
from completion_server.snippet import CrossFileContext
from completion_server.syntax import parser_for
from tests.service.test_service import PlainPrompts, ScriptedEngine


class WindowPrompts(PlainPrompts):
    """Prompts of one byte a token, with snippets."""

    def shows_snippets(self, settings: Settings) -> bool:
        return True

    def build(
        self,
        document: Document,
        position: Position,
        settings: Settings,
        max_new_tokens: int,
        draft: str = "",
        context: CrossFileContext | None = None,
    ) -> Prompt:
        before = prefix_window(document, position, 1_024, _encode)
        after = suffix_window(document, position, 256, _encode)
        return Prompt((*before.token_ids, *after.token_ids, 1))


def _encode(text: str) -> list[int]:
    return list(text.encode("utf-8", "replace"))


def _build(settings: Settings, _progress: ReportProgress) -> CompletionService:
    parse_bounded(parser_for("python"), b"", 1.0)  # what is imported late would count as waiting
    return CompletionService(ScriptedEngine("answer()"), WindowPrompts(), settings, ContextCollector())


if __name__ == "__main__":
    configure_logging("warning")
    leave(run_stdio(_build))
    sys.exit()
