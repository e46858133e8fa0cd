"""``bench team`` through real language servers against llama.cpp's server with a tiny model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from completion_server.cli.app import app
from tests.support.fake_completion_api import FakeApi, Script, choice, json_script, sse
from tests.support.llama_process import started_llama
from tests.support.tiny_gguf import write_alphabet_gguf


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["bench", "team", *arguments])


def test_a_table_and_one_json_line(tmp_path: Path) -> None:
    with started_llama(write_alphabet_gguf(tmp_path / "alphabet.gguf")) as llama:
        result = run(
            *("--url", llama.url, "--typists", "2", "--minutes", "0.1", "--timeout-ms", "20000"),
            *(
                "--sessions",
                "function",
                "--keys",
                "20",
                "--pace",
                "5",
                "--debounce-ms",
                "20",
                "--dialect",
                "llama-infill",
            ),
        )
    assert result.exit_code == 0, result.output
    *table, last = result.stdout.splitlines()
    assert any("requests whole within the time limit" in line for line in table)
    value = json.loads(last)
    assert (value["bench"], value["timeout_ms"], value["plan"]["debounce_ms"]) == ("team", 20_000, 20.0)
    assert (value["server"]["server"], value["server"]["dialect"]) == ("llama.cpp", "llama-infill")
    assert value["counts_server_cpu"]
    (level,) = value["levels"]
    assert level["num_typists"] == 2
    assert level["counts"]["num_calls"] > 0
    assert level["counts"]["num_pieces"] > 0
    assert level["num_errors"] == 0
    assert level["share_within_deadline"] == 1
    assert level["ghost_text_ms"]["p50"] > 20
    assert level["prompt_tokens_per_request"] > level["prefilled_tokens_per_request"] > 0
    assert level["client_cpu_s_per_typist_minute"] > 0


def test_nobody_at_the_address() -> None:
    result = run("--url", "http://127.0.0.1:9", "--typists", "1", "--minutes", "0.05")
    assert result.exit_code == 1
    assert "no model server answers at http://127.0.0.1:9" in result.stderr


def test_each_typist_may_have_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPLETION_SERVER_REMOTE_API_KEY", "mine")
    models = json_script({"data": [{"id": "starcoder2", "owned_by": "me"}]})
    for arguments, keys in (((), {"mine"}), (("--user-keys",), {"typist-1", "typist-2"})):
        with FakeApi({"/v1/models": models, "/v1/completions": Script(sse(choice("abc", "stop")))}) as api:
            result = run("--url", api.url, "--typists", "2", "--minutes", "0.01", *arguments)
            assert result.exit_code == 0, result.output
            seen = {asked.headers.get("Authorization") for asked in api.asked}
        assert {f"Bearer {key}" for key in keys} == seen


def test_a_source_without_a_place_to_type(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n" * 50)
    result = run("--url", "http://127.0.0.1:9", "--source", str(tmp_path))
    assert result.exit_code == 1
    assert "no source file has a place" in result.stderr


def test_an_address_where_something_else_answers() -> None:
    with FakeApi() as api:
        result = run("--url", api.url, "--typists", "1", "--minutes", "0.05")
    assert result.exit_code == 1
    assert f"no model server answers at {api.url}" in result.stderr


def test_numbers_of_typists_are_numbers() -> None:
    for wrong in ("", "none", "0", "1,-2", "1000"):
        result = run("--url", "http://127.0.0.1:9", "--typists", wrong)
        assert result.exit_code == 1
        assert "--typists wants numbers" in result.stderr
