"""Recorded passes compute what plain ones do: on the CPU the fixed-shape step is run again, on CUDA replayed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from completion_server.backends.native import NativeModel
from completion_server.backends.native_config import NativeConfig
from completion_server.backends.step_graphs import StepGraphs
from tests.support.tiny_models import make_model, make_transformers_model

TOKENS = [int(token) for token in torch.randint(0, 256, (400,), generator=torch.Generator().manual_seed(2))]


class Recorder:
    """Runs the function again where CUDA would replay it: the same fixed inputs, the result in the same place."""

    def __init__(self) -> None:
        self.num_recorded = self.num_replayed = 0

    def __call__(self, function: Callable[[], torch.Tensor]) -> tuple[Callable[[], None], torch.Tensor]:
        self.num_recorded += 1
        result = function()

        def replay() -> None:
            self.num_replayed += 1
            result.copy_(function())

        return replay, result


def recorded_model(shape: str) -> tuple[NativeModel, Recorder]:
    model, recorder = make_model(f"native:{shape}"), Recorder()
    assert isinstance(model, NativeModel)
    model.step_graphs = StepGraphs(model.static_step, torch.device("cpu"), recorder)
    return model, recorder


@pytest.mark.parametrize("shape", ["llama", "llama_untied", "qwen2"])
def test_recorded_passes_equal_plain_ones(shape: str) -> None:
    plain = make_model(f"native:{shape}")
    model, recorder = recorded_model(shape)
    expected_cache, kv_cache = plain.new_kv_cache(), model.new_kv_cache()
    start = 0
    for size in (
        40,
        1,
        1,
        1,
        3,
        3,
        1,
        4,
        16,
        16,
        16,
        1,
        100,
        1,
        1,
        30,
        1,
        1,
        1,
    ):  # grows from 256 to 512 on the way
        expected = plain.forward(TOKENS[start : start + size], expected_cache, size)
        actual = model.forward(TOKENS[start : start + size], kv_cache, size)
        np.testing.assert_allclose(actual, expected, atol=1e-9, rtol=1e-9)
        start += size
        assert kv_cache.num_tokens == start
    assert recorder.num_replayed > 8


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 20), st.integers(0, 12)), min_size=2, max_size=14))
def test_cutting_back_between_recorded_passes_leaves_no_trace(moves: list[tuple[int, int]]) -> None:
    model, _ = recorded_model("llama")
    kv_cache, held = model.new_kv_cache(), list(TOKENS[:20])
    model.forward(held, kv_cache, 1)
    logits = np.zeros(0)
    for number, (size, cut) in enumerate(moves):
        new = TOKENS[30 + number : 30 + number + size]
        held += new
        logits = model.forward(new, kv_cache, 1).copy()
        last = list(held)
        held = held[: max(len(held) - cut, 10)]
        kv_cache.truncate(len(held))
    plain = make_model("native:llama")
    np.testing.assert_allclose(logits, plain.forward(last, plain.new_kv_cache(), 1), atol=1e-9, rtol=1e-9)


def test_nothing_is_recorded_for_a_sequence_decoded_once() -> None:
    model, recorder = recorded_model("llama")
    kv_cache = model.new_kv_cache()
    model.forward(TOKENS[:40], kv_cache, 1)
    model.forward(TOKENS[40:41], kv_cache, 1)
    assert recorder.num_recorded == 0
    model.forward(TOKENS[41:42], kv_cache, 1)
    assert recorder.num_recorded == 1
    model.forward(TOKENS[42:43], kv_cache, 1)
    assert recorder.num_recorded == 1


def test_near_the_end_of_the_memory_passes_are_plain() -> None:
    model, recorder = recorded_model("llama")
    kv_cache = model.new_kv_cache()
    model.forward(TOKENS[:250], kv_cache, 1)
    for start in (250, 253):  # 3 tokens are padded to 4: the second time that would be one too many
        model.forward(TOKENS[start : start + 3], kv_cache, 1)
    assert recorder.num_recorded == 0
    assert kv_cache.num_tokens == 256


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_cuda_graphs_equal_plain_passes(dtype: torch.dtype) -> None:
    reference = make_transformers_model("llama")
    weights, config = reference.float().state_dict(), NativeConfig.from_dict(reference.config.to_dict())
    recorded, plain = (NativeModel(config, weights.__getitem__, dtype, torch.device("cuda")) for _ in range(2))
    plain.step_graphs = None
    assert recorded.step_graphs is not None
    kv_cache, expected_cache = recorded.new_kv_cache(), plain.new_kv_cache()
    start, tolerance = 0, 1e-4 if dtype is torch.float32 else 5e-2
    for size in (40, 1, 1, 1, 1, 3, 3, 3, 16, 16, 16, 1):
        expected = plain.forward(TOKENS[start : start + size], expected_cache, size)
        actual = recorded.forward(TOKENS[start : start + size], kv_cache, size)
        np.testing.assert_allclose(actual, expected, atol=tolerance, rtol=tolerance)
        start += size
    assert set(kv_cache.recorded) == {1, 4, 16}
