"""Files and lines that look like secrets: kept out of prompts and of training corpora altogether.

Kinds of values: private keys in PEM, also a part of one; keys and tokens of AWS, GitHub, GitLab, Slack, OpenAI and
Anthropic, Stripe, Google, npm and PyPI; JSON web tokens; passwords in URLs; any random value in quotes that is
assigned to a telling name (password, secret, API key, access key, token, private key).
"""

from __future__ import annotations

import math
import re
from collections import Counter
from functools import lru_cache

_SECRET_NAMES = re.compile(
    r"(?:\.env(?:\..+)?|\.netrc|\.npmrc|\.pypirc|\.htpasswd|id_(?:rsa|dsa|ecdsa|ed25519)(?:\.pub)?"
    r"|credentials(?:\.json|\.ya?ml)?|secrets?\.(?:json|ya?ml|toml|ini)|.+\.(?:pem|key|p12|pfx|jks|keystore|kdbx|crt))",
    re.IGNORECASE,
)
_EXAMPLE_SUFFIXES = (".example", ".sample", ".template", ".dist")
_KNOWN_SECRETS = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----"
    r"|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"
    r"|\bgh[pousr]_[A-Za-z0-9]{36,}\b|\bgithub_pat_[A-Za-z0-9_]{40,}"
    r"|\bglpat-[A-Za-z0-9_-]{20,}"
    r"|\bxox[abprs]-[A-Za-z0-9-]{10,}"
    r"|\bsk-(?:ant-|proj-)?[A-Za-z0-9_-]{32,}"
    r"|\bsk_live_[A-Za-z0-9]{20,}"
    r"|\bAIza[0-9A-Za-z_-]{35}\b"
    r"|\bnpm_[A-Za-z0-9]{36}\b|\bpypi-[A-Za-z0-9_-]{60,}"
    r"|\beyJ[A-Za-z0-9_-]{20,}\.eyJ[A-Za-z0-9_-]{20,}\.[A-Za-z0-9_-]{20,}"
)
_TELLING_ASSIGNMENT = r"""(?ix)
    (?:password|passwd|secret|api[_-]?key|access[_-]?key|auth[_-]?token|private[_-]?key)["']?
    \s*[:=]\s*["']([A-Za-z0-9+/_=.-]{20,})"""
_ASSIGNED = re.compile(_TELLING_ASSIGNMENT + r"""["']""")
_ASSIGNED_HERE = re.compile(_TELLING_ASSIGNMENT + r"""(?:["']|\s*\Z)""")
"""On one line, the closing quote perhaps not typed yet."""
_URL_PASSWORD = re.compile(
    r"\b[a-z][a-z0-9+.-]{1,20}://[^\s/:@\"'<>{}$]{0,64}:([^\s/:@\"'<>{}$]{6,128})@", re.IGNORECASE
)
_KEY_BLOCK = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----(.*?)(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL
)
_KEY_BLOCK_END = re.compile(r"\A(?:.*?)(?=-----END [A-Z ]*PRIVATE KEY-----)", re.DOTALL)
_KEY_LINE = re.compile(r"[ \t]*([A-Za-z0-9+/]{64,76}={0,2})[ \t]*\r?\n?\Z")
"""A line of a PEM body alone: a window may begin and end inside of it."""
_MIN_KEY_LINE_BITS = 4.5
_NOT_LINE_END = re.compile(r"[^\r\n]+")
_PLACEHOLDER = "x"
_MAX_PLACEHOLDER_CHARS = 16
_MIN_ENTROPY_BITS = 3.8
"""Per character: random base64 has over 4.5 at 20 characters, words and placeholders under 3.5."""


def is_secret_file(name: str) -> bool:
    """Whether a file called ``name`` usually holds secrets (".env", "server.key"); ".env.example" does not."""
    return not name.endswith(_EXAMPLE_SUFFIXES) and _SECRET_NAMES.fullmatch(name) is not None


def has_secret(text: str) -> bool:
    """Whether ``text`` holds something shaped like a credential: a known format, or a random value in quotes that
    is assigned to a telling name."""
    if _KNOWN_SECRETS.search(text):
        return True
    return any(_entropy_bits(found[1]) >= _MIN_ENTROPY_BITS for found in _ASSIGNED.finditer(text))


def redact(text: str) -> str:
    """``text`` with a placeholder in place of every value that looks like a secret. Its lines stay lines.

    The placeholder's length follows the value's up to 16 characters, so that a prompt does not change with every
    further character of a secret.
    """
    spans = secret_spans(text)
    if not spans:
        return text
    parts, done = [], 0
    for start, end in spans:
        parts += [text[done:start], _NOT_LINE_END.sub(_placeholder, text[start:end])]
        done = end
    return "".join([*parts, text[done:]])


def secret_spans(text: str) -> list[tuple[int, int]]:
    """Where values that look like secrets stand in ``text``: (start, end) in order, none overlapping."""
    found: list[tuple[int, int]] = []
    offset = 0
    for line in text.splitlines(keepends=True):
        found += [(offset + start, offset + end) for start, end in _line_spans(line)]
        offset += len(line)
    if "PRIVATE KEY-----" in text:
        found += [match.span(1) for match in _KEY_BLOCK.finditer(text)]
        tail = _KEY_BLOCK_END.match(text)
        if tail is not None and "-----BEGIN" not in tail[0]:
            found.append(tail.span())
    merged: list[tuple[int, int]] = []
    for start, end in sorted(span for span in found if span[0] < span[1]):
        if merged and start < merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, end))
    return merged


@lru_cache(maxsize=8192)
def _line_spans(line: str) -> tuple[tuple[int, int], ...]:
    """The spans in one line. Remembered: from key to key all lines of a prompt but one stay the same."""
    found = [match.span() for match in _KNOWN_SECRETS.finditer(line) if not match[0].startswith("-----")]
    found += [match.span(1) for match in _ASSIGNED_HERE.finditer(line) if _is_random(match[1], _MIN_ENTROPY_BITS)]
    if "://" in line:
        found += [match.span(1) for match in _URL_PASSWORD.finditer(line)]
    if (match := _KEY_LINE.match(line)) and _is_random(match[1], _MIN_KEY_LINE_BITS):
        found.append(match.span(1))
    return tuple(found)


def _placeholder(match: re.Match[str]) -> str:
    return _PLACEHOLDER * min(len(match[0]), _MAX_PLACEHOLDER_CHARS)


def _is_random(text: str, min_bits: float) -> bool:
    return _entropy_bits(text) >= min_bits


def _entropy_bits(text: str) -> float:
    """Shannon entropy of the characters, bits per character."""
    counts = Counter(text).values()
    return -sum(count / len(text) * math.log2(count / len(text)) for count in counts)
