"""Code with a suggestion shown in place: dim and italic on a terminal, between marks elsewhere."""

from __future__ import annotations

from rich.text import Text

from completion_server.document import Document, Position, line_body

GHOST_STYLE = "dim italic"
_OPEN, _CLOSE = "⟦", "⟧"
_TAB = "    "


def code_with_ghost(
    document: Document,
    position: Position,
    ghost: str,
    num_context_lines: tuple[int, int],
    *,
    is_plain: bool = False,
    has_cursor: bool = False,
) -> Text:
    """Lines around ``position``, numbered, ``ghost`` between the text before the cursor and the text after it.

    ``num_context_lines`` counts the lines above and below. Without styles (``is_plain``) the ghost stands between
    marks, so that it can be told from the text.
    """
    above, below = num_context_lines
    first = max(0, position.line - above)
    last = min(len(document.lines), position.line + below + 1)
    width = len(str(last))
    result = Text(no_wrap=True, overflow="ellipsis")
    for number in range(first, last):
        if number > first:
            result.append("\n")
        result.append(f"{number + 1:>{width}} ", style="" if is_plain else "dim")
        if number != position.line:
            result.append(_visible(line_body(document.lines[number])))
            continue
        result.append(_visible(document.line_prefix(position)))
        _append_ghost(result, ghost, " " * (width + 1), is_plain=is_plain, has_cursor=has_cursor)
        result.append(_visible(document.line_suffix(position)))
    return result


def _append_ghost(result: Text, ghost: str, margin: str, *, is_plain: bool, has_cursor: bool) -> None:
    shown = _visible(ghost.replace("\r\n", "\n"))
    if is_plain:
        if shown:
            result.append(f"{_OPEN}{shown}{_CLOSE}".replace("\n", f"\n{margin}"))
        return
    if has_cursor:
        # The cursor lies on the ghost's first character, as a terminal's own would.
        head, shown = shown[:1], shown[1:]
        result.append(" " if head in {"", "\n"} else head, style="reverse")
        shown = head + shown if head == "\n" else shown
    result.append(shown.replace("\n", f"\n{margin}"), style=GHOST_STYLE)


def _visible(text: str) -> str:
    """Tabs as spaces, and nothing that would steer the terminal."""
    text = text.replace("\t", _TAB)
    return "".join(char if char == "\n" or char.isprintable() else "·" for char in text)
