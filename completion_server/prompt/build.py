"""A place in a document becomes the model's input: windows, token healing, FIM layout.

Holds one model's tokenizer and FIM format and nothing that changes. Knows no tensors.
"""

from __future__ import annotations

from dataclasses import dataclass

from cachetools import LRUCache

from completion_server.config import Settings
from completion_server.document import Document, Position
from completion_server.errors import ModelError
from completion_server.model import Prompt
from completion_server.prompt.budget import prefix_window, suffix_window
from completion_server.prompt.fim import (
    PromptOrder,
    choose_order,
    detect_fim_format,
    fim_token_ids,
    layout,
)
from completion_server.prompt.healing import heal_prefix
from completion_server.prompt.local_text import LocalTexts
from completion_server.prompt.snippets import SnippetIds, lay_out_snippets, shows_files
from completion_server.snippet import CrossFileContext
from completion_server.tokenizer import Tokenizer

_NUM_SENTINELS = 8  # generous: start, three sentinels, separators
_MIN_PREFIX_TOKENS = 16
_LOOKUP_TOKENS = 256
_MAX_SNIPPET_SETS = 64
_DOCUMENT_STARTS = ("<|endoftext|>", "<|end_of_text|>", "<s>")


@dataclass(frozen=True)
class ModelFacts:
    """What the prompt depends on beside the tokenizer."""

    model_type: str | None = None
    max_context: int = 2048
    stated_fim_format: str | None = None
    """The format that the model's source names (registry entry); a setting goes before it."""
    has_local_ngrams: bool = False
    """Whether the weight of the n-gram model of the text at hand was fitted for this model."""


