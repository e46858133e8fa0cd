"""``/v1/completions`` with the prompt as token ids (vLLM, SGLang): user text cannot become a control token.

``stop_token_ids`` is an extension of these servers: their answers leave control tokens out, so the end of a middle
could not be seen in the text.
"""

from __future__ import annotations

from completion_server.remote.dialect import Question
from completion_server.remote.dialects.openai_text import OpenAiText, openai_options
from completion_server.remote.prompt import PromptShape


class OpenAiTokens(OpenAiText):
    """``POST /v1/completions``, prompt as a list of integers."""

    name = "openai-tokens"
    shape = PromptShape(is_tokens=True)

    def body(self, question: Question) -> dict[str, object]:
        body: dict[str, object] = {"prompt": list(question.prompt.token_ids)} | openai_options(question)
        if question.prompt.stop_token_ids:
            body["stop_token_ids"] = sorted(question.prompt.stop_token_ids)
        return body
