"""``bench forward`` with the model in the box: the figures are there; what they are is the bench's to say."""

from __future__ import annotations

import json
from importlib.util import find_spec

import pytest
from typer.testing import CliRunner

from completion_server.cli.app import app
from completion_server.evaluation.forward_bench import nothing_recorded, read_bandwidth


def test_memory_is_read_at_some_speed() -> None:
    assert read_bandwidth(1) > 1e8


@pytest.mark.default_model
@pytest.mark.skipif(find_spec("xllamacpp") is None, reason="xllamacpp is not installed")
def test_both_sides_are_measured_on_the_same_weights() -> None:
    result = CliRunner().invoke(app, ["bench", "forward", "--repeats", "1", "--threads", "1"])
    assert result.exit_code == 0, result.stderr
    line = json.loads(result.stdout.splitlines()[-1])
    assert line["dtype"] == "int8"
    assert set(line["sides"]) == {"ours", "llama.cpp"}
    assert line["decode_ms_ratio"]["median"] > 0
    assert line["decode_over_floor"] > 0


def test_what_a_gpu_records_is_switched_off_for_the_other_side_only() -> None:
    class Model:
        step_graphs: object | None = "recorder"

    model = Model()
    with nothing_recorded(model) as is_other:
        assert is_other
        assert model.step_graphs is None
    assert model.step_graphs == "recorder"
    with nothing_recorded(object()) as is_other:
        assert not is_other
