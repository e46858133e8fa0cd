"""What the gate looks at: how sure the model was, how long the text is, and where it would go. Numbers only."""

from __future__ import annotations

import math

from completion_server.document import Document, Position
from completion_server.evidence import Evidence
from completion_server.syntax import grammar_of

FEATURE_NAMES = (
    "mean_logprob",
    "min_logprob",
    "first_logprob",
    "log_chars",
    "log_tokens",
    "num_line_ends",
    "starts_line",
    "inside_call",
    "code_after_cursor",
    "is_cut_short",
    "log_healed_chars",
    "is_block",
    "is_known_language",
)
_LOWEST_LOGPROB = -12.0  # below it nothing changes; the linear model must not follow one impossible token


def features_of(text: str, evidence: Evidence, document: Document, position: Position) -> tuple[float, ...] | None:
    """One number per FEATURE_NAMES for ``text`` at ``position``; None where nothing is known of its tokens.

    ``evidence`` is of ``text`` alone: what a filter cut off no longer counts.
    """
    if not evidence.logprobs:
        return None
    logprobs = [max(logprob, _LOWEST_LOGPROB) for logprob in evidence.logprobs]
    before, after = document.line_prefix(position), document.line_suffix(position)
    return (
        sum(logprobs) / len(logprobs),
        min(logprobs),
        logprobs[0],
        math.log1p(len(text)),
        math.log1p(len(logprobs)),
        float(min(text.count("\n"), 12)),
        float(not before.strip()),
        float(before.count("(") > before.count(")")),
        float(any(map(str.isalnum, after))),
        float(evidence.is_cut_short),
        math.log1p(evidence.num_healed_chars),
        float(evidence.is_block),
        float(grammar_of(document.language_id) is not None),
    )
