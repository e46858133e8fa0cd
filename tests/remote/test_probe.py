"""What is found out about a server, and what each dialect then sends it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from completion_server.request import FinishReason
from tests.support.fake_completion_api import FakeApi, Script, choice, json_script, sse
from tests.support.remote_calls import connected
from tests.support.tiny_gguf import write_tokenizer

LLAMA_PROPS = json_script({"default_generation_settings": {"n_ctx": 2048}, "model_path": "/m/qwen2.5-coder.gguf"})
NO_INFILL = json_script({"error": {"message": "Infill is not supported by this model"}}, 501)
OLLAMA = {
    "/api/version": json_script({"version": "0.9"}),
    "/api/tags": json_script({"models": [{"name": "qwen2.5-coder:1.5b-base"}]}),
}
VLLM_MODEL = {"id": "org/starcoder2-3b", "owned_by": "vllm", "max_model_len": 4096}
VLLM = {"/v1/models": json_script({"data": [VLLM_MODEL]})}


@pytest.fixture(scope="module")
def tokenizer_dir(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_tokenizer(tmp_path_factory.mktemp("tokenizer")))


@pytest.mark.parametrize(
    ("routes", "has_tokenizer", "dialect", "server"),
    [
        ({"/props": LLAMA_PROPS, "/infill": json_script({"content": ""})}, False, "llama-infill", "llama.cpp"),
        ({"/props": LLAMA_PROPS, "/infill": NO_INFILL}, True, "llama-completion", "llama.cpp"),
        (VLLM, True, "openai-tokens", "vllm"),
        (VLLM, False, "openai-text", "vllm"),
        (OLLAMA, False, "ollama", "Ollama"),
        ({"/v1/models": json_script({"data": [{"id": "some-model"}]})}, True, "openai-text", "OpenAI-compatible"),
    ],
)
def test_the_dialect_by_what_answers(
    routes: dict[str, Any], has_tokenizer: bool, dialect: str, server: str, tokenizer_dir: str
) -> None:
    with FakeApi(dict(routes)) as api, connected(api.url, tokenizer=tokenizer_dir * has_tokenizer) as remote:
        status = remote.engine.status()
        assert (status["dialect"], status["server"]) == (dialect, server)


def test_a_model_without_infill_is_asked_by_text_and_the_reason_is_kept() -> None:
    end = {"content": " compl" + "ete", "stop": True, "stop_type": "eos"}
    routes = {"/props": LLAMA_PROPS, "/infill": NO_INFILL, "/completion": Script(sse(end, done=False))}
    with FakeApi(routes) as api, connected(api.url) as remote:
        status = remote.engine.status()
        assert (status["dialect"], status["fim_format"]) == ("llama-completion", "qwen-coder")
        assert remote.text("x = complˇ\n") == "ete"
        (body,) = api.bodies("/completion")
        assert body["prompt"] == "<|fim_prefix|>x =<|fim_suffix|>\n<|fim_middle|>"
        assert "<|endoftext|>" in body["stop"]
        assert "not supported by this model" in str(status["dialect_notes"])


@pytest.mark.parametrize("is_llama_cpp_python", [True, False])
def test_llama_cpp_python_is_told_not_to_penalize_repetition(is_llama_cpp_python: bool) -> None:
    """Nobody else is: a key that a server does not know may be an error."""
    entry = {"id": "starcoder2", "owned_by": "me"} | ({"permissions": []} if is_llama_cpp_python else {})
    routes = {"/v1/models": json_script({"data": [entry]}), "/v1/completions": Script(sse(choice("1", "stop")))}
    with FakeApi(routes) as api, connected(api.url) as remote:
        assert remote.text("x = ˇ\n") == "1"
        assert remote.engine.status()["server"] == ("llama-cpp-python" if is_llama_cpp_python else "me")
        (body,) = api.bodies("/v1/completions")
        assert body.get("repeat_penalty") == (1.0 if is_llama_cpp_python else None)


def test_a_healthy_server_that_lists_nothing_needs_the_name_of_the_model() -> None:
    with FakeApi({"/health": json_script({"status": "ok"}), "/v1/models": json_script({}, 500)}) as api:
        with connected(api.url, model="starcoder2") as remote:
            assert remote.engine.status()["dialect"] == "openai-text"
        with connected(api.url) as remote:
            assert "remote.model" in str(remote.engine.status()["connection"])


@pytest.mark.parametrize(
    ("routes", "options", "message"),
    [
        ({}, {}, "none of its known paths"),
        (
            {"/v1/models": json_script({"error": {"message": "bad key"}}, 401)},
            {},
            "COMPLETION_SERVER_REMOTE_API_KEY",
        ),
        (VLLM, {"dialect": "openai-tokens"}, "remote.tokenizer"),
        ({"/v1/models": Script((b"<html>",))}, {}, "none of its known paths"),
        ({"/v1/models": Script(drops=True)}, {}, "connection"),
    ],
)
def test_what_does_not_fit_is_told_and_nothing_is_asked(
    routes: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    with FakeApi(dict(routes)) as api, connected(api.url, **options) as remote:
        assert message in str(remote.engine.status()["connection"])
        result = remote.ask()
        assert (result.generations, result.finish_reason) == ((), FinishReason.SKIPPED)


def test_mistral_is_not_probed_and_answers_in_chat_shape() -> None:
    events = [{"choices": [{"index": 0, "delta": {"content": text}}]} for text in ("a", "b")]
    last = {"choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "stop"}]}
    path = "/v1/fim/completions"
    with FakeApi({path: Script(sse(*events, last))}) as api, connected(api.url, dialect="mistral-fim") as remote:
        assert api.asked == []
        assert remote.text("x = compl'<s>'ˇ()\n", seed=7, temperature=0.5) == "ab"
        (body,) = api.bodies(path)
        assert (body["prompt"], body["suffix"]) == ("x = compl'<s>'", "()\n")
        assert (body["model"], body["random_seed"], body["stream"]) == ("codestral-latest", 7, True)


def test_ollama_is_sent_a_raw_prompt_and_answers_in_lines() -> None:
    lines = [{"response": "a", "done": False}, {"response": "b", "done": False}]
    end = {"response": "", "done": True, "done_reason": "length", "eval_count": 2}
    stream = b"".join(json.dumps(line).encode() + b"\n" for line in [*lines, end])
    routes = {**OLLAMA, "/api/generate": Script((stream[:9], stream[9:]))}
    with FakeApi(routes) as api, connected(api.url) as remote:
        result = remote.ask("x = ˇ\n", max_new_tokens=9)
        assert (result.generations[0].text, result.finish_reason) == ("ab", FinishReason.LENGTH)
        (body,) = api.bodies("/api/generate")
        assert body["prompt"] == "<|fim_prefix|>x = <|fim_suffix|>\n<|fim_middle|>"
        assert body["raw"] is True
        assert (body["options"]["num_predict"], body["options"]["repeat_penalty"]) == (9, 1.0)
        assert "<|endoftext|>" in body["options"]["stop"]
        assert "suffix" not in body


def test_ollamas_errors_inside_the_stream() -> None:
    stream = b'{"response":"a","done":false}\n{"error":"llama runner has terminated"}\n'
    with FakeApi({**OLLAMA, "/api/generate": Script((stream,))}) as api, connected(api.url) as remote:
        result = remote.ask()
        assert (result.generations, result.finish_reason) == ((), FinishReason.ERROR)


def test_tokens_go_to_vllm_with_the_tokens_that_end_a_middle(tokenizer_dir: str) -> None:
    routes = {**VLLM, "/v1/completions": Script(sse(choice("ab", "stop")))}
    with FakeApi(routes) as api, connected(api.url, tokenizer=tokenizer_dir) as remote:
        assert remote.text("x = '<fim_middle>'\ny = ˇ\n") == "ab"
        (body,) = api.bodies("/v1/completions")
        assert all(isinstance(token_id, int) for token_id in body["prompt"])
        assert body["prompt"].count(260) == 1
        assert 257 in body["stop_token_ids"]
        assert body["model"] == "org/starcoder2-3b"
        assert remote.engine.status()["max_context"] == 4096


def test_infill_is_sent_two_texts_and_a_grammar_for_the_start() -> None:
    events = [{"content": " compl", "stop": False}, {"content": "ete", "stop": False}]
    end = {"content": "", "stop": True, "stop_type": "eos", "prompt": "x" * 100}
    routes = {"/props": LLAMA_PROPS, "/infill": Script(sse(*events, end, done=False))}
    with FakeApi(routes) as api, connected(api.url) as remote:
        assert remote.text("x = complˇ()\n", seed=3, top_k=5) == "ete"
        body = api.bodies("/infill")[-1]
        assert (body["input_prefix"], body["input_suffix"], body["prompt"]) == ("x =", "()\n", "")
        assert body["grammar"] == 'root ::= " compl" .*'
        assert (body["seed"], body["top_k"], body["cache_prompt"]) == (3, 5, True)


@pytest.mark.parametrize(("stop_type", "expected"), [("limit", FinishReason.LENGTH), ("eos", FinishReason.STOP)])
def test_a_stop_that_was_a_limit_is_cut_short(stop_type: str, expected: FinishReason) -> None:
    end = {"content": "ab", "stop": True, "stop_type": stop_type}
    routes = {"/props": LLAMA_PROPS, "/infill": Script(sse(end, done=False))}
    with FakeApi(routes) as api, connected(api.url) as remote:
        assert remote.ask("ˇ").finish_reason is expected


def test_a_connection_lost_between_two_questions_of_the_probe_is_made_anew() -> None:
    """uvicorn hangs up after an internal error."""
    routes = {"/props": [Script(drops=True), Script((b"{}",), 404)], "/health": json_script({"status": "ok"})}
    with FakeApi(dict(routes)) as api, connected(api.url, model="starcoder2") as remote:
        assert remote.engine.status()["dialect"] == "openai-text"
