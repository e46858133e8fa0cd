"""Address, breaker, answers, families and special text, each alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from completion_server.engine.stopping import LineEnd
from completion_server.errors import ConfigError
from completion_server.prompt.fim_table import FIM_FORMATS
from completion_server.remote.address import is_in_domain, is_loopback, key_from_keyring, parse_address
from completion_server.remote.answer import Answer
from completion_server.remote.breaker import CircuitBreaker
from completion_server.remote.families import format_by_name
from completion_server.remote.special_text import SpecialText, format_spellings
from completion_server.request import FinishReason


@pytest.mark.parametrize(
    ("host", "is_in"),
    [
        ("mistral.ai", True),
        ("api.mistral.ai", True),
        ("API.Mistral.AI", True),
        ("api.mistral.ai.", True),
        ("a.b.mistral.ai", True),
        ("notmistral.ai", False),
        ("evil-mistral.ai", False),
        ("mistral.ai.example", False),
        ("mistral.aix", False),
        ("mistral.ai.evil.com", False),
        ("ai", False),
        ("mistral", False),
        ("", False),
        ("127.0.0.1", False),
        ("::1", False),
    ],
)
def test_a_domain_holds_itself_and_names_below_it(host: str, is_in: bool) -> None:
    assert is_in_domain(host, "mistral.ai") == is_in


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://localhost:1234/v1/", "http://localhost:1234"),
        (" https://api.mistral.ai/v1 ", "https://api.mistral.ai"),
        ("http://[::1]:8000/models/a", "http://[::1]:8000/models/a"),
    ],
)
def test_an_address_ends_before_the_paths_of_the_apis(url: str, base: str) -> None:
    assert parse_address(url).base == base


@pytest.mark.parametrize(
    "url",
    [
        "localhost:8080",
        "ftp://host",
        "http://",
        "http://me:secret@host",
        "http://host?key=secret",
        "http://me:secret@host:port",
        "x\x00",
    ],
)
def test_other_addresses_are_refused_without_repeating_them(url: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_address(url)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "is_exposed"),
    [
        ("http://127.0.0.1:1", False),
        ("http://127.8.9.1:1", False),
        ("http://[::1]:1", False),
        ("http://LOCALHOST:1", False),
        ("https://10.0.0.2", False),
        ("http://10.0.0.2:1", True),
        ("http://localhost.example.org", True),
        ("http://0.0.0.0:1", True),
    ],
)
def test_only_this_machine_is_reached_in_the_clear_without_a_warning(url: str, is_exposed: bool) -> None:
    assert parse_address(url).is_exposed is is_exposed


def test_names_are_not_looked_up() -> None:
    assert not is_loopback("localhost.localdomain.example")


def test_without_the_package_there_is_no_key_in_a_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("completion_server.remote.address.find_spec", lambda _name: None)
    assert key_from_keyring(parse_address("https://host")) is None


@pytest.mark.parametrize("fails", [False, True])
def test_the_key_is_looked_up_by_the_address(monkeypatch: pytest.MonkeyPatch, fails: bool) -> None:
    class Keyring:
        @staticmethod
        def get_password(service: str, name: str) -> str:
            if fails:
                raise OSError("locked")
            return f"{service} {name}"

    monkeypatch.setattr("completion_server.remote.address.find_spec", lambda _name: object())
    monkeypatch.setattr("completion_server.remote.address.import_module", lambda _name: Keyring)
    expected = None if fails else "completion-server https://host"
    assert key_from_keyring(parse_address("https://host/v1/")) == expected


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_breaker_opens_waits_twice_as_long_each_time_and_closes() -> None:
    clock = Clock()
    breaker = CircuitBreaker(2, clock)
    breaker.failed("refused")
    assert breaker.allows()
    assert not breaker.is_open
    for back_off in (1, 2, 4, 8, 16, 30, 30):
        breaker.failed("refused")
        assert breaker.is_open
        assert not breaker.allows()
        assert "refused" in breaker.describe()
        assert breaker.wait_seconds == back_off
        clock.now += back_off
        assert breaker.allows()
    breaker.succeeded()
    assert breaker.describe() == ""
    assert not breaker.is_open


@given(st.lists(st.text(max_size=4), max_size=8), st.sampled_from(["", "ab", "\n  "]))
def test_an_answer_is_its_pieces_without_the_start(pieces: list[str], start: str) -> None:
    answer = Answer(start, [], ())
    for piece in [start[:1], start[1:], *pieces]:
        answer.add(piece, None)
    generation = answer.generation(FinishReason.DEADLINE)
    whole = "".join(pieces)
    assert (generation is None) == (not start and not whole)
    assert generation is None or generation.text == whole.split("\ufffd")[0]


@given(st.text(min_size=1, max_size=6), st.text(max_size=6))
def test_an_answer_that_does_not_spell_the_start_is_dropped(start: str, text: str) -> None:
    answer = Answer(start, [], ())
    for char in text:
        answer.add(char, None)
    answer.add("", FinishReason.STOP)
    assert (answer.generation(FinishReason.LENGTH) is not None) == text.startswith(start)


def test_an_answer_ends_as_soon_as_it_strays() -> None:
    answer = Answer("abc", [], ())
    answer.add("a", None)
    assert not answer.is_over
    answer.add("x", None)
    assert answer.is_over


def test_stop_rules_see_the_text_without_the_start() -> None:
    answer = Answer("\n    ", [LineEnd()], ())
    for piece in ["\n  ", "  return", " x\n", "y"]:
        answer.add(piece, None)
    generation = answer.generation(FinishReason.LENGTH)
    assert generation is not None
    assert (generation.text, generation.stop_rule) == ("return x", "line_end")
    assert generation.finish_reason is FinishReason.STOP


def test_control_tokens_in_the_text_end_it() -> None:
    answer = Answer("", [], ("<|endoftext|>", "<file_sep>"))
    answer.add("x<file", None)
    answer.add("_sep>y<|endoftext|>", None)
    generation = answer.generation(FinishReason.LENGTH)
    assert generation is not None
    assert (generation.text, generation.stop_rule) == ("x", "stop_token")


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        (["a\ud83d", "\ude00b"], "a😀b"),
        (["a\ud83d"], "a"),
        (["é\ufffd", "x"], "é"),
    ],
)
def test_half_a_character_is_never_shown(pieces: list[str], text: str) -> None:
    answer = Answer("", [], ())
    for piece in pieces:
        answer.add(piece, None)
    generation = answer.generation(FinishReason.DEADLINE)
    assert generation is not None
    assert generation.text == text


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("qwen2.5-coder:1.5b-base", "qwen-coder"),
        ("Qwen/Qwen3-Coder-30B", "qwen-coder"),
        ("bigcode/starcoder2-3b", "starcoder2"),
        ("/models/DeepSeek-Coder-V2-Lite.Q4_K_M.gguf", "deepseek-coder"),
        ("codellama:7b-code", "codellama"),
        ("codegemma:2b", "codegemma"),
        ("JetBrains/Mellum-4b-base", "mellum"),
        ("ibm-granite/granite-3.3-8b-base", "granite-3"),
        ("llama-3.2-1b", "prefix-only"),
        ("qwen2.5-0.5b", "prefix-only"),
    ],
)
def test_the_format_by_the_name_of_the_model(model: str, name: str) -> None:
    found = format_by_name(model)
    assert found.format.name == name
    assert (found.warning is None) == (name != "prefix-only")


def test_a_named_format_wins_and_a_wrong_name_is_told() -> None:
    assert format_by_name("anything", "qwen").format.name == "qwen-coder"
    found = format_by_name("starcoder2", "qwne")
    assert found.format.name == "starcoder2"
    assert found.warning is not None
    assert "qwne" in found.warning


def all_spellings() -> Iterator[str]:
    for each in FIM_FORMATS:
        yield from format_spellings(each)
    yield from (
        "<|im_start|>",
        "<|eot_id|>",
        "<start_of_turn>",
        "[INST]",
        "<｜Assistant｜>",
        "<jupyter_code>",
        "<pad>",
    )


@pytest.mark.parametrize("token", sorted(set(all_spellings())))
def test_every_known_control_token_is_seen(token: str) -> None:
    special = SpecialText()
    assert special.is_in(f"x = '{token}'")
    assert special.is_in(f"x = '{token.lstrip('▁')}'")


@pytest.mark.parametrize(
    "text", ["a < b | c > d", "List<String> x;", "<table><s2>", "x[|i|]", "[0:3]", "#include <map>"]
)
def test_code_is_not_taken_for_control_tokens(text: str) -> None:
    assert not SpecialText().is_in(text)


lines = st.lists(
    st.sampled_from(["a = 1\n", "# <|endoftext|>\n", "b\r\n", "\n", "x <fim_prefix> y\r\n"]), max_size=6
)


@given(lines, st.sampled_from(["", "c", "<|im_end|>"]))
def test_what_is_left_of_the_prefix_is_clean_and_its_end(before: list[str], last: str) -> None:
    special, prefix = SpecialText(), "".join(before) + last
    left = special.after_last(prefix)
    assert (left is None) == bool(last.startswith("<"))
    if left is not None:
        assert prefix.endswith(left)
        assert not special.is_in(left)
        dirty = [index for index, line in enumerate(before) if special.is_in(line)]
        assert left == "".join(before[dirty[-1] + 1 if dirty else 0 :]) + last


@given(st.sampled_from(["", "c\n", "<|im_end|>\n"]), lines)
def test_what_is_left_of_the_suffix_is_clean_and_its_beginning(first: str, after: list[str]) -> None:
    special, suffix = SpecialText(), first + "".join(after)
    left = special.before_first(suffix)
    assert (left is None) == special.is_in(suffix.splitlines()[0] if suffix else "")
    if left is not None:
        assert suffix.startswith(left)
        assert not special.is_in(left)
