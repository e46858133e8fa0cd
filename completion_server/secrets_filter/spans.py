"""Where values that look like secrets stand in a text, and the text without them.

Each line is searched alone, so typing in one line leaves what is known of the others. Blocks of several lines
(keys, YAML text under a telling name, the data of a Kubernetes Secret) come on top. Every pattern takes time in
proportion to its text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

import regex

from completion_server.secrets_filter.blocks import block_spans
from completion_server.secrets_filter.formats import SECRET_URL, TOKEN
from completion_server.secrets_filter.values import Telling, is_placeholder, is_random, is_secret_value, telling_of

Span = tuple[int, int]

_MAX_LINE_CHARS, _OVERLAP_CHARS = 4_000, 400
_MAX_REMEMBERED_CHARS = 240
_HINT = regex.compile(
    r"(?i)pass|pwd|secret|token|key|auth|cred|bearer|psk|\bpat\b|\bpw\b|jwt|sig|salt|nonce|hmac|\bsas\b"
)
_LONG_WORD = re.compile(r"[A-Za-z0-9_.:~-]{18}")
"""The shortest token has more characters than that."""
_NAME = r"(?<name>[A-Za-z_][\w.-]{0,80}+)"
_STRING = r"""(?<open>["'`])(?<value>(?:[^"'`\\\r\n]|\\.|(?!\g<open>)["'`]){0,2000}+)(?<close>["'`]|$)"""
_QUOTED = regex.compile(
    _NAME
    + r"""["'`]?\]?(?:\s{0,4}:\s{0,4}(?:Optional\[)?(?:str|string|String|&str|&'static str|char\s?\*?)\]?)?"""
    r"""\s{0,8}(?<separator>:=|=>|==?|!=|:|,|\()\s{0,8}(?:[rubfLf@$]{0,2})""" + _STRING
)
_ASSIGNED = regex.compile(
    r"""(?<![\w.-])(?:"""
    + _NAME
    + r"""["']?\s{0,8}(?<separator>[:=])\s{0,8}|(?<name>(?i:password|passwd|account))[ \t]{1,8})"""
    r"""(?<value>[^\s"'`,;]{1,2000}+)(?<rest>[,;]?\s*(?:[#;].*)?$)?"""
)
_OPTION = regex.compile(r"--(?<name>[A-Za-z][\w-]{0,60}+)[= ](?<value>[^\s\"'`]{3,500}+)")
_XML = regex.compile(r"<(?<name>[A-Za-z_][\w.-]{0,80}+)(?: [^<>]{0,200})?>(?<value>[^<>\s]{3,500}+)</")
_XML_PAIR = regex.compile(
    r"""(?:key|name)\s?=\s?["'](?<name>[\w.:-]{1,80}+)["']\s{1,4}value\s?=\s?["'](?<value>[^"'<>]{3,500}+)["']"""
)
_HEADER = regex.compile(
    r"""(?i)(?:authorization|x-[a-z-]{0,40}(?:token|key|secret))["']?\]?\s{0,4}[:=,]\s{0,4}["'`]?"""
    r"""(?:(?:bearer|basic|token|apikey|digest)\s{1,4})?(?<value>[A-Za-z0-9+/=_.~:-]{8,2000}+)"""
    r"""|\b(?:bearer|basic)\s{1,4}(?<value>[A-Za-z0-9+/_.~-]{16,2000}+={0,2})"""
)
_CONNECTION = regex.compile(
    r"""(?i)\b(?:password|pwd|accountkey|sharedaccesskey|sharedaccesssignature|sharedsecret)="""
    r"""(?<value>[^;"'`\s]{3,500}+)"""
)
_QUERY = regex.compile(
    r"""(?i)[?&](?<name>[a-z_-]{0,30}(?:token|key|sig|signature|secret|password|pwd))=(?<value>[^&\s"'`<>#]{6,500}+)"""
)
_CURL_USER = regex.compile(r"""(?:\s-u|\s--user)[ =]["']?[^\s:"']{1,64}:(?<value>[^\s"']{3,200}+)""")
_PGPASS = regex.compile(r"[^\s:]{1,100}:(?:\d{2,5}|\*):[^\s:]{1,64}:[^\s:]{1,64}:(?<value>[^\s:]{4,200})\s*")
_HTPASSWD = regex.compile(r"[\w.@-]{1,64}:(?<value>\$(?:apr1|2[aby]|5|6|y)\$[./A-Za-z0-9$]{10,200})\s*")
_NETRC = regex.compile(r"\s*(?:machine|default|login|password|account)\s+(?!is\b|for\b|to\b|and\b|must\b)[^\s=:(]")
_CONFIG_HEADS = frozenset({"", "-", "export", "set", "env", "setx", "declare -x", "arg", '"', "'", "local"})
_CONFIG_ENDS = ("-e", "--env", "export", "&&", "machine", "login", "//", "/:")
"""What stands before a name on a line of an env file, YAML, a shell script or a Dockerfile."""
_TYPE_NAMES = regex.compile(
    r"(?i)(?:str(?:ing)?|secretstr|bytes|char|optional|none|null|any|int|bool|text|list|dict|map|option|vec|cow)|[&?].*"
)
_BEGINS_REFERENCE = frozenset("$%<{#[*@")
_NOT_LINE_END = regex.compile(r"[^\r\n]+")
_PLACEHOLDER = "x"
_MAX_PLACEHOLDER_CHARS = 16


