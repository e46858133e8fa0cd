"""The engine over a scripted server: every trap that real servers were seen to set."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from completion_server.engine.stopping import LineEnd
from completion_server.errors import ModelError, RemoteError
from completion_server.model import Prompt, SamplingParams
from completion_server.remote.breaker import CircuitBreaker
from completion_server.request import CancellationToken, Deadline, FinishReason
from tests.support.fake_completion_api import GUARD_SECONDS, FakeApi, Script, choice, json_script, sse
from tests.support.remote_calls import Remote, connected

PATH = "/v1/completions"
MODELS = json_script({"data": [{"id": "starcoder2", "owned_by": "me"}]})


@pytest.fixture(autouse=True)
def _late_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream that is let go instead of closed stays open for longer than any test waits."""
    monkeypatch.setattr("completion_server.remote.transport._END_SECONDS", 3600.0)


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with FakeApi({"/v1/models": MODELS}) as api:
        yield api


@pytest.fixture
def remote(api: FakeApi) -> Iterator[Remote]:
    with connected(api.url) as remote:
        assert remote.engine.status()["dialect"] == "openai-text"
        yield remote


def reason(result: Any) -> str:
    return str(getattr(result.stats, "reason", ""))


@pytest.mark.parametrize(
    ("pieces", "text", "finish_reason"),
    [
        (sse(choice("ab"), choice("c", "stop")), "abc", FinishReason.STOP),
        (sse(choice("ab"), choice("c", "length")), "abc", FinishReason.LENGTH),
        # llama.cpp: the reason comes with an empty piece, usage without choices follows.
        (sse(choice("ab"), choice("", "stop"), {"choices": [], "usage": {}}), "ab", FinishReason.STOP),
        # transformers serve: no [DONE], no finish_reason before the end.
        (sse({"choices": [{"text": "ab"}]}, choice("", "stop"), done=False), "ab", FinishReason.STOP),
        # llama-cpp-python, interrupted by another request: [DONE] without a reason. Cut short.
        (sse(choice("ab")), "ab", FinishReason.LENGTH),
        # The connection just ends.
        (sse(choice("ab"), done=False), "ab", FinishReason.LENGTH),
        ((b": ping\n\n", *sse(choice("ab")), b": ping\n\n"), "ab", FinishReason.LENGTH),
        ((b'data: {"choices": null}\n\n', *sse(choice("ab", "stop"))), "ab", FinishReason.STOP),
        (sse({"choices": [7, {"text": 3, "index": "x"}]}, choice("ab", "stop")), "ab", FinishReason.STOP),
        (sse(choice("other", None, 1), choice("ab", "stop")), "ab", FinishReason.STOP),
        (sse(choice("ab<|endoftext|>x")), "ab", FinishReason.STOP),
    ],
)
def test_streams_end_in_many_ways(
    api: FakeApi, remote: Remote, pieces: tuple[bytes, ...], text: str, finish_reason: FinishReason
) -> None:
    api.routes[PATH] = Script(pieces)
    result = remote.ask()
    assert [generation.text for generation in result.generations] == [text]
    assert result.finish_reason is finish_reason


def test_characters_may_be_cut_anywhere(api: FakeApi, remote: Remote) -> None:
    stream = b"data: " + json.dumps(choice("é日🎉", "stop"), ensure_ascii=False).encode() + b"\n\n"
    api.routes[PATH] = Script(tuple(bytes([byte]) for byte in stream))
    assert remote.text() == "é日🎉"


@pytest.mark.parametrize(
    "script",
    [
        Script(sse({"error": {"message": "it broke"}})),
        Script((*sse(choice("half"), done=False), *sse({"error": "it broke"}))),
        Script((b'{"detail": "it broke"}',), 500),
        Script((b'{"error": {"message": "it broke"}}',), 400),
        Script((b'{"error": "it broke"}',), 404),
        Script((b'{"code": 501, "message": "it broke"}',), 501),
    ],
)
def test_errors_are_empty_answers_with_a_reason(api: FakeApi, remote: Remote, script: Script) -> None:
    api.routes[PATH] = script
    result = remote.ask()
    assert result.generations == ()
    assert result.finish_reason is FinishReason.ERROR
    assert "it broke" in reason(result)


