"""Whether a value that stands under a name is a secret: what the name says, and what the value looks like."""

from __future__ import annotations

import math
import re
from collections import Counter
from enum import Enum
from functools import lru_cache

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_PASSWORDS = frozenset({"password", "passwd", "pwd", "passphrase", "passcode", "pass", "pw", "pswd", "passwort"})
_KEYS = frozenset({
    "accesskey", "accesstoken", "apikey", "appkey", "authkey", "authtoken", "bearer", "clientsecret",
    "credential", "credentials", "jwt", "keyfile64", "pat", "privatekey", "psk", "sas", "secret",
    "secretkey", "signingkey", "token",
})  # fmt: skip
_KEY_KINDS = frozenset({
    "access", "account", "admin", "aes", "api", "app", "application", "auth", "authorization", "cipher",
    "client", "consumer", "cookie", "crypto", "decryption", "deploy", "encrypt", "encryption", "hmac",
    "ingest", "integration", "jwt", "licence", "license", "master", "primary", "private", "root", "salt",
    "secondary", "secret", "security", "service", "session", "shared", "signature", "signing", "storage",
    "subscription", "webhook", "write",
})  # fmt: skip
_AFTER_KEY = frozenset({
    "0", "1", "2", "3", "64", "admin", "b", "b64", "base", "base64", "clear", "current", "data", "database",
    "db", "default", "dev", "env", "here", "hex", "literal", "live", "mac", "new", "old", "plain",
    "plaintext", "previous", "primary", "prod", "production", "raw", "root", "secondary", "staging", "str",
    "string", "test", "text", "user", "val", "value", "var",
})  # fmt: skip
_PLACEHOLDER = re.compile(
    r"(?:your|my|the|some|an?|insert|enter|put|add|replace|change|fill|use)[-_ .]?(?:own|with|this|me|in|the)?.*"
    r"(?:here|key|token|secret|password|passwd|value|me|it|this|string)"
    r"|x{3,}.*|\*{2,}.*|\.{3,}|<.*>?|\$.*|%.*|#\{.*|\{.*\}?|\[.*|@.*|!vault.*|!secret.*|ENC\[.*|arn:.*|env:.*"
    r"|vault:.*|secret:.*|op://.*|file:.*|ref\+.*|(?:changeme|change[-_]?it|redacted|removed|hidden|masked|placeholder"
    r"|todo|fixme|tbd|none|null|nil|true|false|undefined|yes|no|empty|unset|default|optional|required|string|text|str"
    r"|example.*|sample.*|dummy.*|fake.*|foo.*|bar|baz|test|testing|password|passwd|pass|secret|token|key|user"
    r"|username|login|admin|root|auth|basic|bearer|n/?a|int|bool|bytes|varchar.*|char.*|hash(?:ed)?|hmac|jwt|self)"
    r"|0+|1234|abc|(.)\1*",
    re.IGNORECASE | re.DOTALL,
)
_MAX_PLACEHOLDER_CHARS = 80
_CODE = re.compile(
    r"[\w.$\[\]:>-]*[([{].*|[A-Za-z_$][\w$]*(?:(?:\.|::|->)[A-Za-z_$][\w$]*)+\W*|.*\$\{.*|.*%[sd].*"
)
_LOCATION = re.compile(
    r"[a-z][a-z+.-]{1,20}://\S*|(?:\.{0,2}|~)/[\w./${}:%~-]*|[\w./-]+\.(?:py|[cm]?[jt]sx?|json|ya?ml|pem|txt|md)"
)
_HEX = re.compile(r"(?:0x)?[0-9a-fA-F]+")
_BASE64 = re.compile(r"[A-Za-z0-9+/_=.:~%-]+")
_WORDY = re.compile(r"[A-Za-z]?[a-z]*(?:[-_ ./:,'A-Z]+[A-Za-z]?[a-z]*)*[.:!?]?")
"""Words of letters: a label, a sentence, a name in any case style."""
_MIN_HEX_BITS, _MIN_BASE64_BITS = 2.7, 3.2


class Telling(Enum):
    """How much a name says of its value."""

    NOTHING = 0
    KEY = 1
    """A key: its value looks random, as several strings in code have such names."""
    TOKEN = 2
    """A key or token that is hardly anything else."""
    PASSWORD = 3
    """A password, which people make up."""


