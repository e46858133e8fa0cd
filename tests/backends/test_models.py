"""Every backend: chunks add up, truncation is exact, native equals transformers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from completion_server.backends.native_config import NativeConfig, is_native
from completion_server.errors import ModelError, UnsupportedModelError
from tests.support.tiny_models import CONFIGS, CONTEXT, make_model, make_transformers_model

TOKENS = [int(token) for token in torch.randint(0, 256, (300,), generator=torch.Generator().manual_seed(1))]
ALL_SHAPES = ["native:llama", "native:llama_untied", "native:qwen2", "llama", "gpt2", "starcoder2"]


@pytest.mark.parametrize("shape", ["llama", "llama_untied", "qwen2"])
def test_native_forward_equals_transformers(shape: str) -> None:
    expected = make_transformers_model(shape)(torch.tensor([TOKENS[:64]])).logits[0]
    model = make_model(f"native:{shape}")
    actual = model.forward(TOKENS[:64], model.new_kv_cache(), 64)
    # transformers rounds norms and rotary tables to float32 whatever the weights are.
    torch.testing.assert_close(torch.from_numpy(actual), expected, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("shape", ["llama", "qwen2"])
def test_native_forward_equals_transformers_to_1e_3_in_float32(shape: str) -> None:
    reference = make_transformers_model(shape)
    model = make_model(f"native:{shape}")
    weights = reference.float().state_dict()
    config = NativeConfig.from_dict(reference.config.to_dict())
    single = type(model)(config, weights.__getitem__, torch.float32, torch.device("cpu"))
    expected = reference(torch.tensor([TOKENS[:64]])).logits[0]
    actual = torch.from_numpy(single.forward(TOKENS[:64], single.new_kv_cache(), 64))
    torch.testing.assert_close(actual, expected, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("shape", ALL_SHAPES)
def test_chunked_forward_with_cache_equals_one_forward(shape: str) -> None:
    model = make_model(shape)
    expected = model.forward(TOKENS, model.new_kv_cache(), len(TOKENS))
    kv_cache = model.new_kv_cache()
    start = 0
    for size in (1, 7, 64, 1, 1, 100, 126):
        logits = model.forward(TOKENS[start : start + size], kv_cache, size)
        np.testing.assert_allclose(logits, expected[start : start + size], atol=1e-9, rtol=1e-9)
        start += size
    assert kv_cache.num_tokens == start == len(TOKENS)


@pytest.mark.parametrize("shape", ALL_SHAPES)
def test_truncated_cache_continues_as_if_the_rest_had_never_been_seen(shape: str) -> None:
    model = make_model(shape)
    fresh, cut = model.new_kv_cache(), model.new_kv_cache()
    expected = model.forward(TOKENS[:40], fresh, 5)
    model.forward(TOKENS[:30] + TOKENS[100:200], cut, 0)
    cut.truncate(30)
    np.testing.assert_allclose(model.forward(TOKENS[30:40], cut, 5), expected, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("shape", ["native:llama", "gpt2"])
def test_number_of_logits_is_what_was_asked_for(shape: str) -> None:
    model = make_model(shape)
    for wanted in (0, 1, 3):
        assert model.forward(TOKENS[:10], model.new_kv_cache(), wanted).shape == (wanted, model.vocab_size)


@pytest.mark.parametrize("shape", ["native:llama", "gpt2"])
def test_more_tokens_than_the_context_is_an_error_and_changes_nothing(shape: str) -> None:
    model = make_model(shape)
    kv_cache = model.new_kv_cache()
    model.forward(TOKENS[:300], kv_cache, 0)
    with pytest.raises(ModelError, match="do not fit"):
        model.forward(TOKENS[: CONTEXT - 299], kv_cache, 1)
    assert kv_cache.num_tokens == 300


def test_truncating_to_more_than_there_is_is_an_error() -> None:
    kv_cache = make_model("native:llama").new_kv_cache()
    with pytest.raises(ModelError):
        kv_cache.truncate(1)


def test_cache_of_another_backend_is_refused() -> None:
    class OtherCache:
        num_tokens = 0
        num_bytes = 0

        def truncate(self, num_tokens: int) -> None: ...

    for shape in ("native:llama", "gpt2"):
        with pytest.raises(ModelError, match="another backend"):
            make_model(shape).forward([1], OtherCache(), 1)


@pytest.mark.parametrize(
    "change",
    [
        {"model_type": "mistral"},
        {"hidden_act": "gelu"},
        {"rope_parameters": {"rope_type": "llama3", "factor": 8.0}},
        {"rope_parameters": None, "rope_scaling": {"type": "linear", "factor": 2.0}},
        {"mlp_bias": True},
        {"quantization_config": {"bits": 4}},
    ],
)
def test_native_refuses_what_it_would_compute_wrongly(change: dict[str, object]) -> None:
    config = CONFIGS["llama"].to_dict()
    assert is_native(config)
    assert not is_native({**config, **change})
    with pytest.raises(UnsupportedModelError):
        NativeConfig.from_dict({**config, **change})


@pytest.mark.parametrize("shape", ["native:llama", "native:qwen2"])
def test_branches_in_one_cache_equal_sequences_of_their_own(shape: str) -> None:
    model = make_model(shape)
    together = model.new_kv_cache()
    model.forward(TOKENS[:50], together, 1)
    owners = np.zeros(0, int)
    written: dict[int, list[int]] = {0: [], 1: [], 2: []}
    for step, growing in enumerate([(0, 1, 2), (0, 1, 2), (0, 2), (2,)]):
        new = [TOKENS[60 + 10 * step + branch] for branch in growing]
        owners = np.append(owners, growing)
        logits = model.forward_branches(
            new, together, [50 + step] * len(new), owners[np.newaxis, :] == np.array(growing)[:, np.newaxis]
        )
        for branch, token, row in zip(growing, new, logits, strict=True):
            written[branch].append(token)
            alone = model.forward(TOKENS[:50] + written[branch], model.new_kv_cache(), 1)
            np.testing.assert_allclose(row, alone[0], atol=1e-9, rtol=1e-9)
    together.truncate(50)
    expected = model.forward(TOKENS[:60], model.new_kv_cache(), 1)
    np.testing.assert_allclose(model.forward(TOKENS[50:60], together, 1), expected, atol=1e-9, rtol=1e-9)
