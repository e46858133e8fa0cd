"""Patterns as git reads them, in bounded time."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from completion_server.context.ignore_patterns import MAX_PATTERN_CHARS, MAX_PATTERNS, PatternList


def verdict(path: str, *lines: str) -> bool | None:
    return PatternList.from_lines(lines).verdict(path)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("*a" * 24 + "b", "a" * 250),
        ("*a" * 24 + "b", "/".join(["a" * 60] * 60)),
        ("**/a" * 24 + "/b", "/".join(["a"] * 2000)),
        ("**/*a" * 24 + "b", "/".join(["aa"] * 1000)),
        ("[ab]*" * 60 + "c", "ab" * 120),
        ("?*" * 100 + "x", "a" * 250),
        ("*" * 400 + "b", "a" * 250),
        ("a*/" * 100 + "b", "/".join(["a" * 20] * 150)),
        ("*[!b]" * 40 + "b", "a" * 250),
        ("[[:alpha:]]*" * 20 + "!", "a" * 250),
        ("\\a*" * 100 + "b", "a" * 250),
        ("**/" * 100 + "x", "/".join(["a"] * 2000)),
    ],
)
@pytest.mark.timeout(20)
def test_no_pattern_backtracks(pattern: str, path: str) -> None:
    """With backtracking most of these take longer than anybody waits."""
    assert verdict(path, pattern) is None
    assert verdict(path + "/", "!" + pattern) is None


def test_what_is_too_much_is_left_out() -> None:
    assert PatternList.from_lines(["x" * (MAX_PATTERN_CHARS + 1), "y"]).num_left_out == 1
    assert PatternList.from_lines(["y"] * (MAX_PATTERNS + 5)).num_left_out == 5


PIECES = ["a", "b", "*", "?", "/", "**/", "/**", "[ab]", "[!a]", "[^b]", "[a-b]", ".", "\\a", "!", " ", "\\ ", "#",
          "[[:alpha:]]", "[]a]", "a*b", "/a", "b/", "-", "\\"]  # fmt: skip
PATHS = [
    "a",
    "b",
    "ab",
    "aab",
    "a/b",
    "b/a",
    "a/a/b",
    "a/b/ab",
    "a.b",
    "a b",
    "b/b/b/a",
    "-",
    "]",
    "a/ab/b.a",
    "#",
    " a",
]


UNBOUND_STARS = re.compile(r"[^/!]\*\*|\*\*[^/]")
"""Git compares pointers of two strings there (wildmatch.c, ``prev_p < text``): it says now this, now that."""
LINES = st.lists(st.sampled_from(PIECES), min_size=1, max_size=5).map("".join)


@settings(max_examples=60, deadline=None)
@given(st.lists(LINES.filter(lambda line: not UNBOUND_STARS.search(line)), min_size=3, max_size=12))
def test_git_says_the_same(tmp_path_factory: pytest.TempPathFactory, lines: list[str]) -> None:
    root = tmp_path_factory.mktemp("repository")
    subprocess.run(
        ["git", "init", "-q", "."], cwd=root, check=True, env={"HOME": str(root), "PATH": "/usr/bin:/bin"}
    )
    for line in lines:
        (root / ".gitignore").write_text(line + "\n", "utf-8")
        assert ours(line) == gits(root), line


def ours(line: str) -> list[bool]:
    patterns = PatternList.from_lines([line])
    return [is_ignored(patterns, path) for path in PATHS]


def is_ignored(patterns: PatternList, path: str) -> bool:
    parts = path.split("/")
    above = ["/".join(parts[:end]) + "/" for end in range(1, len(parts))]
    return any(patterns.verdict(each) for each in above) or bool(patterns.verdict(path))


def gits(root: Path) -> list[bool]:
    result = subprocess.run(
        ["git", "check-ignore", "--stdin", "-z", "--no-index"],
        cwd=root,
        input="\0".join(PATHS) + "\0",
        capture_output=True,
        text=True,
        check=False,
        env={"HOME": str(root), "PATH": "/usr/bin:/bin"},
    )
    assert result.returncode in (0, 1), result.stderr
    found = set(result.stdout.split("\0"))
    return [path in found for path in PATHS]
