"""A source file becomes a training example in exactly the layout that serving asks the model in.

The windows are ``prompt.budget``'s and the layout is ``prompt.fim``'s. Rates of orders and kinds after Bavarian et
al. 2022 (arXiv 2207.14255): most examples have a hole, some stay plain so that left-to-right is not unlearned.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from completion_server.evaluation.fim_spans import Hole, Span, SpanKind, cut_hole, pick_span
from completion_server.evaluation.held_out import SourceFile
from completion_server.prompt.budget import prefix_window, suffix_window
from completion_server.prompt.fim import FimFormat, PromptOrder, fim_token_ids, layout
from completion_server.prompt.snippets import SnippetIds, lay_out_snippets
from completion_server.snippet import CrossFileContext
from completion_server.tokenizer import Tokenizer
from completion_server.training.error import TrainingError
from completion_server.training.named_elsewhere import pick_hole_named_elsewhere
from completion_server.training.repository_context import RepositoryContext

_MIN_PREFIX_TOKENS = 24
_DEFAULT_KINDS: Mapping[SpanKind, float] = {
    SpanKind.REST_OF_LINE: 0.4,
    SpanKind.WHOLE_LINE: 0.25,
    SpanKind.BLOCK: 0.2,
    SpanKind.RANDOM: 0.15,
}


@dataclass(frozen=True)
class FimRates:
    """Shares between 0 and 1, and sizes in tokens."""

    plain: float = 0.1
    """Examples without a hole."""
    psm: float = 0.0
    """Of those with a hole, in prefix-suffix-middle order, where the format has it; the rest is SPM."""
    joint: float = 0.5
    """Of those that continue the prefix: prefix and middle in one piece, as token healing asks for it. The others
    are tokenized apart, so that a cursor inside a token is known as well."""
    no_middle: float = 0.02
    """Nothing is missing: the model has to say so."""
    no_suffix: float = 0.08
    short_suffix: float = 0.25
    prefix_weight: float = 0.3
    """Loss weight of the prefix and of plain text; the middle and its end have 1."""
    max_tokens: int = 640
    max_suffix_tokens: int = 256
    max_middle_tokens: int = 192
    kinds: Mapping[SpanKind, float] = field(default_factory=lambda: dict(_DEFAULT_KINDS))
    # Those below are not in the repr, by which a run knows its recipe: runs begun before there were any go on.
    snippets: float = field(default=0.0, repr=False)
    """Of those with a hole, shown snippets of other files of the repository, where the server would find any."""
    named_elsewhere: float = field(default=0.0, repr=False)
    """Of those with snippets, with the hole on a line that uses a name out of them, where there is such a line."""
    max_snippet_tokens: int = field(default=256, repr=False)
    """In addition to ``max_tokens``."""
    full_windows: float = field(default=0.0, repr=False)
    """Of those with a hole, with as much before and after it as fits, as served prompts have; the others vary."""

    @property
    def later_recipe(self) -> str:
        """What the repr leaves out; "" without snippets and full windows."""
        snippets = (self.snippets, self.named_elsewhere, self.max_snippet_tokens) if self.snippets else None
        windows = ("full windows", self.full_windows) if self.full_windows else None
        return "".join(repr(each) for each in (snippets, windows) if each)


@dataclass(frozen=True)
class Example:
    """Token ids, and for each the weight of the loss of predicting it from those before (the first has 0)."""

    token_ids: tuple[int, ...]
    weights: tuple[float, ...]
    middle_start: int
    """Index of the first token of the middle; ``len(token_ids)`` for plain text."""


class FimTransform:
    """Makes examples for one tokenizer and one FIM format. Holds nothing that changes but caches."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        fim_format: FimFormat,
        rates: FimRates,
        repositories: RepositoryContext | None = None,
    ) -> None:
        """``repositories`` are those of the files, for snippets; without them there are none.

        Raises ModelFormatError when ``tokenizer`` lacks the format's tokens, TrainingError without a format.
        """
        if not fim_format.orders:
            raise TrainingError(f"{fim_format.name} is no fill-in-the-middle format")
        self._tokenizer = tokenizer
        self._format = fim_format
        self._tokens = fim_token_ids(fim_format, tokenizer)
        if self._tokens.end is None:
            raise TrainingError(f"the format {fim_format.name} has no token for the end of the middle")
        self._end = self._tokens.end
        self._rates = rates
        self._repositories = repositories if rates.snippets else None
        self._document_start = next(
            (found for name in ("<|endoftext|>", "<s>") if (found := tokenizer.token_id(name)) is not None), None
        )

    def example(self, file: SourceFile, rng: random.Random) -> Example | None:
        """An example from ``file``; None when the hole that was drawn does not fit the sizes."""
        rates = self._rates
        if rng.random() < rates.plain:
            return self._plain(file.text, rng)
        if self._repositories is not None and rng.random() < rates.snippets:
            return self._with_snippets(file, self._repositories, rng)
        span = self._draw_span(file, rng)
        return None if span is None else self.infill(cut_hole(file.text, span), rng)

    def infill(self, hole: Hole, rng: random.Random, context: CrossFileContext | None = None) -> Example | None:
        """The example for ``hole``, with windows and order drawn from ``rng``, and ``context`` before it."""
        rates = self._rates
        encode = self._tokenizer.encode
        middle_ids = encode(hole.middle)
        if len(middle_ids) > rates.max_middle_tokens:
            return None
        is_full = rates.full_windows > 0 and rng.random() < rates.full_windows
        suffix_budget = rates.max_suffix_tokens if is_full else self._draw_suffix_budget(rng)
        suffix = suffix_window(hole.document, hole.position, suffix_budget, encode)
        taken = len(suffix.token_ids) + len(middle_ids) + len(self._tokens.start) + 4
        room = max(rates.max_tokens - taken, 1)
        prefix_budget = room if is_full else round(_log_uniform(rng, min(_MIN_PREFIX_TOKENS, room), room))
        prefix = prefix_window(hole.document, hole.position, prefix_budget, encode)
        order = PromptOrder.PSM if rng.random() < rates.psm else PromptOrder.SPM
        if order not in self._format.orders:
            order = self._format.default_order
        prefix_ids = prefix.token_ids
        if rng.random() < rates.joint and self._continues_prefix(order):
            prefix_ids, middle_ids = tokenize_together(self._tokenizer, prefix.text, hole.middle)
        snippets = self._snippet_ids(context, hole)
        shown_prefix = [*snippets.prefix_head, *prefix_ids]
        fim = layout(self._format, order, shown_prefix, suffix.token_ids, self._tokens, snippets.before)
        token_ids = (*fim.token_ids, *middle_ids, self._end)
        weights = [0.0] * len(fim.token_ids) + [1.0] * (len(middle_ids) + 1)
        for index in range(max(fim.prefix_start + len(snippets.prefix_head), 1), fim.prefix_end):
            weights[index] = rates.prefix_weight
        return Example(token_ids, tuple(weights), len(fim.token_ids))

    def _draw_span(self, file: SourceFile, rng: random.Random) -> Span | None:
        rates = self._rates
        kind = rng.choices(list(rates.kinds), list(rates.kinds.values()))[0]
        span = pick_span(file.text, file.language, kind, rng)
        if span is not None and rng.random() < rates.no_middle:
            return Span(kind, span.end, span.end)
        return span

    def _with_snippets(
        self, file: SourceFile, repositories: RepositoryContext, rng: random.Random
    ) -> Example | None:
        max_tokens = self._rates.max_snippet_tokens
        if rng.random() < self._rates.named_elsewhere:
            found = pick_hole_named_elsewhere(file, repositories, max_tokens, rng)
            if found is not None:
                return self.infill(found[0], rng, found[1])
        span = self._draw_span(file, rng)
        if span is None:
            return None
        hole = repositories.hole(file, span)
        return self.infill(hole, rng, repositories.snippets(file, hole, max_tokens))

    def _snippet_ids(self, context: CrossFileContext | None, hole: Hole) -> SnippetIds:
        if context is None or not context.snippets:
            return SnippetIds()
        language_id, max_tokens = hole.document.language_id, self._rates.max_snippet_tokens
        encode = self._tokenizer.encode
        return lay_out_snippets(self._format, self._tokens, context, language_id, encode, max_tokens)

    def _plain(self, text: str, rng: random.Random) -> Example:
        max_tokens = self._rates.max_tokens // 2
        start = 0
        if len(text) > 4 * max_tokens and rng.random() < 0.8:
            start = text.rfind("\n", 0, rng.randrange(len(text) - 2 * max_tokens)) + 1
        token_ids = self._tokenizer.encode(text[start : start + 5 * max_tokens])[:max_tokens]
        if start == 0 and self._document_start is not None:
            token_ids = [self._document_start, *token_ids]
        weights = (0.0, *[self._rates.prefix_weight] * (len(token_ids) - 1))
        return Example(tuple(token_ids), weights, len(token_ids))

    def _draw_suffix_budget(self, rng: random.Random) -> int:
        rates, draw = self._rates, rng.random()
        if draw < rates.no_suffix:
            return 0
        if draw < rates.no_suffix + rates.short_suffix:
            return rng.randint(4, min(48, rates.max_suffix_tokens))
        return rng.randint(min(48, rates.max_suffix_tokens), rates.max_suffix_tokens)

    def _continues_prefix(self, order: PromptOrder) -> bool:
        return layout(self._format, order, [0], [0], self._tokens).ends_with_prefix


def tokenize_together(tokenizer: Tokenizer, prefix: str, middle: str) -> tuple[list[int], list[int]]:
    """Tokens of ``prefix + middle`` that end before the cursor, and those from the one that it is in on."""
    token_ids = tokenizer.encode(prefix + middle)
    num_bytes, cursor = 0, len(prefix.encode("utf-8", "surrogatepass"))
    for index, token_id in enumerate(token_ids):
        num_bytes += len(tokenizer.token_bytes(token_id))
        if num_bytes > cursor:
            return token_ids[:index], token_ids[index:]
    return token_ids, []


def _log_uniform(rng: random.Random, low: float, high: float) -> float:
    return math.exp(rng.uniform(math.log(max(low, 1)), math.log(max(high, 1))))
