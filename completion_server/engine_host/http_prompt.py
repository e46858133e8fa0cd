"""What is asked over HTTP becomes the model's input: raw prompts, and the text around a cursor."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

from msgspec.structs import replace

from completion_server import bootstrap
from completion_server.config import Settings
from completion_server.document import Document, Position, split_lines
from completion_server.engine_host.host import HostedModel
from completion_server.engine_host.http_message import ExtraFile, too_long
from completion_server.errors import ModelError, RequestError
from completion_server.model import Prompt
from completion_server.prompt.fim import detect_fim_format, fim_token_ids
from completion_server.prompt.healing import heal_prefix

_MAX_CHARS_PER_TOKEN = 16
"""On average; real text has three to four. More cannot fit, which is known without encoding it."""


class HttpPrompts:
    """Prompts for one model."""

    def __init__(self, model: HostedModel, settings: Settings) -> None:
        self._tokenizer = model.tokenizer
        self._max_context = model.max_context
        self._settings = settings
        facts = bootstrap.PromptModel(model.tokenizer, model.model_type, model.max_context)
        self._builder, _ = bootstrap.prompts_for(facts, settings, model.stated_fim_format)
        wanted = settings.model.fim_format
        wanted = model.stated_fim_format or wanted if wanted == "auto" else wanted
        self._format = detect_fim_format(model.tokenizer, wanted, model.model_type).format
        self._tokens = fim_token_ids(self._format, model.tokenizer)
        self._stops = self._tokens.stop_token_ids | model.tokenizer.special_token_ids
        spellings = (
            *self._format.sentinel_tokens,
            *self._format.file_separator_tokens,
            *self._format.repo_tokens,
        )
        known = {text: id_ for text in spellings if (id_ := model.tokenizer.token_id(text)) is not None}
        self._control = known
        self._control_pattern = re.compile("|".join(map(re.escape, known))) if known else None

    @property
    def sees_suffix(self) -> bool:
        """Whether the model is shown what stands after the cursor."""
        return bool(self._format.orders)

    def of_tokens(self, token_ids: Sequence[int], max_new_tokens: int) -> Prompt:
        """Exactly these tokens. Raises RequestError for those that the vocabulary does not have."""
        if len(token_ids) > self._max_context:
            raise too_long(f"{len(token_ids)} tokens are more than this model's context of {self._max_context}")
        size = self._tokenizer.vocab_size
        if any(not 0 <= token_id < size for token_id in token_ids):
            raise RequestError(f"token ids must be between 0 and {size - 1}")
        return self._checked(Prompt(tuple(token_ids), None, self._stops), max_new_tokens)

    def of_text(self, text: str, max_new_tokens: int) -> Prompt:
        """``text`` to be continued. The model's own fill-in-the-middle tokens may be spelled out in it.

        Clients of this protocol lay such prompts out themselves. Other control tokens remain text.
        """
        if len(text) > _MAX_CHARS_PER_TOKEN * self._max_context:
            raise too_long(
                f"{len(text)} characters are too many for this model's context of {self._max_context} tokens"
            )
        head, tail = self._split(text)
        healed = heal_prefix(tail, self._tokenizer.encode(tail), self._tokenizer)
        token_ids = (*self._tokens.start, *head, *healed.token_ids)
        if not token_ids:
            first = self._tokenizer.bos_token_id, self._tokenizer.eos_token_id, 0
            token_ids = (next(token_id for token_id in first if token_id is not None),)
        return self._checked(Prompt(token_ids, healed.healing, self._stops), max_new_tokens)

    def of_place(self, prefix: str, suffix: str, extra: Sequence[ExtraFile], max_new_tokens: int) -> Prompt:
        """Between ``prefix`` and ``suffix``, cut to the settings' budgets; ``extra`` as far as it fits.

        For that the model needs a token that separates files; without one ``extra`` is left out.
        """
        lines = split_lines(prefix)
        position = Position(len(lines) - 1, len(lines[-1]))
        document = Document.from_text(prefix + suffix)
        if prefix.endswith("\r") and suffix.startswith("\n"):
            position = Position(len(lines) - 2, len(lines[-2]))
        context = self._settings.context
        room = max(self._max_context - max_new_tokens, 0)
        settings = replace(
            self._settings, context=replace(context, max_prompt_tokens=min(context.max_prompt_tokens, room))
        )
        try:
            prompt = self._builder.build(document, position, settings, max_new_tokens)
        except ModelError:
            raise RequestError(
                f"{max_new_tokens} new tokens leave no room for a prompt in a context of {self._max_context}"
            ) from None
        num_start = len(self._tokens.start)
        budget = room - len(prompt.token_ids) - 64  # sentinels, and the healing path
        inserted = self._extra(extra, budget)
        token_ids = (*prompt.token_ids[:num_start], *inserted, *prompt.token_ids[num_start:])
        return self._checked(dataclasses.replace(prompt, token_ids=token_ids), max_new_tokens)

    def num_tokens_left(self, num_wanted: int) -> int:
        """``num_wanted``, or what a context of this model can hold beside a prompt of half its size."""
        return num_wanted if num_wanted >= 0 else self._max_context // 2

    def _extra(self, extra: Sequence[ExtraFile], budget: int) -> list[int]:
        """The last files first: clients put what matters most at the end."""
        separator = self._tokens.file_separator
        if separator is None:
            return []
        parts: list[list[int]] = []
        for file in reversed(extra):
            text = f"{file.filename}\n{file.text}"
            if len(text) > _MAX_CHARS_PER_TOKEN * budget:
                break
            part = [separator, *self._tokenizer.encode(text)]
            budget -= len(part)
            if budget < 0:
                break
            parts.append(part)
        return [token_id for part in reversed(parts) for token_id in part]

    def _split(self, text: str) -> tuple[list[int], str]:
        """Token ids up to and with the last control token, and the text behind it."""
        token_ids: list[int] = []
        end = 0
        for match in self._control_pattern.finditer(text) if self._control_pattern else ():
            token_ids += [*self._tokenizer.encode(text[end : match.start()]), self._control[match.group()]]
            end = match.end()
        return token_ids, text[end:]

    def _checked(self, prompt: Prompt, max_new_tokens: int) -> Prompt:
        num_path = 0 if prompt.healing is None else len(prompt.healing.path_token_ids)
        num_tokens = len(prompt.token_ids) + num_path
        if num_tokens + max_new_tokens > self._max_context:
            raise RequestError(
                f"{num_tokens} tokens of prompt and {max_new_tokens} new ones do not fit this model's context of"
                f" {self._max_context}"
            )
        return prompt