@lru_cache(maxsize=4096)
def telling_of(name: str) -> Telling:
    """What ``name`` says, by its words in any case style and with any separators (``jwtKey``, ``DB-PASS``)."""
    words = [word.lower() for word in _WORDS.findall(name)]
    while len(words) > 1 and words[-1] in _AFTER_KEY:
        words.pop()
    if not words:
        return Telling.NOTHING
    last, before = words[-1], words[-2] if len(words) > 1 else ""
    if last in _PASSWORDS or last.endswith(("password", "passwd", "passphrase")):
        return Telling.PASSWORD
    if last in _KEYS or last.endswith(("secret", "apikey", "authtoken")) or (last, before) == ("id", "secret"):
        return Telling.TOKEN
    if last in {"key", "keys"}:
        return Telling.TOKEN if before in _KEY_KINDS else Telling.KEY
    if (before, last) in {
        ("connection", "string"),
        ("conn", "str"),
        ("pass", "word"),
        ("pass", "phrase"),
        ("pass", "wd"),
    }:
        return Telling.PASSWORD if before == "pass" else Telling.NOTHING
    return (
        Telling.KEY if last in {"auth", "hmac", "signature", "authorization", "nonce", "salt"} else Telling.NOTHING
    )


def is_placeholder(value: str) -> bool:
    """Whether ``value`` stands for a secret without being one (``changeme``, ``<token>``, ``${VAR}``)."""
    return len(value) <= _MAX_PLACEHOLDER_CHARS and _PLACEHOLDER.fullmatch(value.strip()) is not None


def is_secret_value(value: str, telling: Telling, *, is_quoted: bool) -> bool:
    """Whether ``value`` under a name that says ``telling`` is a secret. ``is_quoted``: a literal, not code."""
    if telling is Telling.NOTHING or is_placeholder(value) or _is_location(value):
        return False
    if not is_quoted and (_CODE.fullmatch(value) or value.lstrip("-").replace(".", "", 1).isdigit()):
        return False
    if telling is Telling.PASSWORD:
        return _is_password(value, is_quoted=is_quoted)
    if telling is Telling.TOKEN and is_quoted and _is_made_up(value):
        return True
    return is_random(value, min_chars=32 if telling is Telling.KEY else 12)


def _is_location(value: str) -> bool:
    """An address or a path. A password inside of an address is found by another rule."""
    if len(value) > 400 or _LOCATION.fullmatch(value) is None:
        return False
    return "://" in value or not is_random(value, 36)


def _is_password(value: str, *, is_quoted: bool) -> bool:
    if len(value) < 4 or " " in value.strip():
        return False
    if _mixes(value) >= 2 and not _WORDY.fullmatch(value):
        return True
    # One lower-case word, or several with separators: a weak password, if it is written as a literal.
    return (
        is_quoted
        and len(value) >= 8
        and value.islower()
        and value.replace("-", "").isalpha()
        and "-" in value + "-"
    )


def _is_made_up(value: str) -> bool:
    """Whether a literal under the name of a token mixes letters and digits as no word does."""
    has_both = any(map(str.isdigit, value)) and any(map(str.isalpha, value))
    return len(value) >= 8 and has_both and " " not in value and entropy_bits(value) >= 2.7


def _mixes(value: str) -> int:
    """How many of these ``value`` has: lower case, upper case, digits, others."""
    return (
        any(map(str.islower, value))
        + any(map(str.isupper, value))
        + any(map(str.isdigit, value))
        + any(not char.isalnum() for char in value)
    )


def is_random(value: str, min_chars: int) -> bool:
    """Whether ``value`` looks drawn from an alphabet (hexadecimal, base64, letters and digits) and not written."""
    if len(value) < min_chars or not _BASE64.fullmatch(value) or _is_written(value):
        return False
    if _HEX.fullmatch(value):
        return len(value) >= 16 and entropy_bits(value) >= _MIN_HEX_BITS and not value.isdigit()
    has_digits = any(map(str.isdigit, value))
    has_cases = any(map(str.islower, value)) and any(map(str.isupper, value))
    return (has_digits or (has_cases and len(value) >= 20)) and entropy_bits(value) >= _MIN_BASE64_BITS


def _is_written(value: str) -> bool:
    """Whether ``value`` consists of words in some case style; random letters change case at every second one."""
    words = _WORDS.findall(value)
    return _WORDY.fullmatch(value) is not None and sum(map(len, words)) >= 2.6 * len(words)


def entropy_bits(text: str) -> float:
    """Shannon entropy of the characters, in bits per character."""
    counts = Counter(text).values()
    return -sum(count / len(text) * math.log2(count / len(text)) for count in counts)
