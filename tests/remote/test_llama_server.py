"""llama.cpp's own server with a tiny model that writes the alphabet, in every run."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from completion_server.engine.stopping import LineEnd
from completion_server.request import CancellationToken, Deadline, FinishReason
from tests.support.llama_process import LlamaProcess, started_llama
from tests.support.remote_calls import connected
from tests.support.tiny_gguf import SPECIAL, alphabet_after, write_alphabet_gguf, write_tokenizer

_FOREVER = 7000  # tokens
_GUARD_LOOKS = 2000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("llama")


@pytest.fixture(scope="module")
def tokenizer_dir(folder: Path) -> str:
    return str(write_tokenizer(folder))


@pytest.fixture(scope="module")
def llama(folder: Path) -> Iterator[LlamaProcess]:
    with started_llama(write_alphabet_gguf(folder / "alphabet.gguf"), 8192) as llama:
        yield llama


def options_of(dialect: str, tokenizer_dir: str) -> dict[str, str]:
    needs_tokenizer = dialect in ("llama-completion", "openai-tokens")
    return {"dialect": dialect, "tokenizer": tokenizer_dir * needs_tokenizer, "fim_format": "starcoder2"}


def test_the_probe_finds_infill(llama: LlamaProcess) -> None:
    with connected(llama.url) as remote:
        status = remote.engine.status()
        assert (status["dialect"], status["server"]) == ("llama-infill", "llama.cpp")
        assert status["max_context"] == 8192
        assert status["warnings"] == []


@pytest.mark.parametrize("dialect", ["llama-infill", "llama-completion"])
def test_the_grammar_makes_the_answer_spell_what_was_cut(
    llama: LlamaProcess, tokenizer_dir: str, dialect: str
) -> None:
    """Without it the model would begin with the letter that follows the sentinel."""
    with connected(llama.url, **options_of(dialect, tokenizer_dir)) as remote:
        assert remote.text("def complˇ(x):\n    pass\n") == alphabet_after("l", 16)
        assert remote.text("if x:\n    ˇ\n") == alphabet_after(" ", 16)
        assert remote.text('x = "\\\\ˇ"\n') == alphabet_after("\\", 16)
        assert remote.text("é = 'naïveˇ'\n") == alphabet_after("e", 16)
        assert remote.text("ˇ") == alphabet_after(" ", 16)


@pytest.mark.parametrize("dialect", ["openai-text", "openai-tokens"])
def test_the_openai_api_of_the_same_server(llama: LlamaProcess, tokenizer_dir: str, dialect: str) -> None:
    with connected(llama.url, **options_of(dialect, tokenizer_dir)) as remote:
        assert remote.text("x = ˇ\n") == alphabet_after(" ", 16)
        assert remote.text("x = ˇ\n", num_alternatives=3, temperature=0.1) == alphabet_after(" ", 16)


def test_a_stop_token_that_the_server_does_not_know_ends_the_answer(folder: Path, tokenizer_dir: str) -> None:
    """llama.cpp goes on after it, and shows no text for it: only its id tells that the middle is over."""
    ending = write_alphabet_gguf(folder / "ending.gguf", ends_after="g")
    options = options_of("llama-completion", tokenizer_dir)
    with started_llama(ending, 8192) as llama, connected(llama.url, **options) as remote:
        result = remote.ask("x = ˇ\ny = 2\n", max_new_tokens=_FOREVER)
        assert (result.generations[0].text, result.finish_reason) == ("abcdefg", FinishReason.STOP)
        wait_until_idle(llama)


def test_special_strings_of_the_user_stay_text_in_infill(llama: LlamaProcess) -> None:
    """Counted by the server itself: as text they are many tokens, as control tokens they would be one each."""
    text = "".join(SPECIAL)
    body = {"input_suffix": "", "prompt": "", "n_predict": 1, "cache_prompt": False}
    plain = llama.post("/infill", {**body, "input_prefix": ""})["tokens_evaluated"]
    with_text = llama.post("/infill", {**body, "input_prefix": text})["tokens_evaluated"]
    assert with_text - plain == len(text)


def test_special_strings_of_the_user_stay_text_in_token_prompts(llama: LlamaProcess, tokenizer_dir: str) -> None:
    with connected(llama.url, **options_of("llama-completion", tokenizer_dir)) as remote:
        token_ids = remote.prompt(f"x = '{''.join(SPECIAL)}'\ny = ˇ\n").token_ids
        spoken = llama.post("/detokenize", {"tokens": list(token_ids)})["content"]
        assert spoken.count("<fim_middle>") == 2
        reparsed = llama.post("/tokenize", {"content": spoken, "parse_special": True})["tokens"]
        assert len(reparsed) < len(token_ids)


def test_the_servers_tokens_are_ours(llama: LlamaProcess, tokenizer_dir: str) -> None:
    with connected(llama.url, **options_of("llama-completion", tokenizer_dir)) as remote:
        token_ids = remote.prompt("def f(a):\n    return 'é  x'\nˇ").token_ids
        text = "def f(a):\n    return 'é  x'"
        theirs = llama.post("/tokenize", {"content": text, "parse_special": False, "add_special": False})
        assert list(token_ids[1 : 1 + len(theirs["tokens"])]) == theirs["tokens"]


def test_a_stop_rule_frees_the_server(llama: LlamaProcess) -> None:
    class Soon(LineEnd):
        def find_cut(self, text: str) -> int | None:
            return 5 if len(text) >= 5 else None

    with connected(llama.url) as remote:
        assert remote.text("x = ˇ", rules=[Soon()], max_new_tokens=_FOREVER) == "abcde"
        wait_until_idle(llama)


@pytest.mark.parametrize("dialect", ["llama-infill", "llama-completion", "openai-text"])
def test_a_cancel_stops_the_server(llama: LlamaProcess, tokenizer_dir: str, dialect: str) -> None:
    token, has_text = CancellationToken(), threading.Event()

    class Watching(LineEnd):
        def find_cut(self, text: str) -> int | None:
            has_text.set()
            return None

    busy: list[bool] = []

    def cancel() -> None:
        assert has_text.wait(30)
        busy.append(llama.is_busy())
        token.cancel()

    thread = threading.Thread(target=cancel)
    thread.start()
    with connected(llama.url, **options_of(dialect, tokenizer_dir)) as remote:
        before = generated_tokens(llama)
        result = remote.ask("x = ˇ", rules=[Watching()], cancellation=token, max_new_tokens=_FOREVER)
        thread.join()
        assert result.finish_reason is FinishReason.CANCELLED
        assert busy == [True]
        wait_until_idle(llama)
        assert generated_tokens(llama) - before < _FOREVER


def test_the_deadline_gives_what_there_is_and_stops_the_server(llama: LlamaProcess) -> None:
    with connected(llama.url) as remote:
        result = remote.ask("x = ˇ", deadline=Deadline.after_ms(150), max_new_tokens=_FOREVER)
        assert result.finish_reason is FinishReason.DEADLINE
        (generation,) = result.generations
        assert generation.text == alphabet_after(" ", len(generation.text))
        assert 0 < len(generation.text) < _FOREVER
        wait_until_idle(llama)


def test_a_prompt_that_is_too_long_is_one_request_s_fault(llama: LlamaProcess, tokenizer_dir: str) -> None:
    with connected(llama.url, **options_of("llama-completion", tokenizer_dir)) as remote:
        prompt = remote.prompt("x = ˇ")
        object.__setattr__(prompt, "token_ids", prompt.token_ids * 4000)
        remote.prompt = lambda *_: prompt  # type: ignore[method-assign]
        result = remote.ask()
        assert result.finish_reason is FinishReason.ERROR
        assert "context" in result.stats.reason  # type: ignore[attr-defined]
        assert remote.engine.status()["breaker"] == "closed"


def test_a_model_without_sentinels_is_asked_for_the_prefix(folder: Path, tokenizer_dir: str) -> None:
    with started_llama(write_alphabet_gguf(folder / "plain.gguf", has_fim=False)) as llama:
        with connected(llama.url) as remote:
            status = remote.engine.status()
            assert status["dialect"] == "llama-completion"
            assert "not supported" in str(status["dialect_notes"])
            assert "remote.fimFormat" in str(status["warnings"])
            assert remote.text("x = aˇ\n") == alphabet_after("a", 16)
        with connected(llama.url, tokenizer=tokenizer_dir) as remote:
            assert remote.engine.status()["dialect"] == "llama-completion"
            assert remote.text("x = complˇ\n") == alphabet_after("l", 16)


def generated_tokens(llama: LlamaProcess) -> float:
    lines = llama.get("/metrics").text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("llamacpp:tokens_predicted_total"))


def wait_until_idle(llama: LlamaProcess) -> None:
    for _ in range(_GUARD_LOOKS):
        if not llama.is_busy():
            return
    raise AssertionError("the server still works")
