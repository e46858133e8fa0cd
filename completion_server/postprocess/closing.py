"""What a suggestion leaves open is closed where the text after it does not."""

from __future__ import annotations

from completion_server.lexicon import CLOSER_OF, Scanner, lexicon_of, scan
from completion_server.postprocess.place import Place
from completion_server.trigger import CLOSERS_BY_WORD, indent_width

AT_HOME, HARMLESS, WRONG = 2, 1, 0


def close_what_is_open(text: str, place: Place) -> str:
    """Append the closers of brackets, strings and blocks that ``text`` opens, if the file has an error without.

    A bracket that is the last thing on its line, or behind a comma, is closed on a line of its own, so that the
    lines above can be accepted as they are; not if the clock ended the text in its first line. Unchanged where
    there is no grammar, and where closing mends nothing.
    """
    return fitted(text, place)[0]


def fitted(text: str, place: Place) -> tuple[str, int]:
    """``text`` as it is or closed, and how well it fits in.

    AT_HOME: the file has no more errors with it than without the cursor's line, which is usually unfinished and
    thus an error already, or would not have once the brackets on that line are closed too: whoever takes it goes
    on writing there. HARMLESS: no more than the file has as it is.
    """
    num_before = place.errors.num_errors
    if num_before is None:
        return text, AT_HOME
    num_least = num_before
    if num_before:
        before, after = len(place.before_on_line), len(place.after_on_line) + place.num_replaced
        num_least = min(num_before, place.errors.count_with("", before, after) or 0)
    own, all_closers = _closers(text, place)
    shown = [text, text + own] if own else [text]
    if own and place.next_indent_width < indent_width(_last_line(text, place)):
        shown.reverse()  # not closed below; a part of a file with errors of its own may not show that
    counts = [_count(each, place) for each in shown]
    is_closed_below = own != "" and _is_closed_below(text, place)
    for each, count in zip(shown, counts, strict=True):
        if count <= num_least:
            return (text if is_closed_below else each), AT_HOME
    is_at_home = all_closers != "" and _count(text + all_closers, place) <= num_least
    for each, count in zip(shown, counts, strict=True):
        if count <= num_before:
            return each, AT_HOME if is_at_home else HARMLESS
    return text, WRONG


def _count(text: str, place: Place) -> int:
    return place.errors.count_with(text, 0, place.num_replaced) or 0


def _is_closed_below(text: str, place: Place) -> bool:
    """Whether what ``text`` opens last has its body after the cursor, and ends where no parser has looked."""
    return place.is_cut_below and place.next_indent_width > indent_width(_last_line(text, place))


def _last_line(text: str, place: Place) -> str:
    return (place.before_on_line + text).rsplit("\n", 1)[-1]


def _closers(text: str, place: Place) -> tuple[str, str]:
    """What closes that which ``text`` opens; and what closes what stands before it on its line, too."""
    lexicon = lexicon_of(place.language_id)
    line = place.before_on_line + text
    scanner = scan(lexicon, line, place.inside_at_line)
    closed = line + _string_end(scanner, line, len(place.before_on_line), lexicon.multi_line)
    own_end = None
    # A text that ends anywhere says nothing about what goes on the next line.
    may_break = not place.is_partial or "\n" in text
    for bracket, at in zip(reversed(scanner.stack), reversed(scanner.opened_at), strict=True):
        if at < len(place.before_on_line) and own_end is None:
            own_end = len(closed)
        needs_line = (may_break and _needs_line(closed, at)) or (
            scanner.inside == "\n" and "\n" not in closed[at:]
        )
        closed += f"\n{_indent(closed, at)}{CLOSER_OF[bracket]}" if needs_line else CLOSER_OF[bracket]
    if not scanner.inside and (word := _word_closer(line, place.language_id)):
        closed += f"\n{_indent(line, len(line))}{word}"
    return closed[len(line) : own_end], closed[len(line) :]


def _string_end(scanner: Scanner, line: str, begin: int, multi_line: frozenset[str]) -> str:
    """The end of the string or block comment that ``line`` is in since ``begin``."""
    if not scanner.inside or scanner.inside == "\n" or scanner.entered_at < begin:
        return ""
    is_open_line = "\n" in line[scanner.entered_at :] or line.endswith(scanner.inside)
    if scanner.inside in multi_line and is_open_line and len(scanner.inside) > 1:
        return f"\n{_indent(line, scanner.entered_at)}{scanner.inside}"
    return scanner.inside


def _needs_line(text: str, at: int) -> bool:
    """Whether the bracket at ``at`` is the last on its line, or ``text`` ends with a comma."""
    return not text[at + 1 :].split("\n", 1)[0].strip() or text.rstrip().endswith(",")


def _word_closer(line: str, language_id: str) -> str:
    words = line.rsplit("\n", 1)[-1].split()
    return CLOSERS_BY_WORD.get(language_id, {}).get(words[-1], "") if words else ""


def _indent(text: str, at: int) -> str:
    """The white space that the line of offset ``at`` begins with."""
    line = text[text.rfind("\n", 0, at) + 1 :]
    return line[: len(line) - len(line.lstrip(" \t"))]
