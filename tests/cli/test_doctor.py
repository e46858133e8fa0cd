from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from completion_server.backends.tuning import Tuning, with_tuning, write_tuning
from completion_server.cli.app import app
from completion_server.cli.doctor_finding import (
    MachineFacts,
    Measurements,
    fits_in,
    machine_warnings,
    measured_warnings,
)
from completion_server.cli.doctor_measure import float_type, tune
from completion_server.config import ModelSettings

GIB = 1 << 30
HEALTHY = MachineFacts(
    cpu_flags=frozenset({"avx2", "avx512_bf16"}),
    physical_cores=4,
    usable_cores=8,
    memory_available_bytes=8 * GIB,
    free_disk_bytes=50 * GIB,
    torch_version="2.13.0+cpu",
    num_threads=4,
    model_bytes=GIB // 4,
    model_name="some-model",
)
MEASURED = Measurements(
    load_s=1.0, prefill_tokens_per_s=1000.0, decode_ms=25.0, forward_ms={1: 25.0, 4: 30.0, 8: 33.0}
)


def test_a_healthy_machine_has_no_warnings() -> None:
    assert machine_warnings(HEALTHY) == []
    assert measured_warnings(MEASURED, 300) == []


@pytest.mark.parametrize(
    ("change", "fix"),
    [
        ({"cpu_flags": frozenset({"avx2"}), "dtype": "float32"}, "smaller model"),
        ({"cpu_flags": frozenset({"sse2", "avx512_bf16"})}, "pass the host's CPU through"),
        ({"memory_available_bytes": GIB // 4}, "models list"),
        ({"torch_version": "2.13.0+cu130"}, "Install the CPU build"),
        ({"num_threads": 8}, "model.numThreads"),
        ({"num_threads": 3, "usable_cores": 2}, "model.numThreads"),
        ({"free_disk_bytes": GIB // 2}, "model.cacheDir"),
        ({"load_average": 7.9}, "Fewer threads"),
        ({"is_model_here": False}, "models pull some-model"),
        ({"is_model_here": False, "is_offline": True}, "switch that off once"),
    ],
)
def test_every_warning_names_its_fix(change: dict[str, object], fix: str) -> None:
    warnings = machine_warnings(dataclasses.replace(HEALTHY, **change))
    assert len(warnings) == 1
    assert fix in warnings[0]


def test_what_is_right_on_a_gpu_is_no_warning() -> None:
    on_gpu = dataclasses.replace(HEALTHY, device="cuda", has_torch_gpu=True, torch_version="2.13.0+cu130")
    assert machine_warnings(dataclasses.replace(on_gpu, num_threads=16, cpu_flags=frozenset({"avx2"}))) == []


@pytest.mark.parametrize(
    ("change", "fix"),
    [
        ({"decode_ms": 90.0}, "latency.automaticTimeoutMs"),
        ({"read_mb_per_s": 40.0}, "model.cacheDir"),
        ({"decode_spread": 5.0}, "--threads"),
    ],
)
def test_every_measured_warning_names_its_fix(change: dict[str, float], fix: str) -> None:
    warnings = measured_warnings(dataclasses.replace(MEASURED, **change), 300)
    assert len(warnings) == 1
    assert fix in warnings[0]


@pytest.mark.parametrize(
    ("change", "settings", "expected"),
    [
        ({}, {}, Tuning()),
        ({"one_thread_decode_ms": 24.0, "float_decode_ms": 24.0}, {}, Tuning()),
        ({"one_thread_decode_ms": 12.0}, {}, Tuning(num_threads=1)),
        ({"float_decode_ms": 12.0, "one_thread_decode_ms": 20.0}, {}, Tuning(dtype=float_type())),
        ({"one_thread_decode_ms": 12.0}, {"num_threads": 2}, Tuning()),
        ({"float_decode_ms": 12.0}, {"dtype": "int8"}, Tuning()),
    ],
)
def test_what_is_clearly_faster_is_chosen_where_the_user_has_not_chosen(
    change: dict[str, float], settings: dict[str, Any], expected: Tuning
) -> None:
    assert tune(dataclasses.replace(MEASURED, **change), ModelSettings(**settings)) == expected


def test_the_choice_is_kept_for_this_model_and_gives_way_to_settings(tmp_path: Path) -> None:
    model, other = tmp_path / "model", tmp_path / "other"
    write_tuning(Tuning("bfloat16", 0), model, tmp_path)
    assert with_tuning(ModelSettings(), model, tmp_path).dtype == "bfloat16"
    assert with_tuning(ModelSettings(), other, tmp_path) == ModelSettings()
    for chosen in (ModelSettings(dtype="int8"), ModelSettings(device="cuda")):
        assert with_tuning(chosen, model, tmp_path) == chosen
    write_tuning(Tuning(num_threads=1), model, tmp_path)
    assert with_tuning(ModelSettings(num_threads=2), model, tmp_path).num_threads == 2
    assert with_tuning(ModelSettings(), model, tmp_path).num_threads == 1
    (kept,) = (tmp_path / "tuning").iterdir()
    for damage in ("", "{", '{"dtype": "evil"}', '{"num_threads": -1}'):
        kept.write_text(damage)
        assert with_tuning(ModelSettings(), model, tmp_path) == ModelSettings()
    write_tuning(Tuning(), model, tmp_path)
    assert list((tmp_path / "tuning").iterdir()) == []


def test_what_fits_into_the_time_limit() -> None:
    assert fits_in(MEASURED, 300) == {"cold_prompt_tokens": 275, "warm_generated_tokens": 11}
    slow = dataclasses.replace(MEASURED, decode_ms=1000.0, forward_ms={4: 1200.0})
    assert fits_in(slow, 300) == {"cold_prompt_tokens": 0, "warm_generated_tokens": 0}


def test_a_missing_model_is_a_finding_and_nothing_is_fetched(tmp_path: Path) -> None:
    environment = {"COMPLETION_SERVER_MODEL_CACHE_DIR": str(tmp_path)}
    result = CliRunner().invoke(app, ["doctor", "--json"], env=environment)
    assert result.exit_code == 0
    value = json.loads(result.stdout)
    assert value["measured"] is None
    assert any("models pull smollm2-135m" in warning for warning in value["warnings"])
    assert value["storage"]["models"] == str(tmp_path)
    assert list(tmp_path.iterdir()) == []
    shown = CliRunner().invoke(app, ["doctor", "--offline"], env=environment)
    assert "forbids to fetch it" in shown.stdout
    assert "\x1b" not in shown.stdout
