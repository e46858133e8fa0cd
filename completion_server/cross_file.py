"""What a request may see beside its own document, and whether it may be answered at all.

Joins the settings, the model's prompt format and the workspace's context for the service. Knows no tensors.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from completion_server.config import Settings
from completion_server.document import Document, Position
from completion_server.model import Prompt
from completion_server.request import CompletionRequest, WorkspaceView
from completion_server.secrets_filter import secret_spans
from completion_server.snippet import CrossFileContext

_CHARS_AROUND_CURSOR = 512
MAX_TOKENS_BESIDE = 2048
"""Most tokens of snippets beside the prompt, where they cost no forward pass."""


class ContextSource(Protocol):
    """Knows the other files of a workspace, and which files are nobody's business."""

    def reason_to_skip(self, document: Document, workspace: WorkspaceView) -> str | None: ...

    def known_reason_to_skip(self, uri: str) -> str | None: ...

    def forget(self, uri: str) -> None: ...

    def collect(
        self, document: Document, position: Position, workspace: WorkspaceView, max_tokens: int
    ) -> CrossFileContext: ...

    def collect_for_all(
        self, document: Document, workspace: WorkspaceView, max_tokens: int
    ) -> CrossFileContext: ...

    def propose(
        self, document: Document, position: Position, workspace: WorkspaceView, max_tokens: int
    ) -> CrossFileContext | None: ...

    def adopt(self, uri: str) -> None: ...

    def note_changes(self, uris: Sequence[str]) -> None: ...

    def held_back(self) -> AbstractContextManager[None]: ...

    def clear(self) -> None: ...

    def close(self) -> None: ...

    def status(self) -> dict[str, object]: ...


class VerdictUnknownError(Exception):
    """Whether a document is excluded is not known without reading files."""


class SnippetUser(Protocol):
    """The prompt builder, as far as this module uses it."""

    def shows_snippets(self, settings: Settings) -> bool: ...

    def uses_local_text(self, settings: Settings) -> bool: ...


def snippet_budget(settings: Settings) -> int:
    """Most tokens of snippets where prompts show any."""
    context = settings.context
    return min(context.max_snippet_tokens, context.max_prompt_tokens // 4)


class CrossFile:
    """The context of one service. Without a source every document is read, and alone."""

    def __init__(self, source: ContextSource | None, prompts: SnippetUser, settings: Settings) -> None:
        self._source = source
        self._prompts = prompts
        self.settings = settings

    @property
    def max_prompt_tokens(self) -> int:
        """Most tokens of snippets in a prompt; 0 where prompts show none."""
        if self._source is None or not self._prompts.shows_snippets(self.settings):
            return 0
        return snippet_budget(self.settings)

    @property
    def max_tokens(self) -> int:
        """Most tokens of snippets that there is a use for, in the prompt or beside it."""
        shown = self.max_prompt_tokens
        if shown or self._source is None or self.settings.context.cross_file == "off":
            return shown
        return MAX_TOKENS_BESIDE if self._prompts.uses_local_text(self.settings) else 0

    def reason_to_skip(self, request: CompletionRequest, *, may_read: bool = True) -> str | None:
        """Why the document gets no completions, or this place none: a secret is being written. None: it does.

        Unless ``may_read``, ignore files are not looked at. Raises VerdictUnknownError where they have to be.
        """
        position = request.position
        first = max(position.column - _CHARS_AROUND_CURSOR, 0)
        around = request.document.lines[position.line][first : position.column + _CHARS_AROUND_CURSOR]
        cursor = position.column - first
        # Without what follows too: there a value that has just been begun is known by its name.
        spans = (*secret_spans(around), *secret_spans(around[:cursor]))
        if any(start < cursor <= end for start, end in spans):
            return "the cursor is inside of what looks like a secret"
        if self._source is None:
            return None
        if not may_read:
            try:
                return self._source.known_reason_to_skip(request.document.uri)
            except LookupError:
                raise VerdictUnknownError from None
        return self._source.reason_to_skip(request.document, request.workspace)

    def collect(self, document: Document, position: Position, workspace: WorkspaceView) -> CrossFileContext | None:
        """The snippets for a place; None where there is no use for any."""
        if self._source is None or not self.max_tokens:
            return None
        return self._source.collect(document, position, workspace, self.max_tokens)

    def collect_for_all(self, document: Document, workspace: WorkspaceView) -> CrossFileContext | None:
        """The same for a document that is read whole, wherever the cursor is going to be."""
        if self._source is None or not self.max_tokens:
            return None
        return self._source.collect_for_all(document, workspace, self.max_tokens)

    def propose(self, request: CompletionRequest) -> CrossFileContext | None:
        """Snippets that are worth reading the prompt anew for, if there are any."""
        if self._source is None or not self.max_tokens:
            return None
        return self._source.propose(request.document, request.position, request.workspace, self.max_tokens)

    def adopt(self, uri: str) -> None:
        """From now on the snippets that were proposed last are those of ``uri``."""
        if self._source is not None:
            self._source.adopt(uri)

    def note_changes(self, uris: Sequence[str]) -> None:
        """Files that changed on disk or were closed; may be called from any thread, and takes no time."""
        if self._source is not None:
            self._source.note_changes(uris)

    def forget(self, uri: str) -> None:
        """Keep nothing of a document that was closed."""
        if self._source is not None:
            self._source.forget(uri)

    def held_back(self) -> AbstractContextManager[None]:
        """Inside of this block nothing is read in the background."""
        return contextlib.nullcontext() if self._source is None else self._source.held_back()

    def clear(self) -> None:
        """Forget what was chosen."""
        if self._source is not None:
            self._source.clear()

    def close(self) -> None:
        """End what runs in the background."""
        if self._source is not None:
            self._source.close()

    def status(self) -> dict[str, object]:
        return {} if self._source is None else self._source.status()


def shown_snippets(context: CrossFileContext | None, prompt: Prompt) -> list[dict[str, object]]:
    """Places, kinds and sizes of the snippets in ``prompt``, never their text."""
    if context is None:
        return []
    return [
        {"place": snippet.place, "kind": snippet.kind.value, "num_tokens": size}
        for snippet, size in zip(context.snippets, prompt.snippet_sizes, strict=False)
        if size
    ]