def has_secret(text: str) -> bool:
    """Whether ``text`` holds something shaped like a credential, or the beginning of a private key."""
    return "PRIVATE KEY-----" in text or bool(secret_spans(text))


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


def secret_spans(text: str) -> list[Span]:
    """Where values that look like secrets stand in ``text``: (start, end) in order, none overlapping."""
    found: list[Span] = []
    offset = 0
    lines = text.splitlines(keepends=True)
    for number, line in enumerate(lines):
        is_last = number == len(lines) - 1 and not line.endswith(("\n", "\r"))
        found += [(offset + start, offset + end) for start, end in _line_spans(line, is_open=is_last)]
        offset += len(line)
    found += block_spans(text, lines)
    merged: list[Span] = []
    for start, end in sorted(span for span in found if span[0] < span[1]):
        if merged and start < merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, end))
    return merged


def _line_spans(line: str, *, is_open: bool) -> tuple[Span, ...]:
    """The spans in one line. ``is_open``: the text ends in it, where a value may be about to go on.

    Short lines are remembered: from key to key all lines of a prompt but one stay the same.
    """
    if len(line) <= _MAX_REMEMBERED_CHARS and not is_open:
        return _remembered_spans(line)
    if len(line) <= _MAX_LINE_CHARS:
        return tuple(_search(line, is_open=is_open))
    found: list[Span] = []
    for start in range(0, len(line), _MAX_LINE_CHARS - _OVERLAP_CHARS):
        part = line[start : start + _MAX_LINE_CHARS]
        is_end = is_open and start + _MAX_LINE_CHARS >= len(line)
        found += [(start + begin, start + end) for begin, end in _search(part, is_open=is_end)]
    return tuple(found)


@lru_cache(maxsize=8192)
def _remembered_spans(line: str) -> tuple[Span, ...]:
    return tuple(_search(line, is_open=False))


def _search(line: str, *, is_open: bool) -> Iterator[Span]:
    if _LONG_WORD.search(line):
        yield from (match.span() for match in TOKEN.finditer(line))
    if "://" in line or ".com/" in line:
        yield from _values(SECRET_URL, line)
    if ":" in line:
        for pattern in (_PGPASS, _HTPASSWD):
            if match := pattern.fullmatch(line):
                yield match.span("value")
        if "curl" in line:
            yield from _values(_CURL_USER, line)
    if _HINT.search(line):
        yield from _named(line, is_open=is_open)


def _values(pattern: regex.Pattern[str], line: str) -> Iterator[Span]:
    return (match.span("value") for match in pattern.finditer(line) if not is_placeholder(match["value"]))


