"""The training forward agrees with serving's, and its gradients with autograd's."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from completion_server.backends.native_config import NativeConfig
from completion_server.training.adapt import read_weights
from completion_server.training.decoder import Decoder, LoraSettings
from completion_server.training.fim_transform import Example
from completion_server.training.loss import HeadLoss
from completion_server.training.packing import pack, split_by_tokens
from tests.support.tiny_models import CONFIGS, make_model, make_transformers_model

SEQUENCES = ([5, 6, 7, 8, 9, 10], [40, 41], [100, 3, 100, 3, 7])


def as_example(token_ids: list[int], weight: float = 1.0) -> Example:
    return Example(tuple(token_ids), (0.0, *[weight] * (len(token_ids) - 1)), 1)


def make_decoder(shape: str, settings: LoraSettings, dtype: torch.dtype = torch.float64) -> Decoder:
    weights = make_transformers_model(shape).state_dict()
    config = NativeConfig.from_dict(CONFIGS[shape].to_dict())
    decoder = Decoder(config, weights.__getitem__, settings, dtype)
    return decoder.double() if dtype == torch.float64 else decoder


@pytest.mark.parametrize("shape", ["llama", "llama_untied", "qwen2"])
@pytest.mark.parametrize("rank", [0, 4])
def test_packed_examples_have_the_likelihood_of_each_alone_in_serving(shape: str, rank: int) -> None:
    decoder = make_decoder(shape, LoraSettings(rank=rank))
    _, nll = decoder(pack([as_example(token_ids) for token_ids in SEQUENCES]))
    model = make_model(f"native:{shape}")
    expected = []
    for token_ids in SEQUENCES:
        logits = torch.as_tensor(model.forward(token_ids, model.new_kv_cache(), len(token_ids)))
        log_probs = logits.log_softmax(-1)
        expected += [-float(log_probs[i, token_id]) for i, token_id in enumerate(token_ids[1:])]
    # The loss is taken in float32.
    assert nll.tolist() == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_only_the_adapter_and_its_rows_are_trained() -> None:
    decoder = make_decoder("llama", LoraSettings(rank=2, row_ids=(5, 9)), torch.float32)
    names = set(decoder.trainable())
    assert "rows" in names
    assert all(name == "rows" or ".lora_" in name for name in names)
    loss, _ = decoder(pack([as_example(each) for each in SEQUENCES]))
    loss.backward()
    assert all(each.grad is not None and each.grad.isfinite().all() for each in decoder.trainable().values())


def test_trained_rows_stand_for_the_tokens_at_both_ends() -> None:
    with_rows = make_decoder("llama", LoraSettings(rank=2, row_ids=(5, 9)))
    with torch.no_grad():
        with_rows.rows += 0.25
        plain = make_decoder("llama", LoraSettings(rank=2))
        plain.embedding[[5, 9]] = with_rows.rows
    batch = pack([as_example(each) for each in SEQUENCES])
    assert with_rows(batch)[1].tolist() == pytest.approx(plain(batch)[1].tolist(), abs=1e-5)


def test_weights_of_a_checkpoint_come_out_as_they_went_in(tiny_model: Path) -> None:
    source = read_weights(tiny_model)
    decoder = make_decoder("qwen2", LoraSettings(rank=0))
    original = make_transformers_model("qwen2").state_dict()
    written = decoder.full_weights()
    assert {name for name in original if name != "lm_head.weight"} == set(written)
    assert all(torch.equal(written[name], original[name].float().double()) for name in written)
    with pytest.raises(KeyError):
        source("no.such.weight")


@pytest.mark.parametrize("wants_head", [False, True])
def test_head_loss_has_the_gradients_of_cross_entropy(wants_head: bool) -> None:
    torch.manual_seed(1)
    hidden = torch.randn(7, 6, requires_grad=True)
    head = torch.randn(11, 6, requires_grad=wants_head)
    rows = torch.randn(2, 6, requires_grad=True)
    row_ids, targets = torch.tensor([3, 8]), torch.tensor([3, 0, 8, 10, 2, 3, 5])
    weights = torch.tensor([1.0, 0.3, 1.0, 0.5, 0.3, 1.0, 1.0])
    loss, nll = HeadLoss.apply(hidden, head, row_ids, rows, targets, weights)
    (loss * 0.5).backward()
    found = [each.grad for each in (hidden, rows, head)]
    for each in (hidden, rows, head):
        each.grad = None
    logits = hidden @ head.index_copy(0, row_ids, rows).T
    expected = F.cross_entropy(logits, targets, reduction="none")
    ((expected * weights).sum() * 0.5).backward()
    assert nll.tolist() == pytest.approx(expected.tolist(), rel=1e-5)
    for got, each in zip(found, (hidden, rows, head), strict=True):
        assert (got is None and each.grad is None) or torch.allclose(got, each.grad, atol=1e-5)


def test_no_row_is_computed_that_has_no_weight() -> None:
    batch = pack([Example((1, 2, 3, 4), (0.0, 0.0, 0.3, 1.0), 3), Example((5, 6), (0.0, 0.0), 2)])
    assert batch.loss_rows.tolist() == [1, 2]
    assert batch.target_ids.tolist() == [3, 4]
    assert batch.is_middle.tolist() == [False, True]
    assert batch.positions.tolist() == [0, 1, 2, 3, 0, 1]


def test_batches_keep_the_order_and_the_limit() -> None:
    examples = [as_example(list(range(length))) for length in (3, 4, 9, 2, 2)]
    runs = split_by_tokens(examples, 7)
    assert [[len(each.token_ids) for each in run] for run in runs] == [[3, 4], [9], [2, 2]]