@pytest.mark.parametrize(
    "script",
    [
        Script(),
        Script((b"data: [DONE]\n\n",)),
        Script((b"data: nonsense\n\n",)),
        Script((b"<html>no API</html>",)),
        Script((b"<html>",), 502),
        Script((), 307, headers=(("Location", "http://127.0.0.1:9/elsewhere"),)),
        Script(drops=True),
    ],
)
def test_no_answer_at_all_is_an_error(api: FakeApi, remote: Remote, script: Script) -> None:
    api.routes[PATH] = script
    result = remote.ask()
    assert (result.generations, result.finish_reason) == ((), FinishReason.ERROR)
    assert reason(result)


def test_a_connection_that_fails_before_the_answer_is_tried_once_more(api: FakeApi, remote: Remote) -> None:
    api.routes[PATH] = [Script(drops=True), Script(sse(choice("ab", "stop")))]
    assert remote.text() == "ab"
    assert len(api.bodies(PATH)) == 2


def test_nothing_is_tried_again_once_the_answer_has_begun(api: FakeApi, remote: Remote) -> None:
    broken = Script((b"5\r\nab",), headers=(("Transfer-Encoding", "chunked"),))
    api.routes[PATH] = broken
    assert remote.ask().finish_reason is FinishReason.ERROR
    assert len(api.bodies(PATH)) == 1


def test_the_request_is_a_raw_prompt_without_the_field_suffix(api: FakeApi, remote: Remote) -> None:
    api.routes[PATH] = Script(sse(choice("ab", "stop")))
    remote.ask("def f(ˇ):\n    pass\n")
    (body,) = api.bodies(PATH)
    assert body["prompt"] == "<fim_prefix>def f(<fim_suffix>):\n    pass\n<fim_middle>"
    assert body["stream"] is True
    assert "suffix" not in body
    assert len(body["stop"]) <= 4
    assert body["stop"][0] == "<|endoftext|>"


def test_a_stop_rule_closes_the_stream(api: FakeApi, remote: Remote) -> None:
    api.routes[PATH] = Script(sse(choice("one"), choice("\ntwo"), done=False), holds=True)
    result = remote.ask(rules=[LineEnd()])
    assert result.generations[0].text == "one"
    assert result.generations[0].stop_rule == "line_end"
    assert result.finish_reason is FinishReason.STOP
    assert api.client_left.wait(GUARD_SECONDS)


def test_a_cancel_during_a_long_prefill_closes_the_connection(api: FakeApi, remote: Remote) -> None:
    api.routes[PATH] = Script(holds=True)
    token = CancellationToken()

    def cancel() -> None:
        assert api.is_holding.wait(GUARD_SECONDS)
        token.cancel()

    thread = threading.Thread(target=cancel)
    thread.start()
    result = remote.ask(cancellation=token)
    thread.join()
    assert (result.generations, result.finish_reason) == ((), FinishReason.CANCELLED)
    assert api.client_left.wait(GUARD_SECONDS)


def test_what_has_come_by_the_deadline_is_the_answer(api: FakeApi, remote: Remote) -> None:
    api.routes[PATH] = Script(sse(choice("ab"), done=False), holds=True)

    class Clock:
        """Stands still until the server has sent what it sends; then the time is over."""

        def __call__(self) -> float:
            return 100.0 if api.is_holding.is_set() and remote_has_text.is_set() else 0.0

    remote_has_text = threading.Event()

    class Watching(LineEnd):
        def find_cut(self, text: str) -> int | None:
            remote_has_text.set()
            return super().find_cut(text)

    result = remote.ask(deadline=Deadline(50.0, Clock()), rules=[Watching()])
    assert [generation.text for generation in result.generations] == ["ab"]
    assert result.finish_reason is FinishReason.DEADLINE
    assert api.client_left.wait(GUARD_SECONDS)


def test_a_deadline_without_any_text(api: FakeApi, remote: Remote) -> None:
    api.routes[PATH] = Script(holds=True)
    deadline = Deadline(50.0, lambda: 100.0 if api.is_holding.is_set() else 0.0)
    result = remote.ask(deadline=deadline)
    assert (result.generations, result.finish_reason) == ((), FinishReason.DEADLINE)
    assert api.client_left.wait(GUARD_SECONDS)
    num_asked = len(api.asked)
    assert remote.ask(deadline=deadline).finish_reason is FinishReason.DEADLINE
    assert len(api.asked) == num_asked


