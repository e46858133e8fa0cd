"""The quality gate, and that the model in the box passes it as it is served."""

from __future__ import annotations

from pathlib import Path

import pytest

from completion_server.bootstrap import cache_dir_of, resolve
from completion_server.config import ModelSettings, Settings
from completion_server.evaluation.quality import MAX_NLL_CHANGE, MIN_AGREEMENT, Quality, measure_quality


def silent(_message: str, _fraction: float | None) -> None: ...


@pytest.mark.parametrize(
    ("agreement", "nll", "passes"),
    [(0.98, 2.5, True), (0.98, 2.52, True), (0.98, 2.48, True), (0.96, 2.5, False), (0.98, 2.6, False)],
)
def test_both_figures_count(agreement: float, nll: float, passes: bool) -> None:
    assert Quality(1000, "int8", agreement, nll, 2.5).passes == passes


@pytest.mark.default_model
def test_the_model_in_the_box_passes_in_int8() -> None:
    settings = Settings()
    directory = resolve(settings, silent).path
    quality = measure_quality(directory, ModelSettings(dtype="int8"), cache_dir_of(settings.model), silent)
    assert quality.dtype == "int8"
    assert quality.num_tokens > 4000
    # The gate itself is for the bench: kernels differ between processors by some tenths of a percent.
    assert quality.agreement >= MIN_AGREEMENT - 0.01, quality
    assert abs(quality.nll_change) <= MAX_NLL_CHANGE, quality


@pytest.mark.default_model
def test_float32_agrees_with_itself(tmp_path: Path) -> None:
    directory = resolve(Settings(), silent).path
    quality = measure_quality(directory, ModelSettings(dtype="float32"), tmp_path, silent, num_windows=1)
    assert (quality.agreement, quality.nll_change) == (1.0, 0.0)
