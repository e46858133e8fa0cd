"""Secrets in text: every kind is blotted out whole, whatever stands around it, and nothing else changes."""

from __future__ import annotations

import base64
import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from completion_server.document import Document, Position
from completion_server.prompt.budget import prefix_window, suffix_window
from completion_server.secrets_filter import redact, secret_spans
from tests.support.byte_tokenizer import ByteTokenizer

_RANDOM = random.Random(7)


def noise(num_bytes: int) -> str:
    return base64.b64encode(_RANDOM.randbytes(num_bytes)).decode().replace("/", "a").replace("+", "b").rstrip("=")


KEY_BODY = "\n".join(noise(48) for _ in range(6))
SECRETS = [
    "AKIA" + "ABCDEFGHIJKLMNOP",
    "ghp_" + "a1B2" * 9,
    "github_pat_" + "a1B2_" * 9,
    "glpat-" + "a1B2c3D4e5F6g7H8i9J0",
    "xoxb-" + "123456789012-abcdef",
    "sk-ant-" + "a1B2c3D4" * 5,
    "sk_live_" + "a1B2c3D4e5F6g7H8i9J0",
    "AIza" + "a1B2c3D" * 5,
    "npm_" + "a1B2" * 9,
    "pypi-" + "a1B2c3" * 11,
    f"eyJ{'a1B2' * 6}.eyJ{'a1B2' * 6}.{'a1B2' * 6}",
]


@given(
    secret=st.sampled_from(SECRETS),
    before=st.sampled_from(["", "x = '", "é\n# "]),
    after=st.sampled_from(["", "'\n", " y"]),
)
def test_known_kinds(secret: str, before: str, after: str) -> None:
    text = redact(before + secret + after)
    assert secret not in text
    assert text.startswith(before)
    assert text.endswith(after)


@pytest.mark.parametrize("template", ["password = '{}'", '"api_key": "{}",', "AUTH_TOKEN: '{}", "secret='{}'\r\n"])
def test_random_values_assigned_to_telling_names(template: str) -> None:
    value = noise(30)
    assert value not in redact(template.format(value))


def test_passwords_in_urls() -> None:
    assert redact("db = 'postgres://me:hunter22@host/x'") == "db = 'postgres://me:xxxxxxxx@host/x'"
    assert redact("see https://host:8080/a@b") == "see https://host:8080/a@b"


def test_a_private_key_whole_and_in_part() -> None:
    text = f"a = 1\n-----BEGIN RSA PRIVATE KEY-----\n{KEY_BODY}\n-----END RSA PRIVATE KEY-----\nb = 2\n"
    lines = KEY_BODY.splitlines()
    for start, end in [(0, len(text)), (80, len(text)), (0, 300), (text.index(lines[2]), text.index(lines[4]))]:
        shown = redact(text[start:end])
        assert not any(line in shown for line in lines)
    assert redact(text).endswith("-----END RSA PRIVATE KEY-----\nb = 2\n")
    assert redact(text).count("\n") == text.count("\n")


@given(st.text(alphabet="abc =\"'\n():password/@.x_", max_size=200))
def test_ordinary_text_stays(text: str) -> None:
    assert redact(text) == text


@given(st.lists(st.sampled_from([*SECRETS, "x = 1\n", "'", " ", "://a:bcdefgh@"]), max_size=6))
def test_spans_are_ordered_and_apart_and_redacting_twice_changes_nothing(parts: list[str]) -> None:
    text = " ".join(parts)
    spans = secret_spans(text)
    assert all(start < end for start, end in spans)
    assert all(first[1] <= second[0] for first, second in itertools.pairwise(spans))
    assert redact(redact(text)) == redact(text)


@pytest.mark.parametrize("secret", SECRETS)
def test_windows_hold_none(secret: str) -> None:
    encode = ByteTokenizer().encode
    lines = [f"x = '{secret}'\n", "y = \n", f"z = '{secret}'\n"]
    document = Document("", "python", 1, tuple(lines))
    prefix = prefix_window(document, Position(1, 4), 1000, encode)
    suffix = suffix_window(document, Position(1, 4), 1000, encode)
    short = prefix_window(
        Document("", "python", 1, (f"'{secret}' " * 50,)), Position(0, 50 * len(secret)), 90, encode
    )
    for window in (prefix, suffix, short):
        assert secret not in window.text
        assert encode(window.text) == window.token_ids


def test_a_placeholder_does_not_grow_with_its_secret() -> None:
    value = noise(45)
    shown = {redact(f"password = '{value[:length]}") for length in range(30, 60)}
    assert shown == {"password = '" + "x" * 16}
