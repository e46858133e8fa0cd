"""Every model family end to end in one process: its architecture, its control tokens, our prompt and engine.

The models are random and tiny; what is tested is that prompts are laid out with the family's own tokens, that
each of its stop tokens ends a generation, and that text of the user never becomes one of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    GemmaConfig,
    GPTBigCodeConfig,
    GraniteConfig,
    LlamaConfig,
    MistralConfig,
    PreTrainedConfig,
    Qwen2Config,
    Qwen3Config,
    Starcoder2Config,
)

from completion_server.backends.hf import TransformersModel
from completion_server.backends.native import NativeModel
from completion_server.backends.native_config import NativeConfig, is_native
from completion_server.config import ContextSettings, Settings
from completion_server.engine.engine import Engine
from completion_server.model import CausalLM, KVCache, Logits, SamplingParams
from completion_server.prompt.build import ModelFacts, PromptBuilder
from completion_server.prompt.fim import FIM_FORMATS, PREFIX_ONLY, fim_token_ids
from completion_server.request import CancellationToken, Deadline, FinishReason
from completion_server.tokenizer import StreamingDetokenizer, Tokenizer
from tests.support import tiny_tokenizers
from tests.support.marked import parse_marked

_SMALL = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "pad_token_id": None,
    "bos_token_id": None,
    "eos_token_id": None,
}
FAMILIES: dict[str, tuple[type[PreTrainedConfig], str, str]] = {
    # name -> architecture, tokenizer, FIM format
    "qwen2.5-coder": (Qwen2Config, "qwen", "qwen-coder"),
    "qwen3-coder": (Qwen3Config, "qwen", "qwen-coder"),
    "starcoder2": (Starcoder2Config, "starcoder2", "starcoder2"),
    "starcoder": (GPTBigCodeConfig, "starcoder", "starcoder2"),
    "deepseek-coder": (LlamaConfig, "deepseek_coder", "deepseek-coder"),
    "codellama": (LlamaConfig, "codellama", "codellama"),
    "codegemma": (GemmaConfig, "codegemma", "codegemma"),
    "codestral": (MistralConfig, "codestral", "codestral"),
    "granite-3": (GraniteConfig, "granite_3", "granite-3"),
    "granite-4": (GraniteConfig, "granite_4", "granite-4"),
    "mellum": (LlamaConfig, "mellum", "mellum"),
    "smollm2": (LlamaConfig, "smollm2", "prefix-only"),
    "own spm": (LlamaConfig, "spm", "spm"),
}
MARKED = """\
def add(first, second):
    # a user may write <|fim_prefix|> <fim_suffix> <|endoftext|> [SUFFIX] <｜fim▁hole｜> </s> and mean it
    return fiˇ


class Point:
    pass
