"""A place in a document becomes what a model server is sent: text, two texts, or token ids.

The windows are those of local prompts and hold still while the user types, which is what a server's prefix cache
lives on. Without a tokenizer, lengths in tokens are a guess on the safe side.

Token healing without logits: where the answer's start can be forced (llama.cpp, by a grammar), the last run of
the prefix is cut off the prompt and the grammar makes the answer spell it again. Elsewhere the prompt is cut only
where it ends with the prefix, and an answer that does not begin with what was cut is dropped. Where a sentinel
stands after the prefix nothing is cut: models learn to fill in the middle from texts split at any character
(Bavarian et al. 2022, section 3).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from completion_server.config import Settings
from completion_server.document import Document, Position
from completion_server.errors import ModelError
from completion_server.model import Prompt
from completion_server.prompt.budget import Encode, prefix_window, suffix_window
from completion_server.prompt.fim import FimFormat, FimTokens, PromptOrder, layout
from completion_server.prompt.healing import heal_prefix, last_run
from completion_server.remote.special_text import SpecialText
from completion_server.snippet import CrossFileContext
from completion_server.tokenizer import Tokenizer

_BYTES_PER_TOKEN = 2  # a low guess: code has three to four
_NUM_SENTINELS = 32  # generous: sentinels, and what servers put before the prompt (llama.cpp: names of files)
_MIN_PREFIX_TOKENS = 16
_REFUSED_LINE = "the line spells a control token, which this API cannot take as text"
_NOT_CONNECTED = "the server had not been reached when this was asked"
_DOCUMENT_START = "<|endoftext|>"


@dataclass(frozen=True)
class PromptShape:
    """What a dialect is sent: token ids, prefix and suffix as two texts, or (neither) one text."""

    is_tokens: bool = False
    may_be_text: bool = False
    """Of a dialect that is sent token ids: whether text does where there is no tokenizer."""
    is_parts: bool = False
    can_force_start: bool = False
    """Whether the server can be made to begin its answer with a given text."""


@dataclass(frozen=True)
class PromptPlan:
    """How prompts look for one model on one server."""

    shape: PromptShape
    format: FimFormat
    order: PromptOrder
    fim_tokens: FimTokens | None = None
    stop_texts: tuple[str, ...] = ()
    max_context: int | None = None

    @property
    def has_suffix(self) -> bool:
        return self.shape.is_parts or bool(self.format.orders)

    @property
    def ends_with_prefix(self) -> bool:
        """Whether the answer continues the prefix itself, with no token in between."""
        if self.shape.is_parts:
            return False
        slots = self.format.slots(self.order) if self.format.orders else None
        return slots is None or slots[-1] == "prefix"

    @property
    def heals(self) -> bool:
        return self.shape.can_force_start or self.ends_with_prefix


@dataclass(frozen=True)
class RemotePrompt(Prompt):
    """Model input for a server. ``token_ids`` is empty where the dialect is sent text."""

    text: str = ""
    prefix: str = ""
    suffix: str = ""
    start: str = ""
    """The end of the text before the cursor, which was cut off: answers must spell it before anything new."""
    stop_texts: tuple[str, ...] = ()
    num_guessed_tokens: int = 0
    plan: PromptPlan | None = None
    refusal: str = ""
    """Why nothing may be sent."""

    @property
    def num_prompt_tokens(self) -> int:
        return len(self.token_ids) or self.num_guessed_tokens


class RemotePromptBuilder:
    """Builds prompts as ``current_plan`` says, which is None while the server has not been seen."""

    def __init__(self, current_plan: Callable[[], PromptPlan | None], tokenizer: Tokenizer | None) -> None:
        self._current_plan = current_plan
        self._tokenizer = tokenizer
        self._special_text = SpecialText(tokenizer)
        self._encode: Encode = _guess if tokenizer is None else tokenizer.encode

    @property
    def starts_with_prefix(self) -> bool:
        """Never: nothing is sent before somebody asks."""
        return False

    def shows_snippets(self, settings: Settings) -> bool:  # noqa: ARG002 - the protocol's
        """Never yet: what is sent to a server is the document that is asked about, and nothing else."""
        return False

    def uses_local_text(self, settings: Settings) -> bool:  # noqa: ARG002 - the protocol's
        """Never: a server gives no logits to mix with."""
        return False

    def build(
        self,
        document: Document,
        position: Position,
        settings: Settings,
        max_new_tokens: int,
        draft: str = "",  # noqa: ARG002 - servers take no drafts
        context: CrossFileContext | None = None,  # noqa: ARG002 - as above
    ) -> RemotePrompt:
        """The prompt for ``position``; one with a ``refusal`` where nothing may be sent."""
        plan = self._current_plan()
        if plan is None:
            return RemotePrompt((), refusal=_NOT_CONNECTED)
        budget = _budget(plan, settings, max_new_tokens)
        suffix_budget = min(settings.context.max_suffix_tokens, budget // 2) if plan.has_suffix else 0
        prefix = _sendable(prefix_window(document, position, budget - suffix_budget, self._encode).text)
        suffix = _sendable(suffix_window(document, position, suffix_budget, self._encode).text)
        suffix = self._cut_to_fit(suffix, suffix_budget)
        if plan.shape.is_tokens:
            return self._of_tokens(plan, prefix, suffix)
        if not plan.shape.is_parts:
            shown_prefix = self._special_text.after_last(prefix)
            shown_suffix = self._special_text.before_first(suffix)
            if shown_prefix is None or shown_suffix is None:
                return RemotePrompt((), refusal=_REFUSED_LINE)
            prefix, suffix = shown_prefix, shown_suffix
        return self._of_text(plan, prefix, suffix)

    def _of_text(self, plan: PromptPlan, prefix: str, suffix: str) -> RemotePrompt:
        start = last_run(prefix) if plan.heals else ""
        if start == prefix and not plan.has_suffix:
            start = ""  # something must be left to go on from
        prefix = prefix.removesuffix(start)
        text = "" if plan.shape.is_parts else text_layout(plan.format, plan.order, prefix, suffix)
        refusal = "" if text or plan.shape.is_parts else "there is no text before the cursor to go on from"
        num_prefix, num_suffix = len(self._encode(prefix)), len(self._encode(suffix))
        return RemotePrompt(
            (),
            num_prefix_tokens=num_prefix,
            num_suffix_tokens=num_suffix,
            num_guessed_tokens=num_prefix + num_suffix,
            text=text,
            prefix=prefix,
            suffix=suffix,
            start=start,
            stop_texts=plan.stop_texts,
            plan=plan,
            refusal=refusal,
        )

    def _of_tokens(self, plan: PromptPlan, prefix: str, suffix: str) -> RemotePrompt:
        tokenizer = self._tokenizer
        assert tokenizer is not None
        assert plan.fim_tokens is not None
        prefix_ids, suffix_ids = tokenizer.encode(prefix), tokenizer.encode(suffix)
        start = ""
        if plan.heals:
            healed = heal_prefix(prefix, prefix_ids, tokenizer)
            try:
                start = healed.removed.decode()
                prefix_ids = healed.token_ids
            except UnicodeDecodeError:
                start = ""  # the cut went through a character, which no grammar can spell
        shown_suffix = suffix_ids if plan.has_suffix else []
        token_ids = layout(plan.format, plan.order, prefix_ids, shown_suffix, plan.fim_tokens).token_ids
        if not token_ids or (not plan.format.orders and not plan.fim_tokens.start and not prefix_ids):
            token_ids = (self._document_start(tokenizer), *token_ids)
        return RemotePrompt(
            token_ids,
            stop_token_ids=plan.fim_tokens.stop_token_ids,
            num_prefix_tokens=len(prefix_ids),
            num_suffix_tokens=len(shown_suffix),
            start=start,
            stop_texts=plan.stop_texts,
            plan=plan,
        )

    def _document_start(self, tokenizer: Tokenizer) -> int:
        candidates = (tokenizer.token_id(_DOCUMENT_START), tokenizer.bos_token_id, tokenizer.eos_token_id)
        return next((token_id for token_id in candidates if token_id is not None), 0)

    def _cut_to_fit(self, text: str, max_tokens: int) -> str:
        """The head of ``text`` in at most ``max_tokens`` tokens; the window counts ids and leaves the text."""
        while (num_tokens := len(self._encode(text))) > max_tokens:
            text = text[: min(len(text) * max_tokens // num_tokens, len(text) - 1)]
        return text


def text_layout(fim_format: FimFormat, order: PromptOrder, prefix: str, suffix: str) -> str:
    """The prompt as text, sentinels spelled as in the vocabulary. What begins a prompt (bos), servers add."""
    slots = fim_format.slots(order) if fim_format.orders else None
    parts = {
        "prefix_token": fim_format.prefix_token or "",
        "suffix_token": fim_format.suffix_token or "",
        "middle_token": fim_format.middle_token or "",
        "prefix": prefix,
        "suffix": suffix,
    }
    return prefix if slots is None else "".join(parts[slot] for slot in slots)


def _budget(plan: PromptPlan, settings: Settings, max_new_tokens: int) -> int:
    budget = settings.context.max_prompt_tokens
    if plan.max_context is not None:
        budget = min(budget, plan.max_context - max_new_tokens - _NUM_SENTINELS)
    if budget < _MIN_PREFIX_TOKENS:
        raise ModelError(
            f"{max_new_tokens} new tokens leave no room for a prompt in the server's context of"
            f" {plan.max_context}: lower generation.automaticMaxTokens or invokedMaxTokens, or start the server"
            " with a larger context"
        )
    return budget


def _sendable(text: str) -> str:
    """``text`` without half surrogate pairs, which are not UTF-8."""
    return text.encode("utf-8", "replace").decode()


def _guess(text: str) -> list[int]:
    """As many ids as ``text`` may have tokens; only their number means anything."""
    return [0] * -(-len(text.encode("utf-8", "surrogatepass")) // _BYTES_PER_TOKEN)
