"""The HTTP side: shapes of the two protocols, streams, what is refused, and what a closed connection ends."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from transformers import LlamaConfig

from completion_server.backends.native import NativeModel
from completion_server.config import Settings
from completion_server.engine.engine import Engine
from completion_server.engine_host.host import HostedModel, Progress
from completion_server.engine_host.http_limits import HttpLimits
from completion_server.engine_host.http_server import HttpOptions, parse_http_address
from completion_server.engine_host.process import EngineOptions
from completion_server.errors import ConfigError
from completion_server.model import CausalLM
from completion_server.shared.token_file import read_or_make_token
from completion_server.tokenizer import StreamingDetokenizer, Tokenizer
from tests.support import tiny_tokenizers
from tests.support.engines import CountingModel
from tests.support.shared_engines import HANG_GUARD_SECONDS, engine_in_thread
from tests.support.tiny_models import native_from_config

TOKEN = "t" * 24
TEXT = "def add(first, second):\n    return first"


class Service:
    """An engine in this process that is also served over HTTP."""

    def __init__(self, url: str, model: CountingModel, tokenizer: Tokenizer) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.url = url
        self.client = httpx.Client(
            base_url=url, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=HANG_GUARD_SECONDS, trust_env=False
        )

    def post(self, path: str, **body: Any) -> dict[str, Any]:
        reply = self.client.post(path, json=body)
        assert reply.status_code == 200, reply.text
        return reply.json()

    def events(self, path: str, **body: Any) -> list[Any]:
        with self.client.stream("POST", path, json={**body, "stream": True}) as reply:
            assert reply.headers["content-type"].startswith("text/event-stream")
            lines = [line[6:] for line in reply.iter_lines() if line.startswith("data: ")]
        return [line if line == "[DONE]" else json.loads(line) for line in lines]


def serve(directory: Path, tokenizer: Tokenizer, limits: HttpLimits | None = None) -> Iterator[Service]:
    model = CountingModel(native_model(tokenizer.vocab_size))

    def load(settings: Settings, _progress: Progress) -> HostedModel:
        engine = Engine(model, lambda skipped: StreamingDetokenizer(tokenizer, len(skipped)), settings)
        return HostedModel(engine, tokenizer, "/nowhere", "llama", model.max_context)

    said: list[str] = []
    options = EngineOptions(http=HttpOptions("127.0.0.1", 0, TOKEN, limits or HttpLimits()))
    with engine_in_thread(directory, load, options=options, said=said):
        service = Service(said[0].split()[1], model, tokenizer)
        with service.client:
            while service.client.get("/health").status_code != 200:
                pass
            yield service


def native_model(vocab_size: int) -> CausalLM:
    config = LlamaConfig(
        vocab_size=vocab_size,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        initializer_range=0.5,
        tie_word_embeddings=True,
    )
    model = native_from_config(config)
    assert isinstance(model, NativeModel)
    return model


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    yield from serve(tmp_path_factory.mktemp("run"), tiny_tokenizers.qwen())


def test_a_completion_in_openai_shape(service: Service) -> None:
    reply = service.post("/v1/completions", prompt=TEXT, max_tokens=8, logprobs=1, n=2)
    assert reply["object"] == "text_completion"
    assert [choice["index"] for choice in reply["choices"]] == [0, 1]
    first, second = reply["choices"]
    assert first["text"] != second["text"]
    assert first["finish_reason"] in {"stop", "length"}
    logprobs = first["logprobs"]
    assert len(logprobs["tokens"]) == len(logprobs["token_logprobs"]) == len(logprobs["text_offset"])
    assert all(value <= 0 for value in logprobs["token_logprobs"])
    usage = reply["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert service.client.get("/v1/models").json()["data"][0]["id"] == Settings().model.name


def test_token_ids_and_text_ask_the_same(service: Service) -> None:
    """A text that ends at a safe place, behind a sentinel, is exactly its tokens."""
    text = "<|fim_prefix|>def add(<|fim_suffix|>)<|fim_middle|>"
    encode, token_id = service.tokenizer.encode, service.tokenizer.token_id
    ids = [token_id("<|fim_prefix|>"), *encode("def add("), token_id("<|fim_suffix|>"), *encode(")")]
    ids.append(token_id("<|fim_middle|>"))
    of_text = service.post("/v1/completions", prompt=text, max_tokens=8)
    of_ids = service.post("/v1/completions", prompt=ids, max_tokens=8)
    assert of_text["choices"] == of_ids["choices"]
    assert of_text["usage"]["prompt_tokens"] == len(ids)


def test_a_stream_is_the_whole_in_pieces(service: Service) -> None:
    asked = {"prompt": TEXT, "max_tokens": 12}
    whole = service.post("/v1/completions", **asked)
    *pieces, done = service.events("/v1/completions", **asked, stream_options={"include_usage": True})
    assert done == "[DONE]"
    assert pieces[-1]["choices"] == []
    assert pieces[-1]["usage"]["completion_tokens"] == whole["usage"]["completion_tokens"]
    assert "".join(piece["choices"][0]["text"] for piece in pieces[:-1]) == whole["choices"][0]["text"]
    assert pieces[-2]["choices"][0]["finish_reason"] == whole["choices"][0]["finish_reason"]


def test_stop_texts_end_the_text_before_them_also_in_streams(service: Service) -> None:
    text = service.post("/v1/completions", prompt=TEXT, max_tokens=16)["choices"][0]["text"]
    stop = text[4:7]
    asked = {"prompt": TEXT, "max_tokens": 16, "stop": [stop]}
    reply = service.post("/v1/completions", **asked)["choices"][0]
    assert reply["text"] == text[: text.index(stop)]
    assert reply["finish_reason"] == "stop"
    pieces = service.events("/v1/completions", **asked)[:-1]
    assert "".join(piece["choices"][0]["text"] for piece in pieces) == reply["text"]


def test_infill_in_llama_cpp_shape(service: Service) -> None:
    asked = {"input_prefix": "def add(first, second):\n    re", "input_suffix": "\n\nx = 1\n", "n_predict": 8}
    reply = service.post("/infill", **asked)
    assert reply["stop"] is True
    assert reply["tokens_predicted"] > 0
    with_more = service.post("/infill", **asked, input_extra=[{"filename": "a.py", "text": "y = 2\n"}])
    assert with_more["tokens_evaluated"] > reply["tokens_evaluated"]
    *pieces, last = service.events("/infill", **asked)
    assert "".join(piece["content"] for piece in pieces) == reply["content"]
    assert (last["stop"], last["content"]) == (True, "")
    without = service.post("/infill", **{**asked, "input_suffix": ""})
    assert without["tokens_evaluated"] < reply["tokens_evaluated"]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/completions", {"max_tokens": 3}, 400),
        ("/v1/completions", {"prompt": ["a", "b"]}, 400),
        ("/v1/completions", {"prompt": [-1]}, 400),
        ("/v1/completions", {"prompt": "x", "temperature": "warm"}, 400),
        ("/v1/completions", {"prompt": "x", "max_tokens": 5000}, 400),
        ("/v1/completions", {"prompt": "x", "echo": True}, 400),
        ("/infill", {"input_prefix": "x"}, 400),
        ("/infill", {"input_prefix": "x", "input_suffix": "", "n_predict": 5000}, 400),
        ("/v1/chat/completions", {}, 404),
    ],
)
def test_what_cannot_be_answered_is_an_error_with_a_reason(
    service: Service, path: str, body: dict[str, Any], status: int
) -> None:
    reply = service.client.post(path, json=body)
    assert reply.status_code == status, reply.text
    assert reply.json()["error"]["message"]


def test_a_body_that_is_no_json_or_too_long_is_refused(service: Service) -> None:
    assert service.client.post("/infill", content=b"\xff{").status_code == 400
    assert service.client.post("/infill", content=b" " * (5 << 20)).status_code == 413


def test_only_the_token_opens_and_only_names_of_this_machine(service: Service) -> None:
    wrong = {"Authorization": "Bearer wrong"}
    assert service.client.get("/v1/models", headers=wrong).status_code == 401
    assert httpx.get(service.url + "/v1/models", trust_env=False).status_code == 401
    assert httpx.get(service.url + "/health", trust_env=False).status_code == 200
    assert service.client.get("/v1/models", headers={"Host": "evil.example:80"}).status_code == 403
    assert service.client.get("/v1/models", headers={"Host": "localhost:80"}).status_code == 200
    preflight = service.client.options("/infill", headers={"Origin": "http://evil.example"})
    assert not [name for name in preflight.headers if name.startswith("access-control")]


@pytest.mark.parametrize("stream", [True, False])
def test_closing_the_connection_ends_the_work(service: Service, stream: bool) -> None:
    running, may_go_on = threading.Event(), threading.Event()
    service.post("/v1/completions", prompt="warm up", max_tokens=1)

    def on_forward() -> None:
        running.set()
        assert may_go_on.wait(HANG_GUARD_SECONDS)

    service.model.on_forward = on_forward
    asked = {"prompt": "x = " * 60, "max_tokens": 200, "stream": stream}
    with httpx.Client(trust_env=False, headers=service.client.headers) as leaving:
        thread = threading.Thread(
            target=post_and_be_closed, args=(leaving, f"{service.url}/v1/completions", asked)
        )
        thread.start()
        assert running.wait(HANG_GUARD_SECONDS)
        num_passes = len(service.model.chunk_sizes)
    # Closed here. Only when the server has seen that, which a later request shows, the pass may end.
    thread.join(HANG_GUARD_SECONDS)
    for _ in range(3):
        assert service.client.get("/v1/models").status_code == 200
    may_go_on.set()
    service.model.on_forward = lambda: None
    service.post("/v1/completions", prompt="y", max_tokens=1)
    assert len(service.model.chunk_sizes) - num_passes < 12, "the request was worked on to its end"


def post_and_be_closed(client: httpx.Client, url: str, asked: dict[str, Any]) -> None:
    try:
        client.post(url, json=asked, timeout=0.5)
    except (httpx.HTTPError, RuntimeError):
        return
    raise AssertionError("there was an answer")


def test_addresses_and_tokens(tmp_path: Path) -> None:
    assert parse_http_address("127.0.0.1:80", allow_remote=False) == ("127.0.0.1", 80)
    assert parse_http_address("[::1]:0", allow_remote=False) == ("::1", 0)
    assert parse_http_address("0.0.0.0:80", allow_remote=True) == ("0.0.0.0", 80)
    for text in ("0.0.0.0:80", "192.168.1.2:80", "127.0.0.1", ":80", "localhost:x", "example.com:80"):
        with pytest.raises(ConfigError):
            parse_http_address(text, allow_remote=False)
    path = tmp_path / "new" / "token"
    token = read_or_make_token(path)
    assert read_or_make_token(path) == token
    assert path.stat().st_mode & 0o077 == 0
    path.write_text("short")
    with pytest.raises(ConfigError):
        read_or_make_token(path)
