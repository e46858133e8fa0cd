"""``bench forward`` with the model in the box: the figures are there; what they are is the bench's to say."""

from __future__ import annotations

import json
from importlib.util import find_spec

import pytest
from typer.testing import CliRunner

from completion_server.cli.app import app
from completion_server.evaluation.forward_bench import read_bandwidth


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