def _named(line: str, *, is_open: bool) -> Iterator[Span]:
    """Values under a name, in all the ways that formats write them."""
    found = [match for match in _literals(line) if _is_secret_literal(match, line, is_open=is_open)]
    found += [match for match in _ASSIGNED.finditer(line) if _is_assigned_secret(match, line, is_open=is_open)]
    found += [match for match in _QUERY.finditer(line) if is_random(match["value"], 12)]
    for pattern in (_OPTION, _XML, _XML_PAIR, _QUERY):
        is_literal = pattern is not _OPTION
        found += [
            match
            for match in pattern.finditer(line)
            if is_secret_value(match["value"], telling_of(match["name"]), is_quoted=is_literal)
        ]
    found += [match for match in _HEADER.finditer(line) if _looks_made(match["value"])]
    if ";" in line:
        found += [
            match
            for match in _CONNECTION.finditer(line)
            if is_secret_value(match["value"], Telling.PASSWORD, is_quoted=False)
        ]
    return (match.span("value") for match in found)


def _is_secret_literal(match: regex.Match[str], line: str, *, is_open: bool) -> bool:
    telling, value = _telling(match, line), match["value"]
    is_being_typed = is_open and not match["close"] and telling in (Telling.PASSWORD, Telling.TOKEN)
    if is_being_typed and value and value[0] not in _BEGINS_REFERENCE:
        return True
    return is_secret_value(value, telling, is_quoted=True)


def _literals(line: str) -> Iterator[regex.Match[str]]:
    """Literals with the names before them. One under a name that says nothing may itself be a name."""
    at = 0
    while match := _QUOTED.search(line, at):
        yield match
        at = match.end("name") if telling_of(match["name"]) is Telling.NOTHING else match.end()


def _telling(match: regex.Match[str], line: str) -> Telling:
    """What the name before a literal says. In a call it is the name of a setter, or a literal itself."""
    name, separator = match["name"], match["separator"]
    if separator == "," and line[match.start() - 1 : match.start()] not in ("'", '"', "`"):
        return Telling.NOTHING
    if separator == "(" and not name.lower().removeprefix("_").startswith(("set", "with", "add", "put")):
        return Telling.NOTHING
    return telling_of(name)


def _is_assigned_secret(match: regex.Match[str], line: str, *, is_open: bool) -> bool:
    """Whether a value without quotes is a secret: as in env files, YAML, ini files, netrc and ``export``."""
    name, value = match["name"], match["value"]
    telling = telling_of(name)
    if telling is Telling.NOTHING or (match["separator"] is None and not _is_netrc(line)):
        return False
    head = line[: match.start()].strip().lower()
    is_config = head in _CONFIG_HEADS or head.endswith(_CONFIG_ENDS) or _is_netrc(line)
    is_option = head.endswith(("-e", "--env"))
    if match["separator"] == ":" and (match["rest"] or "").startswith((",", ";")):
        return False  # code
    if not is_config or (match["rest"] is None and not (is_option or _is_netrc(line)) and head):
        return False
    is_env = match["separator"] == "=" and name.isupper() and line[match.end("name")] == "="
    is_yaml = match["separator"] == ":" and head in {"", "-"} and not _TYPE_NAMES.fullmatch(value, partial=True)
    if is_open and match.end("value") == len(line) and (is_env or is_yaml) and telling is not Telling.KEY:
        return value[0] not in _BEGINS_REFERENCE
    return is_secret_value(value, telling, is_quoted=is_env or _is_netrc(line))


def _is_netrc(line: str) -> bool:
    return _NETRC.match(line) is not None


def _looks_made(value: str) -> bool:
    is_reference = is_placeholder(value) or "://" in value
    return not is_reference and any(map(str.isdigit, value)) and len(set(value)) > 5


def _placeholder(match: regex.Match[str]) -> str:
    return _PLACEHOLDER * min(len(match[0]), _MAX_PLACEHOLDER_CHARS)