"""


class SteeredModel:
    """The model as it is, but once ``wanted`` is set, the next token is that one."""

    def __init__(self, model: CausalLM) -> None:
        self._model = model
        self.wanted: int | None = None
        self.fed: list[int] = []

    @property
    def vocab_size(self) -> int:
        return self._model.vocab_size

    @property
    def max_context(self) -> int:
        return self._model.max_context

    def new_kv_cache(self) -> KVCache:
        return self._model.new_kv_cache()

    def forward(self, token_ids: Sequence[int], kv_cache: KVCache, num_logits: int) -> Logits:
        self.fed += token_ids
        logits = self._model.forward(token_ids, kv_cache, num_logits)
        if self.wanted is not None and num_logits == 1 and len(token_ids) == 1:
            logits = logits.copy()
            logits[:, self.wanted] = logits.max() + 10
        return logits


@cache
def family(name: str) -> tuple[Tokenizer, SteeredModel, PromptBuilder]:
    architecture, tokenizer_name, _ = FAMILIES[name]
    tokenizer: Tokenizer = getattr(tiny_tokenizers, tokenizer_name)()
    torch.manual_seed(0)
    sizes = dict(_SMALL)
    if architecture is GPTBigCodeConfig:
        sizes = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 512}
    if architecture is GemmaConfig:
        sizes["head_dim"] = 8
    config = architecture(vocab_size=tokenizer.vocab_size, **sizes)
    reference = AutoModelForCausalLM.from_config(config).double().eval()
    model: CausalLM = TransformersModel(reference)
    if is_native(config.to_dict()):
        weights = reference.state_dict()
        native = NativeConfig.from_dict(config.to_dict())
        model = NativeModel(native, weights.__getitem__, torch.float64, torch.device("cpu"))
    facts = ModelFacts(config.model_type, model.max_context)
    return tokenizer, SteeredModel(model), PromptBuilder(tokenizer, facts)


def engine_for(name: str, prefix_cache_mb: int = 16) -> Engine:
    tokenizer, model, _ = family(name)
    model.wanted = None
    settings = Settings()
    return Engine(model, lambda skipped: StreamingDetokenizer(tokenizer, len(skipped)), settings)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_family_is_recognised_by_its_own_tokens(name: str) -> None:
    builder = family(name)[2]
    assert builder.format_name == FAMILIES[name][2]
    assert bool(builder.warnings) == (FAMILIES[name][2] == "prefix-only")


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("order", ["auto", "psm", "spm"])
def test_the_prompt_spells_prefix_and_suffix_and_nothing_of_the_user_is_a_control_token(
    name: str, order: str
) -> None:
    tokenizer, model, _ = family(name)
    model_type = FAMILIES[name][0].model_type
    builder = PromptBuilder(tokenizer, ModelFacts(model_type, model.max_context), prompt_order=order)
    document, position = parse_marked(MARKED)
    prompt = builder.build(document, position, Settings(), 64)
    fim_format = next(each for each in FIM_FORMATS if each.name == builder.format_name)
    tokens = fim_token_ids(fim_format, tokenizer)
    controls = [token_id for token_id in prompt.token_ids if token_id in tokenizer.special_token_ids]
    sentinels = [token_id for token_id in (tokens.prefix, tokens.suffix, tokens.middle) if token_id is not None]
    extra = [token_id for token_id in controls if token_id not in sentinels]
    assert sorted(token_id for token_id in controls if token_id in sentinels) == sorted(sentinels)
    assert len(extra) <= 1  # the start of the document
    text = tokenizer.decode([token_id for token_id in prompt.token_ids if token_id not in controls])
    before, after = document.text_before(position), document.text_after(position)
    assert prompt.healing is not None
    step = prompt.healing.steps[0]
    removed = tokenizer.decode(prompt.healing.path_token_ids[: step.num_path_tokens]) + step.remaining.decode()
    assert removed.endswith("fi")
    kept = before.removesuffix(removed)
    assert kept != before
    assert text in ({kept} if fim_format is PREFIX_ONLY else {kept + after, after + kept})


@pytest.mark.parametrize("name", FAMILIES)
def test_every_stop_token_can_occur_and_ends_the_middle(name: str) -> None:
    tokenizer, model, builder = family(name)
    engine = engine_for(name)
    document, position = parse_marked(MARKED)
    prompt = builder.build(document, position, Settings(), 64)
    fim_format = next(each for each in FIM_FORMATS if each.name == builder.format_name)
    stops = fim_token_ids(fim_format, tokenizer).stop_token_ids
    assert stops
    for stop in sorted(stops):
        model.wanted = stop
        sampling = SamplingParams(max_new_tokens=6)
        result = engine.generate(prompt, sampling, (), Deadline.never(), CancellationToken())
        generation = result.generations[0]
        assert (generation.finish_reason, generation.stop_rule) == (FinishReason.STOP, "stop_token")
        assert stop not in generation.token_ids
        assert not any(token_id in tokenizer.special_token_ids for token_id in generation.token_ids)
    model.wanted = None


@pytest.mark.parametrize("name", FAMILIES)
def test_cached_equals_uncached_while_typing(name: str) -> None:
    _tokenizer, _model, builder = family(name)
    engine = engine_for(name)
    small = Settings(context=ContextSettings(max_prompt_tokens=300, max_suffix_tokens=64))
    text, rest = MARKED.split("ˇ")
    for typed in ("r", "rs", "t ", "t + sec", "t + é😋", "\n    "):
        document, position = parse_marked(f"{text}{typed}ˇ{rest}")
        prompt = builder.build(document, position, small, 16)
        sampling = SamplingParams(max_new_tokens=6)
        fresh = engine_for(name).generate(prompt, sampling, (), Deadline.never(), CancellationToken())
        cached = engine.generate(prompt, sampling, (), Deadline.never(), CancellationToken())
        assert cached.generations[0].token_ids == fresh.generations[0].token_ids
        assert cached.generations[0].text == fresh.generations[0].text


@pytest.mark.parametrize(
    "name", [name for name, (_, _, fmt) in FAMILIES.items() if fmt not in {"mellum", "prefix-only"}]
)
def test_in_spm_order_a_key_press_leaves_the_suffix_cached(name: str) -> None:
    tokenizer, _model, _ = family(name)
    builder = PromptBuilder(tokenizer, ModelFacts(FAMILIES[name][0].model_type, 512), prompt_order="spm")
    engine = engine_for(name)
    text, rest = MARKED.split("ˇ")
    sampling = SamplingParams(max_new_tokens=1)
    for index, typed in enumerate(("r", "rs", "rst", "rst ", "rst +")):
        document, position = parse_marked(f"{text}{typed}ˇ{rest}")
        prompt = builder.build(document, position, Settings(), 16)
        result = engine.generate(prompt, sampling, (), Deadline.never(), CancellationToken())
        if index:
            assert result.stats.num_prefilled_tokens <= 12
            assert result.stats.num_cached_tokens > prompt.num_suffix_tokens > 5