class PromptBuilder:
    """Builds prompts for one model."""

    def __init__(
        self, tokenizer: Tokenizer, facts: ModelFacts, *, fim_format: str = "auto", prompt_order: str = "auto"
    ) -> None:
        """``fim_format`` and ``prompt_order`` are the settings of these names."""
        self._tokenizer = tokenizer
        self._max_context = facts.max_context
        self._has_local_ngrams = facts.has_local_ngrams
        self._local_texts = LocalTexts(tokenizer.encode)
        wanted = fim_format if fim_format != "auto" else facts.stated_fim_format
        detection = detect_fim_format(tokenizer, wanted, facts.model_type)
        self._format = detection.format
        self._order = choose_order(detection.format, prompt_order)
        self._fim_tokens = fim_token_ids(detection.format, tokenizer)
        self._snippet_ids: LRUCache[tuple[CrossFileContext, str, int], SnippetIds] = LRUCache(_MAX_SNIPPET_SETS)
        self._stop_token_ids = self._fim_tokens.stop_token_ids | tokenizer.special_token_ids
        self.warnings = (detection.warning,) if detection.warning else ()

    @property
    def format_name(self) -> str:
        return self._format.name

    @property
    def order_name(self) -> str:
        return self._order.value if self._format.orders else "prefix"

    @property
    def starts_with_prefix(self) -> bool:
        """Whether prompts begin with the text before the cursor, and not with that after it."""
        return not self._format.orders or self._order is PromptOrder.PSM

    def warm_up(self) -> None:
        """Build the vocabulary's look-up tables, so that the first request does not."""
        self._tokenizer.tokens_extending(b" ")

    def shows_snippets(self, settings: Settings) -> bool:
        """Whether prompts show snippets of other files: as set, or by default where the model was trained so."""
        context = settings.context
        if context.max_snippet_tokens == 0 or context.cross_file == "off":
            return False
        return context.cross_file == "on" or shows_files(self._format, self._fim_tokens)

    def uses_local_text(self, settings: Settings) -> bool:
        """Whether the text at hand weighs in on what is written: as set, or by default where that was fitted."""
        wish = settings.context.local_ngrams
        return self._has_local_ngrams if wish == "auto" else wish == "on"

    def build(
        self,
        document: Document,
        position: Position,
        settings: Settings,
        max_new_tokens: int,
        draft: str = "",
        context: CrossFileContext | None = None,
    ) -> Prompt:
        """The prompt for ``position``, leaving room for ``max_new_tokens``. ModelError when nothing fits.

        ``draft`` is a guess at the text that follows, from an earlier suggestion. ``context`` are snippets of
        other files: shown, in a quarter of the prompt at most, or beside it (``local_text``).
        """
        encode = self._tokenizer.encode
        budget = self._budget(settings, max_new_tokens)
        is_shown = context is not None and self.shows_snippets(settings)
        snippet_budget = min(settings.context.max_snippet_tokens, budget // 4) if is_shown else 0
        snippets = self._snippets(context, document.language_id, snippet_budget)
        if snippets.before:
            # The budget and not what is used: see the suffix's below.
            budget -= snippet_budget
        has_suffix = bool(self._format.orders)
        suffix_budget = min(settings.context.max_suffix_tokens, budget // 2) if has_suffix else 0
        # A model that cannot be shown what follows the cursor may still write it.
        suffix = suffix_window(document, position, suffix_budget or _LOOKUP_TOKENS, encode)
        # The suffix's budget and not its length is taken off, so that the prefix window does not move with it.
        prefix = prefix_window(document, position, budget - suffix_budget, encode)
        healed = heal_prefix(prefix.text, prefix.token_ids, self._tokenizer)
        shown_suffix = suffix.token_ids if has_suffix else ()
        prefix_ids = [*snippets.prefix_head, *healed.token_ids]
        fim = layout(self._format, self._order, prefix_ids, shown_suffix, self._fim_tokens, snippets.before)
        token_ids = fim.token_ids
        if not token_ids or (prefix.is_at_edge and not self._format.orders and not self._fim_tokens.start):
            token_ids = (self._document_start(), *token_ids)
        local_text = None
        if self.uses_local_text(settings):
            lines = _shown_lines(position, prefix.text, suffix.text if has_suffix else "")
            local_text = self._local_texts.collect(
                document, lines, healed.token_ids, None if is_shown else context
            )
        return Prompt(
            token_ids,
            healed.healing,
            self._stop_token_ids,
            tuple(encode(healed.removed.decode("utf-8", "replace") + draft)) if draft else (),
            lookup_token_ids=() if has_suffix else tuple(suffix.token_ids),
            num_prefix_tokens=len(healed.token_ids),
            num_suffix_tokens=len(shown_suffix),
            snippet_sizes=snippets.sizes,
            local_text=local_text,
        )

    def _budget(self, settings: Settings, max_new_tokens: int) -> int:
        budget = min(settings.context.max_prompt_tokens, self._max_context - max_new_tokens - _NUM_SENTINELS)
        if budget < _MIN_PREFIX_TOKENS:
            raise ModelError(
                f"{max_new_tokens} new tokens leave no room for a prompt in a context of {self._max_context}:"
                " lower generation.automaticMaxTokens or invokedMaxTokens"
            )
        return budget

    def _snippets(self, context: CrossFileContext | None, language_id: str, max_tokens: int) -> SnippetIds:
        """Remembered: they are the same for many requests."""
        if context is None or not context.snippets or max_tokens <= 0:
            return SnippetIds()
        key = context, language_id, max_tokens
        known = self._snippet_ids.get(key)
        if known is None:
            encode = self._tokenizer.encode
            known = lay_out_snippets(self._format, self._fim_tokens, context, language_id, encode, max_tokens)
            self._snippet_ids[key] = known
        return known

    def _document_start(self) -> int:
        """The token that stood between documents in training, as far as it can be told."""
        named = (self._tokenizer.token_id(spelling) for spelling in _DOCUMENT_STARTS)
        candidates = (*named, self._tokenizer.bos_token_id, self._tokenizer.eos_token_id)
        return next((token_id for token_id in candidates if token_id is not None), 0)


def _shown_lines(position: Position, prefix: str, suffix: str) -> tuple[int, int]:
    """The first line of which the windows show something, and the first after it of which they show nothing."""
    num_after = suffix.count("\n") + (not suffix.endswith("\n"))
    return position.line - prefix.count("\n"), position.line + num_after
