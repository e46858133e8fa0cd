"""Files and lines that look like secrets: kept out of prompts and of training corpora altogether."""

from __future__ import annotations

import math
import re
from collections import Counter

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
_ASSIGNED = re.compile(
    r"""(?ix)(?:password|passwd|secret|api[_-]?key|access[_-]?key|auth[_-]?token|private[_-]?key)["']?
    \s*[:=]\s*["']([A-Za-z0-9+/_=.-]{20,})["']"""
)
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


def _entropy_bits(text: str) -> float:
    """Shannon entropy of the characters, bits per character."""
    counts = Counter(text).values()
    return -sum(count / len(text) * math.log2(count / len(text)) for count in counts)
