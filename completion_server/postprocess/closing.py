"""What a suggestion leaves open is closed where the text after it does not."""

from __future__ import annotations

from completion_server.lexicon import Frame, Kind
from completion_server.postprocess.balance import Verdict
from completion_server.postprocess.place import Place
from completion_server.trigger import CLOSERS_BY_WORD, indent_width

AT_HOME, HARMLESS, WRONG = 2, 1, 0


def close_what_is_open(text: str, place: Place) -> str:
    """Append the closers of brackets, strings, tags and blocks that ``text`` opens, where the file has an error
    without them.

    A bracket that is the last thing on its line, or behind a comma, is closed on a line of its own, so that the
    lines above can be accepted as they are; not if the clock ended the text in its first line. Unchanged where
    closing mends nothing. Where there is no grammar, the pairs of the lexicon decide.
    """
    return fitted(text, place)[0]


def fitted(text: str, place: Place) -> tuple[str, int]:
    """``text`` as it is or closed, and how well it fits in.

    AT_HOME: the file has no more errors with it than without the cursor's line, which is usually unfinished and
    thus an error already, or would not have once the brackets on that line are closed too: whoever takes it goes
    on writing there. HARMLESS: no more than the file has as it is. A text that breaks pairs fits in only where the
    tree has no error with it.
    """
    num_before = place.errors.num_errors
    own, all_closers = _closers(text, place)
    shown = [text, text + own] if own else [text]
    if num_before is None:
        return _fitted_by_pairs(shown, place)
    num_least = num_before
    if num_before:
        before, after = len(place.before_on_line), len(place.after_on_line) + place.num_replaced
        num_least = min(num_before, place.errors.count_with("", before, after) or 0)
    if own and place.next_indent_width < indent_width(_last_line(text, place)):
        shown.reverse()  # not closed below; a part of a file with errors of its own may not show that
    possible = [(each, count) for each in shown if _keeps_pairs(each, count := _count(each, place), place)]
    is_closed_below = own != "" and _is_closed_below(text, place)
    for each, count in possible:
        if count <= num_least:
            return (text if is_closed_below else each), AT_HOME
    is_at_home = all_closers != "" and _count(text + all_closers, place) <= num_least
    for each, count in possible:
        if count <= num_before:
            return each, AT_HOME if is_at_home else HARMLESS
    return text, WRONG


def _count(text: str, place: Place) -> int:
    return place.errors.count_with(text, 0, place.num_replaced) or 0


def _keeps_pairs(text: str, num_errors: int, place: Place) -> bool:
    """Whether ``text`` adds no error that the mere number of the errors hides."""
    if num_errors == 0 and not place.lexicon.is_tolerant:
        return True
    if 2 * num_errors < (place.errors.num_errors or 0):
        return True  # it mends more than it can hide
    verdict = place.balance.judge(text, place.num_replaced)
    if verdict is Verdict.BROKEN or (num_errors and place.errors.has_new_below(text, place.num_replaced)):
        return False
    is_open_before_closer = verdict is Verdict.OPEN and _has_closer_behind(place)
    return not is_open_before_closer and (verdict is Verdict.FINE or not place.lexicon.is_tolerant)


def _fitted_by_pairs(shown: list[str], place: Place) -> tuple[str, int]:
    """The same where there is no grammar."""
    for each in shown:
        if place.balance.judge(each, place.num_replaced) is Verdict.FINE:
            return each, AT_HOME
    text = shown[0]
    is_open = place.balance.judge(text, place.num_replaced) is Verdict.OPEN
    if is_open and place.balance.is_cut_below and place.next_indent_width > indent_width(_last_line(text, place)):
        return text, AT_HOME  # its body follows, and ends where the scanner has not looked
    return text, WRONG


def _has_closer_behind(place: Place) -> bool:
    """Whether the rest of the cursor's line begins with what closes something before the cursor."""
    frames = place.frames
    rest = place.after_on_line.lstrip()
    return bool(rest) and any(frame.closer and rest.startswith(frame.closer) for frame in frames[-1:])


def _is_closed_below(text: str, place: Place) -> bool:
    """Whether what ``text`` opens last has its body after the cursor, and ends where no parser has looked."""
    return place.is_cut_below and place.next_indent_width > indent_width(_last_line(text, place))


def _last_line(text: str, place: Place) -> str:
    return (place.before_on_line + text).rsplit("\n", 1)[-1]


def _closers(text: str, place: Place) -> tuple[str, str]:
    """What closes that which ``text`` opens; and what closes what stands before it on its line, too."""
    scanner = place.read(text)
    begin = len(place.window_before) - len(place.before_on_line)
    line = closed = place.before_on_line + text
    own_end = None
    # A text that ends anywhere says nothing about what goes on the next line.
    may_break = not place.is_partial or "\n" in text
    is_in_comment = scanner.inside == "\n"
    for frame in reversed(scanner.frames):
        if frame.at < begin:
            break
        if frame.at < len(place.window_before) and own_end is None:
            own_end = len(closed)
        at = frame.at - begin
        if frame.kind is Kind.TEXT:
            closed += _text_end(frame, closed, at)
            continue
        needs_line = (may_break and _needs_line(frame, closed, at)) or (
            is_in_comment and "\n" not in closed[len(line) :]
        )
        closer = _closer(frame)
        closed += f"\n{_indent(closed, at)}{closer}" if needs_line else closer
    if not scanner.inside and (word := _word_closer(line, place.language_id)):
        closed += f"\n{_indent(line, len(line))}{word}"
    return closed[len(line) : own_end], closed[len(line) :]


def _closer(frame: Frame) -> str:
    name = frame.opener[1:]
    if frame.kind is not Kind.TAG or name[:1] in ("!", "?"):
        return frame.closer
    return " />" if frame.lexicon.name == "jsx-tag" else f"></{name}>"


def _text_end(frame: Frame, text: str, at: int) -> str:
    """The end of the string or comment that ``text`` is in since ``at``."""
    if not frame.closer:
        return ""
    is_open_line = "\n" in text[at:] or text.endswith(frame.closer)
    if is_open_line and len(frame.closer) > 1 and frame.closer.isalnum():
        return f"\n{frame.closer}"  # of a here-document
    if is_open_line and len(frame.closer) == 3 and len(set(frame.closer)) == 1:
        return f"\n{_indent(text, at)}{frame.closer}"
    return frame.closer


def _needs_line(frame: Frame, text: str, at: int) -> bool:
    """Whether the bracket at ``at`` is the last on its line, or ``text`` ends with a comma."""
    if frame.kind is Kind.BLOCK:
        return True
    if frame.kind in (Kind.ELEMENT, Kind.TAG):
        return "\n" in text[at:]
    return not text[at + 1 :].split("\n", 1)[0].strip() or text.rstrip().endswith(",")


def _word_closer(line: str, language_id: str) -> str:
    words = line.rsplit("\n", 1)[-1].split()
    return CLOSERS_BY_WORD.get(language_id, {}).get(words[-1], "") if words else ""


def _indent(text: str, at: int) -> str:
    """The white space that the line of offset ``at`` begins with."""
    line = text[text.rfind("\n", 0, at) + 1 :]
    return line[: len(line) - len(line.lstrip(" \t"))]
