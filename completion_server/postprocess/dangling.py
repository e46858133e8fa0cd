"""What ends in the middle of an expression is cut back before anything is closed."""

from __future__ import annotations

import re

from completion_server.lexicon import Kind, Scanner
from completion_server.postprocess.place import Place

_OPERATOR = re.compile(
    r"\s*(?:(?<!\+)\+|(?<!-)-|[=<|^~]|(?<![\d%])%|(?<=\s)>|(?<=[=>-])>|(?<!\*/)(?<![\w*])/|(?<=\w\s)/|&&|(?<=\w\s)[&*?]|\?\?|::|\?\."
    r"|(?<=[\w)\]])\.|(?:^|(?<=[\s(]))!|(?<=\w):|(?<=\s):"
    r"|(?:^|(?<=[\s(\[{]))(?:and|or|not|in|is|as|of|instanceof|typeof|new|await|return|else|if))\s*$"
)
_HEADS = re.compile(r"(?:[=-]>|(?<![=!<>])=|(?<!:):)\s*$")
"""What stands before one of these is no expression: parameters, a name, a key."""
_LABEL = re.compile(r"(?:^|\n)\s*(?:case\b[^\n]*|default|public|private|protected|else)\s*:\s*$")
_WITH_POINTERS = frozenset({"c", "cpp", "objc", "d"})
_CODE = (Kind.BRACKET, Kind.HOLE)


def cut_dangling_end(text: str, place: Place) -> str:
    """Without the operator at its end, where brackets are open there that the text or the line closes next.

    Several lines lose the last one instead, and the head of a loop that is cut (``for (i = 0; i <``) is dropped.
    """
    scanner = place.read(text)
    if place.lexicon.is_prose or scanner.errors or not _is_closed_next(scanner, place):
        return text
    line_before = place.before_on_line if "\n" not in text else ""
    cut = text
    while cut and (found := _OPERATOR.search(line_before + cut)) is not None and found.end() > len(line_before):
        if _is_whole(scanner, line_before + cut, found.group().strip()):
            break
        cut = cut[: max(found.start() - len(line_before), 0)]
    if cut == text:
        return text
    innermost = scanner.frames[-1].at - len(place.window_before)
    head, line_end, _last = text.rpartition("\n")
    if line_end and innermost >= 0 and head.strip():
        return head
    if innermost >= 0 and (";" in text[innermost:] or _HEADS.search(text)):
        return ""
    return cut.rstrip()


def _is_whole(scanner: Scanner, text: str, operator: str) -> bool:
    """Whether ``text`` ends with a colon of a slice or a label, or a pointer's sign: nothing has to follow."""
    if operator in ("*", "&"):
        return scanner.lexicon.name in _WITH_POINTERS
    is_slice = scanner.frames[-1].closer == "]"
    return operator == ":" and (is_slice or _LABEL.search(text) is not None)


def _is_closed_next(scanner: Scanner, place: Place) -> bool:
    """Whether the end is in a bracket that the text opened, or that the rest of the line closes."""
    if not scanner.frames or (frame := scanner.frames[-1]).kind not in _CODE:
        return False
    return frame.at >= len(place.window_before) or place.after_on_line.lstrip().startswith(frame.closer)