def test_alternatives_come_mixed_and_only_from_sampling(api: FakeApi, remote: Remote) -> None:
    events = [choice("a"), choice("x", None, 1), choice("b", "stop"), choice("y", "stop", 1)]
    api.routes[PATH] = Script(sse(*events))
    result = remote.ask(num_alternatives=2, temperature=0.5)
    assert [generation.text for generation in result.generations] == ["ab", "xy"]
    assert len(remote.ask(num_alternatives=2).generations) == 1
    assert [body.get("n") for body in api.bodies(PATH)] == [2, None]


def test_a_server_without_alternatives_is_asked_for_one(api: FakeApi, remote: Remote) -> None:
    api.routes[PATH] = lambda asked: (
        json_script({"error": "n too large"}, 400) if "n" in asked.body else Script(sse(choice("a", "stop")))
    )
    for _ in range(2):
        assert remote.text(num_alternatives=3, temperature=0.5) == "a"
    assert [body.get("n") for body in api.bodies(PATH)] == [3, None, None]


def test_the_breaker_leaves_a_broken_server_alone_then_looks_again(api: FakeApi) -> None:
    clock = [0.0]
    breaker = CircuitBreaker(2, lambda: clock[0])
    api.routes[PATH] = json_script({"error": "out of memory"}, 500)
    with connected(api.url, breaker=breaker) as remote:
        for _ in range(2):
            assert remote.ask().finish_reason is FinishReason.ERROR
        num_asked = len(api.asked)
        result = remote.ask()
        assert result.finish_reason is FinishReason.SKIPPED
        assert len(api.asked) == num_asked
        status = remote.engine.status()
        assert status["breaker"] == "open"
        assert "out of memory" in str(status["connection"])
        api.routes[PATH] = Script(sse(choice("ab", "stop")))
        clock[0] += 1.5
        wait_until_connected(remote)
        assert remote.text() == "ab"
        assert remote.engine.status()["connection"] == "connected"


def wait_until_connected(remote: Remote) -> None:
    for _ in range(10_000):
        remote.engine.connection.look(0.01)
        if remote.engine.connection.agreed is not None:
            return
    raise AssertionError(remote.engine.status())


def test_faults_of_one_request_do_not_open_the_breaker(api: FakeApi, remote: Remote) -> None:
    api.routes[PATH] = json_script({"error": "prompt too long"}, 400)
    for _ in range(5):
        assert remote.ask().finish_reason is FinishReason.ERROR
    assert remote.engine.status()["breaker"] == "closed"


def test_an_absent_server_gives_nothing_and_is_found_when_it_comes(free_port: int) -> None:
    clock = [0.0]
    with connected(f"http://127.0.0.1:{free_port}", breaker=CircuitBreaker(1, lambda: clock[0])) as remote:
        result = remote.ask()
        assert (result.generations, result.finish_reason) == ((), FinishReason.SKIPPED)
        assert "no connection" in reason(result)
        (warning,) = remote.engine.status()["warnings"]  # type: ignore[misc]
        assert "no connection" in warning
        with FakeApi({"/v1/models": MODELS, PATH: Script(sse(choice("ab", "stop")))}, free_port):
            clock[0] += 2
            wait_until_connected(remote)
            assert remote.text() == "ab"


@pytest.fixture
def free_port() -> int:
    with FakeApi() as api:
        return api.port


def test_a_prompt_of_before_the_connection_is_not_sent(api: FakeApi) -> None:
    clock = [0.0]
    with connected(api.url, breaker=CircuitBreaker(1, lambda: clock[0])) as remote:
        check_prompt_of_before(api, remote, clock)


def check_prompt_of_before(api: FakeApi, remote: Remote, clock: list[float]) -> None:
    prompt = remote.prompt("x = ˇ")
    remote.engine.connection.failed(RemoteError("gone"))
    clock[0] += 2
    wait_until_connected(remote)
    result = remote.engine.generate(prompt, SamplingParams(), [], Deadline.never(), CancellationToken())
    assert result.finish_reason is FinishReason.SKIPPED
    assert api.bodies(PATH) == []


def test_prompts_of_the_local_engine_are_a_mistake(remote: Remote) -> None:
    with pytest.raises(ModelError):
        remote.engine.generate(Prompt((1,)), SamplingParams(), [], Deadline.never(), CancellationToken())


