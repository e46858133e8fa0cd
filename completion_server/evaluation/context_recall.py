"""How often the snippets of a place hold the name of another file that is needed there; no model is asked.

What counts is the text that the prompt would show, cut to its budget: the tokenizer and the layout are those of
the model, the places those of ``evaluate --context``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from completion_server.context.collect import ContextCollector
from completion_server.evaluation.cross_file_holes import CrossFileTask, by_workspace
from completion_server.evaluation.workspaces import index_workspace
from completion_server.prompt.fim import detect_fim_format, fim_token_ids
from completion_server.prompt.snippets import lay_out_snippets
from completion_server.snippet import CrossFileContext
from completion_server.tokenizer import Tokenizer


class Layout(Protocol):
    """What of a context a prompt shows."""

    def __call__(self, context: CrossFileContext, language_id: str, max_tokens: int) -> str: ...


@dataclass(frozen=True)
class RecalledHole:
    """What the snippets of one place show. Its first needed name is where the hole begins."""

    task: CrossFileTask
    is_in_document: bool
    """Whether the first needed name also stands elsewhere in the document."""
    has_snippets: bool
    has_first: bool
    has_all: bool
    shown: str


@dataclass(frozen=True)
class Recall:
    """Counts of places. ``num_first``, ``num_all``: those whose first name, all whose names the snippets show."""

    num_holes: int
    num_with_snippets: int
    num_first: int
    num_all: int


def recalled_holes(
    tasks: Sequence[CrossFileTask], collector: ContextCollector, lay_out: Layout, max_tokens: int
) -> Iterator[RecalledHole]:
    """Choose snippets in ``max_tokens`` for each of ``tasks``, each as a document's first request."""
    for task in by_workspace(tasks):
        view = index_workspace(collector, task.hole, task.root)
        hole = task.hole
        context = collector.collect(hole.document, hole.position, view, max_tokens)
        shown = lay_out(context, hole.document.language_id, max_tokens)
        first, *_ = task.needed_names
        yield RecalledHole(
            task,
            _has_name(hole.document.text, first),
            bool(shown),
            _has_name(shown, first),
            all(_has_name(shown, name) for name in task.needed_names),
            shown,
        )


def count_recall(holes: Sequence[RecalledHole]) -> Recall:
    return Recall(
        len(holes),
        sum(hole.has_snippets for hole in holes),
        sum(hole.has_first for hole in holes),
        sum(hole.has_all for hole in holes),
    )


def layout_of(tokenizer: Tokenizer, stated_fim_format: str | None = None, model_type: str | None = None) -> Layout:
    """Shows snippets as prompts for a model with this tokenizer do where ``context.crossFile`` is on."""
    fim_format = detect_fim_format(tokenizer, stated_fim_format, model_type).format
    tokens = fim_token_ids(fim_format, tokenizer)

    def lay_out(context: CrossFileContext, language_id: str, max_tokens: int) -> str:
        ids = lay_out_snippets(fim_format, tokens, context, language_id, tokenizer.encode, max_tokens)
        return tokenizer.decode(ids.before)

    return lay_out


def _has_name(text: str, name: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text) is not None
