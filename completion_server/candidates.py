"""What the model is let write at a place, and what becomes of it: stop rules before, filters and evidence after.

Text only; who is shown what is decided elsewhere (``gate``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from completion_server.document import Document, Position
from completion_server.engine.stopping import (
    BlankLine,
    Dedent,
    FenceClosed,
    ForeignCloser,
    LineEnd,
    MaxLines,
    Repetition,
    RestReached,
    StopRule,
    SuffixReached,
)
from completion_server.evidence import Evidence
from completion_server.fences import closing_fence, without_prose
from completion_server.metrics import RequestTrace
from completion_server.postprocess.pipeline import postprocess
from completion_server.postprocess.place import Place
from completion_server.request import FinishReason, Insertion
from completion_server.trigger import CompletionMode, Trigger, code_language

if TYPE_CHECKING:
    from completion_server.engine.engine import GenerationResult
    from completion_server.engine.writing import Generation

_MAX_BLOCK_LINES = 12
_CUT_SHORT = frozenset({FinishReason.DEADLINE, FinishReason.LENGTH})


def stop_rules_for(trigger: Trigger, document: Document, position: Position) -> list[StopRule]:
    """Where a generation of this mode at this place ends."""
    marker = closing_fence(document, position.line)
    document = without_prose(document, position.line)
    rest = document.line_suffix(position).strip()
    following = document.lines[position.line + 1 : position.line + 20]
    next_line = next((line for line in following if line.strip()), "")
    # A closer on the next line is not the block's own where the block still lacks one.
    follows = rest or ("" if trigger.block_closer else next_line.strip())
    common: list[StopRule] = [RestReached(rest), Repetition(), FenceClosed(marker)]
    language_id = code_language(document, position)
    if trigger.mode is CompletionMode.LINE:
        # Where code follows them nothing is gained by what comes behind them.
        passed = "" if any(map(str.isalnum, rest)) else rest[: len(rest) - len(rest.lstrip(")]}"))]
        return [LineEnd(), ForeignCloser(follows[:1], language_id, passed), *common]
    return [
        Dedent(trigger.block_indent, closer=trigger.block_closer, language_id=language_id),
        BlankLine(),
        MaxLines(_MAX_BLOCK_LINES),
        SuffixReached(next_line),
        ForeignCloser(follows[:1], language_id),
        *common,
    ]


def make_candidates(
    result: GenerationResult, document: Document, position: Position, trigger: Trigger, trace: RequestTrace
) -> dict[Insertion, Evidence]:
    """Post-processed texts with their evidence, without doubles, the one the model is surest of first.

    A generation that a limit cut short in its first line is a stub. It is only used where nothing else is there.
    """
    texts: dict[Insertion, Evidence] = {}
    fired: list[str] = []
    whole = [generation for generation in result.generations if not _is_stub(generation)]
    for generation in sorted(whole or result.generations[:1], key=_mean_logprob, reverse=True):
        place = Place.of(
            document,
            position,
            is_partial=_is_cut_short(generation),
            is_single_line=trigger.mode is CompletionMode.LINE,
        )
        processed = postprocess(generation.text, place)
        fired += processed.fired
        if processed.text:
            insertion = Insertion(processed.text, processed.num_replaced)
            texts.setdefault(insertion, _evidence(generation, processed.text, trigger))
    first = result.generations[0] if result.generations else None
    if first is not None and first.logprobs:
        trace.note(stop_rule=first.stop_rule, mean_logprob=round(sum(first.logprobs) / len(first.logprobs), 3))
    trace.note(filters_fired=fired, num_hidden=len(result.generations) - len(texts))
    return texts


def _is_stub(generation: Generation) -> bool:
    return _is_cut_short(generation) and "\n" not in generation.text.strip()


def _mean_logprob(generation: Generation) -> float:
    return sum(generation.logprobs) / len(generation.logprobs) if generation.logprobs else float("-inf")


def _evidence(generation: Generation, shown: str, trigger: Trigger) -> Evidence:
    """What is known of the tokens that spell ``shown``, the generation's text as the filters left it."""
    evidence = Evidence(
        generation.token_ends or (len(generation.text),) * len(generation.logprobs),
        generation.logprobs,
        generation.num_healed_bytes,
        _is_cut_short(generation),
        trigger.mode is CompletionMode.BLOCK,
    )
    shown = shown.replace("\r\n", "\n")
    if generation.text.find(shown) < 0:
        # Closers of what it leaves open are nobody's tokens.
        shown = shown[: _num_common(generation.text, shown)] or shown
    begin = max(generation.text.find(shown), 0)
    return evidence.after(begin).within(len(shown)) if begin else evidence.within(len(shown))


def _num_common(first: str, second: str) -> int:
    """Length of the beginning that both have."""
    pairs = zip(first, second, strict=False)
    return next((number for number, (a, b) in enumerate(pairs) if a != b), min(len(first), len(second)))


def _is_cut_short(generation: Generation) -> bool:
    return generation.finish_reason in _CUT_SHORT
