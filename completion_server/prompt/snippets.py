"""Snippets of other files as token ids: between a family's own file tokens, or commented where it has none.

What stands in front of a prompt has to stay the same from key to key: the result depends on nothing but the
snippets, the document's path and the budget.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from completion_server.prompt.fim import FimTokens
from completion_server.prompt.fim_table import FimFormat
from completion_server.snippet import CrossFileContext, Snippet
from completion_server.syntax import grammar_of

Encode = Callable[[str], list[int]]

_MIN_LINES = 2
_LEADERS = {
    "python": "#", "bash": "#", "ruby": "#", "r": "#", "julia": "#", "elixir": "#", "yaml": "#", "toml": "#",
    "lua": "--", "sql": "--", "haskell": "--",
}  # fmt: skip
_DEFAULT_LEADER = "//"


@dataclass(frozen=True)
class SnippetIds:
    """Tokens before the first sentinel, those that head the prefix, and the size of each snippet (0: left out)."""

    before: tuple[int, ...] = ()
    prefix_head: tuple[int, ...] = ()
    sizes: tuple[int, ...] = ()


def shows_files(fim_format: FimFormat, tokens: FimTokens) -> bool:
    """Whether the models of ``fim_format`` have seen snippets of other files in training, in this vocabulary."""
    return fim_format.has_snippets and (not fim_format.snippet_tokens or tokens.snippet is not None)


def lay_out_snippets(
    fim_format: FimFormat,
    tokens: FimTokens,
    context: CrossFileContext,
    language_id: str,
    encode: Encode,
    max_tokens: int,
) -> SnippetIds:
    """As many of the snippets as fit into ``max_tokens``, the best (the first) nearest to the document.

    One that does not fit is cut after a line. Nothing at all where none fits.
    """
    repo, before, prefix_head = _frame(fim_format, tokens, context, encode)
    room = max_tokens - len(repo) - len(before) - len(prefix_head)
    shown: list[list[int]] = []
    sizes: list[int] = []
    for snippet in context.snippets:
        token_ids = _fitting(snippet, tokens, language_id, encode, room)
        sizes.append(len(token_ids))
        if token_ids:
            shown.append(token_ids)
            room -= len(token_ids)
    if not shown:
        return SnippetIds(sizes=tuple(sizes))
    body = [token_id for each in reversed(shown) for token_id in each]
    return SnippetIds((*repo, *body, *before), tuple(prefix_head), tuple(sizes))


def _frame(
    fim_format: FimFormat, tokens: FimTokens, context: CrossFileContext, encode: Encode
) -> tuple[list[int], list[int], list[int]]:
    """What names the repository, before the files; what begins the document, after them; its prefix's head."""
    if tokens.snippet is None:
        return [], [], []
    place = context.place
    repo: list[int] = []
    if tokens.repo is not None and place.repository and fim_format.repo_end is not None:
        repo = [tokens.repo, *encode(place.repository + fim_format.repo_end)]
    path = encode(place.path + "\n")
    if fim_format.has_path_in_prefix:
        return repo, [tokens.snippet], path
    return repo, [tokens.snippet, *path], []


def _fitting(snippet: Snippet, tokens: FimTokens, language_id: str, encode: Encode, room: int) -> list[int]:
    """The tokens of ``snippet`` with its path, without its last lines if need be; [] where it does not fit."""
    lines = snippet.text.splitlines(keepends=True)
    min_lines = min(_MIN_LINES, len(lines))
    while room > 0 and len(lines) >= min_lines:
        token_ids = _encoded(snippet, "".join(lines), tokens, language_id, encode)
        if len(token_ids) <= room:
            return token_ids
        lines = lines[: min(len(lines) * room // len(token_ids), len(lines) - 1)]
    return []


def _encoded(snippet: Snippet, text: str, tokens: FimTokens, language_id: str, encode: Encode) -> list[int]:
    if tokens.snippet is not None:
        return [tokens.snippet, *encode(f"{snippet.path}\n{text}")]
    leader = _LEADERS.get(grammar_of(language_id) or "", _DEFAULT_LEADER)
    lines = [f"{snippet.path}\n", *text.splitlines(keepends=True)]
    return encode("".join(f"{leader} {line}" for line in lines) + "\n")
