"""The dialects, one file each; the names are those of the setting ``remote.dialect``."""

from __future__ import annotations

from completion_server.remote.dialect import Dialect
from completion_server.remote.dialects.llama_completion import LlamaCompletion
from completion_server.remote.dialects.llama_infill import LlamaInfill
from completion_server.remote.dialects.mistral_fim import MistralFim
from completion_server.remote.dialects.ollama import Ollama
from completion_server.remote.dialects.openai_text import OpenAiText
from completion_server.remote.dialects.openai_tokens import OpenAiTokens

_ALL: tuple[Dialect, ...] = (
    LlamaInfill(),
    LlamaCompletion(),
    OpenAiText(),
    OpenAiTokens(),
    Ollama(),
    MistralFim(),
)
DIALECTS: dict[str, Dialect] = {dialect.name: dialect for dialect in _ALL}
