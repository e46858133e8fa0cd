"""A place in a document becomes the model's input: windows, token healing, FIM layout.

Used by serving and, through the same FIM table, by training. Knows no tensors.
"""

from __future__ import annotations

from typing import Literal

from completion_server.config import Settings
from completion_server.document import Document, Position
from completion_server.model import Prompt
from completion_server.prompt.budget import prefix_window, suffix_window
from completion_server.prompt.healing import heal_prefix
from completion_server.tokenizer import Tokenizer


class PromptBuilder:
    """Builds prompts for one model; holds its tokenizer and FIM format, nothing that changes."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        *,
        fim_format: str = "auto",
        prompt_order: Literal["auto", "psm", "spm"] = "auto",
        model_type: str | None = None,
        max_context: int = 2048,
    ) -> None:
        self._tokenizer = tokenizer
        self._max_context = max_context
        self.format_name = "prefix-only"
        self.order_name = "psm"
        self.warnings: tuple[str, ...] = ()

    def warm_up(self) -> None:
        """Build the vocabulary's look-up tables, so that the first request does not."""
        self._tokenizer.tokens_extending(b" ")

    def build(self, document: Document, position: Position, settings: Settings, max_new_tokens: int) -> Prompt:
        budget = min(settings.context.max_prompt_tokens, self._max_context - max_new_tokens - 16)
        prefix = prefix_window(document, position, budget, self._tokenizer.encode)
        healed = heal_prefix(prefix.text, prefix.token_ids, self._tokenizer)
        start = self._tokenizer.token_id("<|endoftext|>")
        token_ids = healed.token_ids
        if prefix.is_at_edge or not token_ids:
            token_ids = [start or 0, *token_ids]
        return Prompt(tuple(token_ids), healed.healing, self._tokenizer.special_token_ids)