def test_nothing_is_sent_on_suspicion(api: FakeApi, remote: Remote) -> None:
    num_asked = len(api.asked)
    prompt = remote.prompt("x = ˇ")
    assert remote.engine.prefill(prompt, Deadline.never(), CancellationToken()) == 0
    assert not remote.prompts.starts_with_prefix
    assert len(api.asked) == num_asked


def test_special_strings_in_the_text_are_left_out_or_refused(api: FakeApi, remote: Remote) -> None:
    api.routes[PATH] = Script(sse(choice("ab", "stop")))
    remote.ask("secret = '<|endoftext|>'\nx = ˇ\ny = 1\nz = '<fim_middle>'\n")
    (body,) = api.bodies(PATH)
    assert body["prompt"] == "<fim_prefix>x = <fim_suffix>\ny = 1\n<fim_middle>"
    result = remote.ask("x = '<fim_middle>ˇ'\n")
    assert result.finish_reason is FinishReason.SKIPPED
    assert "control token" in reason(result)
    assert len(api.bodies(PATH)) == 1


def test_the_key_is_sent_and_never_shown(
    api: FakeApi, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    key = "sk-very-secret"
    monkeypatch.setenv("COMPLETION_SERVER_REMOTE_API_KEY", f" {key}\n")
    monkeypatch.setenv("COMPLETION_SERVER_REMOTE_URL", api.url)
    api.routes[PATH] = json_script({"error": "no"}, 401)
    with caplog.at_level("DEBUG"), connected(api.url) as remote:
        result = remote.ask()
        shown = repr((result, remote.engine.status(), caplog.text))
    assert api.asked[-1].headers["Authorization"] == f"Bearer {key}"
    assert "refuses the key" in shown
    assert key not in shown


def test_the_key_is_not_sent_to_an_address_that_the_environment_does_not_name(
    api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMPLETION_SERVER_REMOTE_API_KEY", "sk-very-secret")
    monkeypatch.setenv("COMPLETION_SERVER_REMOTE_URL", "http://127.0.0.1:1")
    api.routes[PATH] = Script(sse(choice("ab", "stop")))
    with connected(api.url) as remote:
        remote.ask()
    assert api.asked
    assert not any("Authorization" in asked.headers for asked in api.asked)


def test_a_proxy_is_not_used_for_this_machine(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeApi() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        api.routes[PATH] = Script(sse(choice("ab", "stop")))
        with connected(api.url) as remote:
            assert remote.text() == "ab"
        assert proxy.asked == []


def test_a_proxy_is_used_for_others_and_the_clear_text_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeApi() as proxy:
        for name in ("HTTP_PROXY", "http_proxy"):
            monkeypatch.setenv(name, proxy.url)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        with connected("http://models.invalid:8080") as remote:
            assert any("models.invalid" in asked.path for asked in proxy.asked)
            warnings = remote.engine.status()["warnings"]
            assert "not encrypted" in str(warnings)
            assert remote.engine.num_missing_tokens(Prompt((1,))) > 1000


@pytest.mark.parametrize("event", [choice("\n    x", "stop"), choice("y = 1", "stop")])
def test_without_a_grammar_answers_that_stray_are_dropped(api: FakeApi, event: dict[str, Any]) -> None:
    api.routes[PATH] = Script(sse(event))
    with connected(api.url, model="plain-llama") as remote:
        result = remote.ask("if a:\n    ˇ\n")
        assert api.bodies(PATH)[0]["prompt"] == "if a:"
        if event["choices"][0]["text"].startswith("\n"):
            assert result.generations[0].text == "x"
        else:
            assert result.generations == ()
            assert "did not begin" in reason(result)


def test_what_became_of_all_calls_is_counted(api: FakeApi, remote: Remote) -> None:
    def totals() -> dict[str, int]:
        found: dict[str, int] = remote.engine.status()["totals"]  # type: ignore[assignment]
        return {name.removeprefix("num_"): number for name, number in found.items() if number}

    api.routes[PATH] = Script(sse(choice("ab"), choice("c", "stop")))
    remote.ask("x = ˇ\n")
    assert totals() == {"calls": 1, "pieces": 2}
    remote.ask("x = ˇ\n", deadline=Deadline.after_ms(0))
    assert totals() == {"calls": 2, "pieces": 2, "past_deadline": 1}
    remote.ask("x = '<fim_middle>ˇ'\n")
    assert totals() == {"calls": 3, "pieces": 2, "past_deadline": 1, "refused": 1}
