"""The straight line of a request: trigger, cache, prompt, decode, post-processing. Lives on the model thread.

Knows no LSP and no tensors; the engine and the prompt builder are handed in.
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from completion_server.answers import answer, note_verdict, with_selection
from completion_server.candidates import make_candidates, stop_rules_for
from completion_server.completion_cache import CompletionCache, Known
from completion_server.config import Settings
from completion_server.cpu_budget import CpuBudget
from completion_server.cross_file import ContextSource, CrossFile, VerdictUnknownError, shown_snippets
from completion_server.document import Document, Position
from completion_server.evidence import Evidence
from completion_server.gate.gate import Gate, Verdict
from completion_server.line_window import LineWindow
from completion_server.look_ahead import after_enter
from completion_server.metrics import RequestTrace
from completion_server.model import Prompt, SamplingParams
from completion_server.power import PowerSource
from completion_server.request import (
    Completion,
    CompletionRequest,
    Deadline,
    FinishReason,
    TriggerKind,
)
from completion_server.short_prompt import short_prompt_tokens, with_short_prompt
from completion_server.snippet import CrossFileContext
from completion_server.text_engine import PromptSource, TextEngine
from completion_server.trigger import Trigger, decide_trigger, kind_of_place, refuse_at_once

if TYPE_CHECKING:
    from completion_server.engine.engine import GenerationResult

_MAX_TOKENS_AHEAD = 64  # to feed for a place that the cursor may never reach
_PREFILL_SHARE = 0.6  # of the time that is left
_CHARS_PER_TOKEN = 3  # a low guess for code: what is below fits


class CompletionService:
    """Answers requests one at a time."""

    def __init__(
        self,
        engine: TextEngine,
        prompts: PromptSource,
        settings: Settings,
        context: ContextSource | None = None,
        cpu_seconds: Callable[[], float] = time.process_time,
        gate: Gate | None = None,
    ) -> None:
        """Without ``context`` every document is read, and alone.

        ``cpu_seconds`` tells the processor time that completions have taken so far, wherever they are made.
        ``gate`` decides what appears by itself; None: by the tokens' probabilities alone.
        """
        self._gate = gate or Gate()
        self._cross_file = CrossFile(context, prompts, settings)
        self._engine = engine
        self._cpu_seconds = cpu_seconds
        self._prompts = prompts
        self._settings = settings
        self._completion_cache = CompletionCache(settings.cache.completion_cache_entries)
        self._cpu_budget = _cpu_budget(settings, cpu_seconds)
        self.power = PowerSource()

    @property
    def gate(self) -> Gate:
        return self._gate

    def recall(self, request: CompletionRequest) -> Completion | None:
        """The answer to ``request`` if it is known already; may be called from any thread, and takes no time.

        So nothing is parsed here and no file is read. Only the line around the cursor is searched for secrets.
        """
        window = LineWindow.of(request)
        try:
            known = self._recall(window.request, may_read=False)
        except VerdictUnknownError:
            return None
        return None if known is None else window.moved_out(known)

    def _recall(self, request: CompletionRequest, *, may_read: bool = True) -> Completion | None:
        """What is known, also that nothing is to be asked of the model; None where it has to be asked."""
        trace = RequestTrace(request.request_id, request.arrived_at)
        if (reason := self._cross_file.reason_to_skip(request, may_read=may_read)) is not None:
            trace.note(reason=reason)
            return Completion.empty(FinishReason.SKIPPED, trace.as_dict())
        document, position = with_selection(request)
        if (reason := self._reason_by_context(request, may_scan=may_read)) is not None:
            trace.note(reason=reason)
            return Completion.empty(FinishReason.SKIPPED, trace.as_dict())
        with trace.stage("completion_cache"):
            known = self._lookup(request, document, position)
        trace.note(kind=request.trigger.name.lower())
        if known is not None and known.insertions and known.was_shown and request.trigger is TriggerKind.AUTOMATIC:
            # What was shown stays, whatever the rules would say of this place.
            trace.note(trigger_reason="typed_along")
            return self._answer_from_cache(request, known, trace)
        if (refusal := refuse_at_once(document, position, request.trigger)) is not None:
            trace.note(mode=refusal.mode.value, trigger_reason=refusal.reason)
            return Completion.empty(FinishReason.SKIPPED, trace.as_dict())
        if known is None:
            return None
        trace.note(trigger_reason="known")
        return self._answer_from_cache(request, known, trace)

    def complete(self, request: CompletionRequest) -> Completion:
        """The answer to ``request``, within its deadline plus one forward pass; empty rather than wrong."""
        window = LineWindow.of(request)
        with self._cross_file.held_back():
            return window.moved_out(self._complete(window.request))

    def _complete(self, request: CompletionRequest) -> Completion:
        trace = RequestTrace(request.request_id, request.arrived_at)
        if request.cancellation.is_cancelled:
            return Completion.empty(FinishReason.CANCELLED, trace.as_dict())
        with trace.stage("completion_cache"):
            known = self._recall(request)
        if known is not None:
            return known
        document, position = with_selection(request)
        with trace.stage("trigger"):
            trigger = decide_trigger(document, position, request.trigger)
        trace.note(mode=trigger.mode.value, trigger_reason=trigger.reason, kind=request.trigger.name.lower())
        self.power.refresh()
        if request.trigger is TriggerKind.AUTOMATIC and not self._cpu_budget.is_left():
            trace.note(reason="the CPU budget is used up")
            return Completion.empty(FinishReason.SKIPPED, trace.as_dict())
        with trace.stage("context"):
            context = self._cross_file.collect(document, position, request.workspace)
        with trace.stage("prompt"):
            sampling = self._sampling(request.trigger)
            draft = self._completion_cache.lookup_draft(document, position)
            num_new = sampling.max_new_tokens
            prompt = self._prompts.build(document, position, self._settings, num_new, draft, context)
            max_tokens = self._short_prompt_tokens(prompt, request.deadline)
            if is_short := max_tokens is not None:
                trace.note(has_short_prompt=True)
                short = with_short_prompt(self._settings, max_tokens)
                prompt = self._prompts.build(document, position, short, num_new, draft)
        trace.note(num_suffix_tokens=prompt.num_suffix_tokens, snippets=shown_snippets(context, prompt))
        with trace.stage("decode"):
            rules = stop_rules_for(trigger, document, position)
            result = self._engine.generate(
                prompt, sampling, rules, request.deadline, request.cancellation, request.max_items
            )
        counts = dataclasses.asdict(result.stats)
        trace.split_stage("decode", "prefill", counts.pop("prefill_ms"))
        trace.note(**counts, finish_reason=result.finish_reason.value)
        if result.generations:
            self._completion_cache.store_draft(document, position, result.generations[0].text)
        if result.finish_reason is FinishReason.CANCELLED:
            return Completion.empty(FinishReason.CANCELLED, trace.as_dict())
        return self._conclude(request, trigger, result, trace, is_short=is_short)

    def _conclude(
        self,
        request: CompletionRequest,
        trigger: Trigger,
        result: GenerationResult,
        trace: RequestTrace,
        *,
        is_short: bool,
    ) -> Completion:
        """What is left of ``result`` for the user, remembered whether it is shown or not."""
        document, position = with_selection(request)
        with trace.stage("postprocess"):
            candidates = make_candidates(result, document, position, trigger, trace)
        insertions = tuple(candidates)
        evidence = next(iter(candidates.values()), Evidence())
        with trace.stage("gate"):
            verdict = self._judge(Known(insertions, evidence, False), document, position)
        is_shown = request.trigger is TriggerKind.INVOKED or verdict is None or verdict.is_shown
        if insertions and result.finish_reason is not FinishReason.DEADLINE:
            self._completion_cache.store(document, position, insertions, evidence, is_shown=is_shown)
        elif (
            result.finish_reason is FinishReason.STOP and request.trigger is TriggerKind.AUTOMATIC and not is_short
        ):
            self._completion_cache.store_nothing(document, position)
        note_verdict(trace, verdict, is_shown)
        num_shown = sum(len(each.logprobs) for each in candidates.values()) if is_shown else 0
        # Healed and stop tokens count as not shown: they cost what any token costs.
        trace.note(num_wasted_tokens=max(result.stats.num_generated_tokens - num_shown, 0))
        return answer(request, insertions if is_shown else (), result.finish_reason, trace)

    def warm(self, request: CompletionRequest) -> None:
        """Idle work: what ``request`` had no time for. Ends at its deadline or cancellation; answers nobody.

        The prefill stays in the prefix cache, the whole suggestion goes to the completion cache: typing along the
        part that was shown then shows the rest.
        """
        self.look_ahead(request, self.complete(request))

    def look_ahead(self, request: CompletionRequest, completion: Completion) -> None:
        """Idle work: suggestions for where the cursor is going to be if ``completion`` is what the user wants.

        That is the end of its text, and where Enter takes the cursor from there. They go to the completion cache,
        so that accepting, typing to the end, and Enter are answered at once. First the prompt for this place is
        read in full, in case there was only time for a short one.
        """
        if not self._may_prepare():
            return
        window = LineWindow.of(request)
        request, completion = window.request, window.moved_in(completion)
        if request.selected is None:
            prompt = self._prompt_of(request)
            self._engine.prefill(prompt, request.deadline, request.cancellation)
            self._improve_context(request, prompt)
        if not self._settings.generation.look_ahead or request.selected is not None:
            return
        accepted = request.document, request.position
        places = []
        if completion.items:
            item = completion.items[0]
            accepted = request.document.with_replacement(item.start, item.end, item.text)
            places.append(accepted)
        # As typing would ask: by hand there are several alternatives, and they may be long.
        ahead = dataclasses.replace(request, trigger=TriggerKind.AUTOMATIC, max_items=1)
        for document, position in [*places, after_enter(*accepted)]:
            if request.cancellation.is_cancelled:
                return
            ahead = dataclasses.replace(ahead, document=document, position=position)
            if self.recall(ahead) is None and self._is_near(ahead):
                self.complete(ahead)

    def prefill(self, request: CompletionRequest) -> None:
        """Idle work: read a document to its end (``request.position``) before anybody asks for a place in it.

        A prompt for a place in the middle is then the head of what has been read. Only where that is so: in a
        document that fits the window, for a model whose prompt begins with the text before the cursor.
        """
        request = LineWindow.of(request).request
        num_chars = sum(map(len, request.document.lines))
        max_tokens = self._settings.context.max_prompt_tokens - self._cross_file.max_prompt_tokens
        if (
            not self._may_prepare()
            or not self._prompts.starts_with_prefix
            or num_chars > _CHARS_PER_TOKEN * max_tokens
            or self._cross_file.reason_to_skip(request) is not None
        ):
            return
        context = self._cross_file.collect_for_all(request.document, request.workspace)
        self._engine.prefill(self._prompt_of(request, context), request.deadline, request.cancellation)

    def prefill_place(self, request: CompletionRequest) -> None:
        """Idle work: read the prompt for a place where somebody is going to go on, its surroundings being new."""
        request = LineWindow.of(request).request
        if self._may_prepare() and self._cross_file.reason_to_skip(request) is None:
            self._engine.prefill(self._prompt_of(request), request.deadline, request.cancellation)

    def note_file_changes(self, uris: Sequence[str]) -> None:
        """Files that changed on disk or were closed; may be called from any thread, and takes no time."""
        self._cross_file.note_changes(uris)

    def forget(self, uri: str) -> None:
        """A document was closed. Of its text only keys and values in the prefix cache stay, which is bounded."""
        self._completion_cache.forget(uri)
        self._cross_file.forget(uri)

    def close(self) -> None:
        """End what runs in the background; the service is not used any more."""
        self._cross_file.close()
        self._engine.close()

    def apply_settings(self, settings: Settings) -> None:
        """Take over everything but ``settings.model`` and ``settings.remote``, which need another service."""
        if settings.cache.completion_cache_entries != self._settings.cache.completion_cache_entries:
            self._completion_cache = CompletionCache(settings.cache.completion_cache_entries)
        if settings.generation != self._settings.generation:
            self._completion_cache.clear()
            self._cpu_budget = _cpu_budget(settings, self._cpu_seconds)
        self._settings = self._cross_file.settings = settings
        self._engine.apply_settings(settings)

    def clear_caches(self) -> None:
        self._completion_cache.clear()
        self._engine.clear()
        self._cross_file.clear()

    def status(self) -> dict[str, object]:
        power = {"is_on_battery": self.power.is_battery, "is_saving_power": self._is_saving_power}
        return self._engine.status() | self._cross_file.status() | power

    def _prompt_of(self, request: CompletionRequest, context: CrossFileContext | None = None) -> Prompt:
        """The prompt for a request's own place, with the present selection of snippets or with ``context``."""
        document, position = request.document, request.position
        if context is None:
            context = self._cross_file.collect(document, position, request.workspace)
        num_new = self._sampling(request.trigger).max_new_tokens
        return self._prompts.build(document, position, self._settings, num_new, context=context)

    def _improve_context(self, request: CompletionRequest, prompt: Prompt) -> None:
        """Read the prompt with a better selection of snippets, if there is one, and go over to it then.

        Whatever interrupts this, the next request has the prompt of which less is missing.
        """
        better = self._cross_file.propose(request)
        if better is None:
            return
        improved = self._prompt_of(request, better)
        self._engine.prefill(improved, request.deadline, request.cancellation)
        if self._engine.num_missing_tokens(improved) <= self._engine.num_missing_tokens(prompt):
            self._cross_file.adopt(request.document.uri)

    def _is_near(self, request: CompletionRequest) -> bool:
        """Whether little of the prompt is missing in the prefix cache."""
        return self._engine.num_missing_tokens(self._prompt_of(request)) <= _MAX_TOKENS_AHEAD

    def _short_prompt_tokens(self, prompt: Prompt, deadline: Deadline) -> int | None:
        """How long a prompt the time that is left allows, at the speed just measured; None: ``prompt`` will do."""
        within = self._engine.num_tokens_within(_PREFILL_SHARE * deadline.remaining_ms)
        num_missing = self._engine.num_missing_tokens(prompt)
        return short_prompt_tokens(num_missing, within)

    def _reason_by_context(self, request: CompletionRequest, *, may_scan: bool) -> str | None:
        """Why the settings want nothing automatic at this place; None where they do not say so.

        Raises VerdictUnknownError where text would have to be scanned for it, unless ``may_scan``.
        """
        disabled = self._settings.disabled_contexts
        if not disabled or request.trigger is not TriggerKind.AUTOMATIC:
            return None
        if not may_scan:
            raise VerdictUnknownError
        document, position = with_selection(request)
        kind = kind_of_place(document, position)
        if not kind or not {kind, f"{document.language_id}:{kind}"} & set(disabled):
            return None
        return f"suggestions in a {kind} are disabled in the settings"

    def _lookup(self, request: CompletionRequest, document: Document, position: Position) -> Known | None:
        """What is known for this place; without texts where it is known that there are none."""
        known = self._completion_cache.lookup(document, position, request.max_items)
        # By hand the model is always asked; by itself nobody asks twice where it had nothing.
        if known is None and request.trigger is TriggerKind.AUTOMATIC:
            return Known(()) if self._completion_cache.holds_nothing(document, position) else None
        return known

    def _answer_from_cache(self, request: CompletionRequest, known: Known, trace: RequestTrace) -> Completion:
        trace.note(from_completion_cache=True)
        with trace.stage("gate"):
            verdict = self._judge(known, *with_selection(request))
        # What was shown stays while it is typed along; what was hidden may come once the rest is sure enough.
        is_shown = request.trigger is TriggerKind.INVOKED or known.was_shown
        is_shown = is_shown or verdict is None or verdict.is_shown
        note_verdict(trace, verdict, is_shown)
        return answer(request, known.insertions if is_shown else (), FinishReason.STOP, trace)

    def _judge(self, known: Known, document: Document, position: Position) -> Verdict | None:
        if not known.insertions:
            return None
        suggestions = "quiet" if self._is_saving_power else self._settings.generation.suggestions
        return self._gate.judge(known.insertions[0].text, known.evidence, document, position, suggestions)

    @property
    def _is_saving_power(self) -> bool:
        return self._settings.generation.on_battery == "quiet" and self.power.is_battery

    def _may_prepare(self) -> bool:
        """Whether idle work may be done now."""
        self.power.refresh()
        return not self._is_saving_power and self._cpu_budget.is_left()

    def _sampling(self, kind: TriggerKind) -> SamplingParams:
        generation = self._settings.generation
        is_invoked = kind is TriggerKind.INVOKED
        return SamplingParams(
            temperature=generation.temperature,
            top_k=generation.top_k,
            top_p=generation.top_p,
            seed=generation.seed,
            max_new_tokens=generation.invoked_max_tokens if is_invoked else generation.automatic_max_tokens,
        )


def _cpu_budget(settings: Settings, cpu_seconds: Callable[[], float]) -> CpuBudget:
    return CpuBudget(settings.generation.max_cpu_percent, os.cpu_count() or 1, used=cpu_seconds)
