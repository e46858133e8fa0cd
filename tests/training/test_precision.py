"""The type that a run computes in: the faster one, and then always the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from completion_server.training import precision
from completion_server.training.precision import product_seconds, training_dtype

CPU = torch.device("cpu")


@pytest.fixture
def has_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("completion_server.backends.torch_loading._has_fast_bfloat16", lambda: True)


@pytest.mark.parametrize("fast", [torch.float32, torch.bfloat16])
def test_the_faster_type_is_taken(monkeypatch: pytest.MonkeyPatch, has_bfloat16: None, fast: torch.dtype) -> None:
    monkeypatch.setattr(precision, "product_seconds", lambda dtype: 1.0 if dtype is fast else 2.0)
    assert training_dtype("auto", CPU) is fast


def test_a_run_keeps_its_type(monkeypatch: pytest.MonkeyPatch, has_bfloat16: None, tmp_path: Path) -> None:
    monkeypatch.setattr(precision, "product_seconds", lambda dtype: 1.0 if dtype is torch.float32 else 2.0)
    run = tmp_path / "run.json"
    assert training_dtype("auto", CPU, run) is torch.float32
    run.write_text(json.dumps({"dtype": "bfloat16"}), encoding="utf-8")
    assert training_dtype("auto", CPU, run) is torch.bfloat16
    run.write_text("{}", encoding="utf-8")  # begun before types were measured
    assert training_dtype("auto", CPU, run) is torch.bfloat16


def test_a_type_that_is_named_is_taken_unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "product_seconds", lambda _: pytest.fail("measured"))
    assert training_dtype("bfloat16", CPU) is torch.bfloat16


def test_half_precision_is_not_trained_in() -> None:
    assert training_dtype("auto", torch.device("mps")) is torch.float32


def test_a_product_takes_time() -> None:
    assert 0 < product_seconds(torch.float32) < float("inf")
