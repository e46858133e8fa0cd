"""What the service asks of an engine and of a prompt builder, wherever the model runs: two protocols."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from completion_server.config import Settings
from completion_server.document import Document, Position
from completion_server.engine.stopping import StopRule
from completion_server.model import Prompt, SamplingParams
from completion_server.request import CancellationToken, Deadline
from completion_server.snippet import CrossFileContext

if TYPE_CHECKING:
    from completion_server.engine.engine import GenerationResult


class TextEngine(Protocol):
    """The engine as the service sees it."""

    def generate(
        self,
        prompt: Prompt,
        sampling: SamplingParams,
        stop_rules: list[StopRule],
        deadline: Deadline,
        cancellation: CancellationToken,
        num_alternatives: int = 1,
    ) -> GenerationResult: ...

    def prefill(self, prompt: Prompt, deadline: Deadline, cancellation: CancellationToken) -> int: ...

    def num_missing_tokens(self, prompt: Prompt) -> int: ...

    def num_tokens_within(self, elapsed_ms: float) -> float: ...

    def clear(self) -> None: ...

    def apply_settings(self, settings: Settings) -> None: ...

    def status(self) -> dict[str, object]: ...

    def close(self) -> None: ...


class PromptSource(Protocol):
    """Makes the model's input for a place in a document."""

    @property
    def starts_with_prefix(self) -> bool:
        """Whether nothing that changes with the cursor stands before the text before it."""
        ...

    def shows_snippets(self, settings: Settings) -> bool:
        """Whether ``build`` puts a context into the prompt."""
        ...

    def uses_local_text(self, settings: Settings) -> bool:
        """Whether ``build`` has a use for a context that it does not put into the prompt."""
        ...

    def build(
        self,
        document: Document,
        position: Position,
        settings: Settings,
        max_new_tokens: int,
        draft: str = "",
        context: CrossFileContext | None = None,
    ) -> Prompt: ...
