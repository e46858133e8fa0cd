"""The completed file must not have more syntax errors than the file had before."""

from __future__ import annotations

from completion_server.lexicon import CLOSER_OF, lexicon_of, scan
from completion_server.postprocess.place import Place
from completion_server.syntax import count_errors

_NUM_LONGEST, _NUM_SHORTEST = 3, 2  # what is tried of many lines; a tree is about 1 ms


def trim_to_syntax(text: str, place: Place) -> str:
    """Take off lines from the end, then brackets too many, until the tree has no more errors than without.

    The cursor's line is usually unfinished and thus an error already: of what can be cut, the longest text wins
    that leaves no more errors than the file has without that line, else the longest that adds none, else nothing.
    Brackets that are left open are closed for the count: whoever takes ``for (`` goes on writing. Unchanged
    where there is no grammar.
    """
    before, after, language_id = place.window_before, place.window_after, place.language_id
    num_before = count_errors(language_id, before + after)
    if num_before is None:
        return text
    num_least = num_before
    if num_before:
        outside = before[: len(before) - len(place.before_on_line)] + after[len(place.after_on_line) :]
        num_least = min(num_before, count_errors(language_id, outside) or 0)
    harmless = ""
    for candidate in _candidates(text):
        num_after = _count_with(candidate, place) if candidate.strip() else num_before + 1
        if num_after <= num_least:
            return candidate
        if num_after <= num_before and not harmless:
            harmless = candidate
    return harmless


def _count_with(text: str, place: Place) -> int:
    """Errors with ``text``, with what it leaves open closed or not, whichever are fewer."""
    counts = [count_errors(place.language_id, place.window_before + text + place.window_after)]
    closers = _closers(text, place)
    if closers and counts[0]:
        # Not what the text after the cursor closes already.
        counts.append(count_errors(place.language_id, place.window_before + text + closers + place.window_after))
    return min((count for count in counts if count is not None), default=0)


def _closers(text: str, place: Place) -> str:
    """What closes the brackets and the string that the cursor's line opens with ``text``."""
    lexicon = lexicon_of(place.language_id)
    earlier = place.window_before[: len(place.window_before) - len(place.before_on_line)]
    scanner = scan(lexicon, place.before_on_line + text, scan(lexicon, earlier).inside)
    end = scanner.inside if scanner.inside in lexicon.strings else ""
    return end + "".join(CLOSER_OF[bracket] for bracket in reversed(scanner.stack))


def _candidates(text: str) -> list[str]:
    """``text`` with fewer and fewer lines, then its first line without the closing brackets at its end."""
    lines = text.split("\n")
    shorter = ["\n".join(lines[:end]).rstrip() for end in range(len(lines) - 1, 0, -1)]
    first = lines[0].rstrip()
    while first and first[-1] in ")]}":
        first = first[:-1].rstrip()
        shorter.append(first)
    return [text, *shorter[:_NUM_LONGEST], *shorter[_NUM_LONGEST:][-_NUM_SHORTEST:]]
